"""A network, the schedule it was trained on and what it predicts: together they guess the clean picture."""

from dataclasses import dataclass
from typing import Any, Callable

import torch
from torch import Tensor

from course_lib.schedulers import Schedule, Time


@dataclass(frozen=True)
class Denoiser:
    """`denoise(x, t) -> x0_hat`, the only thing that a solver sees of a model.

    network: (x (N, ...), t (N,), cond) -> a prediction of x's shape; prediction: "eps", "x0", "v" or "flow"
    (diffusers: `prediction_type`).
    """

    network: Callable[..., Tensor]
    schedule: Schedule
    prediction: str = "v"

    def output(self, x: Tensor, t: Time, cond: Any = None) -> Tensor:
        """The network's own answer. Its input is scaled to unit variance (EDM, Karras et al. 2022, eq. 7, c_in)."""
        times = torch.as_tensor(t, dtype=x.dtype, device=x.device).expand(len(x))
        alpha, sigma = self.schedule.alpha(times), self.schedule.sigma(times)
        scale = torch.rsqrt(alpha**2 + sigma**2).reshape(-1, *[1] * (x.ndim - 1))
        return self.network(x * scale, times) if cond is None else self.network(x * scale, times, cond)

    def __call__(self, x: Tensor, t: Time, cond: Any = None) -> Tensor:
        """x: (N, ...) at time t (a float, or (N,)) -> x0_hat of x's shape."""
        return self.schedule.to_x0(self.prediction, self.output(x, t, cond), x, t)

    def loss(self, x0: Tensor, eps: Tensor, t: Tensor, cond: Any = None) -> Tensor:
        """The mean squared error of the prediction at random times. (DDPM, Ho et al. 2020, eq. 14, for "eps".)

        x0, eps: (N, ...); t: (N,) in (0, 1) -> a scalar.
        """
        x = self.schedule.add_noise(x0, eps, t)
        wanted = self.schedule.target(self.prediction, x0, eps, t)
        return torch.nn.functional.mse_loss(self.output(x, t, cond).float(), wanted)

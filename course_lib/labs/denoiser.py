"""The denoiser lab: one picture, one noise, every noise level, and what a model makes of it."""

import numpy as np
import torch

from course_lib.labs.scrubber import NOISE_RANGE, Scrubber
from course_lib.pictures import to_uint8
from course_lib.runtime import CourseError, check_whole, random_source

ALT = "A noisy picture and a model's guess at the clean one, as the slider goes from little noise to noise alone."
FIRST = 0.02  # at t = 0 there is no noise, and nothing to guess


def compute(denoise, picture: torch.Tensor, levels: int = 21, seed: int = 0) -> dict:
    """One guess at each of `levels` times, from little noise to t = 1, always with the same noise.

    denoise: a Denoiser for pictures; picture: (C, H, W) in [-1, 1]; levels: 2 to 101. Gives the Scrubber's
    `views` ("guess at the clean picture", "noisy picture", "predicted noise") and `labels`, which carry the root
    mean square error of the guess. Raises CourseError if the picture has another shape, or `levels` is out of range.
    """
    if not isinstance(picture, torch.Tensor) or picture.ndim != 3:
        raise CourseError("Give the lab one picture, a tensor (C, H, W) in [-1, 1], such as book.batch([0])[0].")
    levels = check_whole(levels, "The number of levels", 2, 101)
    schedule, where = denoise.schedule, next(denoise.network.parameters()).device
    times = torch.linspace(FIRST, 1, levels)
    x0 = picture.expand(levels, *picture.shape)
    eps = torch.randn(picture.shape, generator=random_source(seed)).expand_as(x0)
    x = schedule.add_noise(x0, eps, times)
    with torch.inference_mode():
        x0_hat = denoise(x.to(where), times.to(where)).cpu()
    size = torch.hypot(schedule.alpha(times), schedule.sigma(times)).clamp(min=1).reshape(-1, 1, 1, 1)
    views = {"guess at the clean picture": x0_hat, "noisy picture": x / size,
             "predicted noise": schedule.eps_from_x0(x, x0_hat, times) / NOISE_RANGE}
    errors = ((x0_hat - x0) ** 2).mean(dim=(1, 2, 3)).sqrt()
    labels = [f"t = {t:.2f} · off by {error:.2f}" for t, error in zip(times.tolist(), errors.tolist())]
    return {"views": {name: np.ascontiguousarray(to_uint8(x)) for name, x in views.items()}, "labels": labels}


def denoiser(denoise, picture: torch.Tensor, levels: int = 21, seed: int = 0) -> Scrubber:
    """Scrub through the noise levels: the guess at the clean picture, the noisy picture, the predicted noise.

    The arguments are those of `compute`.
    """
    return Scrubber(**compute(denoise, picture, levels, seed), alt=ALT, start=levels // 2)

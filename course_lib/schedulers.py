"""The two halves of what the field calls a scheduler.

The *noise schedule*: how much picture, alpha(t), and how much noise, sigma(t), is in
``x_t = alpha(t) x0 + sigma(t) eps``, from t = 0 (the data) to t = 1 (the noise).
The *step rules* (solvers): how to get from time t to an earlier time s, given a guess `x0_hat` at the clean data.
They hold no state. `SCHEDULERS` pairs each rule with the time grid that suits it.

Times may be floats (the answer is a float, computed in float64) or tensors (the answer is a tensor of that shape).
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Callable

import torch
from torch import Tensor

from course_lib.runtime import CourseError, check_whole

Time = float | Tensor


# ------------------------------------------------------------------------------------------- noise schedules

def _floats_too(method):
    """Let a method that is written for tensors take and give plain floats."""

    def wrapped(self, value: Time) -> Time:
        if isinstance(value, Tensor):
            return method(self, value)
        return method(self, torch.tensor(float(value), dtype=torch.float64)).item()

    wrapped.__doc__, wrapped.__name__ = method.__doc__, method.__name__
    return wrapped


class Schedule(ABC):
    """A Gaussian path between data and noise."""

    name: str

    @abstractmethod
    def alpha(self, t: Time) -> Time:
        """How much of the picture is left: 1 at t = 0."""

    @abstractmethod
    def sigma(self, t: Time) -> Time:
        """The standard deviation of the noise: 0 at t = 0."""

    @abstractmethod
    def alpha_dot(self, t: Time) -> Time:
        """d alpha / dt."""

    @abstractmethod
    def sigma_dot(self, t: Time) -> Time:
        """d sigma / dt, for t > 0."""

    @abstractmethod
    def t_of_lam(self, lam: Time) -> Time:
        """The time at which log(alpha / sigma) is `lam`: the inverse of `lam`."""

    @_floats_too
    def lam(self, t: Time) -> Time:
        """log(alpha / sigma), half the log signal-to-noise ratio; +inf at the data, -inf where alpha = 0."""
        return torch.log(self.alpha(t)) - torch.log(self.sigma(t))

    @_floats_too
    def snr(self, t: Time) -> Time:
        """The signal-to-noise ratio (alpha / sigma)^2."""
        return (self.alpha(t) / self.sigma(t)) ** 2

    def add_noise(self, x0: Tensor, eps: Tensor, t: Time) -> Tensor:
        """x_t = alpha(t) x0 + sigma(t) eps, the forward process in one jump. (DDPM, Ho et al. 2020, eq. 4.)

        x0, eps: (N, ...) of one shape; t: a float, or (N,) with one time a picture.
        """
        return _like(self.alpha(t), x0) * x0 + _like(self.sigma(t), x0) * eps

    def add_more_noise(self, x: Tensor, eps: Tensor, s: float, t: float) -> Tensor:
        """From x at time s to a later time t, the forward process's own step: the picture in x shrinks as it must,
        and fresh noise `eps` makes up for what is missing. (q(x_t | x_s); RePaint, Lugmayr et al. 2022, eq. 1.)"""
        ratio = self.alpha(t) / self.alpha(s)
        missing = max(self.sigma(t) ** 2 - (ratio * self.sigma(s)) ** 2, 0.0)
        return ratio * x + math.sqrt(missing) * eps

    def eps_from_x0(self, x: Tensor, x0_hat: Tensor, t: Time) -> Tensor:
        """The noise that must be in `x` if the clean picture is `x0_hat`; t > 0."""
        return (x - _like(self.alpha(t), x) * x0_hat) / _like(self.sigma(t), x)

    def velocity(self, x: Tensor, x0_hat: Tensor, t: Time) -> Tensor:
        """u = dx/dt = alpha' x0_hat + sigma' eps_hat, along the path that turns noise into data; t > 0."""
        eps_hat = self.eps_from_x0(x, x0_hat, t)
        return _like(self.alpha_dot(t), x) * x0_hat + _like(self.sigma_dot(t), x) * eps_hat

    def target(self, prediction: str, x0: Tensor, eps: Tensor, t: Time) -> Tensor:
        """What a network of this `prediction` type ("x0", "eps", "v", "flow") should output at time t.

        v = alpha eps - sigma x0 (Salimans & Ho 2022, section 4); flow: u = dx/dt (Lipman et al. 2023). On the
        flow schedule u = eps - x0; on the cosine schedule u is v times pi / 2; in general they differ.
        """
        alpha, sigma = _like(self.alpha(t), x0), _like(self.sigma(t), x0)
        if prediction == "x0":
            return x0
        if prediction == "eps":
            return eps
        if prediction == "v":
            return alpha * eps - sigma * x0
        if prediction == "flow":
            return _like(self.alpha_dot(t), x0) * x0 + _like(self.sigma_dot(t), x0) * eps
        raise CourseError(f"There is no prediction type '{prediction}': choose from {', '.join(PREDICTIONS)}.")

    def to_x0(self, prediction: str, output: Tensor, x: Tensor, t: Time) -> Tensor:
        """The guess at the clean picture, from what the network output at the noisy picture `x`."""
        alpha, sigma = _like(self.alpha(t), x), _like(self.sigma(t), x)
        if prediction == "x0":
            return output
        if prediction == "eps":
            if isinstance(alpha, float) and alpha == 0:
                raise CourseError(f"Where alpha = 0 the noise says nothing of the picture, so a network that predicts "
                                  f"eps cannot start at t = {t:g} on '{self.name}': start later, or predict x0 or v.")
            return (x - sigma * output) / alpha
        if prediction == "v":
            return (alpha * x - sigma * output) / (alpha**2 + sigma**2)
        if prediction == "flow":
            alpha_dot, sigma_dot = _like(self.alpha_dot(t), x), _like(self.sigma_dot(t), x)
            return (sigma_dot * x - sigma * output) / (alpha * sigma_dot - alpha_dot * sigma)
        raise CourseError(f"There is no prediction type '{prediction}': choose from {', '.join(PREDICTIONS)}.")


PREDICTIONS = ("eps", "x0", "v", "flow")


def _like(coefficient: Time, x: Tensor) -> Time:
    """A float as it is; one number a picture, (N,), as (N, 1, 1, ...) in x's dtype."""
    if isinstance(coefficient, Tensor):
        return coefficient.to(x).reshape(-1, *[1] * (x.ndim - 1))
    return coefficient


@dataclass(frozen=True)
class Linear(Schedule):
    """DDPM's schedule in continuous time: beta grows linearly from `beta_min` to `beta_max`.

    alpha(t)^2 = exp(-(beta_max - beta_min) t^2 / 2 - beta_min t). Ho et al. 2020, section 4, took 1,000 small steps
    from 0.0001 to 0.02; this is their limit (Song et al. 2021, eq. 33). Variance preserving.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    name = "linear"

    def _log_alpha(self, t: Tensor) -> Tensor:
        return -(self.beta_max - self.beta_min) * t**2 / 4 - self.beta_min * t / 2

    @_floats_too
    def alpha(self, t):
        return torch.exp(self._log_alpha(t))

    @_floats_too
    def sigma(self, t):
        return torch.sqrt(-torch.expm1(2 * self._log_alpha(t)))  # expm1: exact near t = 0

    @_floats_too
    def alpha_dot(self, t):
        return -(self.beta_min + (self.beta_max - self.beta_min) * t) / 2 * self.alpha(t)

    @_floats_too
    def sigma_dot(self, t):
        return -self.alpha(t) * self.alpha_dot(t) / self.sigma(t)  # from alpha^2 + sigma^2 = 1

    @_floats_too
    def t_of_lam(self, lam):
        slope = self.beta_max - self.beta_min
        minus_log_alpha = torch.nn.functional.softplus(-2 * lam) / 2
        root = torch.sqrt(self.beta_min**2 + 4 * slope * minus_log_alpha)
        return 4 * minus_log_alpha / (root + self.beta_min)


@dataclass(frozen=True)
class Cosine(Schedule):
    """alpha(t) = cos(pi t / 2), sigma(t) = sin(pi t / 2). Variance preserving; pure noise at t = 1.

    Nichol & Dhariwal 2021, eq. 17, without the small offset s (as Salimans & Ho 2022).
    """

    name = "cosine"

    @_floats_too
    def alpha(self, t):
        return torch.sin(math.pi / 2 * (1 - t))  # cos(pi t / 2), but exactly 0 at t = 1

    @_floats_too
    def sigma(self, t):
        return torch.sin(math.pi / 2 * t)

    @_floats_too
    def alpha_dot(self, t):
        return -math.pi / 2 * self.sigma(t)

    @_floats_too
    def sigma_dot(self, t):
        return math.pi / 2 * self.alpha(t)

    @_floats_too
    def t_of_lam(self, lam):
        return 2 / math.pi * torch.atan(torch.exp(-lam))


@dataclass(frozen=True)
class Flow(Schedule):
    """alpha(t) = 1 - t, sigma(t) = t: the straight line from data to noise. (Lipman et al. 2023; Liu et al. 2023.)"""

    name = "flow"

    @_floats_too
    def alpha(self, t):
        return 1 - t

    @_floats_too
    def sigma(self, t):
        return t

    @_floats_too
    def alpha_dot(self, t):
        return -torch.ones_like(t)

    @_floats_too
    def sigma_dot(self, t):
        return torch.ones_like(t)

    @_floats_too
    def t_of_lam(self, lam):
        return torch.sigmoid(-lam)


@dataclass(frozen=True)
class EDM(Schedule):
    """alpha(t) = 1, sigma(t) = sigma_max t: noise is added, the picture is never shrunk. (Karras et al. 2022.)

    Their time is sigma itself; ours is sigma / sigma_max, and their spacing with rho = 7 is the "karras" time grid.
    """

    sigma_max: float = 80.0
    name = "edm"

    @_floats_too
    def alpha(self, t):
        return torch.ones_like(t)

    @_floats_too
    def sigma(self, t):
        return self.sigma_max * t

    @_floats_too
    def alpha_dot(self, t):
        return torch.zeros_like(t)

    @_floats_too
    def sigma_dot(self, t):
        return torch.full_like(t, self.sigma_max)

    @_floats_too
    def t_of_lam(self, lam):
        return torch.exp(-lam) / self.sigma_max


SCHEDULES: dict[str, Schedule] = {schedule.name: schedule for schedule in (Linear(), Cosine(), Flow(), EDM())}


def find_schedule(name: str) -> Schedule:
    """The schedule called `name`; CourseError if there is none."""
    if name not in SCHEDULES:
        raise CourseError(f"There is no noise schedule '{name}': choose from {', '.join(SCHEDULES)}.")
    return SCHEDULES[name]


# ----------------------------------------------------------------------------------------------- time grids

# Beyond these noise-to-signal ratios (sigma / alpha) a step changes nothing that can be seen: DDPM's own range.
RATIO_MAX, RATIO_MIN = 157.0, 0.010


def time_grid(schedule: Schedule, steps: int, spacing: str = "uniform", rho: float = 7.0) -> list[float]:
    """A decreasing grid `ts` of steps + 1 times that ends in 0 exactly. (diffusers: `num_inference_steps`.)

    spacing: "uniform" in t from 1; "log_snr", uniform in lam (Lu et al. 2022); "karras", uniform in
    (sigma / alpha)^(1 / rho) (Karras et al. 2022, eq. 5). The last two go from RATIO_MAX, or from t = 1 if the
    schedule ends sooner, down to RATIO_MIN, and then jump to 0. Every grid starts at t = 1, so that the same noise
    means the same thing to all of them: where sigma / alpha grows beyond RATIO_MAX, only the first time is moved.
    Raises CourseError if `steps` is not a whole number from 1 to 1000, or the spacing is unknown.
    """
    steps = check_whole(steps, "The number of steps", 1, 1000)
    if spacing == "uniform":
        return [1 - i / steps for i in range(steps)] + [0.0]
    first, last = max(-math.log(RATIO_MAX), schedule.lam(1.0)), -math.log(RATIO_MIN)
    fractions = [i / (steps - 1) for i in range(steps)] if steps > 1 else [0.0]
    if spacing == "log_snr":
        lams = [first + f * (last - first) for f in fractions]
    elif spacing == "karras":
        high, low = math.exp(-first / rho), math.exp(-last / rho)
        lams = [-rho * math.log(high + f * (low - high)) for f in fractions]
    else:
        raise CourseError(f"There is no time spacing '{spacing}': choose from uniform, log_snr, karras.")
    return [1.0] + [schedule.t_of_lam(lam) for lam in lams[1:]] + [0.0]


# ----------------------------------------------------------------------------------------------- step rules
#
# Each takes the picture `x` at time t and the guess `x0_hat`, and gives the picture at s < t. The loop in sampling.py
# also offers `noise()` (fresh unit noise), `previous` (the step before this one, or None) and `denoise`; a rule takes
# what it needs.

def ddim(schedule: Schedule, x: Tensor, x0_hat: Tensor, t: float, s: float, *, eta: float = 0.0,
         noise: Callable[[], Tensor] | None = None, **_) -> Tensor:
    """Keep the implied noise, swap the coefficients. (DDIM, Song et al. 2021, eq. 12 and 16; diffusers: `eta`.)

    eta = 0 is deterministic; eta = 1 replaces as much of the implied noise by fresh noise as DDPM does. Written with
    alpha and sigma, so it holds on every Gaussian path, variance preserving or not.
    """
    eps_hat = schedule.eps_from_x0(x, x0_hat, t)
    alpha_s, sigma_s = schedule.alpha(s), schedule.sigma(s)
    if eta == 0:
        return alpha_s * x0_hat + sigma_s * eps_hat
    ratio = schedule.alpha(t) / alpha_s
    between = max(1 - (ratio * sigma_s / schedule.sigma(t)) ** 2, 0.0)  # share of the noise at t that came after s
    fresh = eta * sigma_s * math.sqrt(between)
    kept = math.sqrt(max(sigma_s**2 - fresh**2, 0.0))
    return alpha_s * x0_hat + kept * eps_hat + fresh * noise()


ddpm = partial(ddim, eta=1.0)
"""DDPM's ancestral step: the posterior q(x_s | x_t, x0_hat) with variance beta-tilde. (Ho et al. 2020, eq. 6 and 7.)"""


def euler(schedule: Schedule, x: Tensor, x0_hat: Tensor, t: float, s: float, **_) -> Tensor:
    """One straight step along dx/dt. On the flow and the EDM path this is the same line as `ddim`."""
    return x + (s - t) * schedule.velocity(x, x0_hat, t)


def heun(schedule: Schedule, x: Tensor, x0_hat: Tensor, t: float, s: float, *,
         denoise: Callable[[Tensor, float], Tensor], **_) -> Tensor:
    """Try Euler's step, look at the slope there, and take the mean of both slopes. (Karras et al. 2022, algorithm 1.)

    Two network evaluations a step, but one for a step to s = 0, where no noise is left to tell a slope from.
    """
    slope = schedule.velocity(x, x0_hat, t)
    x_tried = x + (s - t) * slope
    if s == 0:
        return x_tried
    slope_there = schedule.velocity(x_tried, denoise(x_tried, s), s)
    return x + (s - t) * (slope + slope_there) / 2


def dpmpp_2m(schedule: Schedule, x: Tensor, x0_hat: Tensor, t: float, s: float, *, previous=None, **_) -> Tensor:
    """DPM-Solver++(2M): DDIM's line with `x0_hat` extrapolated from this step and the one before, in lam.

    Second order for one evaluation a step (Lu et al. 2022, algorithm 2). The first and the last step are first order:
    there is nothing to extrapolate from, and lam(0) is infinite. So is the second one after a start at alpha = 0.
    """
    if previous is not None and s > 0:
        step_now = schedule.lam(s) - schedule.lam(t)
        step_before = schedule.lam(t) - schedule.lam(previous.t)
        x0_hat = x0_hat + (x0_hat - previous.x0_hat) * step_now / (2 * step_before)
    return ddim(schedule, x, x0_hat, t, s)


@dataclass(frozen=True)
class Scheduler:
    """A step rule and the spacing of times that suits it."""

    rule: Callable[..., Tensor]
    spacing: str


SCHEDULERS: dict[str, Scheduler] = {
    "ddpm": Scheduler(ddpm, "uniform"),
    "ddim": Scheduler(ddim, "uniform"),
    "euler": Scheduler(euler, "uniform"),
    "heun": Scheduler(heun, "uniform"),
    "dpmpp_2m": Scheduler(dpmpp_2m, "log_snr"),
}


def find_scheduler(name: str, eta: float | None = None) -> Scheduler:
    """The scheduler called `name`. `eta` from 0 to 1 sets the randomness of "ddim"; the others have none to set.

    Raises CourseError if the name is unknown or `eta` does not fit.
    """
    if name not in SCHEDULERS:
        raise CourseError(f"There is no scheduler '{name}': choose from {', '.join(SCHEDULERS)}.")
    if eta is None:
        return SCHEDULERS[name]
    if name != "ddim" or not isinstance(eta, (int, float)) or not 0 <= eta <= 1:
        raise CourseError("eta goes with the scheduler 'ddim' and lies between 0 and 1, "
                          f"but it is {eta!r} with '{name}'.")
    return Scheduler(partial(ddim, eta=eta), "uniform")

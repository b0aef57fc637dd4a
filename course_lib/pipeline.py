"""From a seed to a picture: a few lines over the floors below."""

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Sequence

import numpy as np
import torch

from course_lib.pictures import to_uint8
from course_lib.denoiser import Denoiser
from course_lib.recipes import denoiser_from
from course_lib.runtime import CourseError, load_weights, pick_device, starting_noise
from course_lib.sampling import Step, sample
from course_lib.schedulers import Schedule, find_scheduler, time_grid


@dataclass(frozen=True)
class Result:
    """What generating gave, and what it cost.

    pictures: uint8 (N, H, W, 3), one a seed; trajectory: every step, on the CPU; nfe: network evaluations for each
    picture; seconds: for all of them together.
    """

    pictures: np.ndarray
    trajectory: list[Step]
    schedule: Schedule
    seeds: list[int]
    scheduler: str
    nfe: int
    seconds: float

    @property
    def picture(self) -> np.ndarray:
        """The first picture, uint8 (H, W, 3)."""
        return self.pictures[0]


def load_denoiser(name: str = "pixels", device: str = "cpu") -> tuple[Denoiser, tuple[int, int, int]]:
    """The shipped denoiser `name` and the shape (C, H, W) of its pictures. Loaded once, then kept.

    device: as for `pick_device`. The CPU unless told, so that noise drawn there, which is all noise, fits as it is.
    Raises CourseError for damaged weights, an unknown name or a device that is not there.
    """
    return _load(name, str(pick_device(device)))


@lru_cache(maxsize=4)
def _load(name: str, device: str) -> tuple[Denoiser, tuple[int, int, int]]:
    tensors, settings = load_weights(name)
    size = settings["size"]
    return denoiser_from(tensors, settings, torch.device(device)), (settings["unet"]["picture"], size, size)


class _Counted:
    """A denoiser that counts how often it is asked."""

    def __init__(self, denoise):
        self.denoise, self.schedule, self.calls = denoise, denoise.schedule, 0

    def __call__(self, x, t):
        self.calls += 1
        return self.denoise(x, t)


def generate(seed: int | Sequence[int] = 0, steps: int = 50, scheduler: str = "ddim", eta: float | None = None,
             model: str | tuple[Denoiser, tuple[int, int, int]] = "pixels", device: str = "cpu") -> Result:
    """Paint pictures out of noise. (diffusers: `num_inference_steps` is our `steps`.)

    seed: a whole number from 0, or several for a batch; steps: 1 to 1000; scheduler: a name from `SCHEDULERS`;
    eta: 0 to 1, for "ddim" alone; model: the name of shipped weights, or a denoiser of your own with its pictures'
    shape (C, H, W); device: where shipped weights run. Raises CourseError for a value out of range or damaged weights.
    """
    seeds = [seed] if not isinstance(seed, (list, tuple, range)) else list(seed)
    if not seeds:
        raise CourseError("Give at least one seed.")
    chosen = find_scheduler(scheduler, eta)
    denoise, shape = load_denoiser(model, device) if isinstance(model, str) else model
    schedule = denoise.schedule
    ts = time_grid(schedule, steps, chosen.spacing)
    noise, sources = starting_noise(seeds, shape)
    where = next(denoise.network.parameters()).device
    counted, begun = _Counted(denoise), time.perf_counter()
    with torch.inference_mode():
        steps_made = list(sample(counted, noise.to(where) * schedule.sigma(ts[0]), ts, chosen.rule, sources))
        trajectory = [Step(t, s, *(x.cpu() for x in tensors)) for t, s, *tensors in steps_made]
    seconds = time.perf_counter() - begun
    pictures = to_uint8(trajectory[-1].x_next)
    return Result(pictures, trajectory, schedule, seeds, scheduler, counted.calls, seconds)

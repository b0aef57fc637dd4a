"""The denoiser lab: one picture, one noise, every noise level, and what a model makes of it."""

from typing import Callable

import numpy as np
import torch

from course_lib.labs.controls import Number
from course_lib.labs.face import LiveFace
from course_lib.labs.live import watched
from course_lib.labs.scrubber import NOISE_RANGE, Scrubber
from course_lib.pictures import to_uint8
from course_lib.plots import Figure
from course_lib.runtime import CourseError, check_whole, random_source

ALT = "A noisy picture and a model's guess at the clean one, as the slider goes from little noise to noise alone."
FIRST = 0.02  # at t = 0 there is no noise, and nothing to guess
CURVE_LABEL = ("Error of the guess (root mean square; pictures span 2, from -1 to 1), and that of answering, at every "
               "level, what noise alone gives: a blur.")


def compute(denoise, picture: torch.Tensor, levels: int = 21, seed: int = 0) -> dict:
    """One guess at each of `levels` times, from little noise to t = 1, always with the same noise.

    denoise: a Denoiser for pictures; picture: (C, H, W) in [-1, 1]; levels: 2 to 101. Gives the Scrubber's
    `views` ("guess at the clean picture", "noisy picture", "predicted noise"), `labels`, and `curve`, the root mean
    square error of the guess beside that of the last guess, made from noise alone, which does not know the picture.
    Raises CourseError if the picture has another shape, or `levels` is out of range.
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
    errors = ((x0_hat - x0) ** 2).mean(dim=(1, 2, 3)).sqrt().tolist()
    lines = {"this guess": errors, "the blur at the noisy end": [errors[-1]] * levels}
    return {"views": {name: np.ascontiguousarray(to_uint8(x)) for name, x in views.items()},
            "labels": [f"t = {t:.2f} · off by {error:.2f}" for t, error in zip(times.tolist(), errors)],
            "curve": {"label": CURVE_LABEL, "lines": lines, "range": (0, max(1, np.ceil(2 * max(errors)) / 2))}}


class DenoiserLab(LiveFace):
    """The face: which noise, which of the pictures, and the scrubber, whose slider is the noise level."""

    def __init__(self, denoise, pictures: torch.Tensor, levels: int, seed: int):
        self.denoise, self.pictures, self.levels = denoise, pictures, levels
        self.scrubber = Scrubber(**compute(denoise, pictures[0], levels, seed), alt=ALT, start=levels // 2)
        which = {"number": Number("Picture", 1, 1, len(pictures))} if len(pictures) > 1 else {}
        super().__init__(self.scrubber, seed=Number("Seed of the noise", seed, dice=True), **which)

    @property
    def figure(self) -> Figure:
        return self.scrubber.figure

    def answer(self, values: dict, check: Callable[[], None]) -> dict:
        number = check_whole(values.get("number", 1), "The picture's number", 1, len(self.pictures))
        return compute(watched(self.denoise, check), self.pictures[number - 1], self.levels, values["seed"])

    def show(self, result: dict) -> str:
        self.scrubber.show(**result, alt=ALT)
        return ""

    def __repr__(self) -> str:
        return f"DenoiserLab({self.controls.values})"


def denoiser(denoise, pictures: torch.Tensor, levels: int = 21, seed: int = 0) -> DenoiserLab:
    """Scrub through the noise levels: the guess at the clean picture, the noisy one, the predicted noise, the error.

    pictures: one (C, H, W) or several (N, C, H, W), from which the learner picks; the others are those of `compute`.
    """
    if isinstance(pictures, torch.Tensor) and pictures.ndim == 3:
        pictures = pictures[None]
    if not isinstance(pictures, torch.Tensor) or pictures.ndim != 4 or not len(pictures):
        raise CourseError("Give the lab a picture (C, H, W) or several (N, C, H, W), such as book.batch([0, 1, 2]).")
    return DenoiserLab(denoise, pictures, levels, seed)

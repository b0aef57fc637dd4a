"""The noise lab: a picture dissolves into noise, at any noise level, on a schedule of your choice."""

import io
import os
from typing import Callable

import numpy as np
import torch
from PIL import Image

from course_lib.labs.controls import Choice, Number
from course_lib.labs.face import LiveFace
from course_lib.labs.scrubber import Scrubber
from course_lib.labs.upload import Upload
from course_lib.picturebook import Scene, Thing, render
from course_lib.pictures import cut_square, open_picture, to_tensor, to_uint8
from course_lib.plots import Figure
from course_lib.runtime import CourseError, check_whole, random_source
from course_lib.schedulers import SCHEDULES, find_schedule

CHOICES = ("linear", "cosine", "flow")
LEVELS = 51
LAM_LIMIT = 5.0  # the curve is cut off here: lam is infinite at the data and, on some schedules, at the noise
CURVE_LABEL = "λ = log(α / σ): above 0 more picture, below 0 more noise. Thin lines: the other schedules."
SCENE = Scene("sunset", "sea", "clear", "sun", (Thing("boat", "red", "large", "left"),), seed=3)
ALT = "A picture dissolving into noise as the slider moves from t = 0 to t = 1."


def compute(picture: np.ndarray, schedule: str, seed: int = 0) -> dict:
    """The forward process at 51 times from 0 to 1, always with the same noise: what the scrubber shows.

    picture: uint8 (size, size, 3). Gives the Scrubber's `views` ("noisy picture" is the sum of "signal kept"
    and "noise added", x_t = alpha(t) x0 + sigma(t) eps, with 0 shown as mid-grey), `labels` and `curve` (lam).
    Raises CourseError if the schedule is unknown.
    """
    chosen = find_schedule(schedule)
    times = np.linspace(0, 1, LEVELS).tolist()
    t = torch.tensor(times)
    alpha, sigma = chosen.alpha(t), chosen.sigma(t)
    x0 = to_tensor(np.array(picture[None]))  # a copy: Pillow's arrays are read-only, which PyTorch warns of
    eps = torch.randn(x0.shape, generator=random_source(seed))
    signal, noise_part = alpha.reshape(-1, 1, 1, 1) * x0, sigma.reshape(-1, 1, 1, 1) * eps
    views = {"noisy picture": signal + noise_part, "signal kept": signal, "noise added": noise_part}
    shares = alpha**2 / (alpha**2 + sigma**2)
    lams = {name: [min(LAM_LIMIT, max(-LAM_LIMIT, SCHEDULES[name].lam(time))) for time in times]
            for name in {schedule, *CHOICES}}
    return {
        "views": {name: to_uint8(x) for name, x in views.items()},
        "labels": [f"t = {time:.2f} · α = {a:.2f} · σ = {s:.2f} · λ = {chosen.lam(time):.1f} "
                   f"(picture: {share:.0%} of the variance)".replace("inf", "∞")
                   for time, a, s, share in zip(times, alpha.tolist(), sigma.tolist(), shares.tolist())],
        "curve": {"label": CURVE_LABEL, "lines": {schedule: lams.pop(schedule)}, "range": (-LAM_LIMIT, LAM_LIMIT),
                  "others": list(lams.values())},
    }


def square(picture, size: int) -> np.ndarray:
    """A path or a uint8 array (H, W, 3), cut to a uint8 square (size, size, 3); else CourseError."""
    if isinstance(picture, (str, os.PathLike)):
        return open_picture(picture, size)
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim == 3 \
            and picture.shape[2] == 3 and picture.size:
        return np.asarray(cut_square(Image.fromarray(picture), size))
    raise CourseError("A picture is the path of a file or a uint8 array (H, W, 3): give one of these.")


class NoiseLab(LiveFace):
    """The face: a schedule to choose, noise to draw anew, a picture to bring along, and the scrubber."""

    def __init__(self, picture: np.ndarray, schedule: str):
        self.picture = picture
        self.scrubber = Scrubber(**compute(picture, schedule), alt=ALT, start=LEVELS // 4)
        self.upload = Upload(self.take)
        super().__init__(self.scrubber, schedule=Choice("Schedule", schedule, CHOICES),
                         seed=Number("Seed of the noise", 0, dice=True), beside=self.upload)

    @property
    def figure(self) -> Figure:
        return self.scrubber.figure

    def take(self, name: str, file: bytes) -> None:
        """Go on with another picture, from its file."""
        self.picture = open_picture(io.BytesIO(file), len(self.picture), name)
        self.ask(self.controls.values)

    def answer(self, values: dict, check: Callable[[], None]) -> dict:
        return compute(self.picture, values["schedule"], values["seed"])

    def show(self, result: dict) -> str:
        self.scrubber.show(**result, alt=ALT)
        return ""

    def __repr__(self) -> str:
        return f"NoiseLab(schedule={self.controls.values['schedule']!r})"


def noise(picture=None, schedule: str = "cosine", size: int = 64) -> NoiseLab:
    """Scrub through the forward process: a picture at 51 noise levels, and lam = log(alpha / sigma) falling.

    picture: None for a page of the picture book, or a path or a uint8 array (H, W, 3); schedule: "linear",
    "cosine" or "flow"; size: pixels a side, 16 to 256. Raises CourseError on anything else.
    """
    size = check_whole(size, "The size", 16, 256)
    if schedule not in CHOICES:
        raise CourseError(f"There is no schedule '{schedule}' in this lab: choose from {', '.join(CHOICES)}.")
    return NoiseLab(render(SCENE, size) if picture is None else square(picture, size), schedule)

"""A trajectory as frames to scrub: the noisy picture, the guess at the clean one, the predicted noise."""

from typing import Callable, Sequence

import numpy as np
from torch import Tensor

from course_lib.labs.scrubber import NOISE_RANGE, Scrubber
from course_lib.pictures import GAP, tile
from course_lib.runtime import CourseError
from course_lib.sampling import Step
from course_lib.schedulers import Schedule

MOST_FRAMES = 201  # longer trajectories are thinned out evenly, ends included
VIEWS = ("noisy picture", "guess at the clean picture", "predicted noise")


def frames_of(steps: Sequence[Step], schedule: Schedule, decode: Callable[[Tensor], np.ndarray],
              columns: int) -> tuple[dict[str, np.ndarray], list[str]]:
    """The Scrubber's views and labels: frame i shows x before step i, the last frame the finished picture.

    steps: n with x (N, C, H, W); decode: of such a tensor, uint8 pictures; columns: how many stand in a row. Where
    noise only adds up (EDM), the noisy picture is scaled down to the same contrast. Raises CourseError without steps.
    """
    if not steps:
        raise CourseError("The trajectory has no steps: generate with at least one step, then scrub.")
    count = len(steps)
    views, labels = {name: [] for name in VIEWS}, []
    for i in np.unique(np.linspace(0, count, min(count + 1, MOST_FRAMES)).round().astype(int)).tolist():
        step = steps[min(i, count - 1)]
        t, x, x0_hat = (step.t, step.x, step.x0_hat) if i < count else (step.s, step.x_next, step.x_next)
        size = float(np.hypot(schedule.alpha(t), schedule.sigma(t)))
        # At the end no noise is left to predict: the last prediction stays.
        eps_hat = schedule.eps_from_x0(step.x, step.x0_hat, step.t)
        for row, pictures in zip(views.values(), (x / max(1.0, size), x0_hat, eps_hat / NOISE_RANGE)):
            row.append(tile(decode(pictures), columns))
        labels.append(moment(i, count, t, schedule))
    return {name: np.stack(row) for name, row in views.items()}, labels


def led_by(picture: np.ndarray, label: str, views: dict[str, np.ndarray],
           labels: list[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Views and labels as from `frames_of`, with a picture, uint8 (H, W, 3), as their first frame."""
    return {name: np.concatenate([picture[None], frames]) for name, frames in views.items()}, [label, *labels]


def beside(frames: Sequence[np.ndarray]) -> np.ndarray:
    """Frames (n, H, W, 3) of several pictures, side by side with a gap -> (n, H, wider, 3)."""
    padded = [np.pad(part, ((0, 0), (0, 0), (0, GAP), (0, 0)), constant_values=255) for part in frames]
    return np.ascontiguousarray(np.concatenate(padded, axis=2)[:, :, :-GAP])


def moment(i: int, count: int, t: float, schedule: Schedule, what: str = "picture") -> str:
    """A moment of a trajectory in words; the percentage is the share of `what` in the variance of x."""
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    share = alpha**2 / (alpha**2 + sigma**2)
    return f"step {i} of {count} · noise level t = {t:.2f} ({share:.0%} {what})"


def scrub(result, alt: str = "Pictures appearing out of noise, step by step.", title: str = "",
          display_size: int = 256) -> Scrubber:
    """Scrub through a trajectory: the noisy picture, the guess at the clean picture, and the predicted noise.

    result: what generating gave, or anything with `trajectory`, a list of n `sampling.Step`s with x: (N, C, H, W),
    `schedule`, and `decode`, which makes pictures of x (latents are decoded, so their noise looks like patches of
    colour). N pictures stand in a row. Raises CourseError without steps.
    """
    views, labels = frames_of(result.trajectory, result.schedule, result.decode,
                              len(result.trajectory[0].x) if result.trajectory else 1)
    return Scrubber(views, labels, alt, title=title, display_size=display_size)

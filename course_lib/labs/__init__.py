"""The labs: things to scrub, one line each in a notebook."""

import numpy as np
import torch

from course_lib.labs.noise import noise
from course_lib.labs.scrubber import Scrubber
from course_lib.runtime import CourseError

__all__ = ["Scrubber", "noise", "scrub"]

MOST_FRAMES = 201  # longer trajectories are thinned out evenly, ends included
GAP = 2  # pixels between pictures in a row
NOISE_RANGE = 3.0  # predicted noise is shown from -3 to 3 standard deviations


def to_row(x: torch.Tensor) -> np.ndarray:
    """Pictures (N, 3, H, W) in [-1, 1] as one uint8 row (H, N * W + gaps, 3), white between them."""
    pictures = ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    padded = np.pad(pictures, ((0, 0), (0, 0), (0, GAP), (0, 0)), constant_values=255)
    return np.concatenate(list(padded), axis=1)[:, :-GAP]


def scrub(result, alt: str = "Pictures appearing out of noise, step by step.", title: str = "",
          display_size: int = 256) -> Scrubber:
    """Scrub through a trajectory: the noisy picture, the guess at the clean picture, and the predicted noise.

    result: has `trajectory`, a list of n `sampling.Step`s with x: (N, 3, H, W), and `schedule`. Frame i stands before
    step i, the last frame is the finished picture; N pictures stand in a row. The noise level in words is
    sigma / sqrt(alpha^2 + sigma^2) and the picture's share is the rest of the variance, so both mean the same on every
    schedule; where the noise only ever adds up (EDM), the noisy picture is shown scaled down to the same contrast.
    """
    steps, schedule = result.trajectory, result.schedule
    if not steps:
        raise CourseError("The trajectory has no steps: generate with at least one step, then scrub.")
    count = len(steps)
    views = {"noisy picture": [], "guess at the clean picture": [], "predicted noise": []}
    labels = []
    for i in np.unique(np.linspace(0, count, min(count + 1, MOST_FRAMES)).round().astype(int)).tolist():
        step = steps[min(i, count - 1)]
        t = step.t if i < count else step.s
        alpha, sigma = float(schedule.alpha(step.t)), float(schedule.sigma(step.t))
        x, x0_hat = (step.x, step.x0_hat) if i < count else (step.x_next, step.x_next)
        a, s = float(schedule.alpha(t)), float(schedule.sigma(t))
        size = np.hypot(a, s)
        views["noisy picture"].append(to_row(x / max(1.0, size)))
        views["guess at the clean picture"].append(to_row(x0_hat))
        # At the end no noise is left to predict: the last prediction stays.
        views["predicted noise"].append(to_row((step.x - alpha * step.x0_hat) / sigma / NOISE_RANGE))
        labels.append(f"step {i} of {count} · noise level {s / size:.2f} ({(a / size) ** 2:.0%} picture)")
    return Scrubber({name: np.stack(rows) for name, rows in views.items()}, labels, alt,
                    title=title, display_size=display_size)

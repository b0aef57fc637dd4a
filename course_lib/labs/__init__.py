"""The labs: things to scrub, one line each in a notebook."""

import numpy as np

from course_lib.labs.denoiser import denoiser
from course_lib.labs.guidance import guidance
from course_lib.labs.latent import latent
from course_lib.labs.noise import noise
from course_lib.labs.scrubber import NOISE_RANGE, Scrubber
from course_lib.labs.shared_space import shared_space
from course_lib.pictures import tile
from course_lib.runtime import CourseError

__all__ = ["Scrubber", "denoiser", "guidance", "latent", "noise", "scrub", "shared_space"]

MOST_FRAMES = 201  # longer trajectories are thinned out evenly, ends included


def scrub(result, alt: str = "Pictures appearing out of noise, step by step.", title: str = "",
          display_size: int = 256) -> Scrubber:
    """Scrub through a trajectory: the noisy picture, the guess at the clean picture, and the predicted noise.

    result: has `trajectory`, a list of n `sampling.Step`s with x: (N, C, H, W), `schedule`, and `decode`, which makes
    pictures of x (latents are decoded, so their noise looks like patches of colour). Frame i
    shows x before step i, the last frame the finished picture; N pictures stand in a row. The percentage in
    words is the picture's share of the variance, alpha^2 / (alpha^2 + sigma^2). Where noise only
    adds up (EDM), the noisy picture is scaled down to the same contrast. Raises CourseError without steps.
    """
    steps, schedule = result.trajectory, result.schedule
    if not steps:
        raise CourseError("The trajectory has no steps: generate with at least one step, then scrub.")
    count = len(steps)
    views = {"noisy picture": [], "guess at the clean picture": [], "predicted noise": []}
    labels = []
    for i in np.unique(np.linspace(0, count, min(count + 1, MOST_FRAMES)).round().astype(int)).tolist():
        step = steps[min(i, count - 1)]
        t, x, x0_hat = (step.t, step.x, step.x0_hat) if i < count else (step.s, step.x_next, step.x_next)
        alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
        size = float(np.hypot(alpha, sigma))
        # At the end no noise is left to predict: the last prediction stays.
        eps_hat = schedule.eps_from_x0(step.x, step.x0_hat, step.t)
        for row, pictures in zip(views.values(), (x / max(1.0, size), x0_hat, eps_hat / NOISE_RANGE)):
            row.append(tile(result.decode(pictures), columns=len(x)))
        share = (alpha / size) ** 2
        labels.append(f"step {i} of {count} · noise level t = {t:.2f} ({share:.0%} picture)")
    frames = {name: np.stack(row) for name, row in views.items()}
    return Scrubber(frames, labels, alt, title=title, display_size=display_size)

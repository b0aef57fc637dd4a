"""What guidance buys and what it costs: obedience against variety and against likeness to real pages."""

from dataclasses import dataclass
from typing import Sequence

import numpy as np

from course_lib.experiments.shares import Found, Share
from course_lib.experiments.studio import Studio, check_pictures
from course_lib.experiments.wishes import SEEDS, Wishes

MEASURES = ("obeyed", "distance", "variety")


@dataclass(frozen=True)
class GuidancePrice(Found):
    """For each scale: obeyed, the share of what was stated that the pictures show; distance from real pages (Frechet);
    variety, the mean distance of two pictures of one prompt. real: the last two for real pages, as many, and what the
    oracle reads of them. prompts; pictures (scales, N, 64, 64, 3), `SEEDS` in a row for each prompt."""

    obeyed: dict[float, Share]
    distance: dict[float, float]
    variety: dict[float, float]
    real: dict[str, float | Share]
    prompts: list[str]
    pictures: np.ndarray


def guidance_price(studio: Studio, pictures: int = 32, scales: Sequence[float] = (0, 1, 2, 3, 5, 8)) -> GuidancePrice:
    """Paint about `pictures` pictures at each scale, of a quarter as many prompts, always from the same noise."""
    check_pictures(pictures, 2 * SEEDS)
    wishes = Wishes(studio, pictures, "guidance")
    painted = [studio.paint(wishes.prompts, guidance=scale) for scale in scales]
    judged = dict(zip(scales, map(wishes.judge, painted)))
    real = wishes.judge_real()
    return GuidancePrice(*({scale: getattr(one, name) for scale, one in judged.items()} for name in MEASURES),
                         {name: getattr(real, name) for name in MEASURES}, wishes.prompts, np.stack(painted))

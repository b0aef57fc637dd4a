"""What steps buy, and where the time of a picture goes."""

from dataclasses import dataclass
from typing import Sequence

import numpy as np
import torch

from course_lib.costs import interleaved
from course_lib.experiments.shares import Found, Share
from course_lib.experiments.studio import Studio, check_pictures
from course_lib.experiments.wishes import SEEDS, Wishes
from course_lib.guidance import cfg
from course_lib.layers import Cond
from course_lib.pipeline import GUIDANCE

TIMED, TIMED_STEPS = 5, 20


@dataclass(frozen=True)
class StepsPrice(Found):
    """For each number of steps: obeyed, the share of what was stated that the pictures show; distance from real pages
    (Frechet); moved: how far the pictures are from those of the most steps, the mean over all numbers of a picture, in
    grey levels. real: the same for real pages. pictures (numbers of steps, N, 64, 64, 3)."""

    obeyed: dict[int, Share]
    distance: dict[int, float]
    moved: dict[int, float]
    real: dict[str, float | Share]
    prompts: list[str]
    pictures: np.ndarray


def steps_price(studio: Studio, pictures: int = 32, steps: Sequence[int] = (1, 2, 4, 8, 16, 32)) -> StepsPrice:
    """Paint about `pictures` pictures in each number of steps, always from the same noise."""
    check_pictures(pictures, 2 * SEEDS)
    wishes = Wishes(studio, pictures, "steps")
    painted = {count: studio.paint(wishes.prompts, steps=count) for count in steps}
    judged, real = {count: wishes.judge(some) for count, some in painted.items()}, wishes.judge_real()
    best = painted[max(steps)].astype(float)
    return StepsPrice({count: one.obeyed for count, one in judged.items()},
                      {count: one.distance for count, one in judged.items()},
                      {count: float(np.abs(some - best).mean()) for count, some in painted.items()},
                      {"obeyed": real.obeyed, "distance": real.distance}, wishes.prompts,
                      np.stack(list(painted.values())))


def where_time_goes(studio: Studio, prompt: str = "a small red house on the left at night",
                    steps: int = TIMED_STEPS) -> dict[str, float]:
    """Seconds for one guided picture in `steps` steps: the text encoder once, the U-Net twice a step (as a batch of
    two), the VAE's decoder once; each is the median of `TIMED` timings, taken in turn."""
    model = studio.model
    both = model.cond([prompt, ""])
    guided = cfg(model.denoise, *(Cond(*(part[i:i + 1] for part in both)) for i in (0, 1)), GUIDANCE)
    z = torch.randn(1, *model.shape, generator=torch.Generator().manual_seed(0)).to(model.device)
    with torch.inference_mode():
        seconds = interleaved({"text encoder": lambda: model.cond([prompt, ""]), "U-Net": lambda: guided(z, 0.5).cpu(),
                               "VAE decoder": lambda: model.decode(z)}, TIMED)
    return seconds | {"U-Net": steps * seconds["U-Net"]}

"""The same seed, and everything else changed: what is the same picture again, and what is not?"""

import copy
from dataclasses import dataclass
from typing import Callable

import numpy as np
import torch
from torch import Tensor, nn

from course_lib.costs import threads
from course_lib.denoiser import Denoiser
from course_lib.experiments.shares import Found
from course_lib.experiments.studio import STEPS, Studio, check_pictures
from course_lib.layers import Cond
from course_lib.pipeline import TextToImage, generate, load_text_to_image

PROMPT = "a red house in a meadow by day"


@dataclass(frozen=True)
class SameAgain(Found):
    """By what was changed: mean, the mean difference from the first pictures in grey levels of 255, over all their
    numbers; largest; touched, the share of the numbers that differ at all. pictures: (changes, N, 64, 64, 3), the
    first ones first, under "as it was"."""

    mean: dict[str, float]
    largest: dict[str, int]
    touched: dict[str, float]
    pictures: np.ndarray


class InDtype(nn.Module):
    """A network whose arithmetic is done in another dtype; what comes in and goes out is as before."""

    def __init__(self, network: nn.Module, dtype: torch.dtype):
        super().__init__()
        self.network, self.dtype = copy.deepcopy(network).to(dtype), dtype

    def forward(self, x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        cond = Cond(cond.words.to(self.dtype), cond.mask, cond.pooled.to(self.dtype))
        return self.network(x.to(self.dtype), t.to(self.dtype), cond).to(x.dtype)


def same_again(studio: Studio, pictures: int = 4) -> SameAgain:
    """Paint `pictures` pictures of one prompt with seeds from 0, then again with one thing changed at a time."""
    check_pictures(pictures, 2)
    model, seeds = studio.model, list(range(pictures))

    def paint(model: TextToImage = model, seeds: list[int] = seeds, steps: int = STEPS, **others) -> np.ndarray:
        return generate(PROMPT, seeds, steps, model=model, **others).pictures

    changes: dict[str, Callable[[], np.ndarray]] = {
        "as it was": paint, "once more": paint,
        "each by itself": lambda: np.concatenate([paint(seeds=[seed]) for seed in seeds])}
    changes |= _threads(paint) | _elsewhere(paint)
    changes |= {name: lambda dtype=dtype: paint(_in_dtype(model, dtype)) for name, dtype in (
        ("float64", torch.float64), ("bfloat16", torch.bfloat16))}
    changes |= {"twice the steps": lambda: paint(steps=2 * STEPS), "ddim": lambda: paint(scheduler="ddim"),
                "heun": lambda: paint(scheduler="heun"), "ddpm": lambda: paint(scheduler="ddpm"),
                "other seeds": lambda: paint(seeds=[seed + pictures for seed in seeds])}
    painted = {name: change() for name, change in changes.items()}
    first = painted["as it was"].astype(int)
    off = {name: np.abs(some - first) for name, some in painted.items() if name != "as it was"}
    return SameAgain({name: float(some.mean()) for name, some in off.items()},
                     {name: int(some.max()) for name, some in off.items()},
                     {name: float((some > 0).mean()) for name, some in off.items()}, np.stack(list(painted.values())))


def _in_dtype(model: TextToImage, dtype: torch.dtype) -> TextToImage:
    denoise = model.denoise
    return model._replace(denoise=Denoiser(InDtype(denoise.network, dtype), denoise.schedule, denoise.prediction))


def _threads(paint: Callable[[], np.ndarray]) -> dict[str, Callable[[], np.ndarray]]:
    """On another number of processor cores."""
    count = 1 if torch.get_num_threads() > 1 else 2

    def change() -> np.ndarray:
        with threads(count):
            return paint()

    return {f"{count} thread{'s' if count > 1 else ''}": change}


def _elsewhere(paint: Callable[..., np.ndarray]) -> dict[str, Callable[[], np.ndarray]]:
    """With the shipped weights on another device, where there is one."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return {f"on {device}": lambda device=device: paint(load_text_to_image(device))
            for device, present in there.items() if present}

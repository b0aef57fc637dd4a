"""Wrappers: each takes a denoiser and gives a denoiser, so that they compose: `inpaint(cfg(...), known, mask)`."""

import math
from dataclasses import dataclass
from typing import Any, Callable

import torch
from torch import Tensor

from course_lib.runtime import CourseError
from course_lib.schedulers import Schedule


@dataclass(frozen=True)
class Steered:
    """A denoiser made from another one. It keeps the schedule, which is all that the sampling loop asks besides."""

    function: Callable[[Tensor, float], Tensor]
    schedule: Schedule

    def __call__(self, x: Tensor, t: float) -> Tensor:
        return self.function(x, t)


def conditioned(denoise, cond: Any) -> Steered:
    """`denoise` with its conditioning fixed, for instance to a prompt."""
    return Steered(lambda x, t: denoise(x, t, cond), denoise.schedule)


def cfg(denoise, cond: Any, uncond: Any, guidance: float) -> Steered:
    """Classifier-free guidance: uncond + guidance (cond - uncond). (Ho & Salimans 2022, eq. 6; their w is ours - 1.)

    guidance (diffusers: `guidance_scale`): 1 is off (the conditional guess alone), 0 ignores the prompt. For a
    negative prompt, give its conditioning as `uncond`. cond, uncond: named tuples of tensors (N, ...); both go
    through the network as one batch.
    Mixing the guesses at the clean picture is the same as mixing the predicted noise: at a given x and t each is an
    affine function of the other, and the two weights add up to 1.
    """
    if not math.isfinite(guidance):
        raise CourseError(f"The guidance scale must be a finite number, but it is {guidance}.")
    if guidance == 1:
        return conditioned(denoise, cond)
    both = type(cond)(*(torch.cat(pair) for pair in zip(cond, uncond)))

    def guided(x: Tensor, t: float) -> Tensor:
        with_prompt, without = denoise(torch.cat([x, x]), t, both).chunk(2)
        return without + guidance * (with_prompt - without)

    return Steered(guided, denoise.schedule)


def interval(guided, plain, low: float, high: float) -> Steered:
    """Guidance only while low <= t <= high, `plain` elsewhere. (Kynkaanniemi et al. 2024.)"""
    return Steered(lambda x, t: guided(x, t) if low <= t <= high else plain(x, t), guided.schedule)


def inpaint(denoise, known: Tensor, mask: Tensor) -> Steered:
    """Where mask is 0 the clean picture is known: the guess there is replaced by it; where mask is 1 the model paints.

    known: broadcasts to x; mask: 0 to 1, broadcasts to x.
    """
    return Steered(lambda x, t: mask * denoise(x, t) + (1 - mask) * known, denoise.schedule)

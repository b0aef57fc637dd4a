"""The one sampling loop. Every picture in the course comes out of it."""

from itertools import pairwise
from typing import Callable, Iterator, NamedTuple, Sequence

import torch
from torch import Tensor


class Step(NamedTuple):
    """One step of a trajectory, from time t to time s < t: the noisy x, the guess x0_hat made from it, and x at s."""

    t: float
    s: float
    x: Tensor
    x0_hat: Tensor
    x_next: Tensor


def fresh_noise(x: Tensor, sources: Sequence[torch.Generator]) -> Tensor:
    """Unit noise like x: (N, ...), each picture's from its own source, so that a batch's company changes nothing."""
    if len(sources) != len(x):
        raise ValueError(f"Give one random source a picture: {len(x)} pictures, {len(sources)} sources.")
    return torch.stack([torch.randn(x.shape[1:], generator=source) for source in sources]).to(x)


def sample(denoise, x: Tensor, ts: Sequence[float], rule: Callable[..., Tensor],
           sources: Sequence[torch.Generator] = ()) -> Iterator[Step]:
    """Walk x: (N, ...) down the decreasing times `ts`, yielding every step.

    denoise: (x, t) -> x0_hat, with a `.schedule`; rule: one of the step rules in schedulers.py; sources: one random
    source a picture, needed only by rules that draw fresh noise. Start from sigma(ts[0]) times unit noise for a new
    picture, or from `schedule.add_noise(picture, eps, ts[0])` to vary an old one.
    """
    previous = None
    for t, s in pairwise(ts):
        x0_hat = denoise(x, t)
        x_next = rule(denoise.schedule, x, x0_hat, t, s, denoise=denoise, previous=previous,
                      noise=lambda: fresh_noise(x, sources))
        previous = Step(t, s, x, x0_hat, x_next)
        yield previous
        x = x_next

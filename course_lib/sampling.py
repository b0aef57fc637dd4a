"""The one sampling loop, out of which every picture in the course comes, and noises to start it from."""

import math
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


def resample(denoise, x: Tensor, ts: Sequence[float], rule: Callable[..., Tensor],
             sources: Sequence[torch.Generator], rounds: int) -> Iterator[Step]:
    """`sample`, but every step is taken `rounds` times, with noise put back in between; the last one, to 0, once.

    (RePaint, Lugmayr et al. 2022, algorithm 1.) Where part of the picture is known, a step fits the painted part to
    the known one only as well as the noise lets it see; noised again and stepped again, the two can still agree. So
    it must go up in time too, which the one loop never does. Every step is yielded, and costs what a step costs.
    """
    if rounds == 1:
        yield from sample(denoise, x, ts, rule, sources)
        return
    for t, s in pairwise(ts):
        for left in reversed(range(rounds if s > 0 else 1)):
            # Without the step before: what was guessed through other noise is nothing to extrapolate from.
            [step] = sample(denoise, x, (t, s), rule, sources)
            yield step
            x = denoise.schedule.add_more_noise(step.x_next, fresh_noise(x, sources), s, t) if left else step.x_next


def slerp(a: Tensor, b: Tensor, share: float) -> Tensor:
    """Unit noise between two of one shape: a at share 0, b at 1, along the arc. (Shoemake 1985, section 3.3.)

    On the straight line between them the noise would be too weak: halfway, 0.7 of what the model was trained on.
    """
    angle = torch.acos((a.flatten() @ b.flatten() / (a.norm() * b.norm())).clamp(-1, 1)).item()
    if math.sin(angle) < 1e-4:  # the same noise, but for rounding
        return torch.lerp(a, b, share)
    return (math.sin((1 - share) * angle) * a + math.sin(share * angle) * b) / math.sin(angle)

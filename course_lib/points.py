"""Worlds small enough to see whole: data sets of points in the plane, and denoisers for them that are exact.

Pictures here are points: x has shape (N, 2) in place of (N, 3, H, W), and everything else stays the same.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from course_lib.layers import TimeEmbedding
from course_lib.runtime import CourseError
from course_lib.schedulers import Schedule, Time

SHAPES = ("ring", "moons", "spiral", "squares", "face")


def draw_points(shape: str, count: int, source: torch.Generator) -> Tensor:
    """`count` random points (count, 2) of a shape, most within [-2, 2]; CourseError if there is no such shape."""
    return draw_classes(shape, count, source)[0]


def draw_classes(shape: str, count: int, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """The points of `draw_points`, (count, 2), and which half of the shape each belongs to, (count,): 0 or 1.

    The halves: left and right of the ring and the squares, the upper and the lower moon, the spiral's inner and outer
    half, the face's outline and its features.
    """
    along, wobble = torch.rand(count, generator=source), torch.randn(count, 2, generator=source)
    if shape == "ring":
        points = _round(2 * math.pi * along) * 1.5 + 0.05 * wobble
        return points, (points[:, 0] > 0).long()
    if shape == "moons":
        upper = torch.rand(count, generator=source) < 0.5
        arc = _round(math.pi * along) * torch.where(upper, 1.0, -1.0)[:, None]
        shift = torch.where(upper, -1.0, 1.0)[:, None] * torch.tensor([0.5, 0.25])
        return arc + shift + 0.06 * wobble, (~upper).long()
    if shape == "spiral":
        turn = 3 * math.pi * along.sqrt()
        return _round(turn) * turn[:, None] * 0.19 + 0.04 * wobble, (along > 0.5).long()
    if shape == "squares":
        corner = torch.randint(0, 4, (count, 2), generator=source)
        corner[:, 1] = (corner[:, 1] // 2) * 2 + corner[:, 0] % 2  # the fields of one colour on a 4 x 4 board
        return corner - 2.0 + torch.rand(count, 2, generator=source), corner[:, 0] // 2
    if shape == "face":
        part = torch.rand(count, generator=source)
        outline = _round(2 * math.pi * along) * 1.7
        smile = _round(math.pi * (1.15 + 0.7 * along)) * 0.95
        eye = torch.where(along < 0.5, -0.6, 0.6)[:, None] * torch.tensor([1.0, 0.0]) + torch.tensor([0.0, 0.6])
        chosen = torch.where((part < 0.55)[:, None], outline, torch.where((part < 0.8)[:, None], smile, eye))
        return chosen + torch.where(part < 0.8, 0.04, 0.1)[:, None] * wobble, (part >= 0.55).long()
    raise CourseError(f"There is no shape called '{shape}': choose from {', '.join(SHAPES)}.")


def _round(angle: Tensor) -> Tensor:
    return torch.stack([angle.cos(), angle.sin()], dim=1)


@dataclass(frozen=True)
class Mixture:
    """A mixture of round Gaussians, of which the best possible denoiser is known exactly.

    means: (K, D); std: the spread of each, (K,), which may be 0; weights: (K,), adding up to 1.
    `denoise(x, t)` is the mean of the clean points that could lie behind x: E[x0 | x_t = x]. No network can do better.
    """

    means: Tensor
    std: Tensor
    weights: Tensor
    schedule: Schedule

    @classmethod
    def of_points(cls, points: Tensor, schedule: Schedule, std: float = 0.0) -> "Mixture":
        """The data set itself: a spike on every point (N, D). A network that memorised it all would be this.

        std: the spread of each point; with a little of it the points melt into the shape that they were drawn from.
        """
        count = len(points)
        return cls(points, torch.full((count,), std), torch.full((count,), 1 / max(count, 1)), schedule)

    def responsibilities(self, x: Tensor, t: Time) -> Tensor:
        """How likely each component is to be the one behind x: (N, D) -> (N, K), rows adding up to 1."""
        alpha, sigma = self._coefficients(x, t)
        variance = (alpha * self.std.to(x)) ** 2 + sigma**2
        distance = torch.cdist(x, alpha * self.means.to(x)) ** 2 if alpha.numel() == 1 else (
            (x[:, None] - alpha[..., None] * self.means.to(x)) ** 2).sum(dim=2)
        log_density = -distance / (2 * variance) - x.shape[1] / 2 * torch.log(variance)
        return torch.softmax(log_density + torch.log(self.weights.to(x)), dim=1)

    def __call__(self, x: Tensor, t: Time) -> Tensor:
        """E[x0 | x_t = x]: x (N, D) at time t, a float or (N,) -> (N, D); t > 0, or std > 0."""
        alpha, sigma = self._coefficients(x, t)
        variance = (alpha * self.std.to(x)) ** 2 + sigma**2
        pull = alpha * self.std.to(x) ** 2 / variance  # how far x pulls a component's guess away from its mean
        share = self.responsibilities(x, t)
        kept = (share * (1 - pull * alpha)) @ self.means.to(x)
        return kept + (share * pull).sum(dim=1, keepdim=True) * x

    def sample(self, count: int, source: torch.Generator) -> Tensor:
        """Random points (count, D) of the mixture itself."""
        chosen = torch.multinomial(self.weights, count, replacement=True, generator=source)
        noise = torch.randn(count, self.means.shape[1], generator=source, dtype=self.means.dtype)
        return self.means[chosen] + self.std[chosen, None] * noise

    def _coefficients(self, x: Tensor, t: Time) -> tuple[Tensor, Tensor]:
        """alpha and sigma as (1, 1), or (N, 1) for times (N,)."""
        times = torch.as_tensor(t, dtype=x.dtype, device=x.device).reshape(-1, 1)
        return self.schedule.alpha(times), self.schedule.sigma(times)


class Classes(NamedTuple):
    """The conditioning of points: the class of each, (N,), from 0; the number after the last class stands for none."""

    of: Tensor


@dataclass(frozen=True)
class ByClass:
    """Points of several classes and the exact denoiser for each: `denoise(x, t, cond)`, where `cond` is Classes.

    parts: one mixture a class, and after the last class that of all points, for no class at all.
    """

    parts: tuple[Mixture, ...]
    schedule: Schedule

    @classmethod
    def of_points(cls, points: Tensor, classes: Tensor, count: int, schedule: Schedule, std: float) -> "ByClass":
        """Of points (N, D) with their classes (N,) from 0 to count - 1; a class without points guesses nan."""
        groups = [points[classes == number] for number in range(count)]
        return cls(tuple(Mixture.of_points(group, schedule, std) for group in [*groups, points]), schedule)

    def __call__(self, x: Tensor, t: Time, cond: Classes) -> Tensor:
        """E[x0 | x_t = x, the class]: x (N, D) at time t, a float or (N,) -> (N, D)."""
        x0_hat = torch.empty_like(x)
        for number, part in enumerate(self.parts):
            rows = cond.of == number
            if rows.any():
                x0_hat[rows] = part(x[rows], t[rows] if isinstance(t, Tensor) and t.ndim else t)
        return x0_hat


class PointNet(nn.Module):
    """The smallest useful denoiser: an MLP for points. (x (N, 2), t (N,)) -> (N, 2).

    With `classes` it also takes the Classes of x as a third input, or None: one learned vector a class, and one for
    none, is added to the time's.
    """

    def __init__(self, width: int = 128, dimensions: int = 2, classes: int = 0):
        super().__init__()
        self.time = TimeEmbedding(width)
        self.enter = nn.Linear(dimensions, width)
        self.hidden = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.leave = nn.Linear(width, dimensions)
        self.kinds = nn.Embedding(classes + 1, width) if classes else None

    def forward(self, x: Tensor, t: Tensor, cond: Classes | None = None) -> Tensor:
        told = self.enter(x) + self.time(t)
        if cond is not None:
            told = told + self.kinds(cond.of)
        return self.leave(self.hidden(told))

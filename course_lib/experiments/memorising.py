"""A model that has seen few pictures gives them back; one that has seen many cannot."""

from dataclasses import dataclass
from typing import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.data import HELD_OUT_FROM
from course_lib.denoiser import Denoiser
from course_lib.experiments.shares import Found, Share
from course_lib.experiments.studio import Studio, check_pictures, drawn
from course_lib.picturebook import random_scene
from course_lib.pictures import to_tensor
from course_lib.pipeline import TextToImage
from course_lib.points import Mixture
from course_lib.recipes.pixels import random_times, sample_few
from course_lib.runtime import starting_noise
from course_lib.schedulers import Schedule, find_schedule
from course_lib.training import Trainee, fit
from course_lib.unet import UNet, UNetSettings

SMALL = UNetSettings(picture=4, patch=2, channels=(64,), attention=(False,))
KNOWN = 256  # pages that the shipped model and the perfect memory know, and as many that no model has seen
COPY = 1 / 3  # a copy is nearer than this to one page, measured by how far the second nearest is


@dataclass(frozen=True)
class Memorising(Found):
    """By the number of training pages; then for `shipped`, the shipped model without a prompt, beside `KNOWN` of its
    training pages; and for `memory`, the perfect memory of those: copied, the share of painted pictures that are
    copies; nearness, the median distance to the nearest training page over that to the nearest of as many fresh ones
    (1: no nearer to what it saw than to anything else). losses: of the trained ones, on their own pages and on fresh
    ones. painted, nearest: (models, N, 64, 64, 3), pictures and their nearest pages."""

    copied: dict[str, Share]
    nearness: dict[str, float]
    losses: dict[str, dict[str, float]]
    painted: np.ndarray
    nearest: np.ndarray


def memorising(studio: Studio, pictures: int = 16, counts: Sequence[int] = (2, 4), steps: int = 150) -> Memorising:
    """Train a small denoiser of latents, without words, on so many pages, at most `KNOWN`, each for as many steps;
    paint, and look for the nearest training page. The shipped model, which has seen far more, paints beside it."""
    check_pictures(pictures, 2)
    model, schedule = studio.model, find_schedule("cosine")
    pages, fresh = (drawn([random_scene(first + i) for i in range(KNOWN)]) for first in (0, HELD_OUT_FROM))
    latents, fresh_latents = _encoded(model, pages), _encoded(model, fresh)
    copied, nearness, losses, painted, nearest = {}, {}, {}, [], []

    def look(name: str, made: np.ndarray, count: int) -> None:
        distances = picture_distances(made, pages[:count])
        copied[name], painted_far = Share.where(copies(distances)), picture_distances(made, fresh[:count])
        nearness[name] = float(np.median(distances.min(axis=1) / painted_far.min(axis=1)))
        painted.append(made), nearest.append(pages[distances.argmin(axis=1)])

    for count in counts:
        denoise = Denoiser(_trained(latents[:count], schedule, steps), schedule)
        losses[str(count)] = {"own pages": _loss(denoise, latents[:count]),
                              "fresh pages": _loss(denoise, fresh_latents)}
        look(str(count), _paint(model, denoise, pictures), count)
    look("shipped", studio.paint([""] * pictures), KNOWN)
    look("memory", _paint(model, Memory(latents, schedule), pictures), KNOWN)
    return Memorising(copied, nearness, losses, np.stack(painted), np.stack(nearest))


class Memory:
    """The exact denoiser of a set of latents (N, C, h, w): what a network that knew them all by heart would be."""

    def __init__(self, latents: Tensor, schedule: Schedule):
        self.exact, self.schedule = Mixture.of_points(latents.flatten(1), schedule), schedule

    def __call__(self, x: Tensor, t: float) -> Tensor:
        return self.exact(x.flatten(1), t).reshape(x.shape)


def picture_distances(pictures: np.ndarray, pages: np.ndarray) -> np.ndarray:
    """RMS distances in grey levels, (N, M), of pictures (N, 64, 64, 3) from pages (M, 64, 64, 3), both reduced to
    16 x 16, so that grain and shifts by a pixel count less."""
    small = [F.avg_pool2d(to_tensor(some), 4).flatten(1).double() * 127.5 for some in (pictures, pages)]
    return (torch.cdist(*small) / small[0].shape[1] ** 0.5).numpy()


def copies(distances: np.ndarray) -> np.ndarray:
    """Which pictures are copies, bool (N,): nearer to one page than `COPY` times to any other; distances (N, M > 1).
    (The criterion of Yoon et al. 2023.)"""
    first, second = np.partition(distances, 1, axis=1)[:, :2].T
    return first < COPY * second


@torch.inference_mode()
def _encoded(model: TextToImage, pages: np.ndarray) -> Tensor:
    return torch.cat([model.vae.encode(some.to(model.device)).cpu() for some in to_tensor(pages).split(64)])


def _trained(latents: Tensor, schedule: Schedule, steps: int, batch: int = 16) -> UNet:
    def loss(network, step: int, source: torch.Generator):
        x0 = latents[torch.randint(len(latents), (batch,), generator=source)]
        eps, t = torch.randn(x0.shape, generator=source), random_times(batch, source)
        return Denoiser(network, schedule).loss(x0, eps, t), batch

    torch.manual_seed(0)
    trainee = Trainee(UNet(SMALL), lr=1e-2)
    for _ in fit(trainee, loss, steps=steps, ema=0.97):
        pass
    return trainee.average


@torch.inference_mode()
def _loss(denoise: Denoiser, latents: Tensor) -> float:
    """The mean loss over `KNOWN` noises, shared out among the pages, so that few are measured as well as many."""
    x0 = latents.repeat(-(-KNOWN // len(latents)), 1, 1, 1)[:KNOWN]
    source = torch.Generator().manual_seed(0)
    eps, t = torch.randn(x0.shape, generator=source), (torch.arange(KNOWN) + 0.5) / KNOWN
    return float(denoise.loss(x0, eps, t[torch.randperm(KNOWN, generator=source)]))


@torch.inference_mode()
def _paint(model: TextToImage, denoise: Callable, pictures: int) -> np.ndarray:
    return model.decode(sample_few(denoise, starting_noise(list(range(pictures)), model.shape)[0]))

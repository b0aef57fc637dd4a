"""Training the denoiser of small pictures that the first chapters use."""

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from course_lib import parallel
from course_lib.data import open_pictures
from course_lib.denoiser import Denoiser
from course_lib.pictures import tile, to_uint8
from course_lib.recipes.ahead import Ahead, unit_noise
from course_lib.recipes.base import Recipe
from course_lib.runtime import starting_noise
from course_lib.sampling import sample
from course_lib.schedulers import SCHEDULERS, find_schedule, time_grid
from course_lib.unet import UNet, UNetSettings


@dataclass(frozen=True)
class PixelRecipe(Recipe):
    """An unconditional denoiser of pictures, in pixels."""

    name: str = "pixels"
    pages: int = 50_000
    data: str = "firstpages"
    size: int = 32
    schedule: str = "cosine"
    prediction: str = "v"
    unet: UNetSettings = UNetSettings()
    on_gpu = {"batch": 512}

    def settings(self) -> dict:
        return {"model": "pixels", "size": self.size, "schedule": self.schedule, "prediction": self.prediction,
                "data": self.data, "unet": asdict(self.unet)}

    def network(self) -> UNet:
        return UNet(self.unet)

    @contextmanager
    def learning(self, folder: Path, device: torch.device) -> Iterator[Ahead]:
        pictures = open_pictures(self.data, self.size, limit=self.pages)

        def prepare(step: int, source: torch.Generator) -> list[Tensor]:
            x0 = pictures.batch(torch.randint(len(pictures), (self.batch,), generator=source))
            eps, t = unit_noise(x0.shape, source, device), random_times(self.batch, source)
            return parallel.own_part(x0, eps, t)

        def loss(network: nn.Module, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
            return Denoiser(network, find_schedule(self.schedule), self.prediction).loss(x0, eps, t)

        with Ahead(prepare, loss, self.batch, device) as ahead:
            yield ahead

    def sheet(self, network: UNet, folder: Path) -> np.ndarray:
        denoise = Denoiser(network, find_schedule(self.schedule), self.prediction)
        noise = noise_for(network, (self.unet.picture, self.size, self.size))
        return tile(to_uint8(sample_few(denoise, noise)), columns=8, scale=3)


def random_times(count: int, source: torch.Generator) -> Tensor:
    """`count` times in (0, 1), evenly spread but for one random shift, so that every batch sees every noise level."""
    shift = torch.rand((), generator=source)
    return ((torch.arange(count) + shift) / count).clamp(1e-4, 1 - 1e-4)


def noise_for(network: nn.Module, shape: tuple[int, ...], count: int = 32) -> Tensor:
    """Unit noise (count, *shape), always from the same seeds, so that the sheets of one run can be compared."""
    return starting_noise(list(range(count)), shape)[0].to(next(network.parameters()).device)


@torch.inference_mode()
def sample_few(denoise, noise: Tensor, steps: int = 20) -> Tensor:
    """From unit noise to pictures or latents of its shape, in a few steps: samples for the eye."""
    scheduler = SCHEDULERS["dpmpp_2m"]
    ts = time_grid(denoise.schedule, steps, scheduler.spacing)
    *_, last = sample(denoise, noise * denoise.schedule.sigma(ts[0]), ts, scheduler.rule)
    return last.x_next

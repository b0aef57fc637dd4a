"""Training the VAE: give back every page, through a bottleneck twelve times narrower."""

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from course_lib import parallel
from course_lib.pages import Pages, draw_pages
from course_lib.pictures import tile, to_uint8
from course_lib.recipes.ahead import Ahead, unit_noise
from course_lib.recipes.base import Recipe
from course_lib.recipes.choosing import choose_rare
from course_lib.vae import VAE, VAESettings, vae_loss


@dataclass(frozen=True)
class VAERecipe(Recipe):
    """kl: weight of the divergence: small, since the latents need to be tidy, not Gaussian. rare: how many pages of a
    batch show a hand or a sign, whose fingers and letters are the finest things to tell."""

    name: str = "vae"
    batch: int = 16
    kl: float = 1e-4
    rare: int = 4
    vae: VAESettings = VAESettings()
    on_gpu = {"batch": 512, "rare": 128}

    def settings(self) -> dict:
        return {"model": "vae", "kl": self.kl, "vae": asdict(self.vae)}

    def network(self) -> VAE:
        return VAE(self.vae)

    @contextmanager
    def learning(self, folder: Path, device: torch.device) -> Iterator[Ahead]:
        with Pages(folder, self.pages) as pages:
            def prepare(step: int, source: torch.Generator) -> list[Tensor]:
                x = pages.pictures(choose_rare(pages, pages.batch(step, self.batch, source), self.rare), device)
                noise = unit_noise((len(x), self.vae.latent, *(side // 4 for side in x.shape[2:])), source, device)
                return parallel.own_part(x, noise)

            def loss(network: nn.Module, x: Tensor, noise: Tensor) -> Tensor:
                x_hat, posterior = network(x, noise)
                return vae_loss(x, x_hat.float(), posterior, self.kl)

            with Ahead(prepare, loss, self.batch, device) as ahead:
                yield ahead

    @torch.inference_mode()
    def settle(self, network: VAE) -> None:
        """Scale the latents to mean 0 and variance 1, channel by channel."""
        z = network.posterior(_some_pages(256).to(network.shift.device)).mean
        network.shift.copy_(z.mean(dim=(0, 2, 3), keepdim=True))
        network.scale.copy_(z.std(dim=(0, 2, 3), keepdim=True))

    @torch.inference_mode()
    def sheet(self, network: VAE, folder: Path) -> np.ndarray:
        """Pages above, their reconstructions below."""
        x = _some_pages(32).to(network.shift.device)
        back = network.decode(network.encode(x))
        rows = [picture for i in range(0, 32, 8) for picture in (*to_uint8(x[i:i + 8]), *to_uint8(back[i:i + 8]))]
        return tile(np.stack(rows), columns=8, scale=2)


_drawn: dict[int, Tensor] = {}


def _some_pages(count: int) -> Tensor:
    if count not in _drawn:
        _drawn[count] = draw_pages(range(count))["pictures"].float() / 127.5 - 1
    return _drawn[count]

"""Training the text-to-image denoiser, on the VAE's latents, steered by the text encoder."""

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from course_lib import parallel
from course_lib.denoiser import Denoiser
from course_lib.guidance import cfg
from course_lib.layers import Cond
from course_lib.models import text_from, vae_from, weights_for
from course_lib.pages import CAPTIONS, Pages
from course_lib.pictures import tile, to_uint8
from course_lib.recipes.ahead import Ahead, unit_noise
from course_lib.recipes.base import Recipe
from course_lib.recipes.choosing import rare, shorten
from course_lib.recipes.pixels import noise_for, random_times, sample_few
from course_lib.runtime import CourseError, fingerprint, load_tensors, save_tensors, send
from course_lib.schedulers import find_schedule
from course_lib.tokenizer import END, PADDING, START, tokenize
from course_lib.unet import UNet, UNetSettings
from course_lib.vae import VAE

PROMPTS = ("a small red house on the left at night", "a large blue boat on the sea at sunset",
           "two green trees in a meadow", "a yellow car in the desert by day", "a purple cat in the snow",
           "a white castle with a rainbow",
           "an orange hot-air balloon on the right", "a pink rocket and a green house")


@dataclass(frozen=True)
class LatentRecipe(Recipe):
    """drop: the share of prompts left empty, so that the network also learns to paint unprompted, for guidance;
    favour: how much likelier a page with a hand or a sign is taken than another."""

    name: str = "latent"
    batch: int = 64
    ema: float = 0.9995
    drop: float = 0.1
    favour: float = 3.0
    schedule: str = "cosine"
    prediction: str = "v"
    unet: UNetSettings = UNetSettings(picture=4, patch=2, channels=(128, 160), attention=(True, True), words=128,
                                      pooled=128, reading=2)
    on_gpu = {"batch": 1024, "pages": 400_000}

    def settings(self) -> dict:
        return {"model": "latent", "size": 16, "schedule": self.schedule, "prediction": self.prediction,
                "unet": asdict(self.unet)}

    def built_on(self, folder: Path) -> dict[str, str]:
        return {name: fingerprint(weights_for(name, folder)[0]) for name in ("vae", "text")}

    def network(self) -> UNet:
        return UNet(self.unet)

    def begin(self, network: UNet, folder: Path) -> None:
        """With the reading that was trained by itself in this folder, if there is one."""
        if self.unet.reading and (folder / "reading.safetensors").is_file():
            learned = {key: value.float() for key, value in load_tensors(folder / "reading.safetensors")[0].items()}
            network.reading.load_state_dict({key.removeprefix("reading."): learned[key] for key in learned
                                             if key.startswith("reading.")})

    @contextmanager
    def learning(self, folder: Path, device: torch.device) -> Iterator[Ahead]:
        weights, settings = weights_for("vae", folder)
        latents_of = fingerprint(weights)
        vae, text = vae_from(weights, settings, device), text_from(*weights_for("text", folder), device).text
        with Pages(folder, self.pages) as pages:
            latents = Latents(pages, vae, latents_of)

            def prepare(step: int, source: torch.Generator) -> list[Tensor]:
                chosen = pages.batch(step, 2 * self.batch, source)
                weights = 1 + (self.favour - 1) * rare(pages["scenes"][chosen]).float()
                chosen = chosen[torch.multinomial(weights, self.batch, generator=source)]
                z0 = latents.batch(chosen)
                telling = torch.randint(CAPTIONS, (self.batch,), generator=source)
                tokens = shorten(empty_some(pages["tokens"][chosen, telling].long(), self.drop, source))
                eps, t = unit_noise(z0.shape, source, device), random_times(self.batch, source)
                return parallel.own_part(z0, eps, t, tokens)

            def loss(network: nn.Module, z0: Tensor, eps: Tensor, t: Tensor, tokens: Tensor) -> Tensor:
                with torch.no_grad():
                    cond = text(tokens)
                return Denoiser(network, find_schedule(self.schedule), self.prediction).loss(z0, eps, t, cond)

            with Ahead(prepare, loss, self.batch, device) as ahead:
                yield ahead

    @torch.inference_mode()
    def sheet(self, network: UNet, folder: Path) -> np.ndarray:
        """Four pictures for each of eight prompts, one prompt a column."""
        noise = noise_for(network, (self.unet.picture, 16, 16), 4 * len(PROMPTS))
        vae = vae_from(*weights_for("vae", folder), noise.device)
        text = text_from(*weights_for("text", folder), noise.device).text
        both = text(tokenize([*PROMPTS * 4, *[""] * len(noise)]).to(noise.device))
        cond, uncond = (Cond(*parts) for parts in zip(*(part.chunk(2) for part in both)))
        denoise = Denoiser(network, find_schedule(self.schedule), self.prediction)
        return tile(to_uint8(vae.decode(sample_few(cfg(denoise, cond, uncond, 3.0), noise))), columns=8, scale=2)


class Latents:
    """The latents of the pages, made once and kept, in the VAE's device's memory and on disk, in the pieces that the
    pages come in."""

    def __init__(self, pages: Pages, vae: VAE, edition: str):
        self.pages, self.vae, self.folder = pages, vae, pages.folder / f"latents-{edition}"
        self.ready, self.all = 0, None

    def batch(self, chosen: Tensor) -> Tensor:
        """The latents (n, C, 16, 16) of pages that are in memory, float32."""
        while self.ready < self.pages.ready:
            self._add(torch.arange(self.ready, self.ready + self.pages.piece))
        return self.all[send(chosen, self.all.device)].float()

    def _add(self, indices: Tensor) -> None:
        path = self.folder / f"{self.ready // len(indices):05}.safetensors"
        z = self._read(path, len(indices))
        if z is None:
            z = torch.cat([self._encode(part) for part in indices.split(256)])
            if parallel.leads():
                save_tensors(path, {"latents": z}, {"pages": len(indices)})
        if self.all is None:
            self.all = torch.empty((self.pages.count, *z.shape[1:]), dtype=z.dtype, device=self.vae.shift.device)
        self.all[self.ready:self.ready + len(indices)] = z
        self.ready += len(indices)

    @staticmethod
    def _read(path: Path, count: int) -> Tensor | None:
        try:
            tensors, settings = load_tensors(path)
        except CourseError:
            return None  # not there, or damaged
        return tensors.get("latents") if settings == {"pages": count} else None

    @torch.inference_mode()
    def _encode(self, indices: Tensor) -> Tensor:
        x = self.pages.pictures(indices, self.vae.shift.device)
        return self.vae.encode(x).half().cpu()


def empty_some(tokens: Tensor, share: float, source: torch.Generator) -> Tensor:
    """Token numbers (N, L), some rows emptied to START and END alone."""
    empty = torch.full_like(tokens[:1], PADDING)
    empty[0, :2] = torch.tensor([START, END])
    return torch.where(torch.rand(len(tokens), 1, generator=source) < share, empty, tokens)

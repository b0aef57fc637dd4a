"""Training the oracle: every attribute of every page."""

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Iterator

import torch
from torch import Tensor, nn

from course_lib import parallel
from course_lib.oracle import Oracle, OracleSettings, oracle_loss
from course_lib.pages import Pages
from course_lib.picturebook import by_place
from course_lib.recipes.ahead import Ahead, unit_noise
from course_lib.recipes.base import Recipe
from course_lib.recipes.choosing import choose_rare
from course_lib.runtime import send


@dataclass(frozen=True)
class OracleRecipe(Recipe):
    """grain: the largest strength of the noise added to half of the pictures, so that a generator's slight grain and
    softness do not confuse the reading. rare: how many pages of a batch show a hand or a sign, which are few in the
    book and hardest to read."""

    name: str = "oracle"
    batch: int = 64
    grain: float = 0.1
    rare: int = 32
    oracle: OracleSettings = OracleSettings()
    on_gpu = {"batch": 256, "rare": 128, "pages": 400_000}

    def settings(self) -> dict:
        return {"model": "oracle", "oracle": asdict(self.oracle)}

    def network(self) -> Oracle:
        return Oracle(self.oracle)

    @contextmanager
    def learning(self, folder: Path, device: torch.device) -> Iterator[Ahead]:
        with Pages(folder, self.pages) as pages:
            def prepare(step: int, source: torch.Generator) -> list[Tensor]:
                chosen = choose_rare(pages, pages.batch(step, self.batch, source), self.rare)
                x, scenes = pages.pictures(chosen, device), pages["scenes"][chosen]
                strength = (torch.rand(len(x), 1, 1, 1, generator=source) * 2 - 1).clamp(min=0) * self.grain
                x = x + send(strength, device) * unit_noise(x.shape, source, device)
                return parallel.own_part(x, scenes, torch.from_numpy(by_place(scenes.numpy())))

            def loss(network: nn.Module, x: Tensor, scenes: Tensor, places: Tensor) -> Tensor:
                return oracle_loss(network(x), scenes, places)

            with Ahead(prepare, loss, self.batch, device) as ahead:
                yield ahead

"""Training the shared space of words and pictures."""

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Iterator

import torch
from torch import Tensor

from course_lib import parallel
from course_lib.pages import CAPTIONS, Pages
from course_lib.picturebook import agree
from course_lib.recipes.ahead import Ahead
from course_lib.recipes.base import Recipe
from course_lib.recipes.choosing import choose_alike, shorten
from course_lib.text import SharedSpace, TextSettings, contrastive_loss


@dataclass(frozen=True)
class TextRecipe(Recipe):
    """alike: how many pages of a batch come in runs that show the same kinds of things, so that telling them apart
    takes more than the nouns; the rest are drawn from the whole book."""

    name: str = "text"
    batch: int = 128
    alike: int = 64
    text: TextSettings = TextSettings()
    on_gpu = {"batch": 512, "alike": 256, "pages": 400_000}

    def settings(self) -> dict:
        return {"model": "text", "text": asdict(self.text)}

    def network(self) -> SharedSpace:
        return SharedSpace(self.text)

    @contextmanager
    def learning(self, folder: Path, device: torch.device) -> Iterator[Ahead]:
        with Pages(folder, self.pages) as pages:
            def prepare(step: int, source: torch.Generator) -> list[Tensor]:
                chosen = choose_alike(pages, pages.batch(step, self.batch, source), self.alike)
                telling = torch.randint(CAPTIONS, (self.batch,), generator=source)
                tokens, stated = pages["tokens"][chosen, telling].long(), pages["stated"][chosen, telling]
                also_right = torch.from_numpy(agree(stated.numpy(), pages["scenes"][chosen].numpy()))
                order = torch.cat([torch.arange(self.batch)[i::parallel.world()] for i in range(parallel.world())])
                own = parallel.own_part(shorten(tokens), pages.pictures(chosen, device))
                return [*own, also_right[order][:, order]]

            def loss(network: SharedSpace, tokens: Tensor, x: Tensor, also_right: Tensor) -> Tensor:
                return contrastive_loss(network(tokens, x, parallel.gather).float(), also_right)

            with Ahead(prepare, loss, self.batch, device) as ahead:
                yield ahead

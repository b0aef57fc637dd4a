"""Training the denoiser's reading, on captions alone: which colour, size and place belong to which thing.

From painting it would hardly be learned: that a colour went to the wrong thing costs little among all the noise, and
the attention that would use the answer cannot learn to before there is one. Asked outright, it takes minutes.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib import parallel
from course_lib.layers import Cond, reader, read_again
from course_lib.models import text_from, weights_for
from course_lib.pages import CAPTIONS, Pages
from course_lib.picturebook import COLOURS, KINDS, SIZES, SYNONYMS
from course_lib.picturebook.labels import FIRST, OF_A_THING, SCENE_LENGTH, SIDES, WIDTH
from course_lib.recipes.ahead import Ahead
from course_lib.recipes.base import Recipe
from course_lib.recipes.choosing import shorten
from course_lib.runtime import fingerprint
from course_lib.tokenizer import TOKENS

# What is asked of each word that names a thing, its colour or its size; and how many answers there are.
QUESTIONS = {name: len(OF_A_THING[name]) for name in ("kind", "colour", "size", "place")} | {"relation": len(SIDES)}


class Reading(nn.Module):
    """Blocks that read a caption's states again (`layers.reader`), and a straight line for each question, which is not
    kept: if it can be answered by that, the states say it in a way that the denoiser's attention can use."""

    def __init__(self, words: int, blocks: int):
        super().__init__()
        self.reading = reader(words, blocks)
        self.questions = nn.ModuleDict({name: nn.Linear(words, answers) for name, answers in QUESTIONS.items()})

    def forward(self, cond: Cond) -> tuple[Tensor, dict[str, Tensor]]:
        """The conditioning of N captions -> the states read again (N, L, words), the answers (N, L, values) of each."""
        states = read_again(self.reading, cond).words
        return states, {name: ask(states) for name, ask in self.questions.items()}


@dataclass(frozen=True)
class ReadingRecipe(Recipe):
    """drift: how much it costs to change a word's state, which the rest of the denoiser may know already."""

    name: str = "reading"
    batch: int = 256
    drift: float = 0.03
    words: int = 128
    blocks: int = 2

    def settings(self) -> dict:
        return {"model": "reading", "words": self.words, "blocks": self.blocks}

    def built_on(self, folder: Path) -> dict[str, str]:
        return {"text": fingerprint(weights_for("text", folder)[0])}

    def network(self) -> Reading:
        return Reading(self.words, self.blocks)

    @contextmanager
    def learning(self, folder: Path, device: torch.device) -> Iterator[Ahead]:
        text = text_from(*weights_for("text", folder), device).text
        with Pages(folder, self.pages) as pages:
            def prepare(step: int, source: torch.Generator) -> list[Tensor]:
                chosen = pages.batch(step, self.batch, source)
                two = (pages["scenes"][:pages.ready, FIRST + WIDTH] != -1).nonzero().flatten()
                chosen = two[chosen % len(two)]  # where there is one thing alone, there is nothing to tell apart
                telling = torch.randint(CAPTIONS, (self.batch,), generator=source)
                tokens = pages["tokens"][chosen, telling].long()
                return parallel.own_part(shorten(tokens), pages["stated"][chosen, telling].long())

            def loss(network: nn.Module, tokens: Tensor, stated: Tensor) -> Tensor:
                with torch.no_grad():
                    cond = text(tokens)
                states, answers = network(cond)
                changed = ((states - cond.words).square().mean(dim=2) * cond.mask).sum(dim=1).mean()
                return self.drift * changed + sum(
                    _mistakes(answers[name], wanted) for name, wanted in belongings(tokens, stated).items())

            with Ahead(prepare, loss, self.batch, device) as ahead:
                yield ahead


def _mistakes(answers: Tensor, wanted: Tensor) -> Tensor:
    """The cross-entropy of answers (N, L, values) to those wanted (N, L), -1 where nothing is asked; a caption."""
    total = F.cross_entropy(answers.float().flatten(0, 1), wanted.flatten(), ignore_index=-1, reduction="sum")
    return total / len(wanted)  # not over the words that were asked: no batch is thrown by its only one


def _meaning(values: tuple[str, ...]) -> Tensor:
    """(TOKENS,): for each token the value that it names, alone or in the plural, or -1."""
    number = {word: i for i, value in enumerate(values) for phrase in SYNONYMS[value]
              for word in (phrase.split()[-1], phrase.split()[-1] + "s")}
    return torch.tensor([number.get(token, -1) for token in TOKENS])


def belongings(tokens: Tensor, stated: Tensor) -> dict[str, Tensor]:
    """What each word of a caption ought to know of the thing that it belongs to: a kind, a colour or a size.

    tokens: (N, L); stated: (N, STATED_LENGTH), as numbers. -> for each of `QUESTIONS` (N, L): the thing's kind, colour,
    size and place, and on which side of the other it is; -1 for all other words, where a word fits both things, and
    where the caption does not say.
    """
    things = stated[:, FIRST:SCENE_LENGTH].unflatten(1, (2, WIDTH))
    columns = {name: list(OF_A_THING).index(name) for name in QUESTIONS if name in OF_A_THING}
    which, alone = torch.zeros_like(tokens), torch.zeros_like(tokens, dtype=torch.bool)
    for name, values in (("kind", KINDS), ("colour", COLOURS), ("size", SIZES)):
        named = _meaning(values).to(tokens.device)[tokens]
        fits = (named[..., None] == things[:, None, :, columns[name]]) & (named[..., None] != -1)
        one = fits.sum(dim=2) == 1
        which, alone = torch.where(one, fits[..., 1].long(), which), alone | one
    found = {name: things[..., column].gather(1, which).where(alone, -1) for name, column in columns.items()}
    relation = stated[:, SCENE_LENGTH, None]
    side = torch.where(which == 0, relation, 1 - relation)
    return found | {"relation": side.where(alone & (relation != -1), -1)}

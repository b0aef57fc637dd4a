"""The oracle: a classifier that reads every attribute off a picture, so that obedience can be measured."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.layers import Pool, picture_trunk
from course_lib.picturebook import KINDS, PLACES
from course_lib.picturebook.labels import OF_A_THING, SURROUNDINGS

SURROUNDING_HEADS = {name: len(values) for name, values in SURROUNDINGS.items()}
# One place may show nothing, which is a kind of its own; where a thing is, is known from the place that shows it.
THING_HEADS = {name: len(values) + (name == "kind") for name, values in OF_A_THING.items() if name != "place"}
NOTHING = len(KINDS)


@dataclass(frozen=True)
class OracleSettings:
    """trunk: widths at half, a quarter and an eighth of the picture's side; hidden: of the layer before the answers."""

    trunk: tuple[int, ...] = (32, 64, 128)
    hidden: int = 256


class Oracle(nn.Module):
    """Four learned questions look at the picture: the surroundings, and what is at the left, in the middle, at the
    right. Each answer is a softmax over an attribute's values."""

    def __init__(self, settings: OracleSettings = OracleSettings()):
        super().__init__()
        self.settings, width = settings, settings.trunk[-1]
        self.trunk = picture_trunk(settings.trunk)
        self.pool = Pool(width, queries=1 + len(PLACES))
        self.hidden = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, settings.hidden), nn.GELU())
        self.surroundings = nn.Linear(settings.hidden, sum(SURROUNDING_HEADS.values()))
        self.things = nn.Linear(settings.hidden, sum(THING_HEADS.values()))

    def features(self, x: Tensor) -> Tensor:
        """Pictures (N, 3, 64, 64) in [-1, 1] -> (N, 4, trunk[-1]): what the four questions found."""
        return self.pool(self.trunk(x.contiguous(memory_format=torch.channels_last)))

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Pictures -> logits: for each of `SURROUNDING_HEADS` (N, values), for each of `THING_HEADS` (N, 3, values)."""
        hidden = self.hidden(self.features(x))
        surroundings = self.surroundings(hidden[:, 0]).split(list(SURROUNDING_HEADS.values()), dim=-1)
        return list(surroundings), list(self.things(hidden[:, 1:]).split(list(THING_HEADS.values()), dim=-1))


def oracle_loss(answers: tuple[list[Tensor], list[Tensor]], scenes: Tensor, places: Tensor) -> Tensor:
    """The sum of all cross-entropies. scenes: (N, SCENE_LENGTH); places: (N, 3, ...) from `picturebook.by_place`."""
    surroundings, things = answers
    total = sum(F.cross_entropy(logits, scenes[:, i].long()) for i, logits in enumerate(surroundings))
    for i, logits in enumerate(things):
        wanted = places[..., i].flatten().long()
        # The mean over all places, not over those that have the attribute: no batch is thrown by its only sign.
        total = total + F.cross_entropy(logits.flatten(0, 1), wanted, ignore_index=-1, reduction="sum") / len(wanted)
    return total

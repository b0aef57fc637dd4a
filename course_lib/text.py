"""Words and pictures in one space: a text encoder and a picture encoder, trained together. (Radford et al. 2021.)"""

import math
from dataclasses import dataclass
from typing import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.layers import Block, Cond, Pool, picture_trunk
from course_lib.tokenizer import END, LENGTH, PADDING, TOKENS


@dataclass(frozen=True)
class TextSettings:
    """width: of a token's state; depth: transformer blocks; heads: of their attention; shared: size of the space.
    side: of the squares to which pictures are reduced before they are read (half the size costs a quarter, and only
    letters and fingers are lost); picture: widths of the picture encoder at a half, a quarter, an eighth of that.
    """

    width: int = 128
    depth: int = 3
    heads: int = 4
    shared: int = 128
    side: int = 32
    picture: tuple[int, ...] = (32, 64, 128)


class TextEncoder(nn.Module):
    """Token numbers (N, L) -> `Cond`: a state for each token, a mask, and the state of END, which has seen them all."""

    def __init__(self, settings: TextSettings):
        super().__init__()
        self.words = nn.Embedding(len(TOKENS), settings.width)
        self.positions = nn.Embedding(LENGTH, settings.width)
        nn.init.normal_(self.words.weight, std=0.5)
        nn.init.normal_(self.positions.weight, std=0.2)
        self.blocks = nn.ModuleList(Block(settings.width, settings.heads) for _ in range(settings.depth))
        self.norm = nn.LayerNorm(settings.width)

    def forward(self, ids: Tensor) -> Cond:
        mask = ids != PADDING
        x = self.words(ids) + self.positions.weight[:ids.shape[1]]
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        last = (ids == END).int().argmax(dim=1)
        return Cond(x, mask, x[torch.arange(len(x), device=x.device), last])


class SharedSpace(nn.Module):
    """Two encoders that meet: the embedding of a caption lies close to that of its picture, both of length 1."""

    def __init__(self, settings: TextSettings = TextSettings()):
        super().__init__()
        self.settings = settings
        self.text = TextEncoder(settings)
        self.from_text = nn.Linear(settings.width, settings.shared)
        self.trunk = picture_trunk(settings.picture)
        self.pool = Pool(settings.picture[-1], queries=4, places=(settings.side // 8) ** 2)
        self.from_picture = nn.Linear(4 * settings.picture[-1], settings.shared)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))  # the temperature's inverse, as in CLIP

    def embed_text(self, ids: Tensor) -> Tensor:
        """Token numbers (N, L) -> (N, shared), of length 1."""
        return F.normalize(self.from_text(self.text(ids).pooled), dim=1)

    def embed_pictures(self, x: Tensor) -> Tensor:
        """Pictures (N, 3, 64, 64) in [-1, 1] -> (N, shared), of length 1."""
        x = F.interpolate(x, size=(self.settings.side, self.settings.side), mode="area")
        features = self.trunk(x.contiguous(memory_format=torch.channels_last))
        return F.normalize(self.from_picture(self.pool(features).flatten(1)), dim=1)

    def forward(self, ids: Tensor, x: Tensor, gather: Callable[[Tensor], Tensor] = lambda rows: rows) -> Tensor:
        """Similarities of all captions (N, L) with all pictures (M, 3, 64, 64), over the temperature -> (N, M).

        gather: adds the rows that other processes have, where several train together.
        """
        scale = self.log_scale.clamp(max=math.log(100)).exp()
        return scale * gather(self.embed_text(ids)) @ gather(self.embed_pictures(x)).T


def contrastive_loss(similarities: Tensor, also_right: Tensor | None = None) -> Tensor:
    """Symmetric InfoNCE: each caption must find its own picture among all, and each picture its caption.

    (van den Oord et al. 2018, eq. 4; CLIP, figure 3.) similarities: (N, N), right pairs on the diagonal;
    also_right: (N, N), True where another picture fits a caption too, which must not count as a mistake.
    """
    if also_right is not None:
        others = also_right & ~torch.eye(len(similarities), dtype=torch.bool, device=similarities.device)
        similarities = similarities.masked_fill(others, -math.inf)
    right = torch.arange(len(similarities), device=similarities.device)
    return (F.cross_entropy(similarities, right) + F.cross_entropy(similarities.T, right)) / 2

"""The network that denoises: a compact U-Net for pixels and for latents. (Ronneberger et al. 2015; Ho et al. 2020.)"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_lib.layers import (
    Attention, Cond, Down, ResBlock, TimeEmbedding, Up, group_norm, read_again, reader, zero_init,
)
from course_lib.runtime import CourseError


@dataclass(frozen=True)
class UNetSettings:
    """picture: channels in and out. patch: side of the squares of pixels that enter as one place (1 is off): a patch of
    2 costs a quarter as much on the finest level. channels: width of each level, fine to coarse; each halves the size.
    attention: for each level, whether it has an attention layer (the middle always has one).
    words, pooled: widths of the conditioning's token states and pooled vector; 0 for an unconditional network.
    reading: transformer blocks that read the token states again before they steer, so that these say what the text
    encoder was never asked for (which colour belongs to which thing).
    """

    picture: int = 3
    patch: int = 2
    channels: tuple[int, ...] = (64, 128)
    attention: tuple[bool, ...] = (False, True)
    words: int = 0
    pooled: int = 0
    reading: int = 0

    def __post_init__(self):
        if len(self.channels) != len(self.attention):
            raise CourseError(f"Give one attention flag a level: {len(self.channels)} levels, "
                              f"{len(self.attention)} flags.")


class Level(nn.Module):
    """A residual block and, where it is wanted, attention."""

    def __init__(self, channels_in: int, channels_out: int, embedding: int, attention: bool, words: int):
        super().__init__()
        self.block = ResBlock(channels_in, channels_out, embedding)
        self.attention = Attention(channels_out, words) if attention else None

    def forward(self, x: Tensor, embedding: Tensor, cond: Cond | None) -> Tensor:
        x = self.block(x, embedding)
        if self.attention is None:
            return x
        return self.attention(x) if cond is None else self.attention(x, cond.words, cond.mask)


class UNet(nn.Module):
    """(noisy picture, time) -> the prediction, of the picture's shape. H and W must divide by `self.multiple`."""

    def __init__(self, settings: UNetSettings = UNetSettings()):
        super().__init__()
        self.settings, widths, words = settings, settings.channels, settings.words
        self.multiple = settings.patch * 2 ** (len(widths) - 1)
        places = settings.picture * settings.patch**2
        embedding = 4 * widths[0]
        self.time = TimeEmbedding(embedding)
        self.pooled = nn.Linear(settings.pooled, embedding) if settings.pooled else None
        self.reading = reader(words, settings.reading)
        self.enter = nn.Sequential(nn.PixelUnshuffle(settings.patch), nn.Conv2d(places, widths[0], 3, padding=1))

        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        for before, width, attention in zip((widths[0], *widths), widths, settings.attention):
            self.down.append(Level(before, width, embedding, attention, words))
            self.shrink.append(Down(width))
        self.shrink[-1] = nn.Identity()  # the coarsest level is not halved again

        self.middle = Level(widths[-1], widths[-1], embedding, True, words)

        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for below, width, attention in zip((widths[-1], *widths[:0:-1]), widths[::-1], settings.attention[::-1]):
            self.grow.append(Up(below))
            self.up.append(Level(below + width, width, embedding, attention, words))
        self.grow[0] = nn.Identity()

        last = zero_init(nn.Conv2d(widths[0], places, 3, padding=1))
        self.leave = nn.Sequential(group_norm(widths[0]), nn.SiLU(), last, nn.PixelShuffle(settings.patch))
        self.to(memory_format=torch.channels_last)  # the layout that CPUs and GPUs convolve fastest

    def forward(self, x: Tensor, t: Tensor, cond: Cond | None = None) -> Tensor:
        """x: (N, picture, H, W); t: (N,) in [0, 1]; cond: what steers, or None -> (N, picture, H, W)."""
        picture = self.settings.picture
        if x.ndim != 4 or x.shape[1] != picture or x.shape[2] % self.multiple or x.shape[3] % self.multiple:
            raise CourseError(
                f"The network takes pictures of shape (N, {picture}, H, W) with H and W divisible by "
                f"{self.multiple}, but got {tuple(x.shape)}.")
        embedding = self.time(t)
        if self.pooled is not None and cond is not None:
            embedding = embedding + self.pooled(cond.pooled)
        if cond is not None:
            cond = read_again(self.reading, cond)
        h, skips = self.enter(x.contiguous(memory_format=torch.channels_last)), []
        for level, shrink in zip(self.down, self.shrink):
            h = level(h, embedding, cond)
            skips.append(h)
            h = shrink(h)
        h = self.middle(h, embedding, cond)
        for grow, level in zip(self.grow, self.up):
            h = level(torch.cat([grow(h), skips.pop()], dim=1), embedding, cond)
        return self.leave(h)

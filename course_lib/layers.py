"""The parts a U-Net is built of. Shapes: pictures (N, C, H, W), tokens (N, L, D), embeddings (N, E)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Cond(NamedTuple):
    """What steers the network: token states (N, L, D), which of them are words (N, L), one vector a prompt (N, P).

    mask: bool, or float from 0 for how much each word counts: its share of attention is that many times as strong,
    before the shares are made to sum to 1. True is 1, False is 0.
    """

    words: Tensor
    mask: Tensor
    pooled: Tensor


def group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(16, channels), channels)


def zero_init(layer: nn.Module) -> nn.Module:
    """Start a layer at zero, so that the block it closes begins as "add nothing" and training is calm."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class TimeEmbedding(nn.Module):
    """Times (N,) in [0, 1] to (N, width): sines and cosines of many speeds, then a small MLP.

    The sines are the position code of Vaswani et al. 2017, section 3.5, as DDPM uses it for time.
    """

    def __init__(self, width: int, frequencies: int = 32):
        super().__init__()
        speeds = torch.exp(torch.linspace(0, math.log(1000), frequencies))
        self.register_buffer("speeds", speeds, persistent=False)
        self.mlp = nn.Sequential(nn.Linear(2 * frequencies, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        angles = t[:, None] * self.speeds
        return self.mlp(torch.cat([angles.sin(), angles.cos()], dim=1))


class ResBlock(nn.Module):
    """Two convolutions on top of a shortcut; the embedding, if any, scales and shifts the features in between.

    (N, channels_in, H, W), (N, embedding) or None -> (N, channels_out, H, W).
    """

    def __init__(self, channels_in: int, channels_out: int, embedding: int = 0):
        super().__init__()
        self.norm1, self.conv1 = group_norm(channels_in), nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.scale_shift = nn.Linear(embedding, 2 * channels_out) if embedding else None
        self.norm2 = group_norm(channels_out)
        self.conv2 = zero_init(nn.Conv2d(channels_out, channels_out, 3, padding=1))
        same = channels_in == channels_out
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        h = self.norm2(self.conv1(F.silu(self.norm1(x))))
        if self.scale_shift is not None:
            scale, shift = self.scale_shift(F.silu(embedding))[:, :, None, None].chunk(2, dim=1)
            h = h * (1 + scale) + shift
        return self.shortcut(x) + self.conv2(F.silu(h))


def softmax_shares(q: Tensor, k: Tensor, seen: Tensor | None) -> Tensor:
    """softmax(q k^T / sqrt(d)), where `seen` lets it: each row sums to 1. (Vaswani et al. 2017, eq. 1.)

    q: (N, heads, P, d); k: (N, heads, K, d); seen: as from `Attention.look` -> (N, heads, P, K).
    """
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
    if seen is not None:
        scores = scores.masked_fill(~seen, -math.inf) if seen.dtype == torch.bool else scores + seen
    return scores.softmax(dim=3)


class Attention(nn.Module):
    """Every place of the picture looks at every other place, and at the words if there are any.

    One attention over picture and text tokens together does the work of a self- and a cross-attention layer.
    x: (N, C, H, W); words: (N, L, D) or None; mask: (N, L), True where there is a word, or how much each counts.
    """

    def __init__(self, channels: int, words: int = 0, head: int = 32):
        super().__init__()
        self.heads = max(1, channels // head)
        if channels % self.heads:
            raise ValueError(f"{channels} channels do not divide into {self.heads} heads.")
        self.norm = group_norm(channels)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.words_to_kv = nn.Linear(words, 2 * channels) if words else None
        self.out = zero_init(nn.Conv2d(channels, channels, 1))

    def look(self, x: Tensor, words: Tensor | None = None,
             mask: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Queries (N, heads, H W, C / heads), keys and values of the places and then of the words (N, heads, H W + L,
        C / heads), and which of the keys count (N, 1, 1, H W + L): bool, or what is added to their scores; None if
        all count."""
        q, k, v = self.to_qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=2)
        seen = None
        if self.words_to_kv is not None and words is not None:
            k_words, v_words = self.words_to_kv(words).chunk(2, dim=2)
            k, v = torch.cat([k, k_words], dim=1), torch.cat([v, v_words], dim=1)
            if mask is not None:
                seen = F.pad(mask, (q.shape[1], 0), value=True)[:, None, None, :]
                seen = seen if mask.dtype == torch.bool else seen.log()  # e^(score + log w) = w e^score
        q, k, v = (tokens.unflatten(2, (self.heads, -1)).transpose(1, 2) for tokens in (q, k, v))
        return q, k, v, seen

    def mix(self, q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None) -> Tensor:
        """What each place takes from the others and from the words: softmax_shares(q, k, seen) @ v, in one call."""
        return F.scaled_dot_product_attention(q, k, v, attn_mask=seen)

    def forward(self, x: Tensor, words: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        q, k, v, seen = self.look(x, words, mask)
        mixed = self.mix(q, k, v, seen)
        return x + self.out(mixed.transpose(1, 2).flatten(2).transpose(1, 2).reshape(x.shape))


class Block(nn.Module):
    """A transformer block: every word looks at every word, then each thinks for itself. (Vaswani et al. 2017.)"""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.qkv, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x: (N, L, width); mask: (N, L), True where there is a word."""
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, 2))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


def reader(words: int, count: int) -> nn.ModuleList:
    """Blocks that read token states of width `words` again; they begin as "leave the words as they are"."""
    blocks = nn.ModuleList(Block(words, max(1, words // 32)) for _ in range(count))
    for block in blocks:
        zero_init(block.out), zero_init(block.mlp[-1])
    return blocks


def read_again(blocks: nn.ModuleList, cond: Cond) -> Cond:
    """The conditioning with its words' states gone through `blocks`."""
    for block in blocks:
        cond = cond._replace(words=block(cond.words, cond.mask.bool()))
    return cond


class Down(nn.Module):
    """Half the height and width."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Up(nn.Module):
    """Twice the height and width: repeat every pixel, then smooth with a convolution (no checkerboards)."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Pool(nn.Module):
    """Sum a feature map up in a few vectors: each of `queries` learned questions looks where its answer is.

    (N, channels, H, W) with H times W = `places` -> (N, queries, channels).
    """

    def __init__(self, channels: int, queries: int, heads: int = 4, places: int = 64):
        super().__init__()
        self.heads = heads
        self.position = nn.Parameter(0.02 * torch.randn(1, places, channels))
        self.queries = nn.Parameter(torch.randn(1, queries, channels))
        self.to_kv, self.out = nn.Linear(channels, 2 * channels), nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        k, v = self.to_kv(x.flatten(2).transpose(1, 2) + self.position).chunk(2, dim=2)
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2)
                   for part in (self.queries.expand(len(x), -1, -1), k, v))
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def picture_trunk(widths: tuple[int, ...] = (32, 64, 128)) -> nn.Sequential:
    """What reads a picture: (N, 3, H, W) -> features (N, widths[-1], H / 8, W / 8)."""
    parts = [nn.PixelUnshuffle(2), nn.Conv2d(12, widths[0], 3, padding=1), ResBlock(widths[0], widths[0])]
    for before, width in zip(widths, widths[1:]):
        parts += [nn.Conv2d(before, width, 3, stride=2, padding=1), ResBlock(width, width)]
    return nn.Sequential(*parts, group_norm(widths[-1]), nn.SiLU()).to(memory_format=torch.channels_last)

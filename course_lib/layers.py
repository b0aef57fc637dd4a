"""The parts a U-Net is built of. Shapes: pictures (N, C, H, W), tokens (N, L, D), embeddings (N, E)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
    """Two convolutions on top of a shortcut; the embedding scales and shifts the features in between.

    (N, channels_in, H, W), (N, embedding) -> (N, channels_out, H, W).
    """

    def __init__(self, channels_in: int, channels_out: int, embedding: int):
        super().__init__()
        self.norm1, self.conv1 = group_norm(channels_in), nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.scale_shift = nn.Linear(embedding, 2 * channels_out)
        self.norm2 = group_norm(channels_out)
        self.conv2 = zero_init(nn.Conv2d(channels_out, channels_out, 3, padding=1))
        same = channels_in == channels_out
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.scale_shift(F.silu(embedding))[:, :, None, None].chunk(2, dim=1)
        h = self.norm2(h) * (1 + scale) + shift
        return self.shortcut(x) + self.conv2(F.silu(h))


class Attention(nn.Module):
    """Every place of the picture looks at every other place, and at the words if there are any.

    One attention over picture and text tokens together does the work of a self- and a cross-attention layer.
    x: (N, C, H, W); words: (N, L, D) or None; mask: (N, L), True where there is a word.
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

    def forward(self, x: Tensor, words: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        n, c, height, width = x.shape
        q, k, v = self.to_qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=2)
        seen = None
        if self.words_to_kv is not None and words is not None:
            k_words, v_words = self.words_to_kv(words).chunk(2, dim=2)
            k, v = torch.cat([k, k_words], dim=1), torch.cat([v, v_words], dim=1)
            if mask is not None:
                seen = F.pad(mask, (height * width, 0), value=True)[:, None, None, :]

        def split(tokens: Tensor) -> Tensor:  # (N, L, C) -> (N, heads, L, C / heads)
            return tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)

        mixed = F.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=seen)
        return x + self.out(mixed.transpose(1, 2).flatten(2).transpose(1, 2).reshape(n, c, height, width))


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

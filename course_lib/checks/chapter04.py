"""Checks for chapter 04, The U-Net."""

import math
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.checks.core import Wrong, check, close, expect_tensor, expect_whole
from course_lib.data import open_pictures
from course_lib.layers import ResBlock, TimeEmbedding
from course_lib.pipeline import load_denoiser
from course_lib.runtime import CourseError, random_source

PARTS = ("fine skip", "coarse skip", "attention down", "attention middle", "attention up")
LEVEL, PAGES = 0.3, 16


@check("Put a shape, three whole numbers in brackets, and a number of weights in place of the dots.")
def convolution(shape, weights) -> str:
    """Conv2d(64, 128, 3, stride=2, padding=1) on features (64, 32, 32)."""
    with torch.device("meta"):
        layer = nn.Conv2d(64, 128, 3, stride=2, padding=1)
        wanted = tuple(layer(torch.empty(1, 64, 32, 32)).shape[1:])
    count, kernel = sum(p.numel() for p in layer.parameters()), layer.weight.numel()
    try:
        shape = tuple(shape)
    except TypeError:
        raise Wrong(f"The shape is three numbers in brackets, (channels, height, width), but you put {shape!r}."
                    ) from None
    if any(part is ... for part in shape):
        raise NotImplementedError
    shape = tuple(expect_whole(part, 1, 10**6, "Each part of the shape") for part in shape)
    weights = expect_whole(weights, 1, 10**9, "The number of weights")
    if len(shape) == 4:
        raise Wrong("Leave the number of pictures out of the shape: (channels, height, width).")
    shapes = {
        (128, 32, 32): "The shape: a stride of 2 takes every second place, so the sides are halved.",
        (64, 16, 16): "The shape: the second number of Conv2d is how many channels come out.",
        (16, 16, 128): "The shape: in PyTorch the channels come first.",
        (128, 15, 15): "The shape: padding=1 puts a ring of zeros round the picture, so no place is lost at the edge.",
    }
    if shape != wanted:
        raise Wrong(shapes.get(shape, f"The shape is not {shape}: how many channels come out, and what does the "
                                      "stride do to the sides?"))
    counts = {
        kernel: f"The shape is right. {kernel:,} is right but for the bias: one more number for each channel that "
                "comes out.",
        64 * 128: "The shape is right, but each pair of channels has a weight for each of the 3 x 3 places.",
        64 * 128 + 128: "The shape is right, but each pair of channels has a weight for each of the 3 x 3 places.",
        9 * 128 + 128: "The shape is right, but each channel that comes out looks at all 64 that go in.",
        kernel + 64: "The shape is right; the bias belongs to the channels that come out, of which there are 128.",
        kernel * 16 * 16: "The shape is right, but the same weights are used at every place: do not count them again.",
    }
    if weights != count:
        raise Wrong(counts.get(weights, f"The shape is right; the weights are not {weights:,}: channels in, times "
                                        "channels out, times the places of the kernel, and a bias."))
    return f"{wanted} and {count:,}: 64 x 128 x 3 x 3 weights and 128 biases, whatever the picture's size."


def _side(layers) -> int:
    side, jump = 1, 1
    for kernel, stride in layers:
        side, jump = side + (kernel - 1) * jump, jump * stride
    return side


def _own_stride_first(layers) -> int:
    side, jump = 1, 1
    for kernel, stride in layers:
        jump *= stride
        side += (kernel - 1) * jump
    return side


def _only_the_last_stride(layers) -> int:
    side, before = 1, 1
    for kernel, stride in layers:
        side, before = side + (kernel - 1) * before, stride
    return side


@check("Fill in the body of my_reach: it returns a whole number.")
def reach(function) -> str:
    stacks = ([(3, 1)], [(3, 1)] * 4, [(5, 1), (1, 1)], [(3, 2), (3, 1)],
              [(3, 1), (3, 2), (3, 2), (3, 1)], [(5, 2), (3, 2), (3, 2), (3, 1)])
    for layers in stacks:
        answer, wanted = function(list(layers)), _side(layers)
        if answer is None or answer is ...:
            raise NotImplementedError
        number = expect_whole(answer, 0, 10**6)
        if number == wanted:
            continue
        case = f"For {layers} you say {number}, but it is {wanted}: "
        if number == wanted - 1:
            raise Wrong(case + "begin with 1, the place itself.")
        if number == sum(kernel for kernel, _ in layers):
            raise Wrong(case + "neighbouring kernels overlap, so each adds its width less 1, not its whole width.")
        if number == 1 + sum(kernel - 1 for kernel, _ in layers):
            raise Wrong(case + "after a stride, neighbours lie further apart in the input, so a kernel adds more.")
        if number == _own_stride_first(layers):
            raise Wrong(case + "a layer's stride spreads the layers after it; its own kernel still looks at close "
                        "neighbours.")
        if number == _only_the_last_stride(layers):
            raise Wrong(case + "strides multiply: after two of stride 2, neighbours lie 4 apart.")
        if number == math.prod(kernel for kernel, _ in layers):
            raise Wrong(case + "widths add up, they do not multiply: each layer adds to the field of the one before.")
        raise Wrong(case + "each kernel adds (kernel - 1) times the product of the strides before it.")
    return "Right for six stacks, with strides and without."


@check("Fill in the body of my_sines: it returns a tensor (N, 2 F).")
def sines(function) -> str:
    library = TimeEmbedding(8, frequencies=5)
    library.mlp, speeds = nn.Identity(), library.speeds
    for t in (torch.tensor([0.0, 0.13, 0.5, 1.0]), torch.tensor([0.7])):
        wanted, angles = library(t), t[:, None] * speeds
        got = function(t.clone(), speeds.clone())
        if isinstance(got, Tensor) and got.shape == angles.shape:
            raise Wrong(f"You return {tuple(got.shape)}: for each speed there is a sine and a cosine, side by side.")
        if isinstance(got, Tensor) and got.shape == (2 * len(t), len(speeds)) != wanted.shape:
            raise Wrong("The cosines stand below the sines; join them along the last dimension: dim=1.")
        got = expect_tensor(got, wanted, "The embedding")
        if close(got, wanted):
            continue
        wrong = {
            "The cosines come first; the library has the sines first.": torch.cat([angles.cos(), angles.sin()], 1),
            "Sines and cosines alternate (as in Vaswani et al. 2017); the library puts all sines before all cosines.":
                torch.stack([angles.sin(), angles.cos()], 2).flatten(1),
            "The cosines are missing: the second half are sines again.": torch.cat([angles.sin(), angles.sin()], 1),
            "The second half are sines with the sign turned round; it should be cosines.":
                torch.cat([angles.sin(), -angles.sin()], 1),
            "You divide the time by the speed; multiply.":
                torch.cat([(t[:, None] / speeds).sin(), (t[:, None] / speeds).cos()], 1),
            "There is a factor of 2 pi too many: these speeds are in radians already.":
                torch.cat([(2 * math.pi * angles).sin(), (2 * math.pi * angles).cos()], 1),
        }
        for words, value in wrong.items():
            if close(got, value):
                raise Wrong(words)
        raise Wrong(f"For t = {t[-1]:g} the first numbers are {_list(got[-1, :3])} and should be "
                    f"{_list(wanted[-1, :3])}: sin(t * speed) for every speed, then cos(t * speed).")
    return "The same numbers as in the library: its time embedding begins with these."


def _list(values: Tensor) -> str:
    return ", ".join(f"{value:.2f}" for value in values.tolist())


def _block(channels_in: int, channels_out: int) -> ResBlock:
    """A residual block that has learned something: fresh ones add nothing."""
    with torch.random.fork_rng(devices=[]):  # the learner's own random numbers go on as they were
        torch.manual_seed(0)
        block = ResBlock(channels_in, channels_out, 8)
        for layer in (block.norm1, block.norm2, block.conv2):
            nn.init.normal_(layer.weight, std=0.3)
            nn.init.normal_(layer.bias, std=0.3)
    return block.requires_grad_(False)


def _residual(block: ResBlock, x: Tensor, embedding: Tensor, one: float = 1, listen=F.silu, first=F.silu,
              second=F.silu, swap: bool = False, norm_last: bool = False) -> Tensor:
    """A residual block's answer without its shortcut, right or with one of the usual mistakes."""
    h = block.conv1(first(block.norm1(x)))
    scale, shift = block.scale_shift(listen(embedding))[:, :, None, None].chunk(2, dim=1)
    if swap:
        scale, shift = shift, scale
    h = block.norm2(h * (one + scale) + shift) if norm_last else block.norm2(h) * (one + scale) + shift
    return block.conv2(second(h))


@check("Fill in the body of my_residual: it returns the block's answer.")
def residual(function) -> str:
    source = random_source(0)
    for channels_in, channels_out in ((16, 16), (16, 32)):
        block = _block(channels_in, channels_out)
        x = torch.randn(2, channels_in, 6, 6, generator=source)
        embedding = torch.randn(2, 8, generator=source)
        wanted, short = block(x, embedding), block.shortcut(x)
        case = f"With {channels_in} channels in and {channels_out} out: "
        try:
            got = function(block, x.clone(), embedding.clone())
        except RuntimeError as error:
            advice = ("Is it block.shortcut(x) that you add, and not x itself?" if channels_in != channels_out else
                      "Scale and shift fit to pictures with [:, :, None, None] behind them.")
            raise Wrong(case + f"your code stopped ({error}). {advice}") from None
        got = expect_tensor(got, wanted, "The answer")
        if close(got, wanted):
            continue
        if close(got, short):
            raise Wrong(case + "only the shortcut arrives; add what the two convolutions make of x.")
        if close(got, wanted - short):
            raise Wrong(case + "the shortcut is missing: add block.shortcut(x) at the end.")

        def nothing(h):
            return h

        wrong = {
            "the features are multiplied by scale, where it should be 1 + scale.": {"one": 0},
            "scale and shift are swapped: the first half of what scale_shift answers is the scale.": {"swap": True},
            "the SiLU before scale_shift is missing: it gets F.silu(embedding).": {"listen": nothing},
            "the SiLU between norm1 and conv1 is missing.": {"first": nothing},
            "the SiLU just before conv2 is missing.": {"second": nothing},
            "norm2 comes before the scale and the shift, or it takes away much of what they did.": {"norm_last": True},
        }
        for words, how in wrong.items():
            if close(got, short + _residual(block, x, embedding, **how)):
                raise Wrong(case + words)
        raise Wrong(case + "the answer differs: norm1, SiLU, conv1; norm2, times 1 + scale, plus shift; SiLU, conv2; "
                    "plus the shortcut of x.")
    return "The same as the library's block, whether the number of channels changes or not."


@cache
def _guess_error(part: str | None, t: float) -> float:
    denoise, shape = load_denoiser("pixels", "cpu")
    network = denoise.network

    def cut(channels: int):
        return lambda level, given: (torch.cat([given[0][:, :-channels], 0 * given[0][:, -channels:]], dim=1),
                                     *given[1:])

    def passes(layer, given, answer):
        return given[0]

    fine, coarse = network.settings.channels
    off = {
        "fine skip": lambda: network.up[1].register_forward_pre_hook(cut(fine)),
        "coarse skip": lambda: network.up[0].register_forward_pre_hook(cut(coarse)),
        "attention down": lambda: network.down[1].attention.register_forward_hook(passes),
        "attention middle": lambda: network.middle.attention.register_forward_hook(passes),
        "attention up": lambda: network.up[0].attention.register_forward_hook(passes),
    }
    x0 = open_pictures("firstpages", size=shape[1], split="test", limit=PAGES).batch(slice(None))
    x = denoise.schedule.add_noise(x0, torch.randn(x0.shape, generator=random_source(0)), t)
    hook = off[part]() if part else None
    try:
        with torch.inference_mode():
            return ((denoise(x, t) - x0) ** 2).mean().sqrt().item()
    finally:
        if hook is not None:
            hook.remove()  # the network is the one that everybody has


def without(part: str | None, t: float = LEVEL) -> float:
    """RMS error of the shipped network's guesses at 16 unseen pages with one of `PARTS` switched off; None for none."""
    if part is not None and part not in PARTS:
        raise CourseError(f"There is no part {part!r}: choose one of {', '.join(PARTS)}.")
    return _guess_error(part, float(t))


@check("Put the name of a part, such as \"fine skip\", in place of the dots.")
def spare(answer) -> str:
    if answer not in PARTS:
        raise Wrong(f"There is no part {answer!r}: choose one of {', '.join(PARTS)}.")
    whole, measured = without(None), {part: without(part) for part in PARTS}
    least = min(measured, key=measured.get)
    if answer == least:
        told = ", ".join(f"{part} {error:.3f}" for part, error in measured.items())
        return f"The error with all parts is {whole:.3f}; without: {told}."
    if answer == max(measured, key=measured.get):
        raise Wrong(f"Without the {answer} the error is {measured[answer]:.3f}, the most of all: it is missed most, "
                    "and the question is which is missed least.")
    raise Wrong(f"Without the {answer} the error is {measured[answer]:.3f}, against {whole:.3f} with all parts; "
                "without another it is less.")

"""Where the denoiser looks: how much of its attention each place of the picture gives to each word of the prompt.

(Hertz et al. 2022, "Prompt-to-Prompt", section 3; Tang et al. 2022, "What the DAAM", section 3.)
"""

from contextlib import ExitStack

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.denoiser import Denoiser
from course_lib.layers import Attention, Cond, softmax_shares
from course_lib.runtime import CourseError
from course_lib.schedulers import Time


def attention_shares(layer: Attention, x: Tensor, words: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    """`softmax_shares`, which the layer itself never writes down: (N, heads, H W, H W + L), the places' keys before the
    words'; each row sums to 1. Arguments as for the layer."""
    q, k, _, seen = layer.look(x, words, mask)
    return softmax_shares(q, k, seen)


@torch.inference_mode()
def layer_maps(denoise: Denoiser, x: Tensor, t: Time, cond: Cond) -> dict[str, Tensor]:
    """The share of its attention that each place gives to each word, for every attention layer of `denoise.network`.

    One call of the network, watched. x: (N, C, H, W) at time t; cond: the conditioning of N prompts. -> the layer's
    name, in the order in which they are called: (N, heads, L, h, w), at the layer's own size; padding has none.
    Raises CourseError for a network without attention to words.
    """
    found = {}

    def watch(name: str):
        def before(layer: Attention, inputs: tuple) -> None:
            features, words, mask = inputs
            to_words = attention_shares(layer, features, words, mask)[..., -words.shape[1]:]
            found[name] = to_words.transpose(2, 3).unflatten(3, features.shape[2:])
        return before

    with ExitStack() as hooks:  # gone at the end, whatever happens in between
        for name, layer in denoise.network.named_modules():
            if isinstance(layer, Attention) and layer.words_to_kv is not None:
                hooks.callback(layer.register_forward_pre_hook(watch(name)).remove)
        denoise(x, t, cond)
    if not found:
        raise CourseError("This network has no attention to words: take the text-to-image model's denoiser.")
    return found


def attention_maps(denoise: Denoiser, x: Tensor, t: Time, cond: Cond, sides: tuple[int, ...] | None = None) -> Tensor:
    """For each word, how strongly each place of the picture looks at it: (N, L, H, W), from 0 to 1, the mean over
    heads and layers, at the size of the finest layer.

    What is missing from 1 in the sum over the words goes to other places of the picture. x, t, cond: as for
    `denoise`; sides: which layers to take, by the height of their feature maps; None for all.
    Raises CourseError for a network without attention to words or without layers of these sides.
    """
    layers = layer_maps(denoise, x, t, cond).values()
    there = sorted({maps.shape[3] for maps in layers})
    chosen = [maps.mean(dim=1) for maps in layers if sides is None or maps.shape[3] in sides]
    if not chosen:
        raise CourseError(f"There is attention to words at sides {', '.join(map(str, there))}, but none at "
                          f"{', '.join(map(str, sides))}.")
    finest = max(maps.shape[2:] for maps in chosen)
    return torch.stack([F.interpolate(maps, size=finest, mode="bilinear") for maps in chosen]).mean(dim=0)

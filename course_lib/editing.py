"""Editing by attention: words that count for more, prompts in between, and a picture painted with another's attention.

(Hertz et al. 2022, "Prompt-to-Prompt".)
"""

import copy
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import chain
from numbers import Real
from typing import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from course_lib.denoiser import Denoiser
from course_lib.layers import Attention, Cond, softmax_shares
from course_lib.runtime import CourseError
from course_lib.tokenizer import read_prompt

MOST_EMPHASIS = 100


# ---------------------------------------------------------------------------------------- what words count for

def check_emphasis(emphasis: Mapping[str, float]) -> None:
    """Raises CourseError unless these are words, each with a weight."""
    if not isinstance(emphasis, Mapping) or not all(isinstance(word, str) for word in emphasis):
        raise CourseError(f"Give the emphasis as words with their weights, such as {{'red': 2}}, not {emphasis!r}.")
    for word, weight in emphasis.items():
        if not isinstance(weight, Real) or isinstance(weight, bool) or not 0 <= weight <= MOST_EMPHASIS:
            raise CourseError(f"The emphasis of '{word}' must be a number from 0 to {MOST_EMPHASIS}, 1 for none, but "
                              f"it is {weight!r}.")


def check_emphasised(emphasis: Mapping[str, float], prompts: Sequence[str]) -> None:
    """Raises CourseError for a word that stands in none of these prompts, as the model reads them."""
    there = {word for prompt in prompts for word in read_prompt(prompt).words}
    for word in emphasis:
        asked = read_prompt(word).words
        if not asked or not there.issuperset(asked):
            raise CourseError(f"There is no '{word}' to emphasise in the prompt: choose from "
                              f"{', '.join(sorted(there)) or 'no words at all'}.")


def emphasise(cond: Cond, prompts: Sequence[str], emphasis: Mapping[str, float]) -> Cond:
    """The same conditioning, but each of these words counts `emphasis[word]` times as much wherever it stands.

    1 changes nothing, 0 takes the word out of sight. The weight multiplies a word's share of the attention before the
    shares are made to sum to 1, so they go on summing to 1. Prompt-to-Prompt (section 3) multiplies them after that.
    cond: of N prompts.
    """
    weights = cond.mask.float()
    for row, prompt in zip(weights, prompts):
        for i, token in enumerate(read_prompt(prompt).words, start=1):  # after the mark of the start
            for word, weight in emphasis.items():
                if token in read_prompt(word).words:
                    row[i] *= weight
    return cond._replace(mask=weights)


def blend(a: Cond, b: Cond, shares: Tensor) -> Cond:
    """Between two conditionings of N prompts, padded to one length: a at share 0, b at 1; shares: (N,).

    States and vectors are mixed token by token, in order; a word that has no partner fades in or out.
    """
    weights_a, weights_b = a.mask.float(), b.mask.float()
    weights = torch.lerp(weights_a, weights_b, shares[:, None])
    part = shares[:, None] * weights_b / weights.clamp(min=1e-9)  # how much of a token's state is b's
    return Cond(torch.lerp(a.words, b.words, part[:, :, None]), weights,
                torch.lerp(a.pooled, b.pooled, shares[:, None]))


# ------------------------------------------------------------------------------------------ whose attention

def with_mix(denoise: Denoiser, mix: Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]) -> Denoiser:
    """The same denoiser, with `mix` in place of `Attention.mix` in every layer that looks at words.

    The weights are shared and the network that is given stays as it is, so others may go on using it meanwhile.
    """
    network = _same_weights(denoise.network)
    for layer in network.modules():
        if isinstance(layer, Attention) and layer.words_to_kv is not None:
            layer.mix = mix
    return replace(denoise, network=network)


def without_reading(denoise: Denoiser) -> Denoiser:
    """The same denoiser, but the words steer as the text encoder gives them: they are not read again.

    The weights are shared and the network that is given stays as it is.
    """
    network = _same_weights(denoise.network)
    network.reading = nn.ModuleList()
    return replace(denoise, network=network)


def _same_weights(network: nn.Module) -> nn.Module:
    """A copy whose layers can be changed, on the very same weights."""
    shared = chain(network.parameters(), network.buffers())
    return copy.deepcopy(network, {id(tensor): tensor for tensor in shared})


def align(prompt: str, other: str) -> list[int | None]:
    """For each token of `other`, the token of `prompt` whose attention it takes over; None for a word of its own.

    Prompts of one length go word by word; else what is the same, in order, and what is replaced by as many words.
    """
    before, after = read_prompt(prompt).words, read_prompt(other).words
    found: list[int | None] = [None] * len(after)
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    if len(before) == len(after):
        blocks = [("replace", 0, len(before), 0, len(after))]
    for _, i, i_end, j, j_end in blocks:
        if i_end - i == j_end - j:
            found[j:j_end] = range(i + 1, i_end + 1)  # after the mark of the start
    return [0, *found, len(before) + 1]


def inject(denoise: Denoiser, sources: Sequence[int | None]) -> Denoiser:
    """The second picture of each batch is painted with the attention of the first: to places, and to words.

    Places and words share one attention here, so both are taken over at once; Prompt-to-Prompt, where they are two
    layers, does each for a time of its own. sources: as from `align`, for the first picture's prompt and the second's;
    words without a source keep their own attention. What guides without the prompts, from the third picture on, stays
    untouched.
    """
    taken = [(j, i) for j, i in enumerate(sources) if i is not None]

    def mix(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None) -> Tensor:
        shares, count = softmax_shares(q, k, seen), q.shape[2]
        first, second = shares[0], shares[1].clone()
        to, of = ([count + pair[end] for pair in taken] for end in (0, 1))
        second[..., to] = first[..., of]
        second[..., :count] = first[..., :count]
        shares[1] = second / second.sum(dim=-1, keepdim=True)
        return shares @ v

    return with_mix(denoise, mix)

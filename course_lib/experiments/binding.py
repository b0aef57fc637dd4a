"""Two things with two colours: which colour goes where, and where it is lost that they belong together."""

import random
from dataclasses import dataclass
from typing import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.editing import without_reading
from course_lib.experiments.shares import Found, Share
from course_lib.experiments.studio import Studio, check_pictures, colours_of, named
from course_lib.layers import Cond, read_again
from course_lib.picturebook import COLOURS, HELD_OUT_PAIRS, SYNONYMS
from course_lib.pipeline import Painting, TextToImage
from course_lib.tokenizer import TOKENS, tokenize

OUTCOMES = ("right", "swapped", "leaked", "another colour", "thing missing")
BOUND_KINDS = ("house", "boat", "rocket", "castle", "car", "cat", "balloon")
Pair = tuple[tuple[str, str], tuple[str, str]]  # ((colour, kind), (colour, kind))


@dataclass(frozen=True)
class Binding(Found):
    """outcomes: for each guidance scale, the share of each of `OUTCOMES`; unread: the same at the usual scale if the
    denoiser's own reading is cut, so that the words steer as the text encoder gives them; phrases: if it is, and the
    words as they are read in "a red house" and in "a blue car" alone are given besides. prompts, and pictures
    (scales, N, 64, 64, 3) with their outcomes in words, `told`, in the same order."""

    outcomes: dict[float, dict[str, Share]]
    unread: dict[str, Share]
    phrases: dict[str, Share]
    prompts: list[str]
    told: list[list[str]]
    pictures: np.ndarray


def binding(studio: Studio, pictures: int = 32, scales: Sequence[float] = (1, 3, 6)) -> Binding:
    """Ask for `pictures` pairs of things with two colours, at each guidance scale from the same noise."""
    check_pictures(pictures)
    pairs = draw_pairs(pictures, random.Random("binding"))
    prompts = [sentence(pair) for pair in pairs]
    painted = [studio.paint(prompts, guidance=scale) for scale in scales]
    told = [outcomes(pairs, studio.read(some).scenes) for some in painted]
    unread = studio._replace(model=studio.model._replace(denoise=without_reading(studio.model.denoise)))
    cut, phrases = (outcomes(pairs, studio.read(some).scenes)
                    for some in (unread.paint(prompts), unread.paint(prompts, change=_add_phrases)))
    return Binding({scale: counted(said) for scale, said in zip(scales, told)}, counted(cut), counted(phrases), prompts,
                   told, np.stack(painted))


def counted(told: Sequence[str]) -> dict[str, Share]:
    """The share of each of `OUTCOMES`."""
    return {name: Share.where(np.array(told) == name) for name in OUTCOMES}


def _add_phrases(painting: Painting) -> None:
    """Add to the words of each sentence those of its two phrases, each read by itself. (After StructureDiffusion, Feng
    et al. 2023, which puts them in the sentence's place.)"""
    phrases = zip(*(prompt.split(" and ") for prompt in painting.prompts))
    *parts, empty = painting.conds(painting.prompts, *phrases)
    cond = Cond(torch.cat([part.words for part in parts], dim=1), torch.cat([part.mask for part in parts], dim=1),
                parts[0].pooled)
    room = cond.mask.shape[1] - empty.mask.shape[1]
    empty = Cond(F.pad(empty.words, (0, 0, 0, room)), F.pad(empty.mask, (0, room)), empty.pooled)
    painting.steer = painting.towards(cond, empty)


def draw_pairs(count: int, lot: random.Random) -> list[Pair]:
    """Pairs of things of two kinds, with two colours, none of which training held back with either thing."""
    pairs = []
    while len(pairs) < count:
        kinds, colours = lot.sample(BOUND_KINDS, 2), lot.sample(COLOURS, 2)
        if not {(kind, colour) for kind in kinds for colour in colours} & HELD_OUT_PAIRS:
            pairs.append(tuple(zip(colours, kinds)))
    return pairs


def sentence(pair: Pair, plain: bool = True) -> str:
    """"a red house and a blue car"; not plain: the same in other words."""
    words = [(colour, kind) if plain else (SYNONYMS[colour][1], SYNONYMS[kind][1]) for colour, kind in pair]
    return " and ".join(named(*one) for one in words)


def outcomes(pairs: Sequence[Pair], scenes: np.ndarray) -> list[str]:
    """For each pair one of `OUTCOMES`: both colours right; each thing has the other's; both things have the same of the
    two; a colour that was not asked for; or one of the things is not there. scenes: (N, SCENE_LENGTH), as read."""
    wanted = np.array([[COLOURS.index(colour) for colour, _ in pair] for pair in pairs])
    seen = np.stack([colours_of(scenes, [pair[i][1] for pair in pairs]) for i in (0, 1)], axis=1)

    def judge(asked: np.ndarray, found: np.ndarray) -> str:
        if -1 in found:
            return "thing missing"
        if (found == asked).all():
            return "right"
        if (found == asked[::-1]).all():
            return "swapped"
        return "leaked" if found[0] == found[1] and found[0] in asked else "another colour"

    return [judge(asked, found) for asked, found in zip(wanted, seen)]


# ------------------------------------------------------------------------------------------------------ the cause

@dataclass(frozen=True)
class Cause(Found):
    """cosines: of a sentence in the shared space with another, the mean: said in other words, its two things in the
    other order (the same meaning), its colours swapped (another meaning, the same words), one colour replaced.
    probes: how often the colour of a thing can be told from the state of the word that names it, between the two of the
    sentence, so that guessing gets half; "text encoder": as the denoiser gets the words, and "read again": after its
    own blocks for reading, if it has such."""

    cosines: dict[str, float]
    probes: dict[str, Share]


def binding_cause(studio: Studio, sentences: int = 400) -> Cause:
    """Look for the bond between thing and colour inside: in the shared space, and in the words' own states."""
    check_pictures(sentences, 10)
    lot = random.Random("cause")
    pairs = draw_pairs(sentences, lot)
    others = [lot.choice([colour for colour in COLOURS if colour not in (a, b)]) for (a, _), (b, _) in pairs]
    versions = {"in other words": [sentence(pair, plain=False) for pair in pairs],
                "the other thing first": [sentence(pair[::-1]) for pair in pairs],
                "colours swapped": [sentence(((b, one), (a, two))) for (a, one), (b, two) in pairs],
                "one colour replaced": [sentence(((new, one), second))
                                        for new, ((_, one), second) in zip(others, pairs)]}
    here = _embedded(studio.model, [sentence(pair) for pair in pairs])
    cosines = {name: float((here * _embedded(studio.model, texts)).sum(dim=1).mean())
               for name, texts in versions.items()}
    train, test = draw_pairs(4 * sentences, lot), pairs
    return Cause(cosines, {stage: probe(_states(studio.model, train, again), train, _states(studio.model, test, again),
                                        test) for stage, again in _stages(studio.model)})


def _stages(model: TextToImage) -> list[tuple[str, bool]]:
    return [("text encoder", False)] + [("read again", True)] * bool(len(model.denoise.network.reading))


@torch.inference_mode()
def _embedded(model: TextToImage, texts: list[str]) -> Tensor:
    return model.space.embed_text(tokenize(texts).to(model.device)).cpu()


@torch.inference_mode()
def _states(model: TextToImage, pairs: Sequence[Pair], again: bool) -> Tensor:
    """The states (N, 2, D) of the words that name the two things; again: after the denoiser's own reading."""
    ids = tokenize([sentence(pair) for pair in pairs])
    cond = model.space.text(ids.to(model.device))
    words = (read_again(model.denoise.network.reading, cond) if again else cond).words
    numbers = torch.tensor([[TOKENS.index(kind) for _, kind in pair] for pair in pairs])
    places = (ids[:, None] == numbers[:, :, None]).int().argmax(dim=2)
    return words.cpu()[torch.arange(len(pairs))[:, None], places]


def probe(states: Tensor, pairs: Sequence[Pair], new_states: Tensor, new_pairs: Sequence[Pair]) -> Share:
    """A straight line for each colour (least squares with a little ridge) learns, from states (N, 2, D) and the colours
    of the things that they name, to tell a thing's colour; then it is asked about new ones: this colour of the
    sentence, or the other?"""
    def flat(x: Tensor) -> Tensor:
        x = x.flatten(0, 1).double()
        return torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1)

    def colours(some: Sequence[Pair]) -> Tensor:
        return torch.tensor([[COLOURS.index(colour) for colour, _ in pair] for pair in some])

    x, y = flat(states), F.one_hot(colours(pairs).flatten(), len(COLOURS)).double()
    weights = torch.linalg.solve(x.T @ x + len(x) * 1e-4 * torch.eye(x.shape[1], dtype=x.dtype), x.T @ y)
    own = colours(new_pairs)
    scores = (flat(new_states) @ weights).reshape(len(own), 2, -1)
    own_score, other_score = (scores.gather(2, some[:, :, None]) for some in (own, own.flip(1)))
    return Share.where((own_score > other_score).flatten().numpy())

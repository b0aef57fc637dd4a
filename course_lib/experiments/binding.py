"""Two things with two colours: which colour goes where, and where it is lost that they belong together."""

import random
from dataclasses import dataclass
from functools import partial
from typing import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.editing import without_reading
from course_lib.evaluation import Reading
from course_lib.experiments.shares import Found, Share
from course_lib.experiments.studio import Studio, check_pictures, colours_of, named
from course_lib.layers import read_again
from course_lib.picturebook import COLOURS, HELD_OUT_PAIRS, SYNONYMS
from course_lib.picturebook.labels import FIRST, WIDTH
from course_lib.pipeline import Painting, TextToImage
from course_lib.tokenizer import TOKENS, tokenize

OUTCOMES = ("right", "swapped", "leaked", "another colour", "one thing twice", "thing missing")
BOUND_KINDS = ("house", "boat", "rocket", "castle", "car", "cat", "balloon")
Pair = tuple[tuple[str, str], tuple[str, str]]  # ((colour, kind), (colour, kind))


@dataclass(frozen=True)
class Binding(Found):
    """outcomes: for each guidance scale, the share of each of `OUTCOMES`; exchanged: the same at the usual scale if
    what the denoiser's own reading adds to the words that name things and colours is taken from the sentence with its
    colours swapped; placed: if the sentence says which thing is on the left and which on the right. prompts, and
    pictures (scales, N, 64, 64, 3) with their outcomes in words, `told`, in the same order."""

    outcomes: dict[float, dict[str, Share]]
    exchanged: dict[str, Share]
    placed: dict[str, Share]
    prompts: list[str]
    told: list[list[str]]
    pictures: np.ndarray


def binding(studio: Studio, pictures: int = 32, scales: Sequence[float] = (1, 3, 6)) -> Binding:
    """Ask for `pictures` pairs of things with two colours, at each guidance scale from the same noise."""
    check_pictures(pictures)
    pairs = draw_pairs(pictures, random.Random("binding"))
    prompts = [sentence(pair) for pair in pairs]
    painted = [studio.paint(prompts, guidance=scale) for scale in scales]
    told = [outcomes(pairs, studio.read(some)) for some in painted]
    unread = studio._replace(model=studio.model._replace(denoise=without_reading(studio.model.denoise)))
    exchange = partial(_exchange, studio.model, dict(zip(prompts, pairs)))
    exchanged, placed = (outcomes(pairs, studio.read(some)) for some in (
        unread.paint(prompts, change=exchange), studio.paint([_placed(pair) for pair in pairs])))
    return Binding({scale: counted(said) for scale, said in zip(scales, told)}, counted(exchanged), counted(placed),
                   prompts, told, np.stack(painted))


def counted(told: Sequence[str]) -> dict[str, Share]:
    """The share of each of `OUTCOMES`."""
    return {name: Share.where(np.array(told) == name) for name in OUTCOMES}


@torch.inference_mode()
def _exchange(model: TextToImage, pairs: dict[str, Pair], painting: Painting) -> None:
    """Each word that names a thing or a colour keeps its own state, as the text encoder gives it, and gets what the
    model's reading adds to the same word in the sentence with its colours swapped. The denoiser must not read again."""
    asked = [pairs[prompt] for prompt in painting.prompts]
    swapped = [sentence(swap(pair)) for pair in asked]
    given = painting.conds(painting.prompts, swapped)
    (cond, other, _), (own, *read) = given, [read_again(model.denoise.network.reading, some) for some in given]
    here, there = (_places(tokenize(texts), [[word for thing in pair for word in thing] for pair in asked])
                   for texts in (painting.prompts, swapped))
    rows, words = torch.arange(len(asked))[:, None], own.words.clone()
    words[rows, here] = cond.words[rows, here] + (read[0].words - other.words)[rows, there]
    painting.steer = painting.towards(cond._replace(words=words), read[1])


def _places(ids: Tensor, words: Sequence[Sequence[str]]) -> Tensor:
    """Where these words (N, W) stand in N rows of token numbers: (N, W)."""
    numbers = torch.tensor([[TOKENS.index(word) for word in row] for row in words])
    return (ids[:, None] == numbers[:, :, None]).int().argmax(dim=2)


def swap(pair: Pair) -> Pair:
    """The same things, each in the other's colour."""
    (a, one), (b, two) = pair
    return (b, one), (a, two)


def _placed(pair: Pair) -> str:
    return " and ".join(f"{named(*thing)} on the {side}" for thing, side in zip(pair, ("left", "right")))


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


def outcomes(pairs: Sequence[Pair], reading: Reading) -> list[str]:
    """For each pair one of `OUTCOMES`: both colours right; each thing has the other's; both things have the same of the
    two; a colour that was not asked for; a thing stands there twice, in the other's place or besides it, so that there
    are three; or one is not there."""
    wanted = np.array([[COLOURS.index(colour) for colour, _ in pair] for pair in pairs])
    seen = np.stack([colours_of(reading.scenes, [pair[i][1] for pair in pairs]) for i in (0, 1)], axis=1)
    kinds = reading.scenes[:, [FIRST, FIRST + WIDTH]]

    def judge(asked: np.ndarray, found: np.ndarray, shown: np.ndarray, things: int) -> str:
        if things > 2 or ((found != -1).any() and shown[0] == shown[1]):
            return "one thing twice"
        if -1 in found:
            return "thing missing"
        if (found == asked).all():
            return "right"
        if (found == asked[::-1]).all():
            return "swapped"
        return "leaked" if found[0] == found[1] and found[0] in asked else "another colour"

    return [judge(*row) for row in zip(wanted, seen, kinds, reading.things)]


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
                "colours swapped": [sentence(swap(pair)) for pair in pairs],
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
    return words.cpu()[torch.arange(len(pairs))[:, None], _places(ids, [[kind for _, kind in pair] for pair in pairs])]


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

"""Prompts that leave something open, and all the real pages that they could mean: what painted pictures are held up to.
"""

import random
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from course_lib.evaluation import FEATURES, frechet, obedience
from course_lib.experiments.shares import Share
from course_lib.experiments.studio import Studio, drawn, page_with
from course_lib.picturebook import COLOURS, HELD_OUT_PAIRS, PLACES, SIZES, SYNONYMS, TIMES, Scene, Thing, encode_stated

SEEDS = 4  # pictures for each prompt: their variety is how much they differ
WISHED_KINDS = ("house", "tree", "rocket", "castle", "car", "cat", "balloon")  # not boats: they would settle the land
REFERENCE = 8  # real pages to compare with, for each picture


@dataclass(frozen=True)
class Judged:
    """Painted pictures as a whole: obeyed, the share of what was stated that they show; distance, the Frechet distance
    of their features from real pages of the same prompts; variety, the mean distance of two of the same prompt."""

    obeyed: Share
    distance: float
    variety: float


class Wishes:
    """Prompts of one thing, its size, colour and place, and the time; land, weather and sky are left open.

    prompts: (N,), each `SEEDS` times in a row; real: features of real pages that fit the prompts, `REFERENCE` times as
    many. The Frechet distance is taken along the first few of the features' random directions, a quarter as many as
    there are pictures, because covariances of more could not be estimated.
    """

    def __init__(self, studio: Studio, count: int, name: str):
        lot = random.Random(name)
        scenes = [_wish(lot) for _ in range(-(-count // SEEDS))]
        self.studio, self.scenes = studio, [scene for scene in scenes for _ in range(SEEDS)]
        self.prompts, self.stated = [_told(scene) for scene in self.scenes], np.stack(list(map(_states, self.scenes)))
        self.used = max(2, min(FEATURES, len(self.prompts) // 4))
        self.lot = lot
        self.real = studio.features(drawn([another(scene, lot) for _ in range(REFERENCE) for scene in self.scenes]))

    def judge(self, pictures: np.ndarray) -> Judged:
        """Of pictures (N, 64, 64, 3), one for each of `prompts`."""
        reading, features = self.studio.read(pictures), self.studio.features(pictures)
        found = obedience(self.stated, reading.scenes, reading.things).right
        return Judged(Share.where(found[found != -1] == 1),
                      frechet(features[:, :self.used], self.real[:, :self.used]), variety(features))

    def judge_real(self) -> Judged:
        """The same of real pages, as many: what a perfect model would get."""
        return self.judge(drawn([another(scene, self.lot) for scene in self.scenes]))


def variety(features: Tensor) -> float:
    """The mean distance of two different pictures of the same prompt; features (N, F), `SEEDS` rows for each prompt."""
    groups = features.reshape(-1, SEEDS, features.shape[1])
    return float(torch.cdist(groups, groups).sum() / (len(groups) * SEEDS * (SEEDS - 1)))


def another(scene: Scene, lot: random.Random) -> Scene:
    """Another page of which the same prompt is true."""
    while (page := page_with(scene.things, lot)).time != scene.time:
        pass
    return page


def _wish(lot: random.Random) -> Scene:
    kind = lot.choice(WISHED_KINDS)
    colour = lot.choice([colour for colour in COLOURS if (kind, colour) not in HELD_OUT_PAIRS])
    page = page_with((Thing(kind, colour, lot.choice(SIZES), lot.choice(PLACES)),), lot)
    return another(replace(page, time=lot.choice(TIMES), sky="nothing"), lot)


def _told(scene: Scene) -> str:
    [thing] = scene.things
    return f"a {thing.size} {thing.colour} {thing.kind} {SYNONYMS[thing.place][0]} {SYNONYMS[scene.time][0]}"


def _states(scene: Scene) -> np.ndarray:
    [thing] = scene.things
    return encode_stated({"time": scene.time} | {f"thing0.{name}": getattr(thing, name)
                                                 for name in ("kind", "colour", "size", "place")})

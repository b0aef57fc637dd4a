"""One, two, three trees: does the model count?"""

import random
from dataclasses import dataclass

import numpy as np

from course_lib.experiments.shares import Found, Share
from course_lib.experiments.studio import COLUMN, Studio, check_pictures, drawn, page_with, thing_of
from course_lib.picturebook import COLOURS, HELD_OUT_PAIRS, PLACES, SIZES, Thing, main_caption

NUMBERS = (1, 2, 3)


@dataclass(frozen=True)
class Counting(Found):
    """right: for each number of trees that was asked for, the share of pictures with as many; real: the same for real
    pages; table: for each number asked, how often 0 (no trees), 1, 2 and 3 were read. pictures: (3, N, 64, 64, 3)."""

    right: dict[int, Share]
    real: dict[int, Share]
    table: dict[int, dict[int, int]]
    pictures: np.ndarray


def counting(studio: Studio, pictures: int = 16) -> Counting:
    """Ask for one, two and three trees, `pictures` times each, on the same pages from the same noise."""
    check_pictures(pictures)
    lot = random.Random("counting")
    colours = [colour for colour in COLOURS if ("tree", colour) not in HELD_OUT_PAIRS]
    pages = [page_with((Thing("tree", lot.choice(colours), lot.choice(SIZES), lot.choice(PLACES), count=number),), lot)
             for number in NUMBERS for _ in range(pictures)]
    prompts = [main_caption(page) for page in pages]
    painted = np.concatenate([studio.paint(prompts[start:start + pictures])
                              for start in range(0, len(prompts), pictures)])
    seen, real = (_read(studio, some).reshape(len(NUMBERS), pictures) for some in (painted, drawn(pages)))
    return Counting({number: Share.where(row == number) for number, row in zip(NUMBERS, seen)},
                    {number: Share.where(row == number) for number, row in zip(NUMBERS, real)},
                    {number: {count: int((row == count).sum()) for count in (0, *NUMBERS)}
                     for number, row in zip(NUMBERS, seen)},
                    painted.reshape(len(NUMBERS), pictures, *painted.shape[1:]))


def _read(studio: Studio, pictures: np.ndarray) -> np.ndarray:
    """How many trees stand in each picture, (N,): 0 to 3."""
    return thing_of(studio.read(pictures).scenes, ["tree"] * len(pictures))[:, COLUMN["count"]] + 1

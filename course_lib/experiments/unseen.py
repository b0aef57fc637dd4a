"""Pairs and orders that training held back, against seen ones of the same difficulty."""

import random
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from course_lib.experiments.shares import Found, Share
from course_lib.experiments.studio import COLUMN, Studio, check_pictures, named, page_with, thing_of
from course_lib.picturebook import (
    COLOURS, HELD_OUT_PAIRS, HELD_OUT_RELATIONS, PLACES, SIZES, Scene, Thing, main_caption,
)

SPLITS = ("seen", "never seen")


@dataclass(frozen=True)
class NeverSeen(Found):
    """pairs: of kind and colour, the share of pictures with the kind, and with the kind in its colour, seen and never
    seen; relations: the share with both things, and with both in the order that was asked for. instead: for each
    held-out pair as "red balloon", the colours that it was painted in. asked, and pictures of the never-seen pairs."""

    pairs: dict[str, dict[str, Share]]
    relations: dict[str, dict[str, Share]]
    instead: dict[str, dict[str, int]]
    asked: list[str]
    pictures: np.ndarray


def never_seen(studio: Studio, pictures: int = 32) -> NeverSeen:
    """About `pictures` prompts with a held-out pair, as many with a held-out order from left to right, and for each its
    twin that training may have shown: the same page with another colour, or with the two things the other way round.
    Twins start from the same noise."""
    check_pictures(pictures, 8)
    lot = random.Random("never seen")
    new_pairs = [pair for pair in sorted(HELD_OUT_PAIRS) for _ in range(pictures // len(HELD_OUT_PAIRS))]
    pages = {"never seen": [page_with((Thing(kind, colour, lot.choice(SIZES), lot.choice(PLACES)),), lot)
                            for kind, colour in new_pairs]}
    pages["seen"] = [_with_colour(page, lot.choice([c for c in COLOURS if c != page.things[0].colour]))
                     for page in pages["never seen"]]
    pairs, painted = {}, {}
    for split in SPLITS:
        painted[split] = studio.paint([main_caption(page) for page in pages[split]])
        kind, right, seen = _coloured(studio, painted[split], pages[split])
        pairs[split] = {"thing": Share.where(kind), "thing in its colour": Share.where(kind & right)}
    instead = {}  # what `seen` holds now are the colours of the last split, the pairs that were never seen
    for (kind, colour), found in zip(new_pairs, seen):
        instead.setdefault(f"{colour} {kind}", Counter())["none there" if found < 0 else COLOURS[found]] += 1
    return NeverSeen(pairs, _relations(studio, pictures, lot), {name: dict(count) for name, count in instead.items()},
                     [f"{colour} {kind}" for kind, colour in new_pairs], painted["never seen"])


def _with_colour(page: Scene, colour: str) -> Scene:
    return replace(page, things=(replace(page.things[0], colour=colour),))


def _coloured(studio: Studio, pictures: np.ndarray, pages: list[Scene]) -> tuple[np.ndarray, ...]:
    """Is the thing there, has it its colour, and which has it? Each (N,)."""
    rows = thing_of(studio.read(pictures).scenes, [page.things[0].kind for page in pages])
    wanted = np.array([COLOURS.index(page.things[0].colour) for page in pages])
    return rows[:, 0] != -1, rows[:, COLUMN["colour"]] == wanted, rows[:, COLUMN["colour"]]


def _relations(studio: Studio, pictures: int, lot: random.Random) -> dict[str, dict[str, Share]]:
    """Of orders: a sentence names the left thing as "to the left of" the other, and colours both."""
    orders = [order for order in sorted(HELD_OUT_RELATIONS) for _ in range(max(1, pictures // len(HELD_OUT_RELATIONS)))]
    painters = [[lot.choice([c for c in COLOURS if (kind, c) not in HELD_OUT_PAIRS]) for kind in order]
                for order in orders]
    found = {}
    for split in SPLITS:
        turn = 1 if split == "never seen" else -1
        sides = [(order[::turn], colours[::turn]) for order, colours in zip(orders, painters)]
        prompts = [" to the left of ".join(map(named, colours, order)) for order, colours in sides]
        scenes = studio.read(studio.paint(prompts)).scenes
        left, right = (thing_of(scenes, [order[i] for order, _ in sides])[:, COLUMN["place"]] for i in (0, 1))
        both = (left != -1) & (right != -1)
        found[split] = {"both things": Share.where(both), "both in this order": Share.where(both & (left < right))}
    return found

"""Fingers and letters: who gets them wrong, the oracle that reads, the VAE that draws, or the denoiser that paints?"""

import random
from dataclasses import dataclass

import numpy as np

from course_lib.experiments.shares import Found, Share
from course_lib.experiments.studio import COLUMN, STEPS, Studio, check_pictures, drawn, page_with, thing_of
from course_lib.picturebook import COLOURS, PLACES, SIGN_CHARACTERS, SIZES, Scene, Thing, encode_scene, main_caption

TRIES = (STEPS // 2, STEPS, 2 * STEPS)  # steps
REAL = 120  # pages for the oracle and the VAE, at least


@dataclass(frozen=True)
class SmallThings(Found):
    """What became of the fingers of a hand, or of a sign's two characters.

    real, copies, painted: the share that the oracle reads as asked, on real pages, on the VAE's copies of them and on
    painted pictures; there: painted pictures with any hand (sign) at all; chance: what guessing would get right.
    single: of the single characters of the painted signs, those that are right (of a hand: as `painted`).
    by_size: the same by the thing's size; by_steps: `painted` by the number of steps. blame: of all that was asked,
    what each of the three lost; a hair below 0 is chance. prompts, read: what was asked for, and what was read, in
    words; pictures: those painted in `STEPS` steps, and `copied` and `pages`, copies and real pages.
    """

    kind: str
    chance: float
    real: Share
    copies: Share
    there: Share
    painted: Share
    single: Share
    by_size: dict[str, dict[str, Share]]
    by_steps: dict[int, Share]
    blame: dict[str, float]
    asked: list[str]
    read: list[str]
    pictures: np.ndarray
    pages: np.ndarray
    copied: np.ndarray


def small_things(studio: Studio, kind: str, pictures: int = 24) -> SmallThings:
    """Ask for `pictures` hands with one to five fingers, or signs with two characters, and read what was painted.

    kind: "hand" or "sign". The pages for the oracle and the VAE are others, of the same sort, `REAL` or more.
    """
    check_pictures(pictures, 2)
    lot = random.Random(kind)
    scenes = [_page(kind, i, lot) for i in range(max(pictures, REAL))]
    pages = drawn(scenes)
    copied, asked = studio.copies(pages), scenes[:pictures]
    prompts = [main_caption(scene) for scene in asked]
    tries = {steps: studio.paint(prompts, steps=steps) for steps in TRIES}
    rows = {name: thing_of(studio.read(some).scenes, [kind] * len(some))
            for name, some in {"real pages": pages, "VAE's copies": copied, **tries}.items()}
    wanted = thing_of(np.stack([encode_scene(scene) for scene in scenes]), [kind] * len(scenes))
    single = {name: (seen == wanted[:len(seen)])[:, _details(kind)] for name, seen in rows.items()}
    right = {name: some.all(axis=1) for name, some in single.items()}
    found = {"real pages": right["real pages"], "VAE's copies": right["VAE's copies"], "painted": right[STEPS]}
    sizes = np.array([scene.things[0].size for scene in scenes])
    shares = {name: Share.where(some) for name, some in found.items()}
    real, copies, painted = (shares[name].value for name in found)
    return SmallThings(
        kind, 1 / 5 if kind == "hand" else len(SIGN_CHARACTERS) ** -2,
        *(shares[name] for name in ("real pages", "VAE's copies")), Share.where(rows[STEPS][:, 0] != -1),
        shares["painted"], Share.where(single[STEPS].flatten()),
        {name: {size: Share.where(some[sizes[:len(some)] == size]) for size in SIZES} for name, some in found.items()},
        {steps: Share.where(right[steps]) for steps in TRIES},
        {"oracle": 1 - real, "VAE": real - copies, "denoiser": copies - painted},
        [_asked(scene.things[0]) for scene in asked], [_read(kind, row) for row in rows[STEPS]],
        tries[STEPS], pages[:pictures], copied[:pictures])


def _page(kind: str, i: int, lot: random.Random) -> Scene:
    """A page with one hand or sign; sizes and numbers of fingers take turns, so that all are equally frequent."""
    return page_with((Thing(
        kind, lot.choice(COLOURS), SIZES[i % 2], lot.choice(PLACES), fingers=1 + i % 5 if kind == "hand" else None,
        text="".join(lot.choices(SIGN_CHARACTERS, k=2)) if kind == "sign" else None),), lot)


def _details(kind: str) -> list[int]:
    return [COLUMN[name] for name in (("fingers",) if kind == "hand" else ("first", "second"))]


def _asked(thing: Thing) -> str:
    return str(thing.fingers) if thing.kind == "hand" else thing.text


def _read(kind: str, row: np.ndarray) -> str:
    if row[0] == -1:
        return f"no {kind}"
    numbers = row[_details(kind)]
    return str(numbers[0] + 1) if kind == "hand" else "".join(SIGN_CHARACTERS[number] for number in numbers)

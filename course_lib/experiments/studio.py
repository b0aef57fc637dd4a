"""Where the experiments are done: the model that paints, the oracle that reads, and pages to ask for."""

import random
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Sequence

import numpy as np
from torch import Tensor

from course_lib import pipeline
from course_lib.data import HELD_OUT_FROM
from course_lib.evaluation import Reading, oracle_features, read, reconstruct
from course_lib.models import oracle_from, weights_for
from course_lib.oracle import Oracle
from course_lib.picturebook import KINDS, Scene, Thing, random_scene, render
from course_lib.picturebook.labels import FIRST, OF_A_THING, SCENE_LENGTH, WIDTH
from course_lib.runtime import check_whole, pick_device

STEPS = 10  # of dpmpp_2m: what more would change, the experiment on steps tells
SIZE = 64
COLUMN = {name: i for i, name in enumerate(OF_A_THING)}  # of what `thing_of` gives


class Studio(NamedTuple):
    """A text-to-image model and the oracle that judges it."""

    model: pipeline.TextToImage
    oracle: Oracle

    def paint(self, prompts: Sequence[str], first_seed: int = 0, steps: int = STEPS,
              guidance: float = pipeline.GUIDANCE, **how) -> np.ndarray:
        """A picture for each prompt, uint8 (N, 64, 64, 3); the first has the seed `first_seed`, the next the next.
        how: more options of `generate`."""
        return np.concatenate([pipeline.generate(chunk, seeds, steps, guidance, model=self.model, **how).pictures
                               for chunk, seeds in pipeline.batches(prompts, first_seed)])

    def read(self, pictures: np.ndarray) -> Reading:
        """What the oracle sees in pictures."""
        return read(self.oracle, pictures)

    def copies(self, pictures: np.ndarray) -> np.ndarray:
        """Pictures through the VAE and back: the best that any denoiser of its latents could do."""
        return reconstruct(self.model.vae, pictures)

    def features(self, pictures: np.ndarray) -> Tensor:
        """What the oracle's questions found in pictures, float64 (N, FEATURES): for distances between them."""
        return oracle_features(self.oracle, pictures)


def open_studio(device: str = "cpu", folder: Path | None = None) -> Studio:
    """The shipped model and oracle, or those in `folder`; CourseError for damaged weights or an unknown device."""
    oracle = oracle_from(*weights_for("oracle", folder), pick_device(device))
    return Studio(pipeline.load_text_to_image(device, folder), oracle)


def check_pictures(pictures: int, least: int = 1) -> int:
    """`pictures` if an experiment can be done with so many, else a CourseError that says so."""
    return check_whole(pictures, "The number of pictures", least, 10_000)


def page_with(things: tuple[Thing, ...], lot: random.Random) -> Scene:
    """A random page that training never saw, with these things on it in place of its own."""
    return replace(random_scene(HELD_OUT_FROM + lot.randrange(400_000)), things=things)


def named(colour: str, kind: str) -> str:
    """"a red house", "an orange car"."""
    return f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {kind}"


def drawn(scenes: Sequence[Scene]) -> np.ndarray:
    """The real pages, uint8 (N, 64, 64, 3)."""
    return np.stack([render(scene, SIZE) for scene in scenes])


def thing_of(scenes: np.ndarray, kinds: Sequence[str]) -> np.ndarray:
    """What each scene says of the first thing of a kind, one kind a scene: int8 (N, WIDTH) in the columns of `COLUMN`,
    -1 throughout where there is none. scenes: int8 (N, SCENE_LENGTH), as of a `Reading`."""
    things = scenes[:, FIRST:SCENE_LENGTH].reshape(len(scenes), 2, WIDTH)
    wanted = np.array([KINDS.index(kind) for kind in kinds])
    fits = things[..., 0] == wanted[:, None]
    chosen = things[np.arange(len(things)), fits.argmax(axis=1)]
    return np.where(fits.any(axis=1)[:, None], chosen, -1)


def colours_of(scenes: np.ndarray, kinds: Sequence[str]) -> np.ndarray:
    """The colour of the first thing of a kind, a number of `COLOURS`, one kind a scene: (N,), -1 if none is there."""
    return thing_of(scenes, kinds)[:, COLUMN["colour"]]

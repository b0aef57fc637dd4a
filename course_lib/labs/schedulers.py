"""The schedulers lab: the same noise through several schedulers, with few steps and with many."""

import math
from functools import partial
from typing import Sequence

import numpy as np

from course_lib.labs.controls import Number, Slider, Text
from course_lib.labs.distances import rms
from course_lib.labs.prompted import PromptLab, check_prompt
from course_lib.labs.trajectory import beside
from course_lib.pictures import GAP
from course_lib.pipeline import GUIDANCE, TextToImage, generate, load_text_to_image
from course_lib.runtime import CourseError

NAMES = ("ddpm", "ddim", "euler", "heun", "dpmpp_2m")
COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 24)
FINE_STEPS = 80  # of dpmpp_2m: with that many, the deterministic schedulers nearly always come to one picture
LEAST = 0.5  # grey levels; what is nearer to the reference than this is drawn here
SIDE = 148  # of a picture on the page
CURVE_LABEL = (f"Distance to the same picture in {FINE_STEPS} fine steps, in grey levels of 255 (RMS); each line "
               "across is a quarter of the one above.")
NOTE = ("Heun evaluates the network twice a step. DDPM adds fresh noise at every step, so it ends on a picture of its "
        "own.")


def compute(prompt: str, seed: int = 0, guidance: float = GUIDANCE, names: Sequence[str] = NAMES,
            counts: Sequence[int] = COUNTS, model: TextToImage | None = None) -> dict:
    """Pictures by several schedulers side by side, all from the same noise; frame i is made with counts[i] steps.

    prompt: one text; names: schedulers; counts: numbers of steps, as from left to right on the slider. Gives the
    Scrubber's `views`, `labels`, `cells`, and `curve`, the distances to a fine reference on a logarithmic axis;
    `distances`: name -> their root mean squares, in grey levels from 0 to 255, one for each count; `remarks`.
    Raises CourseError if there is nothing to compare, or for whatever `generate` refuses.
    """
    names, counts = list(names), list(counts)
    check_prompt(prompt)
    if not names or not counts:
        raise CourseError("Give the lab at least one scheduler and one number of steps.")
    model = load_text_to_image() if model is None else model
    fine = generate(prompt, seed, FINE_STEPS, guidance, "dpmpp_2m", model=model)
    made = {name: [generate(prompt, seed, count, guidance, name, model=model).picture for count in counts]
            for name in names}
    distances = {name: [rms(picture, fine.picture) for picture in pictures] for name, pictures in made.items()}
    reference = np.repeat(fine.pictures, len(counts), axis=0)
    views = {"picture": beside([*(np.stack(pictures) for pictures in made.values()), reference])}
    heads = [*names, f"{FINE_STEPS} fine steps"]
    return {"views": views, "labels": [f"{count} step{'s' if count > 1 else ''}" for count in counts],
            "cells": {"columns": len(heads), "gap": GAP, "heads": heads, "texts": [""] * len(heads), "wrap": True},
            "curve": curve(distances), "distances": distances, "display_size": SIDE, "note": NOTE,
            "remarks": fine.remarks}


def curve(distances: dict[str, list[float]]) -> dict:
    """The distances as the Scrubber draws them: base-2 logarithms, with a mark at each power of two."""
    lines = {name: [math.log2(max(LEAST, value)) for value in values] for name, values in distances.items()}
    top = max(2, math.ceil(max(map(max, lines.values()))))
    bottom = math.floor(math.log2(LEAST))
    marks = [(power, f"{2.0**power:g}") for power in range(top, bottom - 1, -2)]
    return {"label": CURVE_LABEL, "lines": lines, "range": (bottom, top), "marks": marks}


def schedulers(prompt: str = "a large blue boat on the sea at sunset", seed: int = 0, guidance: float = GUIDANCE,
               names: Sequence[str] = NAMES, counts: Sequence[int] = COUNTS,
               model: TextToImage | None = None) -> PromptLab:
    """The same noise through several schedulers, with few steps and with many; the arguments are those of `compute`."""
    return PromptLab(partial(compute, names=list(names), counts=list(counts)),
                     "\"{prompt}\" by several schedulers, from the same noise.", model, len(list(counts)) // 2,
                     prompt=Text("Prompt", prompt), seed=Number("Seed", seed, dice=True),
                     guidance=Slider("Guidance", guidance, 0, 12, 0.5))

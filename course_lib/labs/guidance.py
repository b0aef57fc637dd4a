"""The guidance lab: one starting noise, a row of guidance scales, and what the oracle reads off each picture."""

from functools import partial
from typing import Sequence

import numpy as np
import torch

from course_lib.evaluation import read
from course_lib.labs.controls import Number, Slider, Text
from course_lib.labs.prompted import PromptLab, check_prompt
from course_lib.labs.trajectory import beside, frames_of
from course_lib.models import oracle_from, weights_for
from course_lib.oracle import Oracle
from course_lib.picturebook import PLACES
from course_lib.pictures import GAP, to_tensor
from course_lib.pipeline import TextToImage, generate, load_text_to_image
from course_lib.runtime import CourseError
from course_lib.tokenizer import tokenize

SCALES = (0, 1, 2, 3, 5, 8)
NOTES = {0: " · no prompt", 1: " · off"}
SURROUNDINGS = ("time", "land", "weather", "sky")
SIDE = 132  # of a picture on the page
NOTE = ("Under each finished picture: what the oracle reads off it, and its fit, the cosine with the prompt in the "
        "shared space (1 is the same direction).")


def compute(prompt: str, seed: int = 0, scales: Sequence[float] = SCALES, steps: int = 15,
            model: TextToImage | None = None, oracle: Oracle | None = None) -> dict:
    """Pictures side by side, one for each guidance scale, all from the same starting noise, at every step.

    prompt: one text; seed: one; scales: from left to right; steps: for each; model, oracle: None for the shipped ones.
    Gives the Scrubber's `views`, `labels` and `cells`: their `texts` are what the oracle reads off the finished picture
    and the fit to the prompt (Hessel et al. 2021, CLIPScore, without the factor). `remarks`: on words of the prompt.
    Raises CourseError if the prompt is not one text, there is no scale, or for whatever `generate` refuses.
    """
    check_prompt(prompt)
    scales = list(scales)
    if not scales:
        raise CourseError("Give the lab at least one guidance scale, such as 3.")
    model = load_text_to_image() if model is None else model
    oracle = shipped_oracle() if oracle is None else oracle
    results = [generate(prompt, seed, steps, guidance=scale, model=model) for scale in scales]
    parts = [frames_of(result.trajectory, result.schedule, result.decode, 1) for result in results]
    views = {name: beside([frames[name] for frames, _ in parts]) for name in parts[0][0]}
    finished = np.concatenate([result.pictures for result in results])
    fits, reading = fit_to_prompt(prompt, finished, model), read(oracle, finished)
    texts = [f"{in_words(reading.describe(i))}\nfit {fit:.2f}".replace("-", "−") for i, fit in enumerate(fits)]
    return {"views": views, "labels": parts[0][1], "remarks": results[0].remarks, "display_size": SIDE, "note": NOTE,
            "cells": {"columns": len(scales), "gap": GAP, "wrap": True, "texts": texts,
                      "heads": [f"guidance {scale:g}{NOTES.get(scale, '')}" for scale in scales]}}


def in_words(said: dict[str, str]) -> str:
    """What `Reading.describe` gives, as a line: "small red house (left) · night, snow, clear"."""
    things = [f"{said[place]} ({place})" for place in PLACES if place in said]
    around = ", ".join(said[name] for name in SURROUNDINGS if said[name] != "nothing")
    return " · ".join([", ".join(things) or "no thing", around])


def shipped_oracle() -> Oracle:
    return oracle_from(*weights_for("oracle"), torch.device("cpu"))


@torch.inference_mode()
def fit_to_prompt(prompt: str, pictures: np.ndarray, model: TextToImage) -> list[float]:
    """The cosines between pictures, uint8 (N, 64, 64, 3), and a prompt in the shared space, from -1 to 1."""
    words = model.space.embed_text(tokenize([prompt]).to(model.device))
    return (model.space.embed_pictures(to_tensor(pictures).to(model.device)) @ words.T).flatten().tolist()


def guidance(prompt: str, seed: int = 0, scales: Sequence[float] = SCALES, steps: int = 15,
             model: TextToImage | None = None, oracle: Oracle | None = None) -> PromptLab:
    """One seed at several guidance scales, read by the oracle; the arguments are those of `compute`."""
    oracle = shipped_oracle() if oracle is None else oracle
    return PromptLab(partial(compute, scales=list(scales), oracle=oracle),
                     "\"{prompt}\" at several guidance scales, from the same noise.", model,
                     prompt=Text("Prompt", prompt), seed=Number("Seed", seed, dice=True),
                     steps=Slider("Steps", steps, 2, 50))

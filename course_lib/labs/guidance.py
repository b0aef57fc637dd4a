"""The guidance lab: the same starting noises at one guidance scale after another."""

import math
from typing import Sequence

import numpy as np
import torch

from course_lib.labs.scrubber import Scrubber
from course_lib.pictures import tile, to_tensor
from course_lib.pipeline import TextToImage, generate, load_text_to_image
from course_lib.runtime import CourseError
from course_lib.tokenizer import tokenize

SCALES = (0, 1, 1.5, 2, 3, 4, 6, 8, 12)
OPENS_ON = 1  # the conditional guess alone: from here guidance can be taken away or added
NOTES = {0: "the prompt is ignored", 1: "off: the prompt's guess alone"}
CURVE_LABEL = "How near the pictures are to the prompt in the shared space: 1 is the same direction, 0 no relation."


def compute(prompt: str, seeds: Sequence[int] = (0, 1, 2), scales: Sequence[float] = SCALES, steps: int = 15,
            model: TextToImage | None = None) -> dict:
    """The pictures of `seeds` side by side, once for each guidance scale, always from the same starting noises.

    prompt: one text; seeds: one or more; scales: in the order of the frames; steps: for each picture; model: None
    for the shipped one. Gives the Scrubber's `views` ("picture"), `labels`, which say the scale, and `curve`: the mean
    cosine between the pictures and the prompt in the shared space (Hessel et al. 2021, CLIPScore, without the factor).
    Raises CourseError if the prompt is not one text, or for whatever `generate` refuses.
    """
    if not isinstance(prompt, str):
        raise CourseError("Give the lab one prompt, a text such as \"a red house\".")
    seeds, scales = list(seeds), list(scales)
    if not scales:
        raise CourseError("Give the lab at least one guidance scale, such as 3.")
    model = load_text_to_image() if model is None else model
    rows = [generate(prompt, seeds, steps, guidance=scale, model=model).pictures for scale in scales]
    fits = [fit_to_prompt(prompt, row, model) for row in rows]
    return {
        "views": {"picture": np.stack([tile(row, columns=len(seeds)) for row in rows])},
        "labels": [f"guidance {scale:g}" + (f" · {NOTES[scale]}" if scale in NOTES else "") for scale in scales],
        "curve": {"label": CURVE_LABEL, "lines": {"fit": fits}, "range": (lower_edge(fits), 1)},
    }


def lower_edge(fits: Sequence[float]) -> float:
    """Where the curve's axis begins: at 0, or at a whole quarter below it, so that the numbers beside it stay apart."""
    return min(0, math.floor(4 * min(fits)) / 4)


@torch.inference_mode()
def fit_to_prompt(prompt: str, pictures: np.ndarray, model: TextToImage) -> float:
    """The mean cosine between pictures, uint8 (N, 64, 64, 3), and a prompt in the shared space, from -1 to 1."""
    words = model.space.embed_text(tokenize([prompt]).to(model.device))
    return (model.space.embed_pictures(to_tensor(pictures).to(model.device)) @ words.T).mean().item()


def guidance(prompt: str, seeds: Sequence[int] = (0, 1, 2), scales: Sequence[float] = SCALES, steps: int = 15,
             model: TextToImage | None = None) -> Scrubber:
    """Scrub through the guidance scales; the arguments are those of `compute`."""
    shown = compute(prompt, seeds, scales, steps, model)
    alt = f"Pictures for \"{prompt}\", one for each of {len(list(seeds))} seeds, as guidance grows."
    start = list(scales).index(OPENS_ON) if OPENS_ON in scales else 0
    return Scrubber(**shown, alt=alt, start=start)

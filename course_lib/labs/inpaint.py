"""The inpainting lab: mark a part of a picture by hand, and have only that painted anew."""

import numpy as np

from course_lib import interventions
from course_lib.labs.controls import Number, Slider, Text, Toggle
from course_lib.labs.distances import rms
from course_lib.labs.easel import Easel, disc, marked
from course_lib.labs.pictured import PictureLab
from course_lib.labs.prompted import check_prompt
from course_lib.labs.trajectory import VIEWS, frames_of, led_by
from course_lib.pipeline import GUIDANCE, TextToImage, load_text_to_image

PAGE_SHOWN = 26
MASK = disc(46, 36, 35)  # round the car on that page
MOST_ROUNDS = 10
SIDE = 320  # of a picture on the page, as on the easel
FIRST = "the picture; stripes: to be painted anew"
PROMPT = "a large blue cat in the middle in the desert at dawn"


def compute(picture: np.ndarray, mask: np.ndarray, prompt: str = PROMPT, seed: int = 0, rounds: int = 1,
            exact: bool = True, steps: int = 20, guidance: float = GUIDANCE, model: TextToImage | None = None) -> dict:
    """What the Scrubber shows of `interventions.fill`: the picture under its mask, then every step to the result.

    picture: uint8 (64, 64, 3); mask: (64, 64), not 0 where the model paints; rounds, exact: as for `fill`; model: None
    for the shipped one. Gives `views`, `labels`, `note` (how well what is outside of the mask was kept, and the cost),
    `remarks`, and `result`. Raises CourseError for whatever `fill` refuses, such as a mask with nothing marked.
    """
    model = load_text_to_image() if model is None else model
    check_prompt(prompt)
    result = interventions.fill(picture, mask, prompt, seed, rounds, exact, steps=steps, guidance=guidance, model=model)
    views, labels = frames_of(result.trajectory, result.schedule, result.decode, 1)
    for frames in views.values():
        frames[-1] = result.picture  # with the pixels that were kept
    views, labels = led_by(marked(picture, mask), FIRST, views, labels)
    return {"views": {name: views[name] for name in VIEWS[:2]}, "labels": labels, "strip": True, "result": result,
            "display_size": SIDE, "remarks": result.remarks,
            "note": f"{kept(picture, result.picture, mask)} {result.nfe} network evaluations."}


def kept(picture: np.ndarray, painted: np.ndarray, mask: np.ndarray) -> str:
    """In a sentence, how far a painted picture is from the first one where the mask is 0."""
    outside = np.asarray(mask) == 0
    if not outside.any():
        return "All of the picture is marked."
    away = rms(painted[outside], picture[outside])
    if away == 0:
        return "Outside of the stripes every pixel is the picture's own."
    return f"Outside of the stripes the result is {away:.1f} grey levels of 255 away from the picture (RMS)."


def inpaint(picture=None, mask: np.ndarray | None = None, prompt: str = PROMPT, seed: int = 0, rounds: int = 1,
            exact: bool = True, page: int = PAGE_SHOWN, model: TextToImage | None = None) -> PictureLab:
    """Mark a part of a picture with a brush, and have the model paint what the prompt says there.

    picture: a path or a uint8 array (H, W, 3), None for the page of the book with the number `page`; mask: what is
    marked at first, (64, 64), None for a round spot; the others: as for `compute`. Raises CourseError on anything else.
    """
    return PictureLab(
        compute, "A picture, of which a marked part is painted anew: \"{prompt}\".", model, picture, page,
        easel=lambda painted: Easel(painted, MASK if mask is None else mask, mask=True),
        seen=lambda base, ink: {"picture": base, "mask": ink > 0},
        prompt=Text("Prompt", prompt), seed=Number("Seed", seed, dice=True),
        rounds=Slider("Rounds at each step", rounds, 1, MOST_ROUNDS), exact=Toggle("Keep pixels exactly", exact))

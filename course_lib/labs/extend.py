"""The lab on outpainting: a window slides beyond the edge of a picture, and what is new in it is painted."""

import numpy as np

from course_lib import interventions
from course_lib.labs.controls import Choice, Number, Slider, Text
from course_lib.labs.pictured import PictureLab
from course_lib.labs.prompted import check_prompt
from course_lib.pipeline import GUIDANCE, TextToImage, load_text_to_image
from course_lib.runtime import check_whole
from course_lib.tokenizer import read_prompt, remarks

BY = 32  # pixels that each window adds
MOST = 8  # windows
SCALE = 2.5  # a pixel of the picture on the page
EMPTY = 128  # grey: not painted yet
SIDES = ("right", "left", "top", "bottom")
PAGE_SHOWN = 36
PROMPT = "a small yellow house in a meadow at sunset under a cloudy sky"
NOTE = "Each window shows 32 pixels that are there already, so that what it adds joins them, and has a seed of its own."


def compute(picture: np.ndarray, prompt: str = PROMPT, seed: int = 0, side: str = "right", windows: int = 3,
            rounds: int = 1, steps: int = 20, guidance: float = GUIDANCE, model: TextToImage | None = None) -> dict:
    """What the Scrubber shows of `interventions.extend`: the picture alone, then after each window.

    picture: uint8 (64, 64, 3); side: where it grows; windows: 1 to 8, of 32 pixels; rounds: as for `fill`; model: None
    for the shipped one. Gives `views`, `labels`, `note` and `remarks`. Raises CourseError for whatever `extend`
    refuses.
    """
    model = load_text_to_image() if model is None else model
    check_prompt(prompt)
    windows = check_whole(windows, "The number of windows", 1, MOST)
    whole = interventions.extend(picture, prompt, side, windows * BY, seed, rounds, steps=steps, guidance=guidance,
                                 model=model)
    across, forward = side in ("left", "right"), side in ("right", "bottom")
    frames = []
    for i in range(windows + 1):
        frame = whole.copy()
        line = frame.swapaxes(0, 1) if across else frame  # along the way that the window slides
        reached = len(picture) + i * BY
        if i < windows:
            line[slice(reached, None) if forward else slice(None, -reached)] = EMPTY
        frames.append(frame)
    labels = ["the picture alone", *[f"window {i} of {windows} · {i * BY} pixels more" for i in range(1, windows + 1)]]
    return {"views": {"picture": np.stack(frames)}, "labels": labels, "note": NOTE,
            "remarks": remarks([read_prompt(prompt)]), "display_size": round(SCALE * len(whole))}


def extend(picture=None, prompt: str = PROMPT, seed: int = 0, side: str = "right", windows: int = 3, rounds: int = 1,
           page: int = PAGE_SHOWN, model: TextToImage | None = None) -> PictureLab:
    """Paint on beyond the edge of a picture: a page of the book or your own.

    picture: a path or a uint8 array (H, W, 3), None for the page of the book with the number `page`; the others: as for
    `compute`. Raises CourseError on anything else.
    """
    return PictureLab(
        compute, "A picture that goes on beyond its edge: \"{prompt}\".", model, picture, page,
        prompt=Text("Prompt", prompt), seed=Number("Seed", seed, dice=True), side=Choice("Side", side, SIDES),
        windows=Slider("Windows", windows, 1, MOST), rounds=Slider("Rounds at each step", rounds, 1, 10))

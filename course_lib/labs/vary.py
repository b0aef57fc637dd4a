"""The lab on image to image: a page, a picture of one's own or a sketch, and as much noise on it as is asked for."""

import numpy as np

from course_lib import interventions
from course_lib.labs.controls import Choice, Number, Slider, Text
from course_lib.labs.denoising import cost
from course_lib.labs.distances import curve_of, rms
from course_lib.labs.easel import Easel, put_on
from course_lib.labs.pictured import BLANK, OWN, PAGE, PictureLab
from course_lib.labs.prompted import check_prompt
from course_lib.labs.trajectory import VIEWS, frames_of, led_by
from course_lib.pipeline import GUIDANCE, Result, TextToImage, load_text_to_image
from course_lib.runtime import CourseError

WAY, ALL = "every step", "every strength"
SHOWN = (WAY, ALL)
STRENGTHS = tuple(i / 10 for i in range(11))
SCHEDULER = "ddim"  # its times are evenly spaced, so that every strength finds its own
FIRST = "the picture to start from"
SIDE = 320  # of a picture on the page, as on the easel
CURVE_LABEL = "How far the result is from the picture to start from, in grey levels of 255 (RMS)."
PROMPT = "a large red car in the snow at night"
PAGE_SHOWN = 26


def compute(picture: np.ndarray, prompt: str = PROMPT, seed: int = 0, strength: float = 0.6, negative_prompt: str = "",
            show: str = WAY, steps: int = 20, guidance: float = GUIDANCE, model: TextToImage | None = None) -> dict:
    """What the Scrubber shows of `interventions.vary`: `views`, `labels`, `note`, `remarks` and more.

    picture: uint8 (64, 64, 3); show: "every step" for the picture, then noise on it, then each step to the result, or
    "every strength" for the results at 0, 0.1, ... 1, with `distances`, how far each is from the picture. The others:
    as for `vary`; model: None for the shipped one. Raises CourseError for whatever `vary` refuses, or an unknown show.
    """
    model = load_text_to_image() if model is None else model
    check_prompt(prompt)
    if show not in SHOWN:
        raise CourseError(f"This lab cannot show '{show}': choose from {', '.join(SHOWN)}.")

    def at(amount: float) -> Result:
        return interventions.vary(picture, prompt, amount, seed, steps=steps, guidance=guidance, scheduler=SCHEDULER,
                                  negative_prompt=negative_prompt, model=model)

    if show == ALL:
        results = [at(amount) for amount in STRENGTHS]
        shown = passage(picture, results, steps) | {"start": nearest(strength), "note": cost(results)}
    else:
        results = [at(strength)]
        shown = way(picture, results[0]) | {"note": cost(results)}
    return shown | {"remarks": results[0].remarks, "strip": True, "display_size": SIDE}


def nearest(strength: float) -> int:
    """The frame of this strength."""
    return min(range(len(STRENGTHS)), key=lambda i: abs(STRENGTHS[i] - strength))


def way(picture: np.ndarray, result: Result) -> dict:
    """The picture, and then every step from its noisy version on. Strength 0 has no steps."""
    if not result.trajectory:
        return {"views": {name: picture[None] for name in VIEWS[:2]}, "labels": [f"{FIRST}: strength 0 returns it"]}
    views, labels = led_by(picture, FIRST, *frames_of(result.trajectory, result.schedule, result.decode, 1))
    return {"views": {name: views[name] for name in VIEWS[:2]}, "labels": labels}


def passage(picture: np.ndarray, results: list[Result], steps: int) -> dict:
    """A frame for each strength: the result, and the noisy picture that it was made from."""
    begun = [result.decode(result.trajectory[0].x)[0] if result.trajectory else picture for result in results]
    distances = [rms(result.picture, picture) for result in results]
    labels = [f"strength {amount:.1f} · {len(result.trajectory)} of {steps} steps · {distance:.0f} grey levels away"
              for amount, result, distance in zip(STRENGTHS, results, distances)]
    views = {"result": [result.picture for result in results], "what it starts from": begun}
    return {"views": {name: np.stack(frames) for name, frames in views.items()}, "labels": labels,
            "distances": distances, "curve": curve_of(CURVE_LABEL, {"the result": distances})}


def vary(picture=None, prompt: str = PROMPT, seed: int = 0, strength: float = 0.6, negative_prompt: str = "",
         show: str = WAY, page: int = PAGE_SHOWN, sketch: np.ndarray | None = None,
         model: TextToImage | None = None) -> PictureLab:
    """Start from a picture in place of noise: a page of the book, a picture of your own, or what you draw on either.

    picture: a path or a uint8 array (H, W, 3), None for the page of the book with the number `page`; sketch: what is
    drawn on it at first, uint8 (64, 64), 0 for nothing and i for the i-th colour of `easel.PAINT_BOX`; the others: as
    for `compute`. Raises CourseError on anything else.
    """
    return PictureLab(
        compute, "A picture, noise on it, and \"{prompt}\" painted out of that.", model, picture, page,
        sources=(PAGE, BLANK, OWN), easel=lambda painted: Easel(painted, sketch),
        seen=lambda base, ink: {"picture": put_on(base, ink)},
        prompt=Text("Prompt", prompt), negative_prompt=Text("Negative prompt", negative_prompt),
        strength=Slider("Strength", strength, 0, 1, 0.05), seed=Number("Seed", seed, dice=True),
        show=Choice("Scrub", show, SHOWN))

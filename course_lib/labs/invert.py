"""The lab on inversion: from a picture up to the noise that leads to it, and down again, with its prompt or another."""

import numpy as np

from course_lib import interventions
from course_lib.evaluation import psnr
from course_lib.labs.controls import Number, Slider, Text
from course_lib.labs.distances import curve_of, rms
from course_lib.labs.pictured import PAGE, PictureLab, page as page_of
from course_lib.labs.prompted import check_prompt
from course_lib.labs.trajectory import beside, moment
from course_lib.pictures import GAP
from course_lib.pipeline import GUIDANCE, TextToImage, load_text_to_image

MOST_FRAMES = 21
SIDE = 176  # of a picture on the page
HEADS = ("the picture, going up", "down: its own prompt", "down: the other prompt")
CURVE_LABEL = "How far each way down is from the way up, latents in standard deviations (RMS)."
PAGE_SHOWN = 35
OTHER = "a large red cat in the middle in the desert by day under a clear sky with the sun"


def compute(picture: np.ndarray, prompt: str, other: str, steps: int = 50, guidance: float = GUIDANCE,
            model: TextToImage | None = None) -> dict:
    """What the Scrubber shows of `interventions.invert`: from the noise that was found to three pictures side by side.

    picture: uint8 (64, 64, 3); prompt: what it shows; other: what it is to show; guidance: of the way down with
    `other`; model: None for the shipped one. Frame i shows, at one time t, the way up, the way down with the same
    prompt at guidance 1, and the way down with the other. Gives `views`, `labels`, `cells`, `curve` (how far each way
    down has come from the way up), `note` (the error of the first), `remarks`, and `error`, that of the picture that
    came back, in grey levels (RMS). Raises CourseError for whatever `invert` and `repaint` refuse.
    """
    model = load_text_to_image() if model is None else model
    check_prompt(prompt)
    check_prompt(other)
    inversion = interventions.invert(picture, prompt, steps, model=model)
    same = interventions.repaint(inversion, prompt, guidance=1, model=model)
    edited = interventions.repaint(inversion, other, guidance=guidance, model=model)
    up = points(inversion.trajectory)[::-1]
    ways = [up, points(same.trajectory), points(edited.trajectory)]
    chosen = np.unique(np.linspace(0, steps, min(steps + 1, MOST_FRAMES)).round().astype(int)).tolist()
    frames = [np.concatenate([same.decode(way[i][1]) for i in chosen]) for way in ways]
    frames[0][-1] = picture
    distances = {head: [float((way[i][1] - up[i][1]).square().mean().sqrt()) for i in chosen]
                 for head, way in zip(HEADS[1:], ways[1:])}
    error = rms(same.picture, picture)
    return {"views": {"noisy picture": beside(frames)},
            "labels": [moment(i, steps, up[i][0], same.schedule) for i in chosen],
            "cells": {"columns": 3, "gap": GAP, "heads": list(HEADS), "texts": [""] * 3, "wrap": True},
            "curve": curve_of(CURVE_LABEL, distances, 0.5), "display_size": SIDE, "error": error,
            "note": told(error, float(psnr(same.pictures, picture[None])[0])),
            "remarks": list(dict.fromkeys([*inversion.remarks, *edited.remarks]))}


def points(trajectory: list) -> list[tuple]:
    """(t, x) at every point of a trajectory of n steps, n + 1 of them."""
    return [(step.t, step.x) for step in trajectory] + [(trajectory[-1].s, trajectory[-1].x_next)]


def told(error: float, quality: float) -> str:
    return (f"With its own prompt the picture comes back to {error:.1f} grey levels of 255 (RMS), a PSNR of "
            f"{quality:.1f} dB.")


class InvertLab(PictureLab):
    """The face of it: where no prompt is given, a page of the book has its own caption."""

    def given(self, values: dict) -> dict:
        given = super().given(values)
        if not given["prompt"].strip() and values["source"] == PAGE:
            given["prompt"] = page_of(values["number"])[1]
        return given


def invert(picture=None, prompt: str = "", other: str = OTHER, steps: int = 50, guidance: float = GUIDANCE,
           page: int = PAGE_SHOWN, model: TextToImage | None = None) -> InvertLab:
    """Find the noise that leads to a picture, and paint from it, with the picture's own prompt and with another.

    picture: a path or a uint8 array (H, W, 3), None for the page of the book with the number `page`; prompt: empty for
    what the page says; the others: as for `compute`. Raises CourseError on anything else.
    """
    return InvertLab(
        compute, "\"{prompt}\", inverted, and painted again.", model, picture, page,
        prompt=Text("Its own prompt (empty: what the page says)", prompt), other=Text("Other prompt", other),
        steps=Slider("Steps", steps, 2, 100), guidance=Slider("Guidance of the edit", guidance, 0, 12, 0.5))

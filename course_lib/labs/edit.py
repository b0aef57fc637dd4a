"""The lab on editing by words: the prompt changes half-way, keeps the attention of another, or one word weighs more."""

from typing import NamedTuple

import numpy as np

from course_lib import interventions
from course_lib.labs.controls import Choice, Number, Slider, Text
from course_lib.labs.distances import curve_of, rms
from course_lib.labs.prompted import PromptLab, check_prompt
from course_lib.labs.trajectory import beside
from course_lib.pictures import GAP
from course_lib.pipeline import GUIDANCE, Result, TextToImage, generate, load_text_to_image
from course_lib.runtime import CourseError, check_whole

TURN = "the prompt changes at a step"
SWAP = "the second prompt, the first one's attention"
WEIGH = "a word counts for more"
WAYS = (TURN, SWAP, WEIGH)
MOST_TURNS = 11  # a frame each; of more steps, evenly chosen ones
KEEPS = tuple(i / 10 for i in range(11))
WEIGHTS = (0, 0.25, 0.5, 1, 1.5, 2, 3, 5, 8, 12, 20)
SIDE = 176  # of a picture on the page
FIRST, SECOND = "the first prompt", "the second prompt"
CURVE_LABEL = "How far the edited picture is from the first prompt's, in grey levels of 255 (RMS)."
PROMPT, OTHER, WORD = "a large red castle in the snow at night", "a large red castle in a meadow at night", "snow"
NOTES = {TURN: "What is where is settled early: see up to which step the second prompt can still change it.",
         SWAP: "The first prompt's attention holds things in their places; with too much of it new words go unheard.",
         WEIGH: "The word's share of the attention counts so many times; 1 changes nothing, 0 takes it out of sight."}


class Edited(NamedTuple):
    """A picture for each frame, with its label; those of the prompts alone, to stand beside; the frame to open on."""

    results: list[Result]
    pictures: list[np.ndarray]
    labels: list[str]
    alone: dict[str, np.ndarray]
    start: int


def compute(prompt: str = PROMPT, other: str = OTHER, seed: int = 0, edit: str = TURN, word: str = WORD,
            steps: int = 20, guidance: float = GUIDANCE, model: TextToImage | None = None) -> dict:
    """What the Scrubber shows of an edit: a frame for each step to turn at, share to keep, or weight of a word.

    edit: "the prompt changes at a step" (`interventions.turn`), "the second prompt, the first one's attention"
    (`swap`) or "a word counts for more" (`emphasis` of `generate`, for `word` of `prompt`; `other` does nothing).
    Beside the edited picture stand those of the prompts alone. Gives `views`, `labels`, `cells`, `curve` and
    `distances` (how far the edited picture is from the first prompt's), `note`, `remarks`. Raises CourseError for
    whatever these refuse, or an unknown edit.
    """
    model = load_text_to_image() if model is None else model
    check_prompt(prompt)
    check_prompt(other)
    how = {"steps": check_whole(steps, "The number of steps", 1, 1000), "guidance": guidance, "model": model}
    if edit == TURN:
        made, name = turned(prompt, other, seed, how), "both, in turn"
    elif edit == SWAP:
        made, name = swapped(prompt, other, seed, how), "the edited one"
    elif edit == WEIGH:
        made, name = weighed(prompt, word, seed, how), f"\"{word}\" weighed"
    else:
        raise CourseError(f"There is no edit '{edit}' in this lab: choose from {', '.join(WAYS)}.")
    first, *others = [np.repeat(picture[None], len(made.labels), axis=0) for picture in made.alone.values()]
    heads = [*list(made.alone)[:1], name, *list(made.alone)[1:]]
    distances = [rms(picture, first[0]) for picture in made.pictures]
    return {"views": {"picture": beside([first, np.stack(made.pictures), *others])}, "labels": made.labels,
            "cells": {"columns": len(heads), "gap": GAP, "wrap": True, "heads": heads, "texts": [""] * len(heads)},
            "curve": curve_of(CURVE_LABEL, {name: distances}),
            "display_size": SIDE, "note": NOTES[edit], "remarks": made.results[0].remarks, "start": made.start,
            "distances": distances}


def turned(prompt: str, other: str, seed: int, how: dict) -> Edited:
    """A frame for each step at which the second prompt takes over."""
    steps = how["steps"]
    ats = np.unique(np.linspace(0, steps, min(steps + 1, MOST_TURNS)).round().astype(int)).tolist()
    results = [interventions.turn(prompt, other, at, seed, **how) for at in ats]
    pictures = [result.picture for result in results]
    return Edited(results, pictures, [f"the second prompt from step {at} of {steps} on" for at in ats[:-1]]
                  + ["the first prompt to the end"], {FIRST: pictures[-1], SECOND: pictures[0]}, len(ats) // 2)


def swapped(prompt: str, other: str, seed: int, how: dict) -> Edited:
    """A frame for each share of the steps that keep the first prompt's attention."""
    results = [interventions.swap(prompt, other, keep, seed, **how) for keep in KEEPS]
    pictures = [result.pictures[1] for result in results]
    labels = [f"the first prompt's attention for {keep:.0%} of the steps" for keep in KEEPS]
    return Edited(results, pictures, labels, {FIRST: results[0].pictures[0], SECOND: pictures[0]}, KEEPS.index(0.5))


def weighed(prompt: str, word: str, seed: int, how: dict) -> Edited:
    """A frame for each weight of the word."""
    results = [generate(prompt, seed, emphasis={word: weight}, **how) for weight in WEIGHTS]
    pictures = [result.picture for result in results]
    labels = [f"\"{word}\" counts {weight:g} times" for weight in WEIGHTS]
    return Edited(results, pictures, labels, {FIRST: pictures[WEIGHTS.index(1)]}, WEIGHTS.index(5))


def edit(prompt: str = PROMPT, other: str = OTHER, seed: int = 0, edit: str = TURN, word: str = WORD, steps: int = 20,
         model: TextToImage | None = None) -> PromptLab:
    """Change what is painted by changing words, and scrub how much; the arguments are those of `compute`."""
    return PromptLab(
        compute, "\"{prompt}\", and what an edit makes of it.", model,
        edit=Choice("Edit", edit, WAYS), prompt=Text("Prompt", prompt), other=Text("Second prompt", other),
        word=Text("Word of the first prompt to weigh", word), seed=Number("Seed", seed, dice=True),
        steps=Slider("Steps", steps, 2, 50))

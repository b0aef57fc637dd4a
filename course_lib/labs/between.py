"""The lab on the way between two pictures: from one starting noise to another, or from one prompt to another."""

import re
from pathlib import Path

import numpy as np

from course_lib import interventions
from course_lib.labs.controls import Button, Choice, Number, Slider, Text
from course_lib.labs.denoising import cost
from course_lib.labs.distances import curve_of, rms
from course_lib.labs.prompted import PromptLab, check_prompt
from course_lib.pipeline import GUIDANCE, TextToImage, load_text_to_image
from course_lib.runtime import CourseError

SEEDS, PROMPTS = "two seeds", "two prompts"
WAYS = (SEEDS, PROMPTS)
MOST = 41  # pictures on the way
CURVE_LABEL = "How much each picture differs from the one before it, in grey levels of 255 (RMS)."
PROMPT, OTHER = "a small red house on the left at night", "a small blue boat on the left at sunset"


def compute(prompt: str = PROMPT, other: str = OTHER, seed: int = 0, other_seed: int = 1, between: str = SEEDS,
            count: int = 9, steps: int = 20, guidance: float = GUIDANCE, model: TextToImage | None = None) -> dict:
    """What the Scrubber shows of the way between two pictures, a frame for each of `count` pictures on it.

    between: "two seeds" (`interventions.between_seeds`, both with `prompt`) or "two prompts" (`between_prompts`, both
    with `seed`); model: None for the shipped one. Gives `views`, `labels`, `curve` (how large each change is), `note`
    and `remarks`. Raises CourseError for whatever these refuse, or an unknown way.
    """
    model = load_text_to_image() if model is None else model
    check_prompt(prompt)
    check_prompt(other)
    how = {"count": count, "steps": steps, "guidance": guidance, "model": model}
    if between == SEEDS:
        result = interventions.between_seeds(prompt, (seed, other_seed), **how)
        ends = [f"seed {seed}", f"seed {other_seed}"]
    elif between == PROMPTS:
        result = interventions.between_prompts((prompt, other), seed, **how)
        ends = ["the first prompt", "the second"]
    else:
        raise CourseError(f"There is no way between '{between}' in this lab: choose from {', '.join(WAYS)}.")
    shares = np.linspace(0, 1, count)
    labels = [ends[0], *[f"{share:.0%} of the way from {ends[0]} to {ends[1]}" for share in shares[1:-1]], ends[1]]
    changes = [0.0, *[rms(*pair) for pair in zip(result.pictures[1:], result.pictures)]]
    return {"views": {"picture": result.pictures}, "labels": labels, "strip": True, "note": cost([result]),
            "remarks": result.remarks, "film": name_of_film(between, prompt, other, seed, other_seed),
            "curve": curve_of(CURVE_LABEL, {"the change": changes})}


def name_of_film(between: str, prompt: str, other: str, seed: int, other_seed: int) -> str:
    """What the file of a film is called, such as "a_red_house_seed_3_to_8.gif"."""
    begin, end = ("_".join(re.findall(r"\w+", text.lower()))[:60] for text in (prompt, other))
    return f"{begin}_seed_{seed}_to_{other_seed}.gif" if between == SEEDS else f"{begin}_to_{end}_seed_{seed}.gif"


class BetweenLab(PromptLab):
    """The face of it: what is shown can be saved as a film, in the folder in which the notebook runs."""

    presses = 0

    def given(self, values: dict) -> dict:
        return {name: value for name, value in values.items() if name != "film"}

    def ask(self, values: dict) -> None:
        if values["film"] == self.presses:
            super().ask(values)
            return
        self.presses = values["film"]
        try:
            path = self.save()
        except CourseError as error:
            self.controls.say(str(error), wrong=True)
        else:
            self.controls.say(f"The film is {path.name}, in the folder {path.parent}: there and back, without end.")

    def save(self) -> Path:
        """Write what is shown as an animated GIF into the working folder, and give its path."""
        frames = self.result["views"]["picture"]
        return interventions.save_film(frames, Path.cwd() / self.result["film"], there_and_back=True)


def between(prompt: str = PROMPT, other: str = OTHER, seed: int = 0, other_seed: int = 1, between: str = SEEDS,
            count: int = 9, model: TextToImage | None = None) -> BetweenLab:
    """Scrub the way from one picture to another, and save it as a film; the arguments are those of `compute`."""
    return BetweenLab(
        compute, "The way between two pictures, beginning with \"{prompt}\".", model, start=0,
        between=Choice("Between", between, WAYS), prompt=Text("Prompt", prompt),
        other=Text("Second prompt (for two prompts)", other), seed=Number("Seed", seed, dice=True),
        other_seed=Number("Second seed (for two seeds)", other_seed, dice=True),
        count=Slider("Pictures", count, 2, MOST), film=Button("Save as a film"))

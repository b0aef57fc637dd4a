"""The denoising lab: a prompt, a seed, and the whole way from noise to picture; one picture, or a grid of nine."""

import numpy as np

from course_lib.labs.controls import Choice, Number, Slider, Text
from course_lib.labs.prompted import PromptLab, check_prompt
from course_lib.labs.trajectory import VIEWS, frames_of
from course_lib.pictures import GAP
from course_lib.pipeline import GUIDANCE, Result, TextToImage, generate, load_text_to_image
from course_lib.runtime import CourseError
from course_lib.schedulers import SCHEDULERS

ONE, BY_GUIDANCE, BY_STEPS = "one picture", "seeds × guidance", "seeds × steps"
GRIDS = (ONE, BY_GUIDANCE, BY_STEPS)
SCALES, STEP_COUNTS = (1, 3, 8), (4, 8, 20)  # down a grid
ACROSS = 3  # seeds, from the one that is chosen
SIDE = 144  # of a grid's picture on the page
GRID_FRAMES = 21  # of trajectories that may differ in length, by the share of the way
PROMPT = "a small red house on the left at night"


def compute(prompt: str = PROMPT, seed: int = 7, steps: int = 20, guidance: float = GUIDANCE,
            scheduler: str = "dpmpp_2m", grid: str = ONE, model: TextToImage | None = None) -> dict:
    """What the Scrubber shows: the trajectory in three views, its cost as `note`, and `remarks` on the prompt.

    prompt, seed, steps, guidance, scheduler: as for `pipeline.generate`; grid: "one picture", or nine, from the next
    three seeds and three guidance scales ("seeds × guidance") or three numbers of steps ("seeds × steps"), which one
    slider scrubs, by the share of the way. model: None for the shipped one.
    Raises CourseError for whatever `generate` refuses, or an unknown grid.
    """
    model = load_text_to_image() if model is None else model
    if grid not in GRIDS:
        raise CourseError(f"There is no grid '{grid}' in this lab: choose from {', '.join(GRIDS)}.")
    check_prompt(prompt)
    if grid == ONE:
        result = generate(prompt, seed, steps, guidance, scheduler, model=model)
        views, labels = frames_of(result.trajectory, result.schedule, result.decode, 1)
        return {"views": views, "labels": labels, "note": cost([result]), "strip": True, "remarks": result.remarks}
    seeds = [seed + i for i in range(ACROSS)] if isinstance(seed, int) else [seed]
    by_guidance = grid == BY_GUIDANCE
    rows = {scale: (steps, scale) for scale in SCALES} if by_guidance else {
        count: (count, guidance) for count in STEP_COUNTS}
    results = [generate(prompt, seeds, *row, scheduler, model=model) for row in rows.values()]
    return nine(results, [f"{'guidance' if by_guidance else 'steps'} {value}" for value in rows])


def nine(results: list[Result], names: list[str]) -> dict:
    """The frames of a grid: a row of pictures for each result, all at the same share of their way."""
    parts = [frames_of(result.trajectory, result.schedule, result.decode, ACROSS) for result in results]
    views = {}
    for name in VIEWS[:2]:
        rows = []
        for frames, _ in parts:
            moments = np.linspace(0, len(frames[name]) - 1, GRID_FRAMES).round().astype(int)
            rows.append(np.pad(frames[name][moments], ((0, 0), (0, GAP), (0, 0), (0, 0)), constant_values=255))
        views[name] = np.concatenate(rows, axis=1)[:, :-GAP]
    heads = [f"seed {seed} · {name}" for result, name in zip(results, names) for seed in result.seeds]
    labels = [f"{i / (GRID_FRAMES - 1):.0%} of the way from noise to picture" for i in range(GRID_FRAMES)]
    return {"views": views, "labels": labels, "note": cost(results), "remarks": results[0].remarks,
            "display_size": SIDE,
            "cells": {"columns": ACROSS, "gap": GAP, "heads": heads, "texts": [""] * len(heads), "wrap": False}}


def cost(results: list[Result]) -> str:
    """What the pictures cost, in a sentence."""
    evaluations = sorted({result.nfe for result in results})
    pictures = sum(len(result.pictures) for result in results)
    told = f"{evaluations[0]}" + (f" to {evaluations[-1]}" if len(evaluations) > 1 else "")
    return (f"{told} network evaluations a picture · {sum(result.seconds for result in results):.2f} seconds "
            f"for {'one picture' if pictures == 1 else f'{pictures} pictures'} here")


def denoising(prompt: str = PROMPT, seed: int = 7, steps: int = 20, guidance: float = GUIDANCE,
              scheduler: str = "dpmpp_2m", grid: str = ONE, model: TextToImage | None = None) -> PromptLab:
    """Paint, and scrub through every step of it; change the prompt, the seed, the number of steps, the guidance, the
    scheduler. The arguments, with which it opens, are those of `compute`."""
    return PromptLab(compute, "\"{prompt}\" painted out of noise.", model, prompt=Text("Prompt", prompt),
                     seed=Number("Seed", seed, dice=True), steps=Slider("Steps", steps, 1, 50),
                     guidance=Slider("Guidance", guidance, 0, 12, 0.5),
                     scheduler=Choice("Scheduler", scheduler, tuple(SCHEDULERS)), grid=Choice("Show", grid, GRIDS))

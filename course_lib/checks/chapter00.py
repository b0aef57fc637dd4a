"""Checks for chapter 00, Start here."""

import numpy as np

from course_lib.checks.core import Wrong, check, expect_whole
from course_lib.pipeline import generate_pixels
from course_lib.runtime import MAX_SEED, CourseError, check_whole

SHOWN = range(1, 11)  # the ten seeds that the chapter shows
NIGHT_BRIGHTNESS = 109  # of 255: in 1,500 picture-book pages the nights reach 104, all other times start at 114


@check("Put True or False in place of the dots.")
def same_picture(answer) -> str:
    if not isinstance(answer, (bool, np.bool_)):
        raise Wrong(f"The answer is True or False, but you put {answer!r}.")
    if not answer:
        raise Wrong("They do get the same one: what is random here is the starting noise, and the seed sets it.")
    return "The seed sets the noise and the noise sets the picture, on every laptop."


@check("Put a whole number in place of the dots.")
def evaluations(answer) -> str:
    answer = expect_whole(answer, 0, 1000)
    if answer == 41:
        raise Wrong("41 counts the pictures along the way, the first static included; there is one step fewer.")
    measured = generate_pixels(seed=5, steps=40).nfe
    if answer != measured:
        raise Wrong(f"Each step asks the network once, and there are 40 of them; you put {answer}.")
    return f"One evaluation a step: {measured}. The network is where the time goes."


@check("Put a seed, a whole number from 0 up, in place of the dots.")
def night_seed(answer) -> str:
    try:
        seed = check_whole(answer, "The seed", 0, MAX_SEED)
    except CourseError as error:
        raise Wrong(str(error)) from None
    if seed in SHOWN:
        raise Wrong(f"Seed {seed} is one of the ten above: look for a night among others, many at once.")
    picture = generate_pixels(seed=seed, steps=30).picture
    brightness = picture[:16].mean()
    if brightness > NIGHT_BRIGHTNESS:
        raise Wrong(f"The upper half of that picture has a brightness of {brightness:.0f} of 255, too bright for a "
                    f"night (at most {NIGHT_BRIGHTNESS}): try other seeds, many at once.")
    return f"The upper half of seed {seed}'s picture has a brightness of {brightness:.0f} of 255: a night sky."

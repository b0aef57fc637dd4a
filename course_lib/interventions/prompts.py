"""Changing the words: at a step, or one for another with the layout kept."""

from course_lib.editing import align, inject
from course_lib.guidance import interval
from course_lib.interventions.given import check_share
from course_lib.pipeline import Painting, Result, generate
from course_lib.runtime import check_whole


def turn(prompt: str, then: str, at: int, seed: int = 0, **how) -> Result:
    """The prompt changes at step `at`: 0 is the new prompt alone, as many as there are steps the old one alone.

    Early steps settle the layout, late ones the details. (Prompt editing.) how: as for `generate`. Raises CourseError
    for a step that there is not.
    """
    def change(painting: Painting) -> None:
        step = check_whole(at, "The step at which the prompt changes", 0, len(painting.ts) - 1)
        old, new, until = painting.steer, painting.guide([then] * len(painting.prompts)), painting.ts[step]
        painting.steer = lambda denoise: interval(new(denoise), old(denoise), 0, until)

    return generate(prompt, seed, change=change, **how)


def swap(prompt: str, other: str, keep: float = 0.5, seed: int = 0, **how) -> Result:
    """Prompt-to-Prompt: pictures[0] is the prompt's, pictures[1] the other's, painted with the attention of the first.

    (Hertz et al. 2022, section 3.) Both start from the same noise. keep: for which share of the steps, from the first
    on, the attention of the first is taken over (`editing.inject`, words matched by `editing.align`); 0 is plain
    generating, and much beyond half the new word is obeyed less often. how: as for `generate`. Raises CourseError for
    what is out of range.
    """
    check_share(keep, "The share of the steps to keep")

    def change(painting: Painting) -> None:
        plain, sources = painting.steer, align(prompt, other)
        left = painting.ts[round(keep * (len(painting.ts) - 1))]
        painting.steer = lambda denoise: interval(plain(denoise), plain(inject(denoise, sources)), 0, left)

    return generate([prompt, other], [seed, seed], change=change, **how)

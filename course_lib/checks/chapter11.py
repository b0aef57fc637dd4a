"""Checks for chapter 11, What breaks, and why."""

import math

import numpy as np

from course_lib.checks.core import Wrong, check, expect_number, expect_whole
from course_lib.experiments import wilson


@check("Put a number in place of the dots.")
def leaking(answer) -> str:
    answer = expect_number(answer)
    if math.isclose(answer, 0.5, abs_tol=1e-6) or math.isclose(answer, 50):
        return "Four cases, equally likely: two of them give both things the same colour."
    if math.isclose(answer, 0.25, abs_tol=1e-6):
        raise Wrong("A quarter is both red, or both blue; either counts as a leak.")
    if math.isclose(answer, 1 / 3, abs_tol=0.01):
        raise Wrong("The three outcomes are not equally likely: write down the four cases, thing by thing.")
    raise Wrong("Each thing throws a coin: red or blue. Write down all cases, and count those with one colour twice.")


@check("Fill in the body of my_interval: it returns (low, high).")
def interval(function) -> str:
    for right, of in ((31, 40), (0, 24), (16, 16), (120, 400)):
        got = function(right, of)
        if got is None or got is ...:
            raise NotImplementedError
        try:
            low, high = map(float, got)
        except (TypeError, ValueError):
            raise Wrong(f"my_interval should return two numbers, low and high, but it returned {got!r}.") from None
        case, share, n = f"For {right} of {of}: ", right / of, of
        if np.allclose((low, high), wilson(right, of), atol=2e-4):
            continue
        half = 1.96 * math.sqrt(share * (1 - share) / n)
        if np.allclose((low, high), (share - half, share + half), atol=2e-4):
            raise Wrong(case + "that is the plain bell curve round the share. It takes 0 of 24 for certain; Wilson's "
                        "formula has z²/n in it, three times.")
        if np.allclose((low, high), [100 * end for end in wilson(right, of)], atol=0.05):
            raise Wrong(case + "that is in percent; return shares from 0 to 1.")
        if np.allclose((low, high), wilson(right, of)[::-1], atol=2e-4):
            raise Wrong(case + "low and high have changed places.")
        if np.allclose((low, high), wilson(right, of, 1.0), atol=2e-4):
            raise Wrong(case + "that is for z = 1, about two thirds sure; 95 % is z = 1.96.")
        room = 1.96**2 / n
        if np.allclose([low, high], [end * (1 + room) for end in wilson(right, of)], atol=2e-4):
            raise Wrong(case + "both the middle and the half are still to be divided by 1 + z²/n.")
        if high > 1 or low < 0:
            raise Wrong(case + f"you get {low:.3f} to {high:.3f}, and shares lie between 0 and 1. Mind the order: "
                        "z**2 / 2 * n multiplies by n; write z**2 / (2 * n).")
        raise Wrong(case + f"you get {low:.3f} to {high:.3f}. Compute the middle and the half apart, and then take "
                    "middle - half and middle + half.")
    return "Now a share comes with its doubt, even where nothing, or everything, was right."


def needed(first: float = 0.5, second: float = 0.6) -> int:
    """The smallest number of pictures for each, at which the intervals of two shares no longer touch."""
    return next(n for n in range(1, 10_000)
                if wilson(round(first * n), n)[1] < wilson(round(second * n), n)[0])


@check("Put a number in place of the dots.")
def enough(answer) -> str:
    answer, right = expect_whole(answer, 1, 10_000), needed()
    if abs(answer - right) <= 20:
        return (f"About {right} for each: a difference of ten points is far more than a handful of pictures can show. "
                "(Comparing each picture with its twin, from the same noise, needs fewer.)")
    if answer < right:
        low, high = wilson(round(0.5 * answer), answer)[1], wilson(round(0.6 * answer), answer)[0]
        raise Wrong(f"With {answer} pictures 50 % may be {100 * low:.0f} %, and 60 % may be {100 * high:.0f} %: the "
                    "intervals still overlap.")
    raise Wrong(f"With {answer} they are apart, but fewer would do: look for the smallest number.")


@check("Fill in the body of my_blame: it returns a dictionary with three shares.")
def blame(function) -> str:
    parts = ("oracle", "VAE", "denoiser")
    for real, copies, painted in ((0.98, 0.9, 0.4), (1.0, 0.6, 0.0), (0.95, 0.95, 0.95)):
        got = function(real, copies, painted)
        if got is None or got is ...:
            raise NotImplementedError
        if not isinstance(got, dict) or set(got) != set(parts):
            raise Wrong(f"my_blame should return a dictionary with the keys {', '.join(parts)}.")
        values = [expect_number(got[name], f"The share of the {name}") for name in parts]
        case = f"For real {real}, copies {copies}, painted {painted}: "
        if np.allclose(values, [1 - real, real - copies, copies - painted], atol=1e-6):
            continue
        if np.allclose(values, [1 - real, 1 - copies, 1 - painted], atol=1e-6):
            raise Wrong(case + "each later stage has the faults of the earlier ones in it; take off what was lost "
                        "before.")
        if np.allclose(values, [real, copies, painted], atol=1e-6):
            raise Wrong(case + "these are the shares that are right; blame is what is lost from one to the next.")
        if np.allclose(values, [real - 1, copies - real, painted - copies], atol=1e-6):
            raise Wrong(case + "the signs are the wrong way round: a loss counts as positive here.")
        raise Wrong(case + f"you get {', '.join(f'{value:.2f}' for value in values)}. All three and what was painted "
                    "right must add up to 1.")
    return "Three subtractions, and the quarrel about whose fault it is becomes a table."


@check("Fill in the body of my_verdict: it returns one of four words.")
def verdict(function) -> str:
    cases = [(("red", "blue"), ("red", "blue"), "right"), (("red", "blue"), ("blue", "red"), "swapped"),
             (("red", "blue"), ("red", "red"), "leaked"), (("red", "blue"), ("blue", "blue"), "leaked"),
             (("red", "blue"), ("red", "green"), "other"), (("red", "blue"), ("green", "green"), "other"),
             (("pink", "white"), ("blue", "pink"), "other"), (("white", "pink"), ("white", "pink"), "right")]
    for asked, seen, wanted in cases:
        got = function(asked, seen)
        if got is None or got is ...:
            raise NotImplementedError
        if got == wanted:
            continue
        case = f"Asked for {' and '.join(asked)}, seen {' and '.join(seen)}: "
        if got not in ("right", "swapped", "leaked", "other"):
            raise Wrong(case + f"the answer should be right, swapped, leaked or other, not {got!r}.")
        if wanted == "other" and got == "leaked" and seen[0] == seen[1]:
            raise Wrong(case + "the same twice, but nobody asked for it: that is no leak.")
        if got == "swapped":
            raise Wrong(case + "not both have the other's colour; compare the whole pair, turned round.")
        if wanted == "other" and got == "right":
            raise Wrong(case + "one colour is right, and the other is not: both must be.")
        raise Wrong(case + f"that is {wanted}, and you say {got}.")
    return "The same four words as in the experiment, which counts a fifth case besides: a thing that is not there."


@check("Fill in the body of my_copies: it returns True or False for each picture.")
def copied(function) -> str:
    # Pages on a line; some pictures lie between two of them, and one is far from all and yet a copy.
    pages, pictures = (np.array([[place, 0.0] for place in places]) for places in (
        (0, 10, 30, 200), (10.5, 0, 20, 26, 5, 24, 160, 6)))
    distances = np.linalg.norm(pictures[:, None] - pages[None], axis=2)
    first, second = np.sort(distances, axis=1)[:, :2].T
    wanted = first < second / 3
    got = function(pictures.copy(), pages.copy())
    if got is None or got is ...:
        raise NotImplementedError
    got = np.asarray(got)
    if got.shape != wanted.shape:
        raise Wrong(f"One answer for each picture is wanted, shape {wanted.shape}, but yours has the shape "
                    f"{got.shape}.")
    if got.dtype != bool:
        raise Wrong(f"The answers should be True or False, but they are {got.dtype}: end on a comparison.")
    if (got == wanted).all():
        return "The same test found copies of training pictures among the outputs of large models."
    if (got == ~wanted).all():
        raise Wrong("True and False have changed places: a copy is nearer than a third.")
    if (got == (first**2 < second**2 / 3)).all():
        raise Wrong("You compare squared distances with a third: take their roots first.")
    if (got == (first < second)).all():
        raise Wrong("Every picture has a nearest page; it is a copy only if that is three times nearer than the "
                    "second.")
    if (got == (first == 0)).all():
        raise Wrong("A copy need not be exact to the pixel: measure with the second nearest page.")
    i = int(np.flatnonzero(got != wanted)[0])
    raise Wrong(f"Picture {i} has its nearest page at {first[i]:g} and the second at {second[i]:g}; is {first[i]:g} "
                f"less than a third of {second[i]:g}? You say {bool(got[i])}.")

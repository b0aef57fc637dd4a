"""Checks for chapter 10, Intervene."""

import math
from functools import cache

import torch

from course_lib.checks.core import Wrong, check, close, expect_tensor, expect_whole
from course_lib.evaluation import read
from course_lib.guidance import Steered
from course_lib.interventions import turn
from course_lib.models import oracle_from, weights_for
from course_lib.runtime import random_source
from course_lib.sampling import slerp
from course_lib.schedulers import SCHEDULES, ddim, time_grid

COSINE = SCHEDULES["cosine"]
FIRST = "a large red house on the left in a meadow by day"
THEN = FIRST.replace("left", "right")
SEEDS, STEPS = (0, 1, 2, 3), 12


@check("Put a whole number in place of the dots.")
def evaluations(answer) -> str:
    answer = expect_whole(answer, 0, 10_000)
    if answer == 40:
        raise Wrong("40 is what a new picture costs. Image to image begins in the middle: which steps are left out?")
    if answer == 28:
        raise Wrong("28: you have kept the steps that are left out. At t = 0.3 the walk has 0.3 of its way before it.")
    if answer == 6:
        raise Wrong("6 steps are taken, that is right; but a guided step needs two guesses.")
    if answer != 12:
        raise Wrong(f"Count the steps below t = 0.3, of 20 evenly spaced ones, and two guesses for each: not {answer}.")
    return "0.3 × 20 = 6 steps with two guesses each. A low strength is cheap, too."


def _a_start(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    source = random_source(seed)
    return tuple(torch.randn(1, 4, 3, 3, generator=source) for _ in range(2))


@check("Fill in the body of my_start: it returns the noisy x and the times that are left.")
def start(function) -> str:
    z, eps = _a_start(0)
    for strength, spacing, steps in ((0.5, "uniform", 10), (0.62, "uniform", 10), (0.62, "log_snr", 8),
                                     (1.0, "uniform", 4)):
        ts = time_grid(COSINE, steps, spacing)
        got = function(COSINE, z.clone(), eps.clone(), list(ts), strength)
        if got is None or got is ...:
            raise NotImplementedError
        if not isinstance(got, tuple) or len(got) != 2:
            raise Wrong("Return two things: the noisy x, and the list of times that are left.")
        first = min(range(len(ts)), key=lambda i: abs(ts[i] - strength))
        x, left = expect_tensor(got[0], z, "The noisy x"), list(got[1])
        _check_times(left, ts, first, strength)
        _check_noised(x, z, eps, ts[first], strength)
    return "That is image to image: the rest is the loop that you know, with fewer steps."


def _check_times(left: list, ts: list[float], first: int, strength: float) -> None:
    case = f"At strength {strength:g}, with {len(ts) - 1} steps, "
    if left == ts[first:]:
        return
    if left == ts and first:
        raise Wrong(case + "you return all times: the walk would begin at t = 1, where no picture is left.")
    if left == ts[first + 1:]:
        raise Wrong(case + "the first time is missing: x is at that time, and the first step starts from there.")
    opposite = min(range(len(ts)), key=lambda i: abs(ts[i] - (1 - strength)))
    if left == ts[opposite:]:
        raise Wrong(case + "you begin at 1 - strength: a strength near 1 should leave little of the picture.")
    if left == ts[:first + 1]:
        raise Wrong(case + "these are the times that are skipped; the walk goes down from here to 0.")
    if left and left[0] not in ts:
        raise Wrong(case + f"the walk begins at {left[0]:.3f}, which is no time of the grid: take the nearest that is.")
    raise Wrong(case + f"the times that are left should be the {len(ts) - first} from {ts[first]:.3f} down, but there "
                f"are {len(left)}.")


def _check_noised(x: torch.Tensor, z: torch.Tensor, eps: torch.Tensor, t: float, strength: float) -> None:
    if close(x, COSINE.add_noise(z, eps, t)):
        return
    case = f"At strength {strength:g}, where the walk begins at t = {t:.3f}, "
    for wrong, words in (
            (z + COSINE.sigma(t) * eps, "the picture is not shrunk: alpha belongs in front of z."),
            (COSINE.add_noise(z, eps, strength), "you noise to the strength itself, but the loop will be told the time "
             "of the grid: noise to that."),
            (COSINE.add_noise(eps, z, t), "picture and noise have changed places."),
            ((1 - t) * z + t * eps, "you mix with 1 - t and t; the schedule's alpha and sigma say how much."),
            (z, "there is no noise in x at all."), (eps, "there is nothing of the picture in x.")):
        if close(x, wrong):
            raise Wrong(case + words)
    raise Wrong(case + "x is not alpha times z plus sigma times eps, at that time.")


@check("Fill in the body of my_slerp: it returns a tensor on the arc from a to b.")
def arc(function) -> str:
    source = random_source(1)
    first, fresh = (torch.randn(4, 8, 8, generator=source) for _ in range(2))
    for alike, share in ((0.8, 0.2), (0.0, 0.5), (0.8, 0.0), (-0.5, 0.7)):
        a, b = first, alike * first + math.sqrt(1 - alike**2) * fresh
        got = expect_tensor(function(a.clone(), b.clone(), share), a, "The tensor in between")
        if close(got, slerp(a, b, share), 1e-3):
            continue
        angle = torch.acos((a * b).sum() / (a.norm() * b.norm()))
        case = f"With {math.degrees(angle):.0f} degrees between a and b, at share {share:g}, "
        if not got.isfinite().all():
            raise Wrong(case + "some numbers are not finite: a cosine lies between -1 and 1; divide by both lengths.")
        line = torch.lerp(a, b, share)
        right = math.cos(share * math.pi / 2) * a + math.sin(share * math.pi / 2) * b
        weight = torch.sin((1 - share) * angle), torch.sin(share * angle)
        for wrong, words in (
                (line, "you are on the straight line, on which the noise is too weak in the middle."),
                (slerp(a, b, 1 - share), "a and b have changed places: share 0 is a, 1 is b."),
                (right, "you take the angle for 90 degrees; measure it."),
                (line / math.sqrt((1 - share) ** 2 + share**2), "you scale the straight line as for 90 degrees; that "
                 "is near, but the angle is another one."),
                (weight[0] * a + weight[1] * b, "you have left out the division by the sine of the angle.")):
            if close(got, wrong, 1e-3):
                raise Wrong(case + words)
        raise Wrong(case + "the answer differs: weights sin((1 - share) angle) and sin(share angle), over sin(angle).")
    return "The library's slerp, and the reason why every picture on the way is a page."


@check("Fill in the body of my_jump: it returns x at the later time t.")
def jump(function) -> str:
    x, eps = _a_start(2)
    for name, s, t in (("cosine", 0.4, 0.6), ("flow", 0.3, 0.8), ("cosine", 0.9, 1.0)):
        schedule = SCHEDULES[name]
        got = expect_tensor(function(schedule, x.clone(), eps.clone(), s, t), x, "x at the later time")
        if close(got, schedule.add_more_noise(x, eps, s, t)):
            continue
        case = f"On the schedule '{name}', from s = {s:g} to t = {t:g}, "
        ratio, before, after = schedule.alpha(t) / schedule.alpha(s), schedule.sigma(s), schedule.sigma(t)
        if not got.isfinite().all():
            raise Wrong(case + "some numbers are not finite: is there a root of a number below 0?")
        for wrong, words in (
                (schedule.add_noise(x, eps, t), "you noise x as if it were clean; it has noise in it, and is shrunk, "
                 "already."),
                (x + math.sqrt(after**2 - before**2) * eps, "x is not shrunk: the picture in it is still as strong as "
                 "at s."),
                (ratio * x + math.sqrt(after**2 - before**2) * eps, "the noise in x has been shrunk along with the "
                 "picture, so more is missing than the difference of the variances."),
                (ratio * x + after * eps, "that is too much noise: some is in x already."),
                (ratio * x + (after - ratio * before) * eps, "noises do not add like lengths: their variances do."),
                (ratio * x + (after**2 - (ratio * before) ** 2) * eps, "that is a variance; take its root."),
                (ratio * x, "x is shrunk, but no noise is added.")):
            if close(got, wrong):
                raise Wrong(case + words)
        raise Wrong(case + "x differs: shrink by alpha(t) / alpha(s), then fill the noise's variance up to sigma(t)².")
    return "The forward process, begun in the middle: after it, x is a noised picture of time t again."


@check("Fill in the body of my_step_up: it returns x at the later time t.")
def step_up(function) -> str:
    source = random_source(3)
    mean = torch.randn(1, 4, 3, 3, generator=source)
    x = torch.randn(1, 4, 3, 3, generator=source)
    asked: list[float] = []

    def believe(value, time):
        asked.append(float(time))
        return math.cos(float(time)) * mean + 0.1 * value

    denoise = Steered(believe, COSINE)
    for s, t in ((0.2, 0.3), (0.5, 0.9)):
        asked.clear()
        got = expect_tensor(function(denoise, x.clone(), s, t), x, "x at the later time")
        times = list(asked)
        wanted = ddim(COSINE, x, believe(x, s), s, t)
        if close(got, wanted):
            continue
        case = f"From s = {s:g} up to t = {t:g}, "
        if times and times[0] == t:
            raise Wrong(case + "you ask denoise about time t, but x is at time s.")
        x0_hat = believe(x, s)
        late = COSINE.eps_from_x0(x, x0_hat, t)
        for wrong, words in (
                (COSINE.add_noise(x0_hat, late, t), "you look for the noise with t's alpha and sigma, but x is at s: "
                 "the step leads nowhere."),
                (COSINE.add_noise(x0_hat, late, s), "the two times have changed places: find the noise with s, mix "
                 "with t."),
                (x0_hat, "you return the guess; mix it with the noise again.")):
            if close(got, wrong):
                raise Wrong(case + words)
        if not torch.equal(function(denoise, x.clone(), s, t), got):
            raise Wrong(case + "two calls differ: inversion draws no noise, it uses the noise that is in x.")
        raise Wrong(case + "x differs: the guess at s, the noise implied at s, both mixed with alpha and sigma of t.")
    return "DDIM's own step, with the times the other way round: walked to t = 1, it finds the noise of a picture."


@cache
def moved(at: int) -> float:
    """The share of four pages that follow when "on the left" becomes "on the right" at step `at` of 12.

    They do if the oracle sees something on the right, and nothing on the left. at: 0 to 12; else CourseError.
    """
    pages = turn(FIRST, THEN, at, SEEDS, steps=STEPS, scheduler="ddim").pictures
    seen = read(oracle_from(*weights_for("oracle"), torch.device("cpu")), pages)
    found = [seen.describe(i) for i in range(len(pages))]
    return sum("right" in words and "left" not in words for words in found) / len(found)


@check("Put the number of a step, from 1 to 12, in place of the dots.")
def too_late(answer) -> str:
    at = expect_whole(answer, 1, STEPS)
    here = moved(at)
    if here >= 0.5:
        raise Wrong(f"At step {at} {here:.0%} of the pages still follow the new word: it is not too late yet.")
    before = moved(at - 1)
    if before < 0.5:
        raise Wrong(f"At step {at} it is too late, but so it is at step {at - 1}, where {before:.0%} follow: go down.")
    return (f"At step {at - 1} {before:.0%} of the pages follow, at step {at} only {here:.0%}. That is t = "
            f"{1 - at / STEPS:.2f}: where things stand is settled while x still looks like static.")

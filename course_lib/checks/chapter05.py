"""Checks for chapter 05, Fewer steps."""

import math
from functools import cache
from itertools import pairwise

import torch

from course_lib.checks.core import Wrong, check, close, expect_tensor, expect_whole
from course_lib.pipeline import generate, generate_pixels
from course_lib.points import Mixture
from course_lib.runtime import random_source
from course_lib.schedulers import EDM, SCHEDULES, Schedule, euler, find_scheduler

NEAR, MOST_STEPS, SEED, FINE_STEPS = 0.05, 60, 4, 60
RIVALS = ("ddim", "euler", "heun", "dpmpp_2m")


@check("Put a whole number in place of the dots.")
def evaluations(answer) -> str:
    answer = expect_whole(answer, 0, 10_000)
    steps = 12
    for wrong, words in (
            (steps, "12 is the number of steps; Heun looks twice in a step, and guidance asks twice at every look."),
            (2 * steps, "24: one of two doublings is missing. Heun looks twice, and guidance asks twice each time."),
            (4 * steps, "48 is nearly right; but what would Heun's second look see in the last step, which ends at 0?"),
            (2 * steps - 1, "23 is how often the network is asked without guidance; with it each time counts twice."),
            (4 * steps - 1, "47: the look that the last step saves is saved for both of guidance's guesses.")):
        if answer == wrong:
            raise Wrong(words)
    measured = generate("a red boat", steps=steps, scheduler="heun", guidance=3).nfe
    if answer != measured:
        raise Wrong(f"Two looks a step, but one in the last, and two evaluations each: not {answer}.")
    return f"(2 × 12 - 1) × 2 = {measured}, as counted while a picture was made just now."


@check("Fill in the body of my_euler: it returns the x at time s.")
def euler_step(function) -> str:
    source = random_source(0)
    for name, t, s in (("flow", 0.7, 0.4), ("cosine", 0.9, 0.6), ("linear", 0.5, 0.0)):
        schedule = SCHEDULES[name]
        x, x0_hat = torch.randn(2, 5, 3, generator=source)
        got = expect_tensor(function(schedule, x.clone(), x0_hat.clone(), t, s), x, "The x at time s")
        if close(got, euler(schedule, x, x0_hat, t, s)):
            continue
        case = f"On the {name} schedule from t = {t} to s = {s} "
        for value, words in _wrong_euler(schedule, x, x0_hat, t, s):
            if close(got, value):
                raise Wrong(case + words)
        raise Wrong(case + "the x differs: x plus the length of the step, s - t, times the slope, which is "
                    "alpha_dot(t) x0_hat + sigma_dot(t) eps_hat.")
    return "Straight on, as far as the step is long: the same as the library's euler on three schedules."


def _wrong_euler(schedule: Schedule, x, x0_hat, t: float, s: float):
    """(what a usual mistake gives, the words for it)."""
    eps_hat, slope = schedule.eps_from_x0(x, x0_hat, t), schedule.velocity(x, x0_hat, t)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    alpha_dot, sigma_dot = schedule.alpha_dot(t), schedule.sigma_dot(t)
    yield x + (t - s) * slope, "you go up in time: the length of the step is s - t, a negative number."
    yield slope, "you return the slope alone; the step is x plus (s - t) times the slope."
    yield x + slope, "you go the whole slope; multiply it by the length of the step, s - t."
    yield (x + (s - t) * (alpha * x0_hat + sigma * eps_hat),
           "you take alpha and sigma themselves for their rates of change: alpha_dot and sigma_dot are wanted.")
    yield (x + (s - t) * (alpha_dot * x0_hat + sigma_dot * x),
           "you let x stand for the noise; take the guess out of it first: (x - alpha x0_hat) / sigma.")
    yield (x + (s - t) * (alpha_dot * x0_hat + sigma_dot * (x - alpha * x0_hat)),
           "the noise is too weak: what is left of x without the guess has to be divided by sigma(t).")
    yield (schedule.alpha(s) * x0_hat + schedule.sigma(s) * eps_hat,
           "this is DDIM's step. Euler's, on the clock t, is x + (s - t) dx/dt.")


@check("Fill in the body of my_extrapolation: it returns the guess for the middle of the step.")
def extrapolation(function) -> str:
    source = random_source(0)
    for before, now, later in ((-2.0, -0.5, 0.1), (0.3, 0.7, 2.3), (-1.0, 0.0, 1.0)):
        guess, guess_before = torch.randn(2, 4, 3, generator=source)
        got = expect_tensor(function(guess.clone(), guess_before.clone(), before, now, later), guess, "The guess")
        change, behind, ahead = guess - guess_before, now - before, later - now
        if close(got, guess + change / behind * ahead / 2):
            continue
        case = f"With lam = {before:g}, {now:g} and {later:g} "
        for value, words in (
                (guess + change / behind * ahead, "you go to the end of the step; its middle is half as far."),
                (guess + change / ahead * behind / 2, "the two lengths have changed places: the change was made over "
                 "the step before, so divide by that one."),
                (guess - change / behind * ahead / 2, "you go back: the change is guess - guess_before."),
                (guess_before + change / behind * ahead / 2, "you start from the guess before; start from the latest."),
                (change / behind * ahead / 2, "you return the change alone; add it to the guess."),
                (guess + change / 2, "you take it that both steps are equally long; here they are not."),
                ((guess + guess_before) / 2, "you take the mean of both guesses, which is behind you: go ahead.")):
            if close(got, value):
                raise Wrong(case + words)
        raise Wrong(case + "the guess differs: the change for each unit of lam, times half the coming step.")
    return "This line is all that makes DPM-Solver++(2M) of DDIM, and it costs no evaluation."


@check("Fill in the body of my_grid: it returns a list of times.")
def grid(function) -> str:
    for schedule, steps, first, last in ((SCHEDULES["cosine"], 4, 0.95, 0.05), (SCHEDULES["flow"], 7, 0.99, 0.02),
                                         (EDM(), 1, 1.0, 0.001)):
        got = function(schedule, steps, first, last)
        if got is None or got is ...:
            raise NotImplementedError
        case = f"On the {schedule.name} schedule with {steps} step{'s' * (steps > 1)} from {first} to {last} "
        try:
            got = [float(t) for t in got]
        except (TypeError, ValueError):
            raise Wrong(case + "a list of times is wanted, plain numbers.") from None
        if len(got) != steps + 1:
            raise Wrong(case + f"there should be {steps + 1} times, one more than steps; you return {len(got)}.")
        _check_times(case, schedule, got, first, last)
    return "Equal steps in the logarithm of the signal-to-noise ratio, on any schedule."


def _check_times(case: str, schedule: Schedule, got: list[float], first: float, last: float) -> None:
    lams = [schedule.lam(first), schedule.lam(last)]
    if math.isclose(got[0], last, rel_tol=1e-3) and math.isclose(got[-1], first, rel_tol=1e-3):
        raise Wrong(case + "the times go up: generation runs from the first, the noisy one, down.")
    if all(math.isclose(value, lam, abs_tol=1e-3) for value, lam in zip((got[0], got[-1]), lams)):
        raise Wrong(case + "you return the values of lam; t_of_lam leads from them to the times.")
    if not (math.isclose(got[0], first, rel_tol=1e-3) and math.isclose(got[-1], last, rel_tol=1e-3)):
        raise Wrong(case + f"the grid goes from {got[0]:.3g} to {got[-1]:.3g}: both ends belong to it.")
    if not all(t > s > 0 for t, s in pairwise(got)):
        raise Wrong(case + "the times do not fall from each to the next.")
    for clock, words in ((schedule.lam, ""), (lambda t: t, "in t itself; take equal steps on schedule.lam."),
                         (schedule.snr, "in the signal-to-noise ratio; take its logarithm, schedule.lam.")):
        values = [clock(t) for t in got]
        even = (values[-1] - values[0]) / (len(values) - 1)
        if all(math.isclose(b - a, even, rel_tol=1e-2) for a, b in pairwise(values)):
            if words:
                raise Wrong(case + "your times are equally far apart " + words)
            return
    raise Wrong(case + "the times are not equally far apart on schedule.lam.")


def _unknown_step(denoise, x, t: float, s: float):
    """The classical method of Runge and Kutta, of fourth order."""
    def slope(x, t):
        return denoise.schedule.velocity(x, denoise(x, t), t)

    h = s - t
    k1 = slope(x, t)
    k2 = slope(x + h / 2 * k1, t + h / 2)
    k3 = slope(x + h / 2 * k2, t + h / 2)
    k4 = slope(x + h * k3, s)
    return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


@cache
def mystery(steps: int) -> float:
    """The error (RMS) of an unknown step rule after `steps` equal steps in t, in a world with an exact answer."""
    schedule, first, last, std = SCHEDULES["cosine"], 0.98, 0.1, 0.5
    denoise = Mixture(torch.zeros(1, 2).double(), torch.tensor([std]).double(), torch.ones(1).double(), schedule)

    def path(t: float):  # every point keeps its place in units of the spread
        return math.hypot(schedule.alpha(t) * std, schedule.sigma(t)) * z

    z = torch.randn(100, 2, generator=random_source(0), dtype=torch.float64)
    x, ts = path(first), [first + (last - first) * i / steps for i in range(steps + 1)]
    for t, s in pairwise(ts):
        x = _unknown_step(denoise, x, t, s)
    return (x - path(last)).square().mean().sqrt().item()


@check("Put a whole number in place of the dots.")
def order(answer) -> str:
    answer = expect_whole(answer, 0, 20)
    factor = mystery(20) / mystery(40)
    measured = round(math.log2(factor))
    if answer == round(factor):
        raise Wrong(f"{answer} is the factor by which the error falls with twice the steps. Which power of 2 is that?")
    if answer != measured:
        raise Wrong(f"At order {answer} twice the steps would make the error {2**answer} times smaller. By what factor "
                    "does it fall from mystery(20) to mystery(40)?")
    return (f"Twice the steps, {factor:.1f} times less error: order {measured}. It asks four times in every step, "
            "though, so with few evaluations it hardly gets to walk at all.")


@cache
def _picture(scheduler: str, steps: int):
    return generate_pixels(seed=SEED, steps=steps, scheduler=scheduler)


@cache
def distance(scheduler: str, steps: int) -> float:
    """RMS distance of a seed's picture by this scheduler to the finest by dpmpp_2m; numbers are between -1 and 1."""
    fine = _picture("dpmpp_2m", FINE_STEPS).trajectory[-1].x_next
    return (_picture(scheduler, steps).trajectory[-1].x_next - fine).square().mean().sqrt().item()


@check("Put a scheduler and a number of steps in place of the dots, such as \"ddim\", 30.")
def cheapest(answer) -> str:
    if not isinstance(answer, (tuple, list)) or len(answer) != 2 or not isinstance(answer[0], str):
        raise Wrong(f"The answer is a scheduler and a number of steps, such as \"ddim\", 30; you put {answer!r}.")
    name, steps = answer[0], expect_whole(answer[1], 1, MOST_STEPS, "The number of steps")
    if name not in RIVALS:
        raise Wrong(f"'{name}' is not one of the four: {', '.join(RIVALS)}.")
    find_scheduler(name)
    here, cost = distance(name, steps), _picture(name, steps).nfe
    told = f"{name} with {cost} evaluation{'s' * (cost > 1)} comes to {here:.3f}"
    if here > NEAR:
        raise Wrong(f"{told}, which is not within {NEAR}.")
    for rival in ("dpmpp_2m", *RIVALS[:3]):
        for fewer in range(1, MOST_STEPS):
            if (2 * fewer - 1 if rival == "heun" else fewer) >= cost:
                break
            if distance(rival, fewer) <= NEAR:
                better = "the same scheduler with fewer steps does, too" if rival == name else "another is cheaper"
                raise Wrong(f"{told}; that is near enough, but {better}.")
    return f"{told}, and nothing is cheaper. Each noise has its own answer; that one rule leads is no accident."

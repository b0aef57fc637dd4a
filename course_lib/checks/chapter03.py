"""Checks for chapter 03, Generate."""

import math
from functools import cache

import torch

from course_lib.checks.core import Wrong, check, close, expect_tensor, expect_whole
from course_lib.pipeline import generate_pixels
from course_lib.points import Mixture
from course_lib.sampling import sample
from course_lib.schedulers import SCHEDULES, ddim, time_grid

DONE, REFERENCE_STEPS, SEED = 0.05, 200, 4


@check("Put a whole number in place of the dots.")
def calls(answer) -> str:
    answer = expect_whole(answer, 0, 1000)
    if answer == 160:
        raise Wrong("160 is the number of pictures that went through the network; but all 8 of a batch go in one call.")
    if answer == 21:
        raise Wrong("21 counts the times on the grid; there is one step fewer, and one call a step.")
    measured = generate_pixels(seed=range(8), steps=20).nfe
    if answer != measured:
        raise Wrong(f"One call a step, with the whole batch in it; you put {answer}.")
    return f"{measured} calls, one a step; a batch makes each call longer, not more of them."


@check("Fill in the body of my_step: it returns the new x.")
def step(function) -> str:
    schedule, source = SCHEDULES["cosine"], torch.Generator().manual_seed(0)
    for t, s in ((0.9, 0.6), (0.5, 0.25), (0.3, 0.0)):
        x, eps = torch.randn(2, 3, 4, 4, generator=source), torch.randn(2, 3, 4, 4, generator=source)
        a_t, s_t, a_s, s_s = schedule.alpha(t), schedule.sigma(t), schedule.alpha(s), schedule.sigma(s)
        x0_hat = (x - s_t * eps) / a_t
        got = expect_tensor(function(x, eps, a_t, s_t, a_s, s_s), x, "The new x")
        if close(got, ddim(schedule, x, x0_hat, t, s)):
            continue
        case = f"From t = {t} to s = {s} "
        if close(got, x0_hat):
            raise Wrong(case + "you return the guess at the clean picture; it still has to be noised to time s.")
        if close(got, a_s * (x - s_t * eps) + s_s * eps):
            raise Wrong(case + "you forgot to divide by alpha_t when solving for x0_hat.")
        if close(got, a_s * x0_hat + s_t * eps):
            raise Wrong(case + "you put the old amount of noise back, sigma_t; the new time has sigma_s.")
        if close(got, a_s * x0_hat):
            raise Wrong(case + "you left the noise out; at time s there is still sigma_s of it.")
        if close(got, a_s * x + s_s * eps):
            raise Wrong(case + "you mixed the noise into x; it goes into x0_hat, which has none left.")
        raise Wrong(case + "the new x differs; work out x0_hat first, then alpha_s * x0_hat + sigma_s * eps_hat.")
    return "This is DDIM's step, as its paper writes it."


@check("Fill in the body of my_loop: it returns the final x.")
def loop(function) -> str:
    schedule = SCHEDULES["cosine"]
    means, std, weights = torch.tensor([[-1.0, 0.0], [1.0, 0.5]]), torch.tensor([0.2, 0.3]), torch.tensor([0.5, 0.5])
    denoise = Mixture(means, std, weights, schedule)
    noise = torch.randn(16, 2, generator=torch.Generator().manual_seed(0))
    for steps in (1, 5, 12):
        ts = time_grid(schedule, steps)
        run = list(sample(denoise, noise, ts, ddim))
        first, last = run[0], run[-1]
        got = expect_tensor(function(denoise, noise.clone(), ts), noise, "The final x")
        if close(got, last.x_next):
            continue
        case = f"With {steps} step{'s' * (steps > 1)} "
        if steps > 1 and close(got, first.x_next):
            raise Wrong(case + "you stop after the first: is `return` inside the loop?")
        if close(got, noise):
            raise Wrong(case + "x comes back as it went in: is the result of a step assigned to x again?")
        if steps > 1 and close(got, last.x):
            raise Wrong(case + "the last step is missing: the last pair of times ends in 0.")
        if close(got, denoise(noise, ts[0])):
            raise Wrong(case + "you end at the very first guess: make the guess anew inside the loop, at every step.")
        raise Wrong(case + "the final x differs: guess at (x, t), then step from t to s, for each pair in order.")
    return "This is the loop that every picture of this course comes out of."


@cache
def _picture(steps: int, seed: int) -> torch.Tensor:
    return generate_pixels(seed=seed, steps=steps).trajectory[-1].x_next


def distance(steps: int, seed: int = SEED) -> float:
    """RMS distance between a seed's picture in so many DDIM steps and the one in 200; numbers are between -1 and 1."""
    return math.sqrt((_picture(steps, seed) - _picture(REFERENCE_STEPS, seed)).square().mean().item())


@check("Put a number of steps in place of the dots.")
def enough(answer) -> str:
    answer = expect_whole(answer, 1, REFERENCE_STEPS)
    here = distance(answer)
    if here > DONE:
        steps = "1 step" if answer == 1 else f"{answer} steps"
        raise Wrong(f"With {steps} the distance is {here:.4f}, above {DONE}: more are needed.")
    fewer = next((n for n in range(1, answer) if distance(n) <= DONE), None)
    if fewer is not None:
        raise Wrong(f"{answer} steps are enough ({here:.4f}), but fewer are, too: try smaller numbers.")
    return f"{answer} steps, at a distance of {here:.4f}. Each noise has its own answer: try distance(steps, seed=7)."

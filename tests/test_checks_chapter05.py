"""Chapter 05's checks know a right answer, the usual mistakes and an unfilled stub when they see one."""

import math
from types import SimpleNamespace

import pytest
import torch

from course_lib.checks import chapter05
from course_lib.schedulers import ddim

pytestmark = pytest.mark.usefixtures("one_thread")


def stub(*_):
    raise NotImplementedError


@pytest.mark.parametrize("check", [chapter05.euler_step, chapter05.extrapolation, chapter05.grid])
def test_an_unfilled_stub_is_not_wrong(check):
    for unfilled in (stub, lambda *_: None, None, ...):
        assert check(unfilled).status == "not tried"


@pytest.mark.parametrize("check", [chapter05.evaluations, chapter05.order, chapter05.cheapest])
def test_an_unfilled_answer_is_not_wrong(check):
    assert check(...).status == "not tried" and check(None).status == "not tried"


def failed(verdict, hint: str) -> bool:
    return verdict.status == "failed" and hint in verdict.message


# ------------------------------------------------------------------------------------------------------- evaluations

def test_evaluations():
    assert chapter05.evaluations(46)


@pytest.mark.parametrize("wrong, hint", [
    (12, "number of steps"), (24, "doublings is missing"), (48, "ends at 0"), (23, "without guidance"), (47, "both of"),
    (40, "not 40"), (46.5, "whole number"), ("many", "whole number")])
def test_evaluations_wrong(wrong, hint):
    assert failed(chapter05.evaluations(wrong), hint)


# ----------------------------------------------------------------------------------------------------- the Euler step

def right_euler(schedule, x, x0_hat, t, s):
    eps_hat = (x - schedule.alpha(t) * x0_hat) / schedule.sigma(t)
    return x + (s - t) * (schedule.alpha_dot(t) * x0_hat + schedule.sigma_dot(t) * eps_hat)


def test_euler_step():
    assert chapter05.euler_step(right_euler)


@pytest.mark.parametrize("wrong, hint", [
    (lambda S, x, g, t, s: right_euler(S, x, g, s=2 * t - s, t=t), "you go up in time"),
    (lambda S, x, g, t, s: S.velocity(x, g, t), "the slope alone"),
    (lambda S, x, g, t, s: x + S.velocity(x, g, t), "the whole slope"),
    (lambda S, x, g, t, s: x + (s - t) * (S.alpha(t) * g + S.sigma(t) * S.eps_from_x0(x, g, t)), "rates of change"),
    (lambda S, x, g, t, s: x + (s - t) * (S.alpha_dot(t) * g + S.sigma_dot(t) * x), "stand for the noise"),
    (lambda S, x, g, t, s: x + (s - t) * (S.alpha_dot(t) * g + S.sigma_dot(t) * (x - S.alpha(t) * g)), "too weak"),
    (lambda S, x, g, t, s: x, "the x differs"),
    (lambda S, x, g, t, s: x[0], "the shape"), (lambda S, x, g, t, s: 1 / 0, "ZeroDivisionError"),
])
def test_euler_step_wrong(wrong, hint):
    assert failed(chapter05.euler_step(wrong), hint)


def test_ddims_step_is_taken_for_eulers_only_where_they_are_the_same():
    """On the flow schedule they are one line; on the next one the check tells them apart."""
    verdict = chapter05.euler_step(ddim)
    assert failed(verdict, "this is DDIM's step") and "cosine" in verdict.message


# ------------------------------------------------------------------------------------------------------ extrapolation

def test_extrapolation():
    assert chapter05.extrapolation(lambda g, b, l0, l1, l2: g + (g - b) * (l2 - l1) / (2 * (l1 - l0)))
    assert chapter05.extrapolation(lambda g, b, l0, l1, l2: torch.lerp(b, g, ((l1 + l2) / 2 - l0) / (l1 - l0)))


@pytest.mark.parametrize("wrong, hint", [
    (lambda g, b, l0, l1, l2: g + (g - b) * (l2 - l1) / (l1 - l0), "the end of the step"),
    (lambda g, b, l0, l1, l2: g - (g - b) * (l2 - l1) / (l1 - l0) / 2, "you go back"),
    (lambda g, b, l0, l1, l2: b + (g - b) * (l2 - l1) / (l1 - l0) / 2, "start from the latest"),
    (lambda g, b, l0, l1, l2: (g - b) * (l2 - l1) / (l1 - l0) / 2, "the change alone"),
    (lambda g, b, l0, l1, l2: g, "the guess differs"), (lambda g, b, l0, l1, l2: 3.0, "torch tensor"),
])
def test_extrapolation_wrong(wrong, hint):
    assert failed(chapter05.extrapolation(wrong), hint)


@pytest.mark.parametrize("wrong, hint", [
    (lambda g, b, l0, l1, l2: g + (g - b) * (l1 - l0) / (l2 - l1) / 2, "changed places"),
    (lambda g, b, l0, l1, l2: g + (g - b) / 2, "equally long"),
    (lambda g, b, l0, l1, l2: (g + b) / 2, "behind you"),
])
def test_what_would_be_right_or_something_else_on_even_steps_is_recognised(wrong, hint):
    assert failed(chapter05.extrapolation(wrong), hint)


# --------------------------------------------------------------------------------------------------------- the grid

def on_clock(clock, back, steps, first, last):
    low, high = clock(first), clock(last)
    return [back(low + (high - low) * i / steps) for i in range(steps + 1)]


def right_grid(schedule, steps, first, last):
    return on_clock(schedule.lam, schedule.t_of_lam, steps, first, last)


def in_t(schedule, steps, first, last):
    return [first + (last - first) * i / steps for i in range(steps + 1)]


def in_snr(schedule, steps, first, last):
    return on_clock(schedule.snr, lambda snr: schedule.t_of_lam(math.log(snr) / 2), steps, first, last)


def test_grid():
    assert chapter05.grid(right_grid)
    assert chapter05.grid(lambda S, n, a, b: torch.tensor(right_grid(S, n, a, b)))
    assert chapter05.grid(lambda S, n, a, b: tuple(S.t_of_lam(torch.linspace(S.lam(a), S.lam(b), n + 1)).tolist()))


@pytest.mark.parametrize("wrong, hint", [
    (in_t, "in t itself"), (in_snr, "take its logarithm"),
    (lambda S, n, a, b: right_grid(S, n, a, b)[::-1], "the times go up"),
    (lambda S, n, a, b: right_grid(S, n, a, b)[:-1], "one more than steps"),
    (lambda S, n, a, b: right_grid(S, n + 1, a, b)[:-1], "both ends belong to it"),
    (lambda S, n, a, b: [S.lam(t) for t in right_grid(S, n, a, b)], "you return the values of lam"),
    (lambda S, n, a, b: [a, *[b] * n], "do not fall"),
    (lambda S, n, a, b: [a * (b / a) ** (i / n) for i in range(n + 1)], "not equally far apart"),
    (lambda S, n, a, b: 0.5, "a list of times"), (lambda S, n, a, b: ["a"] * (n + 1), "a list of times"),
])
def test_grid_wrong(wrong, hint):
    assert failed(chapter05.grid(wrong), hint)


# --------------------------------------------------------------------------------------------------- the unknown rule

def test_the_unknown_rule_is_of_fourth_order():
    errors = [chapter05.mystery(steps) for steps in (20, 40, 80)]
    assert [math.log2(a / b) for a, b in zip(errors, errors[1:])] == pytest.approx([4, 4], abs=0.25)
    assert chapter05.order(4)


@pytest.mark.parametrize("wrong, hint", [(2, "4 times smaller"), (1, "2 times smaller"), (4.2, "whole number"),
                                         (-1, "whole number")])
def test_order_wrong(wrong, hint):
    assert failed(chapter05.order(wrong), hint)


def test_the_factor_is_not_the_order():
    factor = round(chapter05.mystery(20) / chapter05.mystery(40))
    assert failed(chapter05.order(factor), "Which power of 2")


# ------------------------------------------------------------------------------------------------------- the cheapest

@pytest.fixture
def painter(monkeypatch):
    """A world in which dpmpp_2m needs 7 evaluations, ddim 12, and heun 5 steps, which are 9."""
    enough = {"dpmpp_2m": 7, "ddim": 12, "euler": 20, "heun": 5}

    def paint(seed, steps, scheduler):
        x = torch.full((1, 1), 0.0 if steps >= enough[scheduler] else 0.1)
        return SimpleNamespace(trajectory=[SimpleNamespace(x_next=x)],
                               nfe=2 * steps - 1 if scheduler == "heun" else steps)

    monkeypatch.setattr(chapter05, "generate_pixels", paint)
    for remembered in (chapter05._picture, chapter05.distance):
        remembered.cache_clear()
    yield
    for remembered in (chapter05._picture, chapter05.distance):
        remembered.cache_clear()


def test_cheapest(painter):
    verdict = chapter05.cheapest(("dpmpp_2m", 7))
    assert verdict and "7 evaluations" in verdict.message and chapter05.cheapest(["dpmpp_2m", 7])


@pytest.mark.parametrize("wrong, hint", [
    (("dpmpp_2m", 6), "is not within"), (("dpmpp_2m", 8), "the same scheduler with fewer"),
    (("heun", 5), "another is cheaper"), (("ddim", 12), "another is cheaper"), (("ddpm", 5), "not one of the four"),
    (("ddim", 0), "whole number"), ("ddim", "a scheduler and a number"), ((7, "ddim"), "a scheduler and a number"),
])
def test_cheapest_wrong(painter, wrong, hint):
    assert failed(chapter05.cheapest(wrong), hint)


def test_the_shipped_model_has_an_answer():
    steps = next(steps for steps in range(1, chapter05.MOST_STEPS) if chapter05.distance("dpmpp_2m", steps) <= 0.05)
    assert 3 < steps < 30 and chapter05.cheapest(("dpmpp_2m", steps))

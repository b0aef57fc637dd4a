"""The checks of chapter 01: right answers, typical wrong ones, each named, and unfilled stubs."""

import math

import pytest
import torch

from course_lib.checks import chapter01
from course_lib.schedulers import SCHEDULES

pytestmark = pytest.mark.usefixtures("one_thread")


def stub(*_):
    raise NotImplementedError


@pytest.mark.parametrize("check", [chapter01.add_noise, chapter01.recover, chapter01.betas])
def test_an_unfilled_function_is_not_tried(check):
    assert check(stub).status == "not tried"
    assert check(lambda *_: None).status == "not tried"
    assert check(...).status == "not tried"


@pytest.mark.parametrize("check", [chapter01.add_noise, chapter01.recover, chapter01.betas])
@pytest.mark.parametrize("student, words", [
    (lambda *_: 3.0, "should be a torch tensor"),
    (lambda *_: torch.zeros(2, 2), "should have the shape"),
    (lambda *_: 1 / 0, "stopped with ZeroDivisionError"),
])
def test_what_is_no_picture_is_named(check, student, words):
    verdict = check(student)
    assert verdict.status == "failed" and words in verdict.message


def test_the_time_of_twice_the_noise():
    assert chapter01.noise_twice_as_strong(...).status == "not tried"
    by_hand = 2 / math.pi * math.atan(2)
    for right in (SCHEDULES["cosine"].t_of_lam(math.log(0.5)), 0.7, 0.71, torch.tensor(by_hand)):
        assert chapter01.noise_twice_as_strong(right)


@pytest.mark.parametrize("answer, words", [
    (0.295, "other way round"), (0.608, "variance"), (0.667, "flow"), (0.397, "linear"), (0.5, "is 1.00"),
    (0.5, "a later"), (0.73, "an earlier"), (0.95, "12.71"), (1.0, "between 0"), (-3, "between 0"),
    ("half", "a number"),
])
def test_wrong_times_are_recognised(answer, words):
    verdict = chapter01.noise_twice_as_strong(answer)
    assert verdict.status == "failed" and words in verdict.message


@pytest.mark.parametrize("student", [
    lambda x0, eps, alpha_bar: alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * eps,
    lambda x0, eps, alpha_bar: torch.sqrt(alpha_bar) * x0 + torch.sqrt(1 - alpha_bar) * eps,
    lambda x0, eps, alpha_bar: math.sqrt(alpha_bar) * x0 + math.sqrt(1 - alpha_bar) * eps,
])
def test_the_right_jump_passes(student):
    assert chapter01.add_noise(student)


def writes_into_x0(x0, eps, alpha_bar):
    x0 *= alpha_bar**0.5
    return x0 + (1 - alpha_bar) ** 0.5 * eps


@pytest.mark.parametrize("student, words", [
    (lambda x0, eps, a: a * x0 + (1 - a) * eps, "Both factors lack"),
    (lambda x0, eps, a: a * x0 + (1 - a) ** 0.5 * eps, "picture's factor lacks"),
    (lambda x0, eps, a: a**0.5 * x0 + (1 - a) * eps, "noise's factor lacks"),
    (lambda x0, eps, a: a**0.5 * x0 + (1 - a**0.5) * eps, "not 1 - alpha"),
    (lambda x0, eps, a: a**0.5 * x0 + eps, "not scaled"),
    (lambda x0, eps, a: x0 + (1 - a) ** 0.5 * eps, "not shrunk"),
    (lambda x0, eps, a: (1 - a) ** 0.5 * x0 + a**0.5 * eps, "swapped"),
    (lambda x0, eps, a: a**0.5 * x0 - (1 - a) ** 0.5 * eps, "sign"),
    (lambda x0, eps, a: a * x0 + (1 - a**2) ** 0.5 * eps, "took alpha_bar for alpha"),
    (lambda x0, eps, a: x0 + eps, "0.800 and the noise by 0.600"),
    (writes_into_x0, "changes the x0"),
])
def test_wrong_jumps_are_recognised(student, words):
    verdict = chapter01.add_noise(student)
    assert verdict.status == "failed" and words in verdict.message


def test_the_right_way_back_passes():
    verdict = chapter01.recover(lambda x, eps, t, schedule: (x - schedule.sigma(t) * eps) / schedule.alpha(t))
    assert verdict and "0.13" in verdict.message  # 0.01 times tan(0.95 pi / 2)


@pytest.mark.parametrize("student, words", [
    (lambda x, eps, t, s: x - s.sigma(t) * eps, "still shrunk"),
    (lambda x, eps, t, s: (x + s.sigma(t) * eps) / s.alpha(t), "sign"),
    (lambda x, eps, t, s: (x - eps) / s.alpha(t), "all of eps"),
    (lambda x, eps, t, s: x / s.alpha(t) - s.sigma(t) * eps, "not only x: mind the brackets"),
    (lambda x, eps, t, s: x - s.sigma(t) * eps / s.alpha(t), "not only the noise: mind the brackets"),
    (lambda x, eps, t, s: (x - s.alpha(t) * eps) / s.sigma(t), "swapped"),
    (lambda x, eps, t, s: (x - (1 - s.alpha(t) ** 2) ** 0.5 * eps) / s.alpha(t), "fails on the flow"),
    (lambda x, eps, t, s: (x - s.sigma(t) * eps) / (1 - s.sigma(t) ** 2) ** 0.5, "fails on the flow"),
    (lambda x, eps, t, s: x - eps, "off by up to"),
])
def test_wrong_ways_back_are_recognised(student, words):
    verdict = chapter01.recover(student)
    assert verdict.status == "failed" and words in verdict.message


def with_one_in_front(alpha):
    return torch.cat([torch.ones(1, dtype=alpha.dtype), alpha])


def test_the_right_betas_pass():
    assert chapter01.betas(lambda alpha: 1 - (alpha / with_one_in_front(alpha)[:-1]) ** 2)


@pytest.mark.parametrize("student, words", [
    (lambda alpha: 1 - (alpha[1:] / alpha[:-1]) ** 2, "from 1 to alpha[0], is missing"),
    (lambda alpha: 1 - alpha / with_one_in_front(alpha)[:-1], "square is missing"),
    (lambda alpha: 1 - alpha**2, "compare neighbours"),
    (lambda alpha: (alpha / with_one_in_front(alpha)[:-1]) ** 2, "take it away from 1"),
    (lambda alpha: (1 - (alpha / with_one_in_front(alpha)[:-1]) ** 2).sqrt(), "root of beta"),
    (lambda alpha: 1 - (with_one_in_front(alpha)[:-1] / alpha) ** 2, "negative"),
    (lambda alpha: torch.cat([torch.zeros(1), 1 - (alpha[1:] / alpha[:-1]) ** 2]), "All betas but the first"),
    (lambda alpha: alpha * torch.nan, "beta[0] should be"),
])
def test_wrong_betas_are_recognised(student, words):
    verdict = chapter01.betas(student)
    assert verdict.status == "failed" and words in verdict.message

"""Each check of chapter 03 against right answers, usual mistakes and the unfilled stub."""

import pytest

from course_lib.checks import chapter03
from course_lib.schedulers import ddim


def right_step(x, eps_hat, alpha_t, sigma_t, alpha_s, sigma_s):
    return alpha_s * (x - sigma_t * eps_hat) / alpha_t + sigma_s * eps_hat


def right_loop(denoise, x, ts):
    for t, s in zip(ts, ts[1:]):
        x = ddim(denoise.schedule, x, denoise(x, t), t, s)
    return x


def guess_once(denoise, x, ts):
    guess = denoise(x, ts[0])
    for t, s in zip(ts, ts[1:]):
        x = ddim(denoise.schedule, x, guess, t, s)
    return x


@pytest.mark.parametrize("check, stub", [
    (chapter03.calls, ...), (chapter03.enough, None), (chapter03.step, lambda *_: None),
    (chapter03.loop, lambda *_: None)])
def test_stubs_are_not_tried(check, stub):
    assert check(stub).status == "not tried"


@pytest.mark.parametrize("check, right", [
    (chapter03.calls, 20), (chapter03.step, right_step), (chapter03.loop, right_loop)])
def test_right_answers(check, right):
    verdict = check(right)
    assert verdict.status == "passed", verdict


@pytest.mark.parametrize("check, wrong, hint", [
    (chapter03.calls, 160, "one call"),
    (chapter03.calls, 21, "one step fewer"),
    (chapter03.calls, 8, "One call a step"),
    (chapter03.step, lambda x, e, at, st, a, s: (x - st * e) / at, "noised to time s"),
    (chapter03.step, lambda x, e, at, st, a, s: a * (x - st * e) + s * e, "divide by alpha_t"),
    (chapter03.step, lambda x, e, at, st, a, s: a * (x - st * e) / at + st * e, "sigma_s"),
    (chapter03.step, lambda x, e, at, st, a, s: a * (x - st * e) / at, "left the noise out"),
    (chapter03.step, lambda x, e, at, st, a, s: a * x + s * e, "mixed the noise into x"),
    (chapter03.step, lambda x, e, at, st, a, s: x[0], "shape"),
    (chapter03.step, lambda x, e, at, st, a, s: 1 / 0, "ZeroDivisionError"),
    (chapter03.loop, lambda denoise, x, ts: x, "assigned to x again"),
    (chapter03.loop, lambda denoise, x, ts: denoise(x, ts[0]), "inside the loop"),
    (chapter03.loop, lambda denoise, x, ts: right_loop(denoise, x, ts[:-1]), "step"),
    (chapter03.loop, lambda denoise, x, ts: right_loop(denoise, x, ts[:2]), "`return` inside the loop"),
    (chapter03.loop, guess_once, "inside the loop"),
    (chapter03.loop, lambda denoise, x, ts: [1.0], "torch tensor"),
    (chapter03.enough, 1, "more are needed"),
    (chapter03.enough, 150, "fewer are, too"),
    (chapter03.enough, 0, "from 1 to 200"),
])
def test_wrong_answers_get_a_sentence_that_helps(check, wrong, hint):
    verdict = check(wrong)
    assert verdict.status == "failed" and hint in verdict.message, verdict


def test_the_smallest_number_of_steps_passes():
    smallest = next(steps for steps in range(1, 200) if chapter03.distance(steps) <= chapter03.DONE)
    assert smallest > 1 and chapter03.enough(smallest).status == "passed"



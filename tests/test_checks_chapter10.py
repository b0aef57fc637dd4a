"""Chapter 10's checks know a right answer, the usual mistakes and an unfilled stub when they see one."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from course_lib.checks import chapter10
from course_lib.sampling import slerp

pytestmark = pytest.mark.usefixtures("one_thread")


def stub(*_):
    raise NotImplementedError


@pytest.mark.parametrize("check", [chapter10.start, chapter10.arc, chapter10.jump, chapter10.step_up])
def test_an_unfilled_stub_is_not_wrong(check):
    for unfilled in (stub, lambda *_: None, None, ...):
        assert check(unfilled).status == "not tried"


@pytest.mark.parametrize("check", [chapter10.evaluations, chapter10.too_late])
def test_an_unfilled_answer_is_not_wrong(check):
    assert check(...).status == "not tried" and check(None).status == "not tried"


def test_evaluations():
    assert chapter10.evaluations(12) and chapter10.evaluations(6 * 2) and chapter10.evaluations(0.3 * 20 * 2)


@pytest.mark.parametrize("wrong, hint", [(40, "a new picture"), (28, "left out"), (6, "two guesses"), (14, "not 14"),
                                         (12.5, "whole number"), ("many", "whole number")])
def test_evaluations_wrong(wrong, hint):
    verdict = chapter10.evaluations(wrong)
    assert verdict.status == "failed" and hint in verdict.message


# ------------------------------------------------------------------------------------------------- image to image

def nearest(ts, strength):
    return min(range(len(ts)), key=lambda i: abs(ts[i] - strength))


def starting(where=lambda strength: strength, left=lambda ts, i: ts[i:], shrink=True, noised_to=None):
    def start(schedule, z, eps, ts, strength):
        i = nearest(ts, where(strength))
        t = ts[i] if noised_to is None else noised_to(strength)
        return (schedule.alpha(t) if shrink else 1) * z + schedule.sigma(t) * eps, left(ts, i)

    return start


def test_start():
    assert chapter10.start(starting())
    assert chapter10.start(lambda schedule, z, eps, ts, strength: (
        schedule.add_noise(z, eps, ts[nearest(ts, strength)]), tuple(ts[nearest(ts, strength):])))


@pytest.mark.parametrize("wrong, hint", [
    (starting(shrink=False), "alpha belongs in front"), (starting(noised_to=lambda strength: strength), "of the grid"),
    (starting(left=lambda ts, i: ts), "all times"), (starting(left=lambda ts, i: ts[i + 1:]), "first time is missing"),
    (starting(left=lambda ts, i: ts[:i + 1]), "are skipped"),
    (starting(where=lambda strength: 1 - strength), "1 - strength"),
    (starting(left=lambda ts, i: [0.61, *ts[i + 1:]]), "no time of the grid"),
    (starting(left=lambda ts, i: ts[i:-1]), "but there are"),
    (lambda schedule, z, eps, ts, strength: starting()(schedule, eps, z, ts, strength), "changed places"),
    (lambda schedule, z, eps, ts, strength: (z, ts[nearest(ts, strength):]), "no noise in x"),
    (lambda schedule, z, eps, ts, strength: (eps, ts[nearest(ts, strength):]), "nothing of the picture"),
    (lambda schedule, z, eps, ts, strength: (torch.lerp(z, eps, strength), ts[nearest(ts, strength):]), "1 - t and t"),
    (lambda schedule, z, eps, ts, strength: (z * eps, ts[nearest(ts, strength):]), "is not alpha times z"),
    (lambda schedule, z, eps, ts, strength: z, "two things"),
    (lambda schedule, z, eps, ts, strength: (z[0], ts), "shape"),
    (lambda schedule, z, eps, ts, strength: z[7], "stopped with IndexError"),
])
def test_start_wrong(wrong, hint):
    verdict = chapter10.start(wrong)
    assert verdict.status == "failed" and hint in verdict.message


# ---------------------------------------------------------------------------------------------------------- slerp

def along(a, b, share, measured=True, divided=True):
    angle = torch.acos((a * b).sum() / (a.norm() * b.norm())) if measured else torch.tensor(math.pi / 2)
    mixed = torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b
    return mixed / torch.sin(angle) if divided else mixed


def test_arc():
    assert chapter10.arc(along) and chapter10.arc(slerp)


@pytest.mark.parametrize("wrong, hint", [
    (torch.lerp, "straight line, on which"), (lambda a, b, share: along(b, a, share), "changed places"),
    (lambda a, b, share: along(a, b, share, measured=False), "for 90 degrees; measure"),
    (lambda a, b, share: torch.lerp(a, b, share) / ((1 - share)**2 + share**2) ** 0.5, "scale the straight line"),
    (lambda a, b, share: along(a, b, share, divided=False), "left out the division"),
    (lambda a, b, share: along(a, b, share) * torch.nan, "not finite"),
    (lambda a, b, share: a - b, "the answer differs"),
    (lambda a, b, share: a[0], "the shape"), (lambda a, b, share: 0.5, "torch tensor"),
])
def test_arc_wrong(wrong, hint):
    verdict = chapter10.arc(wrong)
    assert verdict.status == "failed" and hint in verdict.message


# ------------------------------------------------------------------------------------------------------- the jump

def jumping(amount, shrink=True):
    """amount(ratio, before, after) -> the factor of the fresh noise."""
    def jump(schedule, x, eps, s, t):
        ratio, before, after = schedule.alpha(t) / schedule.alpha(s), schedule.sigma(s), schedule.sigma(t)
        return (ratio if shrink else 1) * x + amount(ratio, before, after) * eps

    return jump


def missing(ratio, before, after):
    return (after**2 - (ratio * before) ** 2) ** 0.5


def test_jump():
    assert chapter10.jump(jumping(missing))
    assert chapter10.jump(lambda schedule, x, eps, s, t: schedule.add_more_noise(x, eps, s, t))


def test_what_jump_asks_for_is_the_forward_process():
    """A clean picture noised to s, and then with the jump to t, has the mean and the variance that t asks for."""
    schedule, z, source = chapter10.COSINE, 2.0, torch.Generator().manual_seed(0)
    eps, fresh = (torch.randn(100_000, generator=source) for _ in range(2))
    x = jumping(missing)(schedule, schedule.add_noise(torch.full_like(eps, z), eps, 0.3), fresh, 0.3, 0.7)
    assert x.mean().item() == pytest.approx(schedule.alpha(0.7) * z, abs=0.01)
    assert x.std().item() == pytest.approx(schedule.sigma(0.7), abs=0.01)


@pytest.mark.parametrize("wrong, hint", [
    (lambda schedule, x, eps, s, t: schedule.add_noise(x, eps, t), "as if it were clean"),
    (jumping(lambda ratio, before, after: (after**2 - before**2) ** 0.5, shrink=False), "not shrunk"),
    (jumping(lambda ratio, before, after: (after**2 - before**2) ** 0.5), "along with the picture"),
    (jumping(lambda ratio, before, after: after), "too much noise"),
    (jumping(lambda ratio, before, after: after - ratio * before), "add like lengths"),
    (jumping(lambda ratio, before, after: missing(ratio, before, after) ** 2), "that is a variance"),
    (jumping(lambda ratio, before, after: 0), "no noise is added"),
    (jumping(lambda ratio, before, after: math.nan), "not finite"), (jumping(lambda *_: 3.0), "x differs"),
    (lambda schedule, x, eps, s, t: x[0], "the shape"),
])
def test_jump_wrong(wrong, hint):
    verdict = chapter10.jump(wrong)
    assert verdict.status == "failed" and hint in verdict.message


# ------------------------------------------------------------------------------------------------------ inversion

def climbing(denoise, x, s, t, asked="s", noise="s", mixed="t"):
    times, schedule = {"s": s, "t": t}, denoise.schedule
    x0_hat = denoise(x, times[asked])
    eps_hat = schedule.eps_from_x0(x, x0_hat, times[noise])
    return schedule.add_noise(x0_hat, eps_hat, times[mixed])


def test_step_up():
    assert chapter10.step_up(climbing)


@pytest.mark.parametrize("wrong, hint", [
    (lambda *given: climbing(*given, asked="t"), "ask denoise about time t"),
    (lambda *given: climbing(*given, noise="t"), "leads nowhere"),
    (lambda *given: climbing(*given, noise="t", mixed="s"), "times have changed places"),
    (lambda denoise, x, s, t: denoise(x, s), "you return the guess"),
    (lambda denoise, x, s, t: denoise.schedule.add_noise(denoise(x, s), torch.randn_like(x), t), "draws no noise"),
    (lambda denoise, x, s, t: 2 * climbing(denoise, x, s, t), "x differs"),
    (lambda denoise, x, s, t: x[0], "the shape"),
])
def test_step_up_wrong(wrong, hint):
    verdict = chapter10.step_up(wrong)
    assert verdict.status == "failed" and hint in verdict.message


# ------------------------------------------------------------------------------------------------- when it is too late

@pytest.fixture
def book(monkeypatch):
    """A model and an oracle of our own: the first half of the pages turns until step 4, the other until step 2."""
    def turning(prompt, then, at, seeds, steps, scheduler):
        where = ["right" if at <= latest else "left" for latest in (4, 4, 2, 2)]
        return SimpleNamespace(pictures=np.array(where))

    monkeypatch.setattr(chapter10, "turn", turning)
    monkeypatch.setattr(chapter10, "oracle_from", lambda *_: None)
    monkeypatch.setattr(chapter10, "weights_for", lambda name: ())
    monkeypatch.setattr(chapter10, "read",
                        lambda oracle, pages: SimpleNamespace(describe=lambda i: {pages[i]: "house"}))
    chapter10.moved.cache_clear()
    yield
    chapter10.moved.cache_clear()


def test_moved(book):
    assert [chapter10.moved(at) for at in range(7)] == [1, 1, 1, 0.5, 0.5, 0, 0]


def test_too_late(book):
    verdict = chapter10.too_late(5)
    assert verdict and "t = 0.58" in verdict.message


@pytest.mark.parametrize("wrong, hint", [(2, "not too late yet"), (4, "50% of the pages still"), (6, "go down"),
                                         (12, "go down"), (0, "whole number"), (13, "whole number"),
                                         ("x", "whole number")])
def test_too_late_wrong(book, wrong, hint):
    verdict = chapter10.too_late(wrong)
    assert verdict.status == "failed" and hint in verdict.message

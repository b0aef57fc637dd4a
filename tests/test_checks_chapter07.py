"""Chapter 07's checks know a right answer, the usual mistakes and an unfilled stub when they see one."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from course_lib.checks import chapter07
from course_lib.points import Mixture
from course_lib.schedulers import SCHEDULES

pytestmark = pytest.mark.usefixtures("one_thread")
COSINE = SCHEDULES["cosine"]


def stub(*_):
    raise NotImplementedError


@pytest.mark.parametrize("check", [chapter07.guide, chapter07.attention])
def test_an_unfilled_stub_is_not_wrong(check):
    for unfilled in (stub, lambda *_: None, None, ...):
        assert check(unfilled).status == "not tried"


@pytest.mark.parametrize("check", [chapter07.nothing, chapter07.evaluations, chapter07.darker])
def test_an_unfilled_answer_is_not_wrong(check):
    assert check(...).status == "not tried" and check(None).status == "not tried"


def test_nothing():
    assert chapter07.nothing("b") and chapter07.nothing(" B ")


@pytest.mark.parametrize("wrong, hint", [("a", "one of the two guesses is left"), ("c", "below 0"), ("d", "0.5"),
                                         ("e", "one of the letters"), (0, "one of the letters")])
def test_nothing_wrong(wrong, hint):
    verdict = chapter07.nothing(wrong)
    assert verdict.status == "failed" and hint in verdict.message


def test_guide():
    assert chapter07.guide(lambda prompted, unprompted, w: unprompted + w * (prompted - unprompted))
    assert chapter07.guide(lambda prompted, unprompted, w: w * prompted + (1 - w) * unprompted)
    assert chapter07.guide(lambda prompted, unprompted, w: torch.lerp(unprompted, prompted, w))


@pytest.mark.parametrize("wrong, hint", [
    (lambda p, u, w: p + w * (p - u), "as Ho & Salimans do"), (lambda p, u, w: p + w * (u - p), "changed places"),
    (lambda p, u, w: u + w * (u - p), "turned round"), (lambda p, u, w: u + w * p, "whole prompted guess"),
    (lambda p, u, w: w * (p - u), "the push alone"), (lambda p, u, w: w * u, "differs"),
    (lambda p, u, w: 1.0, "torch tensor"), (lambda p, u, w: p[0], "the shape"),
])
def test_guide_wrong(wrong, hint):
    verdict = chapter07.guide(wrong)
    assert verdict.status == "failed" and hint in verdict.message


def test_evaluations():
    assert chapter07.evaluations(42)


@pytest.mark.parametrize("wrong, hint", [(30, "number of steps"), (60, "at all steps"), (48, "doubled the plain"),
                                         (24, "not 24"), (42.5, "whole number"), ("many", "whole number")])
def test_evaluations_wrong(wrong, hint):
    verdict = chapter07.evaluations(wrong)
    assert verdict.status == "failed" and hint in verdict.message


def attending(divide=lambda d: math.sqrt(d), blocked=lambda mask: ~mask, dim=1, after=False, fill=-math.inf):
    def attention(q, k, v, mask):
        scores = q @ k.T / divide(q.shape[1])
        if not after:
            scores = scores.masked_fill(blocked(mask), fill)
        shares = scores.softmax(dim=dim)
        return (shares * mask if after else shares) @ v

    return attention


def test_attention():
    assert chapter07.attention(attending())
    assert chapter07.attention(lambda q, k, v, mask: F.scaled_dot_product_attention(q, k, v, attn_mask=mask))
    assert chapter07.attention(lambda q, k, v, mask: (q @ k[mask].T / q.shape[1] ** 0.5).softmax(dim=1) @ v[mask])


@pytest.mark.parametrize("wrong, hint", [
    (attending(divide=lambda d: 1), "not divided by sqrt(d)"), (attending(divide=lambda d: d), "not by sqrt(d)"),
    (attending(dim=0), "softmax along dim=1"), (attending(after=True), "mask the scores"),
    (attending(blocked=torch.zeros_like), "padding has its say"), (attending(fill=0.0), "must be -inf"),
    (attending(blocked=lambda mask: mask), "not finite"),
    (lambda q, k, v, mask: q @ k.T / math.sqrt(q.shape[1]) @ v, "no softmax"),
    (lambda q, k, v, mask: (q @ k.T).softmax(dim=1), "the shape"),
    (lambda q, k, v, mask: q, "differs"), (lambda q, k, v, mask: q @ v, "stopped with RuntimeError"),
])
def test_attention_wrong(wrong, hint):
    verdict = chapter07.attention(wrong)
    assert verdict.status == "failed" and hint in verdict.message


def test_a_mask_the_wrong_way_round_is_recognised():
    def turned(q, k, v, mask):
        return attending(blocked=lambda mask: torch.zeros_like(mask) if mask.all() else mask)(q, k, v, mask)

    assert "wrong way round" in chapter07.attention(turned).message


# ------------------------------------------------------------------------------------------------------- the plane

@pytest.fixture(scope="module")
def world():
    """The chapter's own: two blobs that the prompt means, one of them beside the three others."""
    means = torch.tensor([[-1.3, 1.0], [0.3, 0.9], [0.9, -0.1], [1.2, -1.2], [-0.6, -1.0]])
    std = torch.full((5,), 0.32)
    return (Mixture(means[:2], std[:2], torch.full((2,), 1 / 2), COSINE),
            Mixture(means, std, torch.full((5,), 1 / 5), COSINE))


def test_obedience_without_a_prompt_is_the_share_of_its_blobs(world):
    share, spread = chapter07.obedience(0.0, *world)
    points = world[1].sample(4000, torch.Generator().manual_seed(1))
    assert share == pytest.approx(2 / 5, abs=0.05)
    assert spread == pytest.approx((points - points.mean(dim=0)).square().sum(dim=1).mean().sqrt().item(), rel=0.05)


def test_more_guidance_obeys_more_and_spreads_less(world):
    shares, spreads = zip(*(chapter07.obedience(w, *world) for w in (0.0, 1.0, 3.0, 8.0)))
    assert list(shares) == sorted(shares) and list(spreads) == sorted(spreads, reverse=True)
    assert shares[1] > 0.9 and spreads[3] < 0.6 * spreads[1]


def test_enough(world):
    assert chapter07.enough(..., *world).status == "not tried"
    verdict = chapter07.enough(1.2, *world)
    assert verdict and "99.0%" in verdict.message


@pytest.mark.parametrize("wrong, hint", [(1, "push a little more"), (3, "a smaller w is enough"),
                                         (1.25, "to one decimal"), (math.nan, "to one decimal"), ("w", "is a number")])
def test_enough_wrong(world, wrong, hint):
    verdict = chapter07.enough(wrong, *world)
    assert verdict.status == "failed" and hint in verdict.message


# -------------------------------------------------------------------------------------------- the negative prompt

@pytest.fixture
def painter(monkeypatch):
    """A model that paints grey, lighter when it is to avoid the night and darker when it is to avoid the day."""
    def paint(prompt, seeds, steps, negative_prompt):
        level = 200 if "night" in negative_prompt else 50 if "day" in negative_prompt else 128
        return SimpleNamespace(pictures=np.full((len(seeds), 4, 4, 3), level, np.uint8))

    monkeypatch.setattr(chapter07, "generate", paint)
    chapter07.brightness.cache_clear()
    yield
    chapter07.brightness.cache_clear()


def test_darker(painter):
    verdict = chapter07.darker("by day")
    assert verdict and "from 0.00 to -0.61" in verdict.message


@pytest.mark.parametrize("wrong, hint", [
    ("at night", "brighter!"), ("a red house", "exercise asks for"), ("", "An empty negative prompt"),
    ("sunny", "Nothing in it is a word"), ("no day", "'no' is not among"), (7, "a text"),
])
def test_darker_wrong(painter, wrong, hint):
    verdict = chapter07.darker(wrong)
    assert verdict.status == "failed" and hint in verdict.message

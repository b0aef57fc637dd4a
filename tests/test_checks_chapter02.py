"""Chapter 02's checks know a right answer, the usual mistakes and an unfilled stub when they see one."""

import math

import pytest
import torch

from course_lib.checks import chapter02
from course_lib.schedulers import SCHEDULES

pytestmark = pytest.mark.usefixtures("one_thread")
COSINE = SCHEDULES["cosine"]


def stub(*_):
    raise NotImplementedError


@pytest.mark.parametrize("check", [chapter02.best_guess, chapter02.loss, chapter02.one_level])
def test_an_unfilled_stub_is_not_wrong(check):
    for unfilled in (stub, lambda *_: None, None, ...):
        assert check(unfilled).status == "not tried"


def test_first_guess():
    assert chapter02.first_guess(None).status == "not tried"
    assert chapter02.first_guess(1) and chapter02.first_guess(1.0) and chapter02.first_guess(torch.tensor(1.0))


@pytest.mark.parametrize("wrong, hint", [(0, "nearest"), (4 / 3, "twice as likely"),
                                         (1.33, "twice as likely"),
                                         (2, "half way"), (5, "not it"), (math.nan, "not it"), ("one", "is a number")])
def test_first_guess_wrong(wrong, hint):
    verdict = chapter02.first_guess(wrong)
    assert verdict.status == "failed" and hint in verdict.message


def guesser(power=2, alpha_on=True, divisor=lambda sigma: 2 * sigma**2, dim=1, shrink=False):
    def best_guess(x, clean, alpha, sigma):
        distance = torch.cdist(x, alpha * clean if alpha_on else clean) ** power
        return torch.softmax(-distance / divisor(sigma), dim=dim) @ (alpha * clean if shrink else clean)

    return best_guess


def unnormalised(x, clean, alpha, sigma):
    return torch.exp(-torch.cdist(x, alpha * clean) ** 2 / (2 * sigma**2)) @ clean


def underflowing(x, clean, alpha, sigma):
    weights = torch.exp(-((x[:, None] - alpha * clean) ** 2).sum(dim=2) / (2 * sigma**2))
    return weights / weights.sum(dim=1, keepdim=True) @ clean


def test_best_guess():
    assert chapter02.best_guess(guesser())
    assert chapter02.best_guess(lambda x, clean, alpha, sigma: torch.softmax(
        -((x[:, None] - alpha * clean) ** 2).sum(dim=2) / (2 * sigma**2), dim=1) @ clean)


@pytest.mark.parametrize("wrong, hint", [
    (guesser(alpha_on=False), "alpha * clean"),
    (guesser(divisor=lambda sigma: 2 * sigma), "sigma**2, the variance"),
    (guesser(divisor=lambda sigma: sigma**2), "2 is missing"),
    (guesser(power=1), "needs its square"),
    (guesser(divisor=lambda sigma: -2 * sigma**2), "minus sign"),
    (lambda x, clean, alpha, sigma: clean[torch.cdist(x, alpha * clean).argmin(dim=1)], "nearest point"),
    (unnormalised, "do not add up to 1"),
    (underflowing, "not finite"),
    (guesser(dim=0), "dim=1"),
    (guesser(shrink=True), "of the clean ones"),
    (lambda x, clean, alpha, sigma: x / alpha, "differs"),
    (lambda x, clean, alpha, sigma: clean, "the shape (20, 2)"),
    (lambda x, clean, alpha, sigma: 0.0, "torch tensor"),
    (lambda x, clean, alpha, sigma: x @ clean, "stopped with RuntimeError"),
])
def test_best_guess_wrong(wrong, hint):
    verdict = chapter02.best_guess(wrong)
    assert verdict.status == "failed" and hint in verdict.message


def loss_with(target=lambda x0, eps, t: eps, reduce=torch.mean, size=torch.square, see=COSINE.add_noise,
              when=lambda t: t):
    def loss(network, x0, eps, t):
        return reduce(size(network(see(x0, eps, t), when(t)) - target(x0, eps, t)))

    return loss


def test_loss():
    assert chapter02.loss(loss_with())
    assert chapter02.loss(lambda network, x0, eps, t: torch.nn.functional.mse_loss(
        network(COSINE.add_noise(x0, eps, t), t), eps))


@pytest.mark.parametrize("wrong, hint", [
    (loss_with(target=lambda x0, eps, t: x0), "with the clean x0"),
    (loss_with(target=lambda x0, eps, t: COSINE.target("v", x0, eps, t)), "with v"),
    (loss_with(target=COSINE.add_noise), "with the noisy x"),
    (loss_with(reduce=torch.sum), "the sum"),
    (loss_with(reduce=lambda error: error), "for every number"),
    (loss_with(size=torch.abs), "absolute errors"),
    (loss_with(size=lambda error: error), "plain errors"),
    (loss_with(see=lambda x0, eps, t: x0), "the clean x0; it must see"),
    (loss_with(see=lambda x0, eps, t: x0 + eps), "something else than the noisy x"),
    (loss_with(when=lambda t: 1 - t), "other times"),
    (lambda network, x0, eps, t: ((x0 - eps) ** 2).mean(), "never asked"),
    (lambda network, x0, eps, t: loss_with()(network, x0, eps, t).detach(), "no gradient"),
    (lambda network, x0, eps, t: loss_with()(network, x0, eps, t).item(), "torch tensor"),
    (lambda network, x0, eps, t: 2 * loss_with()(network, x0, eps, t), "should be"),
])
def test_loss_wrong(wrong, hint):
    verdict = chapter02.loss(wrong)
    assert verdict.status == "failed" and hint in verdict.message


def test_one_level():
    verdict = chapter02.one_level(lambda count, source: torch.full((count,), 0.5))
    assert verdict
    ratios = [float(part.split()[0]) for part in verdict.message.removeprefix("Measured: ").split("; ")]
    assert ratios[0] > 2 and ratios[1] < 1.1 and ratios[2] > 1.2  # what the exercise claims


@pytest.mark.parametrize("wrong, hint", [
    (lambda count, source: torch.rand(count, generator=source), "differ from one another"),
    (lambda count, source: torch.full((count,), 0.3), "asks for 0.5"),
    (lambda count, source: 0.5, "torch tensor"),
    (lambda count, source: torch.tensor(0.5), "the shape (256,)"),
    (lambda count, source: torch.full((count,), 500.0), "between 0 and 1"),
    (lambda count, source: torch.ones(count, dtype=torch.int64), "floating-point"),
])
def test_one_level_wrong(wrong, hint, monkeypatch):
    monkeypatch.setattr(chapter02, "STEPS", 3)  # what is wrong does not depend on how long it trains
    verdict = chapter02.one_level(wrong)
    assert verdict.status == "failed" and hint in verdict.message

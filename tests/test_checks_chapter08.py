"""Chapter 08's checks know a right answer, the usual mistakes and an unfilled stub when they see one."""

import math

import pytest
import torch

from course_lib.checks import chapter08

pytestmark = pytest.mark.usefixtures("one_thread")


def stub(*_):
    raise NotImplementedError


@pytest.mark.parametrize("check", [chapter08.psnr, chapter08.scaling])
def test_an_unfilled_stub_is_not_wrong(check):
    for unfilled in (stub, lambda *_: None, None, ...):
        assert check(unfilled).status == "not tried"


@pytest.mark.parametrize("check", [chapter08.times_fewer, chapter08.brightest, chapter08.worst_page])
def test_dots_are_not_wrong(check):
    assert check(...).status == check(None).status == "not tried"


def test_times_fewer():
    assert chapter08.times_fewer(48) and chapter08.times_fewer(3 * 512 * 512 / (4 * 64 * 64))


@pytest.mark.parametrize("wrong, hint", [
    (64, "3 numbers and each place"), (8, "two sides"), (12, "this course's"), (192, "not 1"),
    (16384, "how many numbers"), (1 / 48, "the share"), (7, "is not it"), (math.nan, "is not it"),
    ("many", "is a number")])
def test_times_fewer_wrong(wrong, hint):
    verdict = chapter08.times_fewer(wrong)
    assert verdict.status == "failed" and hint in verdict.message


def psnr_with(peak=2.0, dims=(1, 2, 3), log=torch.log10, factor=10.0, size=torch.square):
    return lambda x, x_hat: factor * log(peak**2 / size(x - x_hat).mean(dim=dims))


def test_psnr():
    assert chapter08.psnr(psnr_with())
    assert chapter08.psnr(lambda x, x_hat: 20 * torch.log10(2 / (x - x_hat).square().flatten(1).mean(1).sqrt()))


def test_psnr_of_an_error_of_a_tenth_of_the_range_is_20_decibels():
    x = torch.zeros(2, 3, 4, 4)
    assert chapter08._decibels(x, x + 0.2).tolist() == pytest.approx([20, 20], abs=1e-4)


@pytest.mark.parametrize("wrong, hint", [
    (psnr_with(peak=1), "2, not 1"), (psnr_with(peak=255), "range of bytes"), (psnr_with(peak=2**0.5), "is squared"),
    (psnr_with(dims=(0, 1, 2, 3)), "whole batch"), (psnr_with(log=torch.log), "base 10"), (psnr_with(factor=20), "20"),
    (psnr_with(factor=-10), "turned round"), (psnr_with(factor=1), "tenth of a bel"),
    (psnr_with(size=torch.abs), "square them"), (lambda x, x_hat: ((x - x_hat) ** 2).mean((1, 2, 3)), "still missing"),
    (lambda x, x_hat: 30.0, "torch tensor"), (lambda x, x_hat: x[:, 0, 0, 0], "dB where it is")])
def test_psnr_wrong(wrong, hint):
    verdict = chapter08.psnr(wrong)
    assert verdict.status == "failed" and hint in verdict.message


def scaling_with(dims=(0, 2, 3), power=1, centre=True):
    return lambda z: (z - centre * z.mean(dim=dims, keepdim=True)) / z.std(dim=dims, keepdim=True) ** power


def test_scaling():
    assert chapter08.scaling(scaling_with())
    assert chapter08.scaling(lambda z: torch.nn.functional.batch_norm(z, None, None, training=True))  # torch's own


@pytest.mark.parametrize("wrong, hint", [
    (scaling_with(dims=(0, 1, 2, 3)), "each channel needs its own"), (scaling_with(dims=(2, 3)), "each page by itself"),
    (scaling_with(dims=(0,)), "each place"), (scaling_with(dims=(1,)), "over the channels"),
    (scaling_with(power=2), "standard deviation"), (scaling_with(power=0), "variance is not 1"),
    (scaling_with(power=-1), "multiply"), (scaling_with(centre=False), "mean is not 0"),
    (lambda z: z, "should be 0 and 1"), (lambda z: z.mean(), "the shape (6, 4, 8, 8)"), (lambda z: 1, "torch tensor")])
def test_scaling_wrong(wrong, hint):
    verdict = chapter08.scaling(wrong)
    assert verdict.status == "failed" and hint in verdict.message


@pytest.fixture
def measured(monkeypatch):
    """Pages and latents about which everything is known: channel 2 goes down with brightness, channel 0 half up."""
    source = torch.Generator().manual_seed(0)
    bright = torch.rand(chapter08.PAGES, 1, 16, 16, generator=source) * 2 - 1
    noise = torch.randn(chapter08.PAGES, 4, 16, 16, generator=source)
    z = noise + torch.tensor([1.0, 0.0, -9.0, 0.2]).reshape(1, 4, 1, 1) * bright
    x = bright.repeat_interleave(4, 2).repeat_interleave(4, 3).expand(-1, 3, -1, -1)
    error = torch.full((chapter08.PAGES, 1, 1, 1), 0.1)
    error[5], error[9] = 0.3, 0.01
    monkeypatch.setattr(chapter08, "_squeezed", lambda: (x, z, x + error))


@pytest.mark.parametrize("answer, status, hint", [
    (2, "passed", "channel 2 goes down"), (0, "failed", "without the sign"), (1, "failed", "correlation of channel 1"),
    (4, "failed", "from 0 to 3"), ("z", "failed", "from 0 to 3")])
def test_brightest(measured, answer, status, hint):
    verdict = chapter08.brightest(answer)
    assert verdict.status == status and hint in verdict.message


@pytest.mark.parametrize("answer, status, hint", [
    (5, "passed", "16.5 dB"), (9, "failed", "loses least"), (0, "failed", "there is one with less"),
    (24, "failed", "from 0 to 23"), (2.5, "failed", "from 0 to 23")])
def test_worst_page(measured, answer, status, hint):
    verdict = chapter08.worst_page(answer)
    assert verdict.status == status and hint in verdict.message


def test_the_pages_and_latents_measured_are_those_of_the_notebook():
    x, z, back = chapter08._squeezed()
    assert x.shape == back.shape == (24, 3, 64, 64) and z.shape == (24, 4, 16, 16)
    assert -1 <= back.min() and back.max() <= 1
    assert 0.5 < z.var() < 2 and (back - x).abs().mean() < 0.1
    assert sum(bool(chapter08.brightest(channel)) for channel in range(4)) == 1
    assert sum(bool(chapter08.worst_page(page)) for page in range(24)) == 1

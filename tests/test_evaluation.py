"""The figures of `evaluate` against the ones that a network of zeros must have, worked out on paper."""

import json
import math

import pytest
import torch
from torch import nn

from course_lib import __main__
from course_lib.data import Pictures
from course_lib.denoiser import Denoiser
from course_lib.evaluation import TIMES, held_out_error
from course_lib.schedulers import SCHEDULES


class Zeros(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x, t):
        return x * self.weight


PICTURES = Pictures(torch.randint(0, 256, (300, 3, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8),
                    ["noise"] * 300)


def test_a_network_of_zeros_gets_the_figures_that_follow_from_the_schedule():
    """With v = 0 the guess is alpha x, so its error is (alpha^2 - 1) x0 + alpha sigma eps."""
    schedule, power = SCHEDULES["cosine"], PICTURES.batch(slice(None)).square().mean().item()
    found = held_out_error(Denoiser(Zeros(), schedule, "v"), PICTURES, batch=100)
    for t in TIMES:
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        wanted = math.sqrt(sigma**4 * power + alpha**2 * sigma**2)
        assert found["rms"][str(t)] == pytest.approx(wanted, rel=0.01)
    assert found["loss"] == pytest.approx((1 + power) / 2, rel=0.01)  # the mean of alpha^2 eps^2 + sigma^2 x0^2
    assert found["rms_of_mean_page"] == pytest.approx(PICTURES.batch(slice(None)).std(dim=0).mean().item(), rel=0.01)
    assert found["pictures"] == 300


def test_the_command_prints_one_json_object_for_the_shipped_model(capsys):
    __main__.main(["evaluate", "--pictures", "16", "--device", "cpu"])
    figures = json.loads(capsys.readouterr().out)
    assert figures["nfe"] == 50 and figures["device"] == "cpu" and figures["seconds_per_picture"] > 0
    assert figures["rms"]["0.1"] < figures["rms"]["0.5"] < figures["rms"]["0.9"] < figures["rms_of_mean_page"]


def test_a_bad_number_of_pages_is_refused_in_a_sentence(capsys):
    with pytest.raises(SystemExit) as caught:
        __main__.main(["evaluate", "--pictures", "0"])
    assert caught.value.code == 2 and "The limit must be a whole number" in capsys.readouterr().err

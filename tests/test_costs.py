"""Costs against what can be worked out with a pencil."""

import time

import pytest
import torch
from torch import nn

from course_lib.costs import interleaved, operations, saved_bytes
from course_lib.runtime import CourseError
from course_lib.unet import UNet, UNetSettings


def test_operations_of_layers_whose_count_is_known():
    linear, conv = nn.Linear(100, 50), nn.Conv2d(3, 8, 5, padding=2)
    assert operations(lambda: linear(torch.ones(4, 100))) == 2 * 4 * 100 * 50
    assert operations(lambda: conv(torch.ones(2, 3, 16, 16))) == 2 * 2 * 16 * 16 * 8 * 3 * 5 * 5


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_attention_counts_in_every_mode(mode):
    q, k = torch.ones(1, 2, 10, 8), torch.ones(1, 2, 30, 8)
    with mode():
        count = operations(lambda: nn.functional.scaled_dot_product_attention(q, k, k))
    assert count == 2 * (2 * 10 * 30 * 8) * 2  # two heads; the scores, then their average of the values


def test_a_training_step_costs_nearly_three_times_its_forward_pass():
    layers = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64))
    x = torch.ones(5, 64)
    forward = operations(lambda: layers(x))
    assert operations(lambda: layers(x).sum().backward()) == 3 * forward - forward // 2  # no gradient towards x


def test_counting_needs_no_computing():
    settings = UNetSettings(picture=3, patch=1, channels=(16, 32), attention=(False, True))
    counts = []
    for device in ("cpu", "meta"):
        with torch.device(device), torch.no_grad():
            network, x, t = UNet(settings), torch.ones(1, 3, 16, 16), torch.ones(1)
            counts.append(operations(lambda: network(x, t)))
    assert counts[0] == counts[1] > 1e6


def test_saved_bytes_are_the_inputs_that_the_backward_pass_needs():
    first, second, x = nn.Linear(100, 50), nn.Linear(50, 20), torch.ones(8, 100)
    assert saved_bytes(lambda: first(x)) == 8 * 100 * 4  # the input; not the weights
    assert saved_bytes(lambda: second(first(x))) == 8 * (100 + 50) * 4
    assert saved_bytes(lambda: first(x) + first(x)) == 8 * 100 * 4  # kept twice, but there once
    # A sine keeps its input, an exponential its output.
    assert saved_bytes(lambda: torch.sin(first(x)).exp().sum()) == 8 * (100 + 50 + 50) * 4


def test_nothing_is_saved_where_no_gradient_is_wanted():
    layer = nn.Conv2d(3, 4, 3)
    with torch.no_grad():
        assert saved_bytes(lambda: layer(torch.ones(1, 3, 8, 8))) == 0


def test_the_longer_call_takes_longer_and_all_run_equally_often():
    seen = []
    calls = {"short": lambda: seen.append("short"), "long": lambda: (seen.append("long"), time.sleep(0.02))}
    times = interleaved(calls, rounds=3)
    assert list(times) == ["short", "long"] and times["short"] < 0.02 <= times["long"]
    assert seen == ["short", "long", "long", "short", "short", "long", "long", "short"]


def test_no_rounds_is_refused():
    with pytest.raises(CourseError, match="rounds"):
        interleaved({"a": lambda: None}, rounds=0)

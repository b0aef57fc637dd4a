"""Each check of chapter 04 against right answers, usual mistakes and the unfilled stub."""

import pytest
import torch
from torch.nn import functional as F

from course_lib.checks import chapter04
from course_lib.pipeline import load_denoiser
from course_lib.runtime import CourseError

WEIGHTS = 64 * 128 * 9 + 128


def right_reach(layers):
    side, jump = 1, 1
    for kernel, stride in layers:
        side, jump = side + (kernel - 1) * jump, jump * stride
    return side


def own_stride(layers):
    side, jump = 1, 1
    for kernel, stride in layers:
        jump *= stride
        side += (kernel - 1) * jump
    return side


def last_stride(layers):
    side, before = 1, 1
    for kernel, stride in layers:
        side, before = side + (kernel - 1) * before, stride
    return side


def right_sines(t, speeds):
    return torch.cat([torch.sin(t[:, None] * speeds), torch.cos(t[:, None] * speeds)], dim=1)


def alternating(t, speeds):
    angles = t[:, None] * speeds
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


def residual(one=1, listen=F.silu, second=F.silu, shortcut=True, swap=False):
    def my_residual(block, x, embedding):
        h = block.norm2(block.conv1(F.silu(block.norm1(x))))
        scale, shift = block.scale_shift(listen(embedding))[:, :, None, None].chunk(2, dim=1)
        if swap:
            scale, shift = shift, scale
        h = block.conv2(second(h * (one + scale) + shift))
        return block.shortcut(x) + h if shortcut else h
    return my_residual


@pytest.mark.parametrize("check, stub", [
    (chapter04.convolution, (..., ...)), (chapter04.convolution, ((128, 16, 16), ...)),
    (chapter04.convolution, ((..., ..., ...), 3)), (chapter04.reach, (lambda layers: None,)),
    (chapter04.sines, (lambda t, speeds: None,)), (chapter04.residual, (lambda *_: None,)), (chapter04.spare, (...,))])
def test_stubs_are_not_tried(check, stub):
    assert check(*stub).status == "not tried"


@pytest.mark.parametrize("check, right", [
    (chapter04.convolution, ((128, 16, 16), WEIGHTS)), (chapter04.convolution, ([128, 16, 16], WEIGHTS)),
    (chapter04.reach, (right_reach,)), (chapter04.sines, (right_sines,)), (chapter04.residual, (residual(),))])
def test_right_answers(check, right):
    verdict = check(*right)
    assert verdict.status == "passed", verdict


@pytest.mark.parametrize("check, wrong, hint", [
    (chapter04.convolution, ((128, 32, 32), WEIGHTS), "every second place"),
    (chapter04.convolution, ((64, 16, 16), WEIGHTS), "channels come out"),
    (chapter04.convolution, ((16, 16, 128), WEIGHTS), "channels come first"),
    (chapter04.convolution, ((1, 128, 16, 16), WEIGHTS), "Leave the number of pictures out"),
    (chapter04.convolution, (128, WEIGHTS), "three numbers in brackets"),
    (chapter04.convolution, ((128, 16, 16), WEIGHTS - 128), "bias"),
    (chapter04.convolution, ((128, 16, 16), 64 * 128), "3 x 3"),
    (chapter04.convolution, ((128, 16, 16), 9 * 128 + 128), "all 64"),
    (chapter04.convolution, ((128, 16, 16), 5), "channels in"),
    (chapter04.reach, (lambda layers: right_reach(layers) - 1,), "begin with 1"),
    (chapter04.reach, (lambda layers: sum(k for k, _ in layers),), "overlap"),
    (chapter04.reach, (lambda layers: 1 + sum(k - 1 for k, _ in layers),), "further apart"),
    (chapter04.reach, (own_stride,), "spreads the layers after it"),
    (chapter04.reach, (last_stride,), "strides multiply"),
    (chapter04.reach, (lambda layers: 3 ** len(layers),), "do not multiply"),
    (chapter04.reach, (lambda layers: "3",), "whole number"),
    (chapter04.sines, (lambda t, speeds: torch.sin(t[:, None] * speeds),), "a sine and a cosine"),
    (chapter04.sines, (alternating,), "alternate"),
    (chapter04.sines, (lambda t, speeds: right_sines(t, speeds).roll(5, dims=1),), "cosines come first"),
    (chapter04.sines, (lambda t, speeds: right_sines(t, 1 / speeds),), "multiply"),
    (chapter04.sines, (lambda t, speeds: torch.cat([torch.sin(t[:, None] * speeds)] * 2, dim=0),), "dim=1"),
    (chapter04.sines, (lambda t, speeds: torch.sin(t * speeds),), "RuntimeError"),
    (chapter04.residual, (residual(shortcut=False),), "shortcut is missing"),
    (chapter04.residual, (residual(one=0),), "1 + scale"),
    (chapter04.residual, (residual(swap=True),), "swapped"),
    (chapter04.residual, (residual(listen=lambda e: e),), "before scale_shift"),
    (chapter04.residual, (residual(second=lambda h: h),), "before conv2"),
    (chapter04.residual, (lambda block, x, embedding: block.shortcut(x),), "only the shortcut"),
    (chapter04.residual, (lambda block, x, embedding: x[:, :3],), "shape"),
    (chapter04.spare, ("fine skip",), "missed most"),
    (chapter04.spare, ("attention middle",), "without another it is less"),
    (chapter04.spare, ("the roof",), "no part"),
])
def test_wrong_answers_get_a_sentence_that_helps(check, wrong, hint):
    verdict = check(*wrong)
    assert verdict.status == "failed" and hint in verdict.message, verdict


def test_an_addition_in_place_of_the_shortcut_is_no_answer_where_the_channels_change():
    def adds_x(block, x, embedding):
        return x + residual(shortcut=False)(block, x, embedding)
    verdict = chapter04.residual(adds_x)
    assert verdict.status == "failed" and "block.shortcut(x) that you add" in verdict.message


def test_a_scale_that_does_not_fit_to_pictures_is_named():
    def flat_scale(block, x, embedding):
        scale, shift = block.scale_shift(F.silu(embedding)).chunk(2, dim=1)
        return block.norm2(block.conv1(F.silu(block.norm1(x)))) * (1 + scale) + shift
    verdict = chapter04.residual(flat_scale)
    assert verdict.status == "failed" and "[:, :, None, None]" in verdict.message


def test_the_part_that_is_missed_least_passes():
    least = min(chapter04.PARTS, key=chapter04.without)
    assert chapter04.spare(least).status == "passed"


def test_switching_a_part_off_leaves_the_shipped_network_as_it_was():
    network = load_denoiser("pixels", "cpu")[0].network
    before = chapter04.without(None, 0.2)
    assert chapter04.without("fine skip", 0.2) > before and chapter04.without("attention middle", 0.2) > before
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())


def test_an_unknown_part_is_named():
    with pytest.raises(CourseError, match="the roof"):
        chapter04.without("the roof")

"""The denoiser lab's frames are what the denoiser says they are."""

import numpy as np
import pytest
import torch
from lab_parts import change, unpack
from torch import nn

from course_lib.denoiser import Denoiser
from course_lib.labs import denoiser as lab
from course_lib.labs.denoiser import compute
from course_lib.pictures import to_uint8
from course_lib.runtime import CourseError
from course_lib.schedulers import SCHEDULES


class Constant(nn.Module):
    """Answers with the same number, whatever it sees."""

    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(float(value)))

    def forward(self, x, t):
        return self.value.expand_as(x)


@pytest.fixture
def picture():
    return torch.linspace(-1, 1, 3 * 16 * 16).reshape(3, 16, 16)


def test_views_are_the_guess_the_noisy_picture_and_the_noise(picture):
    shown = compute(Denoiser(Constant(0.5), SCHEDULES["cosine"], "x0"), picture, levels=5, seed=7)
    assert {name: frames.shape for name, frames in shown["views"].items()} == dict.fromkeys(
        ("guess at the clean picture", "noisy picture", "predicted noise"), (5, 16, 16, 3))
    assert (shown["views"]["guess at the clean picture"] == 191).all()  # 0.5 as a byte
    eps = torch.randn(picture.shape, generator=torch.Generator().manual_seed(7))
    last = shown["views"]["noisy picture"][-1]
    assert np.array_equal(last, to_uint8(eps[None])[0])  # at t = 1 the cosine schedule leaves nothing of the picture
    assert shown["labels"][0].startswith("t = 0.02") and shown["labels"][-1].startswith("t = 1.00")


def test_predicted_noise_is_what_the_network_says(picture):
    shown = compute(Denoiser(Constant(1.5), SCHEDULES["linear"], "eps"), picture, levels=4)
    assert set(np.unique(shown["views"]["predicted noise"])) <= {191, 192}  # 1.5 of 3 standard deviations


def test_labels_carry_the_error_of_the_guess(picture):
    labels = compute(Denoiser(Constant(0.0), SCHEDULES["flow"], "x0"), picture, levels=2)["labels"]
    assert labels[0].endswith(f"off by {picture.square().mean().sqrt():.2f}")


def test_the_same_seed_gives_the_same_frames_and_another_does_not(picture):
    denoise = Denoiser(Constant(0.0), SCHEDULES["cosine"], "v")
    first, again, other = (compute(denoise, picture, 3, seed)["views"]["noisy picture"] for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_edm_is_shown_at_the_contrast_of_the_others(picture):
    shown = compute(Denoiser(Constant(0.0), SCHEDULES["edm"], "x0"), picture, levels=3)
    last = shown["views"]["noisy picture"][-1]
    clipped = ((last == 0) | (last == 255)).mean()
    assert clipped < 0.45  # unit noise leaves [-1, 1] a third of the time, noise of sigma 80 nearly always


@pytest.mark.parametrize("given, words", [
    ({"levels": 1}, "from 2 to 101"), ({"levels": 2.5}, "from 2 to 101"), ({"seed": -1}, "The seed"),
    ({"picture": torch.zeros(1, 3, 16, 16)}, "one picture"), ({"picture": np.zeros((3, 16, 16))}, "one picture")])
def test_bad_input_is_told_in_a_sentence(picture, given, words):
    with pytest.raises(CourseError, match=words):
        compute(Denoiser(Constant(0.0), SCHEDULES["cosine"], "v"), **({"picture": picture} | given))


def test_the_curve_is_the_error_beside_that_of_the_last_guess(picture):
    shown = compute(Denoiser(Constant(0.2), SCHEDULES["flow"], "v"), picture, levels=4)
    own, blur = shown["curve"]["lines"].values()
    assert [f"{error:.2f}" for error in own] == [label.split("off by ")[1] for label in shown["labels"]]
    assert blur == [own[-1]] * 4 and own[0] < own[-1] <= shown["curve"]["range"][1]


def test_the_face_goes_on_with_another_noise_and_another_picture(picture):
    denoise = Denoiser(Constant(0.0), SCHEDULES["cosine"], "v")
    shown = lab(denoise, torch.stack([picture, -picture]), levels=5)
    data = shown._repr_mimebundle_()
    assert "image/png" in data and "from t = 0.02" in shown.figure.alt and "to t = 1.00" in shown.figure.alt
    change(shown, number=2, seed=4)
    wanted = compute(denoise, -picture, 5, 4)["views"]
    for view, frames in enumerate(wanted.values()):
        assert np.abs(unpack(shown.scrubber.shown, view).astype(int) - frames).max() <= 1
    kept = shown.scrubber.shown
    change(shown, number=3)
    assert "from 1 to 2" in shown.controls.message and shown.scrubber.shown is kept


def test_one_picture_has_no_number_to_choose(picture):
    assert list(lab(Denoiser(Constant(0.0), SCHEDULES["cosine"], "v"), picture, levels=3).controls.values) == ["seed"]
    for nothing in (torch.zeros(0, 3, 16, 16), np.zeros((3, 16, 16))):
        with pytest.raises(CourseError, match="a picture"):
            lab(Denoiser(Constant(0.0), SCHEDULES["cosine"], "v"), nothing)

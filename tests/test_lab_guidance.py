"""The guidance lab's frames are what `generate` paints at the scales that its labels name."""

import math

import numpy as np
import pytest
import torch

from course_lib.denoiser import Denoiser
from course_lib.labs import guidance as lab
from course_lib.labs.guidance import compute, fit_to_prompt, lower_edge
from course_lib.pictures import to_tensor
from course_lib.pipeline import TextToImage, generate
from course_lib.runtime import CourseError
from course_lib.schedulers import SCHEDULES
from course_lib.text import SharedSpace, TextSettings
from course_lib.tokenizer import tokenize
from course_lib.unet import UNet, UNetSettings
from course_lib.vae import VAE, VAESettings

pytestmark = pytest.mark.usefixtures("one_thread")
PROMPT = "a red house at night"


@pytest.fixture(scope="module")
def model() -> TextToImage:
    """Small, with random weights everywhere, so that a prompt makes a difference."""
    torch.manual_seed(0)
    space = SharedSpace(TextSettings(width=32, depth=1, heads=2, shared=16, picture=(8, 8, 16))).eval()
    network = UNet(UNetSettings(picture=4, patch=2, channels=(32,), attention=(True,), words=32, pooled=32)).eval()
    vae = VAE(VAESettings(encoder=16, decoder=(16, 16), blocks=1)).eval()
    for part in (space, network, vae):
        for parameter in part.requires_grad_(False).parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return TextToImage(Denoiser(network, SCHEDULES["cosine"]), space, vae)


def test_each_frame_shows_every_seed_at_its_scale(model):
    shown = compute(PROMPT, seeds=(4, 9), scales=(0, 1, 5), steps=3, model=model)
    frames = shown["views"]["picture"]
    assert frames.shape == (3, 64, 130, 3) and frames.dtype == np.uint8  # two pictures and the gap between them
    for frame, scale in zip(frames, (0, 1, 5)):
        for left, seed in ((0, 4), (66, 9)):
            alone = generate(PROMPT, seed, steps=3, guidance=scale, model=model).picture
            assert np.abs(frame[:, left:left + 64].astype(int) - alone).max() <= 1
    assert np.abs(frames[0].astype(int) - frames[2]).max() > 10, "the scale changes nothing"


def test_without_guidance_the_frame_is_that_of_no_prompt(model):
    frames = compute(PROMPT, seeds=[4], scales=[0], steps=3, model=model)["views"]["picture"]
    assert np.abs(frames[0].astype(int) - generate("", 4, steps=3, guidance=1, model=model).picture).max() <= 1


def test_labels_say_the_scale(model):
    labels = compute(PROMPT, seeds=[0], scales=(0, 1, 1.5, 12), steps=1, model=model)["labels"]
    assert [label.split(" · ")[0] for label in labels] == ["guidance 0", "guidance 1", "guidance 1.5", "guidance 12"]
    assert "ignored" in labels[0] and "off" in labels[1]


def test_the_curve_is_the_mean_cosine_with_the_prompt(model):
    shown = compute(PROMPT, seeds=(1, 2), scales=(0, 4), steps=2, model=model)
    made = generate(PROMPT, (1, 2), steps=2, guidance=4, model=model).pictures
    words, pictures = model.space.embed_text(tokenize([PROMPT])), model.space.embed_pictures(to_tensor(made))
    wanted = torch.nn.functional.cosine_similarity(words, pictures).mean().item()
    assert shown["curve"]["y"][1] == pytest.approx(wanted, abs=1e-4)
    assert fit_to_prompt(PROMPT, made, model) == pytest.approx(wanted, abs=1e-4)
    low, high = shown["curve"]["range"]
    assert low <= min(shown["curve"]["y"]) and max(shown["curve"]["y"]) <= high


@pytest.mark.parametrize("fits, low", [([0.2, 0.9], 0), ([-0.0871674, 0.5], -0.25), ([0.1, -0.25], -0.25),
                                       ([-0.26, -0.3], -0.5)])
def test_the_curve_begins_at_a_number_that_fits_beside_it(fits, low):
    assert lower_edge(fits) == low


@pytest.mark.parametrize("given, words", [
    ({"prompt": ["a cat", "a car"]}, "one prompt"), ({"scales": ()}, "at least one guidance scale"),
    ({"scales": (1, math.nan)}, "finite number"), ({"seeds": ()}, "at least one seed"), ({"seeds": (-1,)}, "The seed"),
    ({"steps": 0}, "number of steps")])
def test_bad_input_is_told_in_a_sentence(model, given, words):
    with pytest.raises(CourseError, match=words):
        compute(**({"prompt": PROMPT, "seeds": [0], "scales": [2], "steps": 2, "model": model} | given))


def test_the_face_opens_where_guidance_is_off(model):
    shown = lab(PROMPT, seeds=(1,), scales=(0, 0.5, 1, 2), steps=1, model=model)
    assert shown.shown["start"] == 2 and shown.shown["curve"]["label"].startswith("How near")
    data, _ = shown._repr_mimebundle_()
    assert "image/png" in data and "from guidance 0" in shown.strip.alt and "to guidance 2" in shown.strip.alt
    assert lab(PROMPT, seeds=(1,), scales=(3, 2), steps=1, model=model).shown["start"] == 0

"""The guidance lab's pictures are what `generate` paints at their scales, and the oracle's words are its own."""

import importlib
import math

import numpy as np
import pytest
import torch
from lab_parts import change
from small_models import random_weights, small_text_to_image

from course_lib import labs
from course_lib.evaluation import read
from course_lib.oracle import Oracle, OracleSettings
from course_lib.pictures import to_tensor
from course_lib.pipeline import generate
from course_lib.runtime import CourseError
from course_lib.tokenizer import tokenize

lab = importlib.import_module("course_lib.labs.guidance")  # labs.guidance is the function
pytestmark = pytest.mark.usefixtures("one_thread")
PROMPT = "a red house at night"


@pytest.fixture(scope="module")
def model():
    return small_text_to_image()


@pytest.fixture(scope="module")
def oracle():
    return random_weights(Oracle(OracleSettings()))


def test_the_last_frame_shows_one_seed_at_every_scale(model, oracle):
    shown = lab.compute(PROMPT, 4, scales=(0, 1, 5), steps=3, model=model, oracle=oracle)
    frames = shown["views"]["noisy picture"]
    assert frames.shape == (4, 64, 3 * 66 - 2, 3) and frames.dtype == np.uint8
    for left, scale in zip((0, 66, 132), (0, 1, 5)):
        alone = generate(PROMPT, 4, steps=3, guidance=scale, model=model)
        assert np.array_equal(frames[-1][:, left:left + 64], alone.picture)
        assert np.array_equal(frames[1][:, left:left + 64], model.decode(alone.trajectory[1].x)[0])
    assert (frames[0][:, :64] == frames[0][:, 66:130]).all(), "they start from one noise"
    unprompted = generate("", 4, steps=3, guidance=1, model=model).picture
    assert np.abs(frames[-1][:, :64].astype(int) - unprompted).max() <= 1
    heads = shown["cells"]["heads"]
    assert heads[0].startswith("guidance 0 · no prompt") and heads[1].endswith("off") and heads[2] == "guidance 5"


def test_under_each_picture_stand_the_oracles_reading_and_the_fit(model, oracle):
    texts = lab.compute(PROMPT, 4, scales=(1, 4), steps=2, model=model, oracle=oracle)["cells"]["texts"]
    made = np.concatenate([generate(PROMPT, 4, steps=2, guidance=w, model=model).pictures for w in (1, 4)])
    words, pictures = model.space.embed_text(tokenize([PROMPT])), model.space.embed_pictures(to_tensor(made))
    wanted = torch.nn.functional.cosine_similarity(words, pictures).tolist()
    reading = read(oracle, made)
    for i, text in enumerate(texts):
        said, fit = text.split("\nfit ")
        assert said == lab.in_words(reading.describe(i))
        assert float(fit.replace("−", "-")) == pytest.approx(wanted[i], abs=6e-3)


def test_a_reading_in_words():
    said = {"time": "night", "land": "snow", "weather": "clear", "sky": "nothing", "left": "small red house"}
    assert lab.in_words(said) == "small red house (left) · night, snow, clear"
    assert lab.in_words(said | {"right": "large blue cat", "sky": "moon"}) == (
        "small red house (left), large blue cat (right) · night, snow, clear, moon")
    assert lab.in_words({key: said[key] for key in ("time", "land", "weather", "sky")}).startswith("no thing · ")


@pytest.mark.parametrize("given, words", [
    ({"prompt": ["a cat", "a car"]}, "one prompt"), ({"scales": ()}, "at least one guidance scale"),
    ({"scales": (1, math.nan)}, "finite number"), ({"seed": -1}, "The seed"), ({"steps": 0}, "number of steps")])
def test_bad_input_is_told_in_a_sentence(model, oracle, given, words):
    with pytest.raises(CourseError, match=words):
        lab.compute(**({"prompt": PROMPT, "scales": [2], "steps": 2, "model": model, "oracle": oracle} | given))


def test_the_lab_follows_what_is_typed(model, oracle):
    face = labs.guidance(PROMPT, scales=(0, 2), steps=2, model=model, oracle=oracle)
    before = face.scrubber.shown
    change(face, prompt="a blue boat", seed=9)
    assert face.scrubber.shown["sheets"] != before["sheets"] and "a blue boat" in face.scrubber.shown["alt"]
    kept = face.scrubber.shown
    change(face, seed="")
    assert face.controls.wrong and "The seed" in face.controls.message and face.scrubber.shown is kept
    assert "image/png" in face._repr_mimebundle_()

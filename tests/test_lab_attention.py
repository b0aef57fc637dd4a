"""The attention lab's maps are those of the network, word by word and step by step."""

import importlib

import numpy as np
import pytest
import torch
from lab_parts import change
from small_models import small_text_to_image

from course_lib import labs
from course_lib.attention import attention_maps
from course_lib.pipeline import generate
from course_lib.runtime import CourseError

lab = importlib.import_module("course_lib.labs.attention")  # labs.attention is the function
pytestmark = pytest.mark.usefixtures("one_thread")
PROMPT = "a red house and a cat"


@pytest.fixture(scope="module")
def model():
    return small_text_to_image()


def test_there_is_a_view_for_every_word_and_its_map_is_the_networks(model):
    shown = lab.compute(PROMPT, seed=2, steps=3, model=model)
    assert list(shown["views"]) == ["the guess", "a", "red", "house", "and", "a (2)", "cat"]
    result, cond = generate(PROMPT, 2, 3, model=model), model.cond([PROMPT])
    for i, step in enumerate(result.trajectory):
        maps = attention_maps(model.denoise, step.x, step.t, cond)[0]
        assert torch.allclose(shown["maps"][i], maps[1:-1], atol=1e-6)  # between the marks of start and end
        assert np.array_equal(shown["views"]["the guess"][i], model.decode(step.x0_hat)[0])
    [line] = shown["curve"]["lines"].values()
    assert line == pytest.approx([float(maps.sum(dim=0).mean()) for maps in shown["maps"]], abs=1e-6)
    assert len(shown["labels"]) == 3 and max(line) <= shown["curve"]["range"][1] <= 1


def test_orange_is_where_the_share_is_large():
    shares = torch.zeros(1, 4, 4)
    shares[0, 1, 2] = 1
    picture = lab.glow(np.full((1, 16, 16, 3), 100, np.uint8), shares)[0].astype(int)
    redness = picture[..., 0] - picture[..., 2]
    assert np.unravel_index(redness.argmax(), redness.shape)[0] in (5, 6) and redness.max() > 100
    assert redness[12:, :4].max() == 0  # grey where nobody asks
    assert not np.ptp(lab.glow(np.full((1, 16, 16, 3), 100, np.uint8), torch.ones(1, 4, 4)))  # alike everywhere: grey


def test_another_prompt_brings_other_words_and_a_mistake_keeps_the_old_ones(model):
    shown = labs.attention("a red house", steps=3, model=model)
    assert shown.scrubber.shown["hover"] and shown.scrubber.shown["start"] == 1
    change(shown, prompt="two green trees", steps=4)
    assert shown.scrubber.shown["names"] == ["the guess", "two", "green", "trees"]
    assert len(shown.scrubber.shown["labels"]) == 4
    change(shown, prompt="dinosaur")
    assert shown.controls.wrong and "no word" in shown.controls.message
    assert shown.scrubber.shown["names"][-1] == "trees"


@pytest.mark.parametrize("given, words", [({"prompt": ""}, "no word"), ({"prompt": ["a", "b"]}, "one prompt"),
                                          ({"seed": -1}, "The seed"), ({"steps": 0}, "number of steps")])
def test_bad_input_is_told_in_a_sentence(model, given, words):
    with pytest.raises(CourseError, match=words):
        lab.compute(**({"prompt": PROMPT, "steps": 2, "model": model} | given))

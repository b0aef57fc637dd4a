"""The schedulers lab: pictures of `generate`, and their distance to a fine reference."""

import importlib

import numpy as np
import pytest
from lab_parts import change
from small_models import small_text_to_image

from course_lib import labs
from course_lib.pipeline import generate
from course_lib.runtime import CourseError

lab = importlib.import_module("course_lib.labs.schedulers")  # labs.schedulers is the function
pytestmark = pytest.mark.usefixtures("one_thread")
PROMPT = "a red house at night"


@pytest.fixture(scope="module")
def model():
    return small_text_to_image()


@pytest.fixture(scope="module")
def shown(model):
    return lab.compute(PROMPT, 3, 2.0, ("ddim", "heun", "dpmpp_2m"), (1, 4, 24), model)


def apart(picture, other) -> int:
    """The largest difference of two pictures, in grey levels; with more threads sums are rounded otherwise."""
    return int(np.abs(picture.astype(int) - other).max())


def test_each_frame_shows_every_scheduler_at_its_number_of_steps_and_the_reference(model, shown):
    frames = shown["views"]["picture"]
    assert frames.shape == (3, 64, 4 * 66 - 2, 3) and shown["labels"] == ["1 step", "4 steps", "24 steps"]
    assert shown["cells"]["heads"] == ["ddim", "heun", "dpmpp_2m", "80 fine steps"]
    for frame, count in zip(frames, (1, 4, 24)):
        for left, name in zip(range(0, 198, 66), ("ddim", "heun", "dpmpp_2m")):
            alone = generate(PROMPT, 3, count, 2.0, name, model=model).picture
            assert apart(frame[:, left:left + 64], alone) <= 1
    fine = generate(PROMPT, 3, lab.FINE_STEPS, 2.0, "dpmpp_2m", model=model).picture
    assert all(apart(frame[:, 198:], fine) <= 1 for frame in frames)
    assert shown["distances"]["ddim"][0] == pytest.approx(
        np.sqrt(np.square(frames[0][:, :64].astype(float) - fine).mean()), abs=0.5)


def test_more_steps_come_nearer_to_the_reference(shown):
    for name, distances in shown["distances"].items():
        assert distances[2] < distances[0], name


def test_the_curve_is_the_logarithm_of_the_distance(shown):
    curve = shown["curve"]
    low, high = curve["range"]
    for name, line in curve["lines"].items():
        assert line == pytest.approx(np.log2(np.maximum(lab.LEAST, shown["distances"][name])))
        assert low <= min(line) and max(line) <= high
    assert all(low <= power <= high and float(text) == 2.0**power for power, text in curve["marks"])
    assert lab.curve({"same": [0.0, 0.0]})["lines"]["same"] == [-1, -1]  # nothing is infinitely near


def test_the_lab_follows_its_controls_and_tells_mistakes(model):
    face = labs.schedulers(PROMPT, names=("ddim",), counts=(1, 2), model=model)
    before = face.scrubber.shown
    assert before["start"] == 1
    change(face, seed=8)
    assert face.scrubber.shown["sheets"] != before["sheets"]
    kept = face.scrubber.shown
    change(face, seed=-1)
    assert face.controls.wrong and "The seed" in face.controls.message and face.scrubber.shown is kept


@pytest.mark.parametrize("given, words", [({"names": ()}, "at least one scheduler"), ({"counts": ()}, "at least one"),
                                          ({"names": ("best",)}, "best"), ({"counts": (0,)}, "number of steps"),
                                          ({"prompt": 3}, "one prompt")])
def test_bad_input_is_told_in_a_sentence(model, given, words):
    with pytest.raises(CourseError, match=words):
        lab.compute(**({"prompt": PROMPT, "names": ["ddim"], "counts": [1], "model": model} | given))

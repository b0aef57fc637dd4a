"""The denoising lab shows what `generate` paints: one trajectory, or a grid of nine."""

import importlib

import numpy as np
import pytest
from lab_parts import change, unpack
from small_models import small_text_to_image

from course_lib import labs
from course_lib.pipeline import generate
from course_lib.runtime import CourseError

lab = importlib.import_module("course_lib.labs.denoising")  # labs.denoising is the function
pytestmark = pytest.mark.usefixtures("one_thread")
PROMPT = "a red house at night"


@pytest.fixture(scope="module")
def model():
    return small_text_to_image()


def test_the_last_frame_is_the_picture_and_the_first_is_the_noise_decoded(model):
    shown = lab.compute(PROMPT, 5, steps=4, guidance=2, scheduler="ddim", model=model)
    result = generate(PROMPT, 5, steps=4, guidance=2, scheduler="ddim", model=model)
    noisy, guess, noise = shown["views"].values()
    assert noisy.shape == guess.shape == noise.shape == (5, 64, 64, 3) and len(shown["labels"]) == 5
    assert np.array_equal(noisy[-1], result.picture) and np.array_equal(guess[-1], result.picture)
    assert np.array_equal(noisy[0], model.decode(result.trajectory[0].x)[0])
    assert np.array_equal(guess[2], model.decode(result.trajectory[2].x0_hat)[0])
    assert shown["labels"][0].startswith("step 0 of 4 · noise level t = 1.00") and shown["strip"]
    assert shown["note"].startswith("8 network evaluations a picture · ") and "one picture" in shown["note"]


@pytest.mark.parametrize("grid, rows", [
    (lab.BY_GUIDANCE, [{"steps": 6, "guidance": scale} for scale in lab.SCALES]),
    (lab.BY_STEPS, [{"steps": count, "guidance": 2} for count in lab.STEP_COUNTS])])
def test_a_grid_ends_on_nine_pictures_that_are_those_of_generate(model, grid, rows):
    shown = lab.compute(PROMPT, 5, steps=6, guidance=2, grid=grid, model=model)
    frames = shown["views"]["noisy picture"]
    assert frames.shape == (lab.GRID_FRAMES, 3 * 64 + 4, 3 * 64 + 4, 3) and len(shown["labels"]) == lab.GRID_FRAMES
    for row, given in enumerate(rows):
        for column, seed in enumerate((5, 6, 7)):
            top, left = 66 * row, 66 * column
            alone = generate(PROMPT, seed, model=model, **given).picture
            assert np.abs(frames[-1, top:top + 64, left:left + 64].astype(int) - alone).max() <= 1
    heads = shown["cells"]["heads"]
    assert len(heads) == 9 and heads[0].startswith("seed 5 · ") and heads[8].startswith("seed 7 · ")
    assert "9 pictures" in shown["note"]


def test_every_control_changes_the_picture_and_the_latest_stays(model):
    shown = labs.denoising(PROMPT, seed=1, steps=3, model=model)
    seen = [shown.scrubber.shown["sheets"]]
    for values in ({"prompt": "a blue boat"}, {"seed": 2}, {"steps": 5}, {"guidance": 6.5}, {"scheduler": "euler"},
                   {"grid": lab.BY_GUIDANCE}):
        change(shown, **values)
        assert not shown.controls.message and shown.scrubber.shown["sheets"] not in seen
        seen.append(shown.scrubber.shown["sheets"])
    assert shown.scrubber.shown["cells"]["columns"] == 3 and not shown.scrubber.shown["strip"]
    change(shown, grid=lab.ONE)
    wanted = generate("a blue boat", 2, 5, 6.5, "euler", model=model).picture
    assert np.abs(unpack(shown.scrubber.shown, 0)[-1].astype(int) - wanted).max() <= 1
    assert shown.scrubber.shown["cells"] is None and len(shown.scrubber.shown["strip"]) == 5


def test_unknown_words_are_told_and_the_picture_is_painted_all_the_same(model):
    shown = labs.denoising(PROMPT, steps=2, model=model)
    change(shown, prompt="a red dinosaur")
    assert "dinosaur" in shown.controls.message and not shown.controls.wrong


@pytest.mark.parametrize("values, words", [({"seed": -1}, "The seed"), ({"seed": ""}, "The seed"),
                                           ({"steps": 0}, "number of steps"), ({"guidance": float("nan")}, "finite"),
                                           ({"scheduler": "best"}, "best"), ({"grid": "all"}, "choose from"),
                                           ({"seed": -1, "grid": lab.BY_STEPS}, "The seed"),
                                           ({"seed": "", "grid": lab.BY_STEPS}, "The seed")])
def test_a_mistake_is_told_in_the_lab_and_the_picture_stays(model, values, words):
    with pytest.raises(CourseError, match=words):
        lab.compute(**({"prompt": PROMPT, "steps": 2, "model": model} | values))
    shown = labs.denoising(PROMPT, steps=2, model=model)
    kept = shown.scrubber.shown
    change(shown, **values)
    assert shown.controls.wrong and words in shown.controls.message and shown.scrubber.shown is kept


def test_a_list_of_prompts_is_refused_in_a_sentence(model):
    with pytest.raises(CourseError, match="one prompt"):
        labs.denoising(["a cat", "a car"], model=model)


def test_where_there_are_no_widgets_a_strip_goes_from_noise_to_picture(model):
    shown = labs.denoising(PROMPT, steps=3, model=model)
    data = shown._repr_mimebundle_()
    assert PROMPT in data["text/plain"] and "step 0 of 3" in data["text/plain"] and "image/png" in data
    assert "0x" not in repr(shown)

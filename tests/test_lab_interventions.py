"""The labs for intervening show what the interventions give, frame by frame, and tell what cannot be."""

import importlib
import math

import numpy as np
import pytest
from lab_parts import change
from PIL import Image
from small_models import small_text_to_image

from course_lib import interventions, labs
from course_lib.labs.distances import curve_of, rms
from course_lib.labs.easel import SIDE, disc, marked
from course_lib.labs.pictured import page
from course_lib.pipeline import generate
from course_lib.runtime import CourseError

pytestmark = pytest.mark.usefixtures("one_thread")
vary, inpaint, extend, between, edit, invert = (
    importlib.import_module(f"course_lib.labs.{name}")  # labs.vary is the function
    for name in ("vary", "inpaint", "extend", "between", "edit", "invert"))
PROMPT, OTHER = "a red house at night", "a blue boat"
PICTURE = page(26)[0]
MASK = disc(30, 40, 21)
HOW = {"steps": 4, "guidance": 2}


@pytest.fixture(scope="module")
def model():
    return small_text_to_image()


def test_distances_and_their_curve():
    black, grey = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 200, np.uint8)
    assert rms(black, grey) == rms(grey, black) == 200 and rms(grey, grey) == 0
    curve = curve_of("How far.", {"a": [0.0, 31.2], "b": [4.0, 4.0]})
    assert curve["range"] == (0, 40) and curve["marks"] == [(0, "0"), (40, "40")]
    assert curve_of("None.", {"a": [0.0]}, 0.5)["range"] == (0, 0.5)


# ------------------------------------------------------------------------------------------------------------- vary

def test_vary_begins_with_the_picture_and_ends_with_the_result(model):
    result = interventions.vary(PICTURE, PROMPT, 0.5, 3, scheduler="ddim", model=model, **HOW)
    shown = vary.compute(PICTURE, PROMPT, 3, 0.5, model=model, **HOW)
    frames = shown["views"]["noisy picture"]
    assert np.array_equal(frames[0], PICTURE) and np.array_equal(frames[-1], result.picture)
    assert np.array_equal(frames[1], result.decode(result.trajectory[0].x)[0])
    assert len(frames) == len(shown["labels"]) == 2 + len(result.trajectory) == 4  # half of the steps
    still = vary.compute(PICTURE, PROMPT, 3, 0, model=model, **HOW)["views"]["noisy picture"]
    assert len(still) == 1 and np.array_equal(still[0], PICTURE)


def test_vary_passes_from_the_picture_to_what_ignores_it(model):
    shown = vary.compute(PICTURE, PROMPT, 3, 0.3, show="every strength", model=model, steps=10, guidance=2)
    results, starts = shown["views"]["result"], shown["views"]["what it starts from"]
    assert results.shape == starts.shape == (11, SIDE, SIDE, 3) and shown["start"] == 3
    assert np.array_equal(results[0], PICTURE) and np.array_equal(starts[0], PICTURE)
    assert np.array_equal(results[-1], generate(PROMPT, 3, 10, 2, "ddim", model=model).picture)
    assert np.array_equal(results[7], interventions.vary(PICTURE, PROMPT, 0.7, 3, scheduler="ddim", model=model,
                                                         steps=10, guidance=2).picture)
    assert shown["distances"] == [rms(picture, PICTURE) for picture in results]
    assert shown["labels"][7].startswith("strength 0.7 · 7 of 10 steps")


# ---------------------------------------------------------------------------------------------------------- inpaint

@pytest.mark.parametrize("exact", [True, False])
def test_inpaint_shows_the_mask_the_steps_and_what_was_kept(model, exact):
    result = interventions.fill(PICTURE, MASK, PROMPT, 3, 2, exact, model=model, **HOW)
    shown = inpaint.compute(PICTURE, MASK, PROMPT, 3, 2, exact, model=model, **HOW)
    frames = shown["views"]["noisy picture"]
    assert np.array_equal(frames[0], marked(PICTURE, MASK)) and np.array_equal(frames[-1], result.picture)
    assert len(frames) == 2 + len(result.trajectory) == len(shown["labels"])
    assert ("every pixel is the picture's own" in shown["note"]) == exact
    if not exact:
        assert f"is {rms(result.picture[~MASK], PICTURE[~MASK]):.1f} grey levels" in shown["note"]
    whole = inpaint.compute(PICTURE, np.ones((SIDE, SIDE)), PROMPT, model=model, **HOW)
    assert "All of the picture is marked." in whole["note"]


def test_inpaint_follows_the_brush_and_says_when_nothing_is_marked(model):
    lab = labs.inpaint(prompt=PROMPT, mask=MASK, model=model)
    easel = lab.easel
    assert np.array_equal(easel.painting, MASK)
    easel.set_state({"ink": memoryview(disc(10, 10, 9).astype(np.uint8).tobytes())})
    assert lab.live.wait(60)
    assert np.array_equal(lab.result["views"]["noisy picture"][0], marked(PICTURE, disc(10, 10, 9)))
    kept = lab.scrubber.shown
    easel.set_state({"ink": memoryview(bytes(SIDE * SIDE))})
    assert lab.live.wait(60) and lab.controls.wrong and "mask is empty" in lab.controls.message
    assert lab.scrubber.shown is kept and "image/png" in lab._repr_mimebundle_()


# ----------------------------------------------------------------------------------------------------------- extend

@pytest.mark.parametrize("side", ["right", "left", "bottom", "top"])
def test_extend_shows_window_after_window(model, side):
    shown = extend.compute(PICTURE, PROMPT, 3, side, 2, model=model, **HOW)
    frames = shown["views"]["picture"]
    wanted = [interventions.extend(PICTURE, PROMPT, side, by, 3, model=model, **HOW) for by in (32, 64)]
    assert len(frames) == 3 and np.array_equal(frames[2], wanted[1])
    across = side in ("right", "left")
    turned = frames if side in ("right", "bottom") else frames[:, ::-1, ::-1]
    for frame, part in zip(turned, (PICTURE, wanted[0])):
        part = part if side in ("right", "bottom") else part[::-1, ::-1]
        known = frame[:, :part.shape[1]] if across else frame[:part.shape[0]]
        empty = frame[:, part.shape[1]:] if across else frame[part.shape[0]:]
        assert np.array_equal(known, part) and (empty == 128).all() and empty.size


# ---------------------------------------------------------------------------------------------------------- between

def test_between_shows_the_row_of_pictures(model):
    shown = between.compute(PROMPT, OTHER, 3, 8, count=5, model=model, **HOW)
    frames = interventions.between_seeds(PROMPT, (3, 8), 5, model=model, **HOW).pictures
    assert np.array_equal(shown["views"]["picture"], frames)
    assert shown["labels"] == ["seed 3", *[f"{share}% of the way from seed 3 to seed 8" for share in (25, 50, 75)],
                               "seed 8"]
    assert shown["curve"]["lines"]["the change"] == [0, *[rms(a, b) for a, b in zip(frames, frames[1:])]]
    words = between.compute(PROMPT, OTHER, 3, 8, "two prompts", 3, model=model, **HOW)
    assert np.array_equal(words["views"]["picture"],
                          interventions.between_prompts((PROMPT, OTHER), 3, 3, model=model, **HOW).pictures)
    assert (shown["film"], words["film"]) == ("a_red_house_at_night_seed_3_to_8.gif",
                                              "a_red_house_at_night_to_a_blue_boat_seed_3.gif")


def test_the_film_is_written_where_it_says(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lab = labs.between(PROMPT, count=3, model=model)
    change(lab, film=1)
    [path] = tmp_path.iterdir()
    assert path.name in lab.controls.message and str(tmp_path) in lab.controls.message and not lab.controls.wrong
    with Image.open(path) as film:
        assert film.n_frames == 4 and film.size == (SIDE, SIDE)  # there and back
    before = lab.scrubber.shown
    change(lab, seed=5)  # and on it goes
    assert lab.scrubber.shown is not before and len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(lab, "save", lambda: (_ for _ in ()).throw(CourseError("The disk is full.")))
    change(lab, film=2)
    assert lab.controls.wrong and lab.controls.message == "The disk is full."


# ------------------------------------------------------------------------------------------------------------- edit

def parts(shown: dict) -> list[np.ndarray]:
    """The pictures of each frame, cut apart."""
    frames = shown["views"]["picture"]
    assert frames.shape[2] == 66 * len(shown["cells"]["heads"]) - 2
    return [frames[:, :, 66 * i:66 * i + SIDE] for i in range(len(shown["cells"]["heads"]))]


def test_the_prompt_changes_at_every_step(model):
    first, both, second = parts(edit.compute(PROMPT, OTHER, 3, steps=4, guidance=2, model=model))
    alone = [generate(text, 3, 4, 2, model=model).picture for text in (PROMPT, OTHER)]
    assert all(np.abs(pictures.astype(int) - picture).max() <= 1 for pictures, picture in zip((first, second), alone))
    assert len(both) == 5
    for at, picture in enumerate(both):
        assert np.array_equal(picture, interventions.turn(PROMPT, OTHER, at, 3, model=model, **HOW).picture)
    assert len(edit.compute(PROMPT, OTHER, steps=30, model=model)["labels"]) == 11


def test_the_attention_is_kept_for_more_and_more_steps(model):
    shown = edit.compute(PROMPT, OTHER, 3, edit.SWAP, steps=4, guidance=2, model=model)
    first, edited, second = parts(shown)
    for i in (0, 4, 10):
        result = interventions.swap(PROMPT, OTHER, i / 10, 3, model=model, **HOW)
        apart = np.abs(first[i].astype(int) - result.pictures[0]).max()  # alone or in company it may round otherwise
        assert apart <= 1
        assert np.array_equal(edited[i], result.pictures[1])
    assert np.array_equal(second[3], edited[0]) and "40% of the steps" in shown["labels"][4]
    assert shown["distances"] == [rms(picture, first[0]) for picture in edited]


def test_a_word_counts_more_and_more(model):
    shown = edit.compute(PROMPT, OTHER, 3, edit.WEIGH, "red", steps=4, guidance=2, model=model)
    plain, weighed = parts(shown)
    for weight, picture in zip(edit.WEIGHTS, weighed):
        assert np.array_equal(picture, generate(PROMPT, 3, 4, 2, model=model, emphasis={"red": weight}).picture)
    assert np.array_equal(plain[0], weighed[edit.WEIGHTS.index(1)])
    assert shown["distances"][edit.WEIGHTS.index(1)] == 0 < shown["distances"][-1]


# ----------------------------------------------------------------------------------------------------------- invert

def test_invert_shows_the_way_up_and_both_ways_down(model):
    shown = invert.compute(PICTURE, PROMPT, OTHER, 6, 2, model=model)
    up, same, other = (shown["views"]["noisy picture"][:, :, left:left + SIDE] for left in (0, 66, 132))
    inversion = interventions.invert(PICTURE, PROMPT, 6, model=model)
    back = interventions.repaint(inversion, PROMPT, guidance=1, model=model)
    assert len(up) == len(shown["labels"]) == 7
    assert np.array_equal(up[-1], PICTURE) and np.array_equal(same[-1], back.picture)
    assert np.array_equal(other[-1], interventions.repaint(inversion, OTHER, guidance=2, model=model).picture)
    assert np.array_equal(up[0], back.decode(inversion.trajectory[-1].x_next)[0])
    assert max(np.abs(up[0].astype(int) - down[0]).max() for down in (same, other)) <= 1  # one noise
    assert shown["error"] == rms(back.picture, PICTURE) and f"{shown['error']:.1f} grey levels" in shown["note"]
    assert all(line[0] == pytest.approx(0, abs=1e-4) for line in shown["curve"]["lines"].values())
    assert len(invert.compute(PICTURE, PROMPT, OTHER, 40, model=model)["labels"]) == 21


def test_a_page_without_a_prompt_has_its_caption(model):
    lab = labs.invert(steps=4, model=model)
    assert page(35)[1] in lab.scrubber.shown["alt"]
    change(lab, prompt=PROMPT)
    assert PROMPT in lab.scrubber.shown["alt"]
    change(lab, prompt=" ", number=3)
    assert page(3)[1] in lab.scrubber.shown["alt"] and not lab.controls.wrong


# -------------------------------------------------------------------------------------------------------- bad input

@pytest.mark.parametrize("compute, given, words", [
    (vary.compute, {"strength": 2}, "strength"), (vary.compute, {"strength": math.nan}, "strength"),
    (vary.compute, {"show": "nothing"}, "cannot show"), (vary.compute, {"seed": -1}, "The seed"),
    (vary.compute, {"prompt": ["a", "b"]}, "one prompt"), (vary.compute, {"picture": PICTURE[:10]}, "picture"),
    (inpaint.compute, {"mask": np.zeros((64, 64))}, "mask is empty"), (inpaint.compute, {"rounds": 0}, "rounds"),
    (inpaint.compute, {"mask": np.ones((8, 8))}, "mask"), (inpaint.compute, {"seed": ""}, "The seed"),
    (extend.compute, {"windows": 0}, "number of windows"), (extend.compute, {"side": "inside"}, "side"),
    (between.compute, {"count": 1}, "number of pictures"), (between.compute, {"between": "us"}, "no way between"),
    (between.compute, {"other_seed": -1}, "The seed"), (between.compute, {"other": 3}, "one prompt"),
    (edit.compute, {"edit": "none"}, "no edit"), (edit.compute, {"steps": 0}, "number of steps"),
    (edit.compute, {"edit": edit.WEIGH, "word": "cat", "prompt": PROMPT}, "no 'cat'"),
    (invert.compute, {"steps": 0}, "number of steps"), (invert.compute, {"guidance": math.inf}, "finite number")])
def test_bad_input_is_told_in_a_sentence(model, compute, given, words):
    needed = {"mask": MASK} if compute is inpaint.compute else {}
    if compute in (vary.compute, inpaint.compute, extend.compute, invert.compute):
        needed["picture"] = PICTURE
    if compute is invert.compute:
        needed |= {"prompt": PROMPT, "other": OTHER}
    with pytest.raises(CourseError, match=words) as told:
        compute(**(needed | {"model": model} | given))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("make", [labs.vary, labs.inpaint, labs.extend, labs.between, labs.edit, labs.invert])
def test_a_mistake_in_a_field_leaves_the_lab_as_it_is(model, make):
    lab = make(prompt="a purple unicorn", model=model)
    assert "unicorn" in lab.controls.message and not lab.controls.wrong and "image/png" in lab._repr_mimebundle_()
    kept = lab.scrubber.shown
    field, wrong, words = ("seed", -1, "The seed") if "seed" in lab.controls.values else ("steps", 0, "number of steps")
    change(lab, **{field: wrong})
    assert lab.controls.wrong and words in lab.controls.message and lab.scrubber.shown is kept
    change(lab, **{field: 3})
    assert not lab.controls.wrong and lab.scrubber.shown is not kept

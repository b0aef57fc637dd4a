"""The easel and the labs on a picture, without a browser: what is painted reaches the lab, and nothing is lost."""

import io

import numpy as np
import pytest
from lab_parts import change
from PIL import Image
from small_models import small_text_to_image

from course_lib import labs
from course_lib.labs.easel import MARKER, PAINT_BOX, SIDE, Easel, disc, marked, put_on
from course_lib.labs.pictured import OWN, PAGE, page
from course_lib.picturebook import COLOUR_RGB
from course_lib.runtime import CourseError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model():
    return small_text_to_image()


def png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def paints(lab, ink: np.ndarray) -> None:
    """As if the browser had sent this ink."""
    lab.easel.set_state({"ink": memoryview(ink.astype(np.uint8).tobytes())})
    assert lab.live.wait(60)


def given(lab) -> np.ndarray:
    """The picture that the lab began its frames with."""
    return lab.result["views"]["noisy picture"][0]


def test_the_paint_box_has_the_colours_of_the_book_first():
    assert list(PAINT_BOX)[:8] == list(COLOUR_RGB) and len(set(PAINT_BOX.values())) == len(PAINT_BOX)


def test_ink_covers_the_picture_and_nothing_else():
    picture = np.full((SIDE, SIDE, 3), 9, np.uint8)
    ink = np.zeros((SIDE, SIDE), np.uint8)
    ink[3, 5], ink[63, 0] = 1, len(PAINT_BOX)
    seen = put_on(picture, ink)
    assert tuple(seen[3, 5]) == COLOUR_RGB["red"] and tuple(seen[63, 0]) == list(PAINT_BOX.values())[-1]
    assert (seen == 9).all(axis=2).sum() == SIDE * SIDE - 2 and (picture == 9).all()


def test_a_disc_is_round_and_a_mask_shows_as_stripes():
    mask = disc(20, 30, 9)
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (16, 24, 26, 34)
    assert abs(mask.sum() - np.pi * 4.5**2) < 6 and not mask[16, 26]
    black = np.zeros((SIDE, SIDE, 3), np.uint8)
    striped = marked(black, mask)
    assert not striped[~mask].any() and len(np.unique(striped[mask], axis=0)) == 2  # two strengths of one colour
    assert (striped[mask] <= MARKER["paint here"]).all()


def test_what_did_not_arrive_whole_is_told_in_a_sentence():
    easel = Easel(lambda: None, mask=True)
    assert easel.painting.shape == (SIDE, SIDE) and "0 of 4096" in repr(easel)
    for wrong in (b"", bytes(10), bytes([2]) * SIDE * SIDE):
        easel.set_state({"ink": memoryview(wrong)})
        with pytest.raises(CourseError, match="press Clear"):
            easel.painting


@pytest.mark.parametrize("wrong", [np.zeros((8, 8)), np.full((SIDE, SIDE), 99), np.full((SIDE, SIDE), 0.5), "ink"])
def test_what_cannot_be_painted_at_first_is_told_in_a_sentence(wrong):
    with pytest.raises(CourseError, match=r"an array \(64, 64\)"):
        Easel(lambda: None, wrong)
    soft = np.linspace(0, 1, SIDE * SIDE).reshape(SIDE, SIDE)
    assert Easel(lambda: None, soft, mask=True).painting.sum() == SIDE * SIDE - 1


def test_a_page_is_the_same_for_the_same_number_and_has_its_caption():
    picture, words = page(26)
    assert picture.shape == (SIDE, SIDE, 3) and np.array_equal(picture, page(26)[0]) and "red car" in words
    assert not np.array_equal(picture, page(27)[0])
    for wrong in (-1, "", 10**6):
        with pytest.raises(CourseError, match="The page must be a whole number"):
            page(wrong)


def test_what_is_drawn_is_what_the_lab_starts_from(model):
    lab = labs.vary(strength=0.5, model=model)
    before, picture = lab.scrubber.shown, page(26)[0]
    assert np.array_equal(given(lab), picture)
    ink = 5 * disc(10, 10, 12)
    paints(lab, ink)
    assert lab.scrubber.shown is not before and np.array_equal(given(lab), put_on(picture, ink))
    change(lab, source="blank paper")  # the strokes stay, the paper under them is another
    assert (given(lab)[disc(10, 10, 12)] == COLOUR_RGB["blue"]).all() and (given(lab)[40:] == given(lab)[63, 63]).all()
    kept = lab.scrubber.shown
    paints(lab, np.full((SIDE, SIDE), 200))
    assert lab.controls.wrong and "press Clear" in lab.controls.message and lab.scrubber.shown is kept


def test_turning_the_pages_leads_back_to_the_book(model):
    lab = labs.vary(model=model)
    change(lab, source=OWN)
    assert lab.controls.wrong and "Use your own picture" in lab.controls.message
    change(lab, number=3)
    assert lab.controls.values["source"] == PAGE and not lab.controls.wrong
    assert np.array_equal(given(lab), page(3)[0]) and page(3)[1] in lab.easel.shown["note"]
    change(lab, number="")
    assert lab.controls.wrong and "The page" in lab.controls.message and np.array_equal(given(lab), page(3)[0])


def test_a_picture_of_ones_own(model):
    lab = labs.vary(model=model)
    own = np.full((SIDE, SIDE, 3), 77, np.uint8)
    lab.take("own.png", png(own))
    assert lab.live.wait(60) and lab.controls.values["source"] == OWN and np.array_equal(given(lab), own)
    lab.take("other.png", png(own + 1))  # another of one's own
    assert lab.live.wait(60) and np.array_equal(given(lab), own + 1)
    for wrong in (png(own)[:60], b"no picture", b""):
        with pytest.raises(CourseError, match="cannot be read as a picture"):
            lab.take("broken.png", wrong)
    assert np.array_equal(given(lab), own + 1)
    lab.take("large.png", png(np.full((3000, 4000, 3), 9, np.uint8)))  # 12 megapixels
    assert lab.live.wait(60) and np.array_equal(given(lab), np.full((SIDE, SIDE, 3), 9))
    opened = labs.vary(np.full((40, 90, 3), 5, np.uint8), model=model)
    assert opened.controls.values["source"] == OWN and (given(opened) == 5).all()
    with pytest.raises(CourseError, match="A picture is the path of a file or a uint8 array"):
        labs.vary(np.zeros((64, 64), np.uint8), model=model)

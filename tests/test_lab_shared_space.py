"""The lab of the shared space: what is nearest comes first, and nothing that is typed breaks it."""

import base64
import importlib
import io

import numpy as np
import pytest
import torch
from lab_parts import change
from PIL import Image
from torch.nn import functional as F

from course_lib import labs
from course_lib.pages import draw_pages
from course_lib.runtime import CourseError
from course_lib.text import SharedSpace, TextSettings
from course_lib.tokenizer import tokenize

lab = importlib.import_module("course_lib.labs.shared_space")  # labs.shared_space is the function
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def pages():
    return draw_pages(range(14))


@pytest.fixture(scope="module")
def space():
    torch.manual_seed(0)
    return SharedSpace(TextSettings(width=16, depth=1, heads=2, shared=8, side=16, picture=(8, 8, 16))).eval()


@pytest.fixture(scope="module")
def wall(space, pages):
    return lab.hang(space, pages)


def test_the_nearest_come_first(space, wall, pages):
    shown = lab.compute("a red boat at night", space, wall)
    with torch.no_grad():
        cosines = F.cosine_similarity(space.embed_text(tokenize(["a red boat at night"])),
                                      space.embed_pictures(pages["pictures"].float() / 127.5 - 1))
    assert np.allclose(shown["similarities"], cosines.numpy()[shown["order"]], atol=1e-5)
    assert (np.diff(shown["similarities"]) <= 0).all() and sorted(shown["order"]) == list(range(14))
    assert shown["remarks"] == []


def test_the_map_is_the_plane_in_which_the_names_differ_most(space, wall):
    with torch.no_grad():
        names = space.embed_text(tokenize(lab.SIGHTS))
    centred = (names - names.mean(dim=0)).numpy()
    largest = np.sort(np.linalg.eigvalsh(centred.T @ centred))[-2:].sum()  # principal components, by another road
    assert np.allclose(wall.axes.T @ wall.axes, np.eye(2), atol=1e-5)
    assert np.isclose((wall.sights**2).sum(), largest, rtol=1e-4)
    place = lab.compute(lab.SIGHTS[3], space, wall)["place"]
    assert np.allclose(place, wall.sights[3], atol=1e-5)


def test_words_it_does_not_know_are_told(space, wall):
    shown = lab.compute("a shiny boat", space, wall)
    assert "shiny" in shown["remarks"][0]
    assert np.allclose(shown["similarities"], lab.compute("a boat", space, wall)["similarities"])


@pytest.mark.parametrize("sentence, words", [("", "Type a sentence"), ("  ", "Type a sentence"), (3, "Type a sentence"),
                                             ("shiny", "None of these words"), ("?!", "None of these words")])
def test_nothing_to_read_is_told_in_a_sentence(space, wall, sentence, words):
    with pytest.raises(CourseError, match=words):
        lab.compute(sentence, space, wall)


def test_the_drawing_shows_the_nearest_page_first_and_names_it(space, wall):
    shown = lab.compute("a red boat", space, wall)
    drawing = lab.draw("a red boat", shown, wall)
    first = np.asarray(drawing.wall.image)[lab.GAP:lab.GAP + lab.LARGE, lab.GAP:lab.GAP + lab.LARGE]
    page = wall.pictures[shown["order"][0]]
    assert np.array_equal(first, np.asarray(Image.fromarray(page).resize((lab.LARGE, lab.LARGE))))
    assert "14 pages" in drawing.wall.alt and wall.captions[shown["order"][0]] in drawing.wall.alt
    assert "a star" in drawing.plan.alt


def test_each_picture_says_its_size_and_what_its_marks_mean(space, wall):
    shown = lab.compute("a red boat", space, wall)
    drawing = lab.draw("a red boat", shown, wall)
    text = lab.as_html(drawing)
    for figure, words in zip(drawing, (lab.WALL_WORDS, lab.PLAN_WORDS)):
        assert f'width="{figure.image.width}" height="{figure.image.height}"' in text and words in text


def test_the_star_moves(space, wall):
    far = wall.sights.max(axis=0) + 5  # beyond the map's edge
    near, away = ({"order": np.arange(14), "place": place} for place in (wall.sights[0], far))
    one, two = (np.asarray(lab.draw_map(shown, wall)) for shown in (near, away))
    assert one.shape == two.shape == (lab.SIDE, lab.SIDE, 3) and not np.array_equal(one, two)


def test_the_face_follows_the_text_and_survives_nonsense(space, pages):
    shown = labs.shared_space("a house", space, pages)
    before = shown.view.value
    change(shown, sentence="a boat <b>at night")
    assert shown.view.value != before and "a boat &lt;b&gt;at night" in shown.view.value
    kept = shown.view.value
    change(shown, sentence="gl")
    assert shown.view.value == kept and shown.controls.wrong and "None of these words" in shown.controls.message
    change(shown, sentence="a shiny <house>")
    assert not shown.controls.wrong and "never taught" in shown.controls.message
    change(shown, sentence="a house")
    assert shown.view.value == before and not shown.controls.message


def test_there_is_a_picture_with_words_where_there_are_no_widgets(space, pages):
    data = labs.shared_space("a house", space, pages)._repr_mimebundle_()
    assert 'alt="14 pages' in data["text/html"] and 'alt="A map' in data["text/html"]
    assert Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"]))).width > lab.SIDE


def test_a_sentence_that_cannot_be_read_is_refused_at_once(space, pages):
    with pytest.raises(CourseError, match="Type a sentence"):
        labs.shared_space("", space, pages)

"""Each check of chapter 00 against right answers, usual mistakes and the unfilled stub."""

import pytest

from course_lib.checks import chapter00
from course_lib.pipeline import generate_pixels

CHECKS = (chapter00.same_picture, chapter00.evaluations, chapter00.night_seed)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("stub", [..., None])
def test_stubs_are_not_tried(check, stub):
    assert check(stub).status == "not tried"


@pytest.mark.parametrize("check, right", [(chapter00.same_picture, True), (chapter00.evaluations, 40)])
def test_right_answers(check, right):
    verdict = check(right)
    assert verdict.status == "passed", verdict


@pytest.mark.parametrize("check, wrong, hint", [
    (chapter00.same_picture, False, "the seed sets it"),
    (chapter00.same_picture, "yes", "True or False"),
    (chapter00.evaluations, 41, "one step fewer"),
    (chapter00.evaluations, 80, "Each step asks the network once"),
    (chapter00.evaluations, "40", "whole number"),
    (chapter00.night_seed, -1, "from 0 to"),
    (chapter00.night_seed, "7", "whole number"),
    (chapter00.night_seed, [35], "whole number"),
    (chapter00.night_seed, 3, "one of the ten above"),
])
def test_wrong_answers_get_a_sentence_that_helps(check, wrong, hint):
    verdict = check(wrong)
    assert verdict.status == "failed" and hint in verdict.message, verdict


def test_a_night_is_found_by_looking_and_a_day_is_refused():
    seeds = range(20, 44)
    brightness = generate_pixels(seed=seeds, steps=30).pictures[:, :16].mean(axis=(1, 2, 3))
    darkest, brightest = seeds[brightness.argmin()], seeds[brightness.argmax()]
    assert chapter00.night_seed(darkest).status == "passed"
    verdict = chapter00.night_seed(brightest)
    assert verdict.status == "failed" and "too bright" in verdict.message

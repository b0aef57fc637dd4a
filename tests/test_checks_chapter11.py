"""Each check of chapter 11 against right answers, usual mistakes and the unfilled stub."""

import math

import numpy as np
import pytest

from course_lib.checks import chapter11
from course_lib.experiments import wilson


def right_interval(right, of):
    z, share = 1.96, right / of
    middle = (share + z**2 / (2 * of)) / (1 + z**2 / of)
    half = z / (1 + z**2 / of) * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    return middle - half, middle + half


def bell_curve(right, of):
    share = right / of
    half = 1.96 * math.sqrt(share * (1 - share) / of)
    return share - half, share + half


def undivided(right, of):
    return tuple(end * (1 + 1.96**2 / of) for end in wilson(right, of))


def order_mistaken(right, of):
    z, share = 1.96, right / of
    middle = (share + z**2 / 2 * of) / (1 + z**2 / of)
    return middle - 0.1, middle + 0.1


def right_blame(real, copies, painted):
    return {"oracle": 1 - real, "VAE": real - copies, "denoiser": copies - painted}


def blame_by(function):
    return lambda *shares: dict(zip(("oracle", "VAE", "denoiser"), function(*shares)))


def right_verdict(asked, seen):
    if seen == asked:
        return "right"
    if seen == asked[::-1]:
        return "swapped"
    return "leaked" if seen[0] == seen[1] and seen[0] in asked else "other"


def verdict_but(wrong, when):
    return lambda asked, seen: wrong if when(asked, seen) else right_verdict(asked, seen)


def two_nearest(pictures, pages):
    distances = np.linalg.norm(pictures[:, None] - pages[None], axis=2)
    return np.sort(distances, axis=1)[:, :2].T


def copies_by(judge):
    return lambda pictures, pages: judge(*two_nearest(pictures, pages))


ALL = (chapter11.leaking, chapter11.interval, chapter11.enough, chapter11.blame, chapter11.verdict, chapter11.copied)
NUMBERS = (chapter11.leaking, chapter11.enough)


@pytest.mark.parametrize("check", ALL)
def test_stubs_are_not_tried(check):
    assert check(... if check in NUMBERS else lambda *_: None).status == "not tried"


@pytest.mark.parametrize("check, right", [
    (chapter11.leaking, 0.5), (chapter11.leaking, 1 / 2), (chapter11.interval, right_interval),
    (chapter11.enough, chapter11.needed()), (chapter11.blame, right_blame), (chapter11.verdict, right_verdict),
    (chapter11.copied, copies_by(lambda first, second: first < second / 3))])
def test_right_answers(check, right):
    verdict = check(right)
    assert verdict.status == "passed", verdict


@pytest.mark.parametrize("check, wrong, hint", [
    (chapter11.leaking, 0.25, "either counts"),
    (chapter11.leaking, 1 / 3, "not equally likely"),
    (chapter11.leaking, 0.75, "all cases"),
    (chapter11.leaking, "half", "a number"),
    (chapter11.interval, bell_curve, "0 of 24"),
    (chapter11.interval, lambda right, of: [100 * end for end in right_interval(right, of)], "percent"),
    (chapter11.interval, lambda right, of: right_interval(right, of)[::-1], "changed places"),
    (chapter11.interval, lambda right, of: wilson(right, of, 1.0), "z = 1.96"),
    (chapter11.interval, undivided, "divided by"),
    (chapter11.interval, order_mistaken, "(2 * n)"),
    (chapter11.interval, lambda right, of: (0.1, 0.9), "apart"),
    (chapter11.interval, lambda right, of: right / of, "two numbers"),
    (chapter11.enough, 50, "still overlap"),
    (chapter11.enough, 5000, "fewer would do"),
    (chapter11.enough, 1.5, "whole number"),
    (chapter11.blame, blame_by(lambda *shares: [1 - share for share in shares]), "earlier ones"),
    (chapter11.blame, blame_by(lambda *shares: shares), "lost from one to the next"),
    (chapter11.blame, blame_by(lambda *shares: [-value for value in right_blame(*shares).values()]), "signs"),
    (chapter11.blame, blame_by(lambda *shares: [0.1, 0.2, 0.3]), "add up to 1"),
    (chapter11.blame, lambda *shares: sum(shares), "dictionary"),
    (chapter11.verdict, verdict_but("leaked", lambda asked, seen: seen[0] == seen[1]), "no leak"),
    (chapter11.verdict, verdict_but("swapped", lambda asked, seen: asked[0] == seen[1]), "turned round"),
    (chapter11.verdict, verdict_but("right", lambda asked, seen: asked[0] == seen[0]), "that is leaked"),
    (chapter11.verdict, lambda asked, seen: "wrong", "not 'wrong'"),
    (chapter11.copied, copies_by(lambda first, second: first < second), "three times nearer"),
    (chapter11.copied, copies_by(lambda first, second: first**2 < second**2 / 3), "squared"),
    (chapter11.copied, copies_by(lambda first, second: first == 0), "exact"),
    (chapter11.copied, copies_by(lambda first, second: first >= second / 3), "changed places"),
    (chapter11.copied, copies_by(lambda first, second: first < 5), "You say"),
    (chapter11.copied, copies_by(lambda first, second: first / second), "comparison"),
    (chapter11.copied, lambda pictures, pages: np.array([True]), "shape"),
    (chapter11.copied, lambda pictures, pages: 1 / 0, "ZeroDivisionError"),
])
def test_wrong_answers_get_a_sentence_that_helps(check, wrong, hint):
    verdict = check(wrong)
    assert verdict.status == "failed" and hint in verdict.message, verdict


def test_the_number_of_pictures_is_the_smallest():
    count = chapter11.needed()
    assert 100 < count < 1000
    assert wilson(round(0.5 * count), count)[1] < wilson(round(0.6 * count), count)[0]
    assert wilson(round(0.5 * (count - 20)), count - 20)[1] > wilson(round(0.6 * (count - 20)), count - 20)[0]

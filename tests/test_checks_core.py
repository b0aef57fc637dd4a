"""What a check says: to a right answer, a wrong one, an unfinished one, and to code that breaks."""

from html.parser import HTMLParser

import pytest
import torch

from course_lib.checks.core import FAILED, NOT_TRIED, PASSED, Verdict, Wrong, check, close, expect_tensor


@check("Fill in `double`.")
def check_double(double):
    """The check of a small exercise."""
    wanted = torch.tensor([2.0, 4.0])
    value = expect_tensor(double(torch.tensor([1.0, 2.0])), wanted, "double(x)")
    if not close(value, wanted):
        raise Wrong("Every number should become twice as large.")
    return "Twice as large it is."


def stub(x):
    ...


def raises_not_implemented(x):
    raise NotImplementedError("TODO")


def divides_by_zero(x):
    return x * (1 / 0)


@pytest.mark.parametrize("answer, status, message", [
    (lambda x: 2 * x, PASSED, "Twice as large it is."),
    (lambda x: x + 1, FAILED, "Every number should become twice as large."),
    (lambda x: x * float("nan"), FAILED, "Every number should become twice as large."),
    (lambda x: x * float("inf"), FAILED, "Every number should become twice as large."),
    (None, NOT_TRIED, "Fill in `double`."),
    (..., NOT_TRIED, "Fill in `double`."),
    (stub, NOT_TRIED, "Fill in `double`."),
    (raises_not_implemented, NOT_TRIED, "Fill in `double`."),
    (lambda x: 3.0, FAILED, "double(x) should be a torch tensor, but it is a float."),
    (lambda x: x[:1], FAILED, "double(x) should have the shape (2,), but it has (1,)."),
    (divides_by_zero, FAILED, "Your code stopped with ZeroDivisionError: division by zero"),
    (7, FAILED, "Your code stopped with TypeError: 'int' object is not callable"),
])
def test_every_answer_gets_its_verdict(answer, status, message):
    verdict = check_double(answer)
    assert (verdict.status, verdict.message) == (status, message)
    assert bool(verdict) is (status == PASSED)


def test_a_check_keeps_its_name_and_its_description():
    assert check_double.__name__ == "check_double" and check_double.__doc__ == "The check of a small exercise."


def test_one_unfinished_answer_of_two_is_unfinished():
    two = check("Fill in both.")(lambda a, b: "Both are there.")
    assert two(1, None).status == two(..., 2).status == NOT_TRIED and two(1, 2).status == PASSED
    assert two(torch.zeros(2), torch.zeros(2)).status == PASSED  # tensors are compared with nothing


def test_the_learner_can_still_stop_a_check():
    def endless(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_double(endless)


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


@pytest.mark.parametrize("status", [PASSED, FAILED, NOT_TRIED])
def test_a_verdict_can_be_read_aloud_and_holds_no_markup_of_the_learner(status):
    message = "<script>alert(1)</script> & \"3 < 4\""
    page = read(Verdict(status, message)._repr_html_())
    assert [tag for tag, _ in page.tags] == ["div", "b"] and page.tags[0][1]["role"] == "status"
    assert page.text.endswith(message)
    assert repr(Verdict(status, message)) == page.text  # the same words where there is no HTML


def test_the_three_verdicts_differ_in_words_and_not_in_colour_alone():
    shown = [repr(Verdict(status, "")) for status in (PASSED, FAILED, NOT_TRIED)]
    assert len(set(shown)) == 3 and all(word in text for word, text in zip(("Right", "Not yet", "Not tried"), shown))


def test_the_learners_own_error_is_escaped():
    def breaks(x):
        raise ValueError("<img src=x onerror=alert(1)>")

    page = read(check_double(breaks)._repr_html_())
    assert [tag for tag, _ in page.tags] == ["div", "b"] and "<img src=x onerror=alert(1)>" in page.text


@pytest.mark.parametrize("value, wanted, is_close", [
    ([1.0, 2.0], [1.0, 2.0], True), ([1.0, 2.0002], [1.0, 2.0], True), ([1.0, 2.001], [1.0, 2.0], False),
    ([1000.05], [1000.0], True), ([float("nan")], [1.0], False), ([1.0], [float("nan")], False),
])
def test_close_is_relative_to_the_size(value, wanted, is_close):
    assert close(torch.tensor(value), torch.tensor(wanted)) is is_close
    assert close(torch.tensor(value, dtype=torch.float64), torch.tensor(wanted)) is is_close

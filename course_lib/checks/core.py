"""What every exercise's check is made of: a verdict that helps, whatever the learner's code does."""

import functools
import html
from dataclasses import dataclass
from typing import Callable

import torch

from course_lib.runtime import CourseError, check_whole

PASSED, FAILED, NOT_TRIED = "passed", "failed", "not tried"
_MARKS = {PASSED: ("✓", "Right"), FAILED: ("✗", "Not yet"), NOT_TRIED: ("○", "Not tried yet")}


class Wrong(Exception):
    """Raised inside a check: what is wrong, in a sentence that helps."""


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check: a status ("passed", "failed", "not tried") and a sentence for the learner."""

    status: str
    message: str

    def __bool__(self) -> bool:
        return self.status == PASSED

    def __repr__(self) -> str:
        mark, word = _MARKS[self.status]
        return f"{mark} {word}. {self.message}"

    def _repr_html_(self) -> str:
        mark, word = _MARKS[self.status]
        border = {PASSED: "3px solid", FAILED: "3px dashed", NOT_TRIED: "3px dotted"}[self.status]
        return (f'<div role="status" style="border-left:{border} currentColor; padding:.4em .8em">'
                f"<b>{mark} {word}.</b> {html.escape(self.message)}</div>")


def check(todo: str) -> Callable:
    """Make a check of a function that raises `Wrong` for a wrong answer and returns the sentence for a right one.

    `todo` is what is said while the exercise is still the unfilled stub: an answer that is None or `...`, a function
    that returns None, or one that raises NotImplementedError.
    """

    def decorate(function: Callable) -> Callable[..., Verdict]:
        @functools.wraps(function)
        def checked(*answers) -> Verdict:
            if any(answer is None or answer is ... for answer in answers):
                return Verdict(NOT_TRIED, todo)
            try:
                return Verdict(PASSED, function(*answers))
            except NotImplementedError:
                return Verdict(NOT_TRIED, todo)
            except Wrong as wrong:
                return Verdict(FAILED, str(wrong))
            except Exception as error:  # the learner's own code may fail in any way at all
                return Verdict(FAILED, f"Your code stopped with {type(error).__name__}: {error}")

        return checked

    return decorate


def expect_tensor(value, like: torch.Tensor, what: str) -> torch.Tensor:
    """`value`, if it is a tensor of the shape of `like`; NotImplementedError for a stub's None or ..., else Wrong."""
    if value is None or value is ...:
        raise NotImplementedError
    if not isinstance(value, torch.Tensor):
        raise Wrong(f"{what} should be a torch tensor, but it is a {type(value).__name__}.")
    if value.shape != like.shape:
        raise Wrong(f"{what} should have the shape {tuple(like.shape)}, but it has {tuple(value.shape)}.")
    return value


def expect_number(value, what: str = "The answer") -> float:
    """`value` as a float, else Wrong."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise Wrong(f"{what} is a number, but you put {value!r}.") from None


def expect_whole(value, low: int, high: int, what: str = "The answer") -> int:
    """`value` as an int, if it is a whole number from `low` to `high`, also one that came out as 12.0, else Wrong."""
    try:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return check_whole(value, what, low, high)
    except CourseError:
        raise Wrong(f"{what} is a whole number from {low} to {high}, but you put {value!r}.") from None


def close(value: torch.Tensor, wanted: torch.Tensor, tolerance: float = 1e-4) -> bool:
    """Whether two tensors agree to `tolerance`, relative to the size of `wanted`."""
    return bool((value.double() - wanted.double()).abs().max() <= tolerance * (1 + wanted.double().abs().max()))

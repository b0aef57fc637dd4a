"""A share of a few pictures, and how far chance may have moved it."""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

SURE = 1.96  # standard deviations on either side, which leave out 5 % of a bell curve


def wilson(right: int, of: int, z: float = SURE) -> tuple[float, float]:
    """The shares that `right` out of `of` would be no surprise for: an interval within [0, 1]. (Wilson 1927, eq. 3.)

    z: how many standard deviations are no surprise yet; 1.96 for 95 %. All of [0, 1] if nothing was counted.
    """
    if not of:
        return 0.0, 1.0
    share, room = right / of, z**2 / of
    middle = (share + room / 2) / (1 + room)
    half = z * math.sqrt(share * (1 - share) / of + room / (4 * of)) / (1 + room)
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Share:
    """`right` out of `of`."""

    right: int
    of: int

    @classmethod
    def where(cls, flags: np.ndarray) -> "Share":
        """How many of these, bool (N,), are True."""
        return cls(int(np.sum(flags)), len(flags))

    @property
    def value(self) -> float:
        """From 0 to 1; nan if nothing was counted."""
        return self.right / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """`wilson`'s, for 95 %."""
        return wilson(self.right, self.of)

    @property
    def span(self) -> tuple[float, float, float]:
        """The share and its interval, for `plots.intervals`."""
        return self.value, *self.interval

    def __str__(self) -> str:
        low, high = (round(100 * end) for end in self.interval)
        return f"{self.right} of {self.of} ({100 * self.value:.0f} %; {low} to {high})" if self.of else "none of none"


class Found:
    """What an experiment found: a dataclass of shares, numbers and names; its arrays of pictures are for figures."""

    def as_json(self) -> dict:
        """Everything but the pictures, as plain numbers; a share as its counts, its value and its interval."""
        return {name: _plain(value) for name, value in self._told()}

    def __str__(self) -> str:
        """A line for each number; what was asked and read of single pictures is left out."""
        return "\n".join(line for name, value in self._told() if not isinstance(value, list)
                         for line in _lines(name, value))

    def _told(self) -> list[tuple[str, Any]]:
        told = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return [(name, value) for name, value in told if not isinstance(value, np.ndarray)]


def _plain(value):
    if isinstance(value, Share):
        low, high = (round(end, 4) for end in value.interval)
        return {"right": value.right, "of": value.of, "low": low, "high": high,
                "share": round(value.value, 4) if value.of else None}
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.5g}")
    return value


def _lines(name: Any, value: Any, depth: int = 0) -> list[str]:
    """A line for a number, with its name; a heading and a line each for several."""
    room = 2 * depth * " "
    if isinstance(value, dict):
        return [f"{room}{name}:", *(line for key, part in value.items() for line in _lines(key, part, depth + 1))]
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return [f"{room}{str(name) + ':':26} {shown}"]

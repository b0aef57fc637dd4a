"""How far pictures are from one another, and the curve of it under a slider."""

import math
from typing import Mapping, Sequence

import numpy as np


def rms(picture: np.ndarray, other: np.ndarray) -> float:
    """Root mean square difference of two uint8 pictures, in grey levels."""
    return float(np.sqrt(((picture.astype(float) - other) ** 2).mean()))


def curve_of(label: str, lines: Mapping[str, Sequence[float]], unit: float = 10) -> dict:
    """Distances, none below 0, as the Scrubber draws them: from 0 to the next whole number of units."""
    top = unit * max(1, math.ceil(max(map(max, lines.values())) / unit))
    return {"label": label, "lines": dict(lines), "range": (0, top), "marks": [(0, "0"), (top, f"{top:g}")]}

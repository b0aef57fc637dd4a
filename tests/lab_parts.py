"""What the tests of several labs need."""

import io

import numpy as np
from PIL import Image


def change(lab, **values) -> None:
    """Change a lab's controls, as a learner would, and wait for the answer."""
    lab.controls.values = lab.controls.values | values
    assert lab.live.wait(60), "the lab did not answer"


def unpack(shown: dict, view: int) -> np.ndarray:
    """All frames of a view, cut out of its sheet as the browser does it."""
    sheet = np.asarray(Image.open(io.BytesIO(shown["sheets"][view]["bytes"])))
    w, h = shown["cell"]
    corners = [divmod(i, shown["columns"]) for i in range(len(shown["labels"]))]
    return np.stack([sheet[r * h:r * h + shown["height"], c * w:c * w + shown["width"]] for r, c in corners])

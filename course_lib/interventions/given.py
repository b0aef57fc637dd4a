"""What is handed in: pictures, masks and shares, each checked with one sentence."""

from numbers import Real

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.pipeline import SIDE
from course_lib.runtime import CourseError
from course_lib.vae import FACTOR

SIZE = FACTOR * SIDE  # pixels along a side


def check_picture(picture: np.ndarray) -> None:
    """Raises CourseError unless this is one picture of the size that the model paints."""
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape != (SIZE, SIZE, 3):
        found = f"{picture.dtype}, {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise CourseError(f"A picture must be an array of uint8, ({SIZE}, {SIZE}, 3), but this is {found}: bring a "
                          f"file to that size with pictures.open_picture(path, {SIZE}).")


def check_share(value: float, name: str) -> None:
    """Raises CourseError unless this is a number from 0 to 1."""
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= value <= 1:
        raise CourseError(f"{name} must be a number from 0 to 1, but it is {value!r}.")


def read_mask(mask: np.ndarray) -> np.ndarray:
    """A mask as float64 (64, 64) from 0 to 1. Raises CourseError for another size, other values, or if all is 0."""
    mask = np.asarray(mask)
    if mask.shape != (SIZE, SIZE) or mask.dtype.kind not in "bif":
        raise CourseError(f"A mask must be an array of ({SIZE}, {SIZE}) numbers, 1 where the model paints, but this is "
                          f"{mask.dtype}, {mask.shape}.")
    mask = mask.astype(float)
    if not ((mask >= 0) & (mask <= 1)).all():
        raise CourseError("The numbers of a mask must lie between 0, keep, and 1, paint.")
    if not mask.any():
        raise CourseError("The mask is empty, so there is nothing to paint: set it to 1 where the model should paint.")
    return mask


def latent_mask(mask: np.ndarray) -> Tensor:
    """A mask of pixels -> of latents, (1, 1, 16, 16): a latent is painted if any of its 4 x 4 pixels is."""
    return F.max_pool2d(torch.from_numpy(mask > 0).float()[None, None], FACTOR)

"""Stepping in while a picture is painted: from a picture, in part of one, between two, with other words, and back.

Each function changes a `pipeline.Painting` before it begins, or wraps its denoiser, and leaves the rest to `generate`,
whose options (`how`) all take: guidance, a negative prompt, any scheduler, emphasis.
"""

from course_lib.pictures import save_film

from .between import between_prompts, between_seeds
from .from_picture import extend, fill, vary
from .inversion import Inversion, invert, repaint
from .prompts import swap, turn

__all__ = ["Inversion", "between_prompts", "between_seeds", "extend", "fill", "invert", "repaint", "save_film", "swap",
           "turn", "vary"]

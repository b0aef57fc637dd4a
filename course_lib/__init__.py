"""Noise to Image: a small text-to-image stack, written to be read.

Import what you need from its own file (``from course_lib.sampling import sample``); this file stays empty on
purpose, so that drawing a picture-book page does not load PyTorch.
"""

__version__ = "0.1.0"

"""The picture book: the little world the course learns.

A `Scene` states what is in a picture, `render` draws it and `caption` tells it in words, so what a
picture shows is always known exactly. Needs numpy and Pillow only.
"""

from .drawing import render
from .labels import agree, by_place, encode_scene, encode_stated
from .palette import COLOUR_RGB
from .scene import (
    COLOURS, HELD_OUT_PAIRS, HELD_OUT_RELATIONS, KINDS, LANDS, PLACES, SIGN_CHARACTERS, SIZES, SKIES,
    TIMES, WEATHERS, Scene, Thing, random_scene,
)
from .words import SYNONYMS, VOCABULARY, Caption, caption, main_caption, tokenise

__all__ = [
    "COLOURS", "COLOUR_RGB", "Caption", "HELD_OUT_PAIRS", "HELD_OUT_RELATIONS", "KINDS", "LANDS",
    "PLACES", "SIGN_CHARACTERS", "SIZES", "SKIES", "SYNONYMS", "Scene", "TIMES", "Thing", "VOCABULARY",
    "WEATHERS", "agree", "by_place", "caption", "encode_scene", "encode_stated", "main_caption", "random_scene",
    "render", "tokenise",
]

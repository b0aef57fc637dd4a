"""Scenes and statements as rows of small whole numbers, so that thousands can be compared at once."""

import numpy as np

from .scene import COLOURS, KINDS, LANDS, PLACES, SIGN_CHARACTERS, SIZES, SKIES, TIMES, WEATHERS, Scene

# What each number of a row stands for: the values of an attribute, in order. -1: not said, or there is none.
SURROUNDINGS = {"time": TIMES, "land": LANDS, "weather": WEATHERS, "sky": SKIES}
OF_A_THING = {"kind": KINDS, "colour": COLOURS, "size": SIZES, "place": PLACES, "count": ("1", "2", "3"),
              "fingers": ("1", "2", "3", "4", "5"), "first": SIGN_CHARACTERS, "second": SIGN_CHARACTERS}
SIDES = ("left", "right")  # the first thing as seen from the second
FIRST, WIDTH = len(SURROUNDINGS), len(OF_A_THING)
SCENE_LENGTH = FIRST + 2 * WIDTH
STATED_LENGTH = SCENE_LENGTH + 2  # the relation and the number of things
_PLACE = list(OF_A_THING).index("place")


def encode_scene(scene: Scene) -> np.ndarray:
    """int8 (SCENE_LENGTH,): time, land, weather, sky, then the attributes of the first and of the second thing."""
    row = np.full(SCENE_LENGTH, -1, np.int8)
    row[:FIRST] = [values.index(getattr(scene, name)) for name, values in SURROUNDINGS.items()]
    for i, thing in enumerate(scene.things):
        said = {"kind": thing.kind, "colour": thing.colour, "size": thing.size, "place": thing.place,
                "count": str(thing.count) if thing.kind == "tree" else None,
                "fingers": thing.fingers and str(thing.fingers),
                "first": thing.text and thing.text[0], "second": thing.text and thing.text[1]}
        start = FIRST + i * WIDTH
        row[start:start + WIDTH] = [-1 if said[name] is None else values.index(said[name])
                                    for name, values in OF_A_THING.items()]
    return row


def encode_stated(stated: dict[str, str]) -> np.ndarray:
    """What a caption states, as int8 (STATED_LENGTH,): as for a scene, then the relation and the number of things."""
    row = np.full(STATED_LENGTH, -1, np.int8)
    for i, (name, values) in enumerate(SURROUNDINGS.items()):
        if name in stated:
            row[i] = values.index(stated[name])
    for i in (0, 1):
        said = {key.removeprefix(f"thing{i}."): value for key, value in stated.items() if key.startswith(f"thing{i}.")}
        if "text" in said:
            said["first"], said["second"] = said["text"]
        for j, (name, values) in enumerate(OF_A_THING.items()):
            if name in said:
                row[FIRST + i * WIDTH + j] = values.index(said[name])
    if "relation" in stated:
        row[SCENE_LENGTH] = SIDES.index(stated["relation"])
    row[SCENE_LENGTH + 1] = sum(f"thing{i}.kind" in stated for i in (0, 1))
    return row


def _things(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return rows[..., FIRST:FIRST + WIDTH], rows[..., FIRST + WIDTH:SCENE_LENGTH]


def agree(stated: np.ndarray, scenes: np.ndarray) -> np.ndarray:
    """Which scenes show all that a caption states: (M, STATED_LENGTH), (N, SCENE_LENGTH) -> bool (M, N)."""
    said, shown = stated[:, None], scenes[None]

    def fits(words: np.ndarray, things: np.ndarray) -> np.ndarray:
        return ((words == -1) | (words == things)).all(-1)

    (a, b), (c, d) = _things(said), _things(shown)
    order = c[..., _PLACE] > d[..., _PLACE]  # is the first of the scene to the right of the second?
    relation, number = said[..., SCENE_LENGTH], said[..., SCENE_LENGTH + 1]
    straight = fits(a, c) & fits(b, d) & ((relation == -1) | (relation == order))
    crossed = fits(a, d) & fits(b, c) & ((relation == -1) | (relation == ~order))
    count = 1 + (d[..., 0] != -1)
    return fits(said[..., :FIRST], shown[..., :FIRST]) & (number == count) & (straight | (crossed & (count == 2)))


def by_place(scenes: np.ndarray) -> np.ndarray:
    """Scenes (N, SCENE_LENGTH) -> (N, 3, WIDTH - 1): left, middle, right; the attributes of a thing but its place.

    Where there is no thing, the kind is len(KINDS) and the rest is -1.
    """
    rows = np.full((len(scenes), len(PLACES), WIDTH), -1, np.int8)
    rows[..., 0] = len(KINDS)
    for things in _things(scenes):
        there = np.flatnonzero(things[:, 0] != -1)
        rows[there, things[there, _PLACE]] = things[there]
    return np.delete(rows, _PLACE, axis=2)

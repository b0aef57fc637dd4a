"""What a page of the picture book states: attributes, their values, and how scenes come about at random."""

import random
from dataclasses import dataclass
from numbers import Integral

KINDS = ("house", "tree", "boat", "rocket", "castle", "car", "cat", "balloon", "hand", "sign")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
SIZES = ("small", "large")
PLACES = ("left", "middle", "right")
TIMES = ("dawn", "day", "sunset", "night")
LANDS = ("meadow", "desert", "snow", "sea")
WEATHERS = ("clear", "clouds", "rain", "snow")
SKIES = ("sun", "moon", "rainbow", "nothing")
# No two of these look alike at five pixels high (no 0 and O, 1 and I, 5 and S, 8 and B).
SIGN_CHARACTERS = ("2", "3", "4", "7", "A", "C", "E", "H", "L", "P", "T", "X")

# Held out of training: one pair for each colour, no kind twice; and some orders from left to right.
HELD_OUT_PAIRS = frozenset({
    ("balloon", "red"), ("castle", "orange"), ("rocket", "yellow"), ("cat", "green"),
    ("tree", "blue"), ("house", "purple"), ("boat", "pink"), ("car", "white"),
})
HELD_OUT_RELATIONS = frozenset({
    ("cat", "house"), ("tree", "castle"), ("car", "tree"), ("rocket", "cat"),
    ("balloon", "boat"), ("castle", "car"), ("house", "balloon"),
})


def _require(name: str, value, allowed: tuple) -> None:
    if value not in allowed:
        choice = ", ".join(map(str, allowed))
        raise ValueError(f"{name} must be {'one of ' if len(allowed) > 1 else ''}{choice}, not {value!r}.")


def whole(name: str, value) -> int:
    """`value` as an int, or a ValueError that names it."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} must be a whole number, not {value!r}.")
    return int(value)


@dataclass(frozen=True)
class Thing:
    """One thing in a scene.

    `count` is 1 except for trees (1 to 3); `fingers` (1 to 5) belongs to hands and `text` (two of
    `SIGN_CHARACTERS`) to signs, and both are None for everything else. Raises ValueError otherwise.
    """

    kind: str
    colour: str
    size: str
    place: str
    count: int = 1
    fingers: int | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        _require("kind", self.kind, KINDS)
        _require("colour", self.colour, COLOURS)
        _require("size", self.size, SIZES)
        _require("place", self.place, PLACES)
        _require(f"count of a {self.kind}", self.count, (1, 2, 3) if self.kind == "tree" else (1,))
        _require(f"fingers of a {self.kind}", self.fingers,
                 (1, 2, 3, 4, 5) if self.kind == "hand" else (None,))
        if self.kind != "sign":
            _require(f"text of a {self.kind}", self.text, (None,))
        elif (not isinstance(self.text, str) or len(self.text) != 2
              or not set(self.text) <= set(SIGN_CHARACTERS)):
            raise ValueError(f"text of a sign must be two characters out of "
                             f"{''.join(SIGN_CHARACTERS)}, not {self.text!r}.")


@dataclass(frozen=True)
class Scene:
    """Everything a picture shows: the surroundings and one or two things at different places.

    `seed` (any int) settles what the attributes leave open: the shape of the hills, where the clouds
    are, a small jitter of position and size. Raises ValueError for a value that is not in the book.
    """

    time: str
    land: str
    weather: str
    sky: str
    things: tuple[Thing, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        _require("time", self.time, TIMES)
        _require("land", self.land, LANDS)
        _require("weather", self.weather, WEATHERS)
        _require("sky", self.sky, SKIES)
        if (not isinstance(self.things, tuple) or len(self.things) not in (1, 2)
                or not all(isinstance(thing, Thing) for thing in self.things)):
            raise ValueError("things must be a tuple of one or two Thing objects.")
        if len({thing.place for thing in self.things}) < len(self.things):
            raise ValueError(f"two things need two different places out of {', '.join(PLACES)}, "
                             f"but both are at {self.things[0].place!r}.")
        whole("seed", self.seed)

    @property
    def is_held_out(self) -> bool:
        """Whether the scene shows a pair or a relation that training never sees."""
        if any((thing.kind, thing.colour) in HELD_OUT_PAIRS for thing in self.things):
            return True
        kinds = tuple(thing.kind for thing in sorted(self.things, key=lambda t: PLACES.index(t.place)))
        return kinds in HELD_OUT_RELATIONS


_KIND_WEIGHTS = tuple(6 if kind in ("hand", "sign") else 11 for kind in KINDS)
_LAND_WEIGHTS = {True: (5, 5, 5, 85), False: (32, 25, 25, 18)}  # with and without a boat
_SKY_WEIGHTS = {  # sun, moon, rainbow, nothing
    "dawn": (38, 20, 12, 30), "day": (42, 4, 20, 34), "sunset": (42, 12, 14, 32), "night": (0, 64, 2, 34)}


def _random_thing(rng: random.Random, place: str) -> Thing:
    kind = rng.choices(KINDS, _KIND_WEIGHTS)[0]
    return Thing(
        kind=kind, colour=rng.choice(COLOURS), size=rng.choice(SIZES), place=place,
        count=rng.choices((1, 2, 3), (50, 25, 25))[0] if kind == "tree" else 1,
        fingers=rng.randint(1, 5) if kind == "hand" else None,
        text="".join(rng.choices(SIGN_CHARACTERS, k=2)) if kind == "sign" else None)


def _draw_scene(rng: random.Random) -> Scene:
    places = rng.sample(PLACES, 2 if rng.random() < 0.4 else 1)
    things = tuple(_random_thing(rng, place) for place in places)
    # Two groups of trees could not be told from one bigger grove, nor two cats of a colour by words.
    while len(things) == 2 and things[0].kind == things[1].kind and (
            things[0].kind == "tree" or things[0].colour == things[1].colour):
        things = (things[0], _random_thing(rng, places[1]))
    time = rng.choice(TIMES)
    land = rng.choices(LANDS, _LAND_WEIGHTS[any(thing.kind == "boat" for thing in things)])[0]
    weather = rng.choices(WEATHERS, (34, 26, 20, 4 if land == "desert" else 20))[0]
    sky = rng.choices(SKIES, _SKY_WEIGHTS[time])[0]
    return Scene(time, land, weather, sky, things, seed=rng.randrange(2**31))


def random_scene(seed: int, split: str = "train") -> Scene:
    """A scene drawn at random, the same for the same seed on every platform.

    Args:
        seed: a whole number from 0.
        split: "train" never shows a held-out pair or relation, "unseen" always shows at least one,
            "all" is the plain distribution.

    Raises:
        ValueError: for a split of another name, or a seed that is not a whole number.
    """
    _require("split", split, ("train", "unseen", "all"))
    rng = random.Random(whole("seed", seed))
    while True:
        scene = _draw_scene(rng)
        if split == "all" or scene.is_held_out == (split == "unseen"):
            return scene

"""Captions: a scene told in varied English, with a record of exactly what was said."""

import random
import re
from typing import NamedTuple

from .scene import PLACES, SIGN_CHARACTERS, Scene, whole

# The first phrase of each value is the plain one.
_PHRASES: dict[str, dict[str, tuple[str, ...]]] = {
    "kind": {
        "house": ("house", "cottage", "home"),
        "tree": ("tree",),
        "boat": ("boat", "sailboat", "sailing boat"),
        "rocket": ("rocket", "spaceship"),
        "castle": ("castle", "fortress"),
        "car": ("car", "motorcar"),
        "cat": ("cat", "kitty"),
        "balloon": ("hot-air balloon", "balloon"),
        "hand": ("hand",),
        "sign": ("sign", "signpost"),
    },
    "colour": {
        "red": ("red", "scarlet", "crimson"),
        "orange": ("orange", "tangerine"),
        "yellow": ("yellow", "golden"),
        "green": ("green", "emerald"),
        "blue": ("blue", "azure"),
        "purple": ("purple", "violet"),
        "pink": ("pink", "rosy"),
        "white": ("white", "ivory"),
    },
    "size": {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")},
    "place": {
        "left": ("on the left", "at the left", "on the left side"),
        "middle": ("in the middle", "in the centre", "at the centre"),
        "right": ("on the right", "at the right", "on the right side"),
    },
    "time": {
        "dawn": ("at dawn", "at sunrise", "at daybreak", "early in the morning"),
        "day": ("by day", "in the daytime", "at noon"),
        "sunset": ("at sunset", "at dusk", "in the evening"),
        "night": ("at night", "after dark", "in the night", "under the stars"),
    },
    "land": {
        "meadow": ("in a meadow", "in a field", "on the grass"),
        "desert": ("in the desert", "on the sand", "among the dunes"),
        "snow": ("in the snow", "on the snow", "in a wintry land"),
        "sea": ("on the sea", "on the water", "at sea"),
    },
    "weather": {
        "clear": ("under a clear sky", "in clear weather"),
        "clouds": ("under a cloudy sky", "with clouds", "with clouds in the sky"),
        "rain": ("in the rain", "while it rains", "in rainy weather"),
        "snow": ("in falling snow", "while it snows", "as snowflakes fall"),
    },
    "sky": {
        "sun": ("with the sun", "with the sun in the sky", "under the sun"),
        "moon": ("with the moon", "with the moon in the sky", "under a crescent moon"),
        "rainbow": ("with a rainbow", "under a rainbow", "with a rainbow in the sky"),
        "nothing": ("with an empty sky", "with nothing in the sky"),
    },
    "count": {"1": ("one",), "2": ("two",), "3": ("three",)},
    "fingers": {"1": ("one finger",), "2": ("two fingers",), "3": ("three fingers",),
                "4": ("four fingers",), "5": ("five fingers",)},
}
# Lands as seen by something that flies over them.
_OVER = {"meadow": "over a meadow", "desert": "over the desert", "snow": "over the snow",
         "sea": "over the sea"}
_WEATHER_WORD = {"clear": "clear", "clouds": "cloudy", "rain": "rainy", "snow": "snowy"}
_TIME_WORD = {"dawn": "morning", "day": "day", "sunset": "evening", "night": "night"}
_OPENINGS = ("a picture of", "a painting of", "a drawing of")
_MOST_WORDS = 30


def tokenise(text: str) -> list[str]:
    """The words of a caption: spaces and commas separate, and a sign's text falls into its characters."""
    words: list[str] = []
    for word in re.findall(r"[A-Za-z0-9-]+", text):
        words.extend(word if _is_sign_text(word) else [word])
    return words


def _is_sign_text(word: str) -> bool:
    return len(word) == 2 and set(word) <= set(SIGN_CHARACTERS)


class Caption(NamedTuple):
    """A caption and the attribute values that it states, as in {"time": "night", "thing0.kind": "house"}.

    Keys are "time", "land", "weather", "sky", "relation" ("left" or "right": where thing0 is as seen from
    thing1) and "thing0.kind", ".colour", ".size", ".place", ".count", ".fingers", ".text" (thing1 likewise).
    """

    text: str
    stated: dict[str, str]


class _Teller:
    """Chooses words and keeps the record of what they state."""

    def __init__(self, scene: Scene, rng: random.Random, plain: bool):
        self.scene, self.rng, self.plain, self.stated = scene, rng, plain, {}

    def maybe(self, chance: float) -> bool:
        return self.plain or self.rng.random() < chance

    def pick(self, phrases: tuple[str, ...]) -> str:
        # Half of the time the plain word, otherwise any of them.
        return phrases[0] if self.plain or self.rng.random() < 0.5 else self.rng.choice(phrases)

    def say(self, key: str, attribute: str, value: str) -> str:
        self.stated[key] = value
        return self.pick(_PHRASES[attribute][value])

    def thing(self, index: int, with_place: bool) -> str:
        thing, prefix = self.scene.things[index], f"thing{index}."
        words = []
        if self.maybe(0.65):
            words.append(self.say(prefix + "size", "size", thing.size))
        if self.maybe(0.88):
            words.append(self.say(prefix + "colour", "colour", thing.colour))
        noun = self.say(prefix + "kind", "kind", thing.kind)
        if thing.kind == "tree":
            self.stated[prefix + "count"] = str(thing.count)
        if thing.count > 1:
            words = [_PHRASES["count"][str(thing.count)][0], *words, noun + "s"]
        else:
            words.append(noun)
            words.insert(0, "an" if words[0][0] in "aeiou" else "a")
        if thing.kind == "hand" and self.maybe(0.9):
            words.append("holding up " + self.say(prefix + "fingers", "fingers", str(thing.fingers)))
        if thing.kind == "sign" and self.maybe(0.9):
            self.stated[prefix + "text"] = thing.text
            words.append(f"{self.pick(('that says', 'saying', 'that reads'))} {thing.text}")
        if with_place and self.maybe(0.65):
            words.append(self.say(prefix + "place", "place", thing.place))
        return " ".join(words)

    def things(self) -> str:
        if len(self.scene.things) == 1:
            return self.thing(0, with_place=True)
        if self.plain or self.rng.random() < 0.6:
            joint = self.pick(("and", "and", "with"))
            return f"{self.thing(0, with_place=True)} {joint} {self.thing(1, with_place=True)}"
        first, second = (PLACES.index(thing.place) for thing in self.scene.things)
        self.stated["relation"] = "left" if first < second else "right"
        joint = self.rng.choice(("to the {} of", "on the {} of")).format(self.stated["relation"])
        return f"{self.thing(0, with_place=False)} {joint} {self.thing(1, with_place=False)}"

    def surroundings(self) -> list[str]:
        """Phrases for time, land, weather and sky, each there or not."""
        scene, phrases = self.scene, []
        chances = {"land": 0.62, "time": 0.72, "weather": 0.5, "sky": 0.4 if scene.sky == "nothing" else 0.6}
        said = [name for name, chance in chances.items() if self.maybe(chance)]
        if "sky" in said and scene.sky == "nothing" and (self.plain or scene.weather != "clear" or any(
                thing.kind in ("balloon", "rocket") for thing in scene.things)):
            said.remove("sky")  # with clouds or a balloon in it, nobody would call the sky empty
        if not self.plain and {"time", "weather"} <= set(said) and self.rng.random() < 0.3:
            said = [name for name in said if name not in ("time", "weather")]
            self.stated |= {"time": scene.time, "weather": scene.weather}
            phrases.append(f"on a {_WEATHER_WORD[scene.weather]} {_TIME_WORD[scene.time]}")
        for name in said:
            value = getattr(scene, name)
            phrase = self.say(name, name, value)
            if phrase == "under the stars" and scene.weather != "clear":
                phrase = _PHRASES["time"]["night"][0]  # no stars through clouds
            if name == "land" and all(thing.kind == "balloon" for thing in scene.things):
                phrase = _OVER[value]
            phrases.append(phrase)
        if not self.plain:
            self.rng.shuffle(phrases)
        return phrases


def _tell(scene: Scene, rng: random.Random, plain: bool) -> Caption:
    teller = _Teller(scene, rng, plain)
    things, rest = teller.things(), teller.surroundings()
    order = rng.random()
    if plain or not rest or order < 0.5:
        text = " ".join([things, *rest])
    elif order < 0.75:
        text = ", ".join([things, *rest])
    else:
        text = f"{rest[0]}, {' '.join([things, *rest[1:]])}"
    if not plain and text.startswith(things) and rng.random() < 0.2:
        text = f"{rng.choice(_OPENINGS)} {text}"
    return Caption(text, teller.stated)


def caption(scene: Scene, seed: int = 0) -> Caption:
    """Tell a scene in varied English: synonyms, parts left out, parts in another order.

    The same scene and seed always give the same caption, of at least 3 and at most 30 words, all lower case
    except a sign's characters. Raises ValueError for a seed that is not a whole number.
    """
    rng = random.Random(f"{scene.seed} {whole('seed', seed)}")  # one seed tells different scenes differently
    while True:
        told = _tell(scene, rng, plain=False)
        if 3 <= len(tokenise(told.text)) <= _MOST_WORDS:
            return told


def main_caption(scene: Scene) -> str:
    """The plain caption that leaves nothing out (an empty sky goes without saying)."""
    return _tell(scene, random.Random(0), plain=True).text


def _all_phrases():
    yield from (phrase for values in _PHRASES.values() for phrases in values.values() for phrase in phrases)
    yield from (*_OVER.values(), *_WEATHER_WORD.values(), *_TIME_WORD.values(), *_OPENINGS)
    yield from ("a", "an", "and", "with", "trees", "on the left of", "to the right of", "holding up",
                "that says", "saying", "that reads", "on a", *SIGN_CHARACTERS)


VOCABULARY: tuple[str, ...] = tuple(sorted({word for phrase in _all_phrases() for word in tokenise(phrase)}))

# What each attribute value may be called. Snow lies on the land and falls from the sky, so it has two keys.
SYNONYMS: dict[str, tuple[str, ...]] = {
    (f"{attribute}:{value}" if value == "snow" else value): phrases
    for attribute, values in _PHRASES.items() if attribute not in ("count", "fingers")
    for value, phrases in values.items()
}

"""Does a picture show what its prompt says? Attribute by attribute."""

from dataclasses import dataclass

import numpy as np

from course_lib.picturebook.labels import FIRST, OF_A_THING, SCENE_LENGTH, SURROUNDINGS, WIDTH

OF_EACH = ("kind", "colour", "size", "place", "count", "fingers", "text")  # what may be stated of a thing
# What each column of `Obedience.right` is about: the surroundings, the first thing, the second thing, both.
SLOTS = (*SURROUNDINGS, *OF_EACH, *OF_EACH, "relation", "number")
ATTRIBUTES = tuple(dict.fromkeys(SLOTS))
_PLACE, _LETTERS = list(OF_A_THING).index("place"), list(OF_A_THING).index("first")
_NUMBER = SLOTS.index("number")


@dataclass(frozen=True)
class Obedience:
    """right: int8 (N, len(SLOTS)), 1 where the picture shows what the prompt states, 0 where not, -1 if not stated."""

    right: np.ndarray

    @property
    def exact(self) -> np.ndarray:
        """bool (N,): every stated attribute is right, and the picture shows as many things as the prompt names."""
        return (self.right != 0).all(axis=1)

    @property
    def attribute_accuracy(self) -> float:
        """The share of all stated attributes that are right. The number of things, which no caption states in so many
        words and which is the easiest of all, is not among them; it counts in `exact` and in `per_attribute`."""
        stated = self.right[:, :_NUMBER]
        return float(stated[stated != -1].mean())

    @property
    def per_attribute(self) -> dict[str, float | None]:
        """The share right of each of `ATTRIBUTES`, None for one that no prompt states."""
        return {name: float(found.mean()) if len(found) else None for name, found in self._columns().items()}

    @property
    def times_stated(self) -> dict[str, int]:
        """How often each of `ATTRIBUTES` is stated, so that a share can be judged."""
        return {name: len(found) for name, found in self._columns().items()}

    def _columns(self) -> dict[str, np.ndarray]:
        """For each attribute, 1 or 0 for every time it is stated."""
        found = {}
        for name in ATTRIBUTES:
            chosen = self.right[:, [j for j, slot in enumerate(SLOTS) if slot == name]]
            found[name] = chosen[chosen != -1]
        return found


def obedience(stated: np.ndarray, scenes: np.ndarray, things: np.ndarray | None = None) -> Obedience:
    """Compare prompt by prompt: stated (N, STATED_LENGTH) with scenes (N, SCENE_LENGTH), row with row.

    The things of a prompt may be found in a picture in either order: the one that gets more right is taken. A sign's
    text is right if both characters are. The number of things always counts as stated, since a caption mentions all
    of them. things: (N,), how many things a picture shows, if it may be more than a scene has room for
    (`Reading.things`); else as many as the scene has. `exact` is then what `picturebook.agree` says row by row.
    """
    said, shown = (rows[:, FIRST:SCENE_LENGTH].reshape(len(rows), 2, WIDTH) for rows in (stated, scenes))
    there = shown[..., 0] != -1
    right = np.full((len(stated), len(SLOTS)), -1, np.int8)
    right[:, :FIRST] = _judge(stated[:, :FIRST], scenes[:, :FIRST])
    straight, crossed = (_things(said, shown[:, order], there.all(axis=1), stated[:, SCENE_LENGTH])
                         for order in ([0, 1], [1, 0]))
    right[:, FIRST:_NUMBER] = np.where((_score(crossed) > _score(straight))[:, None], crossed, straight)
    right[:, _NUMBER] = stated[:, SCENE_LENGTH + 1] == (there.sum(axis=1) if things is None else things)
    return Obedience(right)


def _score(found: np.ndarray) -> np.ndarray:
    """How many are right; of two orders with as many, the one with the right kinds (a blue house and a red cat for a
    red house and a blue cat: two wrong colours, not two wrong kinds)."""
    return 10 * (found == 1).sum(axis=1) + (found[:, [0, len(OF_EACH)]] == 1).sum(axis=1)


def _judge(words: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.where(words == -1, -1, words == values).astype(np.int8)


def _things(said: np.ndarray, shown: np.ndarray, both: np.ndarray, relation: np.ndarray) -> np.ndarray:
    """Things (N, 2, WIDTH) against things, in this order, and their relation -> int8 (N, 15)."""
    found = _judge(said, shown)
    letters = found[..., _LETTERS:]  # both stated, or neither
    text = np.where(letters[..., :1] == -1, -1, letters.min(axis=-1, keepdims=True))
    each = np.concatenate([found[..., :_LETTERS], text], axis=-1).reshape(len(said), -1)
    order = both & (shown[:, 0, _PLACE] > shown[:, 1, _PLACE])
    related = np.where(relation == -1, -1, both & (relation == order)).astype(np.int8)
    return np.concatenate([each, related[:, None]], axis=1)

"""What the oracle reads off pictures, and how often it is right."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from course_lib.oracle import NOTHING, SURROUNDING_HEADS, THING_HEADS, Oracle
from course_lib.picturebook import KINDS, PLACES, by_place
from course_lib.picturebook.labels import FIRST, OF_A_THING, SCENE_LENGTH, SURROUNDINGS, WIDTH
from course_lib.pictures import to_tensor
from course_lib.runtime import CourseError

# What only one kind of thing has.
BELONGS_TO = {"count": "tree", "fingers": "hand", "first": "sign", "second": "sign"}
GOOD = 0.99  # below this, an attribute's mistakes are told
_ASKED = tuple(THING_HEADS)  # the columns of `by_place`


@dataclass(frozen=True)
class Reading:
    """What the oracle reads off N pictures.

    scenes: int8 (N, SCENE_LENGTH), laid out as by `encode_scene`, the things found from left to right; confidence:
    float32 (N, SCENE_LENGTH), the probability the oracle gives to each of these numbers (for a place: to there being
    something), NaN where there is none; things: (N,), how many places show a thing, 0 to 3. A scene has room for two:
    of three, the two that it is surest of are kept, and `things` tells.
    """

    scenes: np.ndarray
    confidence: np.ndarray
    things: np.ndarray

    def __len__(self) -> int:
        return len(self.scenes)

    def describe(self, i: int) -> dict[str, str]:
        """Picture i in words: {"time": "night", "land": "sea", ..., "left": "small red house"}.

        Of three things, the one left out is named by the key "besides".
        """
        row = self.scenes[i]
        words = {name: values[row[j]] for j, (name, values) in enumerate(SURROUNDINGS.items())}
        for start in (FIRST, FIRST + WIDTH):
            said = {name: values[value] for (name, values), value in zip(OF_A_THING.items(), row[start:start + WIDTH])
                    if value != -1}
            if said:
                words[said["place"]] = _name(said)
        if self.things[i] > 2:
            words["besides"] = "a third thing"
        return words


def _name(said: dict[str, str]) -> str:
    """One thing: "small red house", "large pink hand, 3 fingers", "small white sign, 'T4'", "2 large green trees"."""
    words = f"{said['size']} {said['colour']} {said['kind']}"
    if said.get("count", "1") != "1":
        words = f"{said['count']} {words}s"
    if "fingers" in said:
        words += f", {said['fingers']} finger{'s' if said['fingers'] != '1' else ''}"
    return words + (f", '{said['first']}{said['second']}'" if "first" in said else "")


@torch.inference_mode()
def read(oracle: Oracle, pictures: np.ndarray, batch: int = 64) -> Reading:
    """Read every attribute off pictures, uint8 (N, 64, 64, 3), on the device that the oracle is on.

    Each place shows the likeliest of the ten kinds or nothing; a thing that is there has the likeliest colour, size
    and whatever else its kind has. Raises CourseError for pictures of another shape.
    """
    _check_pictures(pictures)
    device, found = _device(oracle), []
    for start in range(0, len(pictures), batch):
        surroundings, things = oracle(to_tensor(pictures[start:start + batch]).to(device))
        found.append([logits.softmax(dim=-1).cpu().numpy() for logits in (*surroundings, *things)])
    answers = [np.concatenate(parts) for parts in zip(*found)]
    surroundings, things = answers[:len(SURROUNDING_HEADS)], dict(zip(THING_HEADS, answers[len(SURROUNDING_HEADS):]))

    scenes = np.full((len(pictures), SCENE_LENGTH), -1, np.int8)
    confidence = np.full(scenes.shape, np.nan, np.float32)
    for j, chances in enumerate(surroundings):
        scenes[:, j], confidence[:, j] = chances.argmax(-1), chances.max(-1)
    there = things["kind"].argmax(-1) != NOTHING  # (N, 3)
    something = 1 - things["kind"][..., NOTHING]
    for i in range(len(pictures)):
        places = sorted(np.flatnonzero(there[i]), key=lambda place: -something[i, place])[:2]
        for start, place in zip((FIRST, FIRST + WIDTH), sorted(places)):
            kind = KINDS[things["kind"][i, place].argmax()]
            for j, name in enumerate(OF_A_THING, start):
                if name == "place":
                    scenes[i, j], confidence[i, j] = place, something[i, place]
                elif BELONGS_TO.get(name, kind) == kind:
                    chances = things[name][i, place]
                    scenes[i, j], confidence[i, j] = chances.argmax(), chances.max()
    return Reading(scenes, confidence, there.sum(axis=1))


def _check_pictures(pictures: np.ndarray) -> None:
    if pictures.ndim != 4 or pictures.shape[1:] != (64, 64, 3) or pictures.dtype != np.uint8 or not len(pictures):
        raise CourseError("The oracle reads pictures of shape (N, 64, 64, 3), uint8, at least one, but got "
                          f"{tuple(pictures.shape)}, {pictures.dtype}.")


def _device(oracle: Oracle) -> torch.device:
    return next(oracle.parameters()).device


def oracle_accuracy(oracle: Oracle, pages: dict[str, Tensor]) -> dict:
    """How often the oracle is right on held-out pages (as from `held_out`), attribute by attribute.

    accuracy: for time, land, weather and sky, the share of pages; for what a thing has, the share of the true things
    whose place shows that value ("place": any thing at all; "text": both characters); "number": the share of pages
    with as many things as there are; "scene": of pages with not one mistake. An attribute that no page has is left
    out. confusions: for each attribute below `GOOD`, its commonest mistakes: {"true", "read", "times", "of"}, read
    "nothing" where no thing or none of its kind was seen.
    """
    reading = read(oracle, pages["pictures"].permute(0, 2, 3, 1).numpy())
    truth = pages["scenes"].numpy()
    accuracy, confusions = {}, {}

    def tell(name: str, true: np.ndarray, found: np.ndarray, values: tuple[str, ...]) -> None:
        if not len(true):
            return
        accuracy[name] = round(float((true == found).mean()), 4)
        if accuracy[name] < GOOD:
            pairs = Counter((int(a), int(b)) for a, b in zip(true, found) if a != b)
            confusions[name] = [{"true": values[a], "read": values[b] if 0 <= b < len(values) else "nothing",
                                 "times": times, "of": int((true == a).sum())}
                                for (a, b), times in pairs.most_common(4)]

    for j, (name, values) in enumerate(SURROUNDINGS.items()):
        tell(name, truth[:, j], reading.scenes[:, j], values)
    shown, seen = by_place(truth), by_place(reading.scenes)  # (N, 3, attributes)
    true, found = (rows[shown[..., 0] != NOTHING] for rows in (shown, seen))  # (things, attributes)
    place = np.broadcast_to(np.arange(len(PLACES)), shown.shape[:2])[shown[..., 0] != NOTHING]
    for j, name in enumerate(_ASKED):
        has = true[:, j] != -1
        if name in ("kind", "colour", "size", "count", "fingers"):
            tell(name, true[has, j], found[has, j], OF_A_THING[name])
    tell("place", place, np.where(found[:, 0] == NOTHING, -1, place), PLACES)
    signs = true[:, _ASKED.index("first")] != -1
    (a, b), (c, d) = (rows[signs][:, [_ASKED.index("first"), _ASKED.index("second")]].T for rows in (true, found))
    tell("character", np.concatenate([a, b]), np.concatenate([c, d]), OF_A_THING["first"])
    if signs.any():
        accuracy["text"] = round(float(((a == c) & (b == d)).mean()), 4)
    number = (truth[:, [FIRST, FIRST + WIDTH]] != -1).sum(axis=1)
    tell("number", number, reading.things, ("0", "1", "2", "3"))
    whole = (shown == seen).all(axis=(1, 2)) & (truth[:, :FIRST] == reading.scenes[:, :FIRST]).all(axis=1)
    accuracy["scene"] = round(float((whole & (number == reading.things)).mean()), 4)
    return {"pages": len(truth), "things": len(true), "accuracy": accuracy, "confusions": confusions}

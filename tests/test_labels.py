"""Rows of numbers against a slow, plain reading of the same scenes and captions."""

import random
from dataclasses import replace
from itertools import permutations

import numpy as np

from course_lib.picturebook import (COLOURS, KINDS, LANDS, PLACES, SIGN_CHARACTERS, SIZES, SKIES, TIMES, WEATHERS,
                                    Scene, Thing, agree, by_place, caption, encode_scene, encode_stated, random_scene)

SURROUNDINGS = {"time": TIMES, "land": LANDS, "weather": WEATHERS, "sky": SKIES}


def shows(scene: Scene, stated: dict[str, str]) -> bool:
    """Whether all that a caption states can be seen in the scene, for some way to tell which thing is which."""
    if any(getattr(scene, name) != stated[name] for name in SURROUNDINGS if name in stated):
        return False
    told = [{key.split(".")[1]: value for key, value in stated.items() if key.startswith(f"thing{i}.")} for i in (0, 1)]
    told = [words for words in told if words]
    if len(told) != len(scene.things):
        return False
    for things in permutations(scene.things):
        fits = all(str(getattr(thing, name)) == value for words, thing in zip(told, things)
                   for name, value in words.items())
        if "relation" in stated:
            first, second = (PLACES.index(thing.place) for thing in things)
            fits = fits and stated["relation"] == ("left" if first < second else "right")
        if fits:
            return True
    return False


def other(rng: random.Random, values, value):
    return rng.choice([each for each in values if each != value])


def nearly(scene: Scene, rng: random.Random) -> Scene:
    """The scene with one thing about it changed: the hardest to tell from it."""
    name = rng.choice([*SURROUNDINGS, "thing", "thing", "thing", "swap", "fewer"])
    if name in SURROUNDINGS:
        return replace(scene, **{name: other(rng, SURROUNDINGS[name], getattr(scene, name))})
    things = list(scene.things)
    if name == "swap" and len(things) == 2:  # the same two things, their places exchanged
        a, b = things
        return replace(scene, things=(replace(a, place=b.place), replace(b, place=a.place)))
    if name == "fewer" and len(things) == 2:
        return replace(scene, things=(rng.choice(things),))
    i = rng.randrange(len(things))
    thing = things[i]
    choices = [{"colour": other(rng, COLOURS, thing.colour)}, {"size": other(rng, SIZES, thing.size)}]
    free = [place for place in PLACES if place not in {each.place for each in things}]
    choices.append({"place": rng.choice(free)})
    if thing.kind == "tree":
        choices.append({"count": other(rng, (1, 2, 3), thing.count)})
    elif thing.kind == "hand":
        choices.append({"fingers": other(rng, range(1, 6), thing.fingers)})
    elif thing.kind == "sign":
        choices += [{"text": thing.text[0] + other(rng, SIGN_CHARACTERS, thing.text[1])}, {"text": thing.text[::-1]}]
    else:
        choices.append({"kind": other(rng, ("house", "boat", "car"), thing.kind)})
    things[i] = replace(thing, **rng.choice(choices))
    return replace(scene, things=tuple(things))


def test_agree_reads_captions_as_a_plain_reader_does():
    rng = random.Random(0)
    true = false = swapped = 0
    for seed in range(120):
        scene = random_scene(seed, "all")
        scenes = [scene, replace(scene, things=scene.things[::-1]), *(nearly(scene, rng) for _ in range(12)),
                  *(random_scene(1000 + 10 * seed + i, "all") for i in range(4))]
        told = [caption(scene, i).stated for i in range(4)]
        found = agree(np.stack([encode_stated(stated) for stated in told]), np.stack([encode_scene(s) for s in scenes]))
        wanted = np.array([[shows(s, stated) for s in scenes] for stated in told])
        assert found.shape == (4, len(scenes)) and found.dtype == bool
        assert (found == wanted).all(), (scene, told, np.argwhere(found != wanted))
        assert found[:, :2].all()  # the scene itself, whichever of its things comes first
        true, false = true + wanted[:, 2:].sum(), false + (~wanted[:, 2:]).sum()
        swapped += sum("relation" in stated for stated in told)
    assert true > 500 and false > 2000 and swapped > 20, "the scenes are too easy to tell apart"


def test_a_relation_tells_two_orders_of_the_same_things_apart():
    cat, car = Thing("cat", "red", "small", "left"), Thing("car", "red", "small", "right")
    scene = Scene("day", "meadow", "clear", "sun", (cat, car))
    mirrored = replace(scene, things=(replace(cat, place="right"), replace(car, place="left")))
    rows = np.stack([encode_scene(each) for each in (scene, mirrored)])
    for first, second, relation, wanted in (("cat", "car", "left", scene), ("cat", "car", "right", mirrored),
                                            ("car", "cat", "right", scene), ("car", "cat", "left", mirrored)):
        said = encode_stated({"thing0.kind": first, "thing1.kind": second, "relation": relation})
        assert agree(said[None], rows)[0].tolist() == [wanted is scene, wanted is mirrored]
    nothing = encode_stated({"thing0.kind": "cat"})
    assert not agree(nothing[None], rows).any()  # one thing was told, two are there


def test_by_place_says_what_stands_where():
    scenes = [random_scene(seed, "all") for seed in range(200)]
    rows = by_place(np.stack([encode_scene(scene) for scene in scenes]))
    assert rows.shape == (200, 3, 7)
    kinds = set()
    for scene, row in zip(scenes, rows):
        for place, numbers in zip(PLACES, row):
            thing = next((each for each in scene.things if each.place == place), None)
            if thing is None:
                assert numbers.tolist() == [len(KINDS), *[-1] * 6]
                continue
            kind, colour, size, count, fingers, first, second = numbers.tolist()
            assert (KINDS[kind], COLOURS[colour], SIZES[size]) == (thing.kind, thing.colour, thing.size)
            assert count == (thing.count - 1 if thing.kind == "tree" else -1)
            assert fingers == (thing.fingers - 1 if thing.fingers else -1)
            text = [-1 if i < 0 else SIGN_CHARACTERS[i] for i in (first, second)]
            assert text == (list(thing.text) if thing.text else [-1, -1])
            kinds.add(thing.kind)
    assert kinds == set(KINDS)

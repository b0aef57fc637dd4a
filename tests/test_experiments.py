"""The experiments, on hand-made scenes and small networks: what they count does not depend on how good a model is."""

import json
import math
import random
import sys
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch
from commands import run
from small_models import small_text_to_image

from course_lib import experiments
from course_lib.editing import without_reading
from course_lib.evaluation import Reading
from course_lib.experiments import EXPERIMENTS, Found, Share, Studio, wilson
from course_lib.experiments.binding import BOUND_KINDS, _exchange, draw_pairs, outcomes, probe, sentence
from course_lib.experiments.memorising import Memory, copies, picture_distances
from course_lib.experiments.same_again import InDtype
from course_lib.experiments.studio import COLUMN, drawn, named, page_with, thing_of
from course_lib.experiments.wishes import SEEDS, Wishes, another, variety
from course_lib.layers import Cond, read_again, reader
from course_lib.oracle import Oracle, OracleSettings
from course_lib.picturebook import (
    COLOURS, HELD_OUT_PAIRS, HELD_OUT_RELATIONS, Scene, Thing, agree, encode_scene, encode_stated, random_scene,
)
from course_lib.pipeline import Painting
from course_lib.recipes.pixels import sample_few
from course_lib.runtime import starting_noise
from course_lib.schedulers import find_schedule

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def studio():
    torch.manual_seed(0)
    oracle = Oracle(OracleSettings(trunk=(16, 16, 32), hidden=16)).eval().requires_grad_(False)
    return Studio(small_text_to_image(), oracle)


@pytest.fixture(autouse=True)
def fewer_pages(monkeypatch):
    """Of those that the shipped model knows. (In the package, the module's name is its function's.)"""
    monkeypatch.setattr(sys.modules["course_lib.experiments.memorising"], "KNOWN", 16)


# --------------------------------------------------------------------------------------------------------- shares

@pytest.mark.parametrize("right, of, low, high", [
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3 (Wilson's without continuity correction).
    (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)])
def test_wilsons_interval_is_the_published_one(right, of, low, high):
    assert wilson(right, of, 1.959964) == pytest.approx((low, high), abs=5e-5)


def test_wilsons_interval_solves_its_own_equation():
    """Its ends are the shares p from which what was seen is z standard deviations of a true p away."""
    for right, of in ((3, 17), (9, 10), (40, 90)):
        for p in wilson(right, of):
            assert abs(right / of - p) == pytest.approx(1.96 * math.sqrt(p * (1 - p) / of))
    assert wilson(0, 0) == (0, 1) and wilson(7, 7)[1] == 1 and wilson(0, 7)[0] == 0


@dataclass(frozen=True)
class Example(Found):
    share: Share
    by: dict
    words: list
    pictures: np.ndarray


def test_what_was_found_can_be_written_as_json_and_read():
    found = Example(Share(3, 4), {1.0: 0.123456, "none": Share(0, 0)}, ["a"], np.zeros((1, 2, 2, 3), np.uint8))
    said = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert said["share"] == {"right": 3, "of": 4, "share": 0.75, "low": 0.3006, "high": 0.9544}
    assert said["by"] == {"1.0": 0.12346, "none": {"right": 0, "of": 0, "share": None, "low": 0.0, "high": 1.0}}
    assert "pictures" not in said and said["words"] == ["a"]
    assert "3 of 4 (75 %; 30 to 95)" in str(found) and "words" not in str(found)


# -------------------------------------------------------------------------------------------------------- binding

def page(*things: tuple[str, str]) -> np.ndarray:
    places = ("left", "right")
    scene = Scene("day", "meadow", "clear", "sun", tuple(
        Thing(kind, colour, "large", place) for (colour, kind), place in zip(things, places)))
    return encode_scene(scene)


def judged(asked, *rows: np.ndarray, things: int = 2) -> list[str]:
    return outcomes([asked] * len(rows), Reading(np.stack(rows), np.ones(1), np.full(len(rows), things)))


def test_binding_is_counted_right_on_scenes_made_by_hand():
    asked = (("red", "house"), ("blue", "car"))
    shown = {
        "right": page(("red", "house"), ("blue", "car")), "swapped": page(("blue", "house"), ("red", "car")),
        "leaked": page(("red", "house"), ("red", "car")), "another colour": page(("red", "house"), ("green", "car")),
        "one thing twice": page(("red", "house"), ("red", "house")), "thing missing": page(("red", "house"))}
    assert judged(asked, *shown.values()) == list(shown) == list(experiments.OUTCOMES)
    turned = page(("blue", "car"), ("red", "house"))  # where the things stand does not matter
    both_green, two_houses = page(("green", "house"), ("green", "car")), page(("red", "house"), ("blue", "house"))
    two_cats = page(("red", "cat"), ("blue", "cat"))
    assert judged(asked, turned, both_green, two_houses, two_cats) == [
        "right", "another colour", "one thing twice", "thing missing"]
    assert judged(asked, shown["right"], turned, things=3) == ["one thing twice"] * 2


def test_pairs_are_of_two_kinds_and_colours_that_training_knows():
    for (a, one), (b, two) in draw_pairs(300, random.Random(0)):
        assert a != b and one != two and {one, two} <= set(BOUND_KINDS)
        assert not {(one, a), (one, b), (two, a), (two, b)} & HELD_OUT_PAIRS
    assert sentence((("orange", "car"), ("red", "boat"))) == "an orange car and a red boat"
    assert named("orange", "car") == "an orange car"


def states_of(pairs, knows: bool) -> torch.Tensor:
    """Word states that hold both colours of the sentence as a heap, and, if `knows`, the thing's own apart from it."""
    source = torch.Generator().manual_seed(0)
    states = 0.1 * torch.randn(len(pairs), 2, 24, generator=source)
    for i, pair in enumerate(pairs):
        for j in (0, 1):
            for colour, _ in pair:
                states[i, j, COLOURS.index(colour)] += 1
            if knows:
                states[i, j, 8 + COLOURS.index(pair[j][0])] += 1
    return states


def test_the_probe_tells_a_bond_from_a_heap_of_words():
    train, test = draw_pairs(400, random.Random(1)), draw_pairs(200, random.Random(2))
    known, heap = (probe(states_of(train, knows), train, states_of(test, knows), test) for knows in (True, False))
    assert known.value > 0.99 and known.of == 400
    assert heap.interval[0] <= 0.5 <= heap.interval[1]


def test_the_cause_looks_at_the_reading_blocks_where_there_are_any(studio):
    found = experiments.binding_cause(studio, sentences=40)
    assert set(found.probes) == {"text encoder"}
    assert all(-1 <= cosine <= 1 for cosine in found.cosines.values()) and len(found.cosines) == 4
    network = studio.model.denoise.network
    network.reading = torch.nn.ModuleList([Shift()])
    try:
        again = experiments.binding_cause(studio, sentences=40)
    finally:
        network.reading = torch.nn.ModuleList()
    assert set(again.probes) == {"text encoder", "read again"}
    assert again.probes["text encoder"] == found.probes["text encoder"]


def test_a_reading_that_is_not_there_cannot_be_exchanged(studio):
    found = experiments.binding(studio, pictures=4, scales=(3,))
    assert found.exchanged == found.outcomes[3] and set(found.placed) == set(found.exchanged)


@torch.inference_mode()
def test_only_what_the_reading_adds_is_exchanged(studio, monkeypatch):
    """Its words keep the states that the text encoder gives them; all other words are read as ever."""
    torch.manual_seed(1)
    pair = (("red", "house"), ("blue", "car"))
    prompt, turned = sentence(pair), "a blue house and a red car"
    reading, steered = reader(studio.model.space.text.words.embedding_dim, 1), []
    model = studio.model._replace(denoise=without_reading(studio.model.denoise))  # a copy on the same weights
    model.denoise.network.reading = reading
    for parameter in reading.parameters():
        parameter.normal_(std=0.2)
    towards = Painting.towards
    monkeypatch.setattr(Painting, "towards", lambda self, *conds: steered.append(conds) or towards(self, *conds))
    studio.paint([prompt], steps=1, change=partial(_exchange, model, {prompt: pair}))
    cond, empty = steered[-1]
    given = [Cond(*(part[i:i + 1] for part in model.cond([prompt, turned, ""]))) for i in range(3)]
    own, other, _ = (some.words[0] for some in given)
    read, read_other, read_empty = (read_again(reading, some).words[0] for some in given)
    there = {1: 1, 2: 6, 3: 3, 4: 4, 5: 5, 6: 2, 7: 7}  # a red house and a blue car: where each stands in `turned`
    for here, place in there.items():
        named_by_it = here in (2, 3, 6, 7)
        wanted = own[here] + read_other[place] - other[place] if named_by_it else read[here]
        torch.testing.assert_close(cond.words[0, here], wanted)
        assert not named_by_it or not torch.allclose(wanted, read[here], atol=1e-3)
    torch.testing.assert_close(empty.words[0], read_empty)


class Shift(torch.nn.Module):
    def forward(self, words, mask):
        return words.flip(2) + 1


# ----------------------------------------------------------------------------------------------- things and wishes

def test_the_thing_of_a_kind_is_found_wherever_it_stands():
    rows = np.stack([page(("red", "house"), ("blue", "car")), page(("blue", "car"))])
    assert thing_of(rows, ["car", "house"])[:, COLUMN["colour"]].tolist() == [COLOURS.index("blue"), -1]
    assert (thing_of(rows, ["house", "car"])[:, 0] != -1).all() and (thing_of(rows, ["cat", "cat"]) == -1).all()


def test_every_real_page_of_a_wish_fits_its_prompt(studio):
    wishes = Wishes(studio, 8, "test")
    assert len(wishes.prompts) == 8 and len(set(wishes.prompts)) == 2 and wishes.prompts[0] == wishes.prompts[SEEDS - 1]
    lot = random.Random(3)
    for scene, stated in zip(wishes.scenes, wishes.stated):
        other = another(scene, lot)
        assert agree(stated[None], encode_scene(other)[None]).all() and other.seed != scene.seed
    real = wishes.judge_real()
    assert real.distance > 0 and real.variety > 0 and real.obeyed.of == 8 * 5 + 8


def test_variety_is_the_mean_distance_within_a_prompt():
    features = torch.zeros(2 * SEEDS, 3)
    features[SEEDS:, 0] = 100  # another prompt, far away: that is no variety
    assert variety(features) == 0
    features[:, 1] = torch.tensor([0.0, 1, 2, 3] * 2)
    assert variety(features) == pytest.approx((1 + 2 + 3 + 1 + 2 + 1) / 6)


def test_pages_with_a_thing_keep_all_else():
    thing = (Thing("cat", "red", "small", "left"),)
    scenes = [page_with(thing, random.Random(i)) for i in range(5)]
    assert all(scene.things == thing for scene in scenes) and len({scene.seed for scene in scenes}) == 5
    assert drawn(scenes).shape == (5, 64, 64, 3)


def test_the_twin_of_a_held_out_order_may_have_been_seen():
    assert not {order[::-1] for order in HELD_OUT_RELATIONS} & HELD_OUT_RELATIONS


# ------------------------------------------------------------------------------------------------ seeds and memory

def test_arithmetic_in_another_dtype_is_nearly_the_same(studio):
    model = studio.model
    cond, x, t = model.cond(["a red house"]), torch.randn(1, 4, 16, 16), torch.tensor([0.5])
    with torch.inference_mode():
        usual = model.denoise.network(x, t, cond)
        double, half = (InDtype(model.denoise.network, dtype)(x, t, cond) for dtype in (torch.float64, torch.bfloat16))
    assert double.dtype == usual.dtype == half.dtype
    assert (double - usual).abs().max() < 1e-4 < (half - usual).abs().max() < 0.2
    assert next(model.denoise.network.parameters()).dtype == torch.float32  # the model itself is as it was


def test_the_same_again_is_the_same(studio):
    found = experiments.same_again(studio, pictures=2)
    assert found.mean["once more"] == found.largest["once more"] == found.touched["once more"] == 0
    assert found.mean["other seeds"] > found.mean["float64"] and len(found.pictures) == 1 + len(found.mean)


def test_a_planted_copy_is_found_and_a_new_page_is_none():
    pages = drawn([random_scene(i) for i in range(12)])
    grainy = np.clip(pages[7].astype(int) + np.random.default_rng(0).integers(-6, 7, pages[7].shape), 0, 255)
    pictures = np.stack([grainy.astype(np.uint8), drawn([random_scene(99)])[0]])
    distances = picture_distances(pictures, pages)
    assert distances[0].argmin() == 7 and copies(distances).tolist() == [True, False]
    assert picture_distances(pages[:3], pages[:3]).diagonal() == pytest.approx(0, abs=1e-3)
    white, black = (np.full((1, 64, 64, 3), value, np.uint8) for value in (255, 0))
    assert picture_distances(white, black) == pytest.approx(255)


def test_a_perfect_memory_gives_back_what_it_knows():
    source = torch.Generator().manual_seed(0)
    latents = torch.randn(6, 4, 16, 16, generator=source)
    noise, _ = starting_noise([0, 1, 2], (4, 16, 16))
    made = sample_few(Memory(latents, find_schedule("cosine")), noise)
    assert torch.cdist(made.flatten(1), latents.flatten(1)).min(dim=1).values.max() < 0.05


def test_few_pages_and_many_give_all_that_a_figure_needs(studio):
    found = experiments.memorising(studio, pictures=2, counts=(2, 4), steps=2)
    assert list(found.copied) == ["2", "4", "shipped", "memory"] == list(found.nearness)
    assert set(found.losses) == {"2", "4"} and found.painted.shape == found.nearest.shape == (4, 2, 64, 64, 3)


# ------------------------------------------------------------------------------------------- the whole, and the command

SMALL = {name: 8 if name in ("unseen", "guidance", "steps") else 2 for name in EXPERIMENTS}


@pytest.fixture
def short(monkeypatch, studio):
    """Less of everything that takes time; and a studio of small networks in place of the shipped ones."""
    monkeypatch.setitem(EXPERIMENTS, "memory", EXPERIMENTS["memory"]._replace(
        run=lambda studio, pictures: experiments.memorising(studio, pictures, counts=(2, 4), steps=2)))
    monkeypatch.setattr(experiments, "open_studio", lambda device, folder: studio)
    return studio


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_command_prints_one_json_object_or_lines(name, short, capsys):
    assert run("experiment", name, "--pictures", SMALL[name], "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["experiment"] == name and report["pictures"] == SMALL[name] and len(report) > 3
    if name in ("fingers", "counting"):  # again, the same numbers
        assert EXPERIMENTS[name].run(short, pictures=SMALL[name]).as_json().items() <= report.items()
        assert run("experiment", name, "--pictures", SMALL[name]) == 0
        said = capsys.readouterr().out
        assert "real" in said and " of " in said and max(map(len, said.splitlines())) < 80


@pytest.mark.parametrize("arguments, words", [
    (["colours"], "no experiment called 'colours': choose from fingers"),
    (["binding", "--pictures", "0"], "The number of pictures must be a whole number from 1"),
    (["guidance", "--pictures", "3"], "from 8"), (["memory", "--pictures", "99999"], "to 10000"),
    (["binding", "--weights", "nowhere"], "There is no folder nowhere"),
])
def test_bad_input_gets_a_sentence(arguments, words, short, capsys):
    assert run("experiment", *arguments) == 2
    said = capsys.readouterr()
    assert words in said.err and said.err.count("\n") == 1 and not said.out


def test_twins_differ_in_what_was_never_seen_alone(studio, monkeypatch):
    """The prompts of the two splits, as they are asked."""
    asked = []
    monkeypatch.setattr(Studio, "paint", lambda self, prompts, **_: asked.append(prompts) or drawn(
        [random_scene(i) for i in range(len(prompts))]))
    experiments.never_seen(studio, pictures=16)
    seen, never, forth, back = asked
    assert len(seen) == len(never) == 16 and len(forth) == len(back) == 14
    for one, other in zip(seen, never):
        changed = [(a, b) for a, b in zip(one.split(), other.split()) if a != b]
        assert len(one.split()) == len(other.split()) and 1 <= len(changed) <= 2  # the colour; "a" becomes "an"
        assert any(a in COLOURS and b in COLOURS for a, b in changed)
    for one, other in zip(forth, back):
        assert " to the left of ".join(reversed(one.split(" to the left of "))) == other


def test_the_chain_of_small_things_counts_what_each_stage_loses(studio):
    found = experiments.small_things(studio, "sign", pictures=4)
    assert sum(found.blame.values()) + found.painted.value == pytest.approx(1)
    assert found.real.of == found.copies.of == 120 and found.painted.of == found.there.of == 4
    assert all(len(word) == 2 for word in found.asked) and len(found.read) == 4
    sizes = found.by_size["real pages"]
    assert sum(share.of for share in sizes.values()) == 120 and sizes["small"].of == 60


def test_scenes_for_counting_are_told_with_their_number():
    stated = encode_stated({"thing0.kind": "tree", "thing0.count": "2"})
    scene = replace(random_scene(0), things=(Thing("tree", "green", "large", "left", count=2),))
    assert agree(stated[None], encode_scene(scene)[None]).all()

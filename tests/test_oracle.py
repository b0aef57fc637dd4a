"""The oracle: what it answers, its loss against a plain loop, and that it can learn to read a picture."""

import math

import numpy as np
import pytest
import torch

from course_lib.oracle import NOTHING, SURROUNDING_HEADS, THING_HEADS, Oracle, OracleSettings, oracle_loss
from course_lib.picturebook import Scene, Thing, by_place, encode_scene
from course_lib.picturebook.labels import OF_A_THING, SURROUNDINGS

SMALL = OracleSettings(trunk=(16, 16, 32), hidden=32)
SCENES = [
    Scene("night", "sea", "clear", "moon", (Thing("boat", "red", "small", "left"),)),
    Scene("day", "meadow", "clouds", "sun", (Thing("tree", "green", "large", "right", count=3),
                                             Thing("house", "blue", "small", "left"))),
    Scene("dawn", "desert", "clear", "nothing", (Thing("sign", "yellow", "large", "middle", text="T4"),)),
    Scene("day", "snow", "rain", "nothing", (Thing("hand", "pink", "large", "middle", fingers=3),)),
]


@pytest.fixture
def labels() -> tuple[torch.Tensor, torch.Tensor]:
    scenes = np.stack([encode_scene(scene) for scene in SCENES])
    return torch.from_numpy(scenes), torch.from_numpy(by_place(scenes))


def random_answers(n: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    source = torch.Generator().manual_seed(0)
    return ([torch.randn(n, values, generator=source) for values in SURROUNDING_HEADS.values()],
            [torch.randn(n, 3, values, generator=source) for values in THING_HEADS.values()])


def sure_answers(scenes: torch.Tensor, places: torch.Tensor, how_sure: float) -> tuple[list, list]:
    """The right answers; where there is nothing to say, a wild one."""
    surroundings = [how_sure * torch.eye(values)[scenes[:, i].long()]
                    for i, values in enumerate(SURROUNDING_HEADS.values())]
    things = [how_sure * torch.eye(values)[places[..., i].long() % values]
              for i, values in enumerate(THING_HEADS.values())]
    return surroundings, things


def test_there_is_an_answer_for_every_attribute_and_place():
    oracle, x = Oracle(SMALL), torch.zeros(2, 3, 64, 64)
    surroundings, things = oracle(x)
    assert oracle.features(x).shape == (2, 4, 32)
    assert [tuple(logits.shape) for logits in surroundings] == [(2, len(values)) for values in SURROUNDINGS.values()]
    assert [tuple(logits.shape) for logits in things] == [(2, 3, values) for values in THING_HEADS.values()]
    assert list(THING_HEADS) == [name for name in OF_A_THING if name != "place"]
    assert THING_HEADS["kind"] == len(OF_A_THING["kind"]) + 1 and NOTHING == len(OF_A_THING["kind"])


def test_a_place_is_answered_by_its_own_question():
    torch.manual_seed(0)
    oracle, x = Oracle(SMALL).eval(), torch.randn(1, 3, 64, 64)
    surroundings, things = oracle(x)
    with torch.no_grad():
        oracle.pool.queries[:, 1] += 5  # the left one
    same, others = oracle(x)
    for before, after in zip(surroundings, same):
        torch.testing.assert_close(before, after)
    for before, after in zip(things, others):
        torch.testing.assert_close(before[:, 1:], after[:, 1:])
    assert any((before[:, 0] - after[:, 0]).abs().max() > 1e-3 for before, after in zip(things, others))


def test_the_loss_is_a_plain_sum_of_cross_entropies(labels):
    scenes, places = labels
    surroundings, things = random_answers(len(SCENES))
    wanted = 0.0
    for n, scene in enumerate(SCENES):
        for logits, (name, values) in zip(surroundings, SURROUNDINGS.items()):
            wanted -= logits[n].softmax(0)[values.index(getattr(scene, name))].log().item() / len(SCENES)
        for p, place in enumerate(OF_A_THING["place"]):
            thing = next((thing for thing in scene.things if thing.place == place), None)
            said = {"kind": NOTHING}
            if thing is not None:
                said = {name: OF_A_THING[name].index(getattr(thing, name)) for name in ("kind", "colour", "size")}
                if thing.kind == "tree":
                    said["count"] = thing.count - 1
                if thing.fingers:
                    said["fingers"] = thing.fingers - 1
                if thing.text:
                    said["first"] = OF_A_THING["first"].index(thing.text[0])
                    said["second"] = OF_A_THING["second"].index(thing.text[1])
            for logits, name in zip(things, THING_HEADS):
                if name in said:
                    wanted -= logits[n, p].softmax(0)[said[name]].log().item() / (3 * len(SCENES))
    assert oracle_loss((surroundings, things), scenes, places).item() == pytest.approx(wanted, rel=1e-5)


def test_right_answers_cost_nothing_and_wrong_ones_do(labels):
    assert oracle_loss(sure_answers(*labels, 100.0), *labels) < 1e-6
    for which in (0, 1):
        for i in range(len((SURROUNDING_HEADS, THING_HEADS)[which])):
            answers = sure_answers(*labels, 100.0)
            answers[which][i] = -answers[which][i]
            assert oracle_loss(answers, *labels) > 1, (which, i)


def test_a_guess_costs_the_log_of_the_choices(labels):
    scenes, places = labels
    wanted = sum(math.log(values) for values in SURROUNDING_HEADS.values())
    for i, values in enumerate(THING_HEADS.values()):
        wanted += math.log(values) * (places[..., i] != -1).float().mean().item()
    assert oracle_loss(sure_answers(*labels, 0.0), *labels).item() == pytest.approx(wanted, rel=1e-5)


def test_what_is_not_there_teaches_nothing(labels):
    surroundings, things = random_answers(len(SCENES))
    fingers = list(THING_HEADS).index("fingers")
    things[fingers].requires_grad_()
    oracle_loss((surroundings, things), *labels).backward()
    touched = things[fingers].grad.abs().sum(dim=2) > 0
    assert touched.tolist() == [[False] * 3, [False] * 3, [False] * 3, [False, True, False]]


def test_the_gradient_reaches_every_parameter(labels):
    torch.manual_seed(0)
    oracle = Oracle(SMALL)
    with torch.no_grad():
        for name, parameter in oracle.named_parameters():
            if "conv2" in name:  # starts at zero, which keeps the gradient from what comes before it
                parameter.normal_(std=0.1)
    oracle_loss(oracle(torch.randn(len(SCENES), 3, 64, 64)), *labels).backward()
    without = [name for name, parameter in oracle.named_parameters()
               if parameter.grad is None or not parameter.grad.any()]
    assert not without, without

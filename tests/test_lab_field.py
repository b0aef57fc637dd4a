"""The field lab: its particles and arrows are the formulas', its drawing is data, its answers can be dropped."""

import importlib
import re
import threading

import numpy as np
import pytest
import torch

from course_lib import labs
from course_lib.labs import plane
from course_lib.labs.live import Dropped
from course_lib.labs.plane import OWN, SIDE, STD, Request, compute, data_of, grid, labels, pack, summary
from course_lib.points import SHAPES, ByClass, Classes, Mixture, PointNet, draw_classes, draw_points
from course_lib.runtime import CourseError, random_source
from course_lib.schedulers import SCHEDULERS, find_schedule

pytestmark = pytest.mark.usefixtures("one_thread")
COSINE = find_schedule("cosine")
DRAWN = [(-1.5, -1.0, 0), (-1.4, -1.1, 0), (1.2, 0.8, 1)]


@pytest.fixture
def few_lessons(monkeypatch):
    """Training that is short: what is learned does not matter, that it is learned does."""
    monkeypatch.setattr(plane.learn, "__defaults__", (6,))


# ------------------------------------------------------------------------------------------------- data and classes

@pytest.mark.parametrize("shape", SHAPES)
def test_the_classes_are_halves_of_the_same_points(shape):
    points, classes = draw_classes(shape, 2000, random_source(4))
    assert torch.equal(points, draw_points(shape, 2000, random_source(4)))
    assert classes.shape == (2000,) and classes.dtype == torch.long and set(classes.tolist()) == {0, 1}
    assert 0.3 < classes.float().mean() < 0.7
    one, other = points[classes == 0], points[classes == 1]
    nearest = torch.cdist(points, points).fill_diagonal_(9).argmin(dim=1)
    assert (classes[nearest] == classes).float().mean() > 0.9, "the halves are mixed"
    assert len(one) + len(other) == 2000


def test_a_denoiser_by_class_is_the_mixture_of_each():
    points, classes = draw_classes("moons", 50, random_source(0))
    exact = ByClass.of_points(points, classes, 2, COSINE, 0.1)
    x, of = torch.randn(6, 2, generator=random_source(1)), torch.tensor([0, 1, 2, 2, 1, 0])
    for t in (0.3, torch.linspace(0.2, 0.9, 6)):
        got = exact(x, t, Classes(of))
        for number, group in enumerate((points[classes == 0], points[classes == 1], points)):
            alone = Mixture.of_points(group, COSINE, 0.1)(x, t)
            assert torch.allclose(got[of == number], alone[of == number], atol=1e-6)


def test_a_network_that_knows_classes_starts_like_one_that_does_not():
    torch.manual_seed(0)
    plain = PointNet()
    torch.manual_seed(0)
    told = PointNet(classes=2)
    x, t = torch.randn(4, 2), torch.rand(4)
    assert torch.equal(plain(x, t), told(x, t))
    assert not torch.equal(told(x, t, Classes(torch.tensor([0, 1, 2, 0]))), told(x, t))


def test_the_learners_points_are_the_data():
    points, classes = data_of(Request(OWN, drawn=DRAWN))
    assert torch.allclose(points, torch.tensor(DRAWN)[:, :2]) and classes.tolist() == [0, 0, 1]
    ends = compute(Request(OWN, drawn=DRAWN, scheduler="ddim", steps=40)).particles[-1]
    assert torch.cdist(ends, points).min(dim=1).values.max() < 5 * STD


# ------------------------------------------------------------------------------------------ the field, the particles

@pytest.mark.parametrize("schedule", plane.SCHEDULES)
def test_an_arrow_of_the_exact_field_is_the_mixtures_velocity(schedule):
    journey = compute(Request("ring", schedule=schedule, steps=7))
    path = find_schedule(schedule)
    exact = Mixture.of_points(journey.points, path, STD)
    layer = journey.layers["exact"]
    assert layer.shape == (8, SIDE * SIDE, 2) and not layer[-1].any()
    for i in (1, 4, 6):
        t = journey.times[i]
        x0_hat = exact(grid(), t)
        eps_hat = (grid() - path.alpha(t) * x0_hat) / path.sigma(t)
        wanted = -plane.REACH * (path.alpha_dot(t) * x0_hat + path.sigma_dot(t) * eps_hat)
        assert torch.allclose(layer[i], wanted, atol=1e-4, rtol=1e-4)


def test_the_field_leads_where_the_particles_go():
    """An arrow from a particle, for so short a step, is its move: Euler's step, that is."""
    journey = compute(Request("moons", scheduler="euler", steps=60))
    exact = Mixture.of_points(journey.points, COSINE, STD)
    x, t, s = journey.particles[30], journey.times[30], journey.times[31]
    assert torch.allclose(journey.particles[31], x + (s - t) * COSINE.velocity(x, exact(x, t), t), atol=1e-4)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("shape", ["moons", "squares"])
def test_particles_end_on_the_data(shape, scheduler):
    journey = compute(Request(shape, scheduler=scheduler, steps=40))
    assert journey.particles.shape == (41, plane.PARTICLES, 2) and journey.times[-1] == 0
    distance = torch.cdist(journey.particles[-1], journey.points).min(dim=1).values
    assert distance.mean().item() == pytest.approx(journey.near, abs=1e-6) and journey.near < 0.1
    assert torch.cdist(journey.particles[0], journey.points).min(dim=1).values.mean() > 2 * journey.near
    assert journey.nfe == (79 if scheduler == "heun" else 40)


def test_the_seed_is_the_noise():
    one, same, other = (compute(Request(seed=seed, steps=3)).particles for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert torch.cdist(one[0], other[0]).min() > 0, "two seeds share a particle"


def test_eta_is_heard_by_ddim_alone():
    def ends(**given):
        return compute(Request(steps=8, **given)).particles[-1]

    assert torch.equal(ends(eta=1.0), ends(scheduler="ddpm")) and not torch.equal(ends(eta=1.0), ends())
    assert torch.equal(ends(scheduler="heun", eta=0.7), ends(scheduler="heun"))
    assert Request(eta=0.5).unheard() == ""
    assert "only ddim reads it" in Request(scheduler="heun", eta=0.7).unheard()
    assert "choose one to pull towards" in Request(guidance=3).unheard()


@pytest.mark.parametrize("towards, number", [("A", 0), ("B", 1)])
def test_guidance_pulls_to_the_class(towards, number):
    def share(**given):
        return (compute(Request("squares", steps=20, **given)).fates == number).float().mean().item()

    assert 0.3 < share() < 0.7 and share(towards=towards, guidance=0) == share()
    assert share(towards=towards) > 0.95 and share(towards=towards, guidance=4) == 1


def test_the_extra_force_is_what_guidance_adds():
    asked = Request("moons", steps=5, towards="B", guidance=4)
    guided, plain = compute(asked).layers, compute(Request("moons", steps=5, towards="B")).layers
    assert set(plain) == {"exact"} and set(guided) == {"exact", "extra force"}
    assert torch.allclose(guided["exact"] - plain["exact"], guided["extra force"], atol=1e-4, rtol=1e-3)
    assert guided["extra force"].abs().max() > 0.1
    assert compute(asked).nfe == 10, "guidance needs two evaluations a step"


# ----------------------------------------------------------------------------------------------- the learned field

def test_a_learned_field_comes_near_the_exact_one():
    points, classes = draw_classes("ring", 200, random_source(0))
    exact = plane.exact_denoiser(points, classes, COSINE)
    x, errors = torch.randn(300, 2, generator=random_source(1)), []
    for lesson, denoise in enumerate(plane.learn(points, classes, COSINE, lessons=120), 1):
        if lesson in (5, 120):
            with torch.no_grad():
                errors.append([(denoise(x, 0.6, Classes(of)) - exact(x, 0.6, Classes(of))).norm(dim=1).mean().item()
                               for of in (torch.full((300,), number) for number in (0, 1, 2))])
    assert all(late < 0.2 and late < early for early, late in zip(*errors)), errors  # for A, for B, for both


def test_both_fields_are_compared_where_the_particles_are(few_lessons):
    journey = compute(Request(denoiser="both", steps=4))
    assert list(journey.layers) == ["learned", "exact"] and len(journey.gaps) == 4
    assert re.search(r" · guesses [0-9.]+ apart$", labels(journey)[1]) and "apart" not in labels(journey)[4]
    learned = compute(Request(denoiser="learned", steps=4))
    assert torch.equal(learned.particles, journey.particles) and list(learned.layers) == ["learned"]
    assert compute(Request(steps=4)).gaps == []


def test_learning_leaves_the_learners_random_numbers_alone(few_lessons):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    compute(Request(denoiser="learned", steps=1))
    assert torch.equal(torch.rand(3), wanted)


# ------------------------------------------------------------------------------------------------ words and numbers

@pytest.mark.parametrize("given, words", [
    ({"seed": -1}, "The seed must be a whole number from 0"), ({"seed": ""}, "The seed"),
    ({"steps": 0}, "The number of steps must be a whole number from 1 to 60"), ({"steps": 61}, "number of steps"),
    ({"shape": "heart"}, "no shape 'heart' in this lab: choose from ring"), ({"denoiser": "best"}, "no field 'best'"),
    ({"scheduler": "magic"}, "no scheduler"), ({"schedule": "edm"}, "no schedule 'edm'"), ({"eta": 1.5}, "eta must be"),
    ({"towards": "C"}, "no class 'C'"), ({"guidance": 7}, "guidance scale must be a number from 0 to 6"),
    ({"guidance": float("nan")}, "guidance scale"), ({"shape": OWN}, "no points of your own yet"),
    ({"shape": OWN, "drawn": DRAWN[:2], "towards": "B"}, "no point of class B"),
    ({"shape": OWN, "drawn": [(0, 9, 0)]}, "A point is"), ({"shape": OWN, "drawn": [(0, 0, 2)]}, "A point is"),
    ({"shape": OWN, "drawn": [(0, float("nan"), 1)]}, "A point is"), ({"shape": OWN, "drawn": [(0, 1)]}, "A point is"),
    ({"shape": OWN, "drawn": [("x", 1, 0)]}, "A point is"), ({"shape": OWN, "drawn": [5]}, "A point is"),
    ({"shape": OWN, "drawn": DRAWN * 201}, "603 points are too many")])
def test_bad_input_is_told_in_a_sentence(given, words):
    with pytest.raises(CourseError, match=words):
        compute(Request(**given))


def test_the_words_tell_step_time_and_cost():
    journey = compute(Request(steps=4))
    assert labels(journey)[2] == "step 2 of 4 · noise level t = 0.50 (50% data)"
    assert labels(journey)[4] == "step 4 of 4 · noise level t = 0.00 (100% data)"
    assert "(NFE) for each particle: 4." in summary(journey, "none")
    assert f"{journey.near:.2f} from the nearest" in summary(journey, "A")
    assert summary(journey, "B").endswith("end at class B.")


def test_what_goes_to_the_browser_is_small_and_exact(few_lessons):
    journey = compute(Request("spiral", "both", steps=60, towards="A", guidance=6))
    packed = pack(journey)
    size = sum(len(part) for part in packed.values() if isinstance(part, bytes))
    size += sum(len(layer["bytes"]) for layer in packed["layers"])
    assert size < 250_000 and len(packed["layers"]) == 3
    particles = np.frombuffer(packed["particles"], "<i2").reshape(61, plane.PARTICLES, 2) * packed["span"] / 32767
    assert np.abs(particles - journey.particles.numpy()).max() < 3e-4
    for layer in packed["layers"]:
        sent = torch.from_numpy(np.frombuffer(layer["bytes"], "i1").copy()).reshape(61, SIDE * SIDE, 2) / 127
        arrows = journey.layers[layer["name"]]
        assert torch.allclose(sent * packed["longest"], plane.level_off(arrows), atol=packed["longest"] / 200)
        assert (plane.level_off(arrows).norm(dim=2) <= packed["longest"] + 1e-6).all()
    short = torch.tensor([[0.01, -0.02]])
    assert torch.allclose(plane.level_off(short), short, rtol=0.01), "short arrows are to scale"


# --------------------------------------------------------------------------------------------------------- the face

def test_the_controls_lead_to_another_journey():
    lab = labs.field("ring", steps=3)
    before = lab.plane.shown
    lab.controls.values = lab.controls.values | {"shape": "moons", "steps": 5, "scheduler": "euler", "eta": 0.5}
    assert lab.live.wait(60)
    assert len(lab.plane.shown["labels"]) == 6 and lab.plane.shown["data"] != before["data"]
    assert lab.controls.message == "eta does nothing with euler: only ddim reads it." and not lab.controls.wrong
    lab.controls.values = lab.controls.values | {"seed": -1}
    assert lab.live.wait(60)
    assert "The seed must be" in lab.controls.message and lab.controls.wrong
    assert len(lab.plane.shown["labels"]) == 6 and repr(lab) == "FieldLab(shape='moons', field='exact', steps=5)"
    lab.close()


def test_drawing_makes_the_points_the_data():
    lab = labs.field("ring", steps=3)
    lab.plane.drawn = [list(point) for point in DRAWN]
    assert lab.live.wait(60)
    assert lab.controls.values["shape"] == OWN and lab.plane.shown["own"] and len(lab.plane.shown["classes"]) == 3
    lab.plane.drawn = [list(point) for point in DRAWN[:1]]
    assert lab.live.wait(60) and len(lab.plane.shown["classes"]) == 1
    assert labs.field(OWN, drawn=DRAWN, steps=2).plane.drawn == [list(point) for point in DRAWN]
    lab.plane.drawn = []
    assert lab.live.wait(60) and "no points of your own yet" in lab.controls.message
    lab.close()


def test_what_was_learned_is_kept_while_the_data_stay(few_lessons, monkeypatch):
    lab = labs.field("ring", "learned", steps=3)
    taught, first = [], lab.learned[1]
    monkeypatch.setattr(lab, "_taught", lambda *given: taught.append(given) or first)
    for change in ({"steps": 4}, {"scheduler": "ddpm"}, {"denoiser": "exact"}, {"denoiser": "both"}):
        lab.controls.values = lab.controls.values | change
        assert lab.live.wait(60)
    assert not taught and lab.controls.message == ""
    lab.controls.values = lab.controls.values | {"shape": "moons"}
    assert lab.live.wait(60) and len(taught) == 1
    lab.close()


def test_training_is_dropped_when_a_newer_request_comes(monkeypatch):
    lab = labs.field("ring", steps=3)
    begun, lessons = threading.Event(), []

    def endless(*_):
        while True:
            lessons.append(None)
            begun.set()
            yield None

    module = importlib.import_module("course_lib.labs.field")  # labs.field is the function
    monkeypatch.setattr(module, "learn", endless)
    monkeypatch.setattr(module, "SHOWN_EVERY", 10**9)
    lab.controls.values = lab.controls.values | {"denoiser": "learned"}
    assert begun.wait(60)
    lab.controls.values = lab.controls.values | {"denoiser": "exact", "steps": 9}
    assert lab.live.wait(60) and lessons
    assert len(lab.plane.shown["labels"]) == 10 and lab.learned == (None, None)
    lab.close()


def test_the_walk_looks_whether_anybody_waits():
    looked = []

    def check():
        looked.append(None)
        if len(looked) == 5:
            raise Dropped

    with pytest.raises(Dropped):
        compute(Request(steps=30), check=check)
    assert len(looked) == 5


def test_without_widgets_there_are_five_moments_with_words():
    lab = labs.field("moons", steps=8)
    data = lab._repr_mimebundle_()
    assert "image/png" in data and "application/vnd.jupyter.widget-view+json" in data
    assert "moons" in lab.figure.alt and lab.figure.alt.startswith("5 moments")
    assert labs.field("moons", steps=1).figure.alt.startswith("2 moments")


def test_a_bad_start_stops_the_cell():
    with pytest.raises(CourseError, match="no shape"):
        labs.field("heart")

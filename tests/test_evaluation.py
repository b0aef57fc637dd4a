"""The measures against what must come out: on paper, in closed form, or from an oracle that knows the answers."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_lib.data import Pictures
from course_lib.denoiser import Denoiser
from course_lib.evaluation import (
    SLOTS, TIMES, oracle_features, frechet, held_out_error, obedience, oracle_accuracy, psnr, read, recognised,
    reconstruction_psnr, retrieval,
)
from course_lib.models import oracle_from
from course_lib.oracle import NOTHING, SURROUNDING_HEADS, THING_HEADS, Oracle, OracleSettings
from course_lib.picturebook import (
    KINDS, Scene, Thing, agree, by_place, caption, encode_scene, encode_stated, random_scene, render,
)
from course_lib.picturebook.labels import FIRST, SCENE_LENGTH, WIDTH
from course_lib.runtime import CourseError, load_weights
from course_lib.schedulers import SCHEDULES
from course_lib.vae import VAE, VAESettings

pytestmark = pytest.mark.usefixtures("one_thread")


# ------------------------------------------------------------------------------------------------- the pixel model

class Zeros(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x, t):
        return x * self.weight


PICTURES = Pictures(torch.randint(0, 256, (300, 3, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8),
                    ["noise"] * 300)


def test_a_network_of_zeros_gets_the_figures_that_follow_from_the_schedule():
    """With v = 0 the guess is alpha x, so its error is (alpha^2 - 1) x0 + alpha sigma eps."""
    schedule, power = SCHEDULES["cosine"], PICTURES.batch(slice(None)).square().mean().item()
    found = held_out_error(Denoiser(Zeros(), schedule, "v"), PICTURES, batch=100)
    for t in TIMES:
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        wanted = math.sqrt(sigma**4 * power + alpha**2 * sigma**2)
        assert found["rms"][str(t)] == pytest.approx(wanted, rel=0.01)
    assert found["loss"] == pytest.approx((1 + power) / 2, rel=0.01)  # the mean of alpha^2 eps^2 + sigma^2 x0^2
    assert found["rms_of_mean_page"] == pytest.approx(PICTURES.batch(slice(None)).std(dim=0).mean().item(), rel=0.01)
    assert found["pictures"] == 300


# ------------------------------------------------------------------------------------------------------- reading

def scenes_of(count: int, split: str = "all") -> list[Scene]:
    return [random_scene(seed, split) for seed in range(count)]


def encoded(scenes: list[Scene]) -> np.ndarray:
    return np.stack([encode_scene(scene) for scene in scenes])


def hide(places: np.ndarray, surroundings: np.ndarray) -> np.ndarray:
    """Answers (N, 3, 7) and (N, 4), written into the first pixels of grey pictures, for `Knowing` to read."""
    pictures = np.full((len(places), 64, 64, 3), 128, np.uint8)
    numbers = np.concatenate([surroundings, places.reshape(len(places), -1)], axis=1)
    pictures[:, 0, :numbers.shape[1], 0] = numbers + 1
    return pictures


def pictures_of(scenes: np.ndarray) -> np.ndarray:
    return hide(by_place(scenes), scenes[:, :FIRST])


class Knowing(nn.Module):
    """An oracle that is never wrong: its pictures carry the answers (`hide`). `sure` is how large its logits are."""

    def __init__(self, sure: float = 10.0):
        super().__init__()
        self.sure = nn.Parameter(torch.tensor(sure))

    def forward(self, x):
        numbers = ((x[:, 0, 0, :25] + 1) * 127.5).round().long() - 1
        hot = [self.sure * F.one_hot(numbers[:, j].clamp(min=0), size).float()
               for j, size in enumerate(SURROUNDING_HEADS.values())]
        places = numbers[:, FIRST:].unflatten(1, (3, 7))
        return hot, [self.sure * F.one_hot(places[..., j].clamp(min=0), size).float()
                     for j, size in enumerate(THING_HEADS.values())]


def from_left(scenes: np.ndarray) -> np.ndarray:
    """The same scenes with their things from left to right."""
    scenes = scenes.copy()
    a, b = scenes[:, FIRST:FIRST + WIDTH].copy(), scenes[:, FIRST + WIDTH:].copy()
    swap = (b[:, 0] != -1) & (a[:, 3] > b[:, 3])
    scenes[swap, FIRST:] = np.concatenate([b, a], axis=1)[swap]
    return scenes


def test_a_knowing_oracle_reads_every_scene_as_it_is():
    truth = encoded(scenes_of(150))
    reading = read(Knowing(), pictures_of(truth), batch=40)
    assert (reading.scenes == from_left(truth)).all() and reading.scenes.dtype == np.int8 and len(reading) == 150
    assert (reading.things == 1 + (truth[:, FIRST + WIDTH] != -1)).all()
    assert (np.isnan(reading.confidence) == (reading.scenes == -1)).all()
    four = math.exp(10) / (math.exp(10) + 3)  # a softmax over four values, three with logits of 0
    assert np.allclose(reading.confidence[:, 0], four, rtol=1e-5)


def test_a_thing_is_recognised_where_the_oracle_is_sure_of_one():
    scenes = encoded(scenes_of(8))
    scenes[:2, FIRST:] = -1  # two pages of nothing
    assert recognised(Knowing(), pictures_of(scenes)) == 0.75
    assert recognised(Knowing(sure=1.0), pictures_of(scenes)) == 0  # it sees them, but is not sure
    small = np.stack([render(Scene("day", "sea", "clear", "sun", (Thing("boat", "red", "large", "middle"),)), 32)] * 2)
    assert recognised(oracle_from(*load_weights("oracle"), torch.device("cpu")), small) == 1


def test_a_reading_in_words():
    sign, trees = Thing("sign", "white", "small", "right", text="T4"), Thing("tree", "green", "large", "left", count=2)
    scene = Scene("night", "snow", "clear", "moon", (sign, trees))
    hand = Scene("day", "sea", "rain", "nothing", (Thing("hand", "pink", "large", "middle", fingers=1),))
    reading = read(Knowing(), pictures_of(encoded([scene, hand])))
    assert reading.describe(0) == {"time": "night", "land": "snow", "weather": "clear", "sky": "moon",
                                   "left": "2 large green trees", "right": "small white sign, 'T4'"}
    assert reading.describe(1)["middle"] == "large pink hand, 1 finger" and "left" not in reading.describe(1)


def test_of_three_things_the_two_surest_are_kept_and_it_is_said():
    scene = encoded([Scene("day", "meadow", "clear", "sun", (Thing("cat", "red", "small", "left"),))])
    places = np.repeat(by_place(scene)[:, :1], 3, axis=1)  # a cat everywhere

    class Doubtful(Knowing):
        def forward(self, x):
            surroundings, things = super().forward(x)
            things[0][:, 1, NOTHING] = 9.0  # it is not sure of the one in the middle
            return surroundings, things

    reading = read(Doubtful(), hide(places, scene[:, :FIRST]))
    assert reading.things.tolist() == [3] and set(reading.describe(0)) >= {"left", "right", "besides"}
    assert "middle" not in reading.describe(0)
    assert reading.confidence[0, FIRST] > reading.confidence[0, 0] - 0.01
    stated = encode_stated({"thing0.kind": "cat", "thing1.kind": "cat"})[None]
    assert obedience(stated, reading.scenes).exact.all()  # the two that are kept would do,
    assert not obedience(stated, reading.scenes, reading.things).exact.any()  # but the picture shows three


def test_a_picture_of_nothing_is_read_as_nothing():
    surroundings, places = np.zeros((1, 4), int), np.full((1, 3, 7), -1)
    places[..., 0] = NOTHING
    reading = read(Knowing(), hide(places, surroundings))
    assert reading.things.tolist() == [0] and (reading.scenes[0, FIRST:] == -1).all()
    assert set(reading.describe(0)) == {"time", "land", "weather", "sky"}


def test_a_real_oracle_reads_too_and_refuses_other_shapes():
    oracle = Oracle(OracleSettings(trunk=(8, 8, 16), hidden=16)).eval()
    reading = read(oracle, np.zeros((3, 64, 64, 3), np.uint8), batch=2)
    chances = torch.softmax(oracle(-torch.ones(1, 3, 64, 64))[0][0], dim=-1)
    assert reading.confidence[:, 0] == pytest.approx(chances.max().item(), rel=1e-4)
    for shape in ((3, 32, 32, 3), (3, 3, 64, 64), (64, 64, 3), (0, 64, 64, 3)):
        with pytest.raises(CourseError, match="uint8"):
            read(oracle, np.zeros(shape, np.uint8))
    with pytest.raises(CourseError, match="uint8"):
        read(oracle, np.zeros((1, 64, 64, 3), np.float32))


# ----------------------------------------------------------------------------------------------------- obedience

SCENES = scenes_of(400)
TRUTH = encoded(SCENES)
STATED = np.stack([encode_stated(caption(scene, 1).stated) for scene in SCENES])


def right(found, i: int, slot: str, which: int = 0) -> int:
    return int(found.right[i, [j for j, name in enumerate(SLOTS) if name == slot][which]])


def test_every_scene_obeys_its_own_caption():
    for scenes in (TRUTH, from_left(TRUTH)):
        found = obedience(STATED, scenes)
        assert found.exact.all() and found.attribute_accuracy == 1
        assert all(share == 1 for share in found.per_attribute.values())
    assert found.times_stated["number"] == 400 and 0 < found.times_stated["text"] < 100


def test_exact_is_what_agree_says_also_of_pictures_of_something_close():
    """Against every scene that differs by little: other captions' scenes, and the own one with a number changed."""
    rng, changed = np.random.default_rng(0), TRUTH.copy()
    rows, columns = np.arange(400), rng.integers(0, SCENE_LENGTH, 400)
    there = changed[rows, columns] != -1
    changed[rows[there], columns[there]] ^= 1
    others = TRUTH[rng.permutation(400)]
    for scenes in (TRUTH, changed, others, from_left(changed)):
        assert (obedience(STATED, scenes).exact == agree(STATED, scenes).diagonal()).all()
    assert 100 < obedience(STATED, changed).exact.sum() < 350  # both answers occur
    sparse = STATED.copy()  # hardly anything said but the kinds: many strangers agree
    sparse[:, [*range(4), *range(5, 12), *range(13, 20)]] = -1
    every = agree(sparse[:50], TRUTH)
    assert all((obedience(sparse[[i] * 400], TRUTH).exact == every[i]).all() for i in range(50)) and every.sum() > 500


def one(stated: dict[str, str], *things: Thing, **surroundings: str):
    scene = Scene(**{"time": "day", "land": "meadow", "weather": "clear", "sky": "sun"} | surroundings, things=things)
    return obedience(encode_stated(stated)[None], encode_scene(scene)[None])


HOUSE, CAT = Thing("house", "red", "small", "left"), Thing("cat", "blue", "large", "right")
TOLD = {"thing0.kind": "cat", "thing0.colour": "blue", "thing1.kind": "house", "thing1.colour": "red"}


def test_things_may_come_in_either_order_and_what_is_wrong_is_named():
    assert one(TOLD, HOUSE, CAT).exact.all() and one(TOLD, CAT, HOUSE).exact.all()
    swapped = one(TOLD, Thing("house", "blue", "small", "left"), Thing("cat", "red", "large", "right"))
    assert [right(swapped, 0, name, i) for name in ("kind", "colour") for i in (0, 1)] == [1, 1, 0, 0]
    assert swapped.attribute_accuracy == 0.5 and swapped.per_attribute["colour"] == 0


def test_a_thing_too_few_or_too_many_is_not_exact():
    alone = one(TOLD, HOUSE)
    assert [right(alone, 0, "kind", i) for i in (0, 1)] == [0, 1] and right(alone, 0, "number") == 0
    assert alone.attribute_accuracy == 0.5  # the number is not among what a caption says in so many words
    crowd = one({"thing0.kind": "cat"}, HOUSE, CAT)
    assert right(crowd, 0, "kind") == 1 and not crowd.exact.any() and crowd.attribute_accuracy == 1


def test_relation_text_and_what_is_not_stated():
    told = {"thing0.kind": "cat", "thing1.kind": "house", "relation": "left", "time": "night"}
    found = one(told, HOUSE, CAT)  # the cat is to the right, and it is day
    assert right(found, 0, "relation") == 0 and right(found, 0, "time") == 0 and right(found, 0, "land") == -1
    assert right(one(told | {"relation": "right"}, HOUSE, CAT), 0, "relation") == 1
    assert right(one(told, CAT), 0, "relation") == 0  # one thing alone is to the left of nothing
    sign = {"thing0.kind": "sign", "thing0.text": "T4"}
    for text, is_right in (("T4", 1), ("T7", 0), ("44", 0), ("4T", 0)):
        assert right(one(sign, Thing("sign", "red", "small", "left", text=text)), 0, "text") == is_right
    assert right(one(sign, HOUSE), 0, "text") == 0 and right(one(TOLD, HOUSE), 0, "text") == -1
    assert found.per_attribute["text"] is None and found.times_stated["text"] == 0


# ----------------------------------------------------------------------------------------------- oracle's accuracy

def as_pages(scenes: np.ndarray, pictures: np.ndarray) -> dict:
    return {"pictures": torch.from_numpy(pictures).permute(0, 3, 1, 2), "scenes": torch.from_numpy(scenes)}


def test_a_knowing_oracle_has_no_confusions():
    found = oracle_accuracy(Knowing(), as_pages(TRUTH, pictures_of(TRUTH)))
    assert set(found["accuracy"].values()) == {1.0} and not found["confusions"] and found["pages"] == 400
    assert set(found["accuracy"]) == {"time", "land", "weather", "sky", "kind", "colour", "size", "place", "count",
                                      "fingers", "character", "text", "number", "scene"}


def test_mistakes_of_the_oracle_are_counted_and_named():
    """The pictures show every rainbow as nothing, and every cat is left out."""
    shown, rainbow, nothing, cat = TRUTH.copy(), 2, 3, KINDS.index("cat")
    shown[shown[:, 3] == rainbow, 3] = nothing
    places = by_place(shown)
    cats = places[..., 0] == cat
    places[cats] = -1
    places[cats, 0] = NOTHING
    found = oracle_accuracy(Knowing(), as_pages(TRUTH, hide(places, shown[:, :FIRST])))
    rainbows = int((TRUTH[:, 3] == rainbow).sum())
    assert found["accuracy"]["sky"] == pytest.approx(1 - rainbows / 400, abs=1e-4)
    assert found["confusions"]["sky"] == [{"true": "rainbow", "read": "nothing", "times": rainbows, "of": rainbows}]
    share = 1 - cats.sum() / found["things"]
    for name in ("kind", "colour", "size", "place"):
        assert found["accuracy"][name] == pytest.approx(share, abs=1e-4)
    assert found["confusions"]["kind"] == [{"true": "cat", "read": "nothing", "times": cats.sum(), "of": cats.sum()}]
    assert found["accuracy"]["number"] == pytest.approx(1 - cats.any(axis=1).mean(), abs=1e-4)
    assert found["accuracy"]["time"] == found["accuracy"]["text"] == 1 and "time" not in found["confusions"]
    spoiled = cats.any(axis=1) | (TRUTH[:, 3] == rainbow)
    assert found["accuracy"]["scene"] == pytest.approx(1 - spoiled.mean(), abs=1e-4)


# ------------------------------------------------------------------------------------------------ Frechet distance

def with_moments(count: int, mean: torch.Tensor, cov: torch.Tensor, seed: int) -> torch.Tensor:
    """Numbers (count, F) whose sample mean and covariance are exactly these."""
    x = torch.randn(count, len(mean), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = x - x.mean(dim=0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(torch.cov(x.T)), x.T, upper=False).T
    return white @ torch.linalg.cholesky(cov).T + mean


def test_the_frechet_distance_of_gaussians_in_closed_form():
    """Where the covariances commute it is |m - n|^2 + the sum of (sqrt(a) - sqrt(b))^2 over their eigenvalues."""
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)).Q
    a, b = torch.tensor([4.0, 1, 0.25, 9, 2]).double(), torch.tensor([1.0, 1, 4, 0.01, 3]).double()
    m, n = torch.arange(5).double(), torch.tensor([0.0, 1, 2, 3, 6]).double()
    wanted = 4 + (a.sqrt() - b.sqrt()).square().sum().item()
    sets = with_moments(300, m, turn * a @ turn.T, 2), with_moments(200, n, turn * b @ turn.T, 3)
    assert frechet(*sets) == pytest.approx(wanted, rel=1e-9) == frechet(*reversed(sets))
    assert frechet(sets[0], sets[0]) == pytest.approx(0, abs=1e-9)
    assert frechet(sets[0], sets[0] + 1) == pytest.approx(5, rel=1e-9)


def test_the_frechet_distance_where_the_covariances_do_not_commute():
    """In two dimensions the trace of sqrt(A B) is sqrt(trace(A B) + 2 sqrt(det(A B)))."""
    a = torch.tensor([[2.0, 1.5], [1.5, 3.0]]).double()
    b = torch.tensor([[5.0, -1.0], [-1.0, 0.5]]).double()
    product, zero = a @ b, torch.zeros(2).double()
    root = (product.trace() + 2 * torch.linalg.det(product).sqrt()).sqrt()
    wanted = (a.trace() + b.trace() - 2 * root).item()
    assert frechet(with_moments(50, zero, a, 4), with_moments(60, zero, b, 5)) == pytest.approx(wanted, rel=1e-9)


def test_the_frechet_distance_of_fewer_pictures_than_features_is_finite():
    x = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    assert 0 <= frechet(x, x) < 1e-6 and math.isfinite(frechet(x, x + 1))


def test_features_are_fixed_directions_of_what_the_oracle_found():
    oracle = Oracle(OracleSettings(trunk=(8, 16, 32), hidden=16)).eval()
    pictures = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)
    found = oracle_features(oracle, pictures, batch=2)
    assert found.shape == (5, 64) and found.dtype == torch.float64
    assert torch.equal(found, oracle_features(oracle, pictures, batch=2))
    with torch.inference_mode():
        whole = oracle.features(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 127.5 - 1).flatten(1).double()
    # Directions at right angles keep every distance or shorten it, and all lengths together about by their share.
    lengths = torch.cdist(found, found).square().sum() / torch.cdist(whole, whole).square().sum()
    assert (torch.cdist(found, found) <= torch.cdist(whole, whole) + 1e-6).all() and 0.2 < lengths < 0.9


# --------------------------------------------------------------------------------------------- PSNR and retrieval

def test_psnr_of_known_errors():
    picture = np.full((2, 8, 8, 3), 100, np.uint8)
    copy = picture.copy()
    copy[0] += 10  # off by 10 everywhere
    copy[1, :4] += 20  # by 20 in a half
    assert psnr(picture, copy) == pytest.approx([20 * math.log10(25.5), 10 * math.log10(255**2 / 200)])
    assert psnr(copy, picture) == pytest.approx(psnr(picture, copy))  # no wrap-around of uint8
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert psnr(picture, picture)[0] == pytest.approx(10 * math.log10(255**2 * 192))


def test_reconstruction_is_measured_as_it_is_shown():
    torch.manual_seed(0)
    vae = VAE(VAESettings(encoder=16, decoder=(16, 16), blocks=1)).eval()
    pages = {"pictures": torch.randint(0, 256, (3, 3, 64, 64)).to(torch.uint8)}
    found = reconstruction_psnr(vae, pages)
    with torch.inference_mode():
        x = pages["pictures"].float() / 127.5 - 1
        rounded = ((vae.decode(vae.encode(x)).clamp(-1, 1) + 1) * 127.5).round()
    errors = (rounded - pages["pictures"]).square().mean(dim=(1, 2, 3))
    assert found["vae_psnr_db"] == pytest.approx((10 * torch.log10(255**2 / errors)).mean().item(), abs=0.01)
    assert found["of_mean_error_db"] == pytest.approx(10 * math.log10(255**2 / errors.mean().item()), abs=0.01)
    assert found["worst_db"] <= found["of_mean_error_db"] <= found["vae_psnr_db"] and found["pages"] == 3


class Places(nn.Module):
    """A space in which caption and picture number i both lie on axis i, unless `swapped` says which other."""

    def __init__(self, count: int, swapped: dict[int, int]):
        super().__init__()
        self.axes = nn.Parameter(torch.eye(count))
        self.swapped = swapped

    def embed_text(self, ids):
        return self.axes[[self.swapped.get(int(i), int(i)) for i in ids[:, 0]]]

    def embed_pictures(self, x):
        return self.axes[((x[:, 0, 0, 0] + 1) * 127.5).round().long()]


def test_retrieval_counts_both_directions_and_forgives_what_is_as_true():
    cat, dog = (encode_stated({"thing0.kind": kind}) for kind in ("cat", "car"))
    scenes = [Scene("day", "meadow", "clear", "sun", (Thing(kind, colour, "small", "left"),))
              for kind, colour in (("cat", "red"), ("cat", "blue"), ("car", "red"), ("car", "pink"))]
    stated = torch.from_numpy(np.stack([cat, cat, dog, dog]))[:, None]
    pages = {"tokens": torch.arange(4)[:, None, None].to(torch.uint8), "stated": stated,
             "scenes": torch.from_numpy(encoded(scenes)),
             "pictures": torch.arange(4).to(torch.uint8)[:, None, None, None].expand(4, 3, 64, 64)}
    found = retrieval(Places(4, {}), pages)
    assert found["retrieval_at_1"] == found["text_to_picture"] == found["picture_to_text"] == 1
    assert found["pairs"] == 4 and found["by_chance"] == 0.5
    assert retrieval(Places(4, {0: 1, 1: 0}), pages)["retrieval_at_1"] == 1  # one cat is as good as the other
    # Caption 0 (a cat) now lies with the first car: wrong. That car's nearest caption is then number 0, the first of
    # two as near, and no caption is near picture 0, whose nearest is the first of four as far: a cat's.
    found = retrieval(Places(4, {0: 2}), pages)
    assert found["text_to_picture"] == 0.75 and found["picture_to_text"] == 0.75 == found["retrieval_at_1"]
    assert retrieval(Places(4, {0: 1, 1: 0}), pages, count=2)["pairs"] == 2

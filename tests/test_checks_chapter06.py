"""Chapter 06's checks know a right answer, the usual mistakes and an unfilled stub when they see one."""

import math

import pytest
import torch
from torch.nn import functional as F

from course_lib.checks import chapter06
from course_lib.text import contrastive_loss
from course_lib.tokenizer import LENGTH, PADDING, read_prompt, tokenize

pytestmark = pytest.mark.usefixtures("one_thread")


def stub(*_):
    raise NotImplementedError


def says(verdict, hint: str) -> bool:
    return verdict.status == "failed" and hint in verdict.message


@pytest.mark.parametrize("check", [chapter06.cosines, chapter06.contrast])
def test_an_unfilled_stub_is_not_wrong(check):
    for unfilled in (stub, lambda *_: None, None, ...):
        assert check(unfilled).status == "not tried"


def test_an_unfilled_answer_is_not_wrong(shelf):
    assert chapter06.blind_loss(...).status == "not tried"
    assert chapter06.find(..., *shelf).status == "not tried"
    assert chapter06.temperature(..., torch.eye(3)).status == "not tried"
    assert chapter06.opposites(..., ...).status == "not tried"


def test_blind_loss():
    assert chapter06.blind_loss(math.log(8)) and chapter06.blind_loss(2.08)


@pytest.mark.parametrize("wrong, hint", [
    (1 / 8, "chance of the right picture"), (-math.log(8), "sign"), (3, "base 2"), (math.log10(8), "base 10"),
    (math.log(64), "the mean, not the sum"), (0, "knows everything"), (5, "not it"), ("eight", "is a number")])
def test_blind_loss_wrong(wrong, hint):
    assert says(chapter06.blind_loss(wrong), hint)


def test_cosines():
    assert chapter06.cosines(lambda a, b: F.normalize(a, dim=1) @ F.normalize(b, dim=1).T)
    assert chapter06.cosines(lambda a, b: F.cosine_similarity(a[:, None], b[None], dim=2))


@pytest.mark.parametrize("wrong, hint", [
    (lambda a, b: a @ b.T, "plain products"),
    (lambda a, b: F.normalize(a, dim=1) @ b.T, "one of the two"),
    (lambda a, b: (a / a.square().sum(1, keepdim=True)) @ (b / b.square().sum(1, keepdim=True)).T, "squares"),
    (lambda a, b: (a / a.norm()) @ (b / b.norm()).T, "a length of its own"),
    (lambda a, b: F.normalize(a, dim=0) @ F.normalize(b, dim=0).T, "a length of its own"),
    (lambda a, b: F.normalize(b, dim=1) @ F.normalize(a, dim=1).T, "wrong way round"),
    (torch.cdist, "distances"),
    (lambda a, b: 1 - F.normalize(a, dim=1) @ F.normalize(b, dim=1).T, "differ"),
    (lambda a, b: 0.5, "torch tensor"),
    (lambda a, b: a @ b, "stopped with RuntimeError"),
])
def test_cosines_wrong(wrong, hint):
    assert says(chapter06.cosines(wrong), hint)


def game(rows=1.0, columns=1.0, heat=lambda table, temperature: table / temperature, reduction="mean"):
    def loss(table, temperature):
        right, hot = torch.arange(len(table)), heat(table, temperature)
        return (rows * F.cross_entropy(hot, right, reduction=reduction)
                + columns * F.cross_entropy(hot.T, right, reduction=reduction)) / 2

    return loss


def plain_chances(table, temperature):
    hot = table / temperature
    return -(torch.softmax(hot, 1).diagonal() + torch.softmax(hot, 0).diagonal()).mean() / 2


def test_contrast():
    assert chapter06.contrast(game())
    assert chapter06.contrast(lambda table, temperature: contrastive_loss(table / temperature))


@pytest.mark.parametrize("wrong, hint", [
    (game(heat=lambda table, temperature: table * temperature), "multiply"),
    (game(heat=lambda table, temperature: table), "temperature is missing"),
    (game(rows=2, columns=0), "Only the captions"),
    (game(rows=0, columns=2), "Only the pictures"),
    (game(rows=2, columns=2), "divide by 2"),
    (game(reduction="sum"), "sum over the pairs"),
    (game(rows=-1, columns=-1), "sign"),
    (game(reduction="none"), "for each pair"),
    (plain_chances, "logarithm of the chances"),
    (lambda table, temperature: -(table / temperature).diagonal().mean(), "only pull"),
    (lambda table, temperature: game()(table, temperature).detach(), "no gradient"),
    (lambda table, temperature: game()(table, temperature).item(), "torch tensor"),
    (game(rows=1.5), "should be"),
])
def test_contrast_wrong(wrong, hint):
    assert says(chapter06.contrast(wrong), hint)


class Shelf:
    """A space of three axes, red, boat and night; page i is the i-th of a few kinds of pages, over and over."""

    WORDS = ("red", "boat", "night")

    def embed_text(self, ids):
        [row] = ids.tolist()
        wanted = [read_prompt(word).ids[1] for word in self.WORDS]
        return F.normalize(torch.tensor([[float(number in row) for number in wanted]]) + 1e-3, dim=1)

    def embed_pictures(self, x):
        return F.normalize(x.mean(dim=(2, 3)) + 1 + 1e-3, dim=1)  # as light as the channel says


@pytest.fixture
def shelf():
    pictures = torch.zeros(200, 3, 64, 64, dtype=torch.uint8)
    pictures[:, 0], pictures[50, 1], pictures[50, 2] = 255, 255, 0
    ids = tokenize(["a red house"])
    tokens = F.pad(ids, (0, LENGTH - ids.shape[1]), value=PADDING).to(torch.uint8).expand(200, 4, LENGTH)
    return Shelf(), {"pictures": pictures, "tokens": tokens}


def test_find(shelf):
    verdict = chapter06.find("red boat", *shelf)
    assert verdict and "with 2 words" in verdict.message


@pytest.mark.parametrize("wrong, hint", [
    ("red", "which the book says: a red house"), ("a red boat in the middle at night", "8 words"),
    ("shiny red", "does not know 'shiny'"), ("submarine", "none of these"), (7, "quotation marks")])
def test_find_wrong(wrong, hint, shelf):
    assert says(chapter06.find(wrong, *shelf), hint)


@pytest.fixture
def table():
    """Cosines of a space that is mostly right: the right pair leads by a little, with a few mistakes."""
    source = torch.Generator().manual_seed(0)
    return 0.15 * torch.randn(200, 200, generator=source) + 0.5 * torch.eye(200)


def test_temperature(table):
    heats = torch.logspace(-3, 0, 60).tolist()
    best = min(heats, key=lambda heat: contrastive_loss(table / heat).item())
    assert 0.01 < best < 0.5  # there is something to be found
    assert chapter06.temperature(best, table) and chapter06.temperature(1.1 * best, table)
    assert says(chapter06.temperature(1 / best, table), "the scale")
    assert says(chapter06.temperature(contrastive_loss(table / best).item(), table), "lowest loss itself")
    assert says(chapter06.temperature(3 * best, table), "a smaller temperature")
    assert says(chapter06.temperature(best / 3, table), "a larger temperature")
    for wrong in (0, -1, math.nan):
        assert says(chapter06.temperature(wrong, table), "above 0")


def test_opposites():
    verdict = chapter06.opposites("a boat at night", "a boat, but never at night")
    assert verdict and "'but', 'never'" in verdict.message
    assert chapter06.opposites("a house", "not a house")


@pytest.mark.parametrize("one, other, hint", [
    ("a red boat", "a red boat", "same sentence twice"),
    ("a red boat", "A red boat!", "nothing that counts"),
    ("a red boat", "a scarlet boat", "'red', 'scarlet'"),
    ("a boat by day", "a boat at night", "can tell these apart"),
    ("a shiny boat", "a boat", "'shiny'"),
    ("never", "a boat", "no word that the network knows"),
    ("a boat", 3, "quotation marks"),
])
def test_opposites_wrong(one, other, hint):
    assert says(chapter06.opposites(one, other), hint)

"""Editing by attention: weights of words, prompts in between, and one picture's attention in another."""

import math
from dataclasses import replace

import pytest
import torch
from small_models import random_weights, small_text_to_image

from course_lib.attention import attention_shares
from course_lib.denoiser import Denoiser
from course_lib.editing import (
    align, blend, check_emphasis, check_emphasised, emphasise, inject, with_mix, without_reading,
)
from course_lib.layers import Attention, Cond
from course_lib.runtime import CourseError
from course_lib.schedulers import find_schedule
from course_lib.unet import UNet, UNetSettings

pytestmark = pytest.mark.usefixtures("one_thread")
PROMPT, OTHER = "a small red house at night", "a small blue boat at night"


def draw(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def layer() -> Attention:
    return random_weights(Attention(64, 24)).double()


@pytest.fixture(scope="module")
def model():
    return small_text_to_image()


# ------------------------------------------------------------------------------------------------------ emphasis

def test_a_weight_multiplies_a_words_share_before_the_sum(layer):
    x, words = draw(1, 64, 3, 4).double(), draw(1, 5, 24).double()
    weights = torch.tensor([[1.0, 3.0, 1.0, 0.25, 0.0]])
    plain, weighed = attention_shares(layer, x, words), attention_shares(layer, x, words, weights)
    wanted = plain * torch.cat([torch.ones(12), weights[0]])
    torch.testing.assert_close(weighed, wanted / wanted.sum(dim=3, keepdim=True))
    mixed = weighed @ layer.look(x, words)[2]
    again = x + layer.out(mixed.transpose(2, 3).reshape(1, 64, 3, 4))
    torch.testing.assert_close(layer(x, words, weights), again)


def test_weights_of_one_and_nothing_are_what_the_mask_says(layer):
    x, words, mask = draw(2, 64, 3, 4).double(), draw(2, 5, 24).double(), torch.tensor([[1, 1, 1, 0, 0], [1] * 5]) > 0
    torch.testing.assert_close(layer(x, words, mask.float()), layer(x, words, mask))


def test_emphasis_finds_its_words_in_every_prompt(model):
    prompts = ["a red house and a Red hot-air balloon", "red"]
    cond = emphasise(model.cond(prompts), prompts, {"RED": 3, "hot-air": 0.5, "a": 0})
    assert cond.mask.tolist() == [[1, 0, 3, 1, 1, 0, 3, 0.5, 1, 1], [1, 3, 1] + [0] * 7]
    assert torch.equal(cond.words, model.cond(prompts).words)


@pytest.mark.parametrize("reading", [0, 2])
def test_a_network_that_reads_again_takes_weights_too(reading):
    network = random_weights(UNet(UNetSettings(4, 2, (32,), (True,), 32, 32, reading)))
    mask = torch.tensor([[1, 1, 0]]) > 0
    cond = Cond(draw(1, 3, 32), mask, draw(1, 32))
    x, t = draw(1, 4, 8, 8), torch.tensor([0.5])
    torch.testing.assert_close(network(x, t, cond._replace(mask=mask.float())), network(x, t, cond))
    louder = network(x, t, cond._replace(mask=mask * torch.tensor([[1.0, 9.0, 1.0]])))
    assert (louder - network(x, t, cond)).abs().max() > 1e-3


@pytest.mark.parametrize("wrong, words", [
    ({"red": -1}, "emphasis of 'red' must be a number from 0 to 100"), ({"red": math.nan}, "emphasis of 'red'"),
    ({"red": math.inf}, "emphasis"), ({"red": "2"}, "emphasis of 'red'"), ({"red": True}, "emphasis"),
    ({"red": None}, "emphasis"), (["red"], "such as"), ("red", "such as"), ({2: 2}, "such as")])
def test_an_emphasis_that_is_none_gets_one_sentence(wrong, words):
    with pytest.raises(CourseError, match=words) as caught:
        check_emphasis(wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", ["green", "", "teal", "red green"])
def test_a_word_that_is_not_there_is_named(word):
    check_emphasised({"red": 2, "red house": 2}, ["a red house"])
    with pytest.raises(CourseError, match=f"no '{word}' to emphasise in the prompt: choose from a, house, red"):
        check_emphasised({word: 2}, ["a red house"])


# ------------------------------------------------------------------------------------------------ between prompts

def test_a_blend_begins_with_one_prompt_and_ends_with_the_other(model):
    a, b, _ = (Cond(*part) for part in zip(*(part.chunk(3) for part in model.cond(
        [PROMPT, "a small cat", "a red house on the left at night in the rain"]))))
    first, last, middle = (blend(a, b, torch.tensor([share])) for share in (0.0, 1.0, 0.5))
    for end, cond in ((first, a), (last, b)):
        seen = cond.mask[0]
        assert torch.equal(end.mask, cond.mask.float()) and torch.equal(end.pooled, cond.pooled)
        assert torch.equal(end.words[:, seen], cond.words[:, seen])
    assert middle.mask[0].tolist() == [1] * 5 + [0.5] * 3 + [0] * (middle.mask.shape[1] - 8)
    torch.testing.assert_close(middle.words[:, :5], (a.words + b.words)[:, :5] / 2)
    torch.testing.assert_close(middle.words[:, 5:8], a.words[:, 5:8])  # has no partner: fades, but does not change
    twice = [Cond(*(part.expand(2, *part.shape[1:]) for part in cond)) for cond in (a, b)]
    rows = blend(*twice, torch.tensor([0, 0.5]))
    torch.testing.assert_close(rows.words[1:], middle.words)
    torch.testing.assert_close(rows.words[:1], first.words)


# ----------------------------------------------------------------------------------------------------- injection

@pytest.mark.parametrize("prompt, other, found", [
    ("a red house", "a blue house", [0, 1, 2, 3, 4]),
    ("a red house", "boat at sea", [0, 1, 2, 3, 4]),  # as many words: one by one
    ("a red house", "a house", [0, 1, 3, 4]),
    ("a house at night", "a red house at night", [0, 1, None, 2, 3, 4, 5]),
    ("a red house at night", "a blue castle with clouds at night", [0, 1, None, None, None, None, 4, 5, 6]),
    ("", "a house", [0, None, None, 1]),
    ("a teal house", "a red house", [0, 1, None, 2, 3]),  # the model never read teal
])
def test_words_find_the_words_whose_place_they_take(prompt, other, found):
    assert align(prompt, other) == found


def test_another_mix_leaves_the_network_as_it_is_and_shares_its_weights(model):
    calls = []

    def mix(q, k, v, seen):
        calls.append(q.shape[0])
        return torch.zeros_like(q)

    x, cond = draw(1, 4, 16, 16), model.cond([PROMPT])
    before, silent = model.denoise(x, 0.5, cond), with_mix(model.denoise, mix)
    assert (silent(x, 0.5, cond) - before).abs().max() > 1e-3
    layers = sum(isinstance(layer, Attention) for layer in model.denoise.network.modules())
    assert calls == [1] * layers > []
    assert torch.equal(model.denoise(x, 0.5, cond), before) and len(calls) == layers
    for mine, theirs in zip(silent.network.parameters(), model.denoise.network.parameters()):
        assert mine is theirs


def test_without_reading_the_words_steer_as_the_encoder_gives_them(model):
    x, cond, network = draw(1, 4, 16, 16), model.cond([PROMPT]), model.denoise.network
    assert torch.equal(without_reading(model.denoise)(x, 0.5, cond), model.denoise(x, 0.5, cond))  # it has none
    reads = random_weights(UNet(replace(network.settings, reading=2)))
    reads.load_state_dict(network.state_dict(), strict=False)
    reading = replace(model.denoise, network=reads)
    assert (reading(x, 0.5, cond) - model.denoise(x, 0.5, cond)).abs().max() > 1e-3
    assert torch.equal(without_reading(reading)(x, 0.5, cond), model.denoise(x, 0.5, cond))
    assert len(reads.reading) == 2


def by_hand(layer: Attention, x, words, mask, sources):
    """What the second picture should get: row by row, the shares of the first put in the place of its own."""
    shares = attention_shares(layer, x, words, mask)
    mine, count = shares[1].clone(), x.shape[2] * x.shape[3]
    for j, i in enumerate(sources):
        if i is not None:
            mine[:, :, count + j] = shares[0, :, :, count + i]
    mine[:, :, :count] = shares[0, :, :, :count]
    return (mine / mine.sum(dim=2, keepdim=True)) @ layer.look(x, words, mask)[2][1]


@pytest.mark.parametrize("sources", [[0, 1, 2, 3], [0, None, 1, 3]])
def test_the_second_picture_takes_the_first_ones_attention(layer, sources):
    x, words, mask = draw(4, 64, 3, 4).double(), draw(4, 4, 24).double(), torch.ones(4, 4, dtype=torch.bool)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x, t, cond):
            return self.layer(x, cond.words, cond.mask)

    denoise, cond = Denoiser(Net(), find_schedule("flow"), "x0"), Cond(words, mask, words[:, 0])
    plain, injected = (each.network(x, None, cond) for each in (denoise, inject(denoise, sources)))
    others = [0, 2, 3]  # the first picture, and what guides without the prompts
    torch.testing.assert_close(injected[others], plain[others])
    mixed = by_hand(layer, x, words, mask, sources).transpose(1, 2)  # heads, channels of each, places
    wanted = x[1:2] + layer.out(mixed.reshape(1, 64, 3, 4))
    torch.testing.assert_close(injected[1:2], wanted)
    assert (injected[1] - plain[1]).abs().max() > 1e-4


def test_a_prompts_own_attention_changes_nothing(model):
    cond, x = model.cond([PROMPT, PROMPT]), draw(1, 4, 16, 16).expand(2, -1, -1, -1)
    same = inject(model.denoise, align(PROMPT, PROMPT))
    torch.testing.assert_close(same(x, 0.6, cond), model.denoise(x, 0.6, cond), rtol=1e-4, atol=1e-5)
    cond = model.cond([PROMPT, OTHER])
    other = inject(model.denoise, align(PROMPT, OTHER))(x, 0.6, cond)
    plain = model.denoise(x, 0.6, cond)
    torch.testing.assert_close(other[0], plain[0], rtol=1e-4, atol=1e-5)
    assert (other[1] - plain[1]).abs().max() > 1e-3

"""Where the denoiser looks: the shares against a by-hand computation and against what the layer itself does."""

import math

import pytest
import torch
from torch.nn import functional as F

from course_lib.attention import attention_maps, attention_shares, layer_maps
from course_lib.denoiser import Denoiser
from course_lib.layers import Attention, Cond
from course_lib.runtime import CourseError
from course_lib.schedulers import find_schedule
from course_lib.unet import UNet, UNetSettings

MASK = torch.tensor([[True, True, True, False, False], [True, True, True, True, True]])


def lively(module: torch.nn.Module) -> torch.nn.Module:
    """Random weights everywhere, the layers that start at zero included, strong enough to have favourites."""
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=source) / math.sqrt(parameter[0].numel()))
    return module.eval()


def features(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def model() -> tuple[Denoiser, torch.Tensor, Cond]:
    network = lively(UNet(UNetSettings(picture=4, channels=(32, 64), attention=(True, True), words=24, pooled=12)))
    return Denoiser(network, find_schedule("cosine")), features(2, 4, 16, 24), Cond(features(2, 5, 24), MASK,
                                                                                    features(2, 12))


@pytest.mark.parametrize("mask", [None, MASK])
def test_the_shares_are_the_formula_and_sum_to_one(mask):
    """exp(q k / sqrt(d)) over its sum, one query, one head and one key at a time."""
    layer, x, words = lively(Attention(64, 24)).double(), features(2, 64, 3, 4).double(), features(2, 5, 24).double()
    found = attention_shares(layer, x, words, mask)
    assert found.shape == (2, 2, 12, 12 + 5)
    torch.testing.assert_close(found.sum(dim=3), torch.ones(2, 2, 12).double())
    places = F.conv2d(layer.norm(x), layer.to_qkv.weight, layer.to_qkv.bias)
    keys_of_words = F.linear(words, layer.words_to_kv.weight, layer.words_to_kv.bias)
    for n, head, query in ((0, 0, 0), (0, 1, 7), (1, 0, 11), (1, 1, 4)):
        part = slice(32 * head, 32 * head + 32)
        q = places[n, :64][part, query // 4, query % 4]
        keys = [places[n, 64:128][part, place // 4, place % 4] for place in range(12)]
        keys += [keys_of_words[n, i, :64][part] for i in range(5)]
        strength = torch.stack([(q @ key / math.sqrt(32)).exp() for key in keys])
        if mask is not None:
            strength[12:] *= mask[n]
        torch.testing.assert_close(found[n, head, query], strength / strength.sum())


@pytest.mark.parametrize("mask", [None, MASK])
def test_the_shares_give_what_the_layer_gives(mask):
    layer, x, words = lively(Attention(64, 24)), features(2, 64, 3, 4), features(2, 5, 24)
    mixed = attention_shares(layer, x, words, mask) @ layer.look(x, words, mask)[2]
    again = x + layer.out(mixed.transpose(2, 3).reshape(2, 64, 3, 4))
    torch.testing.assert_close(again, layer(x, words, mask), rtol=1e-4, atol=1e-5)
    without = attention_shares(layer, x)
    assert without.shape == (2, 2, 12, 12)
    torch.testing.assert_close(without.sum(dim=3), torch.ones(2, 2, 12))


def test_the_maps_are_the_mean_over_heads_and_layers(model):
    layers = layer_maps(*model[:2], 0.5, model[2])
    assert list(layers) == ["down.0.attention", "down.1.attention", "middle.attention", "up.0.attention",
                            "up.1.attention"]
    assert [tuple(maps.shape) for maps in layers.values()] == [
        (2, 1, 5, 8, 12), (2, 2, 5, 4, 6), (2, 2, 5, 4, 6), (2, 2, 5, 4, 6), (2, 1, 5, 8, 12)]
    fine = attention_maps(*model[:2], 0.5, model[2], sides=(8,))
    torch.testing.assert_close(fine, (layers["down.0.attention"][:, 0] + layers["up.1.attention"][:, 0]) / 2)
    coarse = attention_maps(*model[:2], 0.5, model[2], sides=(4,))
    assert coarse.shape == (2, 5, 4, 6)
    every = attention_maps(*model[:2], 0.5, model[2])
    torch.testing.assert_close(every, (2 * fine + 3 * F.interpolate(coarse, size=(8, 12), mode="bilinear")) / 5)
    assert every.shape == (2, 5, 8, 12) and (every >= 0).all() and (every.sum(dim=1) < 1).all()
    assert not every[0, 3:].any() and (every[0, :3] > 0).all() and (every[1] > 0).all()  # padding is not looked at
    for n in (0, 1):  # a picture's maps do not depend on its company
        alone = attention_maps(model[0], model[1][n:n + 1], 0.5, Cond(*(part[n:n + 1] for part in model[2])))
        torch.testing.assert_close(alone[0], every[n], rtol=1e-4, atol=1e-6)


def test_a_word_that_shouts_is_looked_at_more(model):
    denoise, x, cond = model
    keys = denoise.network.down[0].attention.words_to_kv
    q = denoise.network.down[0].attention.to_qkv
    with torch.no_grad():  # every query points one way, and so does the key of the third word alone
        q.weight[:32], q.bias[:32] = 0, 1
        keys.weight.zero_()
        keys.weight[:32, 0] = 1
    words = torch.zeros_like(cond.words)
    words[:, 2, 0] = 5
    loud = layer_maps(denoise, x, 0.5, cond._replace(words=words))["down.0.attention"]
    assert (loud[:, 0, 2] > 10 * loud[:, 0, 0]).all()


def test_nothing_is_left_behind_even_after_an_error(model):
    denoise, x, cond = model
    before = denoise(x, 0.5, cond)
    attention_maps(denoise, x, 0.5, cond)
    with pytest.raises(CourseError, match="divisible"):
        attention_maps(denoise, x[..., 1:], 0.5, cond)
    assert not any(module._forward_pre_hooks for module in denoise.network.modules())
    assert torch.equal(denoise(x, 0.5, cond), before)


def test_a_network_that_reads_no_words_gets_one_sentence(model):
    blind = Denoiser(UNet(UNetSettings(picture=4, channels=(32,), attention=(True,))), find_schedule("cosine"))
    with pytest.raises(CourseError, match="no attention to words") as caught:
        attention_maps(blind, model[1], 0.5, model[2])
    assert "\n" not in str(caught.value)
    with pytest.raises(CourseError, match="sides 4, 8, but none at 16"):
        attention_maps(*model[:2], 0.5, model[2], sides=(16,))

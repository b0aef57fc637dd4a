"""The network: shapes, a calm start, gradients everywhere, and attention against a slow, plain one."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from course_lib.layers import Attention, TimeEmbedding
from course_lib.runtime import CourseError
from course_lib.unet import Cond, UNet, UNetSettings

SMALL = UNetSettings(channels=(32, 64), attention=(False, True))
STEERED = UNetSettings(channels=(32, 64), attention=(True, True), words=24, pooled=12)


def awake(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network with random weights in the layers that start at zero, so that everything in it has a say."""
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=source))
    return network


def steering(n: int = 2, length: int = 5, source=None) -> Cond:
    source = source or torch.Generator().manual_seed(1)
    mask = torch.tensor([[True, True, True, False, False], [True, False, False, False, False]])[:n, :length]
    return Cond(torch.randn(n, length, 24, generator=source), mask, torch.randn(n, 12, generator=source))


def noisy(n: int = 2, size: int = 16, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(2)
    return torch.randn(n, channels, size, size, generator=source), torch.rand(n, generator=source)


@pytest.mark.parametrize("settings, shape", [
    (UNetSettings(), (2, 3, 32, 32)),
    (UNetSettings(), (1, 3, 12, 20)),
    (UNetSettings(patch=1, channels=(32, 48, 64), attention=(False, False, True)), (2, 3, 16, 24)),
    (UNetSettings(picture=4, patch=1, channels=(32, 64), attention=(False, True)), (2, 4, 16, 16)),
    (UNetSettings(picture=1, channels=(40,), attention=(False,)), (3, 1, 14, 14)),
    (UNetSettings(channels=(30, 50), attention=(True, True)), (1, 3, 16, 16)),
    (STEERED, (2, 3, 16, 16)),
], ids=str)
def test_the_answer_has_the_shape_of_the_picture(settings, shape):
    network = UNet(settings)
    assert network(torch.randn(shape), torch.rand(shape[0])).shape == shape


@pytest.mark.parametrize("shape", [(1, 3, 18, 16), (1, 3, 16, 18), (1, 4, 16, 16), (3, 16, 16)])
def test_a_picture_that_does_not_fit_gets_one_sentence(shape):
    with pytest.raises(CourseError, match="H and W divisible by 4, but got") as caught:
        UNet(SMALL)(torch.zeros(shape), torch.zeros(1))
    assert str(shape) in str(caught.value) and "\n" not in str(caught.value)


def test_settings_that_do_not_fit_together_get_one_sentence():
    with pytest.raises(CourseError, match="2 levels, 1 flags"):
        UNetSettings(channels=(32, 64), attention=(True,))


def test_the_shipped_size_is_at_most_two_million_parameters():
    count = sum(parameter.numel() for parameter in UNet().parameters())
    assert 500_000 < count <= 2_000_000, count


def test_an_untrained_network_answers_zero():
    x, t = noisy()
    assert not UNet(STEERED)(x, t, steering()).any()


@pytest.mark.parametrize("settings", [UNetSettings(), STEERED], ids=["default", "steered"])
def test_the_gradient_reaches_every_parameter(settings):
    network = awake(UNet(settings))
    x, t = noisy()
    answer = network(x, t, steering()) if settings.words else network(x, t)
    (answer * torch.randn(answer.shape, generator=torch.Generator().manual_seed(3))).sum().backward()
    without = [name for name, parameter in network.named_parameters()
               if parameter.grad is None or not parameter.grad.any()]
    assert not without, without


def test_the_time_matters_and_so_does_the_steering():
    network = awake(UNet(STEERED))
    x, t = noisy()
    cond = steering()
    answer = network(x, t, cond)
    others = [network(x, 1 - t, cond), network(x, t), network(x, t, cond._replace(pooled=-cond.pooled)),
              network(x, t, cond._replace(words=-cond.words))]
    assert all((other - answer).abs().max() > 1e-3 for other in others)


def test_words_that_are_masked_out_change_nothing():
    network = awake(UNet(STEERED)).double()
    x, t = (value.double() for value in noisy())
    cond = Cond(*(value.double() if value.is_floating_point() else value for value in steering()))
    answer = network(x, t, cond)
    other_words = torch.where(cond.mask[..., None], cond.words, 100.0)
    torch.testing.assert_close(network(x, t, cond._replace(words=other_words)), answer, rtol=0, atol=0)
    # A prompt gives the same picture however far it is padded.
    longer = Cond(nn.functional.pad(cond.words, (0, 0, 0, 4)), nn.functional.pad(cond.mask, (0, 4)), cond.pooled)
    torch.testing.assert_close(network(x, t, longer), answer, rtol=1e-10, atol=1e-10)


def test_a_picture_does_not_see_its_neighbours_in_the_batch():
    network = awake(UNet(STEERED)).double()
    x, t = (value.double() for value in noisy())
    cond = Cond(*(value.double() if value.is_floating_point() else value for value in steering()))
    alone = network(x[1:], t[1:], Cond(*(value[1:] for value in cond)))
    torch.testing.assert_close(network(x, t, cond)[1:], alone, rtol=1e-10, atol=1e-10)


def test_the_memory_layout_changes_nothing_but_the_speed():
    network = awake(UNet(SMALL)).double()
    assert network.enter[1].weight.is_contiguous(memory_format=torch.channels_last)
    plain = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    x, t = (value.double() for value in noisy())
    torch.testing.assert_close(network(x, t), plain(x, t), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(network(x.contiguous(memory_format=torch.channels_last), t), network(x, t))


@pytest.mark.parametrize("channels, words", [(64, 24), (48, 0), (96, 8)])
def test_attention_is_what_the_formula_says(channels, words):
    """softmax(q k^T / sqrt(d)) v, head by head and query by query (Vaswani et al. 2017, section 3.2)."""
    source = torch.Generator().manual_seed(4)
    layer = awake(Attention(channels, words)).double()
    x = torch.randn(2, channels, 3, 4, generator=source, dtype=torch.float64)
    text = torch.randn(2, 5, words, generator=source, dtype=torch.float64) if words else None
    mask = steering().mask if words else None
    wanted = torch.empty_like(x)
    heads = layer.heads
    assert heads == max(1, channels // 32)
    for n in range(2):
        places = layer.norm(x[n:n + 1])[0].reshape(channels, 12).T
        weight, bias = layer.to_qkv.weight[:, :, 0, 0], layer.to_qkv.bias
        q, k, v = (places @ weight.T + bias).split(channels, dim=1)
        if words:
            seen = text[n][mask[n]]
            k_words, v_words = (seen @ layer.words_to_kv.weight.T + layer.words_to_kv.bias).split(channels, dim=1)
            k, v = torch.cat([k, k_words]), torch.cat([v, v_words])
        mixed = torch.empty(12, channels, dtype=torch.float64)
        width = channels // heads
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            for query in range(12):
                scores = torch.stack([q[query, part] @ key for key in k[:, part]]) / math.sqrt(width)
                share = scores.exp() / scores.exp().sum()
                mixed[query, part] = sum(a * value for a, value in zip(share, v[:, part]))
        out = mixed @ layer.out.weight[:, :, 0, 0].T + layer.out.bias
        wanted[n] = x[n] + out.T.reshape(channels, 3, 4)
    torch.testing.assert_close(layer(x, text, mask), wanted, rtol=1e-10, atol=1e-10)


def test_reading_the_words_again_begins_by_leaving_them_as_they_are_and_never_heeds_padding():
    reader = UNet(replace(STEERED, reading=2)).eval()
    plain = UNet(STEERED).eval()
    plain.load_state_dict({key: value for key, value in reader.state_dict().items() if "reading" not in key})
    (x, t), cond = noisy(), steering()
    awake(plain.leave), awake(reader.leave)
    torch.testing.assert_close(reader(x, t, cond), plain(x, t, cond))
    awake(reader)
    padding = ~cond.mask[..., None]
    spoiled = cond._replace(words=torch.where(padding, 7.0, cond.words))
    torch.testing.assert_close(reader(x, t, spoiled), reader(x, t, cond))
    assert (reader(x, t, cond) - plain(x, t, cond)).abs().max() > 1e-3


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="100 channels do not divide into 3 heads"):
        Attention(100)


def test_times_close_together_look_alike_and_far_apart_do_not():
    embed = TimeEmbedding(16)
    angles = torch.tensor([0.3])[:, None] * embed.speeds
    assert embed.speeds[0] == 1 and math.isclose(embed.speeds[-1].item(), 1000, rel_tol=1e-4)
    assert angles.shape == (1, 32)
    a, near, far = embed(torch.tensor([0.3, 0.30001, 0.9]))
    assert (a - near).norm() < 0.1 * (a - far).norm()

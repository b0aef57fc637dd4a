"""The parts that read pictures: pooling by learned questions, the trunk, the residual block."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from course_lib.layers import Pool, ResBlock, picture_trunk


def lively(module: nn.Module) -> nn.Module:
    """Random weights everywhere, the layers that start at zero included."""
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=source) / math.sqrt(parameter[0].numel()))
    return module


def features(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


# ----------------------------------------------------------------------------------------------------------- Pool

def test_pooling_is_attention_with_learned_questions():
    """As torch's own multi-head attention, which keeps its three projections in one matrix and one bias."""
    pool, x = lively(Pool(32, queries=3, heads=4, places=12)), features(2, 32, 3, 4)
    same = nn.MultiheadAttention(32, 4, batch_first=True)
    with torch.no_grad():
        same.in_proj_weight.copy_(torch.cat([torch.eye(32), pool.to_kv.weight]))
        same.in_proj_bias.copy_(torch.cat([torch.zeros(32), pool.to_kv.bias]))
        same.out_proj.load_state_dict(pool.out.state_dict())
    places = x.flatten(2).transpose(1, 2) + pool.position
    wanted, _ = same(pool.queries.expand(2, -1, -1), places, places)
    found = pool(x)
    assert found.shape == (2, 3, 32)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_pooling_knows_left_from_right():
    pool, x = lively(Pool(32, queries=2, places=16)), features(1, 32, 4, 4)
    assert (pool(x) - pool(x.flip(3))).abs().max() > 1e-2
    with torch.no_grad():
        pool.position.zero_()  # without positions it cannot
    torch.testing.assert_close(pool(x), pool(x.flip(3)), rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------- trunk

def test_the_trunk_reduces_a_picture_to_an_eighth():
    trunk = lively(picture_trunk((16, 24, 32)))
    assert trunk(features(2, 3, 64, 64)).shape == (2, 32, 8, 8)
    assert trunk(features(1, 3, 32, 48)).shape == (1, 32, 4, 6)
    assert trunk[1].weight.is_contiguous(memory_format=torch.channels_last)


def test_the_trunk_sees_each_picture_alone():
    trunk, x = lively(picture_trunk((16, 24, 32))), features(3, 3, 16, 16)
    torch.testing.assert_close(trunk(x)[1:2], trunk(x[1:2]), rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------------------------------------------- ResBlock

def test_a_block_without_embedding_is_two_convolutions_and_a_shortcut():
    block, x = lively(ResBlock(16, 32)), features(2, 16, 5, 7)
    assert block.scale_shift is None

    def step(h, norm, conv):  # group by group: mean 0, variance 1, then the layer's own scale and shift
        groups = h.reshape(2, norm.num_groups, -1)
        variance = groups.var(2, unbiased=False, keepdim=True)
        groups = (groups - groups.mean(2, keepdim=True)) / (variance + norm.eps).sqrt()
        h = groups.reshape(h.shape) * norm.weight[:, None, None] + norm.bias[:, None, None]
        return F.conv2d(h * torch.sigmoid(h), conv.weight, conv.bias, padding=1)

    wanted = step(step(x, block.norm1, block.conv1), block.norm2, block.conv2)
    wanted = wanted + F.conv2d(x, block.shortcut.weight, block.shortcut.bias)
    torch.testing.assert_close(block(x), wanted, rtol=1e-4, atol=1e-4)


def test_a_block_starts_as_its_shortcut_and_an_embedding_of_nothing_changes_nothing():
    x = features(2, 16, 4, 4)
    assert torch.equal(ResBlock(16, 16)(x), x)
    steered, plain = lively(ResBlock(16, 16, embedding=8)), lively(ResBlock(16, 16))
    plain.load_state_dict({key: value for key, value in steered.state_dict().items() if "scale_shift" not in key})
    with torch.no_grad():
        steered.scale_shift.bias.zero_()
    torch.testing.assert_close(steered(x, torch.zeros(2, 8)), plain(x))
    assert (steered(x, torch.ones(2, 8)) - plain(x)).abs().max() > 1e-2

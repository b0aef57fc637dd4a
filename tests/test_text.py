"""Words and pictures in one space: padding is nothing, END sums up, and the contrastive loss is the closed form."""

import math

import pytest
import torch
from torch.nn import functional as F

from course_lib.text import Block, SharedSpace, TextSettings, contrastive_loss
from course_lib.tokenizer import END, LENGTH, PADDING, START, TOKENS, tokenize

SMALL = TextSettings(width=32, depth=2, heads=2, shared=24, side=32, picture=(16, 16, 32))
PROMPTS = ["a red house", "a small blue boat on the sea at sunset", ""]


@pytest.fixture(scope="module")
def space() -> SharedSpace:
    torch.manual_seed(0)
    return SharedSpace(SMALL).eval().requires_grad_(False)


def pictures(n: int) -> torch.Tensor:
    return torch.rand((n, 3, 64, 64), generator=torch.Generator().manual_seed(1)) * 2 - 1


# ----------------------------------------------------------------------------------------------------------- text

def test_every_token_has_a_state_and_end_speaks_for_all(space):
    ids = tokenize(PROMPTS)
    cond = space.text(ids)
    assert cond.words.shape == (3, ids.shape[1], 32) and cond.pooled.shape == (3, 32)
    assert torch.equal(cond.mask, ids != PADDING) and cond.mask.sum(dim=1).tolist() == [5, 11, 2]
    for n, last in enumerate([4, 10, 1]):
        assert ids[n, last] == END and torch.equal(cond.pooled[n], cond.words[n, last])


def test_a_prompt_means_the_same_alone_and_padded_in_a_batch(space):
    together = space.text(tokenize(PROMPTS))
    for n, prompt in enumerate(PROMPTS):
        alone = space.text(tokenize([prompt]))
        length = alone.words.shape[1]
        torch.testing.assert_close(alone.words[0], together.words[n, :length], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(alone.pooled[0], together.pooled[n], rtol=1e-4, atol=1e-5)
    ids = tokenize(PROMPTS)
    longest = F.pad(ids, (0, LENGTH - ids.shape[1]), value=PADDING)
    torch.testing.assert_close(space.embed_text(longest), space.embed_text(ids), rtol=1e-4, atol=1e-5)


def test_every_word_counts_and_so_does_its_place(space):
    meant = space.embed_text(tokenize(["a red house", "a blue house", "red house a"]))
    assert (meant[0] - meant[1]).norm() > 1e-2 and (meant[0] - meant[2]).norm() > 1e-2


def test_a_block_is_the_one_that_torch_has():
    """nn.TransformerEncoderLayer, its norms first, masks the other way round."""
    torch.manual_seed(0)
    block, same = Block(32, 4), torch.nn.TransformerEncoderLayer(32, 4, 128, 0.0, F.gelu, batch_first=True,
                                                                 norm_first=True)
    with torch.no_grad():
        same.self_attn.in_proj_weight.copy_(block.qkv.weight)
        same.self_attn.in_proj_bias.copy_(block.qkv.bias)
    for ours, theirs in ((block.out, same.self_attn.out_proj), (block.norm1, same.norm1), (block.norm2, same.norm2),
                         (block.mlp[0], same.linear1), (block.mlp[2], same.linear2)):
        theirs.load_state_dict(ours.state_dict())
    x, mask = torch.randn(2, 6, 32), torch.arange(6) < torch.tensor([[4], [6]])
    torch.testing.assert_close(block(x, mask)[mask], same(x, src_key_padding_mask=~mask)[mask], rtol=1e-4, atol=1e-5)


def test_there_is_a_state_for_every_token_and_place(space):
    assert space.text.words.weight.shape[0] == len(TOKENS) and space.text.positions.weight.shape[0] == LENGTH
    full = torch.full((1, LENGTH), 3)
    full[0, 0], full[0, -1] = START, END
    assert space.text(full).words.isfinite().all()


# ---------------------------------------------------------------------------------------------------------- space

def test_embeddings_lie_on_the_unit_sphere(space):
    for embedded in (space.embed_text(tokenize(PROMPTS)), space.embed_pictures(pictures(3))):
        assert embedded.shape == (3, 24)
        torch.testing.assert_close(embedded.norm(dim=1), torch.ones(3))


def test_similarities_are_cosines_over_the_temperature(space):
    ids, x = tokenize(PROMPTS), pictures(2)
    cosines = torch.stack([F.cosine_similarity(words, space.embed_pictures(x)) for words in space.embed_text(ids)])
    found = space(ids, x)
    assert found.shape == (3, 2)
    torch.testing.assert_close(found, cosines / 0.07, rtol=1e-4, atol=1e-4)


def test_the_temperature_is_kept_from_falling_below_a_hundredth():
    torch.manual_seed(0)
    space = SharedSpace(SMALL).requires_grad_(False)
    space.log_scale.fill_(50.0)
    assert space(tokenize(PROMPTS), pictures(3)).abs().max() <= 100 * (1 + 1e-5)


def test_the_gradient_reaches_every_parameter():
    torch.manual_seed(0)
    space = SharedSpace(SMALL)
    with torch.no_grad():
        for name, parameter in space.named_parameters():
            if "conv2" in name:  # starts at zero, which keeps the gradient from what comes before it
                parameter.normal_(std=0.1)
    contrastive_loss(space(tokenize(PROMPTS), pictures(3))).backward()
    without = [name for name, parameter in space.named_parameters()
               if parameter.grad is None or not parameter.grad.any()]
    assert not without, without


# ----------------------------------------------------------------------------------------------------------- loss

def test_the_loss_by_hand():
    """-log of the share that the right one has in its row, and in its column; the mean of all. (CLIP, figure 3.)"""
    similarities = torch.randn(5, 5, generator=torch.Generator().manual_seed(2)).double()
    strength = similarities.exp()
    wanted = -sum((strength[i, i] / strength[i].sum()).log() + (strength[i, i] / strength[:, i].sum()).log()
                  for i in range(5)) / 10
    torch.testing.assert_close(contrastive_loss(similarities), wanted)
    torch.testing.assert_close(contrastive_loss(similarities.T), wanted)


@pytest.mark.parametrize("count", [1, 2, 128])
def test_knowing_all_costs_nothing_and_knowing_nothing_costs_the_log_of_the_choices(count):
    assert contrastive_loss(50 * torch.eye(count)) < 1e-6
    assert contrastive_loss(torch.full((count, count), 3.0)).item() == pytest.approx(math.log(count), abs=1e-5)


def test_what_also_fits_is_no_mistake():
    similarities = torch.randn(4, 4, generator=torch.Generator().manual_seed(3), requires_grad=True)
    also_right = torch.eye(4, dtype=torch.bool)
    torch.testing.assert_close(contrastive_loss(similarities, also_right), contrastive_loss(similarities))
    also_right[0, 2] = True  # the first caption fits the third picture too, but not the other way round
    rows = [similarities[0, [0, 1, 3]], *similarities[1:]]
    columns = [similarities[:, 0], similarities[:, 1], similarities[[1, 2, 3], 2], similarities[:, 3]]
    right = [0, 1, 2, 3], [0, 1, 1, 3]
    wanted = sum(part.logsumexp(0) - part[i] for parts, places in zip((rows, columns), right)
                 for part, i in zip(parts, places)) / 8
    found = contrastive_loss(similarities, also_right)
    torch.testing.assert_close(found, wanted)
    found.backward()
    assert similarities.grad.isfinite().all() and similarities.grad[0, 2] == 0
    assert (similarities.grad.flatten()[[0, 5, 10, 15]] < 0).all()  # the right pairs are drawn together


def test_a_batch_in_which_all_fits_all_teaches_nothing():
    everything = torch.ones(3, 3, dtype=torch.bool)
    assert contrastive_loss(torch.randn(3, 3), everything) == 0

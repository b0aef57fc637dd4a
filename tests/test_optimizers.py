"""The optimizer against PyTorch's own Muon and AdamW, and its orthogonal matrices against the singular values."""

import pytest
import torch
from torch import nn

from course_lib.optimizers import LARGEST_SIDE, SMALLEST_SIDE, Muon, is_matrix, orthogonalise

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("shape", [(1, 32, 64), (1, 40, 300), (1, 300, 40), (3, 32, 96), (4, 96, 32)])
def test_singular_values_come_near_one_and_the_vectors_stay(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    [done] = orthogonalise([matrix])
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    values = left.mT @ done @ right.mT
    diagonal = values.diagonal(dim1=-2, dim2=-1)
    assert done.shape == matrix.shape and 0.65 < diagonal.min() and diagonal.max() < 1.25
    assert (values - torch.diag_embed(diagonal)).abs().max() < 1e-4


def test_many_matrices_at_once_are_what_each_would_be_alone():
    source = torch.Generator().manual_seed(0)
    stacks = [torch.randn(shape, generator=source) for shape in ((4, 48, 80), (1, 33, 60), (2, 90, 48), (3, 48, 48))]
    for together, stack in zip(orthogonalise(stacks), stacks):
        for one, matrix in zip(together, stack):
            [[alone]] = orthogonalise([matrix[None]])
            torch.testing.assert_close(one, alone, rtol=1e-4, atol=1e-5)


def test_a_matrix_of_zeros_stays_one():
    [done] = orthogonalise([torch.zeros(1, 32, 32)])
    assert torch.equal(done, torch.zeros(1, 32, 32))


def test_who_is_moved_by_muon():
    narrow, wide = SMALLEST_SIDE - 1, LARGEST_SIDE + 1
    assert is_matrix(nn.Linear(64, 64)) and is_matrix(nn.Linear(64, 5000)) and is_matrix(nn.Conv2d(8, 64, 3))
    assert not any(map(is_matrix, (nn.Linear(narrow, 64), nn.Linear(wide, wide), nn.Conv2d(3, 64, 3),
                                   nn.Embedding(64, 64), nn.LayerNorm(64))))


def train_twice(network: nn.Module, ours, theirs, steps: int = 6) -> tuple[list, list]:
    """The same gradients through both optimizers, from the same weights: (weights by ours, weights by theirs)."""
    start = [parameter.detach().clone() for parameter in network.parameters()]
    results = []
    for make in (ours, theirs):
        with torch.no_grad():
            for parameter, value in zip(network.parameters(), start):
                parameter.copy_(value)
        optimizer, source = make(network), torch.Generator().manual_seed(1)
        for _ in range(steps):
            for parameter in network.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=source)
            optimizer.step()
        results.append([parameter.detach() - value for parameter, value in zip(network.parameters(), start)])
    return results


def test_everything_else_moves_as_by_torchs_adamw():
    network = nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.Embedding(40, 50))
    ours, theirs = train_twice(
        network, lambda n: Muon(n, lr=0.01),
        lambda n: torch.optim.AdamW(n.parameters(), lr=0.01, betas=(0.9, 0.99), weight_decay=0.01))
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_matrices_move_as_by_torchs_muon():
    """Theirs runs in bfloat16, so only the direction and the size of the whole step can be compared."""
    network = nn.Sequential(*(nn.Linear(a, b, bias=False) for a, b in ((64, 48), (64, 48), (40, 120))))
    ours, theirs = train_twice(
        network, lambda n: Muon(n, lr=0.01),
        lambda n: torch.optim.Muon(n.parameters(), lr=0.01, weight_decay=0.01, momentum=0.95, nesterov=True,
                                   adjust_lr_fn="match_rms_adamw"))
    for a, b in zip(ours, theirs):
        assert (a - b).norm() < 0.05 * b.norm()


def test_a_convolution_is_moved_as_the_matrix_that_it_is():
    layer = nn.Conv2d(8, 40, 3, bias=False)
    flat = nn.Linear(72, 40, bias=False)
    with torch.no_grad():
        flat.weight.copy_(layer.weight.flatten(1))
    gradient = torch.randn(40, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    for network in (layer, flat):
        network.weight.grad = gradient.reshape(network.weight.shape)
        Muon(network, lr=0.1).step()
    torch.testing.assert_close(layer.weight.flatten(1), flat.weight)


def test_what_has_no_gradient_is_left_alone():
    network = nn.Sequential(nn.Linear(40, 40), nn.Linear(40, 40))
    network[0].requires_grad_(False)
    before = network[0].weight.clone()
    network(torch.ones(1, 40)).sum().backward()
    Muon(network, lr=0.1).step()
    assert torch.equal(network[0].weight, before)

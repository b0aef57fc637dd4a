"""Fixtures that several test files use."""

import pytest


@pytest.fixture
def one_thread():
    """The arithmetic here is on small tensors: more threads than one only get in each other's way."""
    import torch  # the set-up tests run where there is no PyTorch yet

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

"""What a computation costs: operations counted, memory that training keeps, time measured side by side."""

import statistics
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Mapping

import torch
from torch.utils.flop_counter import FlopCounterMode

from course_lib.runtime import check_whole


def operations(function: Callable[[], Any]) -> int:
    """The multiplications and additions in all the convolutions, matrix products and attentions that `function` does.

    A multiplication with its addition counts as two (papers that count "MACs" count it as one); what is done number by
    number (norms, activations, sums) is left out. Calls `function` once. On the device "meta", where tensors have a
    shape and no content, it counts without computing, so the network may be larger than this machine.
    """
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


def saved_bytes(function: Callable[[], Any]) -> int:
    """Bytes of activations that a forward pass keeps for the backward pass, which is most of what training needs.

    Each tensor counts once, however many layers keep it; weights are left out, as they are there anyway. Calls
    `function` once; 0 if nothing in it needs a gradient.
    """
    kept, weights = {}, set()

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage  # held on to, so that no later tensor can have its address
        original = tensor if tensor._base is None else tensor._base
        if original.is_leaf and original.requires_grad:
            weights.add(storage.data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        function()
    return sum(storage.nbytes() for address, storage in kept.items() if address not in weights)


def interleaved(calls: Mapping[str, Callable[[], Any]], rounds: int = 7) -> dict[str, float]:
    """The median time of each call in seconds.

    They take turns, so that whatever slows the machine for a while slows them all, and in changing order, so that none
    always comes after the same other. Each runs once beforehand, which pays for what only a first call needs.
    """
    check_whole(rounds, "The number of rounds", 1, 1000)
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for i in range(rounds):
        for name in calls if i % 2 else reversed(calls):
            begun = time.perf_counter()
            calls[name]()
            seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(measured) for name, measured in seconds.items()}


@contextmanager
def threads(count: int) -> Iterator[None]:
    """PyTorch on this many cores, for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""Batches made ready ahead of the network."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Callable

import torch
from torch import Tensor, nn

from course_lib.runtime import send

Prepare = Callable[[int, torch.Generator], tuple[Tensor, ...]]


class Ahead:
    """The loss that `fit` asks for, in two halves: prepare(step, source) -> the batch, as tensors on any device, and
    loss(network, *batch on the device) -> the loss.

    A GPU is not kept waiting: while it works on one step, a thread prepares the next. All chance in `prepare` comes
    from `source`, and `fit` seeds the next step's source one higher, so this changes nothing of what is drawn. On a
    CPU the two halves would only take the cores from each other, and there is no thread.
    count: pictures in a batch. `waited`: seconds that the network waited for its batches. Use it in a `with`.
    """

    def __init__(self, prepare: Prepare, loss: Callable[..., Tensor], count: int, device: torch.device,
                 threaded: bool | None = None):
        self.prepare, self.loss, self.count, self.device = prepare, loss, count, device
        self.waited = 0.0
        self._thread = ThreadPoolExecutor(1) if threaded or (threaded is None and device.type != "cpu") else None
        self._next: tuple[int, int, Future] | None = None  # step, seed, what becomes of them

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(self, *_) -> None:
        if self._thread:
            self._thread.shutdown(wait=False, cancel_futures=True)  # it may be waiting for pages, which end next

    def __call__(self, network: nn.Module, step: int, source: torch.Generator) -> tuple[Tensor, int]:
        begun = time.monotonic()
        batch = self._batch(step, source)
        self.waited += time.monotonic() - begun
        return self.loss(network, *batch), self.count

    def _batch(self, step: int, source: torch.Generator) -> list[Tensor]:
        if self._thread is None:
            return self._ready(step, source)
        seed = source.initial_seed()
        if self._next is None or self._next[:2] != (step, seed):
            self._plan(step, seed)
        batch = self._next[2].result()
        self._plan(step + 1, seed + 1)
        return batch

    def _plan(self, step: int, seed: int) -> None:
        source = torch.Generator().manual_seed(seed)
        self._next = step, seed, self._thread.submit(self._ready, step, source)

    def _ready(self, step: int, source: torch.Generator) -> list[Tensor]:
        batch = self.prepare(step, source)
        return [send(tensor, self.device) for tensor in batch]


def unit_noise(shape: tuple[int, ...], source: torch.Generator, device: torch.device) -> Tensor:
    """Unit Gaussian noise for a batch, from `source`; on a GPU from a source there, begun with the same seed.

    A processor would take longer to draw a large batch's noise than a GPU takes to learn from it.
    """
    if device.type == "cuda":
        source = torch.Generator(device).manual_seed(source.initial_seed())
    return torch.randn(shape, generator=source, device=source.device)

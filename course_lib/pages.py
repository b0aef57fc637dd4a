"""Pages of the picture book for training, by the hundred thousand: drawn by other processes, ahead of the network.

They are kept on disk in pieces, so a run that goes on, or the next model, need not draw them again.
"""

import hashlib
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from course_lib import parallel, picturebook, tokenizer
from course_lib.data import HELD_OUT_FROM
from course_lib.picturebook import caption, encode_scene, encode_stated, random_scene, render
from course_lib.runtime import CourseError, load_tensors, save_tensors, send
from course_lib.tokenizer import LENGTH, PADDING, read_prompt

SIZE = 64
PIECE = 2048  # pages to a file, at most
CAPTIONS = 4  # tellings of each page
KEYS = {"pictures", "scenes", "tokens", "stated"}


def edition() -> str:
    """Eight letters that change whenever the drawings, the captions or the words do, so that no old page is used."""
    digest = hashlib.sha256()
    for path in (Path(tokenizer.__file__), *sorted(Path(picturebook.__file__).parent.glob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def draw_page(seed: int, split: str = "train") -> dict[str, np.ndarray]:
    """One page: its picture, what it shows, its captions as token numbers, and what each of them states."""
    scene = random_scene(seed, split)
    told = [caption(scene, i) for i in range(CAPTIONS)]
    rows = [read_prompt(text).ids for text, _ in told]
    return {"pictures": render(scene, SIZE).transpose(2, 0, 1),
            "scenes": encode_scene(scene),
            "tokens": np.array([row + [PADDING] * (LENGTH - len(row)) for row in rows], np.uint8),
            "stated": np.stack([encode_stated(stated) for _, stated in told])}


def draw_pages(seeds: range, split: str = "train") -> dict[str, Tensor]:
    """Many pages, stacked: pictures uint8 (N, 3, 64, 64); scenes int8 (N, S); tokens uint8 (N, CAPTIONS, LENGTH);
    stated int8 (N, CAPTIONS, S + 2). What the numbers mean: picturebook/labels.py."""
    pages = [draw_page(seed, split) for seed in seeds]
    return {key: torch.from_numpy(np.stack([page[key] for page in pages])) for key in pages[0]}


def held_out(count: int, split: str = "train") -> dict[str, Tensor]:
    """Pages that training never sees; with the split "unseen", each shows a held-out pair or relation."""
    return draw_pages(range(HELD_OUT_FROM, HELD_OUT_FROM + count), split)


class _Stopped(Exception):
    """The pages are no longer wanted."""


_stop = None  # in a drawing process: the event that asks it to stop


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Ctrl-C reaches every process; only the one that trains decides what it means."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may change this
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _begin(stop) -> None:
    """What a drawing process does first."""
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _draw_piece(path: Path, seeds: range, stopped: Callable[[], bool] | None = None) -> None:
    """Draw a piece and save it, unless asked to stop: then nothing of it is left on the disk."""
    some = []
    for start in range(0, len(seeds), 16):
        if (stopped or _stop.is_set)():
            raise _Stopped
        some.append(draw_pages(seeds[start:start + 16]))
    save_tensors(path, {key: torch.cat([pages[key] for pages in some]) for key in KEYS}, {"pages": len(seeds)})


class Pages:
    """The first `count` training pages, which come in as they are drawn.

    A step may draw on as many pages as `reach` says, a number that depends on the step alone, and waits until they
    are there; so training begins at once, and is the same however fast the drawing was.
    In a `with` statement other processes draw, and end with it; without one, or if they die, this process draws.
    Where several processes train together, one of them sees to the drawing, and the others wait for its files.
    """

    def __init__(self, folder: Path, count: int, workers: int | None = None):
        self.folder, self.piece = Path(folder) / f"pages-{edition()}", min(PIECE, count)
        self.count = -(-count // self.piece) * self.piece
        self.ready, self._tensors = 0, {}
        self._workers = workers or min(max(1, (os.cpu_count() or 2) - 1), 16)
        self._drawing: dict[int, Future] = {}
        self._stop, self._pool, self._closed = None, None, False

    def __enter__(self) -> "Pages":
        missing = [number for number in range(self.count // self.piece) if not self._path(number).is_file()]
        if not missing or not parallel.leads():
            return self
        try:
            # Spawned, since forking a process that has threads is unsafe.
            context = multiprocessing.get_context("spawn")
            self._stop = context.Event()
            self._pool = ProcessPoolExecutor(self._workers, context, _begin, (self._stop,))
            with _deaf_to_ctrl_c():  # as the processes that start here will be, from their first moment on
                for number in missing:
                    self._drawing[number] = self._pool.submit(_draw_piece, self._path(number), self._seeds(number))
        except (OSError, BrokenProcessPool):
            self._drawing = {}  # no processes to be had here: this one draws
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._closed = True
        if self._pool:
            self._stop.set()
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:05}.safetensors"

    def _seeds(self, number: int) -> range:
        return range(number * self.piece, (number + 1) * self.piece)

    def reach(self, step: int, batch: int) -> int:
        """How many pages step `step` may draw on: a few thousand at first, then half of every batch is new."""
        return min(self.count, 2 * PIECE + step * batch // 2)

    def batch(self, step: int, size: int, source: torch.Generator) -> Tensor:
        """Page numbers (size,) for step `step`, at random."""
        reach = self.reach(step, size)
        self.require(reach)
        return torch.randint(reach, (size,), generator=source)

    def require(self, pages: int) -> None:
        """Wait until the first `pages` pages are in memory. Raises CourseError if the disk is full."""
        for number in range(self.ready // self.piece, -(-pages // self.piece)):
            seeds = self._seeds(number)
            for key, value in self._piece(number).items():
                if key not in self._tensors:
                    self._tensors[key] = torch.empty((self.count, *value.shape[1:]), dtype=value.dtype)
                self._tensors[key][seeds.start:seeds.stop] = value
            self.ready = seeds.stop

    def _piece(self, number: int) -> dict[str, Tensor]:
        """A piece from the disk; drawn here if it is not there, or damaged."""
        path = self._path(number)
        if number in self._drawing:
            try:
                self._drawing.pop(number).result()
            except BrokenProcessPool:  # killed; or a script without `if __name__ == "__main__":` cannot be spawned from
                self._drawing = {}
        while not parallel.leads() and not path.is_file() and not self._closed:
            time.sleep(0.1)
        return self._read(path) or self._draw(path, number)

    def _read(self, path: Path) -> dict[str, Tensor] | None:
        try:
            tensors, settings = load_tensors(path)
        except CourseError:
            return None  # not there, or damaged
        return tensors if settings == {"pages": self.piece} and set(tensors) == KEYS else None

    def _draw(self, path: Path, number: int) -> dict[str, Tensor]:
        _draw_piece(path, self._seeds(number), lambda: self._closed)
        return load_tensors(path)[0]

    def __getitem__(self, key: str) -> Tensor:
        return self._tensors[key]

    def pictures(self, indices: Tensor, device: torch.device | None = None) -> Tensor:
        """The chosen pictures as a network on `device` wants them: float32 (n, 3, 64, 64) in [-1, 1]."""
        return send(self["pictures"][indices], device).float() / 127.5 - 1

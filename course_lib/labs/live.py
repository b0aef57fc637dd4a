"""Work behind a control: one thread, the latest request wins, older ones are dropped, never a queue."""

import threading
from typing import Any, Callable

from torch import nn

from course_lib.denoiser import Denoiser
from course_lib.pipeline import TextToImage
from course_lib.runtime import CourseError

_models = threading.Lock()  # one lab computes at a time: two would only take the cores from each other


class Dropped(Exception):
    """Nobody waits for this result any more."""


class Live:
    """Answers requests off the kernel's main thread, so that the notebook's other cells stay free.

    work(request, check) -> result, where check() raises Dropped once a newer request has come: call it often.
    done(result): shows a result; failed(sentence): what went wrong; busy(bool): whether work is going on. All three are
    called from the thread. It lives only while there is work: an idle lab has none.
    """

    def __init__(self, work: Callable[[Any, Callable[[], None]], Any], done: Callable[[Any], None],
                 failed: Callable[[str], None], busy: Callable[[bool], None]):
        self.work, self.done, self.failed, self.busy = work, done, failed, busy
        self._lock = threading.Lock()
        self._waiting: list[Any] = []  # the latest request, or none
        self._number = 0
        self._thread: threading.Thread | None = None

    def ask(self, request: Any) -> None:
        """Have `request` answered; whatever was asked before is dropped."""
        with self._lock:
            self._number += 1
            self._waiting = [request]
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="course_lib lab")
                self._thread.start()

    def close(self) -> None:
        """Drop everything. The thread ends at its next check."""
        with self._lock:
            self._number += 1
            self._waiting = []

    def wait(self, seconds: float) -> bool:
        """Whether all work is done within these seconds."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)
        return self._thread is None

    def _run(self) -> None:
        self.busy(True)
        while True:
            with self._lock:
                if not self._waiting:
                    self.busy(False)
                    self._thread = None
                    return
                [request], self._waiting, number = self._waiting, [], self._number
            self._answer(request, number)

    def _answer(self, request: Any, number: int) -> None:
        def check() -> None:
            # Python waits for its threads before it ends, and one that were cut off inside PyTorch would crash it.
            if self._number != number or not threading.main_thread().is_alive():
                raise Dropped

        try:
            with _models:
                check()
                result = self.work(request, check)
                check()
            self.done(result)
        except Dropped:
            pass
        except CourseError as error:
            self.failed(str(error))
        except Exception as error:  # a thread's error would show nowhere, and the lab would seem frozen
            self.failed(f"The lab could not do this ({type(error).__name__}: {error}): run its cell again.")


class _Watched(nn.Module):
    """A network that calls `check` before each of its evaluations."""

    def __init__(self, network: nn.Module, check: Callable[[], None]):
        super().__init__()
        self.network, self.check = network, check

    def forward(self, *inputs):
        self.check()
        return self.network(*inputs)


def watched(denoise: Denoiser, check: Callable[[], None]) -> Denoiser:
    """The same denoiser, which looks on every denoising step whether anybody still waits for the picture."""
    return Denoiser(_Watched(denoise.network, check), denoise.schedule, denoise.prediction)


def droppable(model: TextToImage, check: Callable[[], None]) -> TextToImage:
    """The same text-to-image model with its denoiser `watched`."""
    return model._replace(denoise=watched(model.denoise, check))

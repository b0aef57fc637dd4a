"""Work behind a control: the latest request wins, nothing queues, and an idle or a closed lab leaves no thread."""

import threading
import time

import pytest
from small_models import small_text_to_image

from course_lib.labs.live import Live, droppable
from course_lib.pipeline import generate
from course_lib.runtime import CourseError

pytestmark = pytest.mark.usefixtures("one_thread")


class Stage:
    """A Live whose work waits at a gate and looks, again and again, whether it is still wanted."""

    def __init__(self):
        self.gate, self.started = threading.Event(), threading.Event()
        self.begun, self.shown, self.told, self.signs = [], [], [], []
        self.live = Live(self.work, self.shown.append, self.told.append, self.signs.append)

    def work(self, request, check):
        self.begun.append(request)
        self.started.set()
        while not self.gate.is_set():
            check()
            time.sleep(0.002)
        if isinstance(request, Exception):
            raise request
        return request


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "course_lib lab"]


def test_of_many_requests_the_first_is_dropped_midway_and_only_the_last_is_answered():
    stage = Stage()
    stage.live.ask(0)
    assert stage.started.wait(5)
    for request in range(1, 30):
        stage.live.ask(request)
    stage.gate.set()
    assert stage.live.wait(5)
    assert stage.begun[0] == 0 and len(stage.begun) <= 3, "requests queued up"
    assert stage.shown == [29] and stage.told == [] and stage.signs == [True, False]


def test_the_thread_ends_with_the_work_and_comes_back_for_more():
    stage = Stage()
    stage.gate.set()
    for request in range(3):
        stage.live.ask(request)
        assert stage.live.wait(5)
        assert threads() == []
    assert stage.shown == [0, 1, 2]


def test_closing_drops_what_is_going_on():
    stage = Stage()
    stage.live.ask(0)
    assert stage.started.wait(5)
    stage.live.close()
    assert stage.live.wait(5) and stage.shown == [] and threads() == []


@pytest.mark.parametrize("error, words", [(CourseError("Give a seed."), "Give a seed."),
                                          (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero")])
def test_an_error_is_told_and_the_next_request_is_answered(error, words):
    stage = Stage()
    stage.gate.set()
    stage.live.ask(error)
    assert stage.live.wait(5)
    assert len(stage.told) == 1 and words in stage.told[0] and "\n" not in stage.told[0] and stage.shown == []
    stage.live.ask("fine")
    assert stage.live.wait(5) and stage.shown == ["fine"] and stage.signs[-1] is False


def test_a_model_looks_at_every_step_whether_it_is_still_wanted():
    model, looks = small_text_to_image(), []
    watched = generate("a red house", 3, steps=5, model=droppable(model, lambda: looks.append(1)))
    assert len(looks) == 5  # guided: both guesses go through the network as one batch
    assert (watched.pictures == generate("a red house", 3, steps=5, model=model).pictures).all()

    class Enough(Exception):
        pass

    def enough():
        looks.append(1)
        if len(looks) == 8:
            raise Enough

    with pytest.raises(Enough):
        generate("a red house", 3, steps=50, model=droppable(model, enough))
    assert len(looks) == 8

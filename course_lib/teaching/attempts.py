"""A student's notebook, run: which exercises are passed, and what went wrong with the others.

Each notebook has a process and an empty home folder of its own; the notebook itself is not there, only its cells. This
keeps accidents apart. It is no sandbox: whoever means harm can do what the user who grades can do.
"""

import ast
import json
import math
import os
import queue
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from typing import Iterator

from course_lib.checks.core import FAILED, NOT_TRIED, PASSED
from course_lib.runtime import ROOT
from course_lib.teaching.exercises import KEY, Chapter, checks_called, parse
from course_lib.teaching.needed import needed_cells
from course_lib.teaching.worker import too_long

START_SECONDS, GRACE_SECONDS = 120, 3
MEMORY = 4 * 2**30
EXERCISE_SHARE, CELL_SHARE = 1 / 4, 1 / 2  # of a notebook's seconds, for one exercise and for any other cell


@dataclass
class Attempt:
    """statuses: exercise -> "passed", "failed" or "not tried"; problems: a sentence for each that failed, or so."""

    statuses: dict[str, str]
    problems: list[str] = field(default_factory=list)

    def fail(self, name: str, why: str) -> None:
        self.statuses[name] = FAILED
        self.problems.append(f"{name}: {why}")


def same_code(one: str, other: str) -> bool:
    try:
        return ast.dump(parse(one)) == ast.dump(parse(other))
    except SyntaxError:
        return one.strip() == other.strip()


def places_of(cells: list, chapter: Chapter) -> dict[str, int]:
    """exercise -> the place of the code cell that calls its check, the last one if there are several."""
    return {name: place for place, cell in enumerate(cells) for name in checks_called(cell.source)
            if name in chapter.exercises}


def attempt(notebook, chapter: Chapter, seconds: float) -> Attempt:
    """What a handed-in notebook of a chapter is worth, found in at most so many seconds and the time to start."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    places = places_of(cells, chapter)
    result = Attempt(dict.fromkeys(chapter.exercises, NOT_TRIED))
    for name in chapter.exercises:
        if name not in places and any(cell.metadata.get(KEY) == name for cell in cells):
            result.problems.append(f"{name}: the line that calls the check is gone.")
    tried = {name: place for name, place in places.items()
             if not same_code(cells[place].source, chapter.exercises[name])}
    run_tried([cell.source for cell in cells], tried, seconds, result)
    return result


def run_tried(sources: list[str], tried: dict[str, int], seconds: float, result: Attempt) -> None:
    """Fill in the verdicts of the exercises in `tried` (name -> place of its cell).

    A cell that ends its process is left out of the next one, which goes on with the exercises that are left.
    """
    left, banned, clock = dict(tried), set(), Clock(seconds)
    while left:
        place, why = run_once(sources, left, banned, clock, result)
        blamed = [name for name in left if place is None or left[name] == place]
        for name in blamed:
            result.fail(name, why)
            del left[name]
        if clock.is_over():
            for name in left:
                result.fail(name, f"There was no time left for it after {seconds:.0f} seconds.")
            return
        banned.add(place)


def run_once(sources: list[str], left: dict[str, int], banned: set[int], clock: "Clock",
             result: Attempt) -> tuple[int | None, str]:
    """Run, in one process, the exercises that are left, and take out of `left` those that get a verdict.

    Returns (the place of the cell at which the process ended too early, why); None for the place if it was at none.
    """
    plan = []
    for place in needed_cells(sources, set(left.values())):
        if place not in banned:
            plan += [(place, name) for name in left if left[name] == place] or [(place, None)]
    place, why = None, "It could not be run."
    for event in events(sources, plan, clock):
        if event["event"] == "start":
            place, name = plan[event["cell"]]
        elif event["event"] == "verdict" and event["exercise"] == name and name in left:
            del left[name]
            result.statuses[name] = event["status"]
            if event["status"] == FAILED:
                result.problems.append(f"{name}: {event['message']}")
        elif event["event"] == "gone":
            why = event["why"]
    return place, why


@dataclass
class Clock:
    """A notebook's time, which runs from the moment when its first process is ready."""

    seconds: float
    end: float = math.inf

    def start(self) -> None:
        self.end = min(self.end, time.monotonic() + self.seconds)

    def is_over(self) -> bool:
        return time.monotonic() >= self.end


def events(sources: list[str], plan: list[tuple[int, str | None]], clock: Clock) -> Iterator[dict]:
    """What the process reports that runs the planned cells; {"event": "gone", "why": a sentence} if it ends early."""
    token = secrets.token_hex(16)
    cells = [{"source": sources[place], "exercise": name,
              "seconds": clock.seconds * (EXERCISE_SHARE if name else CELL_SHARE)} for place, name in plan]
    job = json.dumps({"token": token, "memory": MEMORY, "cells": cells}).encode()
    with tempfile.TemporaryDirectory(prefix="grading-", ignore_cleanup_errors=True) as home:
        process = start(job, home)
        lines: queue.Queue = queue.Queue()
        threading.Thread(target=listen, args=(process, token, lines), daemon=True).start()
        deadline, why = min(clock.end, time.monotonic() + START_SECONDS), "The process took too long to start."
        try:
            while (event := next_event(lines, process, deadline)) is not None:
                yield event
                if event["event"] == "ready":
                    clock.start()
                elif event["event"] == "start":
                    own = cells[event["cell"]]["seconds"]
                    deadline, why = min(clock.end, time.monotonic() + own + GRACE_SECONDS), too_long(own)
                elif event["event"] == "end":
                    return
            status = process.poll()
            yield {"event": "gone", "why": why if status is None else f"It ended its process (status {status})."}
        finally:
            stop(process)


def start(job: bytes, home: str) -> subprocess.Popen:
    """The worker, at work on a job, with a home and a temporary folder that nobody else uses."""
    homes = dict.fromkeys(("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "IPYTHONDIR", "MPLCONFIGDIR",
                           "JUPYTER_CONFIG_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), home)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, "-m", "course_lib.teaching.worker"], cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, start_new_session=True,
        env=os.environ | homes | {"PYTHONPATH": path, "MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": "1"})
    try:
        process.stdin.write(job)
        process.stdin.close()
    except BrokenPipeError:  # it died at once; that it did is found out soon enough
        pass
    return process


def listen(process: subprocess.Popen, token: str, lines: queue.Queue) -> None:
    """Put what the worker reports into a queue; what has not its token is none of its words."""
    for line in process.stdout:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("token") == token:
            lines.put(event)


def next_event(lines: queue.Queue, process: subprocess.Popen, deadline: float) -> dict | None:
    """The next event; None if the process has gone or the deadline has passed without one."""
    while True:
        gone = process.poll() is not None  # asked first: what it said before it went is in the queue soon after
        try:
            return lines.get(timeout=0.2)
        except queue.Empty:
            if gone or time.monotonic() >= deadline:
                return None


def stop(process: subprocess.Popen) -> None:
    """End the worker and all that it has started, as far as these have not left its group."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except ProcessLookupError:
        pass
    process.wait()


def passed(result: Attempt) -> int:
    return sum(status == PASSED for status in result.statuses.values())

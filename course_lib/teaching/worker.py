"""One student's cells, run in a process of their own: `python -m course_lib.teaching.worker`, started by attempts.py.

What to run comes in on stdin as one JSON object, {"token": ..., "memory": bytes, "cells": [{"source": ..., "exercise":
name or null, "seconds": ...}]}. What happened goes out, a JSON object a line, on what was stdout: {"token": ...,
"event": "ready" | "start" | "verdict" | "end", ...}. The student's code gets another stdout, which leads nowhere, and
the token never stands in a name that it can see.

An exercise's verdict is not what its cell shows. The call of the check is taken out of the cell; the rest runs; then
its arguments are worked out among the student's names, and the check that was imported here, before any of the
student's code ran, is called with them.
"""

import ast
import importlib
import json
import os
import signal
import sys
from typing import Callable

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from course_lib.checks.core import FAILED, Verdict
from course_lib.teaching.exercises import check_calls, parse


class OutOfTime(BaseException):
    """No Exception, so that a student's `except Exception` lets it pass."""


def take_streams() -> tuple[dict, Callable[..., None]]:
    """(the job, how to report an event). Leaves the standard streams leading nowhere."""
    job, owner = json.loads(sys.stdin.buffer.read()), os.getpid()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    token = job.pop("token")

    def report(event: str, **details) -> None:
        if os.getpid() != owner:  # a copy that the student's code has forked
            os._exit(0)
        out.write(json.dumps({"token": token, "event": event, **details}) + "\n")
        out.flush()

    return job, report


def limit_memory(size: int) -> None:
    """Let a greedy cell meet a MemoryError, not the machine its end, where the system can do that (Linux)."""
    try:
        import resource
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    except (ImportError, ValueError, OSError):
        pass


def within(seconds: float, action: Callable):
    """What `action` returns. Raises OutOfTime, where there are alarms; elsewhere the parent ends this process."""
    if not hasattr(signal, "setitimer"):
        return action()

    def ring(*_):
        raise OutOfTime

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.5)  # again and again: a bare `except:` may swallow the first
    try:
        return action()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def library() -> dict:
    """module -> a copy of its names, for all that is loaded of course_lib."""
    return {module: dict(vars(module)) for name, module in list(sys.modules.items())
            if name.partition(".")[0] == "course_lib"}


def run_exercise(source: str, name: str, names: dict, checks: dict, whole: dict) -> Verdict:
    """The real check's verdict on the arguments that an exercise's cell gives to it, after the rest of the cell ran."""
    tree = parse(source)
    calls = [call for called, call in check_calls(tree) if called == name]
    tree.body = [statement for statement in tree.body if name not in dict(check_calls(statement))]
    exec(compile(tree, "<exercise>", "exec"), names)
    arguments = ast.Expression(ast.Tuple(calls[-1].args, ast.Load()))
    answers = eval(compile(ast.fix_missing_locations(arguments), "<exercise>", "eval"), names)
    for module, content in whole.items():  # a patched library would call a wrong answer right
        vars(module).update(content)
    return checks[name](*answers)


def too_long(seconds: float) -> str:
    return f"It ran for more than {seconds:g} seconds."


def reason(error: BaseException, seconds: float) -> str:
    if isinstance(error, OutOfTime):
        return too_long(seconds)
    if isinstance(error, SystemExit):
        return "It called exit()."
    return f"The cell stopped with {type(error).__name__}: {error}"


def main() -> None:
    job, report = take_streams()
    exercises = [cell["exercise"] for cell in job["cells"] if cell["exercise"]]
    checks = {}
    for name in exercises:
        module, _, function = name.partition(".")
        checks[name] = getattr(importlib.import_module(f"course_lib.checks.{module}"), function)
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    names = shell.user_ns
    names["exit"] = names["quit"] = sys.exit
    whole = library()
    limit_memory(job["memory"])
    report("ready")
    for place, cell in enumerate(job["cells"]):
        source, name, seconds = cell["source"], cell["exercise"], cell["seconds"]
        report("start", cell=place)
        try:
            if name:
                verdict = within(seconds, lambda: run_exercise(source, name, names, checks, whole))
            else:
                within(seconds, lambda: exec(compile(parse(source), "<cell>", "exec"), names))
        except BaseException as error:  # whatever a student's code may raise, exit() and an alarm among it
            verdict = Verdict(FAILED, reason(error, seconds))
        if name:
            report("verdict", exercise=name, status=verdict.status, message=verdict.message)
    report("end")
    os._exit(0)  # at once: threads that the student's code has left behind would keep this process alive


if __name__ == "__main__":
    main()

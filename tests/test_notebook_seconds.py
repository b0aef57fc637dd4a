"""The limit on a notebook's seconds: kept by the clock on an ordinary machine, in proportion on a slower one."""

from collections import Counter
from types import SimpleNamespace

import notebook_seconds
import pytest


@pytest.fixture
def run(monkeypatch):
    """Report a notebook's cells (seconds each) on a machine of some speed; returns pytest's exit status and lines."""
    monkeypatch.setattr(notebook_seconds, "spent", Counter())
    monkeypatch.setattr(notebook_seconds, "counted", Counter())
    monkeypatch.setattr(notebook_seconds, "pace", 1.0)

    def run(seconds, share_of_ordinary, status=0):
        monkeypatch.setattr(notebook_seconds, "speed", lambda: share_of_ordinary * notebook_seconds.ORDINARY)
        for i, duration in enumerate(seconds):
            notebook_seconds.pytest_runtest_logreport(
                SimpleNamespace(when="call", duration=duration, nodeid=f"notebooks/05_a.ipynb::Cell {i}"))
        session, lines = SimpleNamespace(exitstatus=status), []
        notebook_seconds.pytest_sessionfinish(session, status)
        notebook_seconds.pytest_terminal_summary(SimpleNamespace(section=lines.append, line=lines.append))
        return session.exitstatus, lines[-1]

    return run


@pytest.mark.parametrize("seconds, share, status, line", [
    ([50, 39], 1, 0, "05_a.ipynb: 89 s, counts 89"),
    ([50, 41], 1, 1, "05_a.ipynb: 91 s, counts 91, more than 90: FAILED"),
    ([50, 41], 0.5, 0, "05_a.ipynb: 91 s, counts 46"),  # a slow machine has longer
    ([100, 90], 0.5, 1, "05_a.ipynb: 190 s, counts 95, more than 90: FAILED"),
    ([50, 39], 3, 0, "05_a.ipynb: 89 s, counts 89"),  # a fast one has no less
])
def test_a_limit_that_knows_the_machine(run, seconds, share, status, line):
    assert run(seconds, share) == (status, line)


def test_a_run_that_failed_keeps_its_own_status(run):
    assert run([100], 1, status=2)[0] == 2


def test_the_speed_is_that_of_a_real_convolution():
    assert 1e8 < notebook_seconds.speed() < 1e14

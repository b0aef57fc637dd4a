"""A pytest plugin for the notebooks' run: adds up each notebook's seconds, prints them, and holds them to the limit.

Loaded by `start.py test` beside nbval (`-p tests.notebook_seconds`).
"""

from collections import Counter
from pathlib import Path

LIMIT = 90  # seconds for a whole notebook on two cores: what a room full of learners will wait for
spent = Counter()


def pytest_runtest_logreport(report):
    spent[Path(report.nodeid.split("::")[0]).name] += report.duration


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("seconds a notebook")
    for name, seconds in sorted(spent.items()):
        terminalreporter.line(f"{name}: {seconds:.0f} s{f', more than {LIMIT}' if seconds > LIMIT else ''}")


def pytest_sessionfinish(session, exitstatus):
    if exitstatus == 0 and any(seconds > LIMIT for seconds in spent.values()):
        session.exitstatus = 1

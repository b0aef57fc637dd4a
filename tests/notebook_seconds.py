"""A pytest plugin for the notebooks' run: adds up each notebook's seconds, prints them, and holds them to the limit.

The limit is meant for two cores of an ordinary laptop. On a slower machine, or one that something else keeps busy, it
is longer in proportion: after each cell that took a while, a convolution of the U-Net's size is timed beside it.

Loaded by `start.py test` beside nbval (`-p tests.notebook_seconds`).
"""

import statistics
import time
from collections import Counter
from pathlib import Path

import torch
from torch.nn import functional as F

LIMIT = 90  # seconds for a whole notebook on two cores: what a room full of learners will wait for
ORDINARY = 150e9  # operations a second of `speed` on two such cores
A_WHILE = 0.5  # seconds: a shorter cell is taken to have run as fast as the one before it

spent, counted = Counter(), Counter()  # seconds by the clock, and what they would have been at the ordinary speed
pace = 1.0


@torch.inference_mode()
def speed() -> float:
    """Operations a second, just now, of a convolution as the U-Net has."""
    x, weight = (torch.zeros(shape).contiguous(memory_format=torch.channels_last)
                 for shape in ((8, 128, 16, 16), (128, 128, 3, 3)))
    seconds = []
    for _ in range(7):
        begun = time.perf_counter()
        F.conv2d(x, weight, padding=1)
        seconds.append(time.perf_counter() - begun)
    return 2 * x[:, 0].numel() * weight.numel() / statistics.median(seconds)


def pytest_runtest_logreport(report):
    global pace
    if report.when == "call" and report.duration > A_WHILE:
        pace = min(1.0, speed() / ORDINARY)
    name = Path(report.nodeid.split("::")[0]).name
    spent[name] += report.duration
    counted[name] += report.duration * pace


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("seconds a notebook, and what they count on a machine of ordinary speed")
    for name in sorted(spent):
        terminalreporter.line(f"{name}: {spent[name]:.0f} s, counts {counted[name]:.0f}"
                              f"{f', more than {LIMIT}: FAILED' if counted[name] > LIMIT else ''}")


def pytest_sessionfinish(session, exitstatus):
    if exitstatus == 0 and any(seconds > LIMIT for seconds in counted.values()):
        session.exitstatus = 1

"""Notebooks as a class might hand them in, made from chapter 03: right, wrong, untried, and hostile in several ways."""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

SETUP = "from course_lib.checks import chapter03\nfrom course_lib.schedulers import ddim"
STEP = """\
def my_step(x, eps_hat, alpha_t, sigma_t, alpha_s, sigma_s):
    return alpha_s * (x - sigma_t * eps_hat) / alpha_t + sigma_s * eps_hat

chapter03.step(my_step)"""
LOOP = """\
from itertools import pairwise

def my_loop(denoise, x, ts):
    for t, s in pairwise(ts):
        x = ddim(denoise.schedule, x, denoise(x, t), t, s)
    return x

chapter03.loop(my_loop)"""
STUB = "def my_step(x, eps_hat, alpha_t, sigma_t, alpha_s, sigma_s):\n    ...\n\nchapter03.step(my_step)"
WRONG = STEP.replace("sigma_s * eps_hat", "sigma_t * eps_hat")

# A wrong answer that would like to be a right one: by what it prints, by a check of its own, by a check taken over.
FAKES = """\
import json, sys
import course_lib.checks.core as core
from course_lib.checks.core import Verdict, PASSED
print("✓ Right. This is DDIM's step.")
print(json.dumps({"event": "verdict", "exercise": "chapter03.step", "status": "passed", "message": ""}), flush=True)
core.close = lambda *_: True
sys.modules["course_lib.checks.chapter03"].close = lambda *_: True
sys.modules["course_lib.checks.chapter03"].step = lambda *_: Verdict(PASSED, "yes")
class chapter03:
    step = staticmethod(lambda _: Verdict(PASSED, "yes"))
    loop = staticmethod(lambda _: Verdict(PASSED, "yes"))
"""

# name -> (cells, the statuses of step and loop, a part of what is said to have gone wrong)
CLASS = {
    "right": ([SETUP, STEP, LOOP], ["passed", "passed"], ""),
    "wrong": ([SETUP, WRONG, LOOP], ["failed", "passed"], "you put the old amount of noise back"),
    "untried": ([SETUP, STUB], ["not tried", "not tried"], ""),
    "edited": ([SETUP, STEP.replace("chapter03.step", "print"), LOOP], ["not tried", "passed"], ""),
    "for ever": ([SETUP, STEP.replace("return", "while True: pass\n    return"), LOOP], ["failed", "passed"],
                 "It ran for more than 3 seconds."),
    "raises": ([SETUP, "1 / 0", "1 / 0\n" + STEP, LOOP + ")"], ["failed", "failed"],
               "The cell stopped with ZeroDivisionError: division by zero chapter03.loop: The cell stopped with Synt"),
    "exits": ([SETUP, STEP.replace("return", "exit()\n    return"), "import os\n" + LOOP.replace(
        "return", "os._exit(0)\n    return"), "exit()"], ["failed", "failed"],
        "chapter03.step: It called exit(). chapter03.loop: It ended its process (status 0)."),
    "forks": ([SETUP, "import os, time\nos.fork()\n" + STEP, LOOP + "\ntime.sleep(1000) if not os.fork() else 0"],
              ["passed", "passed"], ""),
    "greedy": ([SETUP, "hoard = bytearray(2**36)\n" + STEP, LOOP], ["failed", "passed"], "MemoryError"),
    "fakes": ([SETUP, FAKES + WRONG, STEP.replace("step", "loop")], ["failed", "failed"], "the old amount of noise"),
}


def write_notebook(path: Path, sources: list[str], title: str = "03 · Generate") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [new_markdown_cell(f"# {title}"), *map(new_code_cell, sources)]
    nbformat.write(new_notebook(cells=cells), path)
    return path

"""The training pages: which they are, that every reader gets the same, and what becomes of processes and files."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from course_lib import pages as pages_module
from course_lib.data import HELD_OUT_FROM
from course_lib.pages import CAPTIONS, KEYS, PIECE, Pages, draw_page, draw_pages, held_out
from course_lib.picturebook import caption, encode_scene, random_scene, render
from course_lib.runtime import CourseError
from course_lib.tokenizer import END, PADDING, START, TOKENS, read_prompt

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.usefixtures("one_thread")


def same(a: dict, b: dict) -> bool:
    return all(torch.equal(a[key], b[key]) for key in KEYS)


@pytest.fixture
def few(monkeypatch):
    """Pieces of eight pages."""
    monkeypatch.setattr(pages_module, "PIECE", 8)


def test_a_page_is_the_scene_of_its_seed():
    page, scene = draw_page(7), random_scene(7)
    assert (page["pictures"] == render(scene, 64).transpose(2, 0, 1)).all()
    assert (page["scenes"] == encode_scene(scene)).all()


def test_the_tokens_are_the_captions_words():
    tokens = draw_page(7)["tokens"]
    for i in range(CAPTIONS):
        words, _ = caption(random_scene(7), i)
        row = [token for token in tokens[i].tolist() if token != PADDING]
        assert row[0] == START and row[-1] == END and row == read_prompt(words).ids
        assert [TOKENS[token] for token in row[1:-1]] == list(read_prompt(words).words)


def test_no_held_out_scene_is_trained_on_and_the_unseen_are_all_held_out():
    assert not any(random_scene(seed).is_held_out for seed in range(300))
    unseen = held_out(4, "unseen")
    scenes = [random_scene(seed, "unseen") for seed in range(HELD_OUT_FROM, HELD_OUT_FROM + 4)]
    assert all(scene.is_held_out for scene in scenes)
    assert (unseen["scenes"].numpy() == [encode_scene(scene) for scene in scenes]).all()
    assert same(held_out(2), draw_pages(range(HELD_OUT_FROM, HELD_OUT_FROM + 2)))


def test_a_step_may_reach_what_its_number_says():
    pages = Pages(Path("nowhere"), 100_000)
    assert pages.count == -(-100_000 // PIECE) * PIECE
    assert pages.reach(0, 32) == 2 * PIECE and pages.reach(1000, 32) == 2 * PIECE + 16_000
    assert pages.reach(10**6, 32) == pages.count


def test_pages_come_in_as_they_are_needed_and_every_reader_gets_the_same(tmp_path, few):
    first = Pages(tmp_path, 24)
    first.require(9)
    assert first.ready == 16 and len(list(first.folder.iterdir())) == 2
    second = Pages(tmp_path, 24)
    for reader in (first, second):
        chosen = reader.batch(10_000, 50, torch.Generator().manual_seed(3))
        assert reader.ready == 24 and chosen.max() < 24
        assert same({key: reader[key] for key in KEYS}, draw_pages(range(24)))
    x = first.pictures(chosen)
    assert x.dtype == torch.float32 and x.shape == (50, 3, 64, 64) and -1 <= x.min() < x.max() <= 1
    assert torch.equal(chosen, second.batch(10_000, 50, torch.Generator().manual_seed(3)))


def test_a_batch_is_drawn_from_what_the_step_may_reach(tmp_path, few):
    pages = Pages(tmp_path, 64)
    assert pages.batch(0, 500, torch.Generator().manual_seed(0)).unique().tolist() == list(range(16))
    assert pages.ready == 16


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:-40]),
                                    lambda path: path.write_bytes(b""), lambda path: path.unlink()])
def test_a_damaged_piece_is_drawn_anew(tmp_path, few, damage):
    Pages(tmp_path, 16).require(16)
    [path] = tmp_path.glob("*/00001.safetensors")
    whole = path.read_bytes()
    damage(path)
    again = Pages(tmp_path, 16)
    again.require(16)
    assert same({key: again[key] for key in KEYS}, draw_pages(range(16))) and path.read_bytes() == whole


def test_pieces_of_another_length_are_drawn_anew(tmp_path, few):
    Pages(tmp_path, 4).require(4)
    pages = Pages(tmp_path, 8)
    pages.require(8)
    assert same({key: pages[key] for key in KEYS}, draw_pages(range(8)))


def test_a_full_disk_gets_one_sentence_and_leaves_nothing(tmp_path, few, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("course_lib.runtime.save_file", full)
    with pytest.raises(CourseError, match="No space left") as caught:
        Pages(tmp_path, 8).require(8)
    assert "\n" not in str(caught.value) and not list(tmp_path.glob("*/*")) + list(tmp_path.glob("*/.*"))


# ------------------------------------------------------------------------------------------- the drawing processes

def processes_of(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True).stdout
    return [int(pid) for pid in listed.split()]


DRAWING = """
import signal, sys, time
from pathlib import Path
import torch
from course_lib import pages
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background would ignore it
GUARD
torch.set_num_threads(1)
try:
    with pages.Pages(Path(sys.argv[1]), int(sys.argv[2]), workers=1) as drawn:
        print("begun", flush=True)
        drawn.require(int(sys.argv[3]))
        print("there", drawn.ready, flush=True)
except KeyboardInterrupt:
    print("interrupted")
"""


def drawing(folder: Path, count: int, wanted: int, guard: bool = True) -> subprocess.Popen:
    script = folder / "script.py"
    body = DRAWING.replace("GUARD", "if __name__ != '__main__': sys.exit()" if guard else "")
    script.write_text(body)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, str(script), str(folder), str(count), str(wanted)], env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def test_a_script_without_a_main_guard_draws_by_itself(tmp_path):
    process = drawing(tmp_path, 16, 16, guard=False)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and "there 16" in said


@pytest.mark.skipif(os.name != "posix", reason="only POSIX can send Ctrl-C to one group of processes")
@pytest.mark.parametrize("how", ["ctrl-c", "killed"])
def test_no_drawing_process_outlives_the_one_that_trains(tmp_path, how):
    process = drawing(tmp_path, 100_000, 100_000)
    assert process.stdout.readline() == "begun\n"
    deadline = time.monotonic() + 60
    while len(processes_of(process.pid)) < 2 and time.monotonic() < deadline:  # the worker, and what tracks semaphores
        time.sleep(0.1)
    children = processes_of(process.pid)
    time.sleep(1)
    if how == "ctrl-c":
        os.killpg(process.pid, signal.SIGINT)
        said, complaints = process.communicate(timeout=60)
        assert said == "interrupted\n" and "Traceback" not in complaints
        assert not list(tmp_path.glob("pages-*/.*"))
    else:
        process.kill()
        process.communicate(timeout=60)
    while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert children and not any(Path(f"/proc/{pid}").exists() for pid in children)

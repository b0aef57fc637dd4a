"""The grade report: right verdicts, whatever the notebooks do, and no notebook that can change them."""

import csv
import os
import sys

import pytest
from commands import run
from handed_in import CLASS, LOOP, SETUP, STEP, write_notebook

from course_lib import notebooks
from course_lib.runtime import CourseError
from course_lib.teaching import attempts, grade
from course_lib.teaching.needed import needed_cells

ORIGINAL = notebooks.FOLDER / "03_generate.ipynb"
NAMES = [name for name in CLASS if (name != "forks" or hasattr(os, "fork"))
         and (name != "greedy" or sys.platform == "linux")]  # where memory can be limited
ODD = {"damaged.ipynb": "It cannot be read as a notebook", "list.ipynb": "It cannot be read as a notebook",
       "other.ipynb": "It is none of the course's chapters."}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A class's notebooks, graded once by the command: name -> row."""
    folder = tmp_path_factory.mktemp("class")
    for name in NAMES:
        write_notebook(folder / "handed in" / name / "03_generate.ipynb", CLASS[name][0])
    (folder / "damaged.ipynb").write_text(ORIGINAL.read_text(encoding="utf-8")[:-400], encoding="utf-8")
    (folder / "list.ipynb").write_text("[1, 2]", encoding="utf-8")
    write_notebook(folder / "other.ipynb", ["1 / 0"], title="My own")
    write_notebook(folder / ".ipynb_checkpoints" / "03-checkpoint.ipynb", [SETUP, STEP])
    before = {path: path.read_bytes() for path in folder.rglob("*.ipynb")}
    out = folder / "grades.csv"
    assert run("grade", folder, "--seconds", 12, "--out", out) == 0
    assert before == {path: path.read_bytes() for path in folder.rglob("*.ipynb")}
    with open(out, encoding="utf-8", newline="") as file:
        return {row["notebook"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", NAMES)
def test_each_gets_what_it_deserves(report, name):
    row, (_, statuses, words) = report[f"handed in/{name}/03_generate.ipynb"], CLASS[name]
    assert [row["chapter03.step"], row["chapter03.loop"]] == statuses
    assert [row["chapter03.calls"], row["chapter03.enough"]] == ["not tried", "not tried"]
    assert row["chapter"] == "03 · Generate" and row["of"] == "4" and int(row["passed"]) == statuses.count("passed")
    assert words in row["what went wrong"] and bool(words) == bool(row["what went wrong"])


def test_what_is_no_chapter_has_a_row_too(report):
    assert len(report) == len(NAMES) + len(ODD)
    for name, words in ODD.items():
        assert report[name]["what went wrong"].startswith(words)
        assert not report[name]["chapter03.step"] and not report[name]["passed"]


def test_an_exercise_whose_call_is_gone_is_found_by_its_mark(tmp_path):
    path = write_notebook(tmp_path / "a.ipynb", [SETUP, STEP.replace("chapter03.step(my_step)", "my_step")])
    notebook = notebooks.read(path)
    notebook.cells[2].metadata["exercise"] = "chapter03.step"
    row = grade.grade("a", notebooks.nbformat.writes(notebook).encode(),
                      [grade.describe(notebooks.read(ORIGINAL))], 12)
    assert row.statuses["chapter03.step"] == "not tried"
    assert row.problems == ["chapter03.step: the line that calls the check is gone."]


def test_when_the_time_is_up_the_rest_is_told_so(monkeypatch):
    def hang(sources, left, banned, clock, result):
        clock.end = 0.0
        return 1, "It hung."

    monkeypatch.setattr(attempts, "run_once", hang)
    result = attempts.Attempt({})
    attempts.run_tried(["", "", ""], {"a": 1, "b": 2}, 5, result)
    assert result.statuses == {"a": "failed", "b": "failed"}
    assert result.problems == ["a: It hung.", "b: There was no time left for it after 5 seconds."]


# ------------------------------------------------------------------------------------------- which cells are needed

@pytest.mark.parametrize("sources, kept", [
    (["import a", "import b", "x = a.f()", "y = 2", "check(x)"], [0, 2, 4]),
    (["x = 1", "x = 2", "check(x)"], [1, 2]),  # the first is bound anew
    (["x = 1", "if y: x = 2", "check(x)"], [0, 1, 2]),
    (["x = 1", "x += 1", "check(x)"], [0, 1, 2]),
    (["x = {}", "x['a'] = 1", "x.update(b=2)", "print(x)", "check(x)"], [0, 1, 2, 4]),
    (["n = Network()", "for loss in fit(n):\n    losses = loss", "check(n)"], [0, 1, 2]),
    (["k = 1", "def f(x):\n    y = x\n    return k * y", "k = 2", "x, y = 3, 4", "check(f)"], [0, 1, 2, 4]),
    (["x = 1", "y = [x for x in range(3)]", "for x in y:\n    print(x)", "check(y)"], [1, 3]),
    (["from a import *", "x = 1", "check(f)"], [0, 2]),
    (["x = (", "%time x = 1", "!ls", "check(x)"], [1, 3]),
    (["check(x)", "x = 1"], [0]),
])
def test_only_what_an_exercise_uses_is_run(sources, kept):
    wanted = next(place for place, source in enumerate(sources) if source.startswith("check"))
    assert needed_cells(sources, {wanted}) == kept


# ------------------------------------------------------------------------------------------------------- bad input

def test_bad_input_gets_one_sentence_and_no_report(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    full = write_notebook(tmp_path / "full" / "a.ipynb", [SETUP, LOOP]).parent
    before = sorted(tmp_path.rglob("*"))
    for arguments, words in [
            ([tmp_path / "none"], "There is no folder"), ([tmp_path / "empty"], "There is no notebook in"),
            ([full / "a.ipynb"], "There is no folder"), ([full, "--out", full], "it is a folder"),
            ([full, "--out", full / "a.ipynb" / "x.csv"], "Cannot write"),
            ([full, "--seconds", "0"], "above 0"), ([], "folder")]:
        assert run("grade", *arguments) == 2
        error = capsys.readouterr().err
        assert words in error and "Traceback" not in error
    assert sorted(tmp_path.rglob("*")) == before


def test_without_the_course_there_is_nothing_to_compare_with():
    with pytest.raises(CourseError, match="own chapters"):
        list(grade.grade_all({"a": b""}, 1, [], notebooks.read))


def test_no_cell_of_the_report_is_a_formula(tmp_path):
    row = grade.Row("=1+1.ipynb", "03", 0, {"chapter03.step": "failed"}, ["@SUM(1)\nand more"], 0.0)
    grade.write_report([row], tmp_path / "grades.csv")
    with open(tmp_path / "grades.csv", encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[1] == ["'=1+1.ipynb", "03", "0", "1", "failed", "'@SUM(1) and more"]


def test_a_notebook_that_was_changed_meanwhile_is_named(tmp_path):
    path = write_notebook(tmp_path / "a.ipynb", [SETUP])
    found = grade.find_notebooks(tmp_path)
    assert grade.changed(tmp_path, found) == []
    path.write_text("gone")
    assert grade.changed(tmp_path, found) == ["a.ipynb"]

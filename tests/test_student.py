"""A student's copy: no solution in it, every exercise marked and still to do, all else as it was."""

import nbformat
import pytest
from commands import run
from handed_in import LOOP, SETUP, write_notebook
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_lib import notebooks
from course_lib.teaching import exercises
from course_lib.teaching.student import without_solutions

CHAPTERS = sorted(notebooks.FOLDER.glob("*.ipynb"))
every_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


@every_chapter
def test_nothing_is_left_of_the_solutions_and_all_else_stays(path):
    notebook = notebooks.read(path)
    copied, number, left_out = without_solutions(notebook)
    assert not [cell for cell in copied.cells if "solution" in exercises.tags(cell)]
    assert not [cell for cell in copied.cells if "<summary>Solution" in cell.source]
    rest = [cell for cell in notebook.cells if "solution" not in exercises.tags(cell)]
    assert left_out == len(notebook.cells) - len(rest) and len(rest) == len(copied.cells)
    marked = [cell for cell in copied.cells if exercises.KEY in cell.metadata]
    assert len(marked) == number == sum("exercise" in exercises.tags(cell) for cell in notebook.cells)
    assert len({cell.metadata[exercises.KEY] for cell in marked}) == number, "two exercises have the same check"
    for before, after in zip(rest, copied.cells):
        assert (before.source, before.cell_type, before.id) == (after.source, after.cell_type, after.id)
        if after in marked:
            assert after.outputs == [] and after.execution_count is None
            assert after.metadata[exercises.KEY].startswith(f"chapter{path.stem[:2]}.")
        elif after.cell_type == "code":
            assert before.outputs == after.outputs
    nbformat.validate(copied)


@pytest.mark.parametrize("source, names", [
    ("a = 1\nchapter03.loop(a)", ["chapter03.loop"]), ("print(chapter03.loop(a))", ["chapter03.loop"]),
    ("verdict = chapter03.loop(a)", ["chapter03.loop"]), ("chapter03.loop(a))", ["chapter03.loop"]),
    ("# chapter03.loop(a)", []), ("def f():\n    chapter03.loop(a)", []), ("chapter3.loop(a)", []),
    ("x = chapter03.distance(4)\nchapter03.enough(x)", ["chapter03.distance", "chapter03.enough"]),
    ("%time chapter03.loop(a)", []), ("!ls\nchapter03.loop(a)", ["chapter03.loop"]),
])
def test_an_exercise_is_known_by_its_check(source, names):
    assert exercises.checks_called(source) == names


def test_the_command_writes_all_or_nothing(tmp_path, capsys):
    out = tmp_path / "student"
    assert run("student", CHAPTERS[0], "--out", out) == 0
    # The chapters link to the glossary, which comes along.
    assert sorted(path.name for path in out.iterdir()) == [CHAPTERS[0].name, "glossary.md", "student.json"]
    assert "3 exercises" in capsys.readouterr().out
    assert run("student", CHAPTERS[1], "--out", out) == 0  # in the place of the earlier copies
    assert sorted(path.name for path in out.iterdir()) == [CHAPTERS[1].name, "glossary.md", "student.json"]


def test_a_page_that_is_linked_to_comes_along(tmp_path):
    notebook = new_notebook(cells=[new_markdown_cell("# 1\n\n[a](terms.md#a) [b](none.md) [c](../up.md)")])
    nbformat.write(notebook, tmp_path / "a.ipynb")
    for name in ("terms.md", "other.md"):
        (tmp_path / name).write_text("# Terms")
    assert run("student", tmp_path / "a.ipynb", "--out", tmp_path / "student") == 0
    assert sorted(path.name for path in (tmp_path / "student").iterdir()) == ["a.ipynb", "student.json", "terms.md"]


def test_bad_input_gets_one_sentence_and_no_copy(tmp_path, capsys):
    write_notebook(tmp_path / "mine.ipynb", [SETUP, LOOP])
    nbformat.write(new_notebook(cells=[new_code_cell("1", outputs=[new_output("stream", text="1")]),
                                       new_markdown_cell("# 1")]), tmp_path / "odd.ipynb")
    (tmp_path / "broken.ipynb").write_text("{")
    before = sorted(tmp_path.rglob("*"))
    for arguments, words in [
            (["none.ipynb"], "There is no notebook"), (["broken.ipynb"], "cannot be read as a notebook"),
            (["odd.ipynb"], "none of the course's chapters"),
            (["mine.ipynb", "mine.ipynb"], "Two notebooks are called"),
            (["mine.ipynb", "--out", tmp_path], "holds other things"),
            (["mine.ipynb", "--out", tmp_path / "odd.ipynb"], "is a file")]:
        where = [] if "--out" in arguments else ["--out", tmp_path / "student"]
        given = [tmp_path / name if str(name).endswith(".ipynb") else name for name in arguments]
        assert run("student", *given, *where) == 2
        assert words in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before

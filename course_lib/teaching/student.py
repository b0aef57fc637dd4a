"""A student's copy: the chapters without their solutions, every exercise cell marked so that grading finds it."""

import copy
import re
import shutil
from pathlib import Path
from typing import Callable, Iterator

import nbformat

from course_lib.offline.folder import new_folder
from course_lib.teaching.exercises import KEY, exercise_of, read_chapters, tags

LINK = re.compile(r"\]\(([\w.-]+\.md)\b")


def without_solutions(notebook) -> tuple[object, int, int]:
    """The student's copy of a notebook, the number of its exercises, and of the solutions that were left out.

    An exercise has no output yet: its verdict is the student's to get. All other outputs stay, so that the copy can be
    read, and looked up, where no kernel runs.
    """
    copied = copy.deepcopy(notebook)
    copied.cells = [cell for cell in copied.cells if "solution" not in tags(cell)]
    exercises = 0
    for cell in copied.cells:
        if name := exercise_of(cell):
            exercises += 1
            cell.outputs, cell.execution_count = [], None
            cell.metadata[KEY] = name
            cell.metadata["deletable"] = False  # JupyterLab then keeps the cell
    return copied, exercises, len(notebook.cells) - len(copied.cells)


def pages_beside(notebook, folder: Path) -> set[Path]:
    """The Markdown pages in the notebook's own folder that it links to, such as a glossary."""
    names = {name for cell in notebook.cells if cell.cell_type == "markdown" for name in LINK.findall(cell.source)}
    return {folder / name for name in names if (folder / name).is_file()}


def write_copies(paths: list[Path], out: Path, read: Callable) -> Iterator[tuple[str, int, int]]:
    """Write a student's copy of each notebook and yield (name, exercises, solutions left out) for each.

    out: the folder, made when all copies are done, with the pages beside the notebooks that they link to; read: path ->
    notebook. Raises CourseError if a notebook is none of the course's or `out` holds other things.
    """
    chapters = read_chapters(paths, read)
    with new_folder(out, "student") as folder:
        for path, notebook in chapters.items():
            copied, exercises, solutions = without_solutions(notebook)
            nbformat.write(copied, folder / path.name)
            for page in pages_beside(copied, path.parent):
                shutil.copyfile(page, folder / page.name)
            yield path.name, exercises, solutions

"""Run the chapters and keep them tidy: `python -m course_lib notebooks`, by which notebooks are committed."""

import time
from pathlib import Path
from typing import Iterator

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from course_lib.runtime import ROOT, CourseError, write_atomically

FOLDER = ROOT / "notebooks"


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Drop what differs from run to run and means nothing to a reader: widget state, timings, the kernel's version."""
    notebook.metadata = nbformat.from_dict({
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"}})
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})


def read(path: Path) -> nbformat.NotebookNode:
    """The notebook at `path`, in the format of version 4. Raises CourseError if there is none."""
    advice = "give paths such as notebooks/01_noise.ipynb."
    if not path.is_file():
        raise CourseError(f"There is no notebook {path}: {advice}")
    try:
        return nbformat.read(path, as_version=4)
    except (nbformat.ValidationError, nbformat.reader.NotJSONError, UnicodeDecodeError):
        raise CourseError(f"{path} cannot be read as a notebook: {advice}") from None


def run_notebook(path: Path, timeout: int = 90, widgets: bool = False) -> nbformat.NotebookNode:
    """The notebook at `path` as it stands after a run from a clean kernel; the file is left as it was.

    timeout: seconds for each cell; widgets: keep the widgets' state, in the notebook's metadata. Raises CourseError if
    there is no such notebook, or naming the cell's error.
    """
    notebook = read(path)
    client = NotebookClient(notebook, timeout=timeout, kernel_name="python3", store_widget_state=widgets,
                            resources={"metadata": {"path": str(path.parent)}})
    try:
        client.execute()
    except CellExecutionError as error:
        raise CourseError(f"{path.name} stopped: {error.ename}: {error.evalue}") from None
    except (CellTimeoutError, DeadKernelError) as error:
        raise CourseError(f"{path.name} stopped: {error}") from None
    return notebook


def run_notebooks(paths: list[Path], timeout: int = 90) -> Iterator[tuple[Path, float]]:
    """Run each notebook from a clean kernel, write it back with its outputs, and yield (path, seconds it took).

    A notebook in which a cell fails is left as it was. Raises CourseError naming the cell.
    """
    for path in paths:
        begun = time.monotonic()
        notebook = run_notebook(path, timeout)
        tidy(notebook)
        write_atomically(path, lambda name: nbformat.write(notebook, name))
        yield path, time.monotonic() - begun

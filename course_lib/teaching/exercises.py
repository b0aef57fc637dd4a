"""What a chapter asks: its exercises, each known by the check that it ends with, such as "chapter03.loop"."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator

from IPython.core.inputtransformer2 import TransformerManager

from course_lib.runtime import CourseError

KEY = "exercise"  # in the metadata of a student's exercise cells: the exercise's name
CALL = re.compile(r"^[ \t]*(?:\w+[ \t]*=[ \t]*|print\()?(chapter\d\d\.\w+)\(", re.MULTILINE)
MODULE = re.compile(r"chapter\d\d")


@dataclass(frozen=True)
class Chapter:
    """title: its heading; exercises: name -> the source of its unfilled cell, in the chapter's order."""

    title: str
    exercises: dict[str, str]


def tags(cell) -> set[str]:
    return set(cell.metadata.get("tags", []))


def parse(source: str) -> ast.Module:
    """A cell's syntax tree, with its magics (%time, !ls) as the calls that they stand for. May raise SyntaxError."""
    return ast.parse(TransformerManager().transform_cell(source))


def check_calls(node: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """(name, call) of every check that a statement calls; what stands inside of functions does not count."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        return
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
        if MODULE.fullmatch(node.func.value.id):
            yield f"{node.func.value.id}.{node.func.attr}", node
    for child in ast.iter_child_nodes(node):
        yield from check_calls(child)


def checks_called(source: str) -> list[str]:
    """The checks that a cell calls, in order; also of a cell that is no proper Python, as far as can be told."""
    try:
        tree = parse(source)
    except SyntaxError:
        return CALL.findall(source)
    return [name for name, _ in check_calls(tree)]


def title_of(notebook) -> str:
    """The heading of the first cell, or ""."""
    first = notebook.cells[0] if notebook.cells else None
    heading = re.match(r"\s*# +(.+)", first.source) if first and first.cell_type == "markdown" else None
    return heading[1].strip() if heading else ""


def exercise_of(cell) -> str | None:
    """The name of the exercise that a cell of the course holds, if it is one."""
    names = checks_called(cell.source) if cell.cell_type == "code" and KEY in tags(cell) else []
    return names[-1] if names else None


def describe(notebook) -> Chapter:
    """The chapter that a notebook of the course is."""
    named = [(exercise_of(cell), cell.source) for cell in notebook.cells]
    return Chapter(title_of(notebook), {name: source for name, source in named if name})


def read_chapters(paths: list[Path], read: Callable) -> dict[Path, object]:
    """path -> notebook. Raises CourseError unless there are some and each is a chapter: it begins with a heading.

    read: path -> notebook (`notebooks.read`).
    """
    if not paths:
        raise CourseError("There is no notebook: give paths such as notebooks/01_noise.ipynb.")
    names = [path.name for path in paths]
    for name in names:
        if names.count(name) > 1:
            raise CourseError(f"Two notebooks are called {name}: give each only once.")
    found = {path: read(path) for path in paths}
    for path, notebook in found.items():
        if not title_of(notebook):
            raise CourseError(f"{path} is none of the course's chapters: its first cell is no heading (# ...).")
    return found

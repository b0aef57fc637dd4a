"""The grade report on a folder of handed-in notebooks: a row a notebook, a column an exercise, as CSV."""

import csv
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator

import nbformat

from course_lib.runtime import CourseError, write_atomically
from course_lib.teaching.attempts import attempt, passed
from course_lib.teaching.exercises import KEY, Chapter, checks_called, describe, title_of

FIRST, LAST = ["notebook", "chapter", "passed", "of"], ["what went wrong"]


@dataclass(frozen=True)
class Row:
    """name: the notebook's place in the folder; statuses: exercise -> status; seconds: what its run took."""

    name: str
    chapter: str
    passed: int
    statuses: dict[str, str]
    problems: list[str]
    seconds: float


def find_notebooks(folder: Path) -> dict[str, bytes]:
    """place in the folder -> content, for every notebook in it. Raises CourseError if there is none.

    All are read before any is run: what one does to the files of others comes too late.
    """
    if not folder.is_dir():
        raise CourseError(f"There is no folder {folder}: give the one with the handed-in notebooks.")
    found = {}
    for path in sorted(folder.rglob("*.ipynb")):
        place = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in place.parts):
            try:
                found[place.as_posix()] = path.read_bytes()
            except OSError as error:
                raise CourseError(f"Cannot read {path} ({error.strerror}): check that it is yours to read.") from None
    if not found:
        raise CourseError(f"There is no notebook in {folder}: give the folder with the handed-in notebooks.")
    return found


def find_chapter(notebook, chapters: list[Chapter]) -> Chapter | None:
    """The chapter that a handed-in notebook is: by its exercises, or, if all are gone, by its heading."""
    names = {name for cell in notebook.cells if cell.cell_type == "code"
             for name in [cell.metadata.get(KEY), *checks_called(cell.source)] if isinstance(name, str)}
    title = title_of(notebook)
    best = max(chapters, key=lambda chapter: (len(names & set(chapter.exercises)), chapter.title == title))
    return best if names & set(best.exercises) or best.title == title else None


def grade(name: str, content: bytes, chapters: list[Chapter], seconds: float) -> Row:
    """The row of one notebook; whatever is in it, there is a row."""
    begun = time.monotonic()
    try:
        notebook = nbformat.reads(content.decode("utf-8"), as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # damaged in any way at all: nbformat's own errors are only some of those that come
        return Row(name, "", 0, {}, [f"It cannot be read as a notebook ({type(error).__name__})."], 0.0)
    chapter = find_chapter(notebook, chapters)
    if chapter is None:
        return Row(name, "", 0, {}, ["It is none of the course's chapters."], 0.0)
    result = attempt(notebook, chapter, seconds)
    return Row(name, chapter.title, passed(result), result.statuses, result.problems, time.monotonic() - begun)


def grade_all(handed_in: dict[str, bytes], seconds: float, originals: list[Path], read: Callable) -> Iterator[Row]:
    """A row for each notebook that `find_notebooks` found, as it is done.

    seconds: how long one may run; originals: the course's own chapters, to compare with; read: path -> notebook.
    Raises CourseError if the course's own chapters are not to be found.
    """
    chapters = [describe(read(path)) for path in originals]
    if not any(chapter.exercises for chapter in chapters):
        raise CourseError("The course's own chapters are not to be found: grading compares with notebooks/.")
    for name, content in handed_in.items():
        yield grade(name, content, chapters, seconds)


def harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula: names and messages are the students'."""
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def write_report(rows: list[Row], out: Path) -> None:
    """Write the rows as CSV, whole or not at all. Exercises of other chapters than a row's are left empty."""
    exercises = list(dict.fromkeys(name for row in rows for name in row.statuses))

    def write(name: str) -> None:
        with open(name, "w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(FIRST + exercises + LAST)
            for row in rows:
                statuses = [row.statuses.get(exercise, "") for exercise in exercises]
                of = len(row.statuses) or ""
                words = " ".join(" ".join(row.problems).split())
                table.writerow([harmless(row.name), row.chapter, row.passed if of else "", of, *statuses,
                                harmless(words)])

    write_atomically(out, write)


def changed(folder: Path, before: dict[str, bytes]) -> list[str]:
    """The notebooks of a folder that are no longer what they were."""
    return [name for name, content in before.items()
            if not os.path.isfile(folder / name) or (folder / name).read_bytes() != content]

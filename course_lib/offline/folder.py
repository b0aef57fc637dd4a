"""A folder made beside its place, moved there whole, and never in the place of anything else."""

import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from course_lib.runtime import CourseError

DUST = {".DS_Store", "Thumbs.db", "desktop.ini"}  # what systems leave in any folder that was looked at


def list_name(kind: str) -> str:
    """The file that is in every folder of a kind: the names of its files, by which it is known again."""
    return f"{kind}.json"


def check_place(out: Path, kind: str) -> None:
    """CourseError unless `out` is free, an empty folder, or a folder of this kind that was made before."""
    if not out.exists():
        return
    if not out.is_dir():
        raise CourseError(f"{out} is a file: choose another place.")
    try:
        own = {list_name(kind), *json.loads((out / list_name(kind)).read_text(encoding="utf-8"))}
    except (OSError, ValueError, TypeError):
        own = set()
    others = sorted({path.name for path in out.iterdir()} - own - DUST)
    if others:
        raise CourseError(f"{out} holds other things, such as {others[0]}: choose an empty or a new folder.")


@contextmanager
def new_folder(out: Path, kind: str) -> Iterator[Path]:
    """An empty folder to fill; at the end it becomes `out`, in the place of an earlier one of its kind if there is one.

    kind: a word such as "site". If anything fails before, the earlier folder stays and nothing is left of the new one.
    Raises CourseError if `out` is something else or cannot be written.
    """
    try:
        out = out.resolve()
        check_place(out, kind)
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as workshop:
            new, old = Path(workshop, "new"), Path(workshop, "old")
            new.mkdir()
            yield new
            names = sorted(path.name for path in new.iterdir())
            (new / list_name(kind)).write_text(json.dumps(names, indent=1), encoding="utf-8")
            check_place(out, kind)  # minutes have passed
            if out.exists():
                out.rename(old)
            try:
                new.rename(out)
            except OSError:
                if old.exists():
                    old.rename(out)
                raise
    except OSError as error:
        reason = error.strerror or error
        raise CourseError(f"Cannot write {out} ({reason}): choose a folder that you may write to.") from None

"""The folder of a site: made beside its place, moved there whole, and never in the place of anything else."""

import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from course_lib.runtime import CourseError

LIST = "site.json"  # in every site: the names of its files, by which it is known again
DUST = {".DS_Store", "Thumbs.db", "desktop.ini"}  # what systems leave in any folder that was looked at


def check_place(out: Path) -> None:
    """CourseError unless `out` is free, an empty folder, or a site that was exported before."""
    if not out.exists():
        return
    if not out.is_dir():
        raise CourseError(f"{out} is a file: choose another place for the site.")
    try:
        own = {LIST, *json.loads((out / LIST).read_text(encoding="utf-8"))}
    except (OSError, ValueError, TypeError):
        own = set()
    others = sorted({path.name for path in out.iterdir()} - own - DUST)
    if others:
        raise CourseError(f"{out} holds other things, such as {others[0]}: choose an empty or a new folder.")


@contextmanager
def new_site(out: Path) -> Iterator[Path]:
    """An empty folder to fill; at the end it becomes `out`, in the place of an earlier site if there is one.

    If anything fails before, the earlier site stays and nothing is left of the new one. Raises CourseError if `out`
    is something else or cannot be written.
    """
    try:
        out = out.resolve()
        check_place(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as workshop:
            new, old = Path(workshop, "new"), Path(workshop, "old")
            new.mkdir()
            yield new
            names = sorted(path.name for path in new.iterdir())
            (new / LIST).write_text(json.dumps(names, indent=1), encoding="utf-8")
            check_place(out)  # minutes have passed
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

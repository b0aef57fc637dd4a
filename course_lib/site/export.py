"""From notebooks to a site, chapter by chapter."""

import shutil
import time
from pathlib import Path
from typing import Callable, Iterator

from course_lib.offline.folder import new_folder
from course_lib.runtime import CourseError
from course_lib.site.chapters import describe
from course_lib.site.pages import HERE, Pages

CONTENTS, STYLE, PLAYER = "index.html", "site.css", "player.js"


def check_chapters(paths: list[Path]) -> None:
    """CourseError unless there are notebooks, each of which can have a page of its own."""
    if not paths:
        raise CourseError("There is no notebook to export: give paths such as notebooks/01_noise.ipynb.")
    for path in paths:
        if path.suffix != ".ipynb" or not path.is_file():
            raise CourseError(f"There is no notebook {path}: give paths such as notebooks/01_noise.ipynb.")
    pages = [f"{path.stem}.html" for path in paths]
    for page in pages:
        if page == CONTENTS or pages.count(page) > 1:
            raise CourseError(f"Two pages would be called {page}: give each notebook a name of its own, and none of "
                              "them the name index.ipynb.")


def export_site(paths: list[Path], out: Path, read: Callable, run: Callable) -> Iterator[tuple[str, float, int]]:
    """Run the chapters, make a page of each, and yield (page, seconds, bytes) for each page as it is done.

    out: the site's folder, made when all pages are done and not before. read, run: path -> notebook, as it is and as
    it stands after a run that keeps its widgets' state (`notebooks.run_notebook`). Raises CourseError if `out` holds
    other things, a cell fails, or a page would load something from the network.
    """
    check_chapters(paths)
    with new_folder(out, "site") as folder:
        chapters = [describe(path, read(path)) for path in paths]
        pages = Pages(chapters)
        for chapter in chapters:
            begun = time.monotonic()
            size = write(folder / chapter.page, pages.chapter(chapter, run(chapter.path)))
            yield chapter.page, time.monotonic() - begun, size
        write(folder / CONTENTS, pages.contents())
        write(folder / STYLE, pages.style())
        shutil.copyfile(HERE / PLAYER, folder / PLAYER)
        write_linked(pages, folder)


def write(path: Path, text: str) -> int:
    """Write a text file and return its size in bytes."""
    return path.write_bytes(text.encode())


def write_linked(pages: Pages, folder: Path) -> None:
    """The files that the pages link to, and those that these link to, and so on."""
    files, done = pages.links.files, set()
    while waiting := [path for path in files if path not in done]:
        for path in waiting:
            if path.suffix == ".md":
                write(folder / files[path], pages.markdown(path))
            else:
                shutil.copyfile(path, folder / files[path])
        done |= set(waiting)

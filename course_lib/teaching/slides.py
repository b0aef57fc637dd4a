"""The slides of each chapter, one file each, that need nothing but a browser."""

from pathlib import Path
from typing import Callable, Iterator

from bs4 import BeautifulSoup
from jinja2 import Environment, FileSystemLoader
from pygments.formatters import HtmlFormatter

from course_lib.offline.folder import new_folder
from course_lib.offline.network import remote_references
from course_lib.runtime import CourseError
from course_lib.teaching.deck import Deck
from course_lib.teaching.exercises import read_chapters, title_of

HERE = Path(__file__).parent
LIGHT_CODE, DARK_CODE = "xcode", "github-dark"  # pygments' names


def style() -> str:
    """The style of every deck, the colours of its code with it."""
    light, dark = (HtmlFormatter(style=name).get_style_defs(".source") for name in (LIGHT_CODE, DARK_CODE))
    return "\n".join([light, f"@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}",
                      (HERE / "slides.css").read_text(encoding="utf-8")])


def page(notebook, name: str) -> tuple[str, int]:
    """(the HTML of a chapter's slides, their number); name: of its file, to complain with.

    Raises CourseError if a formula cannot be read or something would be loaded from the network.
    """
    if not any(cell.get("outputs") for cell in notebook.cells):
        raise CourseError(f"{name} holds no outputs to show: run it first (python -m course_lib notebooks).")
    try:
        slides = Deck(notebook).slides
    except CourseError as error:
        raise CourseError(f"{name}: {error}") from None
    template = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True).get_template("slides.html.j2")
    soup = BeautifulSoup(template.render(title=title_of(notebook), slides=slides, style=style(), script=(
        HERE / "slides.js").read_text(encoding="utf-8")), "html.parser")
    for link in soup.select("a"):  # a click goes to the next slide, and links between chapters lead nowhere here
        link.unwrap()
    for image in soup.select("img:not([src^='data:'])"):
        image.replace_with(image.get("alt", ""))
    if remote := remote_references(soup):
        raise CourseError(f"{name} would load {remote[0]} from the network: slides have to stand alone.")
    return str(soup), len(slides)


def export_slides(paths: list[Path], out: Path, read: Callable) -> Iterator[tuple[str, int, int]]:
    """Write a file of slides for each chapter and yield (name, slides, bytes) for each.

    out: the folder, made when all are done; read: path -> notebook. Raises CourseError if a notebook is none of the
    course's, or has no outputs, or if `out` holds other things.
    """
    chapters = read_chapters(paths, read)
    with new_folder(out, "slides") as folder:
        for path, notebook in chapters.items():
            html, number = page(notebook, path.name)
            yield f"{path.stem}.html", number, (folder / f"{path.stem}.html").write_bytes(html.encode())

"""What a code cell has to show on a slide: its code, what it printed, its figures."""

import ast
import html
from dataclasses import dataclass

from bs4 import BeautifulSoup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from course_lib.teaching.exercises import parse

CODE_LINES, PLAIN_LINES, PRINTED_LINES, PRINTED_COLUMNS = 12, 8, 10, 92
IMPORTS = (ast.Import, ast.ImportFrom)
DEFINITIONS = (ast.FunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Picture:
    """source: a data address; alt: the words that stand for it."""

    source: str
    alt: str


def text_of(lines) -> str:
    return lines if isinstance(lines, str) else "".join(lines)


def pictures(cell) -> list[Picture]:
    """The pictures in a cell's outputs; a widget's is the still one that it leaves where no kernel runs."""
    found = []
    for output in cell.outputs:
        data = output.get("data", {})
        images = BeautifulSoup(text_of(data.get("text/html", "")), "html.parser").select("img[src^='data:']")
        if images:
            found += [Picture(image["src"], image.get("alt", "")) for image in images]
        elif "image/png" in data:
            alt = output.metadata.get("image/png", {}).get("alt", "")
            found.append(Picture("data:image/png;base64," + text_of(data["image/png"]).strip(), alt))
    return found


def printed(cell) -> str:
    """What a cell printed, "" if it is too much for a slide."""
    text = "".join(text_of(output.text) for output in cell.outputs if output.output_type == "stream").rstrip()
    lines = text.splitlines()
    fits = len(lines) <= PRINTED_LINES and all(len(line) <= PRINTED_COLUMNS for line in lines)
    return text.strip("\n") if fits else ""


def source_shown(cell) -> str:
    """The source that a cell shows of something of the library's, if it does and it is short."""
    for output in cell.outputs:
        data = output.get("data", {})
        if "highlight" in text_of(data.get("text/html", "")) and not pictures(cell):
            return short(text_of(data.get("text/plain", "")), CODE_LINES)
    return ""


def short(code: str, most: int) -> str:
    """The code, or "" if it has more lines than `most`."""
    code = code.strip("\n").rstrip()
    return code if len(code.splitlines()) <= most else ""


def code_shown(cell) -> str:
    """What a slide shows of a cell's code, "" for nothing.

    That is what it defines, if it defines something short; else all but its imports, if that is short and no mere
    drawing of a picture, and if the cell is none of those that check or open a lab.
    """
    lines = cell.source.splitlines()
    try:
        body = parse(cell.source).body
    except SyntaxError:
        return ""

    def lines_of(statements: list) -> str:
        parts = ["\n".join(lines[first_line(node) - 1:node.end_lineno]) for node in statements]
        return "\n\n".join(parts) if all(isinstance(node, DEFINITIONS) for node in statements) else "\n".join(parts)

    defined = [node for node in body if isinstance(node, DEFINITIONS)]
    if defined:
        return short(lines_of(defined), CODE_LINES)
    if pictures(cell) or {"check", "lab"} & set(cell.metadata.get("tags", [])):
        return ""
    return short(lines_of([node for node in body if not isinstance(node, IMPORTS)]), PLAIN_LINES)


def first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])


def as_code(code: str) -> str:
    return highlight(code, PythonLexer(), HtmlFormatter(cssclass="code"))


def as_printed(text: str) -> str:
    return f'<pre class="printed">{html.escape(text)}</pre>'


def as_figure(picture: Picture) -> str:
    return f'<figure><img src="{picture.source}" alt="{html.escape(picture.alt, quote=True)}"></figure>'

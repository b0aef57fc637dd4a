"""What a code cell has to show on a slide: its code, what it printed, its figures."""

import ast
import html
import re
import textwrap
from dataclasses import dataclass

from bs4 import BeautifulSoup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from course_lib.teaching.exercises import parse

CODE_LINES, PLAIN_LINES, PRINTED_LINES = 12, 8, 10
PLAIN_COLUMNS, PRINTED_COLUMNS = 80, 92
IMPORTS = (ast.Import, ast.ImportFrom)
DEFINITIONS = (ast.FunctionDef, ast.ClassDef)
REMARK = re.compile(r"\s{2,}#[^'\"]*$")


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
            source = textwrap.dedent(text_of(data.get("text/plain", "")))
            try:
                return short("\n\n".join(lines_of(source, node) for node in ast.parse(source).body), CODE_LINES)
            except SyntaxError:
                return ""
    return ""


def short(code: str, most: int) -> str:
    """The code, or "" if it has more lines than `most`."""
    code = code.strip("\n").rstrip()
    return code if len(code.splitlines()) <= most else ""


def code_shown(cell) -> str:
    """What a slide shows of a cell's code, "" for nothing.

    That is what it defines, if that is short; else, if it shows nothing, all but its imports, if that is short. What
    the words of the chapter say already, docstrings and remarks at the ends of lines, is left out.
    """
    try:
        body = parse(cell.source).body
    except SyntaxError:
        return ""
    defined = [node for node in body if isinstance(node, DEFINITIONS)]
    if defined:
        return short("\n\n".join(lines_of(cell.source, node) for node in defined), CODE_LINES)
    if cell.outputs or {"check", "lab"} & set(cell.metadata.get("tags", [])):
        return ""
    rest = "\n".join(lines_of(cell.source, node) for node in body if not isinstance(node, IMPORTS))
    return short(rest, PLAIN_LINES) if columns(rest) <= PLAIN_COLUMNS else ""


def lines_of(source: str, node: ast.stmt) -> str:
    """The lines of a statement, without its docstring and without what is said at the ends of lines."""
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
    left_out = set()
    if isinstance(node, DEFINITIONS) and ast.get_docstring(node) is not None and len(node.body) > 1:
        left_out = set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = source.splitlines()
    return "\n".join(REMARK.sub("", lines[number - 1]) for number in range(first, node.end_lineno + 1)
                     if number not in left_out)


def columns(text: str) -> int:
    return max(map(len, text.splitlines()), default=1)


def as_code(code: str) -> str:
    """Coloured code; each line knows how far it is indented, so that the rest of a long one stays to its right."""
    marked = highlight(code, PythonLexer(), HtmlFormatter(cssclass="source", linespans="line"))
    soup = BeautifulSoup(marked, "html.parser")
    soup.div["style"] = f"--columns: {columns(code)}"
    for line in soup.select("span[id^=line-]"):
        text = line.get_text()
        del line["id"]
        line["class"], line["style"] = "line", f"--indent: {len(text) - len(text.lstrip(' '))}"
    return str(soup)


def as_printed(text: str) -> str:
    return f'<pre class="printed" style="--columns: {columns(text)}">{html.escape(text)}</pre>'


def as_figure(picture: Picture) -> str:
    return f'<figure><img src="{picture.source}" alt="{html.escape(picture.alt, quote=True)}"></figure>'

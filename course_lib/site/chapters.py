"""What the contents tell of a chapter, taken from its first cell."""

import re
from dataclasses import dataclass
from pathlib import Path

MARKS = re.compile(r"[*`]|\[|\]\([^)]*\)")  # of Markdown; what is left is the words
MINUTES = re.compile(r"\bAbout (\d+) minutes")


@dataclass(frozen=True)
class Chapter:
    """path: the notebook; title: its heading; question: how it begins; minutes: how long it takes, or ""."""

    path: Path
    title: str
    question: str
    minutes: str

    @property
    def page(self) -> str:
        return f"{self.path.stem}.html"


def describe(path: Path, notebook) -> Chapter:
    """The chapter of a notebook; without a heading it is called like its file."""
    first = next((cell.source for cell in notebook.cells if cell.cell_type == "markdown"), "")
    heading = re.search(r"^# +(.+)$", first, re.MULTILINE)
    paragraphs = first[heading.end() if heading else 0:].strip().split("\n\n")
    question = re.match(r".*?\?|.*", MARKS.sub("", paragraphs[0]).replace("\n", " "))[0]
    minutes = MINUTES.search(first)
    return Chapter(path, MARKS.sub("", heading[1]).strip() if heading else path.stem, question,
                   minutes[1] if minutes else "")

"""From a chapter to its slides, by rule.

A heading begins a slide, with its text made short. "Predict, then look" is a slide of its own, before what it asks
about. A figure has a slide, under the sentence that leads to it. Code is there when it is short, exercises are there
with their task alone, and what is folded away in the chapter (hints, solutions, mathematics) is not there at all. A
cell tagged `slide-skip` is left out.
"""

import re
from dataclasses import dataclass

from course_lib.offline.markdown import to_html
from course_lib.teaching import cells
from course_lib.teaching.exercises import exercise_of, tags
from course_lib.teaching.lead import Block, blocks, count, halves, items, last_sentence, lead, shorten, split_prompt

TITLE_WORDS, PROMPT_WORDS, TASK_WORDS, DENSE_WORDS = 22, 45, 90, 60
FULL_WORDS, INTRODUCTION_WORDS = 75, 12
MINUTES = re.compile(r"\W*About \d+ minutes")
ASIDE = re.compile(r"\([^()]*\)\s*")
TASK = re.compile(r"\*\*(\d+) · ([^*]+?)\.?\*\*[.:]?\s*")


@dataclass(frozen=True)
class Slide:
    """kind: "title", "text", "prompt", "code", "figure", "task" or "closing"; kicker: a few words above the title.

    title and kicker are plain or Markdown, body is HTML.
    """

    kind: str
    kicker: str
    title: str
    body: str

    @property
    def heading(self) -> str:
        """The title as HTML."""
        return re.sub(r"^<p>(.*)</p>\s*$", r"\1", to_html(self.title).strip(), flags=re.DOTALL) if self.title else ""


def shorten_question(text: str) -> str:
    """The first sentences of a question; of a list of questions, the first of them."""
    if not text.startswith(("-", "1.")):
        return shorten(text, PROMPT_WORDS)
    found = items(text)
    while len(found) > 1 and sum(map(count, found)) > TASK_WORDS:
        found.pop()
    return "\n".join(found)


def as_html(parts: list[Block]) -> str:
    """Blocks as HTML, marked as dense where there are many words."""
    body = to_html("\n\n".join(part.text for part in parts))
    dense = sum(part.words for part in parts) > DENSE_WORDS
    return f'<div class="words{" dense" if dense else ""}">{body}</div>'


class Deck:
    """Goes through a notebook's cells and collects `slides`."""

    def __init__(self, notebook):
        self.slides: list[Slide] = []
        self.section = ("", "")  # (kicker, title) of the last heading
        self.waiting: Slide | None = None  # a text that may become no more than the title of a figure
        self.begun = False  # whether the first section has begun
        self.leads_to = ""  # the sentence or question that leads to what the next cell shows
        self.tasks: dict[str, list[Block]] = {}
        for cell in notebook.cells:
            if not {"solution", "slide-skip"} & tags(cell):
                if cell.cell_type == "markdown":
                    self.markdown(cell.source)
                elif cell.cell_type == "code":
                    self.code(cell)
        self.flush()

    def add(self, kind: str, title: str, body: str, kicker: str | None = None) -> None:
        self.flush()
        self.slides.append(Slide(kind, self.section[1] if kicker is None else kicker, title, body))

    def flush(self) -> None:
        if self.waiting:
            self.slides.append(self.waiting)
            self.waiting = None

    # ------------------------------------------------------------------------------------------------------ words

    def markdown(self, source: str) -> None:
        parts: list[Block] = []
        heading = ""
        for part in [*blocks(source), Block("heading", "")]:
            if part.kind != "heading":
                parts.append(part)
                continue
            if heading or parts:
                self.passage(heading, parts)
            heading, parts = part.text, []

    def passage(self, heading: str, parts: list[Block]) -> None:
        """A heading, or "", and what stands below it."""
        level, _, title = heading.partition(" ")
        if level == "#":
            self.opening(title, parts)
            return
        if title:
            self.begun = True
            self.flush()
            first, colon, rest = title.partition(": ")
            self.section = (first, rest[:1].upper() + rest[1:]) if colon else ("", title)
            self.tasks = {}
        if any(TASK.match(part.text) for part in parts):
            self.collect_tasks(parts)
        elif "in one line each" in self.section[1].lower():
            self.closing(parts)
        else:
            self.text(bool(title), parts)

    def opening(self, title: str, parts: list[Block]) -> None:
        self.section = ("", title)
        question = [Block("paragraph", shorten(parts[0].text, 30))] if parts else []
        self.add("title", title, as_html(question), kicker="Noise to Image")
        self.text(False, [part for part in parts[1:] if not MINUTES.match(part.text)])
        self.leads_to = ""

    def text(self, headed: bool, parts: list[Block]) -> None:
        """A slide of words, one for each long list, formula, table or drawing in them, and one for a question."""
        parts, question = split_prompt(parts)
        words = [part for part in parts if part.kind == "paragraph" and not ASIDE.fullmatch(part.text)]
        shown = lead(words)
        kicker, title = self.section if headed else (self.section[1], "")
        self.leads_to = last_sentence(words[-1].text) if words and not headed else ""
        small = [part for part in parts if part.kind in ("formula", "list")]
        own = [part for part in parts if part.kind in ("table", "fence")]
        introduced = len(small) == 1 and sum(part.words for part in shown) <= INTRODUCTION_WORDS
        if not introduced and sum(part.words for part in [*shown, *small]) > FULL_WORDS:
            own, small = [part for part in parts if part.kind != "paragraph"], []
        if shown or small or headed and not question:
            self.flush()
            self.waiting = Slide("text", kicker, title, as_html([*shown, *small]))
            if headed or small or own or question or sum(part.words for part in words) > TITLE_WORDS:
                self.flush()
        for part in own:
            for text in halves(part.text) if part.kind == "list" else [part.text]:
                self.add("text", self.section[1], as_html([Block(part.kind, text)]), kicker=self.section[0])
        if question:
            question = shorten_question(question)
            self.add("prompt", "" if shown or small or not headed else self.section[1],
                     as_html([Block("paragraph", question)]), kicker="Predict, then look")
            self.leads_to = last_sentence(question) if count(question) <= PROMPT_WORDS else ""

    def closing(self, parts: list[Block]) -> None:
        for part in parts:
            if part.kind == "list":
                for text in halves(part.text):
                    self.add("closing", self.section[1], as_html([Block("list", text)]), kicker="")

    # ------------------------------------------------------------------------------------------------------- code

    def code(self, cell) -> None:
        if exercise_of(cell):
            self.task(cell)
            return
        figures, printed, shows = cells.pictures(cell), cells.printed(cell), cells.source_shown(cell)
        code = cells.code_shown(cell) if self.begun else ""  # before the first section it only prepares
        leads_to = self.leads_to if count(self.leads_to) <= TITLE_WORDS else ""
        if self.waiting and leads_to and (figures or printed):
            self.waiting = None  # its only sentence is the title
        if code:  # the title is kept for the figure, if one comes, in this cell or the next
            self.add("code", leads_to if printed and not figures else "",
                     cells.as_code(code) + (cells.as_printed(printed) if printed and not figures else ""))
        elif printed and not figures:
            self.add("code", leads_to, cells.as_printed(printed))
        if shows:
            self.add("code", "", cells.as_code(shows))
        for number, figure in enumerate(figures):
            self.add("figure", "" if number else leads_to, cells.as_figure(figure))
        if figures or printed or shows:
            self.leads_to = ""

    # -------------------------------------------------------------------------------------------------- exercises

    def collect_tasks(self, parts: list[Block]) -> None:
        """Remember the tasks, the last of which belongs to the next exercise cell; what stands before is dropped."""
        name = None
        for part in parts:
            if part.kind == "paragraph" and (match := TASK.match(part.text)):
                what, rest = match[2], part.text[match.end():]
                if rest[:1].islower():  # "**2 · Write the loop** of ..." is one sentence
                    what, rest = what.split()[0], f"{what} {rest}"
                name, part = f"{match[1]} · {what}", Block("paragraph", rest)
                self.tasks[name] = []
            if name and part.text:
                self.tasks[name].append(part)

    def task(self, cell) -> None:
        """The slide of an exercise: its task, and the head of the function if there is one to write."""
        if not self.tasks:
            return
        title, parts = self.tasks.popitem()
        self.tasks = {}
        words = lead([part for part in parts if part.kind == "paragraph"], TASK_WORDS)
        others = [part for part in parts if part.kind != "paragraph"]
        stub = re.search(r"^def .*?:\n +\.\.\.", cell.source, re.MULTILINE | re.DOTALL)
        self.add("task", title, as_html([*words, *others]) + (cells.as_code(stub[0]) if stub else ""),
                 kicker="Exercise")

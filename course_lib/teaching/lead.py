"""A chapter's words, made short: blocks of Markdown, their sentences, and what a slide keeps of them."""

import re
from dataclasses import dataclass

LEAD_WORDS = 45
PREDICT = re.compile(r"\**\(?\bpredict, then look\b(?: [^.:?*]{0,40}:)?[.:,]?\**[:.,]?", re.IGNORECASE)
DETAILS = re.compile(r"<details.*?(</details>|\Z)", re.DOTALL | re.IGNORECASE)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
WHOLE = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$|`[^`\n]+`|\[[^\]]*\]\([^)]*\)", re.DOTALL)  # where no sentence ends
END = re.compile(r"(?<=[.!?])(?<!\bal\.)(?<!\beq\.)(?<!\be\.g\.)(?<!\bi\.e\.)[*_\")”]*\s+(?=[*_\"(“]*[A-Z0-9\x00])")
KINDS = {"fence": re.compile(r"(```|~~~)"), "heading": re.compile(r"#{1,6}\s"),
         "formula": re.compile(r"\$\$|\\begin\{"), "table": re.compile(r"\|"),
         "list": re.compile(r"([-*+]|\d+[.)])\s")}
ITEM = re.compile(r"^(?=(?:[-*+]|\d+[.)])\s)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """kind: "paragraph", "list", "formula", "table", "fence" or "heading"; text: its Markdown."""

    kind: str
    text: str

    @property
    def words(self) -> int:
        return count(self.text)


def count(text: str) -> int:
    """The words of a text; a formula or a bit of code counts as one."""
    return len(re.sub(WHOLE, "x", text).split())


def blocks(source: str) -> list[Block]:
    """The blocks of a Markdown cell, without what is folded away."""
    source = COMMENT.sub("", DETAILS.sub("", source))
    found, lines, fence = [], [], None
    for line in [*source.splitlines(), ""]:
        mark = KINDS["fence"].match(line)
        if fence or mark:
            if mark and not fence:
                found, lines, fence = found + block(lines), [], mark[1]
            elif mark and mark[1] == fence:
                found, lines, fence, line = found + [Block("fence", "\n".join([*lines, line]))], [], None, ""
        elif not line.strip() or KINDS["heading"].match(line) or starts_anew(line, lines):
            found, lines = found + block(lines), []
            if KINDS["heading"].match(line):
                found, line = found + block([line]), ""
        if line.strip() or fence:
            lines.append(line)
    return found + block(lines)


def starts_anew(line: str, lines: list[str]) -> bool:
    """Whether a list or a formula begins in the middle of a paragraph."""
    return bool(lines) and kind_of(lines[0]) == "paragraph" and kind_of(line) in ("list", "formula")


def kind_of(line: str) -> str:
    return next((kind for kind, mark in KINDS.items() if mark.match(line)), "paragraph")


def block(lines: list[str]) -> list[Block]:
    return [Block(kind_of(lines[0]), "\n".join(lines).strip())] if lines else []


def sentences(text: str) -> list[str]:
    """The sentences of a paragraph; formulae, code, links and what is set in bold stay whole."""
    kept: list[str] = []

    def hide(match: re.Match) -> str:
        kept.append(match[0])
        return f"\0{len(kept) - 1}\0"

    text = WHOLE.sub(hide, " ".join(text.split()))
    found, start = [], 0
    for match in END.finditer(text):
        part = text[start:match.end()]
        if part.count("**") % 2 == 0 and part.count("*") % 2 == 0 and part.count("(") <= part.count(")"):
            found.append(part.strip())
            start = match.end()
    found.append(text[start:].strip())
    return [re.sub("\0(\\d+)\0", lambda match: kept[int(match[1])], part) for part in found if part]


def shorten(text: str, words: int = LEAD_WORDS) -> str:
    """The first sentences of a text, at least one, with at most so many words; without asides in brackets."""
    kept, found = "", sentences(text)
    for sentence in [sentence for sentence in found if not sentence.startswith("(")] or found:
        if kept and count(kept + " " + sentence) > words:
            break
        kept = f"{kept} {sentence}".strip()
    return re.sub(r":$", ".", kept)  # what it leads to may be gone


def lead(paragraphs: list[Block], words: int = LEAD_WORDS) -> list[Block]:
    """The beginning of the first paragraph, and those after it as long as all is whole and short."""
    kept, left = [], words
    for paragraph in paragraphs:
        if kept and paragraph.words > left:
            break
        kept.append(Block("paragraph", shorten(paragraph.text, left)))
        left -= paragraph.words
    return kept


def last_sentence(text: str) -> str:
    """The sentence that leads on to what comes next: the last one, unless it is an aside in brackets."""
    found = [sentence for sentence in sentences(text) if not sentence.startswith("(")]
    return found[-1].rstrip(":") if found else ""


def split_prompt(parts: list[Block]) -> tuple[list[Block], str]:
    """(the blocks without "Predict, then look", the question that goes with it, or "")."""
    for place, part in enumerate(parts):
        match = PREDICT.search(part.text) if part.kind == "paragraph" else None
        if match is None:
            continue
        before, after = part.text[:match.start()].strip(), part.text[match.end():].strip()
        rest = parts[place + 1:]
        if not after and rest and rest[0].kind == "list":  # the question is a list of them
            after, rest = rest[0].text, rest[1:]
        if not after:  # the question came first
            *before_it, last = sentences(before)
            before, after = ("", before) if count(before) <= LEAD_WORDS else (" ".join(before_it), last)
        after = after[:1].upper() + after[1:]
        return [*parts[:place], *([Block("paragraph", before)] if before else []), *rest], after
    return parts, ""


def items(text: str) -> list[str]:
    """The items of a list, each with its mark."""
    return [item.strip() for item in ITEM.split(text) if item.strip()]


def halves(text: str, most: int = 6, words: int = 80) -> list[str]:
    """A list as it is, or in two parts if it is long for one slide."""
    found = items(text)
    if len(found) < 4 or len(found) <= most and count(text) <= words:
        return [text]
    middle = (len(found) + 1) // 2
    return ["\n".join(found[:middle]), "\n".join(found[middle:])]

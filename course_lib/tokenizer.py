"""From a prompt to numbers: a word each, out of the words that the captions use."""

import difflib
import re
from typing import Iterator, NamedTuple, Sequence

import torch
from torch import Tensor

from course_lib.neighbours import NEIGHBOURS
from course_lib.picturebook import SIGN_CHARACTERS, VOCABULARY

PADDING, START, END = 0, 1, 2
TOKENS = ("<padding>", "<start>", "<end>", *VOCABULARY)
MOST_WORDS = 30  # the longest caption; a prompt is cut there
LENGTH = MOST_WORDS + 2
FEW = 5  # unknown words that get a sentence each
_NUMBER = {token: i for i, token in enumerate(TOKENS)}
_WORDS = set(VOCABULARY) - set(SIGN_CHARACTERS)
_DIGITS = {"1": "one", "2": "two", "3": "three", "4": "four", "5": "five"}


class Prompt(NamedTuple):
    """A prompt as the model reads it: words it knows, words it was never taught (left out), words beyond the limit."""

    words: tuple[str, ...]
    unknown: tuple[str, ...]
    cut: tuple[str, ...]

    @property
    def ids(self) -> list[int]:
        """START, a number for each word, END."""
        return [START, *(_NUMBER[word] for word in self.words), END]


def read_prompt(text: str) -> Prompt:
    """Split a prompt into words: "A RED house, 2 trees" reads a, red, house, two, trees.

    Capitals and punctuation do not matter. The text of a sign is one word for each of its two characters.
    """
    known, unknown, due = [], [], 0  # due: characters of a sign that may follow
    for word in _split(text):
        found = _look_up(word, due)
        known += found
        if not found:
            unknown.append(word if due and word.isupper() else word.lower())
        if word.lower() in ("says", "saying", "reads"):
            due = 2
        else:
            due = max(due - 1, 0) if found and len(word) == 1 else 0
    return Prompt(tuple(known[:MOST_WORDS]), tuple(dict.fromkeys(unknown)), tuple(known[MOST_WORDS:]))


def _split(text: str) -> Iterator[str]:
    """What stands between spaces and punctuation; a hyphen holds two words together where the captions use it so."""
    text = "".join(letter if letter.isprintable() else " " for letter in text).replace("’", "'")
    text = re.sub(r"\bhot air\b", "hot-air", text, flags=re.IGNORECASE)
    for piece in re.findall(r"[^\s,.;:!?\"“”«»()\[\]{}<>/\\|…–—_*+=~#&@^`]+", text):
        word = re.sub("'s$", "", piece.strip("-'"), flags=re.IGNORECASE)
        yield from filter(None, [word] if word.lower() in _WORDS else word.split("-"))


def _look_up(word: str, due: int) -> list[str]:
    """The words of the vocabulary that `word` stands for; none if it is unknown. due: characters due on a sign."""
    plain, text = word.lower(), word.upper()
    if set(text) <= set(SIGN_CHARACTERS) and (plain not in _WORDS or (due and word.isupper())):
        # "HE" and "t4" are a sign's text wherever they stand, "he" and "7" only where a sign's text is due.
        if len(word) <= due or (len(word) == 2 and (word.isupper() or not word.isalpha())):
            # In training, a sign's A had the number of the article: the words before it tell which it is.
            return [character if character != "A" else "a" for character in text]
    plain = _DIGITS.get(word, plain)
    return [plain] if plain in _WORDS else []


def tokenize(prompts: Sequence[str]) -> Tensor:
    """Prompts -> int64 (N, L), each from START to END, filled up with PADDING to the longest."""
    rows = [read_prompt(prompt).ids for prompt in prompts]
    longest = max(map(len, rows))
    return torch.tensor([row + [PADDING] * (longest - len(row)) for row in rows])


def remarks(prompts: Sequence[Prompt]) -> list[str]:
    """Sentences on what of these prompts could not be used: unknown words, or too many."""
    said = []
    for prompt in prompts:
        for word in prompt.unknown[:FEW]:
            taught = f"The model was never taught '{word[:30]}'"
            if word.isupper():
                said.append(f"{taught}; a sign can say two of {' '.join(SIGN_CHARACTERS)}.")
            else:
                close = ", ".join(close_words(word))
                said.append(f"{taught}; close words it knows: {close}." if close else f"{taught}.")
        if (more := len(prompt.unknown) - FEW) > 0:
            said.append(f"Nor was it taught {more} other word{'s' if more > 1 else ''} of the prompt.")
        if prompt.unknown and not prompt.words:
            said.append(f"It knows no word of '{' '.join(prompt.unknown)[:60]}': to the model that is an empty prompt.")
        if prompt.cut:
            said.append(f"The prompt is too long: it is cut after {MOST_WORDS} words, before '{prompt.cut[0]}'.")
    return list(dict.fromkeys(said))


def close_words(word: str) -> list[str]:
    """Up to three words of the vocabulary that mean much the same as `word`, or else are spelled like it."""
    word = word.lower()
    for form in (word, word.removesuffix("s"), word.removesuffix("es")):
        if form in NEIGHBOURS:
            return list(NEIGHBOURS[form])
    return difflib.get_close_matches(word, VOCABULARY, n=3, cutoff=0.75)

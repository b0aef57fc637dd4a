"""The lab of the shared space: type a sentence, and the pages of the picture book gather round it, nearest first."""

import html
import math
from typing import Callable, NamedTuple

import ipywidgets as widgets
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from course_lib.labs.controls import Text
from course_lib.labs.face import LiveFace
from course_lib.models import text_from, weights_for
from course_lib.pages import held_out
from course_lib.picturebook import KINDS, SYNONYMS
from course_lib.plots import COLOURS, FONT, INK, PAPER, Figure, encoded
from course_lib.runtime import CourseError
from course_lib.text import SharedSpace
from course_lib.tokenizer import END, TOKENS, read_prompt, remarks, tokenize

SIGHTS = tuple(f"a {SYNONYMS[kind][0]}" for kind in KINDS)  # the sentences that the map is laid out by
NEAREST, ACROSS = 10, 5  # pages shown large, and how many of them to a row
LARGE, SMALL, DOT, GAP, LINE = 84, 20, 20, 4, 16  # pixels: a near page, a far one, one on the map; between them; text
SIDE = ACROSS * (LARGE + GAP)  # of the map, and nearly the wall's width
BESIDE = 21  # from a name to its place on the map, so that a star there does not hide it
NARROW = 330  # beside each other, wall and map may shrink to this width: JupyterLab has room for it beside its files
QUALITY = 80  # of the JPEG
WALL_WORDS = "Nearest first. The number is the cosine between page and sentence."
PLAN_WORDS = "★ your sentence. Framed: the three nearest pages."
LETTER_MS = 60  # a letter typed is answered at once; of a fast run of letters, only the last
EXAMPLE = "a red boat on the sea at night"


class Wall(NamedTuple):
    """Pages to be looked through: pictures uint8 (N, 64, 64, 3); a caption for each; their embeddings (N, D); the map,
    a plane of the space, as `middle` (D,) and `axes` (D, 2); where on it the pages (N, 2) and SIGHTS (10, 2) lie."""

    pictures: np.ndarray
    captions: list[str]
    embedded: Tensor
    middle: Tensor
    axes: Tensor
    places: np.ndarray
    sights: np.ndarray


@torch.inference_mode()
def hang(space: SharedSpace, pages: dict[str, Tensor]) -> Wall:
    """Embed the pages that `held_out` gave, and lay out the map: the plane in which the ten SIGHTS differ most."""
    embedded = space.embed_pictures(pages["pictures"].float() / 127.5 - 1)
    names = space.embed_text(tokenize(SIGHTS))
    middle = names.mean(dim=0)
    axes = torch.linalg.svd(names - middle, full_matrices=False).Vh[:2].T
    captions = [" ".join(TOKENS[i] for i in row[1:row.index(END)]) for row in pages["tokens"][:, 0].tolist()]
    return Wall(pages["pictures"].permute(0, 2, 3, 1).numpy(), captions, embedded, middle, axes,
                ((embedded - middle) @ axes).numpy(), ((names - middle) @ axes).numpy())


@torch.inference_mode()
def compute(sentence: str, space: SharedSpace, wall: Wall) -> dict:
    """Where a sentence is: "order" (N,), the wall's pages with the nearest first; "similarities" (N,), their cosines in
    that order; "place" (2,), where on the map; "remarks", sentences on words that could not be used.

    Raises CourseError if there is nothing to read: no sentence, or no word of it is known.
    """
    if not isinstance(sentence, str) or not sentence.strip():
        raise CourseError(f"Type a sentence, such as: {EXAMPLE}.")
    prompt = read_prompt(sentence)
    if not prompt.words:
        raise CourseError(f"None of these words was taught: try words such as those of \"{EXAMPLE}\".")
    [point] = space.embed_text(tokenize([sentence]))
    similarities, order = (wall.embedded @ point).sort(descending=True, stable=True)
    return {"order": order.numpy(), "similarities": similarities.numpy(),
            "place": ((point - wall.middle) @ wall.axes).numpy(), "remarks": remarks([prompt])}


class Drawing(NamedTuple):
    """What the lab shows: the pages, nearest first, and the map with the sentence as a star."""

    wall: Figure
    plan: Figure


def draw(sentence: str, shown: dict, wall: Wall) -> Drawing:
    """The pages and the map for a sentence; `shown` is what `compute` gave for it."""
    order, similarities = shown["order"], shown["similarities"]
    nearest = "; ".join(f"{wall.captions[page]} ({value:.2f})" for page, value in zip(order[:3], similarities))
    return Drawing(
        Figure(draw_wall(shown, wall), f"{len(order)} pages, the nearest to \"{sentence}\" first: {nearest}."),
        Figure(draw_map(shown, wall), f"A map of the shared space: the pages, among the names of what they can show. "
                                      f"\"{sentence}\" is a star on it."))


def draw_wall(shown: dict, wall: Wall) -> Image.Image:
    """The pages, nearest first: ten of them large, with their cosines under them, all others small."""
    near, far = shown["order"][:NEAREST], shown["order"][NEAREST:]
    below = -(-len(near) // ACROSS) * (LARGE + LINE + GAP)
    per_row = SIDE // (SMALL + 2)
    sheet = Image.new("RGB", (SIDE + GAP, below + -(-len(far) // per_row) * (SMALL + 2) + 2 * GAP), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.truetype(FONT, 12)
    for i, page in enumerate(near):
        left, top = GAP + i % ACROSS * (LARGE + GAP), GAP + i // ACROSS * (LARGE + LINE + GAP)
        sheet.paste(Image.fromarray(wall.pictures[page]).resize((LARGE, LARGE)), (left, top))
        pen.text((left, top + LARGE + 1), f"{shown['similarities'][i]:.2f}", fill=INK, font=font)
    for i, page in enumerate(far):
        corner = (GAP + i % per_row * (SMALL + 2), GAP + below + i // per_row * (SMALL + 2))
        sheet.paste(_thumbnail(wall.pictures[page], SMALL), corner)
    return sheet


def draw_map(shown: dict, wall: Wall) -> Image.Image:
    """A square map: the pages, small, where they lie; the three nearest framed; the names of the things; the star."""
    plan = Image.new("RGB", (SIDE, SIDE), "white")
    pen, font = ImageDraw.Draw(plan), ImageFont.truetype(FONT, 11)
    all_places = np.concatenate([wall.places, wall.sights])
    middle, reach = (all_places.max(0) + all_places.min(0)) / 2, 0.54 * (all_places.max(0) - all_places.min(0))

    def spot(place: np.ndarray) -> tuple[int, int]:
        x, y = (np.clip((place - middle) / reach, -1, 1) + 1) / 2
        return round(SIDE * float(x)), round(SIDE * (1 - float(y)))

    for page in shown["order"][::-1]:  # the nearest last, on top
        x, y = spot(wall.places[page])
        plan.paste(_thumbnail(wall.pictures[page], DOT), (x - DOT // 2, y - DOT // 2))
        if page in shown["order"][:3]:
            half = DOT // 2 + 2
            pen.rectangle((x - half, y - half, x + half, y + half), outline=COLOURS[1], width=3)
    for name, place in zip(SIGHTS, wall.sights):
        x, y = spot(place)
        pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=INK, outline="white")
        half = font.getlength(name) / 2 + 4
        beside = (min(max(x, half), SIDE - half), y + (BESIDE if y < SIDE / 2 else -BESIDE))
        pen.rectangle(pen.textbbox(beside, name, font=font, anchor="mm"), fill="white")
        pen.text(beside, name, fill=INK, font=font, anchor="mm")
    x, y = spot(shown["place"])
    tips = [(x + r * math.sin(i * math.pi / 5), y - r * math.cos(i * math.pi / 5))
            for i, r in zip(range(10), [13, 5] * 5)]
    pen.polygon(tips, fill=INK, outline="white", width=2)
    pen.rectangle((0, 0, SIDE - 1, SIDE - 1), outline="#999999")
    return plan


def _thumbnail(picture: np.ndarray, side: int) -> Image.Image:
    return Image.fromarray(picture).resize((side, side), Image.Resampling.BOX)


def as_html(drawing: Drawing) -> str:
    """The two pictures with their words, one under the other where there is no room for both.

    They are JPEGs, as they are redrawn at every letter and hundreds of pictures need few bytes; their size is told, so
    that the page below stays where it is while a new one is decoded.
    """
    figures = (f'<figure style="margin:0;flex:1 1 {NARROW}px;max-width:{SIDE + GAP}px">'
               f'<img alt="{html.escape(figure.alt, quote=True)}" width="{figure.image.width}" '
               f'height="{figure.image.height}" style="display:block;max-width:100%;height:auto" '
               f'src="data:image/jpeg;base64,{_jpeg(figure.image)}">'
               f'<figcaption style="line-height:1.4;margin-top:4px">{words}</figcaption></figure>'
               for figure, words in zip(drawing, (WALL_WORDS, PLAN_WORDS)))
    return ('<div style="display:flex;flex-wrap:wrap;gap:12px 16px;align-items:flex-start">'
            f'{"".join(figures)}</div>')


def _jpeg(picture: Image.Image) -> str:
    return encoded(picture, "JPEG", quality=QUALITY)


class SharedSpaceLab(LiveFace):
    """The face: a line to type in, and the drawing, which follows every letter."""

    def __init__(self, sentence: str, space: SharedSpace, wall: Wall):
        self.space, self.wall = space, wall
        self.view = widgets.HTML()
        first = self.answer({"sentence": sentence}, lambda: None)
        super().__init__(self.view, sentence=Text("Sentence", sentence, rest=LETTER_MS))
        self.controls.say(self.show(first))

    def answer(self, values: dict, check: Callable[[], None]) -> tuple[Drawing, str]:
        shown = compute(values["sentence"], self.space, self.wall)
        check()
        return draw(values["sentence"], shown, self.wall), " ".join(shown["remarks"])

    def show(self, result: tuple[Drawing, str]) -> str:
        self.drawing, said = result
        self.view.value = f'<div style="padding:0 16px 14px">{as_html(self.drawing)}</div>'
        return said

    def __repr__(self) -> str:
        return f"SharedSpaceLab({self.controls.values['sentence']!r}, {len(self.wall.captions)} pages)"

    def _repr_mimebundle_(self, **_) -> dict:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        return {"application/vnd.jupyter.widget-view+json": view, "text/html": as_html(self.drawing),
                "image/jpeg": _jpeg(self.drawing.wall.image), "text/plain": repr(self.drawing.wall)}


def shared_space(sentence: str = EXAMPLE, space: SharedSpace | None = None,
                 pages: dict[str, Tensor] | None = None) -> SharedSpaceLab:
    """Type a sentence: a wall of pages, nearest first, and a map on which the sentence is a star that moves.

    space: None for the shipped one; pages: what `held_out` gives, None for 200 of them. Raises CourseError if the
    sentence cannot be read.
    """
    space = text_from(*weights_for("text"), torch.device("cpu")) if space is None else space
    return SharedSpaceLab(sentence, space, hang(space, held_out(200) if pages is None else pages))

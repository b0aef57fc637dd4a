"""Which pages go into a batch, beyond chance."""

import torch
from torch import Tensor

from course_lib.pages import Pages
from course_lib.picturebook import KINDS
from course_lib.picturebook.labels import FIRST, WIDTH
from course_lib.tokenizer import PADDING


def rare(scenes: Tensor) -> Tensor:
    """Which scenes, int8 (N, SCENE_LENGTH), show a hand or a sign: few in the book, and the hardest. bool (N,)"""
    kinds = scenes[:, [FIRST, FIRST + WIDTH]]
    return ((kinds == KINDS.index("hand")) | (kinds == KINDS.index("sign"))).any(dim=1)


def choose_rare(pages: Pages, chosen: Tensor, count: int) -> Tensor:
    """Replace the first `count` of the chosen pages by pages that show a hand or a sign."""
    shows = rare(pages["scenes"][:pages.ready]).nonzero().flatten()
    # The numbers of the pages drawn are random already; they choose among the rare ones.
    return torch.cat([shows[chosen[:count] % len(shows)], chosen[count:]])


def choose_alike(pages: Pages, chosen: Tensor, alike: int, run: int = 8) -> Tensor:
    """Replace the first `alike` of the chosen pages by runs of `run` pages that show the same kinds of things."""
    kinds = pages["scenes"][:pages.ready, [FIRST, FIRST + WIDTH]].sort(dim=1).values.long()
    code = kinds[:, 0] * 16 + kinds[:, 1]
    chosen = chosen.clone()
    for start in range(0, alike, run):
        same = (code == code[chosen[start]]).nonzero().flatten()
        # The page numbers behind the first are random; they choose among its likes.
        chosen[start + 1:start + run] = same[chosen[start + 1:start + run] % len(same)]
    return chosen


def shorten(tokens: Tensor) -> Tensor:
    """Token numbers (N, L), cut to the longest row, in whole eights: few lengths, which a compiled network likes."""
    longest = int((tokens != PADDING).sum(dim=1).max())
    return tokens[:, :-(-longest // 8) * 8]

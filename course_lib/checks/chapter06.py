"""Checks for chapter 06, Words meet pictures."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.checks.core import Wrong, check, close, expect_number, expect_tensor
from course_lib.runtime import random_source
from course_lib.text import SharedSpace, contrastive_loss
from course_lib.tokenizer import END, TOKENS, read_prompt, tokenize

PLAYERS = 8
WALL, TARGET, MOST_WORDS = 200, 50, 4  # pages to find one among; which; words allowed
DENIALS = {"no", "not", "non", "none", "never", "nor", "without", "except", "nothing", "nowhere", "nobody", "isn't",
           "aren't", "hardly", "missing", "absent", "lacks", "lacking", "anything"}


@check("Put a number in place of the dots.")
def blind_loss(answer) -> str:
    number = expect_number(answer)
    if math.isclose(number, math.log(PLAYERS), abs_tol=6e-3):
        return f"log {PLAYERS} = {math.log(PLAYERS):.3f}: the right one's chance is 1/{PLAYERS}, like any other's."
    if math.isclose(number, 1 / PLAYERS, abs_tol=1e-3):
        raise Wrong("That is the chance of the right picture; the loss is minus its logarithm.")
    if math.isclose(number, -math.log(PLAYERS), abs_tol=6e-3):
        raise Wrong("The sign is wrong: the loss is minus the logarithm of a chance below 1, so it is above 0.")
    if math.isclose(number, math.log2(PLAYERS), abs_tol=1e-3):
        raise Wrong("That is the logarithm to base 2; cross-entropy takes the natural one, math.log.")
    if math.isclose(number, math.log10(PLAYERS), abs_tol=1e-3):
        raise Wrong("That is the logarithm to base 10; cross-entropy takes the natural one, math.log.")
    if math.isclose(number, 2 * math.log(PLAYERS), abs_tol=6e-3):
        raise Wrong(f"Too much: each caption chooses among {PLAYERS} pictures, not among all {PLAYERS**2} pairs, and "
                    "of the two directions the loss is the mean, not the sum.")
    if number == 0:
        raise Wrong("0 would mean that the right picture gets a chance of 1: the network knows everything.")
    raise Wrong(f"{number:g} is not it: what chance does a softmax over {PLAYERS} equal numbers give to each of them?")


@check("Fill in the body of my_cosines: it returns a tensor (N, M).")
def cosines(function) -> str:
    source = random_source(0)
    a, b = (3 * torch.randn(count, 6, generator=source) for count in (4, 5))
    wanted = F.cosine_similarity(a[:, None], b[None], dim=2)
    got = function(a.clone(), b.clone())
    if isinstance(got, Tensor) and got.shape == wanted.T.shape:
        raise Wrong("The result is (M, N), the wrong way round: a row for each row of a, a column for each of b.")
    got = expect_tensor(got, wanted, "The result")
    if close(got, wanted):
        return f"All {wanted.numel()} cosines are right, and one product of matrices does them all."
    lengths_a, lengths_b, dots = a.norm(dim=1)[:, None], b.norm(dim=1)[None], a @ b.T
    if close(got, dots):
        raise Wrong("These are the plain products a @ b.T; they are cosines only where both have length 1: divide.")
    if close(got, dots / lengths_a) or close(got, dots / lengths_b):
        raise Wrong("You divide by one of the two lengths; the cosine needs both.")
    if close(got, dots / (lengths_a * lengths_b) ** 2):
        raise Wrong("You divide by the squares of the lengths: take the square roots of the sums of squares.")
    if close(got, dots / (a.norm() * b.norm())) or close(got, (a / a.norm(dim=0)) @ (b / b.norm(dim=0)).T):
        raise Wrong("Each row has a length of its own: a.norm(dim=1, keepdim=True).")
    if close(got, torch.cdist(a, b)):
        raise Wrong("These are distances; the cosine is a product divided by two lengths.")
    raise Wrong("The cosines differ: the product of two rows, divided by the lengths of both.")


@check("Fill in the body of my_contrastive_loss: it returns one number, as a tensor.")
def contrast(function) -> str:
    table = torch.rand(6, 6, generator=random_source(0)) * 2 - 1
    for heat in (0.5, 0.07):
        given = table.clone().requires_grad_()
        got = function(given, heat)
        wanted = contrastive_loss(table / heat)
        if isinstance(got, Tensor) and got.shape == (len(table),):
            raise Wrong("You return a loss for each pair; the loss is their mean, one number.")
        got = expect_tensor(got, wanted, "The loss")
        if close(got, wanted):
            if not got.requires_grad:
                raise Wrong("The number is right, but no gradient can flow back from it: leave it attached.")
            continue
        right = torch.arange(len(table))

        def one_way(similarities: Tensor, reduction: str = "mean") -> Tensor:
            return F.cross_entropy(similarities, right, reduction=reduction)

        hot = table / heat
        chances = torch.softmax(hot, dim=1), torch.softmax(hot, dim=0)
        for value, words in (
                (contrastive_loss(table * heat), "You multiply by the temperature; divide by it."),
                (contrastive_loss(table), "The temperature is missing: divide the cosines by it first."),
                (one_way(hot), "Only the captions choose here; the pictures must find their captions too (transpose)."),
                (one_way(hot.T), "Only the pictures choose here; the captions must find their pictures too."),
                (one_way(hot) + one_way(hot.T), "You add the two directions; the loss is their mean: divide by 2."),
                ((one_way(hot, "sum") + one_way(hot.T, "sum")) / 2, "You take the sum over the pairs; take the mean."),
                (-contrastive_loss(hot), "The sign is wrong: minus the logarithm of the right one's chance."),
                (-(chances[0] + chances[1]).diagonal().mean() / 2, "The logarithm of the chances is missing."),
                (-hot.diagonal().mean(), "You only pull right pairs together; without the softmax over the others, "
                                         "putting everything in one place would win.")):
            if close(got, value):
                raise Wrong(words)
        raise Wrong(f"At temperature {heat} the loss is {got.item():.4f} and should be {wanted.item():.4f}: the mean "
                    "cross-entropy over the rows, the same over the columns, and the mean of both.")
    return "InfoNCE, both ways, as the library has it: this is all that CLIP was trained with."


def _caption(held: dict[str, Tensor], page: int) -> str:
    return " ".join(TOKENS[i] for i in held["tokens"][page, 0].tolist() if i > END)


@check("Put a sentence in place of the dots.")
def find(sentence, space: SharedSpace, held: dict[str, Tensor]) -> str:
    prompt = _read(sentence)
    unknown = f" It does not know {', '.join(map(repr, prompt.unknown))}." if prompt.unknown else ""
    if not prompt.words:
        raise Wrong("The network knows none of these words: look at the captions of the eight pages for some.")
    if len(prompt.words) > MOST_WORDS:
        raise Wrong(f"Your sentence has {len(prompt.words)} words; find one of at most {MOST_WORDS}.")
    with torch.inference_mode():
        pages = space.embed_pictures(held["pictures"][:WALL].float() / 127.5 - 1)
        order = (pages @ space.embed_text(tokenize([sentence]))[0]).argsort(descending=True).tolist()
    place = order.index(TARGET)
    if place:
        raise Wrong(f"Page {TARGET} is number {place + 1} for your sentence; nearest is page {order[0]}, of which the "
                    f"book says: {_caption(held, order[0])}.{unknown}")
    return f"Found among {len(order)} with {len(prompt.words)} words; the next would be: {_caption(held, order[1])}."


def _read(sentence):
    if not isinstance(sentence, str):
        raise Wrong(f"A sentence is a text in quotation marks, but you put {sentence!r}.")
    return read_prompt(sentence)


@check("Put a number in place of the dots.")
def temperature(answer, table: Tensor) -> str:
    number = expect_number(answer)
    if not math.isfinite(number) or number <= 0:
        raise Wrong("A temperature is a number above 0.")
    grid = torch.logspace(-3, 0, 61).tolist()
    losses = [contrastive_loss(table / heat).item() for heat in grid]
    least = min(losses)
    best, mine = grid[losses.index(least)], contrastive_loss(table / number).item()
    told = f"At {number:.3g} the loss is {mine:.3f}"
    if mine <= 1.05 * least:
        return f"{told}, and the lowest there is comes at {best:.3g}."
    if math.isclose(number * best, 1, rel_tol=0.2):
        raise Wrong(f"That is the scale, 1 / temperature: similarities are divided by the temperature. {told}.")
    if math.isclose(number, least, rel_tol=0.02):
        raise Wrong("That is the lowest loss itself; the exercise asks at which temperature it is reached.")
    trend = "smaller" if number > best else "larger"
    raise Wrong(f"{told}, and lower is possible: try a {trend} temperature.")


@check("Put two sentences in place of the dots.")
def opposites(one, other) -> str:
    first, second = _read(one), _read(other)
    if not first.words or not second.words:
        raise Wrong("One of them has no word that the network knows: then there is nothing to turn round.")
    if one.split() == other.split():
        raise Wrong("These are the same sentence twice.")
    if first.ids != second.ids:
        differ = sorted(set(first.words) ^ set(second.words))
        told = f" (it reads {', '.join(map(repr, differ))} in only one of them)" if differ else ""
        raise Wrong(f"The network can tell these apart{told}: synonyms come near, but exactly the same place needs "
                    "exactly the same tokens.")
    left_out = sorted({word.lower() for word in first.unknown} ^ {word.lower() for word in second.unknown})
    if not DENIALS & set(left_out):
        what = f"they differ in {', '.join(map(repr, left_out))}" if left_out else "they differ in nothing that counts"
        raise Wrong(f"The same tokens indeed, but they are no opposites: {what}. Which words turn a sentence round?")
    return (f"The same tokens, so the same place: {', '.join(map(repr, left_out))} is not read. Training moves the "
            "vectors of tokens, and no token is there to move.")

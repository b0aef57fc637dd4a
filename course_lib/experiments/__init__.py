"""Controlled experiments on why image generators have their quirks. The oracle measures; a share comes with its
interval. Each is a function of a `Studio` and of a number of pictures, and gives what it `Found`."""

from functools import partial
from typing import Callable, NamedTuple

from .binding import OUTCOMES, binding, binding_cause
from .counting import counting
from .guidance_price import guidance_price
from .memorising import memorising
from .same_again import same_again
from .shares import Found, Share, wilson
from .small_things import small_things
from .steps_price import steps_price, where_time_goes
from .studio import Studio, open_studio
from .unseen import never_seen


class Experiment(NamedTuple):
    """run(studio, pictures) -> Found; pictures: how many it takes for each condition at full size."""

    run: Callable[[Studio, int], Found]
    pictures: int


EXPERIMENTS = {
    "fingers": Experiment(partial(small_things, kind="hand"), 400),
    "text": Experiment(partial(small_things, kind="sign"), 400),
    "binding": Experiment(binding, 400),
    "counting": Experiment(counting, 200),
    "unseen": Experiment(never_seen, 240),
    "guidance": Experiment(guidance_price, 400),
    "seeds": Experiment(same_again, 32),
    "memory": Experiment(memorising, 64),
    "steps": Experiment(steps_price, 400),
}

__all__ = ["EXPERIMENTS", "Experiment", "Found", "OUTCOMES", "Share", "Studio", "binding", "binding_cause", "counting",
           "guidance_price", "memorising", "never_seen", "open_studio", "same_again", "small_things", "steps_price",
           "where_time_goes", "wilson"]

"""What the field lab computes: points in the plane, what denoises them, and particles carried from noise to data."""

from dataclasses import dataclass
from typing import Callable, Iterator, Mapping, NamedTuple, Sequence

import numpy as np
import torch
from torch import Tensor

from course_lib.denoiser import Denoiser
from course_lib.guidance import Steered, cfg, conditioned
from course_lib.labs.trajectory import moment
from course_lib.points import SHAPES, ByClass, Classes, PointNet, draw_classes
from course_lib.recipes.pixels import random_times
from course_lib.runtime import CourseError, check_whole, random_source, starting_noise
from course_lib.sampling import Step, sample
from course_lib.schedulers import SCHEDULERS, Schedule, find_schedule, find_scheduler, time_grid
from course_lib.training import Trainee, fit

OWN = "your own"
DENOISERS = ("exact", "learned", "both")
SCHEDULES = ("cosine", "linear", "flow")  # on the EDM path x would leave the picture
CLASSES = ("A", "B")
NO_CLASS = len(CLASSES)
TOWARDS = ("none", *CLASSES)
LARGEST_SEED, MOST_STEPS, MOST_GUIDANCE, MOST_DRAWN = 999_999_999, 60, 6.0, 600

COUNT, STD = 300, 0.06  # points of a shape, and the spread that melts each into its neighbours
PARTICLES = 200
LIMIT = 2.6  # the picture shows the plane from -LIMIT to LIMIT
SIDE = 19  # arrows in a row
CELL = 2 * LIMIT / (SIDE + 1)
REACH = 0.1  # an arrow is the way that the field leads within this much time ...
LONGEST = 0.95 * CELL  # ... levelled off at this length, for near the data dx/dt grows without bound
SPAN = 16.0  # coordinates go to the browser as int16, from -SPAN to SPAN

LESSONS, BATCH, RATE = 400, 512, 1e-2
DROPPED = 0.2  # share of the lessons without the class, so that one network learns both guesses (Ho & Salimans 2022)


@dataclass(frozen=True)
class Request:
    """What is to be computed; CourseError if that cannot be.

    shape: of `points.SHAPES`, or "your own" for `drawn`, points (x, y, class) with class 0 (A) or 1 (B); denoiser:
    "exact", "learned", or "both" to compare them, with the learned one to carry the particles; schedule: "cosine",
    "linear" or "flow"; scheduler: of SCHEDULERS; steps: 1 to 60; eta: 0 to 1, which "ddim" alone reads; towards:
    "none", "A" or "B"; guidance: 0 to 6, which does nothing without a class; seed: of the starting noise.
    """

    shape: str = "moons"
    denoiser: str = "exact"
    schedule: str = "cosine"
    scheduler: str = "ddim"
    steps: int = 30
    eta: float = 0.0
    towards: str = "none"
    guidance: float = 1.0
    seed: int = 0
    drawn: Sequence[Sequence[float]] = ()

    def __post_init__(self):
        for name, value, choices in (("shape", self.shape, (*SHAPES, OWN)), ("field", self.denoiser, DENOISERS),
                                     ("schedule", self.schedule, SCHEDULES), ("class", self.towards, TOWARDS),
                                     ("scheduler", self.scheduler, tuple(SCHEDULERS))):
            if value not in choices:
                raise CourseError(f"There is no {name} '{value}' in this lab: choose from {', '.join(choices)}.")
        check_whole(self.steps, "The number of steps", 1, MOST_STEPS)
        check_whole(self.seed, "The seed", 0, LARGEST_SEED)
        for name, value, most in (("eta", self.eta, 1), ("The guidance scale", self.guidance, MOST_GUIDANCE)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
                raise CourseError(f"{name} must be a number from 0 to {most:g}, but it is {value!r}.")

    def unheard(self) -> str:
        """Which of the settings do nothing together with the others, in a sentence each; "" if all count."""
        said = []
        if self.eta and self.scheduler != "ddim":
            said.append(f"eta does nothing with {self.scheduler}: only ddim reads it.")
        if self.guidance != 1 and self.towards == "none":
            said.append("Guidance does nothing without a class: choose one to pull towards.")
        return " ".join(said)


def data_of(request: Request) -> tuple[Tensor, Tensor]:
    """The data: points (N, 2), and the class of each, (N,), 0 for A and 1 for B. CourseError if they cannot be used."""
    if request.shape != OWN:
        points, classes = draw_classes(request.shape, COUNT, random_source(0))
    else:
        points, classes = _drawn(request.drawn)
    if request.towards != "none" and not (classes == CLASSES.index(request.towards)).any():
        raise CourseError(f"There is no point of class {request.towards} to pull towards: draw one, "
                          "or choose another class.")
    return points, classes


def _drawn(drawn: Sequence[Sequence[float]]) -> tuple[Tensor, Tensor]:
    if not drawn:
        raise CourseError("There are no points of your own yet: draw some on the picture, "
                          "with the pointer or with the arrow keys and Enter.")
    if len(drawn) > MOST_DRAWN:
        raise CourseError(f"{len(drawn)} points are too many: take some back, {MOST_DRAWN} are the most.")
    try:
        table = torch.tensor([list(map(float, row)) for row in drawn])
    except (TypeError, ValueError):
        table = torch.zeros(0)
    if table.shape != (len(drawn), 3) or not (table[:, :2].abs() <= LIMIT).all() \
            or not ((table[:, 2] == 0) | (table[:, 2] == 1)).all():
        raise CourseError(f"A point is (x, y, class), with x and y from -{LIMIT:g} to {LIMIT:g} and class 0 or 1.")
    return table[:, :2], table[:, 2].long()


def exact_denoiser(points: Tensor, classes: Tensor, schedule: Schedule) -> ByClass:
    """The best possible denoiser of the points, each with a little spread."""
    return ByClass.of_points(points, classes, len(CLASSES), schedule, STD)


def learn(points: Tensor, classes: Tensor, schedule: Schedule, lessons: int = LESSONS) -> Iterator[Denoiser]:
    """Train a PointNet on the points; yields the denoiser after every step, always the same one, getting better.

    Each point is moved by the spread that the exact denoiser knows of, so that both learn the same world.
    """
    def loss(network, step, source):
        chosen = torch.randint(len(points), (BATCH,), generator=source)
        x0 = points[chosen] + STD * torch.randn(BATCH, 2, generator=source)
        hidden = torch.rand(BATCH, generator=source) < DROPPED
        cond = Classes(torch.where(hidden, NO_CLASS, classes[chosen]))
        eps, t = torch.randn(BATCH, 2, generator=source), random_times(BATCH, source)
        return Denoiser(network, schedule).loss(x0, eps, t, cond), BATCH

    with torch.random.fork_rng(devices=[]):  # the learner's own random numbers stay as they were
        torch.manual_seed(0)
        trainee = Trainee(PointNet(classes=len(CLASSES)), lr=RATE)
    denoise = Denoiser(trainee.average, schedule)
    for _ in fit(trainee, loss, steps=lessons, ema=0.98):
        yield denoise


class Journey(NamedTuple):
    """From noise to data in n steps, as n + 1 frames.

    points, classes: the data, (K, 2) and (K,); schedule; times: one a frame; particles: (n + 1, P, 2); fates: (P,) the
    class of the data point nearest to each particle's end; layers: name -> arrows (n + 1, SIDE * SIDE, 2) from `grid`,
    not yet levelled off; gaps: how far apart the two denoisers' guesses are at the particles, a mean a frame, empty
    with one denoiser; nfe: evaluations a particle; near: the mean distance from its end to the nearest data point.
    """

    points: Tensor
    classes: Tensor
    schedule: Schedule
    times: list[float]
    particles: Tensor
    fates: Tensor
    layers: dict[str, Tensor]
    gaps: list[float]
    nfe: int
    near: float


def grid() -> Tensor:
    """Where the arrows start: (SIDE * SIDE, 2), row by row from the lower left."""
    side = torch.linspace(CELL - LIMIT, LIMIT - CELL, SIDE)
    return torch.cartesian_prod(side, side).flip(1)


class _Counted:
    """A denoiser that counts the points it has seen, and looks at each call whether anybody still waits for it."""

    def __init__(self, denoise, check: Callable[[], None]):
        self.denoise, self.check, self.schedule, self.seen = denoise, check, denoise.schedule, 0

    def __call__(self, x: Tensor, t: float, cond: Classes) -> Tensor:
        self.check()
        self.seen += len(x)
        return self.denoise(x, t, cond)


def steer(denoise, towards: str, guidance: float, count: int) -> Steered:
    """denoise(x, t, Classes) for `count` points, guided towards a class, or without any class for "none"."""
    uncond = Classes(torch.full((count,), NO_CLASS))
    if towards == "none":
        return conditioned(denoise, uncond)
    return cfg(denoise, Classes(torch.full((count,), CLASSES.index(towards))), uncond, guidance)


def extra_force(denoise, x: Tensor, t: float, towards: str, guidance: float) -> Tensor:
    """(guidance - 1) (cond - uncond): what guidance adds to the guess at x0 that knows the class. (N, 2) -> (N, 2)"""
    cond, uncond = steer(denoise, towards, 1, len(x))(x, t), steer(denoise, "none", 1, len(x))(x, t)
    return (guidance - 1) * (cond - uncond)


def pull(schedule: Schedule, t: float) -> float:
    """How fast x moves towards the data for each unit that x0_hat is moved: -d velocity / d x0_hat, at t > 0."""
    return schedule.sigma_dot(t) * schedule.alpha(t) / schedule.sigma(t) - schedule.alpha_dot(t)


def carry(request: Request, data: tuple[Tensor, Tensor], denoisers: Mapping[str, Callable],
          check: Callable[[], None] = lambda: None) -> Journey:
    """Particles from noise to data, and the field at the time of each frame.

    denoisers: name -> denoise(x, t, Classes) -> x0_hat; the first carries the particles. check: called again and again;
    it may raise to end the work.
    """
    points, classes = data
    schedule, first = find_schedule(request.schedule), next(iter(denoisers.values()))
    scheduler = find_scheduler(request.scheduler, request.eta if request.scheduler == "ddim" else None)
    ts = time_grid(schedule, request.steps, scheduler.spacing)
    noise, sources = starting_noise([request.seed * PARTICLES + i for i in range(PARTICLES)], (2,))
    counted = _Counted(first, check)
    with torch.no_grad():
        walk = list(sample(steer(counted, request.towards, request.guidance, PARTICLES), schedule.sigma(ts[0]) * noise,
                           ts, scheduler.rule, sources))
        layers = arrows(request, denoisers, ts, check)
        gaps = [_gap(request, denoisers, step) for step in walk] if len(denoisers) > 1 else []
    ends = walk[-1].x_next
    distance, nearest = torch.cdist(ends, points).min(dim=1)
    return Journey(points, classes, schedule, ts, torch.stack([*(step.x for step in walk), ends]), classes[nearest],
                   layers, gaps, counted.seen // PARTICLES, distance.mean().item())


def arrows(request: Request, denoisers: Mapping[str, Callable], ts: Sequence[float],
           check: Callable[[], None]) -> dict[str, Tensor]:
    """-dx/dt times REACH at the grid, for every denoiser, and the extra force if there is one.

    name -> (len(ts), SIDE * SIDE, 2). At t = 0 there is no noise left to undo, and no arrow.
    """
    x, schedule = grid(), find_schedule(request.schedule)
    layers = {name: torch.zeros(len(ts), len(x), 2) for name in denoisers}
    forced = request.towards != "none" and request.guidance > 1
    if forced:
        layers["extra force"] = torch.zeros(len(ts), len(x), 2)
    for i, t in enumerate(ts[:-1]):
        check()
        for name, denoise in denoisers.items():
            x0_hat = steer(denoise, request.towards, request.guidance, len(x))(x, t)
            layers[name][i] = -REACH * schedule.velocity(x, x0_hat, t)
        if forced:
            force = extra_force(next(iter(denoisers.values())), x, t, request.towards, request.guidance)
            layers["extra force"][i] = REACH * pull(schedule, t) * force
    return layers


def _gap(request: Request, denoisers: Mapping[str, Callable], step: Step) -> float:
    """The mean distance between two denoisers' guesses at the particles of a step."""
    one, other = (steer(denoise, request.towards, request.guidance, len(step.x))(step.x, step.t)
                  for denoise in denoisers.values())
    return (one - other).norm(dim=1).mean().item()


def level_off(arrows: Tensor) -> Tensor:
    """Arrows (..., 2) as they are where short, and no longer than LONGEST: the length is LONGEST tanh(l / LONGEST)."""
    length = arrows.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    return arrows * (LONGEST * torch.tanh(length / LONGEST) / length)


def compute(request: Request, learned: Denoiser | None = None, check: Callable[[], None] = lambda: None) -> Journey:
    """The journey that is asked for. learned: the trained denoiser; None trains it here if it is needed."""
    points, classes = data_of(request)
    schedule = find_schedule(request.schedule)
    denoisers = {}
    if request.denoiser != "exact":
        if learned is None:
            for learned in learn(points, classes, schedule):
                check()
        denoisers["learned"] = learned
    if request.denoiser != "learned":
        denoisers["exact"] = exact_denoiser(points, classes, schedule)
    return carry(request, (points, classes), denoisers, check)


def labels(journey: Journey) -> list[str]:
    """The words for each frame: the step, t, the picture's share of the variance, how far apart two guesses are."""
    last, said = len(journey.times) - 1, []
    for i, t in enumerate(journey.times):
        said.append(moment(i, last, t, journey.schedule, "data"))
        if i < len(journey.gaps):
            said[i] += f" · guesses {journey.gaps[i]:.2f} apart"
    return said


def summary(journey: Journey, towards: str) -> str:
    """What the journey cost, and how well the particles fit the data."""
    wanted = CLASSES[0] if towards == "none" else towards
    share = (journey.fates == CLASSES.index(wanted)).float().mean()
    return (f"Network evaluations (NFE) for each particle: {journey.nfe}. At the end a particle is {journey.near:.2f} "
            f"from the nearest data point, on average; {share:.0%} end at class {wanted}.")


def pack(journey: Journey) -> dict:
    """What the browser needs: numbers and texts, and little-endian bytes for all that is large.

    data: int16 (K, 2) and particles: int16 (n + 1, P, 2), where 32767 is SPAN; classes, fates: uint8; layers: int8
    (n + 1, SIDE * SIDE, 2), where 127 is LONGEST. At 60 steps with three layers this is about 190 KB.
    """
    def whole(values: Tensor, largest: float, kind: str) -> bytes:
        top = np.iinfo(kind).max
        return (values / largest * top).round().clamp(-top, top).numpy().astype(kind).tobytes()

    alphas, sigmas = ([float(of(t)) for t in journey.times] for of in (journey.schedule.alpha, journey.schedule.sigma))
    return {"labels": labels(journey), "alphas": alphas, "sigmas": sigmas, "std": STD, "limit": LIMIT, "cell": CELL,
            "longest": LONGEST, "span": SPAN, "side": SIDE,
            "data": whole(journey.points, SPAN, "<i2"), "classes": journey.classes.numpy().astype("u1").tobytes(),
            "particles": whole(journey.particles, SPAN, "<i2"),
            "fates": journey.fates.numpy().astype("u1").tobytes(),
            "layers": [{"name": name, "bytes": whole(level_off(layer), LONGEST, "i1")}
                       for name, layer in journey.layers.items()]}

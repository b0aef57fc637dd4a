"""The field lab: data in the plane, the vector field that leads to them, and particles that it carries."""

from typing import Any, Callable, Sequence

import anywidget
import traitlets

from course_lib.denoiser import Denoiser
from course_lib.labs.assets import joined
from course_lib.labs.controls import Choice, Number, Slider
from course_lib.labs.face import LiveFace
from course_lib.labs.plane import (DENOISERS, LARGEST_SEED, LESSONS, LIMIT, MOST_GUIDANCE, MOST_STEPS, OWN, SCHEDULES,
                                   SIDE, TOWARDS, Journey, Request, carry, compute, data_of, grid, learn, level_off,
                                   pack, summary)
from course_lib.plots import Figure, particles
from course_lib.points import SHAPES
from course_lib.schedulers import SCHEDULERS, find_schedule

MOMENTS = 5
SPARSE = [i for i in range(SIDE * SIDE) if i % SIDE % 2 == i // SIDE % 2 == 0]  # every other arrow, twice as long
SHOWN_EVERY = 40  # lessons: how often the half-trained field is shown


class Plane(anywidget.AnyWidget):
    """The picture: particles, arrows and data at the time that the slider says. All frames reach the browser at once.

    shown: what `plane.pack` gives, with a `note`, whether the data are the learner's `own`, and the frame to `start` on
    as a share of all; drawn: the learner's points as (x, y, class), changed by the browser when a stroke ends.
    """

    _esm = joined("parts.js", "player.js", "plane.js", "field.js")
    _css = joined("parts.css", "player.css", "field.css")
    shown = traitlets.Dict().tag(sync=True)  # one trait, so that all changes together
    drawn = traitlets.List().tag(sync=True)


class FieldLab(LiveFace):
    """The face: the controls, and the picture to scrub and to draw on."""

    def __init__(self, request: Request):
        self.learned: tuple[Any, Denoiser | None] = (None, None)  # what it was trained on, and the network
        self.plane = Plane(drawn=[list(point) for point in request.drawn])
        super().__init__(
            self.plane, shape=Choice("Data", request.shape, (*SHAPES, OWN)),
            denoiser=Choice("Field", request.denoiser, DENOISERS),
            schedule=Choice("Schedule", request.schedule, SCHEDULES),
            scheduler=Choice("Scheduler", request.scheduler, tuple(SCHEDULERS)),
            towards=Choice("Class", request.towards, TOWARDS),
            seed=Number("Seed of the noise", request.seed, high=LARGEST_SEED, dice=True),
            steps=Slider("Steps", request.steps, 1, MOST_STEPS),
            eta=Slider("eta (ddim)", request.eta, 0, 1, 0.1),
            guidance=Slider("Guidance", request.guidance, 0, MOST_GUIDANCE, 0.5))
        self.box.add_class("field-lab")
        self._done(self.answer(self.controls.values, lambda: None))
        self.plane.observe(lambda _: self.draw(), "drawn")

    @property
    def figure(self) -> Figure:
        journey, last = self.journey, len(self.journey.times) - 1
        chosen = sorted({round(last * i / (MOMENTS - 1)) for i in range(MOMENTS)})
        clouds = {f"t = {journey.times[i]:.2f}": journey.particles[i].numpy() for i in chosen}
        layer = next(iter(journey.layers.values()))[:, SPARSE]
        return particles(clouds, journey.fates.numpy(),
                         f"{len(clouds)} moments of particles that arrows carry to the data, in grey: "
                         f"{self.request.shape}. They begin as a shapeless round cloud of noise and end on the data; "
                         "colour and shape tell at which class.",
                         grid()[SPARSE].numpy(), [2 * level_off(layer[i]).numpy() for i in chosen],
                         data=journey.points.numpy(), limit=LIMIT)

    def draw(self) -> None:
        """Take the learner's points as the data, from now on."""
        values = self.controls.values | {"shape": OWN}
        if values == self.controls.values:
            self.ask(values)
        else:
            self.controls.values = values  # which asks

    def answer(self, values: dict[str, Any], check: Callable[[], None]) -> tuple[Request, Journey]:
        request = Request(**values, drawn=self.plane.drawn)
        data = data_of(request)
        if request.denoiser == "exact":
            return request, compute(request, check=check)
        lesson = (request.schedule, data[0].numpy().tobytes(), data[1].numpy().tobytes())
        if self.learned[0] != lesson:
            self.learned = (lesson, self._taught(request, data, check))
        return request, compute(request, self.learned[1], check)

    def _taught(self, request: Request, data, check: Callable[[], None]) -> Denoiser:
        """Train on the data, and show now and then what has been learned so far."""
        for lesson, denoise in enumerate(learn(*data, find_schedule(request.schedule)), 1):
            check()
            if lesson % SHOWN_EVERY == 0:
                self._put(request, carry(request, data, {"learned": denoise}, check),
                          f"The network is learning: lesson {lesson} of {LESSONS}.")
        return denoise

    def show(self, result: tuple[Request, Journey]) -> str:
        self.request, self.journey = result
        self._put(*result, summary(self.journey, self.request.towards))
        return self.request.unheard()

    def _put(self, request: Request, journey: Journey, note: str) -> None:
        self.plane.shown = pack(journey) | {"note": note, "own": request.shape == OWN, "shape": request.shape}

    def __repr__(self) -> str:
        return f"FieldLab(shape={self.request.shape!r}, field={self.request.denoiser!r}, steps={self.request.steps})"


def field(shape: str = "moons", denoiser: str = "exact", scheduler: str = "ddim", steps: int = 30, eta: float = 0.0,
          towards: str = "none", guidance: float = 1.0, seed: int = 0, schedule: str = "cosine",
          drawn: Sequence[Sequence[float]] = ()) -> FieldLab:
    """Watch a field of arrows carry noise to data in the plane; draw data of your own on the picture.

    The arguments are what the controls stand on at first, as in `plane.Request`: shape "ring", "moons", "spiral",
    "squares", "face", or "your own" with `drawn`, points (x, y, class 0 or 1) with x and y from -2.6 to 2.6; denoiser
    "exact", "learned" (a network trained on the spot in a few seconds) or "both". Raises CourseError on anything else.
    """
    return FieldLab(Request(shape, denoiser, schedule, scheduler, steps, eta, towards, guidance, seed, drawn))

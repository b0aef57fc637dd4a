"""The noise lab: a picture dissolves into noise, at any noise level, on a schedule of your choice."""

import ipywidgets as widgets
import numpy as np

from course_lib.labs.scrubber import Scrubber, with_strip
from course_lib.labs.upload import Upload, read_picture
from course_lib.picturebook import Scene, Thing, render
from course_lib.runtime import CourseError, check_whole
from course_lib.schedulers import SCHEDULES, find_schedule

CHOICES = ("linear", "cosine", "flow")
LEVELS = 51
LAM_LIMIT = 6.0  # the curve is cut off here: lam is infinite at the data and, on some schedules, at the noise
SCENE = Scene("sunset", "sea", "clear", "sun", (Thing("boat", "red", "large", "left"),), seed=3)
ALT = "A picture dissolving into noise as the slider moves from t = 0 to t = 1."


def compute(picture: np.ndarray, schedule: str, seed: int = 0) -> dict:
    """The forward process at 51 times from 0 to 1, always with the same noise: what the scrubber shows.

    picture: uint8 (size, size, 3). Gives the Scrubber's `views` ("noisy picture" = "signal kept" + "noise added", that
    is x_t = alpha(t) x0 + sigma(t) eps, with 0 shown as mid-grey), `labels` and `curve` (lam(t) on every schedule).
    Raises CourseError if the schedule is unknown.
    """
    chosen = find_schedule(schedule)
    x0 = picture / 127.5 - 1
    eps = np.random.default_rng(seed).standard_normal(picture.shape)
    times = np.linspace(0, 1, LEVELS).tolist()
    views = {"noisy picture": [], "signal kept": [], "noise added": []}
    labels = []
    for t in times:
        alpha, sigma = chosen.alpha(t), chosen.sigma(t)
        signal, noise = alpha * x0, sigma * eps
        for name, x in zip(views, (signal + noise, signal, noise)):
            views[name].append(((x.clip(-1, 1) + 1) * 127.5).round().astype(np.uint8))
        share = alpha**2 / (alpha**2 + sigma**2)
        labels.append(f"t = {t:.2f} · α = {alpha:.2f} · σ = {sigma:.2f} ({share:.0%} picture)")
    lams = {name: [min(LAM_LIMIT, max(-LAM_LIMIT, SCHEDULES[name].lam(t))) for t in times]
            for name in {schedule: None} | dict.fromkeys(CHOICES)}
    curve = {"label": "λ = log(α / σ): above 0 more picture, below 0 more noise", "y": lams.pop(schedule),
             "range": (-LAM_LIMIT, LAM_LIMIT), "others": list(lams.values())}
    return {"views": {name: np.stack(frames) for name, frames in views.items()}, "labels": labels, "curve": curve}


class NoiseLab:
    """The face: a schedule to choose, a picture to bring along, and the scrubber, which is updated in place."""

    def __init__(self, picture: np.ndarray, schedule: str):
        self.picture = picture
        self.scrubber = Scrubber(**compute(picture, schedule), alt=ALT, start=LEVELS // 4)
        self.schedule = widgets.Dropdown(options=CHOICES, value=schedule, description="Schedule")
        self.schedule.observe(lambda _: self.update(), "value")
        self.upload = Upload(self.take)
        self.face = widgets.VBox([widgets.HBox([self.schedule, self.upload]), self.scrubber])

    def take(self, file: bytes) -> None:
        """Go on with another picture, from the bytes of its file."""
        self.picture = read_picture(file, len(self.picture))
        self.update()

    def update(self) -> None:
        self.scrubber.show(**compute(self.picture, self.schedule.value), alt=ALT)

    def __repr__(self) -> str:
        return f"NoiseLab(schedule={self.schedule.value!r})"

    def _repr_mimebundle_(self, **_):
        view = {"version_major": 2, "version_minor": 0, "model_id": self.face.model_id}
        return with_strip({"application/vnd.jupyter.widget-view+json": view},
                          self.scrubber.strip, self.scrubber.strip_alt)


def noise(picture=None, schedule: str = "cosine", size: int = 64) -> NoiseLab:
    """Scrub through the forward process: a picture at 51 noise levels, with the curve of its log signal-to-noise ratio.

    picture: None for a page of the picture book, or a path, a Pillow image or a uint8 array (H, W, 3);
    schedule: "linear", "cosine" or "flow"; size: pixels a side, 16 to 256. Raises CourseError on input that does not fit.
    """
    size = check_whole(size, "The size", 16, 256)
    if schedule not in CHOICES:
        raise CourseError(f"There is no schedule '{schedule}' in this lab: choose from {', '.join(CHOICES)}.")
    return NoiseLab(render(SCENE, size) if picture is None else read_picture(picture, size), schedule)

"""The whole evaluation: every part of the model on pages it has never seen, in one report that can be repeated."""

import textwrap
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Callable, Sequence

import numpy as np
import torch
from tqdm import tqdm

from course_lib import evaluation, pipeline
from course_lib.data import HELD_OUT_FROM, open_pictures
from course_lib.evaluation import FEATURES, Obedience, Reading, oracle_features, frechet, obedience, read, reconstruct
from course_lib.models import oracle_from, text_from, vae_from, weights_for
from course_lib.oracle import Oracle
from course_lib.pages import draw_pages
from course_lib.picturebook import caption, random_scene
from course_lib.pictures import to_uint8
from course_lib.runtime import WEIGHTS, CourseError, check_whole, fingerprint, pick_device
from course_lib.schedulers import find_scheduler

# Which weights each part of the evaluation needs.
PARTS = {"oracle": ("oracle",), "vae": ("vae",), "text": ("text",), "latent": ("latent", "text", "vae", "oracle"),
         "speed": ("latent", "text", "vae"), "pixels": ("pixels", "oracle")}
VALIDATION_FROM = HELD_OUT_FROM + 500_000  # pages to tune a choice on, so that the held-out ones stay unseen by it too
REFERENCE = 100_000  # so many pages behind the prompts' own begin the other real pictures, for the Frechet distance
ORACLE_PAGES, RETRIEVAL_PAIRS, VAE_PAGES, PIXEL_PAGES, PIXEL_SAMPLES = 2000, 1000, 512, 512, 512
BATCH, DRAWN = 32, 32  # pictures painted, and pages drawn, at once
TIMED_PROMPT, TIMED = "a small red house on the left at night", 5


@dataclass(frozen=True)
class Job:
    """The arguments of `evaluate`, and what the parts share."""

    prompts: int
    steps: int
    guidance: float
    scheduler: str
    seed: int
    device: torch.device
    folder: Path | None
    progress: bool
    first: int

    def pages(self, count: int, split: str = "train", skip: int = 0) -> dict[str, torch.Tensor]:
        """`count` pages that training never sees."""
        first = self.first + skip
        parts = [_draw(start, split) for start in self.watch(range(first, first + count, DRAWN), "drawing pages")]
        return {key: torch.cat([part[key] for part in parts])[:count] for key in parts[0]}

    def watch(self, steps: Sequence, what: str) -> tqdm:
        return tqdm(steps, desc=what, disable=not self.progress, leave=False)

    @cached_property
    def oracle(self) -> Oracle:
        return oracle_from(*weights_for("oracle", self.folder), self.device)

    @cached_property
    def model(self) -> pipeline.TextToImage:
        return pipeline.load_text_to_image(str(self.device), self.folder)


@lru_cache(maxsize=128)
def _draw(start: int, split: str) -> dict[str, torch.Tensor]:
    """A few pages; kept, since the parts ask for the same ones."""
    return draw_pages(range(start, start + DRAWN), split)


def evaluate(prompts: int = 512, steps: int = 20, guidance: float = pipeline.GUIDANCE, scheduler: str = "dpmpp_2m",
             seed: int = 0, device: str = "cpu", folder: Path | None = None, progress: bool = True,
             only: Sequence[str] = tuple(PARTS), validation: bool = False) -> dict:
    """Measure the shipped models, or those in `folder`; everything in the answer can be written as JSON.

    prompts: how many captions of held-out pages are painted, 2 to 10,000, and half as many of pages with a pair or
    relation never seen in training; steps, guidance, scheduler: as for `pipeline.generate`; seed: what the noise is
    drawn from, 0 to 1,000,000; device: as for `pick_device`; progress: bars on stderr; only: names out of `PARTS`;
    validation: take other pages, never trained on either, to make a choice on (the pixel model has none).

    Accuracies are shares from 0 to 1; the functions in `evaluation` say what each figure means. What cannot be measured
    because weights are missing is said under "not_measured".
    Raises CourseError for a value out of range, damaged weights, or if nothing can be measured.
    """
    prompts, seed = check_whole(prompts, "The number of prompts", 2, 10_000), check_whole(seed, "The seed", 0, 10**6)
    check_whole(steps, "The number of steps", 1, 1000)
    find_scheduler(scheduler)
    pipeline.check_guidance(guidance)
    unknown = [name for name in only if name not in PARTS]
    if unknown or not only:
        raise CourseError(f"There is no part '{', '.join(unknown)}' of the evaluation: choose from {', '.join(PARTS)}.")
    if folder is not None and not Path(folder).is_dir():
        raise CourseError(f"There is no folder {folder}: give the one that train wrote to, or leave --weights out.")
    job = Job(prompts, steps, guidance, scheduler, seed, pick_device(device), folder, progress,
              VALIDATION_FROM if validation else HELD_OUT_FROM)
    report, missing = {}, {}
    for part in (name for name in PARTS if name in only):
        gone = [name for name in PARTS[part] if not _is_there(name, folder)]
        if part == "pixels" and validation:
            missing[part] = "The pixel model has no validation pages: leave --validation out."
        elif gone:
            missing[part] = (f"There are no weights called {' and '.join(gone)} yet: make them with "
                             f"python -m course_lib train {gone[-1]}.")
        else:
            report |= MEASURES[part](job)
    if not report:
        raise CourseError(f"Nothing can be measured. {' '.join(dict.fromkeys(missing.values()))}")
    used = dict.fromkeys(name for part in only if part not in missing for name in PARTS[part])
    settings = {"prompts": prompts, "steps": steps, "guidance": guidance, "scheduler": scheduler, "seed": seed,
                "first_page": job.first, "batch": BATCH, "only": [name for name in PARTS if name in only],
                "threads": torch.get_num_threads(), "torch": torch.__version__,
                "weights": {name: _marks(name, folder) for name in used}}
    return report | {"device": str(job.device), "settings": settings} | ({"not_measured": missing} if missing else {})


def _is_there(name: str, folder: Path | None) -> bool:
    return any((Path(place) / f"{name}.safetensors").is_file() for place in (folder, WEIGHTS) if place is not None)


def _marks(name: str, folder: Path | None) -> dict:
    """Which weights these are: eight letters that belong to them alone, and how they were trained."""
    tensors, settings = weights_for(name, folder)
    return {"fingerprint": fingerprint(tensors), "trained": settings.get("trained")}


def _measure_oracle(job: Job) -> dict:
    return {"oracle": evaluation.oracle_accuracy(job.oracle, job.pages(ORACLE_PAGES))}


def _measure_vae(job: Job) -> dict:
    vae = vae_from(*weights_for("vae", job.folder), job.device)
    found = evaluation.reconstruction_psnr(vae, job.pages(VAE_PAGES))
    return {"vae_psnr_db": found.pop("vae_psnr_db"), "vae": found}


def _measure_text(job: Job) -> dict:
    space = text_from(*weights_for("text", job.folder), job.device)
    found = evaluation.retrieval(space, job.pages(RETRIEVAL_PAIRS))
    return {"retrieval_at_1": found.pop("retrieval_at_1"), "retrieval": found}


def _measure_latent(job: Job) -> dict:
    """Obedience and likeness of painted pictures; beside them the same of real ones, which no generator can pass by
    much, of the VAE's copies of them, and of pictures painted for other prompts, which is what chance gives."""
    seen, unseen = Prompted(job, job.prompts, "train"), Prompted(job, max(1, job.prompts // 2), "unseen")
    others = oracle_features(job.oracle, _pictures(job.pages(job.prompts, skip=REFERENCE)))
    painted, copies = seen.paint(), reconstruct(job.model.vae, seen.real)
    reading = read(job.oracle, painted)
    found, two = seen.judge(reading), seen.stated[:, -1] == 2
    unseen_found = unseen.judge(read(job.oracle, unseen.paint()))
    real, copied = read(job.oracle, seen.real), read(job.oracle, copies)
    strangers = np.roll(np.arange(job.prompts), 1)
    chance = obedience(seen.stated, reading.scenes[strangers], reading.things[strangers])
    return {"prompts": job.prompts, **_shares(found),
            "exact_one_thing": _share(found.exact[~two]), "exact_two_things": _share(found.exact[two]),
            "unseen_prompts": len(unseen.stated), "unseen_exact": _share(unseen_found.exact),
            "unseen_attribute_accuracy": _shares(unseen_found)["attribute_accuracy"],
            "per_attribute": _rounded(found.per_attribute), "times_stated": found.times_stated,
            "unseen_per_attribute": _rounded(unseen_found.per_attribute),
            "frechet": _distance(oracle_features(job.oracle, painted), others),
            "frechet_floor": _distance(oracle_features(job.oracle, seen.real), others),
            "real_pictures": _shares(seen.judge(real)) | {
                "unseen_exact": _share(unseen.judge(read(job.oracle, unseen.real)).exact)},
            "vae_copies": _shares(seen.judge(copied)) | {
                "frechet": _distance(oracle_features(job.oracle, copies), others)},
            "chance": _shares(chance)}


class Prompted:
    """`count` prompts, the first captions of pages of a split, with the pages' own pictures, `real`."""

    def __init__(self, job: Job, count: int, split: str):
        pages = job.pages(count, split)
        self.job, self.split, self.stated, self.real = job, split, pages["stated"][:, 0].numpy(), _pictures(pages)
        self.prompts = [caption(random_scene(job.first + i, split)).text for i in range(count)]

    def paint(self) -> np.ndarray:
        """A picture for each prompt, uint8 (count, 64, 64, 3), each from a seed of its own."""
        job, count = self.job, len(self.prompts)
        first = 10**6 * job.seed + (500_000 if self.split == "unseen" else 0)
        with tqdm(total=count, desc=f"painting {count} prompts ({self.split})", disable=not job.progress,
                  leave=False) as bar:
            painted = []
            for chunk, seeds in pipeline.batches(self.prompts, first, BATCH):
                painted.append(pipeline.generate(chunk, seeds, job.steps, job.guidance, job.scheduler,
                                                 model=job.model).pictures)
                bar.update(len(chunk))
        return np.concatenate(painted)

    def judge(self, reading: Reading) -> Obedience:
        return obedience(self.stated, reading.scenes, reading.things)


def _measure_speed(job: Job) -> dict:
    """The median of a few pictures painted one at a time, decoding included, after one to warm up."""
    seconds = [pipeline.generate(TIMED_PROMPT, job.seed, job.steps, job.guidance, job.scheduler,
                                 model=job.model).seconds
               for _ in job.watch(range(1 + TIMED), "timing single pictures")]
    return {"seconds_per_picture": round(float(np.median(seconds[1:])), 3)}


def _measure_pixels(job: Job) -> dict:
    model = pipeline.load_denoiser("pixels", str(job.device), job.folder)
    data = weights_for("pixels", job.folder)[1]["data"]
    pages = open_pictures(data, model[1][1], "test", limit=PIXEL_PAGES)
    found = evaluation.held_out_error(model[0], pages)
    timed = [pipeline.generate_pixels(seed=0, steps=50, model=model) for _ in range(2)][-1]
    first = 10**6 * job.seed
    painted = [pipeline.generate_pixels(range(start, start + BATCH), steps=50, model=model).pictures
               for start in job.watch(range(first, first + PIXEL_SAMPLES, BATCH), "painting in pixels")]
    return {"pixels": found | {
        "data": data, "seconds_per_picture": round(timed.seconds, 3), "nfe": timed.nfe, "samples": PIXEL_SAMPLES,
        "recognised": evaluation.recognised(job.oracle, np.concatenate(painted)),
        "recognised_real": evaluation.recognised(job.oracle, to_uint8(pages.batch(slice(None))))}}


MEASURES: dict[str, Callable[[Job], dict]] = {
    "oracle": _measure_oracle, "vae": _measure_vae, "text": _measure_text, "latent": _measure_latent,
    "speed": _measure_speed, "pixels": _measure_pixels}


def _pictures(pages: dict[str, torch.Tensor]) -> np.ndarray:
    return pages["pictures"].permute(0, 2, 3, 1).numpy()


def _share(right: np.ndarray) -> float | None:
    return round(float(right.mean()), 4) if len(right) else None


def _shares(found: Obedience) -> dict[str, float]:
    return {"attribute_accuracy": round(found.attribute_accuracy, 4), "exact": _share(found.exact)}


def _rounded(shares: dict[str, float | None]) -> dict[str, float | None]:
    return {name: share if share is None else round(share, 4) for name, share in shares.items()}


def _distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(f"{frechet(a, b):.4g}")  # how large the oracle's numbers are is anyone's guess


def as_table(report: dict) -> str:
    """The report's main figures for a reader."""
    lines, settings = [], report["settings"]

    def row(name: str, *figures: str) -> None:
        lines.append(f"{name:24}" + "".join(f"{figure:>12}" for figure in figures))

    if "exact" in report:
        lines += [f"Painted from {report['prompts']} held-out prompts ({settings['steps']} steps, guidance "
                  f"{settings['guidance']:g}, {settings['scheduler']}, seed {settings['seed']}); beside them real "
                  "pictures,", "the VAE's copies of these, and pictures painted for other prompts.", ""]
        row("", "painted", "real", "copies", "others'")
        columns = [report, report["real_pictures"], report["vae_copies"], report["chance"]]
        for name, key in [("attributes right", "attribute_accuracy"), ("all right (exact)", "exact"),
                          ("  of one thing", "exact_one_thing"), ("  of two things", "exact_two_things"),
                          ("  never seen in training", "unseen_exact")]:
            row(name, *(_percent(column.get(key)) for column in columns))
        row("Frechet distance", f"{report['frechet']:.4g}", f"{report['frechet_floor']:.4g}",
            f"{report['vae_copies']['frechet']:.4g}")
        if report["prompts"] < 4 * FEATURES:
            lines.append(f"(A Frechet distance of fewer than {4 * FEATURES} pictures means little.)")
        lines += ["", "Right where stated: " + _list(report["per_attribute"]), ""]
    if "oracle" in report:
        lines.append(f"The oracle, on {report['oracle']['pages']} held-out pages: "
                     + _list(report["oracle"]["accuracy"]))
        lines += [f"  of {pair['of']} {name} {pair['true']}, {pair['times']} read as {pair['read']}"
                  for name, pairs in report["oracle"]["confusions"].items() for pair in pairs[:2]]
    if "vae" in report:
        lines.append(f"The VAE, on {report['vae']['pages']} held-out pages: {report['vae_psnr_db']} dB PSNR (the worst "
                     f"{report['vae']['worst_db']})")
    if "retrieval" in report:
        found = report["retrieval"]
        lines.append(f"The shared space, on {found['pairs']} held-out pairs: recall at 1 "
                     f"{_percent(report['retrieval_at_1'])} (text to picture {_percent(found['text_to_picture'])}, "
                     f"picture to text {_percent(found['picture_to_text'])}, by chance {_percent(found['by_chance'])})")
    if "seconds_per_picture" in report:
        lines.append(f"One picture: {report['seconds_per_picture']} s on {report['device']} "
                     f"({settings['threads']} threads), {settings['steps']} steps, decoding included")
    if "pixels" in report:
        found = report["pixels"]
        lines.append(f"The pixel model, on {found['pictures']} held-out pages: loss {found['loss']}, a picture in "
                     f"{found['seconds_per_picture']} s ({found['nfe']} steps); the oracle is sure of a thing in "
                     f"{_percent(found['recognised'])} of its pictures and in "
                     f"{_percent(found['recognised_real'])} of real ones")
    lines += [f"Not measured: {part}. {why}" for part, why in report.get("not_measured", {}).items()]
    return "\n".join(textwrap.fill(line, 110, subsequent_indent="  ", drop_whitespace=False) for line in lines)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _list(shares: dict[str, float | None]) -> str:
    return ", ".join(f"{name} {_percent(share)}" for name, share in shares.items() if share is not None)

"""The commands: `python -m course_lib COMMAND`; `--help` lists them, and each has its own."""

import argparse
import json
import math
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np


def whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number") from None


def positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return value


def check_place(path: Path) -> None:
    """A CourseError if no file can be written to `path`, found out without writing one."""
    from course_lib.runtime import CourseError

    if os.path.isdir(path):
        raise CourseError(f"Cannot write {path} (it is a folder): choose another place.")
    nearest = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not os.path.isdir(nearest) or not os.access(nearest, os.W_OK | os.X_OK):
        raise CourseError(f"Cannot write {path}: choose a folder that you may write to.")


def run_generate(options: argparse.Namespace) -> None:
    from course_lib import pipeline
    from course_lib.pictures import save_png, tile
    from course_lib.runtime import CourseError

    places = [path for path in (options.out, options.strip) if path is not None]
    for path in places:  # now, not when the picture is done
        check_place(path)
    if len({path.absolute() for path in places}) < len(places):
        raise CourseError(f"The picture and the strip would both be {options.out}: give each its own place.")
    name = "pixels" if options.pixels else "latent"
    if options.weights is not None and not (options.weights / f"{name}.safetensors").is_file():
        raise CourseError(f"There is no {name}.safetensors in {options.weights}: check the folder, or train first "
                          f"(python -m course_lib train {name}).")
    given = {key: getattr(options, key) for key in ("steps", "scheduler", "eta") if getattr(options, key) is not None}
    if options.pixels:
        if options.prompt or options.negative or options.guidance is not None:
            raise CourseError("The model of --pixels paints without a prompt: leave out the prompt, --negative and "
                              "--guidance, or leave out --pixels.")
        model = pipeline.load_denoiser("pixels", options.device, options.weights)
        result = pipeline.generate_pixels(options.seed, model=model, **given)
        guided = ""
    else:
        guidance = pipeline.GUIDANCE if options.guidance is None else options.guidance
        model = pipeline.load_text_to_image(options.device, options.weights)
        result = pipeline.generate(options.prompt, options.seed, guidance=guidance, negative_prompt=options.negative,
                                   model=model, **given)
        guided = f"guidance {guidance:g}, "
    save_png(options.out, result.picture)
    if options.strip is not None:
        states = [result.trajectory[0].x, *(step.x_next for step in result.trajectory)]
        moments = np.linspace(0, len(states) - 1, 5).round().astype(int)
        frames = np.concatenate([result.decode(states[i]) for i in moments])
        save_png(options.strip, tile(frames, columns=5, scale=max(1, 128 // frames.shape[1])))
    for remark in result.remarks:
        print(remark, file=sys.stderr)
    print(f"{options.out}: seed {options.seed}, {result.scheduler}, {len(result.trajectory)} steps, {guided}"
          f"{result.nfe} network evaluations, {result.seconds:.2f} s")


def run_train(options: argparse.Namespace) -> None:
    from course_lib import parallel, recipes

    device = parallel.start(options.device)
    compiled = device.type == "cuda" if options.compile is None else options.compile
    common = {"minutes": options.minutes, "resume": options.resume, "compiled": compiled}
    try:
        if options.name == "all":
            shares = [(recipes.find_recipe(name), share) for name, share in recipes.SHARES.items()]
            runs = recipes.train_all(shares, options.out, device, **common)
        else:
            recipe = recipes.find_recipe(options.name)
            runs = iter([(recipe.name, recipes.train(recipe, options.out, device, **common))])
        for name, run in runs:
            follow(name, run, options, device)
    finally:
        parallel.stop()


def follow(name: str, run, options: argparse.Namespace, device) -> None:
    """Show a run's progress until it is done; after Ctrl-C say how to go on, and exit."""
    from tqdm import tqdm

    from course_lib import parallel

    say = print if parallel.leads() else lambda *_, **__: None
    say(f"Training {name} on {device}; drawing the pictures first ...", flush=True)
    smooth, progress, bar = None, None, None
    try:
        for progress in run:
            if bar is None:  # not before: what came earlier, drawing or an earlier run, says nothing of the speed
                smooth, shape = progress.loss, "{desc} {percentage:5.1f} % |{bar:24}| {elapsed}<{remaining} {postfix}"
                bar = tqdm(desc=name, total=100, initial=100 * progress.done, bar_format=shape, mininterval=1.0,
                           disable=not parallel.leads())
            smooth = 0.99 * smooth + 0.01 * progress.loss
            bar.set_postfix_str(f"step {progress.step}, loss {smooth:.4f}, "
                                f"{progress.pictures_per_second:.0f} pictures/s", refresh=False)
            bar.update(100 * progress.done - bar.n)
    except KeyboardInterrupt:
        run.close()
        say(f"\nStopped early; all is kept in {options.out}. Go on with the same command and --resume.")
        sys.exit(130)
    finally:
        if bar is not None:
            bar.close()
    if progress is None:
        say(f"The run in {options.out} has had its {options.minutes:g} minutes: give more to go on."
            if options.name != "all" else f"{name} has had its share of the {options.minutes:g} minutes.")
        return
    say(f"Done: {name}, {progress.step} steps, loss {smooth:.4f}; the network was kept waiting for its pictures "
        f"{progress.waited:.0%} of the time. Weights and samples are in {options.out}.")


def run_evaluate(options: argparse.Namespace) -> None:
    from course_lib.reports import PARTS, as_table, evaluate

    only = [name.strip() for name in options.only.split(",")] if options.only is not None else tuple(PARTS)
    report = evaluate(options.prompts, options.steps, options.guidance, options.scheduler, options.seed, options.device,
                      options.weights, only=only, validation=options.validation)
    print(json.dumps(report, indent=2) if options.json else as_table(report))


def run_experiment(options: argparse.Namespace) -> None:
    from course_lib.experiments import EXPERIMENTS, open_studio
    from course_lib.runtime import CourseError

    if options.name not in EXPERIMENTS:
        raise CourseError(f"There is no experiment called '{options.name}': choose from {', '.join(EXPERIMENTS)}.")
    if options.weights is not None and not options.weights.is_dir():
        raise CourseError(f"There is no folder {options.weights}: give the one that train wrote to, or leave --weights "
                          "out.")
    chosen = EXPERIMENTS[options.name]
    pictures = chosen.pictures if options.pictures is None else options.pictures
    found = chosen.run(open_studio(options.device, options.weights), pictures=pictures)
    print(json.dumps({"experiment": options.name, "pictures": pictures, **found.as_json()}, indent=2) if options.json
          else found)


def run_bench(options: argparse.Namespace) -> None:
    from course_lib.bench import bench, in_words

    figures = bench(options.rounds)
    print(json.dumps(figures, indent=2) if options.json else in_words(figures))


def run_notebooks(options: argparse.Namespace) -> None:
    from course_lib import notebooks

    for path, seconds in notebooks.run_notebooks(options.paths or sorted(notebooks.FOLDER.glob("*.ipynb"))):
        print(f"{path.name}: {seconds:.0f} s, {path.stat().st_size / 1000:.0f} KB", flush=True)


def run_site(options: argparse.Namespace) -> None:
    from course_lib import notebooks
    from course_lib.runtime import CourseError

    try:
        from course_lib.site import export_site
    except ModuleNotFoundError as error:
        raise CourseError(f"To export the course, {error.name} is needed: pip install -e '.[lab]'") from None
    paths = options.paths or sorted(notebooks.FOLDER.glob("*.ipynb"))
    run = partial(notebooks.run_notebook, widgets=True)
    for page, seconds, size in export_site(paths, options.out, notebooks.read, run):
        print(f"{page}: {seconds:.0f} s, {size / 1000:.0f} KB", flush=True)
    size = sum(path.stat().st_size for path in options.out.iterdir())
    print(f"Open {options.out / 'index.html'}: {len(paths)} chapters, {size / 1e6:.1f} MB; it needs no network.")


def run_slides(options: argparse.Namespace) -> None:
    from course_lib import notebooks
    from course_lib.runtime import CourseError

    try:
        from course_lib.teaching.slides import export_slides
    except ModuleNotFoundError as error:
        raise CourseError(f"To make slides, {error.name} is needed: pip install -e '.[lab]'") from None
    paths = options.paths or sorted(notebooks.FOLDER.glob("*.ipynb"))
    for name, number, size in export_slides(paths, options.out, notebooks.read):
        print(f"{name}: {number} slides, {size / 1000:.0f} KB")
    print(f"Open the files in {options.out} with a browser; they need no network.")


def run_student(options: argparse.Namespace) -> None:
    from course_lib import notebooks
    from course_lib.teaching.student import write_copies

    paths = options.paths or sorted(notebooks.FOLDER.glob("*.ipynb"))
    for name, exercises, solutions in write_copies(paths, options.out, notebooks.read):
        print(f"{name}: {exercises} exercises, {solutions} cells with solutions left out")
    print(f"Hand out {options.out}; what comes back is graded by python -m course_lib grade FOLDER.")


def run_grade(options: argparse.Namespace) -> None:
    from course_lib import notebooks
    from course_lib.teaching import grade

    check_place(options.out)
    handed_in = grade.find_notebooks(options.folder)
    rows = []
    for row in grade.grade_all(handed_in, options.seconds, sorted(notebooks.FOLDER.glob("*.ipynb")), notebooks.read):
        rows.append(row)
        told = f"{row.passed} of {len(row.statuses)} passed" if row.statuses else row.problems[0]
        print(f"{row.name}: {told} ({row.seconds:.0f} s)", flush=True)
    grade.write_report(rows, options.out)
    for name in grade.changed(options.folder, handed_in):
        print(f"{name} was changed while the notebooks ran: its row is about what was handed in.", file=sys.stderr)
    print(f"The report is in {options.out}: {len(rows)} notebooks.")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m course_lib", description="Noise to Image, from the command line.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    generate = commands.add_parser("generate", help="paint what a prompt says, out of noise")
    generate.add_argument("prompt", nargs="?", default="", help="what to paint, in words of the picture book; leave "
                          "it out and the model paints what it likes")
    generate.add_argument("--seed", type=whole, default=0, help="which noise to start from (default 0)")
    generate.add_argument("--steps", type=whole, help="how many denoising steps, 1 to 1000 (default 20; --pixels: 50)")
    generate.add_argument("--guidance", type=float, help="how firmly to follow the prompt, 1 is off (default 3)")
    generate.add_argument("--negative", default="", metavar="PROMPT", help="a prompt to keep away from")
    generate.add_argument("--scheduler",
                          help="ddpm, ddim, euler, heun or dpmpp_2m (default dpmpp_2m; --pixels: ddim)")
    generate.add_argument("--eta", type=float, help="randomness of ddim, 0 to 1 (default 0)")
    generate.add_argument("--pixels", action="store_true",
                          help="use the small model of the first chapters, which takes no prompt")
    generate.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default auto)")
    generate.add_argument("--weights", type=Path, metavar="FOLDER",
                          help="weights of your own, from train --out (default: the shipped ones)")
    generate.add_argument("--out", type=Path, default=Path("picture.png"), help="where to write the picture")
    generate.add_argument("--strip", type=Path, help="also write a five-frame strip, from noise to picture")
    generate.set_defaults(run=run_generate)

    train = commands.add_parser("train", help="train one of the course's models, or all of text to image")
    train.add_argument("name",
                       help="which model: pixels, vae, text, oracle, reading or latent; or all, for the last five")
    train.add_argument("--minutes", type=positive, required=True, help="how long in all, resumed parts included")
    train.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default auto)")
    train.add_argument("--resume", action="store_true", help="go on where an earlier run in --out stopped")
    train.add_argument("--compile", action=argparse.BooleanOptionalAction,
                       help="compile the network first: a minute, then a quarter faster (default on a CUDA GPU)")
    train.add_argument("--out", type=Path, default=Path("runs"), help="the folder to write to (default runs)")
    train.set_defaults(run=run_train)

    evaluate = commands.add_parser("evaluate", help="measure the shipped models on pages they have never seen")
    evaluate.add_argument("--prompts", type=whole, default=512, help="how many held-out prompts (default 512)")
    evaluate.add_argument("--json", action="store_true", help="print everything as one JSON object")
    evaluate.add_argument("--only", help="a part, or several with commas: oracle,vae,text,latent,speed,pixels")
    evaluate.add_argument("--steps", type=whole, default=20, help="how many denoising steps, 1 to 1000 (default 20)")
    evaluate.add_argument("--guidance", type=float, default=3.0, help="how strongly to follow the prompt (default 3)")
    evaluate.add_argument("--scheduler", default="dpmpp_2m", help="ddpm, ddim, euler, heun or dpmpp_2m (the default)")
    evaluate.add_argument("--seed", type=whole, default=0, help="what the noise is drawn from (default 0)")
    evaluate.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default auto)")
    evaluate.add_argument("--weights", type=Path, help="the folder of your own weights (default: the shipped ones)")
    evaluate.add_argument("--validation", action="store_true",
                          help="measure on other pages, to make a choice on: the held-out ones stay unseen")
    evaluate.set_defaults(run=run_evaluate)

    experiment = commands.add_parser("experiment", help="repeat an experiment of chapter 11 at full size")
    experiment.add_argument("name", help="fingers, text, binding, counting, unseen, guidance, seeds, memory or steps")
    experiment.add_argument("--pictures", type=whole, help="how many pictures for each thing compared, up to 10000 "
                            "(default: as many as make it sure, some minutes' worth)")
    experiment.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default auto)")
    experiment.add_argument("--weights", type=Path, help="the folder of your own weights (default: the shipped ones)")
    experiment.add_argument("--json", action="store_true", help="print one JSON object")
    experiment.set_defaults(run=run_experiment)

    bench = commands.add_parser("bench", help="time the text-to-image model on this machine's CPU")
    bench.add_argument("--rounds", type=whole, default=20, help="how often to time each thing, 1 to 1000 (default 20)")
    bench.add_argument("--json", action="store_true", help="print one JSON object")
    bench.set_defaults(run=run_bench)

    notebooks = commands.add_parser("notebooks", help="run chapters from clean kernels and keep their outputs")
    notebooks.add_argument("paths", nargs="*", type=Path, help="which (default: all of notebooks/)")
    notebooks.set_defaults(run=run_notebooks)

    site = commands.add_parser("site", help="export the course as pages that can be scrubbed without Python")
    site.add_argument("paths", nargs="*", type=Path, help="which chapters (default: all of notebooks/)")
    site.add_argument("--out", type=Path, default=Path("site"), help="the folder to make (default site)")
    site.set_defaults(run=run_site)

    slides = commands.add_parser("slides", help="make slides of chapters, one file each, for a browser")
    slides.add_argument("paths", nargs="*", type=Path, help="which chapters (default: all of notebooks/)")
    slides.add_argument("--out", type=Path, default=Path("slides"), help="the folder to make (default slides)")
    slides.set_defaults(run=run_slides)

    student = commands.add_parser("student", help="copy chapters without their solutions, to hand out")
    student.add_argument("paths", nargs="*", type=Path, help="which chapters (default: all of notebooks/)")
    student.add_argument("--out", type=Path, default=Path("student"), help="the folder to make (default student)")
    student.set_defaults(run=run_student)

    grade = commands.add_parser("grade", help="run handed-in notebooks and report on their exercises",
                                description="Run each notebook of a folder, apart from the others, and write a table: "
                                "passed, failed or not tried for each exercise, and what went wrong.")
    grade.add_argument("folder", type=Path, help="where the handed-in notebooks lie, in it or in folders of it")
    grade.add_argument("--out", type=Path, default=Path("grades.csv"), help="where to write (default grades.csv)")
    grade.add_argument("--seconds", type=positive, default=120.0, help="how long one notebook may run, half of it for "
                       "a cell and a quarter for an exercise (default 120)")
    grade.set_defaults(run=run_grade)
    return top


def main(arguments: list[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    from course_lib.runtime import CourseError  # after the words are checked: --help need not wait for PyTorch

    try:
        options.run(options)
    except CourseError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

"""The commands: `python -m course_lib {generate,train,evaluate,notebooks}`. Each says what it takes with --help."""

import argparse
import json
import math
import sys
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


def run_generate(options: argparse.Namespace) -> None:
    from course_lib.pictures import save_png, tile, to_uint8
    from course_lib.pipeline import generate

    result = generate(options.seed, options.steps, options.scheduler, options.eta, device=options.device)
    save_png(options.out, result.picture)
    if options.strip:
        states = [result.trajectory[0].x, *(step.x_next for step in result.trajectory)]
        moments = np.linspace(0, len(states) - 1, 5).round().astype(int)
        save_png(options.strip, tile(np.concatenate([to_uint8(states[i]) for i in moments]), columns=5, scale=4))
    print(f"{options.out}: seed {options.seed}, {options.scheduler}, {options.steps} steps, {result.nfe} network "
          f"evaluations, {result.seconds:.2f} s")


def run_train(options: argparse.Namespace) -> None:
    from tqdm import tqdm

    from course_lib.recipes import find_recipe, train
    from course_lib.runtime import pick_device

    device = pick_device(options.device)
    run = train(find_recipe(options.name), options.out, device, minutes=options.minutes, resume=options.resume,
                compiled=options.compile)
    print(f"Training {options.name} on {device}; drawing the pictures first ...", flush=True)
    smooth, progress, bar = None, None, None
    try:
        for progress in run:
            if bar is None:  # not before: what came earlier, drawing or an earlier run, says nothing of the speed
                smooth, shape = progress.loss, "{percentage:5.1f} % |{bar:24}| {elapsed}<{remaining} {postfix}"
                bar = tqdm(total=100, initial=100 * progress.done, bar_format=shape, mininterval=1.0)
            smooth = 0.99 * smooth + 0.01 * progress.loss
            bar.set_postfix_str(f"step {progress.step}, loss {smooth:.4f}, "
                                f"{progress.pictures_per_second:.0f} pictures/s", refresh=False)
            bar.update(100 * progress.done - bar.n)
    except KeyboardInterrupt:
        run.close()
        print(f"\nStopped early; all is kept in {options.out}. Go on with the same command and --resume.")
        sys.exit(130)
    finally:
        if bar is not None:
            bar.close()
    if progress is None:
        print(f"The run in {options.out} has had its {options.minutes:g} minutes: give more to go on.")
        return
    print(f"Done: {progress.step} steps, loss {smooth:.4f}. Weights and samples are in {options.out}.")


def run_evaluate(options: argparse.Namespace) -> None:
    from course_lib.data import open_pictures
    from course_lib.evaluation import held_out_error
    from course_lib.pipeline import generate, load_denoiser
    from course_lib.runtime import load_weights

    denoise, (_, size, _) = load_denoiser("pixels", options.device)
    settings = load_weights("pixels")[1]
    figures = held_out_error(denoise, open_pictures(settings["data"], size, "test", limit=options.pictures))
    generate(seed=0, steps=5, device=options.device)  # warm up, so that the next run is timed alone
    timed = generate(seed=0, steps=50, device=options.device)
    figures |= {"seconds_per_picture": round(timed.seconds, 3), "nfe": timed.nfe,
                "device": next(denoise.network.parameters()).device.type, "settings": settings}
    print(json.dumps(figures, indent=2))


def run_notebooks(options: argparse.Namespace) -> None:
    from course_lib import notebooks

    for path, seconds in notebooks.run_notebooks(options.paths or sorted(notebooks.FOLDER.glob("*.ipynb"))):
        print(f"{path.name}: {seconds:.0f} s, {path.stat().st_size / 1000:.0f} KB", flush=True)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m course_lib", description="Noise to Image, from the command line.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    generate = commands.add_parser("generate", help="paint a picture out of noise")
    generate.add_argument("--seed", type=whole, default=0, help="which noise to start from (default 0)")
    generate.add_argument("--steps", type=whole, default=50, help="how many denoising steps, 1 to 1000 (default 50)")
    generate.add_argument("--scheduler", default="ddim", help="ddpm, ddim, euler, heun or dpmpp_2m (default ddim)")
    generate.add_argument("--eta", type=float, help="randomness of ddim, 0 to 1 (default 0)")
    generate.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default auto)")
    generate.add_argument("--out", type=Path, default=Path("picture.png"), help="where to write the picture")
    generate.add_argument("--strip", type=Path, help="also write a five-frame strip, from noise to picture")
    generate.set_defaults(run=run_generate)

    train = commands.add_parser("train", help="train one of the course's models")
    train.add_argument("name", help="which model: pixels")
    train.add_argument("--minutes", type=positive, required=True, help="how long in all, resumed parts included")
    train.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default auto)")
    train.add_argument("--resume", action="store_true", help="go on where an earlier run in --out stopped")
    train.add_argument("--compile", action="store_true",
                       help="compile the network first: a minute, then a quarter faster")
    train.add_argument("--out", type=Path, default=Path("runs"), help="the folder to write to (default runs)")
    train.set_defaults(run=run_train)

    evaluate = commands.add_parser("evaluate", help="measure the shipped model on pages it has never seen")
    evaluate.add_argument("--pictures", type=whole, default=512, help="how many pages (default 512)")
    evaluate.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default auto)")
    evaluate.set_defaults(run=run_evaluate)

    notebooks = commands.add_parser("notebooks", help="run chapters from clean kernels and keep their outputs")
    notebooks.add_argument("paths", nargs="*", type=Path, help="which (default: all of notebooks/)")
    notebooks.set_defaults(run=run_notebooks)
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

"""The glossary: one list, from which notebooks/glossary.md is written and the first uses in the chapters are linked.

`python -m course_lib.glossary` does both. It touches no code cell and no output, and leaves links that are there.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from course_lib.runtime import ROOT, write_atomically

FOLDER = ROOT / "notebooks"
PAGE = FOLDER / "glossary.md"


@dataclass(frozen=True)
class Entry:
    """term: as it stands in a sentence; meaning: one or two sentences; chapter: the number of the one that explains it.

    also: other names that the course uses for it; elsewhere: how others write it, and the course never does.
    """

    term: str
    meaning: str
    chapter: int
    also: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """In lower case, as in a dictionary: so GitHub, JupyterLab and the exported pages give it the same anchor."""
        return self.term.lower()

    @property
    def anchor(self) -> str:
        return self.heading.replace(" ", "-")


ENTRIES = (
    # 00 Start here
    Entry("noise level", "How much noise is in a picture, told by the time t: 0 is the clean picture, 1 is nothing "
          "but noise. Two schedules reach the same noise level at different times.", 0),
    Entry("picture book", "The little world that the course learns: scenes of one or two things in a landscape, "
          "drawn by the course's own code, so that it is known of each picture exactly what it shows.", 0),
    Entry("seed", "A whole number that sets a random source. The same seed gives the same starting noise, and with "
          "it the same picture.", 0),
    # 01 Noise
    Entry("alpha", "How much of the picture is left at a noise level: the factor in front of the clean picture, 1 at "
          "t = 0. Papers often write the square root of alpha-bar for it.", 1),
    Entry("eps", "The noise inside a noisy picture: for every number in it a random one, drawn from the bell curve. "
          "Papers write the Greek letter epsilon.", 1),
    Entry("forward process", "The road from a clean picture to static: shrink the picture and add noise, until only "
          "noise is left. Nothing in it is learned.", 1),
    Entry("Gaussian", "The bell curve, and a random number drawn from it. Sums of independent Gaussians are "
          "Gaussian, and their variances add up.", 1),
    Entry("lam", "The natural logarithm of alpha / sigma: the scale on which all schedules can be compared. At 0 "
          "picture and noise are equally strong.", 1),
    Entry("noise schedule", "The two functions alpha(t) and sigma(t), which say how much picture and how much noise "
          "there is at each time: a clock on which the noise levels are passed.", 1, ("schedule",)),
    Entry("sigma", "The standard deviation of the noise in a noisy picture: 0 at t = 0.", 1),
    Entry("signal-to-noise ratio", "How strong the picture is compared with the noise, as a ratio of variances: "
          "(alpha / sigma) squared.", 1, ("SNR",), ("signal to noise ratio",)),
    Entry("variance", "How far numbers scatter about their mean: the mean of their squared distances from it. Its "
          "square root is the standard deviation.", 1),
    Entry("x0", "The clean picture, the one at time 0. The guess at it is called x0_hat.", 1),
    # 02 Denoise
    Entry("batch", "The examples that go through a network together, and from which one step of training is made.", 2),
    Entry("convolution", "A layer that slides one small learned filter over the whole picture, so that every place "
          "is treated alike and sees its neighbourhood.", 2),
    Entry("denoiser", "A function that is given a noisy picture and its time, and returns its guess at the clean "
          "picture: denoise(x, t) gives x0_hat. It is all that a solver sees of a model.", 2),
    Entry("loss", "The number that training makes small: here the mean squared error of what the network was asked "
          "for. It cannot reach zero, because noise destroys.", 2),
    Entry("RMS", "Root mean square: square the numbers, take the mean, take the root. The usual size of an error, "
          "whatever its sign.", 2),
    Entry("score", "The gradient of the logarithm of the noisy data's density: the direction in which data get "
          "likelier. Whoever has the best guess has the score, and the other way round.", 2),
    Entry("U-Net", "A network that makes the picture smaller step by step, and larger again, and hands the details "
          "across at each size. Chapter 04 opens it up.", 2, elsewhere=("UNet", "Unet", "U-net")),
    Entry("v", "The mixture alpha eps - sigma x0, the target that is safe at weak and at strong noise. All models of "
          "this course predict it.", 2),
    # 03 Generate
    Entry("DDIM", "Denoising diffusion implicit models: the step that keeps the guess and the implied noise, and "
          "mixes them anew with a little less noise. After its first noise it draws none.", 3),
    Entry("DDPM", "Denoising diffusion probabilistic models: the older step, which replaces part of the implied "
          "noise by fresh noise each time.", 3),
    Entry("eta", "How much of the implied noise a DDIM step replaces by fresh noise: 0 is DDIM, 1 is as random as "
          "DDPM.", 3),
    Entry("NFE", "Number of function evaluations: how often the network is asked for one picture. It is what "
          "generation costs.", 3, elsewhere=("NFEs",)),
    Entry("probability flow", "The equation that the steps follow when they get smaller and smaller: no fresh noise, "
          "and yet at every time the same distribution as noised data.", 3),
    Entry("sampling loop", "Guess, step, guess, step, from t = 1 down to t = 0: the loop that makes a picture.",
          3),
    Entry("scheduler", "A step rule with the time grid that suits it, chosen by name: ddim, ddpm, euler, heun, "
          "dpmpp_2m. Not to be confused with the noise schedule.", 3),
    # 04 The U-Net
    Entry("ablation", "Take one part out, train again, and measure what is lost: how one finds out what a part is "
          "good for.", 4),
    Entry("channel", "One number for every place of a picture: red, green and blue at the start, and whatever training "
          "finds useful inside a network.", 4),
    Entry("group norm", "Channels are taken in groups, and each group is brought to mean 0 and variance 1 over the "
          "whole picture, so that training stays calm.", 4, ("group normalisation",)),
    Entry("receptive field", "The part of the input on which one number of the output depends.", 4),
    Entry("residual block", "A few layers whose result is added to what came in, so that the block only has to learn "
          "what should change.", 4, ("ResBlock",)),
    Entry("skip connection", "A short cut in a network: features of the way down are handed to the way up at the "
          "same size, so that fine detail is not lost.", 4, ("skip", "skips")),
    Entry("time embedding", "The time t as a vector of sines and cosines of many speeds, so that a network can tell "
          "noise levels apart.", 4, elsewhere=("timestep embedding",)),
    Entry("attention", "Each of many vectors looks at all others and takes the mean of what they offer, weighted by "
          "how well its query fits their keys.", 4),
    Entry("query", "What a place, or a token, wants to know in attention. It is compared with every key (what each "
          "can be asked about), and the values (what each will say) are taken in proportion.", 4),
    Entry("softmax", "The function that turns any numbers into positive shares that add up to 1; the largest number "
          "gets the largest share.", 4),
    # 05 Fewer steps
    Entry("dpmpp_2m", "The course's DPM-Solver++, a step rule that follows the same path with fewer evaluations: it "
          "extrapolates the guess from the one before, at no further cost.",
          5, ("DPM-Solver++",), ("DPM++", "DPM-solver++")),
    Entry("Euler step", "The plainest way to follow an equation: go in the direction that holds now, as far as the "
          "step is long.", 5, ("Euler",)),
    Entry("Heun step", "An Euler step, a second look from where it ends, and then the mean of both directions: two "
          "evaluations, and with small steps a much smaller error.", 5, ("Heun",)),
    Entry("order", "How fast a step rule's error falls: at order p, twice the steps make it 2 to the power of p times "
          "smaller, once the steps are small. On logarithmic axes it is the slope.", 5),
    Entry("time grid", "The decreasing list of times at which the loop stops: n steps have n + 1 of them.", 5),
    # 06 Words meet pictures
    Entry("bag of words", "A sentence read as a heap of words without order: what stands in it counts, and who has "
          "which colour is lost.", 6),
    Entry("contrastive loss", "The loss of a guessing game: which of these pictures belongs to this caption, and "
          "which caption to this picture? In its usual form it is called InfoNCE.", 6, ("InfoNCE",)),
    Entry("cosine", "How nearly two arrows point the same way: 1 for the same direction, 0 at a right angle, -1 for "
          "opposite. For arrows of length 1 it is the sum of the products.", 6),
    Entry("embedding", "A vector that stands for something, such as a word, and that is learned like any weight.", 6),
    Entry("shared space", "The space in which sentences and pictures are both arrows, and what belongs together "
          "points the same way.", 6),
    Entry("temperature", "The number by which similarities are divided before the softmax: small, and a little lead "
          "in similarity becomes a large lead in chance.", 6),
    Entry("text encoder", "The network that turns a prompt's tokens into vectors: one for each word, and one for the "
          "whole.", 6),
    Entry("token", "A piece of a sentence that has a number, here a word. What has no number is not read.", 6),
    Entry("transformer block", "Two moves, each added to what was there: all tokens look at one another (attention), "
          "then each passes through a small network by itself.", 6),
    # 07 Prompts
    Entry("cross-attention", "Attention from the places of a picture to the words of a prompt: each place asks, and "
          "is told what the words that fit have to say.", 7, elsewhere=("cross attention", "crossattention")),
    Entry("guidance", "Go from the unprompted guess w times the way to the prompted one. At w = 0 the prompt is "
          "ignored, 1 is off, more is exaggeration. In full: classifier-free guidance.",
          7, ("classifier-free guidance",), ("classifier free guidance",)),
    Entry("negative prompt", "A prompt in the place of the empty one, so that guidance pushes away from what it says.",
          7),
    Entry("oracle", "A second network that reads the attributes of a page off the picture, so that obedience can be "
          "measured.", 7),
    Entry("pooled vector", "One vector for the whole prompt, which every place of the picture is told alike.",
          7, ("pooled",)),
    Entry("prompt", "The sentence from which a picture is painted.", 7),
    Entry("token refiner", "Layers of the denoiser's own that read the words' vectors again before they steer, so that "
          "these say what the text encoder was never asked: which colour belongs to which thing.", 7),
    # 08 Working small
    Entry("decoder", "The half of an autoencoder that turns a latent into a picture again. It has the last word: "
          "what it cannot draw, no denoiser can paint.", 8),
    Entry("ELBO", "Evidence lower bound: what a variational autoencoder raises in place of the likelihood, which "
          "nobody can compute. It is reconstruction less the price of the clouds.", 8),
    Entry("KL", "Kullback-Leibler divergence: how far one distribution is from another, 0 if they are the same. It "
          "is the price that keeps the encoder's clouds near the unit Gaussian.", 8, ("Kullback-Leibler divergence",)),
    Entry("latent", "What the encoder leaves of a picture: here 4 numbers for each square of 4 by 4 pixels, laid out "
          "as a small picture.", 8),
    Entry("PCA", "Principal component analysis: the straight directions in which data differ most. No other linear "
          "squeeze loses less squared error.", 8, ("principal component analysis",)),
    Entry("posterior", "What is to be believed once something has been seen. In a VAE, the cloud with which the "
          "encoder answers: a mean and a spread for each number.", 8),
    Entry("PSNR", "Peak signal-to-noise ratio, in decibels: how small an error is against the range of the pixels. "
          "Ten more are a tenth of the squared error.", 8, ("peak signal-to-noise ratio",)),
    Entry("reparameterisation trick", "Draw the noise outside the network and compute mean + sigma times noise, so "
          "that the gradient can flow through the draw.",
          8, elsewhere=("reparametrization trick", "reparameterization trick", "reparametrisation trick")),
    Entry("VAE", "Variational autoencoder: an encoder that answers with a cloud and a decoder that gets a random "
          "point of it, trained together to give pictures back.", 8, elsewhere=("auto-encoder", "auto encoder")),
    # 09 Latent diffusion
    Entry("latent diffusion", "The same loop and the same loss, on a VAE's latents in place of pixels; the decoder "
          "is called once, at the end.", 9),
    Entry("operations", "The multiplications and additions that a network takes: a measure of cost that is the same "
          "on every machine. Seconds are another matter.", 9),
    # 10 Intervene
    Entry("image to image", "Start from a picture in place of noise: noise it to a time, and let the loop paint from "
          "there. That time is called the strength: 0 changes nothing, at 1 nothing of the picture is left.", 10),
    Entry("inpainting", "A part of a picture is painted anew, and the rest, which is known, is put into every guess.",
          10),
    Entry("mask", "A picture of ones and zeros (or of numbers in between) that tells where the model paints, 1, and "
          "what is to be kept, 0.", 10),
    Entry("outpainting", "Painting on beyond the edge of a picture: a window that shows half of what is there is "
          "filled in, and slides on.", 10),
    Entry("resampling", "Take a step, add the noise again and take the step again, some rounds of it, so that what was "
          "decided too early can be decided anew. From RePaint.", 10),
    Entry("slerp", "Spherical linear interpolation: from one noise to another along an arc, on which it stays as "
          "strong as noise must be. On the straight line it is too weak in the middle.", 10),
    Entry("attention injection", "Painting one picture with another's shares of attention, so that the layout stays "
          "while the words change. From Prompt-to-Prompt.", 10),
    Entry("emphasis", "Let one word of a prompt count for more, or for less, by a factor on its share of the "
          "attention.", 10),
    Entry("inversion", "DDIM's steps walked upwards, from a given picture to the noise from which it would have come.",
          10),
    # 11 What breaks, and why
    Entry("binding", "Knowing which attribute belongs to which thing: that in \"a red house and a blue car\" it is the "
          "house that is red.", 11),
    Entry("confidence interval", "The true shares for which what was counted would be no great surprise. Ten times as "
          "many pictures make it about three times narrower.", 11),
    Entry("Frechet distance", "How far two sets of pictures are apart as a whole: the mean and the covariance of their "
          "features are compared. 0 only for the same set.", 11, elsewhere=("Fréchet distance",)),
    Entry("probe", "A straight line fitted to the states inside a network, to find out whether something can be read "
          "off them.", 11),
)


# ------------------------------------------------------------------------------------------------------- the page

def chapters() -> dict[int, Path]:
    """Number -> notebook, for the chapters that are there."""
    return {int(path.name[:2]): path for path in sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))}


def as_markdown() -> str:
    """The page of the glossary."""
    there = chapters()
    lines = ["# Glossary", "", "The terms of the course, each with the chapter that explains it. This page is written "
             "from `course_lib/glossary.py` by `python -m course_lib.glossary`: change it there.", ""]
    for entry in sorted(ENTRIES, key=lambda entry: entry.heading):
        home = f"Chapter {entry.chapter:02d}"
        home = f"[{home}]({there[entry.chapter].name})" if entry.chapter in there else home
        names = f" Also called: {', '.join(entry.also)}." if entry.also else ""
        shown = f"**{entry.term}** · " if entry.term != entry.heading else ""
        lines += [f"### {entry.heading}", "", f"{shown}{entry.meaning}{names} {home}.", ""]
    return "\n".join(lines).rstrip() + "\n"


# ------------------------------------------------------------------------------------------------------ the links

# What is not prose: code, formulae, headings, links, tags of HTML. Inline code is, if it is a term and nothing else.
NO_PROSE = re.compile(r"^(?P<fence>```|~~~).*?^(?P=fence)|\$\$.*?\$\$|(?<![\\$])\$(?!\s)[^$\n]+\$|^#{1,6} .*?$"
                      r"|^\s*\|.*?$|!?\[[^\]]*\]\([^)]*\)|<summary>.*?</summary>|<[^>\n]+>|`[^`\n]+`",
                      re.DOTALL | re.MULTILINE)


def pattern_of(entry: Entry) -> re.Pattern:
    """What counts as a use: the term or another name of it, plural or not, alone between quotes of code or in prose."""
    names = sorted({entry.term, *entry.also}, key=len, reverse=True)
    either = "|".join(re.escape(name) for name in names)
    flags = 0 if any(name.isupper() or len(name) < 3 for name in names) else re.IGNORECASE
    return re.compile(rf"`(?:{either})`|(?<![\w`\"'/.-])(?:{either})s?(?![\w`\"'/-]|\.\w)", flags)


def first_use(source: str, entry: Entry) -> re.Match | None:
    """Where a cell's prose uses the term first."""
    pattern = pattern_of(entry)
    hidden = [hit.span() for hit in NO_PROSE.finditer(source) if not pattern.fullmatch(hit.group())]
    return next((hit for hit in pattern.finditer(source)
                 if not any(begin < hit.end() and hit.start() < end for begin, end in hidden)), None)


def link_first_uses(cells: list[dict], entries) -> int:
    """Link, in place, the first use of each entry that has no link yet; the opening cell is left out. How many."""
    prose, done = [cell for cell in cells if cell["cell_type"] == "markdown"][1:], 0
    for entry in sorted(entries, key=lambda entry: -len(entry.term)):
        if any(f"](glossary.md#{entry.anchor})" in "".join(cell["source"]) for cell in cells):
            continue
        for cell in prose:
            source = "".join(cell["source"])
            if hit := first_use(source, entry):
                linked = f"{source[:hit.start()]}[{hit.group()}](glossary.md#{entry.anchor}){source[hit.end():]}"
                cell["source"] = linked.splitlines(keepends=True)
                done += 1
                break
    return done


def main() -> None:
    for number, path in chapters().items():
        notebook = json.loads(path.read_text(encoding="utf-8"))
        if done := link_first_uses(notebook["cells"], [entry for entry in ENTRIES if entry.chapter == number]):
            text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
            write_atomically(path, lambda name: Path(name).write_text(text, encoding="utf-8"))
            print(f"{path.name}: {done} terms linked")
    write_atomically(PAGE, lambda name: Path(name).write_text(as_markdown(), encoding="utf-8"))
    print(f"{PAGE.name}: {len(ENTRIES)} entries")


if __name__ == "__main__":
    main()

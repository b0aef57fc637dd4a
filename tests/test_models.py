"""From a weight file to a network: every network comes back from its file as it was, and what steers it does."""

from dataclasses import asdict

import pytest
import torch
from torch import nn

from course_lib.layers import Cond
from course_lib.models import denoiser_from, oracle_from, text_from, vae_from, weights_for
from course_lib.oracle import Oracle, OracleSettings
from course_lib.runtime import WEIGHTS, CourseError, load_tensors, save_tensors
from course_lib.text import SharedSpace, TextSettings
from course_lib.tokenizer import tokenize
from course_lib.unet import UNet, UNetSettings
from course_lib.vae import VAE, VAESettings

CPU = torch.device("cpu")
TEXT = TextSettings(width=32, depth=1, heads=2, shared=16, side=32, picture=(16, 16, 32))
STEERED = UNetSettings(picture=4, patch=1, channels=(32, 32), attention=(False, True), words=32, pooled=32)
NETWORKS = {
    "unet": (UNet, STEERED, lambda *file: denoiser_from(*file).network),
    "vae": (VAE, VAESettings(encoder=16, decoder=(16, 16), blocks=1), vae_from),
    "text": (SharedSpace, TEXT, text_from),
    "oracle": (Oracle, OracleSettings(trunk=(16, 16, 32), hidden=24), oracle_from),
}


def lively(network: nn.Module) -> nn.Module:
    """Random weights everywhere, in whatever starts at zero and in the buffers too; each fits in float16 exactly."""
    source = torch.Generator().manual_seed(0)
    for value in network.state_dict().values():
        value.copy_((value + 0.1 * torch.randn(value.shape, generator=source)).half())
    return network.eval()


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_comes_back_from_its_file(tmp_path, name, half):
    kind, settings, read = NETWORKS[name]
    network = lively(kind(settings))
    tensors = {key: value.half() if half else value for key, value in network.state_dict().items()}
    path = tmp_path / "x.safetensors"
    save_tensors(path, tensors, {name: asdict(settings), "schedule": "flow", "prediction": "flow"})
    again = read(*load_tensors(path), CPU)
    assert again.settings == settings and not again.training
    assert again.state_dict().keys() == network.state_dict().keys()
    for key, value in again.state_dict().items():
        assert torch.equal(value, network.state_dict()[key]) and value.dtype == torch.float32, key
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_the_denoiser_knows_its_schedule_and_what_it_predicts():
    denoise = denoiser_from(UNet(STEERED).state_dict(), {"unet": asdict(STEERED), "schedule": "flow",
                                                         "prediction": "flow"}, CPU)
    assert denoise.schedule.name == "flow" and denoise.prediction == "flow"


def test_your_own_weights_come_before_the_shipped_ones(tmp_path):
    save_tensors(tmp_path / "pixels.safetensors", {"mine": torch.ones(2)}, {"whose": "mine"})
    tensors, settings = weights_for("pixels", tmp_path)
    assert settings == {"whose": "mine"} and torch.equal(tensors["mine"], torch.ones(2))
    shipped = load_tensors(WEIGHTS / "pixels.safetensors")[1]
    assert weights_for("pixels")[1] == weights_for("pixels", tmp_path / "empty")[1] == shipped
    with pytest.raises(CourseError, match="ships no weights called 'nothing'"):
        weights_for("nothing", tmp_path)


# ----------------------------------------------------------------------------------- from the words to the picture

@pytest.fixture(scope="module")
def painter() -> tuple[nn.Module, SharedSpace]:
    torch.manual_seed(0)
    return lively(UNet(STEERED)).requires_grad_(False), SharedSpace(TEXT).eval().requires_grad_(False)


def answer(painter, cond: Cond) -> torch.Tensor:
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    return painter[0](x.expand(len(cond.words), -1, -1, -1), torch.full((len(cond.words),), 0.5), cond)


def test_a_changed_word_changes_what_is_painted(painter):
    red, blue, again = answer(painter, painter[1].text(tokenize(["a red house", "a blue house", "a red house"])))
    assert (red - blue).abs().max() > 1e-3
    torch.testing.assert_close(red, again)


def test_words_reach_the_picture_by_both_ways(painter):
    """By the token states, which the attention reads, and by the pooled vector, which goes with the time."""
    red, blue = (painter[1].text(tokenize([text])) for text in ("a red house", "a blue house"))
    before = answer(painter, red)
    assert (answer(painter, red._replace(words=blue.words)) - before).abs().max() > 1e-4
    assert (answer(painter, red._replace(pooled=blue.pooled)) - before).abs().max() > 1e-4


def test_company_in_the_batch_pads_a_prompt_and_changes_nothing(painter):
    texts = ["a house", "a small red house on the left and a large blue boat on the right at night", ""]
    together = answer(painter, painter[1].text(tokenize(texts)))
    for n, text in enumerate(texts):
        alone = answer(painter, painter[1].text(tokenize([text])))
        torch.testing.assert_close(alone[0], together[n], rtol=1e-4, atol=1e-4)

"""The VAE: shapes, any size, the divergence against torch's own, the loss piece by piece."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from course_lib.layers import ResBlock
from course_lib.runtime import CourseError
from course_lib.vae import FACTOR, LOG_VARIANCE, VAE, Posterior, VAESettings, edges, vae_loss

SMALL = VAESettings(encoder=16, decoder=(16, 16), blocks=1)


def pictures(n: int = 2, height: int = 16, width: int = 16) -> torch.Tensor:
    return torch.rand((n, 3, height, width), generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture
def vae() -> VAE:
    torch.manual_seed(0)
    vae = VAE(SMALL)
    with torch.no_grad():
        for block in vae.modules():
            if isinstance(block, ResBlock):  # their last layers start at zero, which would hide them
                block.conv2.reset_parameters()
    return vae


@pytest.mark.parametrize("height, width", [(64, 64), (48, 96), (4, 8)])
def test_any_size_that_divides_by_four_will_do(vae, height, width):
    x = pictures(2, height, width)
    z = vae.encode(x)
    assert z.shape == (2, 4, height // FACTOR, width // FACTOR) and vae.decode(z).shape == x.shape
    x_hat, posterior = vae(x, torch.randn(z.shape))
    assert x_hat.shape == x.shape and posterior.mean.shape == posterior.log_variance.shape == z.shape


def test_the_shipped_shape_squeezes_twelve_times():
    vae = VAE()
    assert vae.encode(pictures(1, 64, 64)).shape == (1, 4, 16, 16)
    assert sum(parameter.numel() for parameter in vae.parameters()) < 1_000_000


@pytest.mark.parametrize("shape", [(1, 3, 63, 64), (1, 3, 64, 66), (1, 1, 64, 64), (3, 64, 64)])
def test_a_picture_that_does_not_fit_gets_one_sentence(vae, shape):
    with pytest.raises(CourseError, match="H and W divisible by 4, but got") as caught:
        vae.encode(torch.zeros(shape))
    assert str(shape) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(1, 3, 16, 16), (4, 16, 16)])
def test_a_latent_that_does_not_fit_gets_one_sentence(vae, shape):
    with pytest.raises(CourseError, match="decodes latents of shape") as caught:
        vae.decode(torch.zeros(shape))
    assert str(shape) in str(caught.value) and "\n" not in str(caught.value)


def test_the_divergence_is_what_torch_says():
    source = torch.Generator().manual_seed(1)
    posterior = Posterior(*torch.randn(2, 3, 4, 5, 6, generator=source).unbind())
    wanted = kl_divergence(Normal(posterior.mean, (0.5 * posterior.log_variance).exp()), Normal(0.0, 1.0)).mean()
    torch.testing.assert_close(posterior.kl(), wanted)
    assert Posterior(torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 2, 2)).kl() == 0


def test_the_spread_is_kept_within_bounds(vae):
    with torch.no_grad():
        vae.encoder[-1].bias[4:6] = 1000
        vae.encoder[-1].bias[6:] = -1000
    log_variance = vae.posterior(pictures()).log_variance
    assert (log_variance[:, :2] == LOG_VARIANCE[1]).all() and (log_variance[:, 2:] == LOG_VARIANCE[0]).all()


def test_training_draws_from_the_posterior(vae):
    """mean + spread times noise, each latent with its own spread. (Kingma & Welling 2014, section 2.4.)"""
    x, noise = pictures(), torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(2))
    posterior = vae.posterior(x)
    draw = Normal(posterior.mean, posterior.log_variance.exp().sqrt()).icdf(Normal(0.0, 1.0).cdf(noise.double()))
    torch.testing.assert_close(vae(x, noise)[0], vae.decoder(draw.float()), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(vae(x, torch.zeros_like(noise))[0], vae.decode(vae.encode(x)))


def test_the_scale_of_the_latents_is_undone_when_they_are_decoded(vae):
    x = pictures()
    z, back = vae.encode(x), vae.decode(vae.encode(x))
    vae.shift.copy_(z.mean(dim=(0, 2, 3), keepdim=True))
    vae.scale.copy_(z.std(dim=(0, 2, 3), keepdim=True))
    scaled = vae.encode(x)
    assert scaled.mean(dim=(0, 2, 3)).abs().max() < 1e-5 and (scaled.std(dim=(0, 2, 3)) - 1).abs().max() < 1e-5
    torch.testing.assert_close(vae.decode(scaled), back, rtol=1e-4, atol=1e-5)
    assert {"shift", "scale"} <= vae.state_dict().keys()  # they travel with the weights


# ----------------------------------------------------------------------------------------------------------- loss

def test_a_perfect_copy_costs_its_divergence_alone():
    x, posterior = pictures(), Posterior(torch.ones(2, 4, 4, 4), torch.zeros(2, 4, 4, 4))
    assert vae_loss(x, x, posterior, kl=0.0) == 0
    torch.testing.assert_close(vae_loss(x, x, posterior, kl=0.3), torch.tensor(0.3 * 0.5))


def test_the_loss_by_hand():
    """A picture black but for one white pixel, taken for all black."""
    x, x_hat = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    x[:, :, 1, 1] = 1.0
    # One pixel of 16 is off by 1; of the 12 differences across and the 12 down, two each are off by 1.
    wanted = 1 / 16 + 0.5 * (2 / 12 + 2 / 12) + 1 / 16
    unit = Posterior(torch.zeros(1, 4, 1, 1), torch.zeros(1, 4, 1, 1))
    torch.testing.assert_close(vae_loss(x, x_hat, unit, kl=1.0), torch.tensor(wanted))


def test_edges_are_differences_and_an_even_change_of_brightness_has_none():
    ramp = torch.arange(4.0).expand(1, 3, 5, 4)
    across, down = edges(ramp)
    assert across.shape == (1, 3, 5, 3) and down.shape == (1, 3, 4, 4)
    assert (across == 1).all() and not down.any()
    unit = Posterior(torch.zeros(1), torch.zeros(1))
    torch.testing.assert_close(vae_loss(ramp, ramp + 0.5, unit, 1.0), torch.tensor(0.5 + 0.25))


def test_a_blur_costs_more_than_an_error_of_the_same_square():
    """Why squares alone will not do: of two guesses with the same mean square, the blur is the dearer."""
    x = torch.zeros(1, 3, 8, 8)
    x[..., 4:] = 1
    blurred = x.clone()
    blurred[..., 3], blurred[..., 4] = 0.4, 0.6
    shifted = x + ((blurred - x) ** 2).mean().sqrt()
    unit = Posterior(torch.zeros(1), torch.zeros(1))
    assert vae_loss(x, blurred, unit, 0.0) > vae_loss(x, shifted, unit, 0.0) > 0

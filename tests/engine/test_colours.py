"""The last layer fitted to a photo in closed form: for every kind of generator, and counting only what is seen."""

from __future__ import annotations

import pytest
import torch

from engine.inversion.colours import ColourFit
from engine.inversion.tuned import with_weights
from stylegan2 import Generator, StyleGAN2Config, StyleGAN2Generator
from stylegan2.mobile import MobileConfig, MobileStyleGAN

CHANNELS = {4: 16, 8: 16, 16: 16, 32: 8}
GENERATORS = {
    "skip": lambda: StyleGAN2Generator(StyleGAN2Config(16, 0, 16, 32, CHANNELS)),
    "resnet": lambda: StyleGAN2Generator(StyleGAN2Config(16, 0, 16, 32, CHANNELS, architecture="resnet")),
    "narrow": lambda: StyleGAN2Generator(StyleGAN2Config(16, 0, 16, 32, CHANNELS, base_width=2)),
    "mobile": lambda: MobileStyleGAN(MobileConfig(16, 16, (16, 16, 16, 8), 2)),
}


@pytest.fixture(params=list(GENERATORS))
def generator(request: pytest.FixtureRequest) -> Generator:
    torch.manual_seed(0)
    return GENERATORS[request.param]().eval().requires_grad_(False)


def test_it_finds_the_layer_that_drew_the_photo(generator: Generator) -> None:
    w_plus = generator.sample_w_plus(1)
    before = {name: dict(generator.named_parameters())[name].clone() for name in generator.colour_parameters}
    other = with_weights(generator, {name: weight + 0.1 for name, weight in before.items()})
    photo, drawn = other.synthesis(w_plus), generator.synthesis(w_plus)
    colours = ColourFit(generator, photo, torch.ones_like(photo[:, :1]))
    colours.fit(*generator.uncoloured(w_plus))
    fitted = with_weights(generator, colours.weights)
    assert (fitted.synthesis(w_plus) - photo).norm() < 0.1 * (drawn - photo).norm()
    assert torch.equal(generator.synthesis(w_plus), drawn)
    colours.fit(*other.uncoloured(w_plus))  # the offset is from the generator's own weights, however often
    assert (fitted.synthesis(w_plus) - photo).norm() < 0.1 * (drawn - photo).norm()


def test_a_rendering_is_its_channels_made_a_picture(generator: Generator) -> None:
    features, below = generator.uncoloured(generator.sample_w_plus(1))
    picture = generator.coloured(features, below)
    changed = generator.coloured(features * 1.5, below)
    names = dict(generator.named_parameters())
    weight = names[generator.colour_parameters[0]]
    channels = torch.nn.functional.conv2d(features * 0.5, weight)
    torch.testing.assert_close(generator.colour_channels(changed - picture), channels, atol=1e-5, rtol=1e-4)


def test_what_is_not_seen_does_not_count(generator: Generator) -> None:
    w_plus = generator.sample_w_plus(1)
    photo, weight = generator.synthesis(w_plus).clone(), torch.ones(1, 1, 32, 32)
    weight[..., :16, :] = 0
    photo[..., :16, :] = 5.0
    colours = ColourFit(generator, photo, weight)
    colours.fit(*generator.uncoloured(w_plus))
    drawn = with_weights(generator, colours.weights).synthesis(w_plus)
    torch.testing.assert_close(drawn[..., 16:, :], photo[..., 16:, :], atol=1e-4, rtol=0)

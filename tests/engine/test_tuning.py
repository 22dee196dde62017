"""Pivotal tuning: it draws the photo better, and nobody else's model changes."""

from __future__ import annotations

import pytest
import skimage.data
import torch
from krita_drag.wire.errors import BadOption
from torch import Tensor

from engine import arguments
from engine.images import Picture, to_tensor
from engine.inversion import DEFAULT_PRESET, PRESETS, find_crop, find_preset
from engine.inversion.losses import PyramidLoss
from engine.inversion.tuned import tunable, with_deltas, with_weights
from engine.inversion.tuning import PivotalTuning
from engine.models import Model, ModelStore
from stylegan2 import Generator, StyleGAN2Config, StyleGAN2Generator


@pytest.fixture
def small_generator() -> Generator:
    torch.manual_seed(0)
    channels = {4: 16, 8: 16, 16: 16, 32: 16, 64: 8}
    return StyleGAN2Generator(StyleGAN2Config(16, 0, 16, 64, channels)).eval().requires_grad_(False)


def snapshot(generator: Generator) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in generator.state_dict().items()}


def test_a_view_shares_what_it_does_not_replace(small_generator: Generator) -> None:
    before = snapshot(small_generator)
    w_plus = small_generator.sample_w_plus(1)
    picture = small_generator.synthesis(w_plus)
    deltas = {name: torch.full_like(weight, 0.1) for name, weight in tunable(small_generator, 32).items()}
    tuned = with_deltas(small_generator, deltas)
    mine, theirs = dict(tuned.named_parameters()), dict(small_generator.named_parameters())
    assert {name for name in mine if mine[name] is not theirs[name]} == set(deltas)
    assert not torch.equal(tuned.synthesis(w_plus), picture)
    assert torch.equal(small_generator.synthesis(w_plus), picture)
    assert all(torch.equal(tensor, before[name]) for name, tensor in small_generator.state_dict().items())
    again = with_deltas(small_generator, {name: torch.zeros_like(delta) for name, delta in deltas.items()})
    assert torch.equal(again.synthesis(w_plus), picture)
    assert with_deltas(small_generator, {}) is small_generator


def test_weights_that_do_not_fit_are_refused(small_generator: Generator) -> None:
    name = next(iter(tunable(small_generator, 32)))
    with pytest.raises(ValueError, match="shape"):
        with_weights(small_generator, {name: torch.zeros(3)})
    with pytest.raises(KeyError):
        with_weights(small_generator, {"no.such.weight": torch.zeros(3)})


def test_tuning_draws_the_photo_better_and_leaves_the_model_alone(faces_model: Model, store: ModelStore) -> None:
    picture = Picture(skimage.data.astronaut())
    crop, _ = find_crop(picture, faces_model, store)
    generator, before = faces_model.generator, snapshot(faces_model.generator)
    loss = PyramidLoss(to_tensor(crop.extract(picture.rgb)), torch.ones(1, 1, 1024, 1024))
    w_plus = generator.sample_w_plus(3)
    events = list(PivotalTuning(generator, w_plus, loss).run(128, range(11, 21), 20))
    assert [event.step for event in events] == list(range(11, 21))
    assert [event.exact for event in events] == [True, *[False] * 8, True]
    assert events[-1].loss < 0.9 * events[0].loss
    assert {name for name, delta in events[0].deltas.items() if delta.any()} == set(generator.colour_parameters)
    with torch.no_grad():
        drawn = with_deltas(generator, events[-1].deltas).synthesis(w_plus)
    assert float(loss(drawn)) == pytest.approx(events[-1].loss, rel=1e-4)
    assert all(torch.equal(tensor, before[name]) for name, tensor in generator.state_dict().items())
    assert all(parameter.grad is None for parameter in generator.parameters())


def test_presets_and_how_steps_are_shared_out() -> None:
    assert tuple(PRESETS) == arguments.PRESETS
    assert arguments.DEFAULT_PRESET == DEFAULT_PRESET
    steps = [PRESETS[name].steps for name in ("fast", "balanced", "best")]
    assert steps == sorted(set(steps))
    for total in (1, 2, 37, 500):
        scaled = find_preset("best", total)
        assert scaled.steps == total
        assert scaled.latent >= 1
    with pytest.raises(BadOption, match="no preset"):
        find_preset("perfect")
    with pytest.raises(BadOption, match="at least one step"):
        find_preset("fast", 0)

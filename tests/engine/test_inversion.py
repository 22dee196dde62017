"""Inversion: short real runs on a photo and on generated pictures, and its promises about stopping."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from krita_drag.wire.errors import BadOption, InversionFailed

from engine.align import centre_crop, identity_crop
from engine.images import Picture, to_tensor, to_uint8
from engine.inversion import PRESETS, InversionStep, find_crop, invert
from engine.inversion.forecast import Forecast
from engine.inversion.losses import PyramidLoss
from engine.inversion.readout import LocalReadout
from engine.latent import Whitening
from engine.models import Model, ModelInfo, ModelStore
from stylegan2 import StyleGAN2Generator
from stylegan2.generator import StyleGAN2Config


@pytest.fixture
def tiny_model() -> Iterator[Model]:
    """An untrained StyleGAN2 of 64 px: fast, and no face model."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more only wait for each other on operations this small
    channels = dict.fromkeys((4, 8, 16, 32, 64), 16)
    generator = StyleGAN2Generator(StyleGAN2Config(z_dim=32, c_dim=0, w_dim=32, resolution=64, channels=channels))
    generator.eval().requires_grad_(False)
    info = ModelInfo(
        name="tiny",
        title="Tiny",
        kind=generator.kind,
        resolution=64,
        domain="noise",
        aligned=False,
        licence="none",
        licence_note="",
        source="",
        size_bytes=0,
    )
    yield Model(info, generator, Path("tiny.safetensors"))
    torch.set_num_threads(threads)


def generated(model: Model, seed: int) -> Picture:
    with torch.no_grad():
        return Picture(to_uint8(model.generator.synthesis(model.generator.sample_w_plus(seed))))


def test_generated_picture_is_found_again(tiny_model: Model) -> None:
    picture, truth = generated(tiny_model, 3), tiny_model.generator.sample_w_plus(3)
    events: list[InversionStep] = []
    inversion = invert(picture, tiny_model, identity_crop(64), steps=100, on_step=events.append)
    assert [event.step for event in events] == list(range(1, 101))
    assert {event.total for event in events} == {100}
    stages = [event.stage for event in events]
    assert stages == sorted(stages, key=["w", "w+", "tuning"].index)
    assert set(stages) == {"w", "w+", "tuning"}
    assert inversion.steps == 100
    assert inversion.loss == min(event.loss for event in events if event.exact)
    assert inversion.loss < 0.5 * events[0].loss
    assert inversion.w_plus.shape == truth.shape
    assert not inversion.w_plus.requires_grad
    drawn = to_uint8(inversion.model(tiny_model).generator.synthesis(inversion.w_plus))
    assert np.abs(drawn.astype(int) - picture.rgb).mean() < 8


def test_it_is_told_when_the_model_does_not_know_the_picture(tiny_model: Model) -> None:
    photo = Picture(np.ascontiguousarray(skimage.data.chelsea()[:256, :256]))
    (note,) = invert(photo, tiny_model, centre_crop(256, 256, 64), steps=40).notes
    assert "only roughly" in note
    assert invert(generated(tiny_model, 3), tiny_model, identity_crop(64), steps=100).notes == ()


def test_the_time_left_is_foreseen_from_timed_renderings(tiny_model: Model) -> None:
    preset = PRESETS["balanced"]
    forecast = Forecast(tiny_model.generator, preset)
    assert {px for px, _ in forecast.timings} == {64, 128, 256}
    assert all(seconds > 0 for _, seconds in forecast.timings)
    assert forecast.seconds_left(0) > forecast.seconds_left(3) > 0
    assert forecast.seconds_left(preset.steps) == 0
    known = Forecast(tiny_model.generator, preset, [(64, 2.0), (128, 1.0), (256, 1.5)])
    assert known.seconds_left(0) == pytest.approx(50 * 3.4 + 50 * (3 + 0.8) + 50 * (4.5 + 0.8))


def test_same_input_gives_the_same_latent(tiny_model: Model) -> None:
    picture = generated(tiny_model, 5)
    first, second = (invert(picture, tiny_model, identity_crop(64), steps=12) for _ in range(2))
    assert torch.equal(first.w_plus, second.w_plus)


def test_stopping_keeps_the_best_so_far(tiny_model: Model) -> None:
    picture = generated(tiny_model, 3)
    events: list[InversionStep] = []

    def stop_at_20(event: InversionStep) -> bool:
        events.append(event)
        return event.step < 20

    inversion = invert(picture, tiny_model, identity_crop(64), steps=120, on_step=stop_at_20)
    assert inversion.steps == len(events) == 20
    best = min((event for event in events if event.exact), key=lambda event: event.loss)
    assert torch.equal(inversion.w_plus, best.w_plus)
    at_once = invert(picture, tiny_model, identity_crop(64), steps=120, on_step=lambda event: False)
    assert at_once.steps == 1
    assert torch.equal(at_once.w_plus[0, 0], tiny_model.generator.w_mean)


def test_parameters_and_their_gradients_are_left_alone(tiny_model: Model) -> None:
    before = {name: tensor.clone() for name, tensor in tiny_model.generator.state_dict().items()}
    with torch.no_grad():  # a caller's mode must not matter
        invert(generated(tiny_model, 1), tiny_model, identity_crop(64), steps=3)
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny_model.generator.state_dict().items())
    assert all(parameter.grad is None for parameter in tiny_model.generator.parameters())


def test_transparent_pixels_do_not_count(tiny_model: Model) -> None:
    rgb = generated(tiny_model, 3).rgb
    spoiled = rgb.copy()
    spoiled[:, 32:] = (255, 0, 255)
    alpha = np.full((64, 64), 255, np.uint8)
    alpha[:, 32:] = 0
    with_alpha = invert(Picture(spoiled, alpha), tiny_model, identity_crop(64), steps=40).w_plus
    without = invert(Picture(spoiled), tiny_model, identity_crop(64), steps=40).w_plus
    error = [
        (tiny_model.generator.synthesis(w_plus) - to_tensor(rgb))[..., :24].abs().mean()
        for w_plus in (with_alpha, without)
    ]
    assert error[0] < error[1]
    with pytest.raises(InversionFailed, match="empty"):
        invert(Picture(rgb, np.zeros((64, 64), np.uint8)), tiny_model, identity_crop(64), steps=3)


def test_broken_model_and_no_steps_are_refused(tiny_model: Model) -> None:
    picture = generated(tiny_model, 0)
    with pytest.raises(BadOption):
        invert(picture, tiny_model, identity_crop(64), steps=0)
    for parameter in tiny_model.generator.synthesis_network.parameters():
        parameter.data.fill_(torch.nan)
    with pytest.raises(InversionFailed):
        invert(picture, tiny_model, identity_crop(64), steps=30)


def test_whitened_samples_are_standard_normal(tiny_model: Model) -> None:
    generator = tiny_model.generator
    v = torch.randn(20_000, generator.w_dim, generator=torch.Generator().manual_seed(0))
    w = Whitening(generator).to_w(v)
    assert torch.cov(w.T) == pytest.approx(generator.w_covariance, abs=0.05 * float(generator.w_covariance.max()))
    assert w.mean(0) == pytest.approx(generator.w_mean, abs=0.1 * float(w.std()))


@pytest.mark.parametrize("side", [8, 64, 512])
def test_loss_is_zero_for_the_photo_and_grows_with_the_difference(side: int) -> None:
    photo = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    loss = PyramidLoss(photo, torch.ones(1, 1, side, side))
    assert float(loss(photo)) == pytest.approx(0, abs=1e-5)
    values = [float(loss(photo + step)) for step in (0.1, 0.3)]
    assert 0 < values[0] < values[1]
    assert float(loss(photo * 0.2)) > float(loss(photo * 0.8))


def test_loss_does_not_prefer_an_empty_picture() -> None:
    """The mean grey is nearer to a low-contrast photo in L1 than the photo itself, moved a little; not here."""
    rows = torch.linspace(0, 40, 64)
    photo = 0.1 * torch.sin(rows).expand(1, 3, 64, 64)
    stronger = 0.25 * torch.sin(rows).expand(1, 3, 64, 64)
    loss = PyramidLoss(photo, torch.ones(1, 1, 64, 64))
    assert float(loss(stronger)) < float(loss(torch.zeros_like(photo)))


def test_crop_of_a_model_that_is_not_of_faces(tiny_model: Model, store: ModelStore) -> None:
    picture = Picture(skimage.data.astronaut()[:300])
    assert find_crop(picture, tiny_model, store) == (centre_crop(512, 300, 64), ())


def test_crop_for_a_face_model(faces_model: Model, store: ModelStore) -> None:
    photo = skimage.data.astronaut()
    crop, notes = find_crop(Picture(photo), faces_model, store)
    assert notes == ()
    assert crop.to_document([512, 512]) == pytest.approx([226, 108], abs=12)
    assert 160 < crop.side_px < 200
    _, notes = find_crop(Picture(np.concatenate([photo, photo], axis=1)), faces_model, store)
    assert "2 faces" in notes[0]
    crop, notes = find_crop(Picture(skimage.data.chelsea()), faces_model, store)
    assert "No face" in notes[0]
    assert crop == centre_crop(451, 300, 1024)


def test_local_readout_stands_in_for_the_top_of_the_model(faces_model: Model) -> None:
    """It draws its own latent exactly, and its gradient points where that of the whole network does."""
    generator = faces_model.generator
    w_plus = generator.sample_w_plus(2).requires_grad_()
    rendering, features = generator.synthesis(w_plus), generator.features(w_plus, 128)
    target = torch.nn.functional.avg_pool2d(generator.synthesis(generator.sample_w_plus(3)), 8)
    small = torch.nn.functional.avg_pool2d(rendering, 8)
    estimate = LocalReadout(features, rendering)(features)
    assert (estimate - small).abs().max() < 1e-4
    gradients = [
        torch.autograd.grad((picture - target).abs().mean(), w_plus, retain_graph=True)[0]
        for picture in (small, estimate)
    ]
    steered = gradients[1].abs().sum(2) > 0
    assert torch.cosine_similarity(gradients[0][steered].flatten(), gradients[1][steered].flatten(), dim=0) > 0.95


def test_a_real_face_comes_closer(faces_model: Model, store: ModelStore) -> None:
    picture = Picture(skimage.data.astronaut())
    crop, _ = find_crop(picture, faces_model, store)
    losses: list[float] = []
    inversion = invert(picture, faces_model, crop, steps=12, on_step=lambda event: losses.append(event.loss))
    assert inversion.crop == crop
    assert inversion.w_plus.shape == (1, faces_model.generator.num_ws, faces_model.generator.w_dim)
    assert inversion.loss < 0.8 * losses[0]

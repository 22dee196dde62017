"""Windows of a feature map equal crops of the whole map, whatever the architecture and the place."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan2 import Generator, StyleGAN2Config, StyleGAN2Generator, Windows
from stylegan2.mobile import MobileConfig, MobileStyleGAN
from stylegan2.windows import crop, plan

RESOLUTION = 64
CHANNELS = {4: 12, 8: 12, 16: 10, 32: 8, 64: 6}


def randomised(generator: Generator) -> Generator:
    """Fill everything, noise and biases too, so that no term can hide behind a zero."""
    rng = torch.Generator().manual_seed(1)
    for tensor in (*generator.parameters(), *generator.buffers()):
        tensor.data.copy_(torch.randn(tensor.shape, generator=rng) * 0.3)
    return generator.double().requires_grad_(False)


def build(kind: str) -> Generator:
    if kind == "mobile":
        return randomised(MobileStyleGAN(MobileConfig(16, 16, (16, 16, 16, 8, 8), 2)))
    architecture, _, narrow = kind.partition(" ")
    return randomised(
        StyleGAN2Generator(
            StyleGAN2Config(16, 0, 16, RESOLUTION, CHANNELS, architecture, 2, base_width=2 if narrow else 4)  # type: ignore[arg-type]
        )
    )


GENERATORS = {kind: build(kind) for kind in ("orig", "skip", "resnet", "skip narrow", "resnet narrow", "mobile")}
origins = st.tuples(st.integers(-9, RESOLUTION + 3), st.integers(-9, RESOLUTION + 3))


@pytest.mark.parametrize("kind", GENERATORS)
@settings(max_examples=40, deadline=None)
@given(origins_xy=st.lists(origins, min_size=1, max_size=4), size=st.integers(1, 15))
def test_windows_equal_crops(kind: str, origins_xy: list[tuple[int, int]], size: int) -> None:
    generator = GENERATORS[kind]
    w_plus = torch.randn(1, generator.num_ws, 16, generator=torch.Generator().manual_seed(2)).double()
    resolution = generator.feature_resolutions[-1]
    windows = Windows(tuple(origins_xy), size)
    expected = crop(generator.features(w_plus, resolution), windows)
    actual = generator.features(w_plus, resolution, windows)
    assert torch.allclose(actual, expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("kind", GENERATORS)
def test_gradients_equal(kind: str) -> None:
    generator = GENERATORS[kind]
    w_plus = torch.randn(1, generator.num_ws, 16, generator=torch.Generator().manual_seed(3)).double()
    w_plus.requires_grad_(True)
    resolution = generator.feature_resolutions[-1]
    windows = Windows(((14, 11), (-2, 20)), 6)
    (dense,) = torch.autograd.grad(crop(generator.features(w_plus, resolution), windows).square().sum(), w_plus)
    (cropped,) = torch.autograd.grad(generator.features(w_plus, resolution, windows).square().sum(), w_plus)
    assert torch.allclose(dense, cropped, rtol=1e-8, atol=1e-10)
    assert dense.abs().max() > 0


@pytest.mark.parametrize("kind", ["skip narrow", "resnet narrow"])
def test_narrow_maps_are_computed_in_windows(kind: str) -> None:
    """In the middle of a square of zeros, and no block above the first few is ever computed in full."""
    generator = GENERATORS[kind]
    w_plus = torch.randn(1, generator.num_ws, 16, generator=torch.Generator().manual_seed(5)).double()
    dense = generator.features(w_plus, 64)
    assert dense.shape == (1, CHANNELS[64], 64, 64) and generator.margin == 16
    assert dense[..., :16].abs().max() == dense[..., 48:].abs().max() == 0 < dense[..., 16:48].abs().min()
    blocks = generator.synthesis_network.blocks  # type: ignore[union-attr]
    heights = []
    hooks = [block.register_forward_hook(lambda *args: heights.append(args[-1].shape[2])) for block in blocks]
    windows = Windows(((14, 30),), 6)
    assert torch.allclose(generator.features(w_plus, 64, windows), crop(dense, windows), atol=1e-9)
    for hook in hooks:
        hook.remove()
    assert max(heights) < 64


def test_crop_pads_with_zeros() -> None:
    dense = torch.arange(16.0).view(1, 1, 4, 4)
    parts = crop(dense, Windows(((-1, -2), (3, 3), (9, 0)), 2))
    assert parts[0, 0].tolist() == [[0, 0], [0, 0]]
    assert parts[1, 0].tolist() == [[15, 0], [0, 0]]
    assert parts[2, 0].tolist() == [[0, 0], [0, 0]]


def test_plan_prefers_the_dense_map_when_windows_cover_it() -> None:
    blocks = GENERATORS["skip"].synthesis_network.blocks  # type: ignore[union-attr]
    dense_few, needed = plan(blocks, Windows(((20, 20),), 6))
    dense_many, _ = plan(blocks, Windows(((20, 20),) * 200, 6))
    assert dense_few < len(blocks) == dense_many
    assert len(needed) == len(blocks) - dense_few + 1


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_latent_for_each_window(kind: str) -> None:
    generator = GENERATORS[kind]
    w_plus = torch.randn(3, generator.num_ws, 16, generator=torch.Generator().manual_seed(4)).double()
    resolution = generator.feature_resolutions[-1]
    windows = Windows(((3, 11), (-2, 20), (9, 9)), 6)
    expected = [
        generator.features(w_plus[k : k + 1], resolution, Windows((origin,), 6))
        for k, origin in enumerate(windows.origins_xy)
    ]
    assert torch.allclose(generator.features(w_plus, resolution, windows), torch.cat(expected), atol=1e-9)


def test_windows_and_latents_must_agree() -> None:
    generator = GENERATORS["skip"]
    with pytest.raises(ValueError, match="one latent, or one each"):
        generator.features(torch.zeros(2, generator.num_ws, 16).double(), 64, Windows(((0, 0),) * 3, 4))

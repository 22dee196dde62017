"""Oracle tests: our networks against recorded outputs of the official implementation, fp32."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stylegan2 import StyleGAN2Config, StyleGAN2Generator
from stylegan2.discriminator import Discriminator, DiscriminatorConfig

GOLDEN = Path(__file__).parent.parent / "golden"
NAMES = ["stylegan2_64_skip_cond3", "stylegan2_32_orig_uncond", "stylegan2_32_resnet_uncond"]
TOLERANCE = 1e-4


class Golden:
    """One recorded network pair: weights, inputs and outputs."""

    def __init__(self, name: str) -> None:
        with np.load(GOLDEN / f"{name}.npz") as file:
            self.arrays = {key: torch.from_numpy(file[key]) for key in file.files if key != "init_json"}
            self.init: dict[str, Any] = json.loads(bytes(file["init_json"]))

    def __getitem__(self, key: str) -> torch.Tensor:
        return self.arrays[key]

    @property
    def label(self) -> torch.Tensor | None:
        return self["c"] if self.init["G"]["c_dim"] else None

    def state(self, prefix: str) -> dict[str, torch.Tensor]:
        return {
            key[len(prefix) :]: value
            for key, value in self.arrays.items()
            if key.startswith(prefix) and "resample_filter" not in key
        }

    def channels(self, part: str) -> dict[int, int]:
        sizes = self.init["G"]["synthesis_kwargs"] if part == "G" else self.init["D"]
        resolution = self.init[part]["img_resolution"]
        steps = (4 << i for i in range(9))
        return {r: min(sizes["channel_base"] // r, sizes["channel_max"]) for r in steps if r <= resolution}

    def generator(self) -> StyleGAN2Generator:
        init = self.init["G"]
        generator = StyleGAN2Generator(
            StyleGAN2Config(
                z_dim=init["z_dim"],
                c_dim=init["c_dim"],
                w_dim=init["w_dim"],
                resolution=init["img_resolution"],
                channels=self.channels("G"),
                architecture=init["synthesis_kwargs"]["architecture"],
                mapping_layers=init["mapping_kwargs"]["num_layers"],
            )
        )
        state = self.state("G.")
        generator.set_statistics(state.pop("mapping.w_avg"), None)
        names = {"synthesis.": "synthesis_network.", "mapping.": "mapping_network."}
        renamed = {}
        for key, value in state.items():
            prefix = key.split(".")[0] + "."
            renamed[names[prefix] + key[len(prefix) :]] = value
        generator.load_state_dict(renamed)
        return generator.requires_grad_(False)

    def discriminator(self) -> Discriminator:
        init = self.init["D"]
        config = DiscriminatorConfig(init["img_resolution"], self.channels("D"), init["architecture"], init["c_dim"])
        discriminator = Discriminator(config)
        state = {key: value for key, value in self.state("D.").items() if not key.endswith("w_avg")}
        discriminator.load_state_dict(state)
        return discriminator.requires_grad_(False)


@pytest.fixture(params=NAMES, scope="module")
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.param)


def assert_same(actual: torch.Tensor, expected: torch.Tensor) -> None:
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max().item() <= TOLERANCE


@pytest.mark.parametrize(
    ("key", "psi", "cutoff"), [("w_psi1", 1.0, None), ("w_psi07", 0.7, None), ("w_psi05_cutoff4", 0.5, 4)]
)
def test_mapping_and_truncation(golden: Golden, key: str, psi: float, cutoff: int | None) -> None:
    assert_same(golden.generator().mapping(golden["z"], golden.label, psi, cutoff), golden[key])


@pytest.mark.parametrize("mode", ["const", "none"])
def test_image(golden: Golden, mode: Any) -> None:
    assert_same(golden.generator().synthesis(golden["w_psi07"], mode), golden[f"image_noise_{mode}"])


def test_features_at_every_block(golden: Golden) -> None:
    generator = golden.generator()
    for resolution in generator.feature_resolutions:
        actual = generator.features(golden["w_psi07"], resolution)
        assert_same(actual, golden[f"feature_{resolution}"])


def test_discriminator_logits(golden: Golden) -> None:
    logits = golden.discriminator()(golden["image_noise_const"], golden.label)
    assert_same(logits, golden["d_logits"])


def test_random_noise_differs_from_call_to_call(golden: Golden) -> None:
    generator = golden.generator()
    w_plus = golden["w_psi07"][:1]
    first, second = (generator.synthesis(w_plus, "random") for _ in range(2))
    assert (first - second).abs().max() > 1e-3
    assert (first - golden["image_noise_const"][:1]).abs().mean() < 1.0


def test_features_ignore_rows_above_the_block(golden: Golden) -> None:
    generator = golden.generator()
    w_plus = golden["w_psi07"].clone()
    expected = generator.features(w_plus, 16)
    w_plus[:, 5:] = 1e6
    assert torch.equal(generator.features(w_plus, 16), expected)


def test_unknown_resolution_is_refused(golden: Golden) -> None:
    with pytest.raises(ValueError, match="no block at 12 px"):
        golden.generator().features(golden["w_psi07"], 12)

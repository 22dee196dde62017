"""Look at a model file that a user brings, and turn it into one of ours, before it enters the store.

Our own files are data only and are read here. Any other file is read by a process of its own (`engine.model_reader`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from krita_drag.wire.errors import (
    KritaDragError,
    ModelCorrupt,
    ModelNotFound,
    ModelUnsupported,
    OutOfMemory,
    UnsafeFile,
)

from engine.catalogue import ModelInfo
from engine.download import sha256_of
from engine.paths import storage_errors
from stylegan2 import Generator
from stylegan2.checkpoints import native
from stylegan2.errors import CheckpointError

UNKNOWN_TERMS = "krita-drag does not know the terms of this model: keep to those of whoever made it."
READING_TIMEOUT_S = 900
_THREADS = {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}  # memory for threads counts against the limit


def describe(path: Path) -> dict[str, Any]:
    """Say what is in a model file, without changing anything.

    Returns:
        A report as JSON values: format, kind, resolution, width, rows, config, domain, aligned, sha256, and for files
        of other programs networks (by role) and settings.

    Raises:
        ModelNotFound: there is no such file.
        UnsafeFile: it asks for code to be run.
        ModelUnsupported: it is a file of another kind.
        ModelCorrupt: it is damaged.
        OutOfMemory: it asks for more memory than a model may.
        PermissionDenied: it may not be read.
    """
    require_file(path)
    with storage_errors(path):
        if not _is_native(path):
            return _read_apart(path)
        generator, metadata = _load(path, path.name)
        return {
            "format": "krita-drag safetensors",
            "kind": generator.kind,
            "resolution": generator.resolution,
            "width": generator.resolution - 2 * generator.margin,
            "rows": generator.num_ws,
            "config": json.loads(metadata.get("config", "{}")),
            "domain": metadata.get("domain", "unknown"),
            "aligned": metadata.get("aligned") == "true",
            "sha256": sha256_of(path),
        }


def bring_in(path: Path, name: str, destination: Path, half: bool = False) -> tuple[ModelInfo, str, str, Generator]:
    """Turn a model file into one of ours and try it out.

    Args:
        path: the file.
        name: what the model will be called.
        destination: the safetensors file to write; not atomic.
        half: store the weights in half the space; files of our own are copied as they are.

    Returns:
        Its description, the text of its licence, the SHA-256 of `path`, and the generator in `destination`.

    Raises:
        As `describe`; OSError: `destination` cannot be written.
    """
    require_file(path)
    with storage_errors(path):
        is_native = _is_native(path)
        if is_native:
            source_sha256 = sha256_of(path)
    if is_native:
        shutil.copyfile(path, destination)
    else:
        source_sha256 = _read_apart(path, "--convert", str(destination.absolute()), *["--half"] * half)["sha256"]
    generator, metadata = _load(destination, path.name)
    _try_out(path, generator)
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
        size_bytes=path.stat().st_size,
        margin=generator.margin,
    )
    return info, metadata.get("licence_text", info.licence_note) + "\n", source_sha256, generator


def require_file(path: Path) -> None:
    """Refuse a path without a file.

    Raises:
        ModelNotFound: there is none.
    """
    if not path.is_file():
        raise ModelNotFound(f"There is no file {path}.", "Check the path.")


def _is_native(path: Path) -> bool:
    """Tell our files, also damaged ones, from those of other programs; safetensors of others are refused."""
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:] != b"{":  # eight bytes of length, then JSON
        return False
    try:
        is_ours = native.read_metadata(path).get("format") == native.FORMAT
    except CheckpointError:
        return True  # cut off or garbled: loading it says where
    if not is_ours:
        raise ModelUnsupported(
            f"{path.name} is a safetensors file, but not a model of krita-drag.", "Add the original file of the model."
        )
    return True


def _load(path: Path, shown: str) -> tuple[Generator, dict[str, str]]:
    try:
        return native.load(path), native.read_metadata(path)
    except CheckpointError as error:
        raise _damaged(shown, str(error)) from error


def _read_apart(path: Path, *options: str) -> dict[str, Any]:
    """Let another process read the file, away from the current folder, whose files Python would import first."""
    places = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path if entry)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "engine.model_reader", str(path.absolute()), *options],
            cwd=Path(sys.executable).parent,
            env=os.environ | _THREADS | {"PYTHONPATH": places},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=READING_TIMEOUT_S,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _damaged(path.name, f"reading it takes more than {READING_TIMEOUT_S // 60} minutes") from error
    lines = done.stdout.splitlines()
    if done.returncode < 0:
        raise _damaged(path.name, f"the process that read it was ended by signal {-done.returncode}")
    if done.returncode or not lines:
        raise RuntimeError(f"reading {path.name} failed: {done.stderr.strip()[-2000:] or 'no reason given'}")
    answer: dict[str, Any] = json.loads(lines[-1])
    if answer.get("error") == "system":
        raise OSError(answer["errno"], answer["message"])
    if "error" in answer:
        raise _refusal(path.name, answer["error"], answer["message"])
    return answer


def _refusal(name: str, error: str, message: str) -> KritaDragError:
    if error == "unsafe":
        return UnsafeFile(
            f"{name} was refused: {message}.",
            "Nothing in it was run. Get the model from a source you trust.",
        )
    if error == "unsupported":
        return ModelUnsupported(
            f"{name} cannot be used: {message}.",
            "StyleGAN2 files of NVIDIA (.pkl) and rosinality (.pt) and krita-drag's own can be added.",
        )
    if error == "memory":
        return OutOfMemory(f"{name} cannot be read: {message}.", "Close other programs, or get the file again.")
    return _damaged(name, message)


def _damaged(name: str, reason: str) -> ModelCorrupt:
    return ModelCorrupt(f"{name} is damaged: {reason}.", "Get or convert the file again.")


def _try_out(path: Path, generator: Generator) -> None:
    """Refuse weights that are not numbers or compute nonsense."""
    numbers = [*generator.parameters(), *generator.buffers()]
    with torch.no_grad():
        sound = all(bool(tensor.isfinite().all()) for tensor in numbers)
        if sound:
            features = generator.features(generator.sample_w_plus(0), generator.feature_resolutions[0])
            sound = bool(features.isfinite().all())
    if not sound:
        raise _damaged(path.name, "it holds values that are no numbers")

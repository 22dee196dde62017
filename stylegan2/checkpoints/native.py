"""Our own model files: safetensors, data only, mapped into memory instead of read.

The tensors carry the names of the modules in this package, plus `w_mean` and `w_covariance`. The header's metadata,
all strings, says what the tensors cannot:

    format    "krita-drag"
    version   "1"
    kind      "stylegan2" or "mobilestylegan"
    config    JSON of the configuration; sizes in it must agree with the tensors, which have the last word
    …         anything else that the writer wishes to keep, such as a title
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from stylegan2.checkpoints.assemble import assemble
from stylegan2.checkpoints.inert import shown
from stylegan2.checkpoints.sizes import mobile_config, stylegan2_config
from stylegan2.errors import CheckpointError
from stylegan2.generator import Generator, StyleGAN2Config, StyleGAN2Generator
from stylegan2.mobile import MobileConfig, MobileStyleGAN

FORMAT, VERSION = "krita-drag", "1"
_STATISTICS = ("w_mean", "w_covariance")
_NOT_IN_TENSORS = ("conv_clamp", "fp16_resolution", "coarse_ws")


def save(generator: Generator, path: Path, metadata: dict[str, str] | None = None, *, half: bool = False) -> None:
    """Write a generator with the statistics of its W, which are estimated now if need be.

    Args:
        generator: a `StyleGAN2Generator` or `MobileStyleGAN`.
        path: the file to write; not atomic.
        metadata: further strings to keep; the names listed above are ours.
        half: store weights in half precision; reading widens them again. The statistics of W stay as they are.

    Raises:
        OSError: the file cannot be written.
    """
    assert isinstance(generator, StyleGAN2Generator | MobileStyleGAN), "no other kind has a file format"
    tensors = {name: value for name, value in generator.state_dict().items() if not name.startswith("_w_")}
    if half:
        tensors = {name: value.half() for name, value in tensors.items()}
    tensors |= {name: getattr(generator, name) for name in _STATISTICS}
    header = (metadata or {}) | {
        "format": FORMAT,
        "version": VERSION,
        "kind": generator.kind,
        "config": json.dumps(asdict(generator.config)),
    }
    data = safetensors.torch.save({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, header)
    path.write_bytes(data)


def read_metadata(path: Path) -> dict[str, str]:
    """Read the strings in the header of any safetensors file.

    Raises:
        CheckpointError: it is not a safetensors file, or a truncated one.
        OSError: it cannot be read.
    """
    return _read(path, with_tensors=False)[0]


def load(path: Path) -> Generator:
    """Map a generator into memory; pages are read from the disk when they are first used.

    Returns:
        The generator on the CPU in float32, in training mode as any new module.

    Raises:
        CheckpointError: the file is damaged, contradicts itself or holds something else.
        OSError: it cannot be read.
    """
    metadata, tensors = _read(path, with_tensors=True)
    if metadata.get("format") != FORMAT:
        raise CheckpointError("it is not a krita-drag model file")
    if metadata.get("version") != VERSION:
        raise CheckpointError(f"it has version {shown(metadata.get('version'))} of the format, not {VERSION}")
    kind = metadata.get("kind", "")
    if kind not in _BUILDERS:
        raise CheckpointError(f"it holds a network of the unknown kind “{shown(kind)}”")
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise CheckpointError(f"{shown(name)} holds {tensor.dtype}, not real numbers")
    tensors = {name: tensor.float() for name, tensor in tensors.items()}
    w_mean, w_covariance = (tensors.pop(name, None) for name in _STATISTICS)
    generator = _BUILDERS[kind](tensors, _parse_config(metadata))
    _check_shape("w_mean", w_mean, (generator.w_dim,))
    _check_shape("w_covariance", w_covariance, (generator.w_dim, generator.w_dim))
    generator.set_statistics(w_mean, w_covariance)
    return generator


def _read(path: Path, with_tensors: bool) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys()) if with_tensors else []
            return dict(file.metadata() or {}), {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise CheckpointError(
            f"it is not a safetensors file, or a part of it is missing ({shown(str(error))})"
        ) from error


def _parse_config(metadata: dict[str, str]) -> dict[str, Any]:
    try:
        config = json.loads(metadata.get("config", "{}"))
    except ValueError as error:
        raise CheckpointError(f"its configuration is not JSON ({error})") from error
    if not isinstance(config, dict):
        raise CheckpointError("its configuration is not a JSON object")
    return config


def _build_stylegan2(tensors: dict[str, Tensor], claimed: dict[str, Any]) -> Generator:
    further = {name: claimed[name] for name in _NOT_IN_TENSORS if name in claimed}
    clamp = further.get("conv_clamp")
    if clamp is not None and not (_is_number(clamp) and clamp > 0):
        raise CheckpointError(f"conv_clamp is {shown(clamp)}, not a positive number")
    for name in ("fp16_resolution", "coarse_ws"):
        value = further.get(name, 0)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise CheckpointError(f"{name} is {shown(value)}, not a count")
    config = stylegan2_config(tensors, **further)
    _compare(config, claimed)
    return assemble(lambda: StyleGAN2Generator(config), tensors)


def _build_mobile(tensors: dict[str, Tensor], claimed: dict[str, Any]) -> Generator:
    config = mobile_config(tensors)
    _compare(config, claimed)
    return assemble(lambda: MobileStyleGAN(config), tensors)


_BUILDERS: dict[str, Callable[[dict[str, Tensor], dict[str, Any]], Generator]] = {
    StyleGAN2Generator.kind: _build_stylegan2,
    MobileStyleGAN.kind: _build_mobile,
}


def _compare(config: StyleGAN2Config | MobileConfig, claimed: dict[str, Any]) -> None:
    """Refuse a file whose metadata says other sizes than its tensors."""
    measured = json.loads(json.dumps(asdict(config)))
    for name, value in measured.items():
        if name in claimed and claimed[name] != value:
            raise CheckpointError(f"the metadata says {name} {shown(claimed[name])}, the tensors say {shown(value)}")


def _check_shape(name: str, tensor: Tensor | None, want: tuple[int, ...]) -> None:
    if tensor is not None and tuple(tensor.shape) != want:
        raise CheckpointError(f"{name} has shape {tuple(tensor.shape)}, not {want}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

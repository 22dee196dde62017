"""The process that reads model files which nobody vouches for: `python -m engine.model_reader`.

Reading such a file runs none of its code (`stylegan2.checkpoints.detect`). Should a file nevertheless find a fault in
a library, or ask for more than it should get, only this process is lost: it has limits on memory, time and what it
writes. It prints one line of JSON, a report or an error, and is told what to do by `engine.model_file`.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from engine import domains
from engine.download import sha256_of
from engine.machine import is_out_of_memory
from stylegan2 import StyleGAN2Generator
from stylegan2.checkpoints import native
from stylegan2.checkpoints.contents import Checkpoint
from stylegan2.checkpoints.detect import open_checkpoint
from stylegan2.errors import CheckpointError, UnsafeCheckpoint, UnsupportedCheckpoint

ERRORS = {UnsafeCheckpoint: "unsafe", UnsupportedCheckpoint: "unsupported", CheckpointError: "damaged"}
OUT_OF_MEMORY, SYSTEM = "memory", "system"
MAX_TOLD = 1 << 16
MAX_HALF = float(torch.finfo(torch.float16).max)
_MEMORY_BYTES, _CPU_SECONDS = 3 << 30, 600


def main() -> int:
    """Do one job; returns 0 where a line of JSON says how it went."""
    parser = argparse.ArgumentParser(prog="engine.model_reader")
    parser.add_argument("file", type=Path)
    parser.add_argument("--convert", type=Path, metavar="DESTINATION")
    parser.add_argument("--half", action="store_true")
    options = parser.parse_args()
    _limit_this_process(options.file.stat().st_size)
    try:
        answer = _run(options.file, options.convert, options.half)
    except CheckpointError as error:
        answer = {"error": ERRORS[type(error)], "message": str(error)}
    except OSError as error:
        answer = {"error": SYSTEM, "errno": error.errno, "message": error.strerror or str(error)}
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        answer = {"error": OUT_OF_MEMORY, "message": "it needs more memory than a model file may"}
    print(json.dumps(answer))
    return 0


def _run(path: Path, destination: Path | None, half: bool) -> dict[str, Any]:
    checkpoint = open_checkpoint(path)
    generator = checkpoint.generator()
    training_set = checkpoint.settings.get("training_set_kwargs") or {}
    told = str(training_set.get("path", "")) if isinstance(training_set, dict) else ""
    domain, aligned = domains.guess(path.stem, Path(told.replace("\\", "/")).name)
    report = _report(checkpoint, generator) | {"domain": domain, "aligned": aligned, "sha256": sha256_of(path)}
    if destination is not None:
        if half:
            _require_half(generator)
        native.save(generator, destination, _metadata(report), half=half)
    return report


def _report(checkpoint: Checkpoint, generator: StyleGAN2Generator) -> dict[str, Any]:
    config = asdict(generator.config)
    networks = {
        role: {
            "class_name": n.class_name,
            "tensors": len(n.arrays),
            "parameters": n.parameters,
            "arguments": n.arguments,
        }
        for role, n in checkpoint.networks.items()
    }
    return {
        "format": checkpoint.format,
        "kind": generator.kind,
        "resolution": generator.resolution,
        "width": generator.resolution - 2 * generator.margin,
        "rows": generator.num_ws,
        "config": config,
        "networks": networks,
        "settings": checkpoint.settings,
    }


def _metadata(report: dict[str, Any]) -> dict[str, str]:
    """What the converted file says about where it comes from."""
    return {
        "domain": report["domain"],
        "aligned": "true" if report["aligned"] else "false",
        "source_format": report["format"],
        "source_sha256": report["sha256"],
        "source_arguments": json.dumps({role: n["arguments"] for role, n in report["networks"].items()})[:MAX_TOLD],
    }


def _require_half(generator: StyleGAN2Generator) -> None:
    for name, tensor in generator.state_dict().items():
        if tensor.numel() and tensor.abs().max() > MAX_HALF:
            raise UnsupportedCheckpoint(f"its tensor {name} has values that half precision cannot hold")


def _limit_this_process(file_bytes: int) -> None:
    """Take memory, time and disk beyond reason away; on Windows the parent's patience is the only such limit."""
    if sys.platform == "win32":
        return
    import resource

    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: _CPU_SECONDS,
        resource.RLIMIT_FSIZE: 4 * file_bytes + (64 << 20),
    }
    statm = Path("/proc/self/statm")
    if statm.exists():  # elsewhere the address space of a process with torch says nothing
        in_use = int(statm.read_text().split()[0]) * resource.getpagesize()
        limits[resource.RLIMIT_AS] = in_use + _MEMORY_BYTES + 4 * file_bytes
    for kind, limit in limits.items():
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


if __name__ == "__main__":
    sys.exit(main())

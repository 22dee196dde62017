"""Damage genuine-format model files at random, and see that reading them never does anything but refuse or load.

    python -m benchmarks.fuzz_checkpoints [--cases 20000] [--first-seed 0] [--json FILE]

Each case is made of one seed alone, so a seed names it for ever. Cases run in processes of their own, a thousand
each, so that a crash is seen. Counted as failures: any exception but `CheckpointError`, a case that takes longer than
5 s, a process that dies, and a process whose memory grows to more than twice what the genuine files took.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import pickletools
import random
import struct
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from stylegan2 import StyleGAN2Config, StyleGAN2Generator
from stylegan2.checkpoints.detect import read_checkpoint
from stylegan2.discriminator import Discriminator, DiscriminatorConfig
from stylegan2.errors import CheckpointError

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit"))
from genuine_files import (
    numbered_storages,
    nvidia_pickle,
    nvidia_state,
    rosinality_state,
    save_rosinality,
    tensorflow_pickle,
)

HANG_S = 5.0
MEMORY_RATIO = 2.0
CASES_PER_PROCESS = 1000
_EXTREMES = [0, 1, -1, 127, 128, 255, 256, 2**15, 2**16, 2**31 - 1, -(2**31), 2**32 - 1, 2**40, 2**63 - 1, -(2**63)]
_OPCODES = bytes(ord(code.code) for code in pickletools.opcodes)


def originals() -> list[bytearray]:
    """Tiny networks in each format and container."""
    torch.manual_seed(0)
    channels = {4: 8, 8: 8, 16: 4}
    generator = StyleGAN2Generator(StyleGAN2Config(8, 0, 8, 16, channels, mapping_layers=2))
    discriminator = Discriminator(DiscriminatorConfig(16, channels))
    states = {"G": nvidia_state(generator), "D": discriminator.state_dict()}
    arguments = {"G": {"z_dim": 8, "c_dim": 0, "w_dim": 8, "img_resolution": 16}, "D": {"c_dim": 0}}
    settings = {"img_resolution": 16, "num_fp16_res": 1, "conv_clamp": 256}
    files = [_steady(nvidia_pickle, states, arguments, settings, protocol) for protocol in (2, 3, 4, 5)]
    files += [tensorflow_pickle(states, 16, protocol=protocol) for protocol in (2, 4)]
    small = {key: value for key, value in rosinality_state().items() if "64" not in str(tuple(value.shape))}
    for options in ({}, {"legacy": True}, {"training": True}):
        stream = io.BytesIO()
        _steady(save_rosinality, stream, state=small, **options)
        files.append(stream.getvalue())
    return [bytearray(file) for file in files]


def _steady(write: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    with numbered_storages():
        return write(*arguments, **options)


class Mutator:
    """Makes the file of a seed."""

    def __init__(self, files: list[bytearray]) -> None:
        self.files = files
        self._structure = [_structure(bytes(file)) for file in files]

    def case(self, seed: int) -> bytearray:
        """One damaged file."""
        rng = random.Random(seed)
        number = rng.randrange(len(self.files))
        data = bytearray(self.files[number])
        for _ in range(rng.choice((1, 1, 2, 3, 5, 8))):
            positions = self._structure[number]
            at = rng.choice(positions) if rng.random() < 0.7 else rng.randrange(len(data))
            self._damage(data, min(at + rng.randrange(3), len(data) - 1), rng)
            if not data:
                data += b"\x80"
        return data

    def _damage(self, data: bytearray, at: int, rng: random.Random) -> None:
        kind = rng.randrange(8)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.choice(_OPCODES)
        elif kind == 2:
            form = rng.choice(["<i", "<I", "<q", "<Q", "<H", ">d"])
            raw = struct.pack(form, *([float("nan")] if form == ">d" else [_fit(rng.choice(_EXTREMES), form)]))
            data[at : at + len(raw)] = raw
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif kind == 4:
            del data[at : at + rng.randrange(1, 64)]
        elif kind == 5:
            data[at:at] = data[at : at + rng.randrange(1, 256)]
        elif kind == 6:
            other = rng.choice(self.files)
            start = rng.randrange(len(other))
            data[at : at + rng.randrange(64)] = other[start : start + rng.randrange(64)]
        else:
            del data[at:]


def _structure(data: bytes) -> list[int]:
    """Where the instructions and headers of a file are, as far from the numbers of its tensors as can be told."""
    positions = list(range(min(400, len(data)))) + list(range(max(0, len(data) - 4000), len(data)))
    try:
        positions += [at for _, _, at in pickletools.genops(data) if at is not None] * 2
    except ValueError:  # an archive: its pickle comes first, its directory last
        positions += list(range(min(8000, len(data))))
    return positions


def _fit(value: int, form: str) -> int:
    bits = 8 * struct.calcsize(form)
    value &= (1 << bits) - 1
    return value - (1 << bits) if form[1].islower() and value >> (bits - 1) else value


def outcome(data: bytearray) -> str:
    """Read a file as far as it goes; anything but `CheckpointError` is let through."""
    try:
        checkpoint = read_checkpoint(memoryview(data))
        checkpoint.generator()
        if "D" in checkpoint.networks:
            checkpoint.discriminator()
    except CheckpointError as error:
        return type(error).__name__
    return "loaded"


def run_part(first: int, count: int) -> dict[str, Any]:
    """Run cases in this process."""
    import resource

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    mutator = Mutator(originals())
    for file in mutator.files:
        outcome(bytearray(file))
    genuine_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes: collections.Counter[str] = collections.Counter()
    failures, slowest = [], 0.0
    for seed in range(first, first + count):
        start = time.perf_counter()
        try:
            outcomes[outcome(mutator.case(seed))] += 1
        except Exception as error:
            failures.append(f"seed {seed}: {type(error).__name__}: {error}")
        seconds = time.perf_counter() - start
        slowest = max(slowest, seconds)
        if seconds > HANG_S:
            failures.append(f"seed {seed}: {seconds:.1f} s")
    ratio = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / genuine_kb
    if ratio > MEMORY_RATIO:
        failures.append(f"seeds {first} to {first + count - 1}: {ratio:.1f} times the memory")
    return {"outcomes": outcomes, "failures": failures, "slowest_s": slowest, "memory_ratio": ratio}


def main() -> int:
    """Run all cases; returns 1 where something failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--part", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(run_part(options.first_seed, options.cases)))
        return 0
    total: dict[str, Any] = {"cases": options.cases, "first_seed": options.first_seed, "slowest_s": 0.0}
    total |= {"memory_ratio": 0.0, "outcomes": collections.Counter(), "failures": []}
    end = options.first_seed + options.cases
    for first in range(options.first_seed, end, CASES_PER_PROCESS):
        count = min(CASES_PER_PROCESS, end - first)
        command = [sys.executable, "-m", "benchmarks.fuzz_checkpoints", "--part", "--first-seed", str(first)]
        done = subprocess.run([*command, "--cases", str(count)], stdout=subprocess.PIPE, check=False)
        if done.returncode:
            total["failures"].append(f"seeds {first} to {first + count - 1}: the process ended with {done.returncode}")
            continue
        part = json.loads(done.stdout)
        total["outcomes"].update(part["outcomes"])
        total["failures"] += part["failures"]
        for name in ("slowest_s", "memory_ratio"):
            total[name] = max(total[name], part[name])
    text = json.dumps(total, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    return 1 if total["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""A small, fixed part of benchmarks/fuzz_checkpoints.py: damaged files load or are refused, and nothing else."""

from __future__ import annotations

import collections
import hashlib
import os
import subprocess
import sys
import warnings

import pytest

from benchmarks.fuzz_checkpoints import Mutator, originals, outcome

CASES = 300


@pytest.fixture(scope="module")
def mutator() -> Mutator:
    return Mutator(originals())


def test_originals_load(mutator: Mutator) -> None:
    assert [outcome(bytearray(file)) for file in mutator.files] == ["loaded"] * len(mutator.files)


def test_damaged_files_never_surprise(mutator: Mutator) -> None:
    outcomes: collections.Counter[str] = collections.Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(CASES):
            outcomes[outcome(mutator.case(seed))] += 1
    assert outcomes.total() == CASES
    assert {"loaded", "CheckpointError", "UnsafeCheckpoint"} <= set(outcomes)


def test_a_seed_names_a_case(mutator: Mutator) -> None:
    """In other processes too, whose memory lies elsewhere."""
    script = (
        "import hashlib; from benchmarks.fuzz_checkpoints import Mutator, originals; m = Mutator(originals())\n"
        "print(hashlib.sha256(b''.join(m.case(seed) for seed in range(40))).hexdigest())"
    )
    here = hashlib.sha256(b"".join(mutator.case(seed) for seed in range(40))).hexdigest()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == here

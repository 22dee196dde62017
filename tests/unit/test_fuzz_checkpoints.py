"""A small, fixed part of benchmarks/fuzz_checkpoints.py: damaged files load or are refused, and nothing else."""

from __future__ import annotations

import collections
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
    assert mutator.case(7) == Mutator(originals()).case(7) != mutator.case(8)

"""The judges of `benchmarks.quality` with the real model and the real dlib: one pair, a few steps."""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.quality import common, landmarks, reconstruction, region, roundtrip, tables, tracking_bound
from benchmarks.quality.common import Bench, Face, Pair
from benchmarks.quality.cost import PassCounter
from engine.drag import DragPoints
from engine.models import Model, ModelStore
from engine.paths import HOME_VARIABLE
from stylegan2 import Generator

MISSING = [name for name in ("dlib", "face_recognition_models") if importlib.util.find_spec(name) is None]
needs_dlib = pytest.mark.skipif(bool(MISSING), reason=f"not installed (extra `bench`): {', '.join(MISSING)}")
SEED = 1000  # of the development set
STEPS = 3
SHARED = {"destroyed", "steps", "reported_lost", "forward_equivalents", "seconds", "peak_mb", "pair"}


@pytest.fixture(scope="module")
def bench(faces_model: Model) -> Bench:
    return Bench(generator=faces_model.generator)


@pytest.fixture(scope="module")
def pair(bench: Bench) -> Pair:
    return next(bench.pairs(SEED, 1, 1))


@pytest.fixture
def options() -> argparse.Namespace:
    flags = common.parser("Test.")
    flags.add_argument("--free", action="store_true")
    return flags.parse_args(["--solvers", "draggan-official", "--steps", str(STEPS), "--seed", str(SEED)])


@needs_dlib
def test_the_command_writes_rows_a_table_and_a_sheet(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(store.root))
    figures, sheet = tmp_path / "new" / "rows.json", tmp_path / "new" / "sheet.png"
    words = ["--points", "5", "--pairs", "1", "--seed", str(SEED), "--steps", str(STEPS)]
    landmarks.main([*words, "--device", "cpu", "--json", str(figures), "--sheet", str(sheet)])
    shown = capsys.readouterr().out
    assert "| draggan-official | 1 |" in shown and "| draggan-paper | 1 |" in shown

    rows = json.loads(figures.read_text(encoding="utf-8"))["rows"]
    assert [row["solver"] for row in rows] == ["draggan-official", "draggan-paper"]
    for row in rows:
        assert row.keys() >= SHARED | {"solver", "before_px", "after_px", "identity", "lost"}
        assert len(row["landmarks"]) == 5
        assert row["after_px"] < row["before_px"]
        assert 0 < row["identity"] < 0.6
        assert (row["destroyed"], row["lost"], row["steps"]) == (False, 0, STEPS)
        # the start and each step look at the features once, the templates too; the last state is not pulled
        assert (row["forwards"], row["products"]) == (STEPS + 2, STEPS)
        assert row["forward_equivalents"] == STEPS + 2 + 2 * STEPS
    with Image.open(sheet) as picture:
        assert picture.width > picture.height  # before, the other face, two results

    landmarks.main(["--read", str(figures), str(figures)])
    assert "| draggan-official | 2 |" in capsys.readouterr().out


@needs_dlib
def test_an_unknown_solver_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        landmarks.main(["--solvers", "draggan-official,nonesuch"])
    assert "no solver called nonesuch" in capsys.readouterr().err


@needs_dlib
def test_pairs_depend_on_the_seed_alone(bench: Bench, pair: Pair) -> None:
    again = next(bench.pairs(SEED, 5, 1))
    assert (again.first.seed, again.second.seed) == (pair.first.seed, pair.second.seed)
    assert again.chosen[0] == pair.chosen[0] and len(again.chosen) == 5
    assert (common.choose_landmarks(68, SEED, 0) == np.arange(68)).all()


@needs_dlib
def test_a_ruined_face_is_destroyed_not_measured(bench: Bench, pair: Pair) -> None:
    result = bench.drag(pair.first.w_plus, pair.points, "draggan", 0)
    noise = np.random.default_rng(0).integers(0, 255, pair.first.rgb.shape, np.uint8)
    ruined = Face(pair.first.w_plus, noise, bench.judge.find(noise))
    row = landmarks.judge(bench, pair, "draggan", common.Result(ruined, result.events, result.best, result.meter))
    assert row["destroyed"]
    assert row["after_px"] is row["identity"] is row["lost"] is None
    assert bench.render(pair.first.w_plus * torch.nan).found is None


@needs_dlib
def test_a_handle_far_from_its_landmark_is_silently_lost(bench: Bench, pair: Pair) -> None:
    """Handles that start 60 px beside the landmark they claim to be."""
    beside = DragPoints(pair.points.handles + 60, pair.points.targets)
    result = bench.drag(pair.first.w_plus, beside, "draggan", 0)
    assert landmarks.silently_lost(pair, result) == 1
    honest = bench.drag(pair.first.w_plus, pair.points, "draggan", 0)
    assert landmarks.silently_lost(pair, honest) == 0


@needs_dlib
def test_round_trip(bench: Bench, pair: Pair, options: argparse.Namespace) -> None:
    (row,), cells = roundtrip.judge_pair(bench, pair, options)
    assert row.keys() >= SHARED | {"there_px", "back_px", "face_px", "pixels", "identity"}
    assert row["there_px"] < row["before_px"]
    assert row["steps"] <= 2 * STEPS and len(row["reasons"]) == 2
    assert len(cells) == 3
    assert roundtrip.summarise([row])[0]["pairs"] == 1


@needs_dlib
def test_the_bound_of_tracking(bench: Bench, pair: Pair, options: argparse.Namespace) -> None:
    (row,), cells = tracking_bound.judge_pair(bench, pair, options)
    rounds = [row[f"round_{number}_px"] for number in range(2, tracking_bound.ROUNDS + 1)]
    assert row["after_px"] < row["before_px"] and min(rounds) < row["after_px"]
    assert len(cells) == 3
    assert tracking_bound.summarise([row])[0]["pairs"] == 1


@needs_dlib
def test_region(bench: Bench, pair: Pair, options: argparse.Namespace) -> None:
    options.free, options.steps = True, 10  # the penalty is nothing at the start and needs steps to tell
    (held, free), cells = region.judge_pair(bench, pair, options)
    assert (held["solver"], free["solver"]) == ("draggan-official", "draggan-official, free")
    assert held.keys() >= SHARED | {"outside", "inside", "outside_px", "end_outside"}
    assert held["end_outside"] < free["end_outside"]
    assert len(cells) == 3
    assert region.summarise([held, free])[1]["pairs"] == 1


@needs_dlib
def test_regions_hold_their_points_and_have_a_soft_edge(bench: Bench, pair: Pair) -> None:
    area, chosen = region.draw_region(pair, SEED, 4, 1 / bench.px)
    assert 1 <= len(chosen) <= 4
    for face in (pair.first, pair.second):
        assert (area.at(face.landmarks[chosen]) == 1).all()
    mask = area.mask(bench.generator.resolution)
    assert mask.min() == 0 and mask.max() == 1
    assert ((mask > 0) & (mask < 1)).any()
    row, col = (int(value) for value in area.centre_xy[::-1])
    assert mask[row, col] == 1


@needs_dlib
def test_reconstruction(bench: Bench, pair: Pair, options: argparse.Namespace) -> None:
    options.points = 32
    (row,), cells = reconstruction.judge_pair(bench, pair, options)
    assert row["after_mse"] < row["before_mse"]
    assert row.keys() >= SHARED | {"before_dssim", "after_dssim", "before_identity", "after_identity"}
    assert len(cells) == 3
    assert reconstruction.summarise([row])[0]["pairs"] == 1


def test_flow_points_follow_a_known_shift() -> None:
    pytest.importorskip("skimage", reason="scikit-image is not installed (extra `bench`)")
    from skimage.data import astronaut

    first = astronaut()
    second = np.roll(first, (6, -4), (0, 1))  # 6 px down, 4 px to the left
    points = reconstruction.flow_points(first, second, 32, np.random.default_rng(0))
    assert np.median(points.targets - points.handles, axis=0) == pytest.approx([-4, 6], abs=0.7)


def test_ratios_compare_the_pairs_that_both_have() -> None:
    rows = [
        {"solver": "draggan-official", "pair": 0, "after_px": 4.0},
        {"solver": "draggan-official", "pair": 1, "after_px": 100.0},
        {"solver": "newton", "pair": 0, "after_px": 1.0},
        {"solver": "newton", "pair": 1, "after_px": None},
    ]
    (line,) = tables.ratios(rows, ["after_px"])
    assert line == {"solver": "newton", "pairs": 2, "after_px mean": 0.25, "after_px median": 0.25}


@pytest.fixture
def generator(faces_model: Model) -> Iterator[Generator]:
    yield faces_model.generator
    assert "features" not in vars(faces_model.generator)  # the counter is gone


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch itself, when forward mode is first used
def test_the_counter_understands_batches_of_every_kind(generator: Generator) -> None:
    """Forward passes, products one by one, batched and through `torch.func`, forward mode, renderings."""
    w_plus = generator.sample_w_plus(1)
    size = generator.feature_resolutions[0]

    def features(w: torch.Tensor) -> torch.Tensor:
        return generator.features(w, size)[:, :5, 3, 3]

    with PassCounter(generator) as counter:
        w = w_plus.clone().requires_grad_(True)
        few = features(w)[0]
        torch.autograd.grad(few, w, torch.eye(5), is_grads_batched=True, retain_graph=True)
        torch.autograd.grad(few.sum(), w)
    assert (counter.forwards, counter.products, counter.tangents) == (1, 6, 0)
    assert counter.forward_equivalents == 1 + 2 * 6

    with PassCounter(generator) as counter:
        torch.func.jacrev(lambda w: features(w)[0])(w_plus)
    assert (counter.forwards, counter.products, counter.tangents) == (1, 5, 0)

    with PassCounter(generator) as counter:
        ways = torch.randn(3, *w_plus.shape)
        torch.func.vmap(lambda way: torch.func.jvp(features, (w_plus,), (way,))[1])(ways)
    assert (counter.forwards, counter.products, counter.tangents) == (1, 0, 3)

    with PassCounter(generator) as counter, torch.no_grad():
        features(w_plus.expand(4, -1, -1))
        generator.synthesis(w_plus)
    assert (counter.forwards, counter.products, counter.tangents) == (5, 0, 0)

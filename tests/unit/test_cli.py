"""The command line up to the point where a model is needed: every mistake is a sentence, and writes nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine import __version__
from engine.arguments import build_parser
from engine.cli import main
from engine.outputs import PICTURES, to_json
from engine.points import parse_anchor, parse_pull
from engine.session_file import FORMAT, VERSION
from engine.tensor_files import to_safetensors

ROOT = Path(__file__).parents[2]
ON_LINUX = sys.platform.startswith("linux")


@pytest.fixture
def refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Run a command that must fail with one sentence, no trace and no new file; returns what it said."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> str:
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        code = main(words)
        said = capsys.readouterr()
        assert code == 1
        assert said.err.startswith("error: ")
        assert "Traceback" not in said.err
        assert said.err.count("\n") <= 2
        assert said.out == ""
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
        assert not home.exists(), "nothing is fetched for a command that cannot work"
        return said.err

    return run


def drag_seed(*words: str) -> tuple[str, ...]:
    return ("drag", "--seed", "1", "-o", "out.png", *words)


def usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as exit_:
        main(words)
    assert exit_.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], "No point is given"),
        (["100,100:nan,120"], "not a place in the picture"),
        (["inf,100:120,120"], "not a place in the picture"),
        (["100,100:1024.5,100"], "outside the picture, which is 1024 x 1024"),
        (["100,-1:120,120"], "outside the picture"),
        (["100,100:100,100"], "nothing would move"),
        (["100,100:120,120", "100,100:140,100"], "given 2 times"),
        (["100,100:120,120", "100,100:120,120"], "given 2 times"),
    ],
)
def test_points_that_make_no_sense(refused: Callable[..., str], points: list[str], expected: str) -> None:
    assert expected in refused(*drag_seed(*(word for point in points for word in ("--point", point))))


@pytest.mark.parametrize("text", ["", "1,2", "1,2:3", "1,2:3,4:5,6", "a,b:c,d", "1,2,3:4,5", "1;2:3;4", ":"])
def test_malformed_points_are_usage_errors(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not of the form x,y:x,y" in usage_error(list(drag_seed(f"--point={text}")), capsys)


def test_a_point_is_read_as_floats_handle_first() -> None:
    assert parse_pull(" 1.5, 2:3e2,4") == (((1.5, 2.0), (300.0, 4.0)), 1.0)
    assert parse_pull("1,2:3,4@2.5").weight == 2.5
    assert parse_anchor("5,6").pair == ((5.0, 6.0), (5.0, 6.0))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--point=1,2:3,4@0"], "not a weight"),
        (["--point=1,2:3,4@heavy"], "not a weight"),
        (["--anchor=1,2:3,4"], "is not of the form x,y"),
        (["--stay-close=0"], "above 0"),
        (["--stay-close=near"], "not a number"),
    ],
)
def test_malformed_weights_anchors_and_bounds_are_usage_errors(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert expected in usage_error(list(drag_seed(*words)), capsys)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["frobnicate"],
        ["drag", "-o", "out.png"],
        ["drag", "photo.png", "--seed", "1", "-o", "out.png"],
        ["drag", "--seed", "1"],
        ["drag", "--seed", "-1", "-o", "out.png"],
        ["drag", "--seed", "one", "-o", "out.png"],
        [*drag_seed(), "--steps", "-1"],
        [*drag_seed(), "--steps", "1.5"],
        [*drag_seed(), "--psi", "nan"],
        [*drag_seed(), "--psi", "1.01"],
        [*drag_seed(), "--frame-every", "0"],
        [*drag_seed(), "--device", "abacus"],
        ["models"],
        ["models", "fetch"],
    ],
)
def test_commands_that_are_not_understood_exit_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert usage_error(words, capsys).startswith("usage: krita-drag")


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--version"], ["--help"], ["drag", "--help"], ["models", "fetch", "--help"]):
        with pytest.raises(SystemExit) as exit_:
            main(words)
        assert exit_.value.code == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["photo.png", "--psi", "0.7"], "--psi goes with --seed"),
        (["photo.png", "--class", "0"], "--class goes with --seed"),
        (["--seed", "1", "--crop", "0,0,9,0,9,9,0,9"], "--crop goes with a photo"),
        (["--seed", "1", "--preset", "balanced"], "--preset goes with a photo"),
        (["--seed", "1", "--inversion-steps", "1"], "--inversion-steps goes with a photo"),
        (["--seed", "1", "--frame-every", "2"], "--frame-every goes with --frames or --gif"),
        (["--seed", "1", "--frame-every", "2", "--server", "local"], "--frame-every does not go with --server"),
        (["--seed", "1", "--preset", "fast", "--server", "local"], "--preset goes with a photo"),
    ],
)
def test_options_that_would_do_nothing(refused: Callable[..., str], words: list[str], expected: str) -> None:
    assert expected in refused("drag", *words, "-o", "out.png", "--point", "1,1:9,9")


def test_values_may_begin_with_a_minus() -> None:
    options = build_parser().parse_args(["drag", "p.png", "-o", "o.png", "--crop", "-10,-.5,9,0,9,9,0,9"])
    assert options.crop[0] == (-10, -0.5)
    assert build_parser().parse_args(drag_seed("--point", "-1,2:3,4")).pulls[0].pair[0] == (-1, 2)


def test_unknown_model_and_unknown_solver(refused: Callable[..., str]) -> None:
    assert "no model named “giraffes”" in refused(*drag_seed("--model", "giraffes", "--point", "1,1:9,9"))
    assert "no model named “face-detector”" in refused(*drag_seed("--model", "face-detector", "--point", "1,1:9,9"))
    said = refused(*drag_seed("--solver", "magic", "--point", "1,1:9,9"))
    assert "no solver named “magic”" in said
    assert "draggan" in said
    assert "giraffes" in refused("models", "fetch", "giraffes")
    assert "giraffes" in refused("models", "remove", "giraffes")
    assert "giraffes.safetensors" in refused("models", "add", "giraffes.safetensors")


def test_an_absent_device(refused: Callable[..., str]) -> None:
    import torch

    absent = "mps" if torch.cuda.is_available() else "cuda"
    assert absent in refused(*drag_seed("--device", absent, "--point", "1,1:9,9"))


def test_photo_that_is_missing_or_no_picture(refused: Callable[..., str], tmp_path: Path) -> None:
    for command in ("drag", "invert"):
        points = ("--point", "1,1:9,9") if command == "drag" else ()
        assert "absent.png" in refused(command, "absent.png", "-o", "out.png", *points)
        (tmp_path / "text.png").write_text("no picture")
        assert "text.png" in refused(command, "text.png", "-o", "out.png", *points)


def test_points_are_measured_against_the_upright_photo(refused: Callable[..., str], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.new("RGB", (80, 40)).save(tmp_path / "photo.jpg", exif=exif)
    said = refused("drag", "photo.jpg", "-o", "out.png", "--point", "60,20:10,10")
    assert "outside the picture, which is 40 x 80 pixels" in said


def test_a_session_is_shown_as_json_that_every_reader_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = {"format": FORMAT, "version": str(VERSION), "session": '{"loss": NaN}'}
    (tmp_path / "kept.safetensors").write_bytes(to_safetensors({"picture": torch.zeros(1)}, header))
    assert main(["session", "show", str(tmp_path / "kept.safetensors")]) == 0
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "loss": None,
        "tensors": {"picture": [1]},
    }


def test_a_session_s_mask_is_not_written_over(refused: Callable[..., str], tmp_path: Path) -> None:
    Image.new("L", (64, 64), 255).save(tmp_path / "mask.png")
    words = ("session", "drag", "kept.safetensors", "--point", "1,1:9,9")
    assert "mask.png is named twice" in refused(*words, "--mask", "mask.png", "-o", "mask.png")


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (np.full((64, 64), 255, np.uint8), "64"),
        (np.zeros((1024, 1024), np.uint8), "black"),
        (None, "mask.png"),
    ],
)
def test_mask_of_another_size_or_black_or_missing(
    refused: Callable[..., str], tmp_path: Path, mask: np.ndarray | None, expected: str
) -> None:
    if mask is not None:
        Image.fromarray(mask).save(tmp_path / "mask.png")
    assert expected in refused(*drag_seed("--mask", "mask.png", "--point", "1,1:9,9"))
    Image.new("RGB", (1024, 1024)).save(tmp_path / "photo.png")
    words = ("drag", "photo.png", "-o", "out.png", "--mask", "mask.png", "--point", "1,1:9,9")
    assert expected in refused(*words, "--server", "local")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-o", "out.xyz"], ".xyz"),
        (["-o", "out"], "no ending"),
        (["-o", "missing/out.png"], "does not exist"),
        (["-o", "folder.png"], "is a folder"),
        (["-o", "file.txt/out.png"], "does not exist"),
        (["-o", "out.png", "--report", "missing/report.png"], "does not exist"),
        (["-o", "out.png", "--report", "out.png"], "named twice"),
        (["-o", "out.png", "--report", "./folder.png/../out.png"], "named twice"),
        (["-o", "out.png", "--gif", "way.mp4"], ".mp4"),
        (["-o", "out.png", "--json", "way.txt"], ".txt"),
        (["-o", "out.png", "--frames", "file.txt"], "is a file"),
        (["-o", "out.png", "--frames", "missing/frames"], "does not exist"),
    ],
)
def test_outputs_are_checked_before_anything_else(
    refused: Callable[..., str], tmp_path: Path, words: list[str], expected: str
) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file.txt").touch()
    assert expected in refused("drag", "--seed", "1", "--point", "1,1:9,9", *words)


def test_the_photo_is_not_overwritten(refused: Callable[..., str], tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "photo.png")
    assert "named twice" in refused("drag", "photo.png", "-o", "photo.png", "--point", "1,1:9,9")
    assert "named twice" in refused("invert", "photo.png", "-o", "out.png", "--aligned", "photo.png")


def test_a_read_only_output_file(refused: Callable[..., str], tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    output.write_bytes(b"precious")
    output.chmod(0o444)
    if os.access(output, os.W_OK):
        pytest.skip("this user may write everything")
    assert "read-only" in refused(*drag_seed("--point", "1,1:9,9"))


@pytest.mark.skipif(not ON_LINUX, reason="needs a file system that nobody can write to")
def test_a_folder_that_takes_no_files(refused: Callable[..., str]) -> None:
    assert "Nothing can be written into /proc" in refused("drag", "--seed", "1", "-o", "/proc/out.png", "--steps", "0")
    assert "Nothing can be written into /proc" in refused(*drag_seed("--steps", "0", "--frames", "/proc"))


def test_every_ending_that_is_accepted_can_be_saved(tmp_path: Path) -> None:
    from engine.images import Picture, save_picture

    for ending in PICTURES:
        save_picture(tmp_path / f"picture{ending}", Picture(np.zeros((8, 8, 3), np.uint8)))


def test_the_default_of_steps_is_that_of_the_solvers() -> None:
    from engine.drag import DEFAULT_STEPS

    assert build_parser().parse_args(drag_seed()).steps == DEFAULT_STEPS


def test_json_has_no_numbers_that_json_lacks() -> None:
    assert "NaN" not in to_json({"loss": [float("nan"), float("inf"), 1.0], "name": "画"})


def test_models_list_tells_what_can_be_had(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list"]) == 0
    said = capsys.readouterr().out
    (faces,) = (line for line in said.splitlines() if line.startswith("faces "))
    assert "to fetch, 38 MB" in faces
    assert "face-detector" not in said


def test_every_option_has_help() -> None:
    parsers = [build_parser()]
    while parsers:
        for action in parsers.pop()._actions:
            if isinstance(action.choices, dict):
                parsers += action.choices.values()
            elif action.dest not in ("name", "file"):
                assert action.help, action.dest

"""Models of pictures half as wide as high (StyleGAN-Human): added, sampled, dragged, on the command line too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from genuine_files import nvidia_pickle, nvidia_state
from krita_drag.wire.errors import BadOption, BadPoints, BadSession
from PIL import Image

from engine import cli
from engine.align import centre_crop
from engine.composite import changed_mask
from engine.drag.sampling import view_features
from engine.images import Picture
from engine.inversion import find_crop, invert
from engine.models import Model, ModelStore
from engine.session import Session
from engine.session_file import load_session, save_session
from stylegan2 import StyleGAN2Config, StyleGAN2Generator
from stylegan2.checkpoints.detect import open_checkpoint
from stylegan2.discriminator import Discriminator, DiscriminatorConfig

CHANNELS = {4: 16, 8: 16, 16: 16, 32: 12, 64: 8}
CLASSES = 3


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An untrained conditional network of 32 x 64 px, as StyleGAN-Human's program saves it."""
    torch.manual_seed(0)
    config = StyleGAN2Config(16, CLASSES, 16, 64, CHANNELS, mapping_layers=2, base_width=2)
    states = {
        "G": nvidia_state(StyleGAN2Generator(config)),
        "D": Discriminator(DiscriminatorConfig(64, CHANNELS, base_width=2)).state_dict(),
    }
    arguments = {"G": {"z_dim": 16, "c_dim": CLASSES, "w_dim": 16, "img_resolution": 64, "square": False}, "D": {}}
    path = tmp_path / "stylegan_human.pkl"
    path.write_bytes(nvidia_pickle(states, arguments, {"img_resolution": 64}))
    return path


@pytest.fixture
def model(home: Path, file: Path) -> Model:
    store = ModelStore()
    store.add(file, "human")
    return store.load("human")


def test_what_is_known_of_it(home: Path, model: Model) -> None:
    assert model.info.size_wh == (32, 64) and model.info.size_text == "32 x 64 px"
    assert model.generator.margin == model.info.margin == 16
    assert ModelStore().installed() == [model.info]
    with Image.open(home / "models" / "human" / "sample.png") as sample:
        assert sample.size == (32, 64)


def test_its_discriminator(file: Path) -> None:
    discriminator = open_checkpoint(file).discriminator()
    assert discriminator(torch.zeros(1, 3, 64, 32)).shape == (1, 1)


def test_a_seed_is_dragged(model: Model) -> None:
    session = Session.from_seed(model, 1)
    assert session.picture.size_wh == (32, 64)
    events = list(session.drag([((10.0, 30.0), (14.0, 27.0))], max_steps=8))
    assert events[0].handles == pytest.approx(np.array([[26.0, 30.0]]))  # with the margin
    assert session.result().size_wh == (32, 64)
    mask = np.zeros((64, 32), np.float32)
    mask[20:40] = 1
    list(session.drag([((10.0, 30.0), (14.0, 27.0))], mask=mask, max_steps=4))
    assert np.array_equal(session.result().rgb[:20], session.picture.rgb[:20])
    with pytest.raises(BadPoints, match="32 x 64"):
        next(session.drag([((40.0, 30.0), (14.0, 27.0))]))


@pytest.mark.parametrize("dense", [False, True])
def test_beyond_the_border_its_nearest_feature_holds(model: Model, dense: bool) -> None:
    """As for square pictures, where the zeros outside are never read either."""
    rows = model.generator.sample_w_plus(1).unbind(1)
    points = torch.tensor([[17.0, 30.0]])
    view = view_features(model.generator, rows, 32, None if dense else points, 8.0)
    assert len(view.maps) == 1 and view.maps.shape[-1] == (32 if dense else 10)
    inside, beyond = torch.tensor([[[16.5, 30.0]]]), torch.tensor([[[12.0, 30.0]]])
    assert torch.equal(view.sample(beyond), view.sample(inside)) and view.sample(inside).abs().max() > 0
    xs, ys = torch.tensor([[12.0, 16.5]]), torch.tensor([[30.0]])
    grid = view.sample_grid(xs, ys)
    assert torch.equal(grid[..., 0], grid[..., 1])


def test_classes_draw_different_pictures(model: Model) -> None:
    first, second = (Session.from_seed(model, 1, 1.0, number).picture.rgb for number in (0, 1))
    assert np.array_equal(first, Session.from_seed(model, 1, 1.0).picture.rgb)
    assert (first != second).any()
    with pytest.raises(BadOption, match="no class 3") as caught:
        Session.from_seed(model, 1, 1.0, CLASSES)
    assert "0 to 2" in caught.value.hint


def test_a_photo_around_it(model: Model) -> None:
    """The widest part of its shape is framed; what lies beyond is neither looked at nor touched."""
    rgb = np.random.default_rng(0).integers(0, 256, (100, 120, 3), np.uint8)
    crop = centre_crop(120, 100, 64, 16)
    assert crop.corners.tolist() == [[35, 0], [85, 0], [85, 100], [35, 100]]
    seen = crop.extract(rgb)
    assert (seen[:, :16] == 128).all() and (seen[:, 48:] == 128).all()
    beyond = rgb.copy()
    beyond[:, :30] = beyond[:, 90:] = 0
    runs = [invert(Picture(photo), model, crop, steps=3).w_plus for photo in (rgb, beyond)]
    assert torch.equal(runs[0], runs[1])
    session = Session(model, Picture(rgb), crop, model.generator.sample_w_plus(1), generated=False)
    list(session.drag([((60.0, 50.0), (66.0, 45.0))], max_steps=4))
    for size_px in (None, 32):
        patch = session.patch(size_px)
        left, _, width, _ = patch.rect
        assert (left >= 35 and left + width <= 85) or not patch.rgba[:, :2, 3].any()
    drawn = session.drawn(32)
    opaque = np.flatnonzero(drawn.rgba[16, :, 3] == 255)
    left, _, width, _ = drawn.rect
    assert max(drawn.rgba.shape) == 32 and len(opaque)
    assert left + opaque[0] * width / 32 >= 34 and left + (opaque[-1] + 1) * width / 32 <= 86
    untouched = np.ones(rgb.shape, bool)
    untouched[:, 35:85] = False
    assert np.array_equal(session.result().rgb[untouched], rgb[untouched])
    with pytest.raises(BadPoints, match="outside the part") as caught:
        next(session.drag([((30.0, 50.0), (66.0, 45.0))]))
    assert "35,0 85,0 85,100 35,100" in caught.value.hint


def test_the_square_around_a_selection_shows_all_of_it(model: Model) -> None:
    selection = np.zeros((100, 120), np.float32)
    selection[50:60, 90:120] = 1
    crop, _ = find_crop(Picture(np.zeros((100, 120, 3), np.uint8)), model, ModelStore(), selection=selection)
    assert crop.corners[[0, 2]] == pytest.approx(np.array([(84, 19), (120, 91)]))  # 36 x 72, moved to the edge


def test_squares_by_hand_have_its_margins(model: Model, tmp_path: Path) -> None:
    Image.new("RGB", (120, 100)).save(tmp_path / "photo.png")
    words = ["drag", str(tmp_path / "photo.png"), "--model", "human", "--crop", "10,0,110,0,110,100,10,100"]
    words += ["--steps", "0", "--inversion-steps", "2", "--quiet", "-o", str(tmp_path / "out.png")]
    kept = tmp_path / "kept.safetensors"
    assert cli.main([*words, "--session", str(kept)]) == 0
    session = load_session(kept, ModelStore())
    assert session.crop.corners.tolist() == [[35, 0], [85, 0], [85, 100], [35, 100]]
    session.crop = replace(session.crop, margin=0)
    save_session(session, kept)
    assert load_session(kept, ModelStore()).crop.corners.tolist()[0] == [35, 0], "as earlier versions kept it"
    session.crop = replace(session.crop, margin=3)
    save_session(session, kept)
    with pytest.raises(BadSession, match="does not fit the model"):
        load_session(kept, ModelStore())


def test_paste_and_border_keep_out_of_the_margins() -> None:
    crop = centre_crop(120, 100, 64, 16)
    rgb = np.zeros((100, 120, 3), np.uint8)
    pasted = crop.paste(rgb, np.full((64, 64, 3), 255, np.uint8), np.ones((64, 64), np.float32))
    assert not pasted[:, :34].any() and not pasted[:, 86:].any() and (pasted[5:95, 38:82] == 255).all()
    ramp = changed_mask(torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64), margin=16)
    assert not ramp[:, :17].any() and not ramp[:, 47:].any() and ramp[32, 32] == 1


def test_on_the_command_line(model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, report, gif, details = (tmp_path / name for name in ("o.png", "r.png", "o.gif", "o.json"))
    words = ["drag", "--model", "human", "--seed", "1", "--class", "2", "--point", "10,30:14,27", "--steps", "3"]
    outputs = ["-o", out, "--report", report, "--gif", gif, "--frames", tmp_path / "frames", "--json", details]
    assert cli.main([*words, "--quiet", *map(str, outputs)]) == 0
    with Image.open(out) as picture, Image.open(gif) as animation, Image.open(report) as drawn:
        assert picture.size == (32, 64) and drawn.size[0] > 64
        assert animation.size[0] * 2 == animation.size[1]
    with Image.open(tmp_path / "frames" / "step_0000.png") as frame:
        assert frame.size == (32, 64)
    assert json.loads(details.read_text(encoding="utf-8"))["source"] == {"seed": 1, "psi": 0.7, "class": 2}
    assert cli.main(["drag", "--model", "human", "--seed", "1", "--point", "33,9:4,4", "-o", str(out)]) == 1
    assert "which is 32 x 64 pixels" in capsys.readouterr().err
    photo = ["drag", str(out), "--class", "1", "--model", "human", "--point", "9,9:4,4", "-o", str(tmp_path / "p.png")]
    assert cli.main(photo) == 1
    assert "--class goes with --seed" in capsys.readouterr().err
    assert cli.main([*words[:5], "--class", "3", *words[7:], "--quiet", "-o", str(out)]) == 1
    assert "has no class 3" in capsys.readouterr().err
    assert cli.main(["models", "list"]) == 0
    assert "32 x 64 px" in capsys.readouterr().out

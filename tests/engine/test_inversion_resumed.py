"""An inversion that is cut goes on in another process as if it had not been."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import safetensors.torch
import torch

from benchmarks.service import tiny_home
from engine.align import identity_crop
from engine.images import Picture, to_uint8
from engine.inversion import Inversion, InversionStep, drive, inverting
from engine.inversion.snapshot import Snapshot
from engine.models import Model, ModelStore

PX, STEPS = 256, 26  # large enough for readouts; 10 of the latent, 3 of them shared, then twice 8 of tuning


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """An untrained StyleGAN2 of 256 px."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("home")
    tiny_home.install(home, resolution=PX, channels=8)
    yield ModelStore(home).load(tiny_home.NAME)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def picture(model: Model) -> Picture:
    with torch.no_grad():
        return Picture(to_uint8(model.generator.synthesis(model.generator.sample_w_plus(3))))


def search(
    picture: Picture, model: Model, resumed: Snapshot | None = None, cut: int = 0
) -> tuple[list[InversionStep], Inversion, Snapshot | None]:
    """Invert; with `cut`, stop after that step and return what another process needs, as it is on a disk."""
    events: list[InversionStep] = []
    kept: list[Snapshot] = []

    def on_step(step: InversionStep) -> bool:
        events.append(step)
        if step.step == cut and step.snapshot is not None:
            found = step.snapshot()
            copied = {name: tensor.detach().contiguous() for name, tensor in found.tensors.items()}
            data, told = safetensors.torch.save(copied), json.dumps(found.told)
            kept.append(Snapshot(json.loads(told), safetensors.torch.load(data)))
        return step.step != cut

    work = inverting(picture, model, identity_crop(PX), preset="balanced", steps=STEPS, resumed=resumed)
    return events, drive(work, on_step), kept[0] if kept else None


@pytest.fixture(scope="module")
def whole(picture: Picture, model: Model) -> tuple[list[InversionStep], Inversion]:
    """An inversion that nobody cuts."""
    events, found, _ = search(picture, model)
    assert [event.stage for event in events] == ["w"] * 3 + ["w+"] * 7 + ["tuning"] * 16
    assert found.deltas
    return events, found


@pytest.mark.parametrize("cut", [1, 3, 4, 7, 10, 11, 15, 18, 19, 25])
def test_a_cut_inversion_ends_as_if_it_had_not_been_cut(
    picture: Picture, model: Model, whole: tuple[list[InversionStep], Inversion], cut: int
) -> None:
    _, _, kept = search(picture, model, cut=cut)
    assert kept is not None
    events, found, _ = search(picture, model, kept)
    assert [event.step for event in events] == list(range(cut + 1, STEPS + 1))
    assert [event.loss for event in events] == [event.loss for event in whole[0][cut:]]
    assert [event.exact for event in events] == [event.exact for event in whole[0][cut:]]
    assert torch.equal(found.w_plus, whole[1].w_plus)
    assert found.loss == whole[1].loss
    assert found.deltas.keys() == whole[1].deltas.keys()
    assert all(torch.equal(delta, whole[1].deltas[name]) for name, delta in found.deltas.items())


def test_an_inversion_cut_twice_and_stopped_keeps_the_best_of_all_processes(picture: Picture, model: Model) -> None:
    first, _, kept = search(picture, model, cut=4)
    second, _, kept = search(picture, model, kept, cut=9)
    third, found, _ = search(picture, model, kept, cut=10)
    exact = [event for event in (*first, *second, *third) if event.exact]
    best = min(exact, key=lambda event: event.loss)
    assert found.loss == best.loss
    assert torch.equal(found.w_plus, best.w_plus)
    assert found.steps == 10

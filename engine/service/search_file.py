"""A search for a photo that is under way, on the disk: small at first, with the weights once those are tuned.

search.sealed    JSON (which request, with which options, numbers of the search), then its tensors as safetensors
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors.torch

from engine.align import Crop, crop_from_json
from engine.inversion import Snapshot
from engine.service.files import Damaged, read_sealed, write_sealed

_NAME = "search.sealed"


@dataclass(frozen=True)
class SearchOptions:
    """What is looked for, and how.

    Attributes:
        crop: the square that the model sees.
        preset, steps: as for `engine.inversion.inverting`.
        notes: what was found when looking for the square.
    """

    crop: Crop
    preset: str
    steps: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class KeptSearch:
    """Where a search that was cut short can go on.

    Attributes:
        request: that it was made for.
        seq: number of its latest event.
        options: it goes on with these.
        snapshot: of the search.
    """

    request: str
    seq: int
    options: SearchOptions
    snapshot: Snapshot


class SearchFile:
    """Writes and reads the search of one session.

    Args:
        folder: of the session.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME

    def write(self, search: KeptSearch) -> None:
        """Keep where a search is.

        Raises:
            OSError: it cannot be written.
        """
        snapshot = search.snapshot
        head = {
            "request": search.request,
            "seq": search.seq,
            "options": asdict(search.options),
            "told": snapshot.told,
        }
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in snapshot.tensors.items()}
        write_sealed(self._path, [json.dumps(head).encode(), safetensors.torch.save(tensors)])

    def read(self) -> KeptSearch | None:
        """Return the search that was kept; None when there is none, or it is damaged."""
        try:
            head, data = read_sealed(self._path)
        except (OSError, Damaged):
            return None
        found = json.loads(head)
        told = found["options"]
        options = SearchOptions(crop_from_json(told["crop"]), told["preset"], told["steps"], tuple(told["notes"]))
        return KeptSearch(
            found["request"],
            found["seq"],
            options,
            Snapshot(found["told"], safetensors.torch.load(data)),
        )

    def discard(self) -> None:
        """Forget the search: it is over."""
        with contextlib.suppress(OSError):
            self._path.unlink()

"""Models in memory, shared by all sessions of a worker."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection

import torch

from engine.allocator import release_memory
from engine.model_folder import read_record
from engine.models import Model, ModelStore

_log = logging.getLogger(__name__)


class ModelCache:
    """Loads each model once for each device it is needed on.

    Args:
        store: where models are kept.
        device: where to compute.
    """

    def __init__(self, store: ModelStore, device: torch.device) -> None:
        self.store, self.device = store, device
        self._models: dict[tuple[str, str], Model] = {}

    def get(self, name: str, *, on_cpu: bool = False) -> Model:
        """Return a model, loaded now if need be.

        Args:
            name: of the model.
            on_cpu: whether it is for the CPU because the device's memory did not suffice.

        Raises:
            ModelNotFound, ModelCorrupt, OutOfMemory: it cannot be loaded.
        """
        device = torch.device("cpu") if on_cpu else self.device
        key = name, device.type
        if key not in self._models:
            began = time.monotonic()
            self._models[key] = self.store.load(name, device)
            _log.info("model loaded", extra={"model": name, "seconds": round(time.monotonic() - began, 2)})
        return self._models[key]

    def sha256(self, name: str) -> str:
        """Hash of a model's file, as taken when it was installed."""
        return read_record(self.get(name).path.parent).sha256

    def loaded(self) -> set[str]:
        """Names of the models in memory."""
        return {name for name, _ in self._models}

    def free_idle(self, used: Collection[str]) -> int:
        """Let go of models whose names are not among those used; returns how many."""
        idle = [key for key in self._models if key[0] not in used]
        for key in idle:
            del self._models[key]
        release_memory()
        return len(idle)


def describe_device(device: torch.device) -> dict[str, str | int]:
    """Return name and memory of a device, in fields of the protocol's `Device`."""
    if device.type != "cuda":
        return {"name": device.type, "memory_mb": 0, "free_mb": 0}
    free, total = torch.cuda.mem_get_info(device)
    return {"name": torch.cuda.get_device_name(device)[:64], "memory_mb": total >> 20, "free_mb": free >> 20}

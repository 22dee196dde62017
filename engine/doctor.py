"""Collect what a bug report needs: versions, device, memory, models, Krita. Names of the user are left out."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from krita_drag.wire.errors import KritaDragError, ModelNotFound

from engine import __version__, krita_finder
from engine.arguments import DEFAULT_MODEL
from engine.machine import memory_bytes, processors, redact
from engine.torch_check import require_torch

Facts = dict[str, str]

_LIBRARIES = ("numpy", "pillow", "pyzmq", "safetensors", "tqdm")


@dataclass
class Diagnosis:
    """What was found.

    Attributes:
        sections: title -> label -> value.
        problems: one sentence for each thing that keeps krita-drag from working.
    """

    sections: dict[str, Facts] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the diagnosis for JSON; free of the user's name."""
        sections = {
            title: {label: redact(value) for label, value in facts.items()} for title, facts in self.sections.items()
        }
        return {"ok": not self.problems, **sections, "problems": [redact(problem) for problem in self.problems]}

    def as_text(self) -> str:
        """Return the diagnosis as text to copy into a report; free of the user's name."""
        lines: list[str] = []
        for title, facts in self.sections.items():
            lines.append(title)
            lines += [f"  {label:<14} {value}" for label, value in facts.items()]
        lines += [f"problem: {problem}" for problem in self.problems] or ["no problems found"]
        return redact("\n".join(lines)) + "\n"


def diagnose() -> Diagnosis:
    """Look at this installation and at the machine it is on; changes nothing."""
    found = Diagnosis()
    found.sections["versions"] = _versions(found.problems)
    torch_works = not found.problems
    found.sections["machine"] = _machine()
    if torch_works:
        found.sections["device"] = _device()
    found.sections["data"] = _attempt(_data, found.problems)
    if torch_works:
        found.sections["models"] = _attempt(_models, found.problems)
    found.sections["engine"] = _attempt(_engine, found.problems)
    found.sections["krita"] = _krita()
    return found


def _attempt(collect: Callable[[list[str]], Facts], problems: list[str]) -> Facts:
    """Run one collector; what it raises becomes a problem instead of ending the diagnosis."""
    try:
        return collect(problems)
    except (KritaDragError, OSError) as error:
        problems.append(str(error))
        return {}


def _versions(problems: list[str]) -> Facts:
    facts = {
        "krita-drag": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "program": sys.executable,
        "system": platform.platform(),
    }
    try:
        facts["torch"] = require_torch()
    except KritaDragError as error:
        facts["torch"] = "not usable"
        problems.append(str(error))
    for library in _LIBRARIES:
        try:
            facts[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            facts[library] = "missing"
            problems.append(f"The Python package {library} is missing. Run install.py again.")
    return facts


def _machine() -> Facts:
    memory = memory_bytes()
    return {
        "processors": f"{processors()} ({platform.machine()})",
        "memory": _gigabytes(memory) if memory else "unknown",
    }


def _device() -> Facts:
    import torch

    facts = {"cpu": f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"}
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            facts[f"cuda {index}"] = f"{properties.name}, {_gigabytes(properties.total_memory)}"
    facts["cuda build"] = str(torch.version.cuda or torch.version.hip or "no")
    if torch.backends.mps.is_available():
        facts["mps"] = "available"
    from engine.device import pick

    facts["used"] = str(pick("auto"))
    return facts


def _data(problems: list[str]) -> Facts:
    from engine.paths import data_dir, storage_errors

    folder = data_dir()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        # only a real file tells, as in engine.outputs; this one has no name and is gone at once
        with storage_errors(existing), tempfile.TemporaryFile(dir=existing):
            pass
    except KritaDragError as error:
        problems.append(str(error))
    return {
        "folder": f"{folder}{'' if folder.exists() else ' (not made yet)'}",
        "free": _gigabytes(shutil.disk_usage(existing).free),
    }


def _models(problems: list[str]) -> Facts:
    from engine.models import ModelStore

    store = ModelStore()
    facts: Facts = {}
    known = {info.name: info for info in [*store.catalogue(), *store.installed()]}
    for name, info in known.items():
        try:
            store.verify(name)
            facts[name] = f"{info.kind}, {info.resolution} px, intact"
        except ModelNotFound:
            if name == DEFAULT_MODEL:
                facts[name] = f"not installed; run `krita-drag models fetch {name}`"
        except KritaDragError as error:
            facts[name] = "damaged"
            problems.append(str(error))
    return facts


def _engine(problems: list[str]) -> Facts:
    """Ask the engine of this user, if one runs."""
    from krita_drag.engine_files import is_held

    from engine.service.folder import default_folder
    from engine.service.inquiry import ask_status

    folder = default_folder()
    if not is_held(folder):
        return {"running": "no; Krita starts it, or `krita-drag serve`"}
    status = ask_status(folder, wait_s=3)
    devices = ", ".join(device.name for device in status.devices) or "not ready yet"
    return {
        "running": f"process {status.pid}, version {status.engine_version}, {status.uptime_s / 60:.1f} minutes",
        "device": devices,
        "work": f"{len(status.sessions)} sessions, {status.queue} requests, {status.memory_mb} MB",
    }


# A sandboxed Krita that finds no Python of its own system there cannot start the engine.
SANDBOXED = dict.fromkeys(("flatpak", "snap"), "; in a sandbox: it may need `krita-drag serve` in a terminal")


def _krita() -> Facts:
    programs = krita_finder.find_programs()
    facts = {"program": ", ".join(map(str, programs)) or "not found (an AppImage can lie anywhere)"}
    for profile in krita_finder.profiles():
        if profile.resources.exists():
            place = f"{profile.resources}: plugin {krita_finder.plugin_state(profile)}"
            facts[f"profile {profile.kind}"] = place + SANDBOXED.get(profile.kind, "")
    if len(facts) == 1:
        facts["plugin"] = "not installed: this user has not started any Krita that can be seen"
    return facts


def _gigabytes(amount: float) -> str:
    return f"{amount / 2**30:.1f} GiB"

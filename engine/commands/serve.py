"""`krita-drag serve`: run the engine for Krita or for a studio, or ask the running one how it is."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from pathlib import Path

from krita_drag.engine_files import read_connection_file
from krita_drag.wire.messages import Status

from engine.gateway import Gateway, Settings, serve
from engine.outputs import to_json
from engine.service.folder import default_folder
from engine.service.inquiry import ask_status


def run(options: argparse.Namespace) -> int:
    """Serve until told to leave, or print the status; returns 0."""
    folder: Path = options.folder or default_folder()
    if options.status:
        status = ask_status(folder)
        print(to_json(dataclasses.asdict(status)) if options.json else as_text(status, folder), end="")
        return 0
    settings = Settings(
        folder=folder,
        bind=options.bind,
        owner=options.owner,
        device=options.device,
        suspend_s=options.suspend_after,
        memory_mb=options.memory,
    )
    serve(settings, _say_ready)
    return 0


def _say_ready(gateway: Gateway) -> None:
    # whoever started this may have closed the other end of its output long ago
    try:
        print(f"engine ready at {gateway.endpoint}", flush=True)
    except OSError:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (for as long as this process lives)


def as_text(status: Status, folder: Path) -> str:
    """Return a status for people."""
    connection = read_connection_file(folder) or {}
    lines = {
        "engine": f"{status.engine_version}, process {status.pid}",
        "listens on": str(connection.get("bound") or connection.get("endpoint", "")),
        "running for": f"{status.uptime_s / 60:.1f} minutes",
        "device": ", ".join(_device(device.name, device.free_mb) for device in status.devices) or "not ready yet",
        "memory": f"{status.memory_mb} MB",
        "clients": str(status.clients),
        "requests": str(status.queue),
        "folder": str(folder),
    }
    text = [f"{label:<12} {value}" for label, value in lines.items()]
    text += [f"{'session':<12} {one.sid}: {one.state}, silent for {one.idle_s:.0f} s" for one in status.sessions]
    return "\n".join(text) + "\n"


def _device(name: str, free_mb: int) -> str:
    return f"{name} ({free_mb} MB free)" if free_mb else name

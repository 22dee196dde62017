"""Download a public generator whose hash nobody published.

The first file that arrives and proves to be the model is remembered by its SHA-256, in pins.json in the user's data
folder; whatever comes from the same address later must be that file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from krita_drag.wire.errors import HashMismatch, ModelNotFound

from engine.download import download, probe, sha256_of
from engine.packages import Progress
from engine.paths import require_space, storage_errors
from engine.public_models import PublicModel


def obtain(model: PublicModel, downloads: Path, pins: Path, report: Progress) -> tuple[Path, str]:
    """Download a model's file, going on with what an earlier call left.

    Args:
        model: which one.
        downloads: folder for it.
        pins: file with the hashes of earlier downloads.
        report: told (stage, bytes done, bytes in all).

    Returns:
        The file, and its SHA-256.

    Raises:
        ModelNotFound: only a person can download it.
        NetworkBlocked: it cannot be downloaded.
        HashMismatch: it is not the file that came from there before, or changes while it is downloaded.
        NoDiskSpace, PermissionDenied: it cannot be stored.
    """
    name = model.info.name
    if model.url is None:
        raise ModelNotFound(
            f"The model “{name}” has to be downloaded by hand.",
            f"Get it from {model.page}, then run `krita-drag models add FILE --name {name}`.",
        )
    report("asking the server", 0, 0)
    remote = probe(model.url)
    known = read_pins(pins).get(model.url)
    if known is not None:
        remote = replace(remote, sha256=known)
    # what is left of another version of the file must not be continued
    tag = hashlib.sha256(f"{remote.size_bytes} {remote.version}".encode()).hexdigest()[:12]
    destination = downloads / f"{name}-{tag}.pkl"
    with storage_errors(downloads):
        for stale in downloads.glob(f"{name}-*.pkl*"):
            if not stale.name.startswith(destination.name):
                stale.unlink()
        have = sum(file.stat().st_size for file in downloads.glob(f"{destination.name}*"))
        require_space(downloads, 2 * remote.size_bytes - have)
        try:
            download(remote, destination, lambda done, total: report("downloading", done, total))
        except HashMismatch as error:
            raise (
                HashMismatch(
                    f"{remote.host} sends another file for “{name}” than before ({error.message})",
                    f"Try again. If the publisher has changed the model, delete {pins} and fetch it anew.",
                )
                if known
                else error
            ) from error
        return destination, sha256_of(destination)


def read_pins(pins: Path) -> dict[str, str]:
    """Hashes by address; none where the file is missing or garbled."""
    with storage_errors(pins):
        try:
            values = json.loads(pins.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
    return {str(url): str(sha256) for url, sha256 in values.items()} if isinstance(values, dict) else {}


def pin(pins: Path, model: PublicModel, sha256: str) -> None:
    """Remember the hash of a model's file, once it proved to be that model.

    Raises:
        OSError: it cannot be written.
    """
    if model.url is None:
        return
    values = read_pins(pins) | {model.url: sha256}
    part = pins.with_name(pins.name + ".part")
    part.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    part.replace(pins)

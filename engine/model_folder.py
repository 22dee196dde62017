"""One installed model on the disk: the weights, what is known of them, their licence.

In models/NAME/ lie model.safetensors (the tensors), info.json (a `Record`) LICENSE.txt (the terms, in full)
and, for models that were added, sample.png.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from krita_drag.wire.errors import ModelCorrupt

from engine.catalogue import ModelInfo
from engine.download import sha256_of
from engine.paths import storage_errors

WEIGHTS, INFO, LICENCE, SAMPLE = "model.safetensors", "info.json", "LICENSE.txt", "sample.png"


@dataclass(frozen=True)
class Record:
    """What info.json says.

    Attributes:
        info: the model.
        sha256: of the weights' file, hexadecimal.
        file_bytes: size of the weights' file.
        source_sha256: of the file it was made from, hexadecimal.
        revision: of our conversion, see `engine.catalogue.Entry`; 0 for files that were added.
    """

    info: ModelInfo
    sha256: str
    file_bytes: int
    source_sha256: str
    revision: int


def write_folder(folder: Path, info: ModelInfo, licence: str, source_sha256: str, revision: int = 0) -> None:
    """Complete a folder that has its weights already.

    Raises:
        OSError: a file cannot be written.
    """
    weights = folder / WEIGHTS
    record = Record(info, sha256_of(weights), weights.stat().st_size, source_sha256, revision)
    (folder / LICENCE).write_text(licence, encoding="utf-8", newline="\n")
    (folder / INFO).write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8", newline="\n")


def read_record(folder: Path) -> Record:
    """Read info.json.

    Raises:
        ModelCorrupt: it is missing or says something else.
        PermissionDenied: it may not be read.
    """
    with storage_errors(folder):
        try:
            values = json.loads((folder / INFO).read_text(encoding="utf-8"))
            info = ModelInfo(**values.pop("info"))
            record = Record(info=info, **values)
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise damaged(folder, f"{INFO} is missing or unreadable") from error
    if not (_types_fit(info) and _types_fit(record) and info.name == folder.name):
        raise damaged(folder, f"{INFO} does not describe it")
    return record


def check_size(folder: Path, record: Record) -> None:
    """Notice truncated or exchanged weights without reading them.

    Raises:
        ModelCorrupt: the file is missing or has another size.
    """
    weights = folder / WEIGHTS
    found = weights.stat().st_size if weights.is_file() else 0
    if found != record.file_bytes:
        raise damaged(folder, f"{found} bytes instead of {record.file_bytes}")


def check_content(folder: Path, record: Record) -> None:
    """Compare the weights with their hash; reads the whole file.

    Raises:
        ModelCorrupt: they are not what was installed.
        PermissionDenied: they cannot be read.
    """
    check_size(folder, record)
    with storage_errors(folder):
        if sha256_of(folder / WEIGHTS) != record.sha256:
            raise damaged(folder, "its SHA-256 differs")


def damaged(folder: Path, reason: str) -> ModelCorrupt:
    """The error for an installed model that cannot be used."""
    return ModelCorrupt(
        f"The installed model “{folder.name}” is damaged ({reason}).",
        f"Fetch it again with `krita-drag models fetch {folder.name}`, or remove it and add its file again.",
    )


@contextmanager
def staged(final: Path) -> Iterator[Path]:
    """Give an empty folder beside `final` that takes its place when the block succeeds and vanishes when not.

    Only for the holder of the store's lock.

    Raises:
        OSError: the folder cannot be made or moved.
    """
    staging = final.with_name(f".new-{final.name}")
    discard(staging)  # of a process that was killed
    staging.mkdir(parents=True)
    try:
        yield staging
        discard(final)
        staging.rename(final)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def discard(folder: Path) -> None:
    """Delete a folder; it is renamed first, so that no half of it is ever found under its name.

    Raises:
        OSError: it cannot be moved, for instance because its weights are in use on Windows.
    """
    if not folder.exists():
        return
    doomed = folder.with_name(f".old-{folder.name.lstrip('.')}")
    shutil.rmtree(doomed, ignore_errors=True)
    folder.rename(doomed)
    if doomed.is_dir():
        shutil.rmtree(doomed, ignore_errors=True)
    else:
        doomed.unlink()


def _types_fit(value: ModelInfo | Record) -> bool:
    """Whether each plain field of a dataclass holds what its annotation says."""
    plain = {"str": str, "int": int, "bool": bool}
    return all(type(getattr(value, f.name)) is plain[str(f.type)] for f in fields(value) if str(f.type) in plain)

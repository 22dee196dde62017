"""The engine's log: one JSON object a line, with the job it belongs to; old lines make room for new ones."""

from __future__ import annotations

import json
import logging
import logging.handlers
import time
import traceback
from pathlib import Path
from typing import Any

from engine.paths import storage_errors

_MAX_BYTES, _OLD_FILES = 2_000_000, 3
_OWN = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Turns records into lines such as {"time": …, "level": "info", "event": "request done", "sid": …, "job": …}."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line without its end."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "from": record.name.rsplit(".", 1)[-1],
            "pid": record.process,
            "event": record.getMessage(),
        }
        line |= {name: value for name, value in record.__dict__.items() if name not in _OWN}
        if record.exc_info and record.exc_info[1] is not None:
            line["trace"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(line, default=str)


class _Quiet(logging.handlers.RotatingFileHandler):
    """A full disk must not end the engine, nor fill standard error."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the base class's name)
        """Drop the line."""


def open_journal(path: Path) -> None:
    """Send what the engine logs to a file, from now on.

    Args:
        path: the file; its folder must exist.

    Raises:
        PermissionDenied, NoDiskSpace: it cannot be written.
    """
    with storage_errors(path):
        handler = _Quiet(path, maxBytes=_MAX_BYTES, backupCount=_OLD_FILES, encoding="utf-8")
    handler.setFormatter(JsonLines())
    journal = logging.getLogger("engine")
    journal.handlers[:] = [handler]
    journal.setLevel(logging.INFO)
    journal.propagate = False

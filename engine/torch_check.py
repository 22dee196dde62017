"""A PyTorch that cannot be used ends as a sentence; nothing here imports torch before it is asked to."""

from __future__ import annotations

import re

from krita_drag.wire.errors import WrongTorch

OLDEST_TORCH = (2, 4)
_WAY_OUT = "Run install.py again: it puts the PyTorch that we test into krita-drag's own environment."


def require_torch() -> str:
    """Import PyTorch and return its version, such as "2.13.0+cpu".

    Raises:
        WrongTorch: it is missing, cannot be loaded, or is older than `OLDEST_TORCH`.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name == "torch":
            raise WrongTorch("PyTorch is not installed here.", _WAY_OUT) from error
        raise WrongTorch(f"PyTorch cannot be loaded ({_first_line(error)}).", _WAY_OUT) from error
    except Exception as error:  # a broken build raises whatever its loader or its own modules raise
        raise WrongTorch(f"PyTorch cannot be loaded ({_first_line(error)}).", _WAY_OUT) from error
    version = str(getattr(torch, "__version__", ""))
    found = parse_version(version)
    oldest = ".".join(map(str, OLDEST_TORCH))
    if found is None or not hasattr(torch, "nn"):
        raise WrongTorch(f"What Python finds as torch is not PyTorch ({_origin(torch)}).", _WAY_OUT)
    if found < OLDEST_TORCH:
        raise WrongTorch(f"PyTorch {version} is too old; krita-drag needs {oldest} or newer.", _WAY_OUT)
    return version


def parse_version(text: str) -> tuple[int, int] | None:
    """Return the major and minor number of a version, or None when there are none.

    >>> parse_version("2.13.0+cpu")
    (2, 13)
    """
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _origin(module: object) -> str:
    return str(getattr(module, "__file__", None) or "an empty folder of that name")

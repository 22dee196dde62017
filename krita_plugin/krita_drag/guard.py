"""The border between Qt and us: what fails in a slot or virtual is logged, never shown as a traceback.

Krita turns any exception that leaves Python code into a modal "Script error" dialog.
"""

from __future__ import annotations

import functools
import inspect
import logging
from typing import Any, Callable

LOGGER = logging.getLogger("krita_drag")


def guarded(function: Callable) -> Callable:
    """Wrap a slot, virtual or timer callback: a failure is logged and `None` returned.

    Signals may carry more arguments than a slot takes; PyQt finds that out by calling and catching, which a wrapper
    that catches everything would defeat, so the surplus is dropped here.
    """
    takes = _positional_count(function)

    @functools.wraps(function)
    def wrapper(*arguments: Any, **keywords: Any) -> Any:
        try:
            return function(*arguments[:takes], **keywords)
        except Exception:
            LOGGER.exception("%s failed", getattr(function, "__qualname__", function))
            return None

    return wrapper


def _positional_count(function: Callable) -> int | None:
    """Count the positional arguments that a function takes; None: any number."""
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(kind in positional for kind in kinds)

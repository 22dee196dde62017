"""krita-drag inside Krita. Importing it outside Krita does nothing."""

from __future__ import annotations

import logging

try:
    from krita import Krita
except ImportError:
    Krita = None


def start(krita: object) -> None:
    """Register with Krita; if that fails, a docker says so, instead of a greyed-out entry in the plugin manager."""
    try:
        from . import extension

        extension.register(krita)
    except Exception as reason:
        logging.getLogger("krita_drag").exception("the plugin could not be started")
        from . import failure

        failure.register(krita, reason)


if Krita is not None:
    start(Krita.instance())

"""krita-drag inside Krita. Importing it outside Krita does nothing."""

from __future__ import annotations

try:
    from krita import Krita
except ImportError:
    Krita = None

if Krita is not None:
    from . import extension

    extension.register(Krita.instance())

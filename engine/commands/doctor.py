"""`krita-drag doctor`: say what is installed and what is wrong."""

from __future__ import annotations

import argparse

from engine.arguments import FAILED
from engine.doctor import diagnose
from engine.outputs import to_json


def run(options: argparse.Namespace) -> int:
    """Print the diagnosis; returns 1 when something essential is broken."""
    diagnosis = diagnose()
    print(to_json(diagnosis.as_dict()) if options.json else diagnosis.as_text(), end="")
    return FAILED if diagnosis.problems else 0

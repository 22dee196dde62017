"""`krita-drag`: one command a file in `engine.commands`, and here the border where every failure becomes a sentence."""

from __future__ import annotations

import importlib
import io
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from krita_drag.wire.errors import InstallError, KritaDragError, OutOfMemory

from engine.arguments import FAILED, STOPPED, build_parser
from engine.machine import is_out_of_memory
from engine.torch_check import require_torch

# the doctor lives to tell what is wrong with torch, and the gateway leaves it to the worker
WITHOUT_TORCH = ("doctor", "pair", "serve")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: words after the program's name; None for those of this process.

    Returns:
        Exit code: 0 done, 1 failed with a sentence on standard error, 130 stopped with Ctrl-C.
        Words that are not understood exit with 2 (argparse).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # no name of a file may break an old terminal
    options = build_parser().parse_args(arguments)
    try:
        if options.command not in WITHOUT_TORCH:
            require_torch()
        command = importlib.import_module(f"engine.commands.{options.command}")
        code: int = command.run(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("stopped: nothing more is written.", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        # the reader of our output left; Python would complain once more when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KritaDragError as error:
        return _tell(error, options.debug)
    except Exception as error:
        return _tell(_as_sentence(error), options.debug)


def _tell(error: KritaDragError, debug: bool) -> int:
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
    return FAILED


def _as_sentence(error: Exception) -> KritaDragError:
    """Turn what no part of the engine foresaw into one of our errors, with the trace in a log file."""
    told: KritaDragError
    if is_out_of_memory(error):
        told = OutOfMemory(
            "There is not enough memory for this.", "Close other programs, or use a smaller model or --device cpu."
        )
    elif isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("engine"):
        told = InstallError(f"A part of krita-drag's environment is missing ({error.name}).", "Run install.py again.")
    else:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        told = KritaDragError(f"Something unforeseen happened ({what}).", _log(error))
    told.__cause__ = error
    return told


def _log(error: Exception) -> str:
    """Write the trace to a log file; returns the hint that names it."""
    report = "Please report this, with the output of `krita-drag doctor`"
    try:
        from engine.paths import data_dir

        path: Path = data_dir() / "logs" / f"error-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except (OSError, ImportError):
        return f"{report} and of the same command with --debug."
    return f"{report} and the file {path}."

"""The command line's grammar; imports no torch, so that --help and mistakes answer at once."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import Any

from engine import __version__
from engine.points import Pull, parse_anchor, parse_pull

DEFAULT_MODEL = "faces"
DEFAULT_DRAG_STEPS = 300
DEVICES = ("auto", "cpu", "cuda", "mps")  # those of engine.device, which is slow to load
PRESETS = ("fast", "balanced", "best")  # those of engine.inversion, which is slow to load
DEFAULT_PRESET = "balanced"
DEFAULT_PSI = 0.7

FAILED = 1
STOPPED = 130  # as shells report a command that Ctrl-C ended

_EXIT_CODES = """\
exit codes: 0 done; 1 it could not be done, the reason is on standard error; 2 the command is not understood;
130 stopped with Ctrl-C (stopped while dragging, or during `invert`, the best result so far is written)."""


class _Parser(argparse.ArgumentParser):
    """One that takes words such as -10,-5 for values, as Python 3.14 does: all before take only plain numbers so."""

    def __init__(self, *words: Any, **named: Any) -> None:
        super().__init__(*words, **named)
        self._negative_number_matcher = re.compile(r"-\.?\d")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `krita-drag`; the result carries `command` and, for models, `action`."""
    parser: argparse.ArgumentParser = _Parser(
        prog="krita-drag",
        description="Drag points of a picture, and the picture follows (DragGAN), on this machine.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"krita-drag {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the full trace of an error")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_drag(commands, common)
    _add_invert(commands, common)
    _add_session(commands, common)
    _add_models(commands, common)
    _add_serve(commands, common)
    _add_pair(commands, common)
    doctor = commands.add_parser("doctor", parents=[common], help="say what is installed and what is wrong")
    doctor.add_argument("--json", action="store_true", help="print JSON instead of text")
    return parser


def _add_drag(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "drag",
        parents=[common],
        help="drag points of a photo or of a generated picture",
        description="Drag points of a photo, or of the picture that a seed generates, and write the result.\n"
        "Ctrl-C ends the search for a photo after the current step, and the drag starts from what was found;\n"
        "during the drag it ends that, and the best so far is written. A second Ctrl-C, before the first has had\n"
        "its effect, ends at once and writes nothing.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("photo", nargs="?", type=Path, metavar="PHOTO", help="picture to drag")
    source.add_argument("--seed", type=_seed, metavar="N", help="drag the generated picture number N instead")
    _add_model_options(parser)
    _add_pulls(parser)
    _add_solver(parser)
    parser.add_argument(
        "--steps",
        type=_count,
        default=DEFAULT_DRAG_STEPS,
        metavar="N",
        help="at most this many steps; 0 writes the undragged picture and needs no points (default: %(default)s)",
    )
    parser.add_argument("--psi", type=_psi, help=f"truncation of a seed, 0 to 1 (default: {DEFAULT_PSI})")
    parser.add_argument(
        "--class",
        dest="class_index",
        type=_count,
        metavar="N",
        help="what a conditional model draws for a seed, counted from 0 (default: 0)",
    )
    _add_inversion_options(parser, "--inversion-steps")
    parser.add_argument(
        "--server",
        metavar="ADDRESS",
        help="let a running engine do it: `local`, or the address that `krita-drag pair` shows",
    )
    _add_drag_outputs(parser)


def _add_drag_outputs(parser: argparse.ArgumentParser) -> None:
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.png", help="the dragged picture")
    outputs.add_argument("--report", type=Path, metavar="REPORT.png", help="before, after, points and progress")
    outputs.add_argument(
        "--frames",
        type=Path,
        metavar="DIR",
        help="folder for pictures of the way, cut to what the model sees; those with the same names are replaced",
    )
    outputs.add_argument("--gif", type=Path, metavar="FILE", help="the way there as an animation, with the points")
    outputs.add_argument(
        "--frame-every",
        type=_positive,
        metavar="K",
        help="frames and animation show every K-th step (default: so that there are at most 24)",
    )
    outputs.add_argument("--json", type=Path, metavar="FILE", help="all numbers, for programs: docs/drag-json.md")
    _add_session_output(outputs)


def _add_invert(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "invert",
        parents=[common],
        help="show how well a model can draw a photo",
        description="Find the latent whose picture looks most like the photo, and write that picture. "
        "Ctrl-C ends the search after the current step and keeps the best result so far; a second one ends at once and "
        "writes nothing.",
    )
    parser.add_argument("photo", type=Path, metavar="PHOTO", help="picture to look for")
    _add_model_options(parser)
    _add_inversion_options(parser, "--steps")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="RECONSTRUCTION.png", help="what the model draws"
    )
    parser.add_argument("--aligned", type=Path, metavar="ALIGNED.png", help="what it was to draw: the part of PHOTO")
    parser.add_argument("--json", type=Path, metavar="FILE", help="losses, crop and timing, for programs")
    _add_session_output(parser)


def _add_models(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser("models", help="list, fetch, add or remove generators")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", parents=[common], help="what can be had and what is here")
    fetch = actions.add_parser("fetch", parents=[common], help="download a model of the catalogue")
    fetch.add_argument("name", metavar="NAME")
    fetch.add_argument("--quiet", action="store_true", help="no progress")
    fetch.add_argument("--proxy", metavar="URL", help="proxy for this download (default: from the environment)")
    inspect = actions.add_parser("inspect", parents=[common], help="say what a model file holds; runs none of its code")
    inspect.add_argument("file", type=Path, metavar="FILE")
    add = actions.add_parser("add", parents=[common], help="add a model file of your own: NVIDIA .pkl, rosinality .pt")
    add.add_argument("file", type=Path, metavar="FILE")
    add.add_argument("--name", metavar="NAME", help="what to call it (default: from the file's name)")
    add.add_argument("--fp16", action="store_true", help="store the weights in half the space")
    prepare = actions.add_parser(
        "prepare",
        parents=[common],
        help="teach a model to guess where a photo is, and what its latents change",
        description="Learn from pictures of the model itself: a first guess for photos, and what each direction of the "
        "latent changes and where, with which drags of photos and inside masks leave more as it is (of the built-in "
        "model this is known). Without a GPU it takes a quarter of an hour or more; stopped with Ctrl-C, the next call "
        "goes on where this one was. All works without it, too.",
    )
    prepare.add_argument("name", metavar="NAME")
    prepare.add_argument(
        "--samples",
        type=_positive,
        metavar="N",
        help="pictures to learn from (default: 1000 for the guess, 300 for changes)",
    )
    prepare.add_argument("--anew", action="store_true", help="learn what latents change even if that is known")
    prepare.add_argument("--device", choices=DEVICES, default="auto", help="where to compute (default: the GPU if any)")
    prepare.add_argument("--quiet", action="store_true", help="no progress")
    remove = actions.add_parser("remove", parents=[common], help="delete a model from this machine")
    remove.add_argument("name", metavar="NAME")


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "serve",
        parents=[common],
        help="run the engine for Krita, here or for the studio",
        description="Run the engine until Ctrl-C, SIGTERM or the end of --owner. Clients find it by the file "
        "connection.json in its folder; see docs/operations.md.",
    )
    parser.add_argument(
        "--bind",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="HOST or HOST:PORT to listen on (default: %(default)s, a port that is free)",
    )
    parser.add_argument("--folder", type=Path, metavar="DIR", help="keys, log and sessions (default: the user's own)")
    parser.add_argument("--owner", type=_positive_id, metavar="PID", help="leave when this process ends")
    _add_device(parser)
    parser.add_argument(
        "--memory", type=_positive, metavar="MB", help="most that the worker may allocate (default: no limit; Linux)"
    )
    parser.add_argument(
        "--suspend-after",
        type=_seconds,
        default=15.0,
        metavar="SECONDS",
        help="set the sessions of a client aside when it is silent for so long (default: %(default)s)",
    )
    parser.add_argument("--status", action="store_true", help="ask the running engine how it is, and leave")
    parser.add_argument("--json", action="store_true", help="print the status as JSON")


def _add_pair(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "pair",
        parents=[common],
        help="let another computer use the engine of this one, or use that of another",
        description="Without ADDRESS: show, beside a running engine, an address with a code that is good for two "
        "minutes and one computer. With that ADDRESS, on the other computer: pair with the engine.",
    )
    parser.add_argument("address", nargs="?", metavar="ADDRESS", help="drag://HOST:PORT/KEY#CODE")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="of the running engine (default: the user's own)")
    parser.add_argument("--name", metavar="NAME", help="what the engine calls this computer (default: its name)")


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default="auto",
        help="where to compute (default: the GPU if there is one)",
    )


def _add_session(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    parser = commands.add_parser("session", help="go on with a session that --session has kept")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", parents=[common], help="say what a file holds, as JSON")
    show.add_argument("file", type=Path, metavar="FILE")
    render = actions.add_parser("render", parents=[common], help="write the picture that it shows")
    drag = actions.add_parser(
        "drag",
        parents=[common],
        help="drag on, without looking for the photo in the model again",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for action in (render, drag):
        action.add_argument("file", type=Path, metavar="FILE")
        action.add_argument("--device", choices=DEVICES, default="auto", help="where to compute (default: the GPU)")
        action.add_argument("--quiet", action="store_true", help="no progress and no remarks")
    render.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.png", help="the picture")
    _add_pulls(drag)
    _add_solver(drag)
    drag.add_argument("--onward", action="store_true", help="from the picture as it is shown, not as it was opened")
    drag.add_argument("--steps", type=_positive, default=DEFAULT_DRAG_STEPS, metavar="N", help="at most this many")
    _add_drag_outputs(drag)


def _add_pulls(parser: argparse.ArgumentParser) -> None:
    """What to drag, and within which limits."""
    parser.add_argument(
        "--point",
        dest="pulls",
        action="append",
        default=[],
        type=_pull,
        metavar="X,Y:X,Y[@W]",
        help="from where to where, pixels of the picture, and how hard it pulls (default: 1); repeat for more points",
    )
    parser.add_argument(
        "--anchor", dest="pulls", action="append", type=_anchor, metavar="X,Y", help="hold this point where it is"
    )
    parser.add_argument("--mask", type=Path, metavar="MASK.png", help="as large as the picture; white may move")
    parser.add_argument(
        "--stay-close",
        dest="reach",
        type=_reach,
        metavar="R",
        help="go at most this far from the picture, in standard deviations of the model's own pictures: "
        "0.5 is careful, 5 bold (default: the solver's own)",
    )


def _add_solver(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--solver", metavar="NAME", help="how to drag (default: the best one)")


def _add_session_output(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--session", type=Path, metavar="FILE", help="keep everything in FILE.safetensors, for `krita-drag session`"
    )


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME", help="generator (default: %(default)s)")
    _add_device(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress and no remarks")


def _add_inversion_options(parser: argparse.ArgumentParser, steps_flag: str) -> None:
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        help=f"how much work to put into finding the photo in the model (default: {DEFAULT_PRESET})",
    )
    parser.add_argument(
        "--crop",
        type=_corners,
        metavar="X,Y,X,Y,X,Y,X,Y",
        help="corners of the square that the model sees, clockwise from the top left (default: around the face)",
    )
    parser.add_argument(
        steps_flag,
        dest="inversion_steps",
        type=_positive,
        metavar="N",
        help="steps of that (default: those of the preset)",
    )


def _pull(text: str) -> Pull:
    try:
        return parse_pull(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _reach(text: str) -> float:
    number = _float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error


def _anchor(text: str) -> Pull:
    try:
        return parse_anchor(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _corners(text: str) -> list[tuple[float, float]]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"“{text}” is not a list of numbers") from error
    if len(numbers) != 8:
        raise argparse.ArgumentTypeError(f"four corners are eight numbers, not {len(numbers)}")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _count(text: str) -> int:
    return _whole(text, 0, 100_000)


def _positive(text: str) -> int:
    return _whole(text, 1, 100_000)


def _positive_id(text: str) -> int:
    return _whole(text, 1, 2**31 - 1)


def _seconds(text: str) -> float:
    number = _float(text)
    if not 0.1 <= number <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is not between 0.1 and 3600")
    return number


def _seed(text: str) -> int:
    return _whole(text, 0, 2**63 - 1)


def _whole(text: str, lowest: int, highest: int) -> int:
    try:
        number = int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from error
    if not lowest <= number <= highest:
        raise argparse.ArgumentTypeError(f"{number} is not between {lowest} and {highest}")
    return number


def _psi(text: str) -> float:
    number = _float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return number

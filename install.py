#!/usr/bin/env python3
"""Set up krita-drag with nothing but Python: `python3 install.py`; run its tests: `python3 install.py --test`.

The set-up has five steps: virtual environment, PyTorch, engine, face model, demonstration drag. Each finished step
is recorded at once, so that a run that was stopped anywhere is continued by the same command. Then the plugin goes
into every Krita of this user (krita_plugin/installing). In the data directory (`--home`, else $KRITA_DRAG_HOME, else
krita-drag's folder among the user's application data; `.venv` for `--test`):

    engine-venv/    the environment; made anew when it is broken or when pip was killed while writing into it
    install.json    the finished steps, and the environment's Python for Krita to start the engine with
    install.log     all that pip said
    models/         model files, written by the engine
    wheels/         pyzmq for the Python inside Krita, where that lacks it
    .install-*      work in progress; the next run removes what is left of it
"""

# ruff: noqa: E402, UP036 (see what is there before importing it; Python 3.6 has to get as far as to say that it is old)

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
if sys.version_info < (3, 10):
    reason = "This is Python {}.{}; krita-drag needs 3.10 or newer.".format(*sys.version_info)
    sys.exit(f"install.py: {reason}\nFor example: python3.12 install.py")
if not ((ROOT / "pyproject.toml").exists() and (ROOT / "krita_plugin" / "installing").exists()):
    reason = "The rest of krita-drag is not beside install.py."
    sys.exit(f"install.py: {reason}\nGet the whole project and run install.py there.")
sys.path[:0] = [str(ROOT), str(ROOT / "krita_plugin")]
sys.dont_write_bytecode = True  # nothing is written into the checkout

import argparse
import contextlib
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import NoReturn

from installing.checkout import digest_of, source_files, version
from installing.conditions import check_python, check_space, prepare_home
from installing.data_folder import data_dir, removable
from installing.record import State, discard, only_run
from installing.running import Console, Stop, explain
from installing.torch_choice import (
    TESTED_TORCH,
    has_nvidia_gpu,
    import_torch,
    reachable,
    torch_indexes,
    torch_requirement,
)

NEEDED_GB = {"cpu": 3, "cuda": 9}  # downloads, what pip unpacks, what stays
MODEL = "faces"
DEMO = ["--seed", "7", "--point", "600,760:640,740", "--point", "428,758:390,740"]
# Krita exports the first two to its children; the others would make pip install somewhere else.
DROPPED_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")


def krita_side() -> ModuleType:
    """Return the part of the installer that knows Krita; late, as `engine` comes with it and sets variables."""
    from installing import everywhere

    return everywhere


@dataclass(frozen=True)
class Step:
    """One part of the set-up; it is skipped when done before with the same key and when its product is there."""

    name: str
    title: str
    key: str
    product: Path
    run: Callable[[], str]  # returns the outcome in a few words


class Installer:
    """Brings one data directory to the state that the options ask for."""

    def __init__(self, options: argparse.Namespace, home: Path, console: Console) -> None:
        self.options, self.home, self.console = options, home, console
        self.testing = options.test is not None
        self.venv = home / "engine-venv"
        scripts = self.venv / ("Scripts" if sys.platform == "win32" else "bin")
        suffix = ".exe" if sys.platform == "win32" else ""
        self.python, self.script = scripts / f"python{suffix}", scripts / f"krita-drag{suffix}"
        self.known = (home / "install.json").exists()
        self.state = State.load(home / "install.json")
        self.state.python = str(self.python)
        # A plain run keeps what an earlier one was told, unless that never worked.
        kept = self.state.torch if "torch" in self.state.done else "auto"
        self.choice: str = kept if options.torch is None else options.torch
        self.requirement = torch_requirement(self.choice)
        self.gpu = self.choice not in ("cpu", "reuse") and has_nvidia_gpu()
        self.needed_gb = NEEDED_GB["cuda" if self.gpu or self.choice == "cuda" else "cpu"]
        own_home = {} if self.testing else {"KRITA_DRAG_HOME": str(home)}
        env = {name: value for name, value in os.environ.items() if name not in DROPPED_VARIABLES}
        self.env = {**env, **own_home, "PIP_USER": "0"}

    def module(self, name: str) -> list[str | Path]:
        """Return the command that runs a module of the environment, whatever the working directory holds."""
        return [self.python, "-X", "utf8", "-I", "-m", name]

    def steps(self) -> list[Step]:
        """List what the options ask for, in order."""
        torch = f"{self.choice}: {self.requirement}"
        sources = digest_of([Path("pyproject.toml")] if self.testing else source_files())
        steps = [
            Step("environment", "virtual environment", f"{torch}, {self.venv}", self.python, self.make_environment),
            Step("torch", f"PyTorch ({torch})", torch, self.python, self.install_torch),
            Step("engine", "engine", sources, self.script, self.install_engine),
            Step("model", f"model {MODEL}", MODEL, self.home / "models" / MODEL, self.fetch_model),
            Step("demo", "demonstration drag", shlex.join(DEMO), self.home / "demo.png", self.demonstrate),
        ]
        if self.options.zip is not None:
            return steps[:1]
        return steps[: 3 if self.testing or self.options.no_model else 4 if self.options.no_demo else 5]

    def pending(self) -> list[Step]:
        """Return the steps that are still to be done."""
        steps = self.steps()
        killed = self.state.running in ("environment", "torch", "engine")
        changed = self.state.done.get("environment") != steps[0].key
        if self.options.repair or killed or changed or not self.intact():
            self.state.forget_environment()
        return [s for s in steps if self.state.done.get(s.name) != s.key or not s.product.exists()]

    def intact(self) -> bool:
        """Tell whether the environment runs and still has what was put into it."""
        wanted = ["pip", *(["torch"] if "torch" in self.state.done else [])]
        code = f"import importlib.metadata; [importlib.metadata.version(name) for name in {wanted}]"
        try:
            command = [str(self.python), "-I", "-c", code]
            return subprocess.run(command, capture_output=True, env=self.env, check=False).returncode == 0
        except OSError:
            return False

    def tell_plan(self) -> None:
        """Print what a run would do."""
        pending = self.pending()
        print(f"Dry run: nothing is touched.\nData directory: {self.home}")
        for step in self.steps():
            print(f"  {step.title}: {'would be done' if step in pending else 'already done'}")
        for profile in [] if self.testing or self.options.no_krita else krita_side().used_profiles():
            print(f"  plugin for Krita, {profile.resources}: would be brought to this version")
        if self.choice != "reuse":
            indexes = [index or "the index that pip is set to use" for index in torch_indexes(self.choice, self.gpu)]
            print(f"PyTorch from {', else '.join(indexes)}\nFree disk space needed: {self.needed_gb} GB")

    def leave_others_alone(self) -> None:
        """Stop before anything is written where somebody else has an environment of that name."""
        if self.venv.exists() and not (self.known or self.options.repair):
            raise Stop(f"{self.venv} is there already but not from here.", "Move it away, or replace it with --repair.")

    def run(self) -> None:
        """Do the pending steps; the record on disk is right at every moment."""
        steps, pending = self.steps(), self.pending()
        if any(step.name == "torch" for step in pending):  # see that it can work before anything is replaced
            if self.choice == "reuse":
                import_torch(sys.executable, self.env)
            else:
                check_space(self.home, self.needed_gb)
        self.state.torch = self.choice
        for number, step in enumerate(steps, 1):
            label = f"[{number}/{len(steps)}] {step.title}"
            if step not in pending:
                self.console.say(f"{label}: already done")
                continue
            self.console.begin(label)
            self.state.done.pop(step.name, None)
            self.state.running = step.name
            self.state.save()
            try:
                outcome = step.run()
            except Stop as stop:
                self.state.running = step.name if stop.rebuild else ""
                self.state.save()
                raise
            self.state.done[step.name], self.state.running = step.key, ""
            self.state.save()
            self.console.end(outcome)
        self.state.running = ""
        self.state.save()

    def make_environment(self) -> str:
        """Make the virtual environment, in place of a broken or outdated one."""
        if Path(sys.prefix).resolve() == self.venv.resolve():
            raise Stop("This Python belongs to the environment to be replaced.", "Run this file with another Python.")
        discard(self.venv, self.home)
        code, output = self.console.run([sys.executable, "-I", "-m", "venv", self.venv], self.env)
        if code:
            raise explain(output, "Making the virtual environment")
        # A newer pip continues broken downloads and can count them in a log; an older one will do.
        if self.pip("pip", "--retries", "0", "--timeout", "15", "pip>=25.2") is None:
            settings = self.venv / ("pip.ini" if sys.platform == "win32" else "pip.conf")
            settings.write_text("[install]\nprogress-bar = raw\n", "ascii")
        return f"Python {platform.python_version()}"

    def pip(self, what: str, *arguments: str) -> Stop | None:
        """Run the environment's `pip install`; return what went wrong with installing this, if anything did."""
        scratch = tempfile.mkdtemp(prefix=".install-tmp-", dir=self.home)  # /tmp is often smaller than torch
        env = {**self.env, "TMPDIR": scratch, "TEMP": scratch, "TMP": scratch}
        command = [*self.module("pip"), "install", "--disable-pip-version-check", "--no-input", *arguments]
        code, output = self.console.run(command, env)
        shutil.rmtree(scratch, ignore_errors=True)
        return explain(output, f"Installing {what}") if code else None

    def install_torch(self) -> str:
        """Put torch into the environment, from the first index that has it."""
        if self.choice == "reuse":
            return self.reuse_torch()
        failure: Stop | None = Stop("PyTorch's package index is out of reach.", "Run again later, or without --torch.")
        for index in torch_indexes(self.choice, self.gpu):
            if index and not reachable(f"{index}/torch/"):
                self.console.say(f"      {index} is out of reach and left out")
                continue
            failure = self.pip(self.requirement, *(["--index-url", index] if index else []), self.requirement)
            if failure is None or failure.rebuild:
                break
        if failure:
            raise failure
        return "torch " + import_torch(self.python, self.env, "-I")[0]

    def reuse_torch(self) -> str:
        """Let the environment see the packages of the Python that runs this file.

        `--system-site-packages` would show those of the base Python only, not of an environment that we run in.
        """
        folders = import_torch(sys.executable, self.env)[1]
        code = "import json, sysconfig; print(json.dumps(sysconfig.get_path('purelib')))"
        command = [str(self.python), "-I", "-c", code]
        packages = Path(json.loads(subprocess.run(command, capture_output=True, env=self.env, check=True).stdout))
        # Code in ASCII instead of bare paths: not every Python reads .pth files as UTF-8.
        line = f"import sys; sys.path.extend({folders!a})\n"
        (packages / "krita-drag-reused-torch.pth").write_text(line, "ascii")
        return f"torch {import_torch(self.python, self.env, '-I')[0]}, reused"

    def install_engine(self) -> str:
        """Install this checkout: editable for the tests, else built from a copy so that nothing is written here."""
        if self.testing:
            failure = self.pip("the engine", "--editable", f"{ROOT}[test]")
        else:
            copy = Path(tempfile.mkdtemp(prefix=".install-source-", dir=self.home))
            for path in source_files():
                (copy / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / path, copy / path)
            failure = self.pip("the engine", str(copy))
            shutil.rmtree(copy, ignore_errors=True)
        if failure:
            raise failure
        return f"krita-drag {version()}"

    def engine(self, *arguments: str | Path) -> None:
        """Run the installed engine's command line, which shows its own progress and says what went wrong."""
        if self.console.run([*self.module("engine"), *arguments], self.env, attached=True)[0]:
            raise Stop(f"krita-drag {arguments[0]} did not succeed.", "What is done is kept: mend that and run again.")

    def fetch_model(self) -> str:
        """Fetch the face model; the engine shows its licence."""
        self.engine("models", "fetch", MODEL)
        return f"model {MODEL} is there"

    def demonstrate(self) -> str:
        """Drag a point of a generated face."""
        picture = self.home / "demo.png"
        self.engine("drag", "--model", MODEL, *DEMO, "-o", picture, "--report", picture.with_name("demo-report.png"))
        return str(picture)

    def place_plugin(self) -> None:
        """Put the plugin into every Krita of this user, or say how to do that later."""
        lines = list(krita_side().install(ROOT / "krita_plugin", self.home, self.download))
        for line in lines or ["No Krita was found. When there is one, run this again, or see --zip."]:
            self.console.say(line)

    def write_zip(self, archive: Path) -> None:
        """Write the plugin as a file for Krita's own importer."""
        krita_side().write_archive(ROOT / "krita_plugin", archive, self.home / "wheels", self.download)
        self.console.say(f"{archive}: open it in Krita with Tools > Scripts > Import Python Plugin from File.")

    def download(self, what: str, arguments: Sequence[str]) -> None:
        """Run the environment's `pip download`."""
        self.console.say(f"      {what}")
        command = [*self.module("pip"), "download", "--disable-pip-version-check", "--no-input", *arguments]
        code, output = self.console.run(command, self.env)
        if code:
            raise explain(output, f"Fetching {what}")

    def tell_result(self) -> None:
        """Print where things are and how to go on."""
        lines = [f"\nkrita-drag {version()} is ready: {self.script}"]
        titles = {"demo-report.png": "before and after", "demo.png": "dragged face", "install.log": "log"}
        for name in titles:
            if (self.home / name).exists():
                lines.append(f"  {titles[name] + ':':18}{self.home / name}")
        lines.append(f'Now a photo of yours:\n  "{self.script}" drag PHOTO --point X,Y:X,Y -o OUT.png')
        self.console.say("\n".join(lines))


def uninstall(options: argparse.Namespace, home: Path) -> None:
    """Remove what this program made, and the models when told to; of a link only the link goes."""
    paths = removable(home, options.purge)
    in_krita = [] if options.no_krita else krita_side().installed_files()
    found = [f"To be removed: {path}" for path in [*paths, *in_krita]]
    print("\n".join(found) or f"There is nothing to remove in {home}.")
    if options.dry_run or not found:
        return
    if not options.yes and not (sys.stdin.isatty() and input("Remove? [y/N] ").strip().lower() in ("y", "yes")):
        raise Stop("Nothing was removed.", "Answer y, or add --yes.")
    if in_krita:
        krita_side().uninstall()
    if paths:
        with only_run(home):
            for path in paths:
                discard(path, home)
        (home / ".install-lock").unlink()
    with contextlib.suppress(OSError):
        home.rmdir()
    print(f"Removed. What else is in {home} stays." if home.exists() else "Removed.")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    text = "Set up krita-drag. Running it again continues, or updates to a newer checkout."
    parser = argparse.ArgumentParser(description=text, allow_abbrev=False)
    torch = parser.add_mutually_exclusive_group()
    text = f"cpu, cuda, auto or a requirement such as torch==2.12.1 (default: as before, at first {TESTED_TORCH})"
    torch.add_argument("--torch", metavar="cpu|cuda|SPEC", help=text)
    text = "use the torch (2.4 or newer) of the Python that runs this file"
    torch.add_argument("--reuse-torch", action="store_const", const="reuse", dest="torch", help=text)
    parser.add_argument("--home", metavar="DIR", help="data directory (default: the user's own)")
    parser.add_argument("--no-demo", action="store_true", help="leave the demonstration drag out")
    parser.add_argument("--no-model", action="store_true", help="leave out the model, too")
    parser.add_argument("--repair", action="store_true", help="make the environment anew")
    parser.add_argument("--no-krita", action="store_true", help="leave Krita alone: no plugin")
    text = "only write the plugin as a file for Krita's Tools > Scripts > Import Python Plugin from File"
    parser.add_argument("--zip", metavar="FILE", help=text)
    parser.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    parser.add_argument("--uninstall", action="store_true", help="remove everything but models, edits and keys")
    parser.add_argument("--purge", action="store_true", help="with --uninstall: models, edits and keys, too")
    parser.add_argument("--yes", action="store_true", help="with --uninstall: do not ask")
    text = "make an environment for development in .venv and run the tests in it; all that follows goes to pytest"
    parser.add_argument("--test", nargs=argparse.REMAINDER, metavar="PYTEST_ARGUMENT", help=text)
    return parser.parse_args(arguments)


def carry_out(options: argparse.Namespace, console: Console) -> int:
    """Do what the options say and return the exit code."""
    check_python()
    home = ROOT / ".venv" if options.test is not None else Path(options.home or data_dir()).expanduser().absolute()
    if options.uninstall:
        uninstall(options, home)
        return 0
    installer = Installer(options, home, console)
    if options.dry_run:
        installer.tell_plan()
        return 0
    installer.leave_others_alone()
    prepare_home(home)
    with only_run(home) as console.lock:
        console.open_log(home / "install.log")
        for left_over in home.glob(".install-*-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        installer.run()
        if options.zip is not None:
            installer.write_zip(Path(options.zip).expanduser().absolute())
            return 0
        if options.test is None:
            if not options.no_krita:
                installer.place_plugin()
            installer.tell_result()
            return 0
    os.chdir(ROOT)
    return console.run([installer.python, "-m", "pytest", *options.test], installer.env, attached=True)[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; whatever goes wrong ends as a sentence on standard error."""
    console, code = Console(), 1
    try:
        return carry_out(parse(arguments), console)
    except Stop as stop:
        message = f"{stop.message}\n{stop.hint}"
    except KeyboardInterrupt:
        message, code = "Stopped. Run the same command again to continue.", 130
    except OSError as error:
        console.record(traceback.format_exc())
        message = f"{error}.\nWhen that is mended, run again."
    except Exception as error:
        console.record(traceback.format_exc())
        message = f"Something unforeseen happened ({type(error).__name__}: {error}).\nPlease report it with the log."
    console.record(message)
    if sys.stdout.isatty():
        print()
    log = f"\nLog: {console.log.name}" if console.log else ""
    print(f"install.py: {message}{log}", file=sys.stderr)
    return code


def on_terminate(*_: object) -> NoReturn:
    """Treat a request to end like Ctrl-C, so that no child is left behind."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, on_terminate)
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", lambda **_: None)(errors="replace")  # a console that cannot show 画
    sys.exit(main())

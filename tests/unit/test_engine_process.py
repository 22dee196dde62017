"""The engine's process as Krita keeps it: real processes, real signals, a stand-in for the engine."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from krita_drag import engine_files
from krita_drag.engine_files import clean_environment, is_held, last_lines, read_connection_file
from krita_drag.engine_process import MOST_FAILURES, EngineProcess, EngineStatus, Phase
from krita_drag.places import installed_home
from krita_drag.wire.errors import NotInstalled, NotRunning

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stand-in uses flock and /proc")
QUICK = (0.01, 0.02)
STANDIN = Path(__file__).with_name("standin_engine.py")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python environment in which `python -I -m engine` is the stand-in."""
    folder = tmp_path_factory.mktemp("Jürgen 画") / "engine-venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    package = next(folder.rglob("site-packages")) / "engine"
    package.mkdir()
    shutil.copyfile(STANDIN, package / "__main__.py")
    return folder


class Home:
    """A data folder with the stand-in installed, and what an EngineProcess told about it."""

    def __init__(self, root: Path, environment: Path) -> None:
        self.root = root
        self.told: queue.Queue[EngineStatus] = queue.Queue()
        self.environment = environment
        root.mkdir()

    def install(self, behaviour: str = "serve") -> None:
        python = str(self.environment / "bin" / "python")
        (self.root / "install.json").write_text(json.dumps({"python": python, "done": {"engine": "x"}}))
        self.behave(behaviour)

    def behave(self, behaviour: str) -> None:
        (self.root / "behaviour").write_text(behaviour)

    def starts(self) -> list[dict[str, object]]:
        path = self.root / "starts"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for(self, phase: Phase) -> EngineStatus:
        while True:
            status = self.told.get(timeout=30)
            if status.phase is phase:
                return status


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file by which a Flatpak is known."""
    mark = tmp_path / "flatpak-info"
    mark.touch()
    monkeypatch.setattr(engine_files, "SANDBOX_MARK", mark)


@pytest.fixture
def home(tmp_path: Path, environment: Path) -> Home:
    return Home(tmp_path / "home", environment)


@pytest.fixture
def engine(home: Home) -> Iterator[EngineProcess]:
    process = EngineProcess(home.root, home.told.put, delays_s=QUICK)
    yield process
    process.close(wait_s=20)
    assert not is_held(home.root / "engine")


@pytest.mark.usefixtures("sandbox")
def test_a_sandbox_without_the_users_python_says_what_to_run_and_finds_it(home: Home, engine: EngineProcess) -> None:
    missing = home.root / "engine-venv" / "bin" / "python"
    (home.root / "install.json").write_text(json.dumps({"python": str(missing), "done": {"engine": "x"}}))
    engine.start()
    status = home.wait_for(Phase.FAILED)
    assert isinstance(status.error, NotRunning) and f"{missing.parent / 'krita-drag'} serve" in status.error.hint
    home.behave("serve")
    (home.root / "engine").mkdir()
    python = home.environment / "bin" / "python"
    outside = subprocess.Popen(
        [python, "-I", "-m", "engine", "serve", "--owner", str(os.getpid())],
        env={**os.environ, "KRITA_DRAG_HOME": str(home.root)},
    )
    try:
        assert home.wait_for(Phase.RUNNING).adopted
    finally:
        engine.close(wait_s=20)
        outside.terminate()
        outside.wait(30)


@pytest.mark.usefixtures("sandbox")
def test_a_sandbox_in_which_the_engine_dies_says_what_to_run(home: Home, engine: EngineProcess) -> None:
    home.install("crash")
    engine.start()
    status = home.wait_for(Phase.FAILED)
    assert status.error is not None and "krita-drag serve" in status.error.hint


def gone(pid: object) -> bool:
    return not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]


def until_gone(pid: object) -> None:
    deadline = time.monotonic() + 30
    while not gone(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)


def test_nothing_installed_is_a_sentence_that_goes_away_by_itself(home: Home, engine: EngineProcess) -> None:
    engine.start()
    status = home.wait_for(Phase.NOT_INSTALLED)
    assert isinstance(status.error, NotInstalled) and "install.py" in status.error.hint
    home.install()
    assert home.wait_for(Phase.RUNNING).error is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"done": {"engine": "x"}, "python": "/nowhere/python"}'])
def test_half_an_installation_is_not_an_engine(content: str, home: Home, engine: EngineProcess) -> None:
    (home.root / "install.json").write_text(content)
    engine.start()
    assert isinstance(home.wait_for(Phase.NOT_INSTALLED).error, NotInstalled)


def test_starts_with_our_pid_and_without_kritas_python(
    home: Home, engine: EngineProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/usr/share/krita")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/tmp/.mount_krita/usr/lib")
    home.install()
    engine.start()
    status = home.wait_for(Phase.RUNNING)
    (start,) = home.starts()
    assert start["argv"] == ["serve", "--owner", str(os.getpid())]
    environment = start["env"]
    assert isinstance(environment, dict) and environment["KRITA_DRAG_HOME"] == str(home.root)
    assert not {"PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH"} & set(environment)
    assert status.connection and status.connection["pid"] == start["pid"] and not status.adopted
    engine.close(wait_s=20)
    home.wait_for(Phase.STOPPED)
    assert gone(start["pid"])


def test_a_killed_engine_is_replaced(home: Home, engine: EngineProcess) -> None:
    home.install()
    engine.start()
    first = home.wait_for(Phase.RUNNING).connection
    assert first
    os.kill(first["pid"], signal.SIGKILL)
    home.wait_for(Phase.STARTING)
    second = home.wait_for(Phase.RUNNING).connection
    assert second and second["pid"] != first["pid"]


def test_gives_up_with_its_last_words_and_retry_tries_again(home: Home, engine: EngineProcess) -> None:
    home.install("crash")
    engine.start()
    status = home.wait_for(Phase.FAILED)
    assert len(home.starts()) == MOST_FAILURES
    assert isinstance(status.error, NotRunning)
    assert "libstand.so.1 is missing" in status.error.message and "Retry" in status.error.hint
    assert status.log_tail == ("Traceback of a stand-in", "libstand.so.1 is missing")
    home.behave("serve")
    engine.start()
    home.wait_for(Phase.RUNNING)


def test_an_engine_that_runs_already_is_used_and_left_alone(home: Home, engine: EngineProcess) -> None:
    home.install()
    other = EngineProcess(home.root, lambda status: None)
    other.start()
    engine_folder = home.root / "engine"
    while not is_held(engine_folder):
        time.sleep(0.02)
    seen: queue.Queue[EngineStatus] = queue.Queue()
    guest = EngineProcess(home.root, seen.put)
    guest.start()
    while seen.get(timeout=30).phase is not Phase.RUNNING:
        pass
    guest.close(wait_s=20)
    assert is_held(engine_folder)
    engine.start()
    status = home.wait_for(Phase.RUNNING)
    assert status.adopted and status.connection == read_connection_file(engine_folder)
    other.close(wait_s=20)
    while (status := home.wait_for(Phase.RUNNING)).adopted:
        pass
    assert len(home.starts()) == 2


def test_what_a_killed_engine_left_behind_is_not_believed(home: Home, engine: EngineProcess) -> None:
    home.install("hang")
    (home.root / "engine").mkdir()
    (home.root / "engine" / "lock").touch()
    stale = {"endpoint": "tcp://127.0.0.1:2", "server_key": "y" * 40, "pid": os.getpid()}
    (home.root / "engine" / "connection.json").write_text(json.dumps(stale))
    engine.start()
    while not home.starts():
        time.sleep(0.02)
    assert engine.status.phase is Phase.STARTING


def test_an_engine_that_does_not_listen_to_sigterm_is_killed(
    home: Home, engine: EngineProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("krita_drag.engine_process.STOP_TIMEOUT_S", 0.3)
    home.install("deaf")
    engine.start()
    connection = home.wait_for(Phase.RUNNING).connection
    assert connection
    engine.close(wait_s=20)
    assert gone(connection["pid"])


def test_one_that_never_gets_ready_counts_as_failed(
    home: Home, engine: EngineProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=lambda: 450 * time.monotonic())  # all times shrink alike: the timeout to 0.2 s
    monkeypatch.setattr("krita_drag.engine_process.time", clock)
    home.install("hang")
    engine.start()
    assert isinstance(home.wait_for(Phase.FAILED).error, NotRunning)
    assert len(home.starts()) == MOST_FAILURES


def test_a_program_that_cannot_be_run_is_a_sentence(home: Home, engine: EngineProcess) -> None:
    home.install()
    (home.root / "not-python").write_text("#!/nowhere/interpreter\n")
    (home.root / "not-python").chmod(0o755)
    record = {"python": str(home.root / "not-python"), "done": {"engine": "x"}}
    (home.root / "install.json").write_text(json.dumps(record))
    engine.start()
    error = home.wait_for(Phase.FAILED).error
    assert isinstance(error, NotRunning) and "--repair" in error.hint


def test_the_engine_leaves_with_a_krita_that_is_killed(home: Home) -> None:
    home.install()
    code = (
        "import sys, time; from pathlib import Path; from krita_drag.engine_process import EngineProcess; "
        "p = EngineProcess(Path(sys.argv[1]), lambda s: print(s.phase.name, flush=True)); p.start(); time.sleep(60)"
    )
    krita = subprocess.Popen([sys.executable, "-c", code, home.root], stdout=subprocess.PIPE, text=True)
    assert krita.stdout
    with krita, krita.stdout:
        while krita.stdout.readline().strip() != "RUNNING":
            pass
        krita.kill()
    (start,) = home.starts()
    until_gone(start["pid"])


def test_close_before_and_after_start_is_harmless(home: Home) -> None:
    process = EngineProcess(home.root, home.told.put)
    process.close()
    process.start()
    assert process.status.phase is Phase.STOPPED and home.told.empty()


def test_last_lines_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_lines(log) == []
    log.write_bytes(b"old\n" + b"one\n\n  two \nthree\xff\n")
    assert last_lines(log, since=4) == ["one", "two", "three\ufffd"]
    assert last_lines(log, count=1) == ["three\ufffd"]


def test_the_users_own_variables_stay() -> None:
    cleaned = clean_environment({"PATH": "/bin", "PYTHONUTF8": "1", "HTTPS_PROXY": "p"}, Path("/data"))
    assert cleaned == {"PATH": "/bin", "HTTPS_PROXY": "p", "KRITA_DRAG_HOME": "/data"}


@pytest.mark.parametrize(
    ("content", "home"),
    [('{"home": "/data 画"}', Path("/data 画")), ('{"home": "relative"}', None), ('{"home": 1}', None), ("{", None)],
)
def test_where_the_installer_says_that_the_data_is(content: str, home: Path | None, tmp_path: Path) -> None:
    assert installed_home(tmp_path) is None
    (tmp_path / "installed.json").write_text(content, "utf-8")
    assert installed_home(tmp_path) == home

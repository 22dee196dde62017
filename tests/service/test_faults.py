"""Every fault of docs/operations.md, caused for real: what dies, what fills up, what breaks, and what comes of it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from krita_drag.wire.messages import Drag, Frame, Live, Open, Render, new_id

from benchmarks.service import tiny_home
from benchmarks.service.artist import PAIR, SOLVER, Artist, Truth, pixels
from benchmarks.service.netfault import Proxy
from benchmarks.service.running_engine import Engine, Talker, alive, running, wait_for
from benchmarks.service.tiny_home import NAME
from engine.service.dispatch import MAX_CRASHES
from engine.service.job import CHECKPOINT_EVERY_S

SEEDS = range(1, 5)


@pytest.fixture(scope="module")
def truth(shared: Engine) -> Iterator[Truth]:
    """What undisturbed drags come to."""
    artist = Artist(shared.home)
    yield Truth(artist, SEEDS)
    artist.close()


@pytest.fixture
def artist(home: Path) -> Iterator[Artist]:
    """An artist of an engine of this test's own."""
    one = Artist(home)
    yield one
    one.close()


def port_of(engine: Engine) -> int:
    return int(engine.connection["endpoint"].rpartition(":")[2])


def test_a_drag_survives_the_death_of_its_worker(home: Path, artist: Artist, truth: Truth) -> None:
    with running(home) as engine:
        sid, request = drag_with_checkpoint(engine, artist, seed=1)
        os.kill(engine.worker_pid(), signal.SIGKILL)
        assert truth.fault(1, artist.end_of(request), undos=1) == ""
        assert len(artist.terminals(request)) == 1
        steps = artist.steps(request)
        redone = max((before - after for before, after in itertools.pairwise(steps)), default=0)
        assert redone < max(steps), "it did not begin again"
        done = artist.end_of(request)
        assert pixels(done.patch).tobytes() == artist.picture(sid).tobytes()
        second = artist.end_of(artist.begin_drag(sid))
        assert second.undos == 2


def drag_with_checkpoint(engine: Engine, artist: Artist, seed: int) -> tuple[str, str]:
    """Begin a drag and wait for its checkpoint; a fast machine may be through before there is one."""
    for _ in range(10):
        sid = artist.open(seed)
        request = artist.drag_under_way(sid)
        path = engine.folder / "sessions" / sid / "progress.sealed"
        wait_for(partial(lambda path, one: path.exists() or artist.has_ended(one), path, request), "a checkpoint")
        if not artist.has_ended(request):
            return sid, request
    raise AssertionError("drags on this machine end too fast")


def test_a_drag_survives_the_death_of_the_gateway(home: Path, artist: Artist, truth: Truth) -> None:
    engine = Engine(home).working()
    sid = artist.open(seed=2)
    request = artist.drag_under_way(sid)
    worker = engine.worker_pid()
    engine.kill()
    wait_for(lambda: not alive(worker), "the worker to leave with its gateway")
    with running(home):
        assert truth.fault(2, artist.end_of(request), undos=1) == ""
        assert len(artist.terminals(request)) == 1


def test_an_answer_survives_the_death_of_both(home: Path, truth: Truth) -> None:
    engine = Engine(home).working()
    talker = Talker(engine)
    sid = talker.open(seed=3)
    request = Drag(id=new_id(), sid=sid, points=PAIR, solver=SOLVER)
    done = talker.ask(request, ack=False)
    os.kill(engine.worker_pid(), signal.SIGKILL)
    engine.kill()
    with running(home) as second:
        talker.engine = second
        talker.reconnect()
        again = talker.ask(request)
        assert pixels(again.patch).tobytes() == pixels(done.patch).tobytes()
        assert again.undos == 1, "it was not done a second time"
        answers = second.folder / "sessions" / sid / "answers"
        wait_for(lambda: not list(answers.iterdir()), "the acknowledged answer to go")
    talker.close()


def test_a_request_that_kills_its_worker_is_given_up(home: Path, artist: Artist) -> None:
    with running(home) as engine:
        sid, other = artist.open(seed=1), artist.open(seed=2)
        request = artist.say(Live(id=new_id(), sid=sid, phase="press", seq=0, points=PAIR))
        for deaths in range(MAX_CRASHES + 1):
            worker = engine.worker_pid()
            wait_for(lambda: word_of(engine) == request, "the worker to begin it")
            os.kill(worker, signal.SIGKILL)
            wait_for(partial(lambda n: len(engine.events("worker died")) > n, deaths), "its end")
            (engine.folder / "worker.now").write_text(request)  # as if the next one had come to it
        end = artist.end_of(request)
        assert end.type == "error" and end.code == "worker-crashed"
        assert artist.end_of(artist.begin_drag(other)).type == "done", "others go on"


def word_of(engine: Engine) -> str:
    with contextlib.suppress(OSError):
        return (engine.folder / "worker.now").read_text()
    return ""


def test_the_session_of_a_killed_client_waits_for_the_next(home: Path, truth: Truth) -> None:
    code = (
        "import sys; from pathlib import Path; from benchmarks.service.artist import Artist\n"
        "artist = Artist(Path(sys.argv[1])); sid = artist.open(seed=4)\n"
        "request = artist.drag_under_way(sid); print(sid, request, flush=True); sys.stdin.read()"
    )
    with running(home, "--suspend-after", "1") as engine:
        command = [sys.executable, "-c", code, str(home)]
        client = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
        assert client.stdout is not None
        sid, request = client.stdout.readline().split()
        client.kill()
        client.communicate()
        wait_for(lambda: engine.events("session suspended"), "the session to be suspended")
        artist = Artist(home)
        artist.say(Drag(id=request, sid=sid, points=PAIR, solver=SOLVER))
        assert truth.fault(4, artist.end_of(request), undos=1) == ""
        artist.close()


@pytest.mark.parametrize("fault", ["reset", "end", "black hole", "half-open", "refused", "slow", "late"])
def test_a_bad_network_loses_nothing(shared: Engine, truth: Truth, fault: str) -> None:
    proxy = Proxy(port_of(shared))
    artist = Artist(shared.home, proxy.port)
    request = artist.drag_under_way(artist.open(seed=1), preview_px=64)
    with broken(proxy, fault):
        wait_for(lambda: artist.has_ended(request) or fault not in ("slow", "late"), "the drag on a bad line")
        if fault in ("black hole", "half-open", "refused"):
            wait_for(lambda: artist.client.state.value == "not responding", "the client to notice")
    assert truth.fault(1, artist.end_of(request), undos=1) == ""
    assert len(artist.terminals(request)) == 1 and not artist.strays
    artist.close()
    proxy.close()


@contextlib.contextmanager
def broken(proxy: Proxy, fault: str) -> Iterator[None]:
    """Break a network for a while."""
    if fault in ("reset", "end"):
        proxy.cut(reset=fault == "reset")
    proxy.stalled = fault in ("black hole", "half-open")
    proxy.refusing = fault == "refused"
    if fault == "refused":
        proxy.cut()
    proxy.bytes_per_s = 200_000 if fault == "slow" else 0
    proxy.delay_s = 0.05 if fault == "late" else 0
    yield
    if fault == "half-open":  # the line is dead and nobody was told: only a new connection works
        proxy.cut()
    proxy.stalled = proxy.refusing = False
    proxy.bytes_per_s = proxy.delay_s = 0


def test_flipped_bits_never_reach_a_picture(shared: Engine, truth: Truth) -> None:
    proxy = Proxy(port_of(shared))
    artist = Artist(shared.home, proxy.port)
    proxy.flip_share = 0.03
    for seed in (1, 2):
        sid = artist.open(seed)
        assert truth.fault(seed, artist.end_of(artist.begin_drag(sid, preview_px=64)), undos=1) == ""
    artist.close()
    proxy.close()


def test_a_full_disk_costs_safety_and_not_the_work(home: Path, artist: Artist, truth: Truth) -> None:
    """The worker may write no file longer than 256 bytes from here on, which fails as a full disk does."""
    with running(home) as engine:
        sid = artist.open(seed=1)
        limit = "import resource, sys; resource.prlimit(int(sys.argv[1]), resource.RLIMIT_FSIZE, (256, 256))"
        subprocess.run([sys.executable, "-c", limit, str(engine.worker_pid())], check=True)
        done = artist.end_of(artist.begin_drag(sid))
        assert truth.fault(1, done, undos=1) == ""
        assert any("disk" in note for note in done.notes)
        assert not list((engine.folder / "sessions").rglob("*.part"))
        refused = artist.ask(Open(id=new_id(), sid=new_id(), model=NAME, seed=2))
        assert refused.type == "done" or refused.code == "no-disk-space"


@contextlib.contextmanager
def small_disk(folder: Path, size_kb: int) -> Iterator[None]:
    """A disk of its own for a folder, where this user may make one."""
    folder.mkdir(parents=True)
    options = f"size={size_kb}k,mode=700"
    try:
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
    except OSError:
        pytest.skip("nothing can be mounted on this system")
    if made.returncode:
        pytest.skip("this user may not mount anything")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Write until the disk is full; returns the file that has to go."""
    path = folder / "filler"
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 10))
    assert os.statvfs(folder).f_bavail == 0
    return path


def test_a_disk_that_really_fills_up_and_has_room_again(home: Path, artist: Artist, truth: Truth) -> None:
    with small_disk(home / "engine", 4096), running(home) as engine:
        sid, photo = artist.open(seed=1), artist.open_photo(1)
        filler = fill(engine.folder)
        done = artist.end_of(artist.begin_drag(sid))
        assert truth.fault(1, done, undos=1) == ""
        assert any("disk" in note for note in done.notes)
        found = artist.end_of(artist.begin_search(photo, 20))
        assert found.type == "done" and any("disk" in note for note in found.notes)
        assert artist.ask(Open(id=new_id(), sid=new_id(), model=NAME, seed=2)).code == "no-disk-space"
        assert not list((engine.folder / "sessions").rglob("*.part"))
        filler.unlink()
        dragged = artist.end_of(artist.say(Drag(id=new_id(), sid=photo, points=PAIR, max_steps=2)))
        assert dragged.undos == 1 and not any("disk" in note for note in dragged.notes)
        again = artist.end_of(artist.begin_drag(sid))
        assert truth.fault(1, again, undos=2) == ""
        assert not again.notes
        os.kill(engine.worker_pid(), signal.SIGKILL)
        assert artist.picture(sid).tobytes() == pixels(again.patch).tobytes(), "it was kept this time"
        kept = artist.end_of(artist.say(Drag(id=new_id(), sid=photo, points=PAIR, max_steps=2)))
        assert kept.undos == 2
        assert {event.phase for event in artist.told(kept.re)} == {"dragging"}, "what was found came to the disk later"


def test_no_session_begins_where_nothing_can_be_written(home: Path, artist: Artist) -> None:
    with running(home) as engine:
        limit = "import resource, sys; resource.prlimit(int(sys.argv[1]), resource.RLIMIT_FSIZE, (16, 16))"
        subprocess.run([sys.executable, "-c", limit, str(engine.pid)], check=True)
        refused = artist.ask(Open(id=new_id(), sid=new_id(), model=NAME, seed=2))
        assert refused.code == "no-disk-space"
        assert engine.process.poll() is None


@pytest.mark.parametrize("name", ["progress.sealed", "opening.sealed"])
def test_a_damaged_file_is_noticed(home: Path, artist: Artist, truth: Truth, name: str) -> None:
    with running(home) as engine:
        sid, request = drag_with_checkpoint(engine, artist, seed=1)
        os.kill(engine.worker_pid(), signal.SIGKILL)
        path = engine.folder / "sessions" / sid / name
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        done = artist.end_of(request)
        if name == "opening.sealed":
            assert done.code == "no-session" and "again" in done.hint
        else:
            assert truth.fault(1, done, undos=1) == ""


def test_a_session_beyond_the_memory_is_told_so_and_others_go_on(home: Path, artist: Artist) -> None:
    with running(home, "--memory", "400") as engine:
        sid = artist.open(seed=1)
        side = 4000
        big = new_id()
        image = Frame("u1", (side, side, 4), b"\xff" * (side * side * 4))
        artist.ask(Open(id=new_id(), sid=big, model=NAME, image=image))
        refused = artist.ask(Drag(id=new_id(), sid=big, points=((100.0, 100.0, 900.0, 900.0),), max_steps=1))
        assert refused.type == "error" and refused.code == "out-of-memory"
        assert artist.end_of(artist.begin_drag(sid)).type == "done"
        assert not engine.events("worker died")


def test_a_model_beyond_the_memory_is_not_put_away_for_itself(home: Path, artist: Artist) -> None:
    (home / "models").unlink()
    tiny_home.install(home)
    tiny_home.install(home, "large", resolution=512, channels=256)
    with running(home, "--memory", "400") as engine:
        sid = artist.open(seed=1)
        refused = artist.ask(Open(id=new_id(), sid=new_id(), model="large", seed=1))
        assert refused.type == "error" and refused.code == "out-of-memory"
        log = [json.loads(line) for line in (engine.folder / "worker.log").read_text().splitlines()]
        assert [line["model"] for line in log if line["event"] == "model loaded"] == [NAME, "large"]
        assert artist.end_of(artist.begin_drag(sid)).type == "done"
        assert not engine.events("worker died")


def test_a_jump_of_the_clock_means_nothing(home: Path, artist: Artist, truth: Truth) -> None:
    prelude = (
        "import time; real, began = time.time, time.monotonic()\n"
        "time.time = lambda: real() + (1e8 if time.monotonic() - began > 3 else -1e8)"
    )
    with running(home, "--suspend-after", "2", prelude=prelude) as engine:
        sid = artist.open(seed=1)
        assert truth.fault(1, artist.end_of(artist.begin_drag(sid)), undos=1) == ""
        assert not engine.events("session suspended") and not engine.events("abandoned session deleted")
        assert {line["time"][:4] for line in engine.log()} != {"2026"}, "its clock did jump"


def test_eight_artists_at_once(shared: Engine, truth: Truth) -> None:
    artists = [Artist(shared.home) for _ in range(8)]
    seeds = [SEEDS[number % len(SEEDS)] for number in range(8)]
    sids = [one.open(seed) for one, seed in zip(artists, seeds, strict=True)]
    requests = [one.begin_drag(sid, preview_px=64) for one, sid in zip(artists, sids, strict=True)]
    for one, seed, request in zip(artists, seeds, requests, strict=True):
        assert truth.fault(seed, one.end_of(request, 180), undos=1) == ""
        assert len(one.terminals(request)) == 1 and not one.strays
    for one, sid in zip(artists, sids, strict=True):
        assert one.ask(Render(id=new_id(), sid=sid)).type == "done"
        one.close()


def test_checkpoints_are_as_often_as_promised() -> None:
    assert CHECKPOINT_EVERY_S <= 0.5

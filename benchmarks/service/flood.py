"""Ten thousand messages that are none, and raw bytes from strangers, while an honest artist drags on."""

from __future__ import annotations

import argparse
import collections
import json
import random
import socket
import time
from pathlib import Path
from typing import Any

from krita_drag.wire.codec import decode, encode
from krita_drag.wire.messages import Drag, Hello, Open, new_id

from benchmarks.service.artist import Artist
from benchmarks.service.running_engine import Engine, Talker, let_in, running
from benchmarks.service.statistics import open_files, percentiles, resident_mb

_KEYS, _ROW = 10, 15  # a key is ignored after 20 bad messages in a row; this flood is to be read
_STARTS = (b"", b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE", b"GET / HTTP/1.1\r\n\r\n")
_ODD = (None, True, -1, 1e308, "", [], {}, "x" * 1000, [[]], {"a": {}}, 2**70, "../../etc", [[1, 2, 3, 4]] * 100)


def measure(home: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures."""
    count = options.count or 10_000
    rng = random.Random(options.seed)
    with running(home) as engine:
        artist = Artist(home)
        seeds = [artist.open(seed) for seed in range(4)]
        before = resident_mb(engine.pid), open_files(engine.pid)
        talkers = [Talker(engine, let_in(engine, home / f"guest{number}.key")) for number in range(_KEYS)]
        replies, sent = 0, collections.Counter[Talker]()
        for number in range(count):
            if number % 500 == 0:
                strangers(engine, rng)
                artist.begin_drag(seeds[number // 500 % 4])
            talker = talkers[rng.randrange(_KEYS)]
            talker.socket.send_multipart(mutant(rng))
            sent[talker] += 1
            if sent[talker] % _ROW == 0:
                talker.say(Hello("test", "1", 1, 1))  # a sound message, so that the row of bad ones begins anew
            while talker.socket.poll(0):
                decode(talker.socket.recv_multipart())
                replies += 1
        requests = list(artist.events)
        ends = [artist.end_of(request) for request in requests]
        after = resident_mb(engine.pid), open_files(engine.pid)
        crashed = engine.process.poll() is not None or engine.events("worker died")
        for talker in talkers:
            talker.close()
        artist.close()
    return {
        "messages": count,
        "crashes": int(bool(crashed)),
        "replies to them": replies,
        "honest requests": f"{sum(end is not None and end.type == 'done' for end in ends)} of {len(requests)} done",
        "honest pings ms": percentiles(artist.round_trips_s),
        "gateway MB, descriptors": f"{before} -> {after}",
    }


def strangers(engine: Engine, rng: random.Random) -> None:
    """Connect without a key, say anything, and leave at any moment."""
    host, _, port = engine.connection["endpoint"].removeprefix("tcp://").rpartition(":")
    for _ in range(3):
        with socket.create_connection((host, int(port)), 5) as raw:
            start = rng.choice(
                (b"", b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE", b"GET / HTTP/1.1\r\n\r\n", rng.randbytes(64))
            )
            raw.sendall(start + rng.randbytes(rng.randrange(300)))
            time.sleep(0.01)


def mutant(rng: random.Random) -> list[bytes]:
    """Return something that is no message, or nearly one."""
    sound = [
        Drag(id=new_id(), sid=new_id(), points=((1.0, 1.0, 2.0, 2.0),)),
        Open(id=new_id(), sid=new_id(), model="tiny", seed=1),
    ]
    parts = [bytes(part) for part in encode(rng.choice(sound))]
    kind = rng.randrange(5)
    if kind == 0:
        return [rng.randbytes(rng.randrange(300)) for _ in range(rng.randrange(1, 12))]
    if kind == 1:
        bent = bytearray(parts[0])
        for _ in range(rng.randrange(1, 4)):
            bent[rng.randrange(len(bent))] = rng.randrange(256)
        return [bytes(bent)]
    if kind == 2:
        return [rng.choice((b"[", b'{"a":')) * rng.choice((10, 1000, 60_000))]
    header = json.loads(parts[0])
    if kind == 3:
        shape = rng.choice(([1, 1, 4], [1 << 26, 1 << 26], [0], [-1, 5], "x", [4] * 9))
        header["frames"] = [{"name": "image", "dtype": rng.choice(("u1", "f4", "u9")), "shape": shape}]
        return [json.dumps(header).encode(), rng.randbytes(rng.choice((0, 4, 400)))]
    header[rng.choice([*header, "re", "frames"])] = rng.choice(_ODD)
    return [json.dumps(header).encode()]

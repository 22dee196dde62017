"""How much the socket adds: a ping there and back, and a preview of 512 x 512 RGBA from the worker to the client."""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import zmq
from krita_drag.keys import load_or_create
from krita_drag.wire.codec import decode, encode
from krita_drag.wire.messages import Frame, Ping, Preview, new_id

from benchmarks.service.running_engine import Talker, running
from benchmarks.service.statistics import jitter, percentiles
from engine.service.dispatch import Dispatcher
from engine.service.front import DOMAIN, Front
from engine.service.records import Record
from engine.service.registry import Registry
from engine.service.worker_link import WorkerLink
from engine.service.zap import Doorkeeper

SIDE = 512


def measure(home: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures."""
    count = options.count or 300
    with running(home) as engine:
        engine.working()
        talker = Talker(engine)
        assert talker.hear()
        trips = [ping(talker) for _ in range(count)]
        talker.close()
    return {
        "timer jitter ms": jitter(),
        "ping, live engine, ms": percentiles(trips, digits=2),
        f"preview {SIDE} x {SIDE}, ms": percentiles(previews(home, count), digits=2),
    }


def ping(talker: Talker) -> float:
    """Send one ping; returns the seconds until its pong."""
    began = time.monotonic()
    talker.socket.send_multipart(encode(Ping(time=began)))
    while True:
        message = decode(talker.socket.recv_multipart())
        if message.type == "pong" and message.time == began:  # type: ignore[attr-defined]
            return time.monotonic() - began


def previews(home: Path, count: int) -> list[float]:
    """Send previews the whole way that a worker's take; returns seconds from pixels in the worker to pixels outside.

    The stages are the product's own: encode, worker's socket, gateway's dispatcher with its credit, CURVE over
    loopback, decode. Only the drawing is left out.
    """
    context = zmq.Context()
    link, door, front, record, dispatcher = _gateway(context, home)
    worker = _connect(context, link)
    client = _client(context, home, front)
    times: list[float] = []
    stop = threading.Event()
    loop = threading.Thread(target=_serve, args=(stop, link, door, front, record, dispatcher))
    loop.start()
    client.send(b"hello")
    request = new_id()
    record.waiting[request] = None  # type: ignore[assignment]
    rng = np.random.default_rng(0)
    rgba = rng.integers(0, 255, (SIDE, SIDE, 4), np.uint8)
    while record.route is None:
        time.sleep(0.01)
    for number in range(count):
        record.credit = 1
        began = time.monotonic()
        event = Preview(
            re=request, sid=record.sid, seq=number, rect=(0, 0, SIDE, SIDE), patch=Frame("u1", rgba.shape, rgba.data)
        )
        head = b'{"say":"event","sid":"%s","id":"%s","kind":"preview"}' % (record.sid.encode(), request.encode())
        worker.send_multipart([head, *encode(event)])
        got = decode(client.recv_multipart())
        assert isinstance(got, Preview)
        assert np.frombuffer(got.patch.data, np.uint8)[0] == rgba[0, 0, 0]
        times.append(time.monotonic() - began)
    stop.set()
    loop.join()
    context.destroy(linger=0)
    return times


def _gateway(context: zmq.Context, home: Path) -> tuple[WorkerLink, Doorkeeper, Front, Record, Dispatcher]:
    folder = home / "bare"
    folder.mkdir(mode=0o700)
    link = WorkerLink(context, folder, {})
    door = Doorkeeper(context, {DOMAIN: lambda key: True})
    front = Front(context, load_or_create(folder / "engine.key"), "127.0.0.1")
    record = Record(new_id(), "", folder)
    registry = Registry.__new__(Registry)
    registry._records, registry._desks = {record.sid: record}, {}
    return link, door, front, record, Dispatcher(front, link, registry)


def _connect(context: zmq.Context, link: WorkerLink) -> zmq.Socket:
    socket = context.socket(zmq.DEALER)
    socket.connect(link._settings["endpoint"])
    return socket


def _client(context: zmq.Context, home: Path, front: Front) -> zmq.Socket:
    socket = context.socket(zmq.DEALER)
    socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
    socket.curve_serverkey = load_or_create(home / "bare" / "engine.key").public.encode()
    socket.connect(front.endpoint)
    return socket


def _serve(
    stop: threading.Event, link: WorkerLink, door: Doorkeeper, front: Front, record: Record, dispatcher: Dispatcher
) -> None:
    """Run the gateway's loop for one client."""
    poller = zmq.Poller()
    for socket in (door.socket, front.socket, link.socket):
        poller.register(socket, zmq.POLLIN)
    while not stop.is_set():
        poller.poll(50)
        door.answer()
        incoming = front.receive()
        if incoming is not None:
            record.touch(incoming.route)
        while link.socket.poll(0):
            _, head, *frames = link.socket.recv_multipart()
            import json

            dispatcher.from_worker(json.loads(head), frames)

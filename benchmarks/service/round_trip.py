"""How much the socket adds: a ping there and back, and a preview of 512 x 512 RGBA from the worker to the client."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from multiprocessing.connection import Connection
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
from engine.service.records import Record, Waiting
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

    The stages are the product's own, the gateway's in a process of their own: encode, worker's socket, dispatcher,
    CURVE over loopback, decode. Only the drawing is left out.
    """
    folder, sid, request = home / "bare", new_id(), new_id()
    folder.mkdir(mode=0o700)
    ours, theirs = multiprocessing.Pipe()
    gateway = multiprocessing.Process(target=_serve, args=(folder, sid, request, theirs), daemon=True)
    gateway.start()
    back, front = ours.recv()
    context = zmq.Context()
    worker, client = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
    worker.connect(back)
    client.curve_publickey, client.curve_secretkey = zmq.curve_keypair()
    client.curve_serverkey = load_or_create(folder / "engine.key").public.encode()
    client.connect(front)
    client.send(b"hello")
    ours.recv()  # it has come
    times = [_send_preview(worker, client, sid, request, number) for number in range(count)]
    gateway.terminate()
    gateway.join()
    context.destroy(linger=0)
    return times


def _send_preview(worker: zmq.Socket, client: zmq.Socket, sid: str, request: str, number: int) -> float:
    rgba = np.full((SIDE, SIDE, 4), number % 256, np.uint8)
    began = time.monotonic()
    frame = Frame("u1", rgba.shape, rgba.data)
    event = Preview(re=request, sid=sid, seq=number, rect=(0, 0, SIDE, SIDE), patch=frame)
    head = {"say": "event", "sid": sid, "id": request, "kind": "preview"}
    worker.send_multipart([json.dumps(head).encode(), *(bytes(part) for part in encode(event))])
    got = decode(client.recv_multipart())
    assert isinstance(got, Preview)
    pixels = np.frombuffer(got.patch.data, np.uint8)
    took = time.monotonic() - began
    assert (pixels == number % 256).all()
    return took


def _serve(folder: Path, sid: str, request: str, told: Connection) -> None:
    """Run the gateway's parts for one client who always has credit."""
    context = zmq.Context()
    link = WorkerLink(context, folder, {})
    door = Doorkeeper(context, {DOMAIN: lambda key: True})
    front = Front(context, load_or_create(folder / "engine.key"), "127.0.0.1")
    record = Record(sid, "", folder)
    record.waiting[request] = Waiting([])
    dispatcher = Dispatcher(front, link, {sid: record})  # type: ignore[arg-type]
    told.send((link.socket.getsockopt_string(zmq.LAST_ENDPOINT), front.endpoint))
    poller = zmq.Poller()
    for socket in (door.socket, front.socket, link.socket):
        poller.register(socket, zmq.POLLIN)
    while True:
        poller.poll()
        door.answer()
        incoming = front.receive()
        if incoming is not None:
            record.touch(incoming.route)
            told.send("hello")
        while link.socket.poll(0):
            _, head, *frames = link.socket.recv_multipart()
            record.credit = 4
            dispatcher.from_worker(json.loads(head), frames)

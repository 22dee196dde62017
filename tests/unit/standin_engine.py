"""Stands in for an installed engine where a test needs one that misbehaves; `python -m engine serve` runs this.

What it does is in the file `behaviour` of the data folder: `serve`, `crash`, `hang`, or `deaf` (ignores SIGTERM).
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path

home = Path(os.environ["KRITA_DRAG_HOME"])
behaviour = (home / "behaviour").read_text()
with (home / "starts").open("a") as starts:
    print(json.dumps({"argv": sys.argv[1:], "env": dict(os.environ), "pid": os.getpid()}), file=starts)

if behaviour == "crash":
    print("Traceback of a stand-in", file=sys.stderr)
    sys.exit("libstand.so.1 is missing")
if behaviour == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
lock = (home / "engine" / "lock").open("a")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit("another engine is at work")
if behaviour != "hang":
    connection = {"endpoint": "tcp://127.0.0.1:1", "server_key": "x" * 40, "pid": os.getpid()}
    (home / "engine" / "connection.part").write_text(json.dumps(connection))
    (home / "engine" / "connection.part").rename(home / "engine" / "connection.json")
owner = int(sys.argv[sys.argv.index("--owner") + 1])
while Path(f"/proc/{owner}").exists():
    time.sleep(0.05)

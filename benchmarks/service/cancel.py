"""From `cancel` to `cancelled`, while one artist drags and while four do."""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path
from typing import Any

from krita_drag.wire.messages import Cancel, Progress

from benchmarks.service.running_engine import Talker, running
from benchmarks.service.statistics import jitter, percentiles


def measure(home: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures."""
    count = options.count or 100
    rng = random.Random(options.seed)
    with running(home) as engine:
        talker = Talker(engine)
        alone, steps = cancel_often(talker, 1, count, rng)
        together, steps_together = cancel_often(talker, 4, count, rng)
        talker.close()
    return {
        "timer jitter ms": jitter(),
        "step, one session, ms": percentiles(steps),
        "cancel, one session, ms": percentiles(alone),
        "step, four sessions, ms": percentiles(steps_together),
        "cancel, four sessions, ms": percentiles(together),
    }


def cancel_often(talker: Talker, sessions: int, count: int, rng: random.Random) -> tuple[list[float], list[float]]:
    """Cancel gestures at random moments; returns the latencies and the durations of steps, seconds."""
    sids = [talker.open(seed) for seed in range(sessions)]
    latencies, steps = [], []
    for _ in range(max(1, count // sessions)):
        requests = {talker.press(sid, phase="move", seq=1): sid for sid in sids}
        for request in requests:
            assert talker.hear(kinds=Progress, re=request)
        time.sleep(rng.uniform(0, 0.1))
        for request, sid in requests.items():
            began = time.monotonic()
            talker.say(Cancel(re=request, sid=sid))
            talker.end_of(request)
            latencies.append(time.monotonic() - began)
    steps = [one.step_ms / 1e3 for one in talker.heard if isinstance(one, Progress) and one.step_ms]
    talker.heard.clear()
    return latencies, steps

"""What is done when memory is short: put idle things away, work in smaller pieces, then on the CPU."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from engine.allocator import release_memory
from engine.service.hosted import HostedSession
from engine.service.model_cache import ModelCache

_log = logging.getLogger(__name__)

MOST_IN_MEMORY = 16
IDLE_S = 600.0


def limit_memory(megabytes: int) -> None:
    """Let this process allocate so much more than it has now; beyond that, allocations fail instead of the machine.

    Only where the system has such limits and tells what a process has (Linux).
    """
    try:
        import resource
        from pathlib import Path

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError, ValueError):
        _log.warning("no memory limit on this system")
        return
    most = pages * resource.getpagesize() + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


class MemoryLadder:
    """Makes room, one rung at a time.

    Args:
        models: of the worker.
        sessions: of the worker; read each time.
    """

    def __init__(self, models: ModelCache, sessions: Mapping[str, HostedSession]) -> None:
        self._models, self._sessions = models, sessions

    def make_room(self, hosted: HostedSession) -> str | None:
        """Do the next thing that may help a session whose memory did not suffice.

        Returns:
            What was done, or None when nothing is left to do.
        """
        job = hosted.job
        # once for each request: others may take the room again meanwhile, and it would be made for ever
        if (job is None or not job.made_room) and self._put_idle_away(hosted):
            if job is not None:
                job.made_room = True
            return "idle sessions and models put away"
        if not hosted.frugal:
            hosted.frugal = True
            hosted.notes.append("Memory was short, so the engine worked in smaller pieces, which is slower.")
            release_memory()
            return "smaller pieces"
        if not hosted.on_cpu and self._models.device.type != "cpu":
            hosted.on_cpu = True
            hosted.notes.append("The GPU's memory did not suffice, so the processor did the work, which is slower.")
            release_memory()
            return "on the processor"
        return None

    def put_away(self, now: float) -> None:
        """Let go of sessions that nobody has used for long, or that are more than memory should hold."""
        idle = [one for one in self._sessions.values() if one.job is None and one.model_used() is not None]
        idle.sort(key=lambda one: one.used_at)
        too_many = len(idle) - MOST_IN_MEMORY
        for place, hosted in enumerate(idle):
            if place < too_many or now - hosted.used_at > IDLE_S:
                hosted.leave_memory()

    def _put_idle_away(self, needy: HostedSession) -> bool:
        idle = [
            one
            for one in self._sessions.values()
            if one is not needy and one.job is None and one.model_used() is not None and not one.disk.lacks
        ]
        for hosted in idle:
            hosted.leave_memory()
        used = {name for one in self._sessions.values() if (name := one.model_used()) is not None}
        freed = self._models.free_idle(used)
        _log.info("made room", extra={"sessions": len(idle), "models": freed, "at": time.monotonic()})
        return bool(idle or freed)

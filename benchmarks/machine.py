"""What processes use of this machine, and what others use meanwhile."""

import os
import time
from collections.abc import Iterable, Mapping

import psutil

CORES = psutil.cpu_count() or 1
QUIET_SHARE = 0.08


def tree(pid: int) -> list[psutil.Process]:
    """Return a process and all below it; empty where it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process tree, its ended children included."""
    total = 0.0
    for process in tree(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def pss_mb(pid: int) -> float:
    """Return the proportional memory of a process tree in MiB."""
    total = 0
    for process in tree(pid):
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total / 2**20


class Span:
    """From its making to `stop`: the CPU of some process trees, and of all that is foreign."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._began_s = time.time()
        self._before = self._usage()
        self._busy_s = _busy_s()
        self._ours_s = _ours_s(self._pids.values())

    @property
    def began_s(self) -> float:
        """When it began, in seconds since 1970."""
        return self._began_s

    def stop(self) -> "tuple[dict[str, float], float]":
        """Return CPU seconds by name, and the share of all cores that foreign programs used."""
        after = self._usage()
        used = {name: after[name] - before for name, before in self._before.items()}
        ours_s = _ours_s(self._pids.values()) - self._ours_s
        room_s = max(1e-6, time.time() - self._began_s) * CORES
        return used, round(max(0.0, (_busy_s() - self._busy_s - ours_s) / room_s), 3)

    def _usage(self) -> dict[str, float]:
        return {name: cpu_s(pid) for name, pid in self._pids.items()} | {
            "driver": time.process_time()
        }


def wait_quiet(pids: Iterable[int], timeout_s: float) -> float:
    """Wait until foreign programs use little, for at most `timeout_s`; return their share."""
    pids = dict(enumerate(pids))
    named = {str(number): pid for number, pid in pids.items()}
    until = time.monotonic() + timeout_s
    while True:
        span = Span(named)
        time.sleep(1)
        _, foreign = span.stop()
        if foreign < QUIET_SHARE or time.monotonic() > until:
            return foreign


def _busy_s() -> float:
    times = psutil.cpu_times()
    busy: float = times.user + times.nice + times.system + times.irq + times.softirq
    return busy


def _ours_s(pids: Iterable[int]) -> float:
    """Return the CPU of this process tree and of those named, each process once."""
    own = {process.pid for process in tree(os.getpid())}
    return cpu_s(os.getpid()) + sum(cpu_s(pid) for pid in pids if pid not in own)

"""Memory and processes of the worker's group, read from /proc (other systems: the rlimit alone holds it)."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_ROUNDS, _PAUSE = 20, 0.01
"""How often, and how many seconds apart, those that fork while they are killed are looked for."""


def resident(pid: int) -> int:
    """Bytes of one process in memory that are its own; 0 where that cannot be read."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
        return (int(fields[1]) - int(fields[2])) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


def proportional(pid: int) -> int:
    """Bytes of one process, shared pages counted in part only (slower; tells forked copies apart)."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass  # gone, or not readable: the plain figure serves
    return resident(pid)


def status(process: subprocess.Popen[bytes], patience: float = 0.0) -> int | None:
    """How a process ended, as `Popen.returncode`; None while it lives. It is not reaped: its number stays its own."""
    deadline = time.monotonic() + patience
    while True:
        ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if ended is not None:
            return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.002)


def family(leader: int) -> tuple[int, ...]:
    """The leader, its session and its descendants, as far as they live."""
    parents: dict[int, int] = {}
    members = {leader}
    for pid in _processes():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if fields[0] == "Z":
                continue
            parents[pid] = int(fields[1])
            if int(fields[3]) == leader:
                members.add(pid)
        except (OSError, ValueError, IndexError):
            continue  # it ended while we looked
    grown = True
    while grown:
        new = {pid for pid, parent in parents.items() if parent in members} - members
        members |= new
        grown = bool(new)
    return tuple(sorted(members))


def kill(leader: int, mark: str) -> None:
    """End the worker's process group, whoever of its family has left it, and whoever bears its mark.

    Args:
        leader: the worker.
        mark: an entry of its environment, `NAME=value`, that no other process has.
    """
    stragglers = family(leader)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
    for _ in range(_ROUNDS):
        for pid in stragglers:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        stragglers = _marked(mark)
        if not stragglers:
            return
        time.sleep(_PAUSE)


def _marked(mark: str) -> tuple[int, ...]:
    """Processes that were started with an entry in their environment, and live."""
    found = []
    for pid in _processes():
        try:
            if mark.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:
            continue  # somebody else's, or it has ended
    return tuple(found)


def _processes() -> tuple[int, ...]:
    """All processes; none where there is no /proc."""
    try:
        return tuple(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    except OSError:
        return ()

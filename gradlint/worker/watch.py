"""Memory and processes of the worker's group, read from /proc (other systems: the rlimit alone holds it)."""

import contextlib
import os
import signal
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


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


def family(leader: int) -> tuple[int, ...]:
    """The leader, its session and its descendants."""
    parents: dict[int, int] = {}
    members = {leader}
    try:
        entries = [entry.name for entry in Path("/proc").iterdir()]
    except OSError:
        return (leader,)
    for entry in entries:
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                parents[int(entry)] = int(fields[1])
                if int(fields[3]) == leader:
                    members.add(int(entry))
            except (OSError, ValueError, IndexError):
                continue  # it ended while we looked
    grown = True
    while grown:
        new = {pid for pid, parent in parents.items() if parent in members} - members
        members |= new
        grown = bool(new)
    return tuple(sorted(members))


def kill(leader: int) -> None:
    """End the worker's process group, and whoever of its family has left it."""
    stragglers = family(leader)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
    for pid in stragglers:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)

"""Standard streams that were closed by whoever started the command, or that take nothing more."""

import errno
import os
import sys

_REFUSALS = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EBADF])
_STREAMS = (
    (0, "stdin", "r", os.O_WRONLY),
    (1, "stdout", "w", os.O_RDONLY),
    (2, "stderr", "w", os.O_WRONLY),
)
"""Descriptor, name, direction, and how its stand-in is opened: what is read or printed fails, messages go nowhere."""


def reopen() -> None:
    """Put something in the place of closed streams: the next file that is opened would get their numbers."""
    for descriptor, name, direction, access in _STREAMS:
        try:
            os.fstat(descriptor)
        except OSError:
            _occupy(descriptor, access)
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, direction, encoding="utf-8", closefd=False))  # noqa: SIM115


def give_up(descriptor: int) -> None:
    """Let what is still to be written vanish, and keep Python from trying again at exit."""
    _occupy(descriptor, os.O_WRONLY)


def show(text: str) -> None:
    """Print on stdout, in UTF-8 where a locale knows less; a reader that has left (`| head`) is no error.

    Raises:
        OSError: it takes nothing more.
    """
    try:
        sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.flush()
    except BrokenPipeError:
        give_up(sys.stdout.fileno())


def is_refusal(error: OSError) -> bool:
    """Whether a stream took nothing more (a full disk, a closed descriptor)."""
    return error.errno in _REFUSALS


def _occupy(descriptor: int, access: int) -> None:
    opened = os.open(os.devnull, access)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)

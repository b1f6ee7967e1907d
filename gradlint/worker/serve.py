"""The worker's side: read a request, run the pipeline on it, answer; over and over."""

import contextlib
import ctypes
import faulthandler
import gc
import os
import random
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

from gradlint.worker.messages import (
    HEADER,
    Analyse,
    Message,
    Ready,
    Request,
    Result,
    Stage,
    Table,
    decode_request,
    encode,
)

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def serve(requests: int, answers: int, traces: int, memory: int) -> None:
    """Serve until the parent closes its end.

    Args:
        requests: descriptor to read requests from.
        answers: descriptor to write answers to.
        traces: descriptor for the stack of a crash, or of a stuck process when it is asked by SIGUSR1.
        memory: bytes that each request may take on top of what the process takes when it comes.
    """
    owner = os.getpid()
    _shield(requests, answers, traces)
    gc.disable()  # importing torch makes a million objects that stay: looking through them costs a sixth of the import
    import torch

    from gradlint import registry
    from gradlint.worker import analysis
    from gradlint.worker.tampering import Fingerprint

    gc.freeze()
    gc.enable()
    sys.dont_write_bytecode = True  # a linter leaves no files beside the user's
    sys.path.append(os.getcwd())  # noqa: PTH109 (Path.cwd() would resolve links that the user's imports may need)
    registry.load()  # before a stranger's code can clear the path that the packs are found on
    fingerprint = Fingerprint()
    channel = _Channel(requests, answers, owner)
    channel.send(Ready(str(torch.__version__)))
    while (request := channel.receive()) is not None:
        with _steady(request.folder if isinstance(request, Analyse) else ""), _limited(memory):
            answer = _answer(analysis, request, channel.stage)
        is_spoilt = fingerprint.has_changed()
        if is_spoilt:
            channel.refuse_more()
        channel.send(answer)
        if is_spoilt:
            break
    os._exit(0)  # nothing of the user's is to run any more, and tearing torch down costs time


def _answer(analysis: Any, request: Request, on_stage: Callable[[str], None]) -> Message:
    if isinstance(request, Analyse):
        result = analysis.analyse(request.target, request.source, request.settings, on_stage=on_stage)
        return Result(result, request.number)
    table, skipped = analysis.tabulate(
        request.target, request.source, request.settings, measured=request.measured, on_stage=on_stage
    )
    return Table(table, skipped, request.number)


class _Channel:
    """Messages over two descriptors. A forked child of the user's that comes back here ends here."""

    def __init__(self, requests: int, answers: int, owner: int) -> None:
        self._requests = requests
        self._answers = answers
        self._owner = owner

    def send(self, message: Message) -> None:
        self._only_owner()
        view = memoryview(encode(message))
        while view:
            view = view[os.write(self._answers, view) :]

    def stage(self, name: str) -> None:
        self.send(Stage(name))

    def receive(self) -> Request | None:
        self._only_owner()
        header = self._read(HEADER.size)
        if len(header) < HEADER.size:
            return None
        (length,) = HEADER.unpack(header)
        return decode_request(self._read(length))

    def refuse_more(self) -> None:
        """Let the parent's next request fail, so that it starts another process: this one has been tampered with."""
        os.close(self._requests)

    def _read(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            chunk = os.read(self._requests, count - len(parts))
            if not chunk:
                break
            parts += chunk
        return bytes(parts)

    def _only_owner(self) -> None:
        if os.getpid() != self._owner:
            os._exit(0)


def _shield(requests: int, answers: int, traces: int) -> None:
    """Keep the channel from the user's children, leave no core dump and no orphan, and make crashes tell their line."""
    for descriptor in (requests, answers, traces):
        os.set_inheritable(descriptor, False)
    os.register_at_fork(after_in_child=lambda: _close(requests, answers))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable(traces, all_threads=False)
    faulthandler.register(signal.SIGUSR1, traces, all_threads=False)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # whose parent is gone becomes our child, and stays known
    _tell_before_dying(traces)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _tell_before_dying(traces: int) -> None:
    """`os._exit` and `os.kill` leave no trace of their own: write the stack down first."""
    owner = os.getpid()

    def telling(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if os.getpid() == owner and (name == "_exit" or owner in arguments):
                faulthandler.dump_traceback(traces, all_threads=False)
            return original(*arguments)

        return call

    os._exit = telling("_exit", os._exit)
    os.kill = telling("kill", os.kill)


@contextlib.contextmanager
def _limited(memory: int) -> Iterator[None]:
    """Let allocations fail, with a Python error at the user's line, before the watchdog has to kill."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with contextlib.suppress(OSError, ValueError):
        with open("/proc/self/status") as status:  # noqa: PTH123 (read once; pathlib would only be longer)
            taken = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:"))
        resource.setrlimit(resource.RLIMIT_DATA, (taken + memory, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):  # a file may have lowered the hard limit: a new process then
            resource.setrlimit(resource.RLIMIT_DATA, before)


@contextlib.contextmanager
def _steady(elsewhere: str) -> Iterator[None]:
    """Every target starts from the same random state and defaults, whatever the one before it did to the process.

    Args:
        elsewhere: the folder to run in, which takes the place of the worker's own; an empty text for that one.
    """
    import torch

    folder = os.getcwd()  # noqa: PTH109
    path = list(sys.path)
    environment = dict(os.environ)
    dtype = torch.get_default_dtype()
    random.seed(0)
    torch.manual_seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    try:
        if elsewhere:
            os.chdir(elsewhere)
            sys.path[:] = [elsewhere if entry == folder else entry for entry in path]
        yield
    finally:
        torch.set_grad_enabled(True)
        torch.set_default_dtype(dtype)
        torch.set_default_device(None)
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(environment)
        with contextlib.suppress(OSError):
            os.chdir(folder)

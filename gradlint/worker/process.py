"""The parent's side of the worker: start it, ask it, hold it to its limits, start it anew after a death."""

import contextlib
import fcntl
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from typing import NoReturn

import msgspec

from gradlint.core.errors import AnalysisError, GradlintError
from gradlint.core.target import Target
from gradlint.worker import crash, watch
from gradlint.worker.environment import scrubbed
from gradlint.worker.messages import (
    HEADER,
    LARGEST_MESSAGE,
    Analyse,
    Message,
    Ready,
    Request,
    Result,
    Stage,
    Table,
    decode_message,
    encode,
)

START_LIMIT = 300.0
"""Seconds within which torch must have been imported."""
KEPT_OUTPUT = 16 * 1024
MOST_PROCESSES = 256
_MARK = "_GRADLINT_WORKER"
"""In the environment of a worker and of whatever it starts, with a value of its own: how strays are found."""
_NUMBER_BITS = 62
"""Of a request's number, which nobody can guess who has not been asked: a file cannot answer for the next ones."""
_MOST_KEPT = 0.25
"""Of the memory that a model may take, what those before it may have left behind; it has the whole on top of that."""
_TICK = 0.1
_FAMILY_EVERY = 5
"""The whole family is looked at every so many ticks, its leader at each."""


class Worker:
    """One warm process that serves many targets. Not for use by two threads at once."""

    def __init__(self, *, timeout: float, memory: int) -> None:
        """`timeout` in seconds, `memory` in bytes beyond what the process takes when it is asked."""
        self._timeout = timeout
        self._memory = memory
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self._output = b""
        self._trace = b""
        self._stage = "start"
        self._mark = ""
        self._ready = self._baseline = 0
        self._requests = self._answers = self._prints = self._traces = -1

    def ask(self, request: Request) -> Result | Table:
        """The answer to a request.

        Raises:
            AnalysisError: time or memory ran out, the process died, or it answered nonsense; the next request gets a
                new process.
            GradlintError: the process cannot even start.
        """
        if self._process is None:
            self._start()
        self._stage = "import"
        self._output = self._trace = b""
        wanted = Result if isinstance(request, Analyse) else Table
        request = msgspec.structs.replace(request, number=secrets.randbits(_NUMBER_BITS))
        self._send(request)
        deadline = time.monotonic() + self._timeout
        while True:
            message = self._next(request.target, deadline)
            if isinstance(message, Stage) and message.name in crash.DOING:
                self._stage = message.name
            elif (
                isinstance(message, Result | Table) and isinstance(message, wanted) and message.number == request.number
            ):
                return message
            else:
                self._abandon(crash.talked_nonsense(request.target, self._stage, "an answer to another question"))

    def tidy(self) -> None:
        """End the process where it has left processes or much memory behind: the next request gets a new one."""
        has_left = self._process is not None and len(watch.family(self._process.pid)) > 1
        if has_left or self._kept() > self._memory * _MOST_KEPT:
            self._bury()

    def _kept(self) -> int:
        """Bytes that the models so far have left behind."""
        return max(0, watch.resident(self._process.pid) - self._ready) if self._process is not None else 0

    def close(self) -> None:
        """End the process and everything that it has started. It has nothing of its own to finish."""
        self._bury()

    def _start(self) -> None:
        request_read, self._requests = _pipe()
        self._answers, answer_write = _pipe()
        self._prints, print_write = _pipe()
        self._traces, trace_write = _pipe()
        given = (request_read, answer_write, trace_write)
        self._mark = f"{_MARK}={secrets.token_hex(16)}"
        command = [sys.executable, "-P", "-m", "gradlint.worker", *map(str, given), str(self._memory)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=print_write,
                stderr=print_write,
                env={**scrubbed(os.environ), _MARK: self._mark.partition("=")[2]},
                pass_fds=given,
                start_new_session=True,
            )
        except OSError as error:
            for descriptor in (self._requests, self._answers, self._prints, self._traces):
                os.close(descriptor)
            raise GradlintError(f"cannot start {sys.executable}: {error.strerror}") from error
        finally:
            for descriptor in (*given, print_write):
                os.close(descriptor)
        for descriptor in (self._answers, self._prints, self._traces):
            os.set_blocking(descriptor, False)
        self._buffer = self._output = self._trace = b""
        self._stage = "start"
        try:
            message = self._next(Target(path="", name="", line=1), time.monotonic() + START_LIMIT)
        except AnalysisError as error:
            reason = f"the process that runs user code could not start: {error.message}"
            remedy = f"try it alone: {sys.executable} -P -m gradlint.worker"
            raise GradlintError(reason, remedy=remedy) from error
        if not isinstance(message, Ready):
            self._bury()
            raise GradlintError("the process that runs user code did not say that it is ready")
        self._ready = watch.resident(self._process.pid)

    def _send(self, request: Request) -> None:
        """Write a request; a worker that died since its last answer is replaced once."""
        for attempt in (1, 2):
            self._baseline = self._ready + self._kept()
            view = memoryview(encode(request))
            try:
                while view:
                    view = view[os.write(self._requests, view) :]
                return
            except BrokenPipeError:
                self._bury()
                if attempt == 2:
                    raise GradlintError("the process that runs user code keeps dying before it is asked") from None
                self._start()
                self._stage = "import"

    def _next(self, target: Target, deadline: float) -> Message:
        """The next message; kills the process and raises AnalysisError where none can come."""
        assert self._process is not None
        ticks = 0
        next_look = time.monotonic() + _TICK
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        poll.register(self._prints, select.POLLIN)
        prints_open = True
        while True:
            message = self._take(target)
            if message is not None:
                return message
            now = time.monotonic()
            if now >= deadline:
                self._abandon(crash.timed_out(target, self._stage, self._timeout, self._ask_where()))
            if now >= next_look:
                ticks += 1
                next_look = now + _TICK
                self._look(target, everyone=ticks % _FAMILY_EVERY == 0)
            wait = max(0.0, min(next_look, deadline) - now)
            for descriptor, _ in poll.poll(wait * 1000 + 1):
                if descriptor == self._prints:
                    prints_open = prints_open and self._drain_prints()
                    if not prints_open:
                        poll.unregister(self._prints)
                elif not self._drain_answers():
                    self._mourn(target)

    def _take(self, target: Target) -> Message | None:
        """One whole message out of the buffer."""
        if len(self._buffer) < HEADER.size:
            return None
        (length,) = HEADER.unpack_from(self._buffer)
        if length > LARGEST_MESSAGE:
            self._abandon(crash.talked_nonsense(target, self._stage, "a message without end"))
        end = HEADER.size + length
        if len(self._buffer) < end:
            return None
        body, self._buffer = self._buffer[HEADER.size : end], self._buffer[end:]
        try:
            return decode_message(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._abandon(crash.talked_nonsense(target, self._stage, str(error)[:200]))

    def _look(self, target: Target, *, everyone: bool) -> None:
        """Hold the process, or its whole family, to the memory limit."""
        assert self._process is not None
        allowed = self._memory + self._baseline
        leader = self._process.pid
        if _status(self._process) is not None:
            self._mourn(target)
        if watch.resident(leader) > allowed:
            self._abandon(crash.too_large(target, self._stage, self._memory, self._ask_where()))
        if not everyone:
            return
        members = watch.family(leader)
        if len(members) > MOST_PROCESSES:
            trace = self._ask_where()
            self._abandon(crash.too_many_processes(target, self._stage, len(members), trace))
        crowded = len(members) > 1 and sum(map(watch.resident, members)) > allowed
        if crowded and sum(map(watch.proportional, members)) > allowed:
            self._abandon(crash.too_large(target, self._stage, self._memory, self._ask_where()))

    def _ask_where(self) -> str:
        """Make the worker write down its stack (faulthandler answers SIGUSR1), and read that."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGUSR1)
        ready, _, _ = select.select([self._traces], [], [], 0.5)
        if ready:
            time.sleep(0.02)  # it is written frame by frame
        return self._read_trace()

    def _mourn(self, target: Target) -> NoReturn:
        """The answers' end has been closed: tell how the process ended."""
        assert self._process is not None
        status = _status(self._process, patience=0.5)
        if status is None:
            self._abandon(crash.talked_nonsense(target, self._stage, "it was closed"))
        self._drain_prints()
        output = self._output.decode("utf-8", "replace")
        self._abandon(crash.died(target, self._stage, status, self._read_trace(), output))

    def _drain_prints(self) -> bool:
        """Keep the end of what the worker prints; False once nobody can print any more."""
        with contextlib.suppress(BlockingIOError):
            chunk = os.read(self._prints, 1 << 16)
            self._output = (self._output + chunk)[-KEPT_OUTPUT:]
            return bool(chunk)
        return True

    def _drain_answers(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            chunk = os.read(self._answers, 1 << 20)
            self._buffer += chunk
            return bool(chunk)
        return True

    def _read_trace(self) -> str:
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._traces, 1 << 16):
                self._trace += chunk
        return self._trace.decode("utf-8", "replace")

    def _abandon(self, error: AnalysisError) -> NoReturn:
        self._bury()
        raise error

    def _bury(self) -> None:
        """Kill the whole family while the leader's number is still its own, then reap it."""
        process, self._process = self._process, None
        if process is None:
            return
        watch.kill(process.pid, self._mark)
        process.wait()
        for descriptor in (self._requests, self._answers, self._prints, self._traces):
            os.close(descriptor)


def _pipe() -> tuple[int, int]:
    """Both ends of a pipe, clear of the standard streams' numbers, which a process whose own are closed would get."""
    ends = os.pipe()
    read, write = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3) if end < 3 else end for end in ends)
    for end in ends:
        if end < 3:
            os.close(end)
    return read, write


def _status(process: subprocess.Popen[bytes], patience: float = 0.0) -> int | None:
    """How a process ended, as `Popen.returncode`; None while it lives. It is not reaped: its number stays its own."""
    deadline = time.monotonic() + patience
    while True:
        ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if ended is not None:
            return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.002)

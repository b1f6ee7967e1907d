"""What a dead or stuck worker leaves behind: the reason in words, and the line of the user's file that it was on."""

import re
import signal

from gradlint.core.errors import AnalysisError
from gradlint.core.location import Location
from gradlint.core.target import Target

_FRAME = re.compile(r'^\s*File "(?P<path>[^"]+)", line (?P<line>\d+) in (?P<name>.+)$', re.MULTILINE)
DOING = {
    "start": "starting",
    "import": "importing the file",
    "build": "building the model",
    "feed": "looking for example inputs",
    "trace": "running its forward",
    "propagate": "predicting the flow",
    "rules": "running the rules",
    "probe": "running the real backward pass",
}


def place(trace: str, target: Target) -> Location:
    """Innermost frame of a faulthandler trace that lies in the checked file; the class line where there is none."""
    for frame in _FRAME.finditer(trace):
        if frame["path"] == target.path:
            return Location(target.path, int(frame["line"]), context=frame["name"])
    return Location(target.path, max(1, target.line))


def timed_out(target: Target, stage: str, seconds: float, trace: str) -> AnalysisError:
    """The model took too long."""
    where = place(trace, target)
    return AnalysisError(
        f"{_doing(stage)} took more than {seconds:g} s and was stopped",
        stage=stage,
        location=where,
        remedy=f"an endless loop? If it is only slow: gradlint check --timeout {3 * seconds:g}",
    )


def too_large(target: Target, stage: str, limit: int, trace: str) -> AnalysisError:
    """The model took too much memory."""
    return AnalysisError(
        f"{_doing(stage)} needed more than {limit / 2**30:g} GiB of memory and was stopped",
        stage=stage,
        location=place(trace, target),
        remedy=f"if it is meant to be that large: gradlint check --memory {2 * limit / 2**30:g}",
    )


def too_many_processes(target: Target, stage: str, count: int, trace: str) -> AnalysisError:
    """The model's code started process after process."""
    return AnalysisError(
        f"{_doing(stage)} started {count} processes and was stopped",
        stage=stage,
        location=place(trace, target),
        remedy='move the code that starts processes under `if __name__ == "__main__":`',
    )


def died(target: Target, stage: str, status: int, trace: str, output: str) -> AnalysisError:
    """The process ended without an answer; `status` is as `Popen.returncode` (negative: killed by that signal)."""
    if status < 0:
        how = f"{_doing(stage)} killed the process ({_signal_name(-status)})"
    else:
        how = f"{_doing(stage)} ended the process (exit status {status})"
    said = last_line(output)
    return AnalysisError(
        f"{how}; the last it printed was: {said}" if said else how,
        stage=stage,
        location=place(trace, target),
        remedy="an extension that crashes, or os._exit / os.kill: guard that line while the model is only built",
    )


def talked_nonsense(target: Target, stage: str, detail: str) -> AnalysisError:
    """The process answered with something that is no answer."""
    return AnalysisError(
        f"{_doing(stage)} disturbed gradlint's own channel ({detail})",
        stage=stage,
        location=place("", target),
        remedy="does the file write to file descriptors that it did not open?",
    )


def last_line(output: str) -> str:
    """The last line that says something, shortened."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def _doing(stage: str) -> str:
    return DOING.get(stage, stage)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

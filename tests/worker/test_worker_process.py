"""The worker as a process: warm, held to its limits, replaced after a death, and gone at the end."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradlint.core.errors import AnalysisError
from gradlint.core.target import Target
from gradlint.worker import process, watch
from gradlint.worker.messages import Analyse, Result, Settings, Table, Tabulate, TargetResult, encode
from gradlint.worker.process import Worker

HEALTHY = """
import os
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        {body}
        self.layer = nn.Linear(8, 2)

    def forward(self, x):
        return self.layer(x)
"""


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker(timeout=20, memory=2**30)
    yield made
    made.close()


def ask(worker: Worker, folder: Path, body: str = "pass", name: str = "model.py") -> Result:
    path = folder / name
    path.write_text(HEALTHY.format(body=body))
    target = Target(path=str(path), name="Net", line=5)
    answer = worker.ask(Analyse(target, path.read_text(), Settings(())))
    assert isinstance(answer, Result)
    return answer


def pid_of(worker: Worker) -> int:
    assert worker._process is not None
    return worker._process.pid


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_gone(pid: int) -> bool:
    """Whether a process has ended, or does so now."""
    deadline = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_alive(pid)


def test_one_process_serves_many_files_and_a_death_costs_one_model_only(worker: Worker, tmp_path: Path) -> None:
    first = ask(worker, tmp_path)
    assert first.result.summary is not None
    assert first.result.summary.parameters == 18
    pid = pid_of(worker)
    assert ask(worker, tmp_path, name="other.py").result.summary is not None
    assert pid_of(worker) == pid
    with pytest.raises(AnalysisError) as caught:
        ask(worker, tmp_path, "os._exit(7)")
    assert "exit status 7" in caught.value.message
    assert caught.value.location is not None
    assert caught.value.location.line == 8
    assert not is_alive(pid)
    assert ask(worker, tmp_path).result.summary is not None
    assert pid_of(worker) != pid


HOARD = "nn.Linear.kept = getattr(nn.Linear, 'kept', ()) + (b'x' * ({mebibytes} * 2**20),)"


def test_each_model_has_the_whole_of_its_memory_whatever_those_before_it_left_behind(tmp_path: Path) -> None:
    """Else it would depend on the number of workers which model is said to be too large."""
    worker = Worker(timeout=20, memory=2**29)
    try:
        pids = []
        for _ in range(4):
            assert ask(worker, tmp_path, HOARD.format(mebibytes=200)).result.summary is not None
            pids.append(pid_of(worker))
        assert len(set(pids)) == 1
        assert watch.resident(pids[0]) > 4 * 200 * 2**20
        (skipped,) = ask(worker, tmp_path, HOARD.format(mebibytes=600)).result.skipped
        assert "needs more than" in skipped.reason
        worker.tidy()
        assert is_gone(pids[0])
        assert ask(worker, tmp_path).result.summary is not None
        worker.tidy()
        pid = pid_of(worker)
        assert is_alive(pid)
        assert ask(worker, tmp_path).result.summary is not None
        assert pid_of(worker) == pid
    finally:
        worker.close()


def test_children_are_gone_when_the_worker_is(worker: Worker, tmp_path: Path) -> None:
    noted = tmp_path / "child"
    body = f"""
        import subprocess
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        open({str(noted)!r}, "w").write(str(child.pid))
"""
    assert ask(worker, tmp_path, body.strip()).result.summary is not None
    child = int(noted.read_text())
    leader = pid_of(worker)
    assert child in watch.family(leader)
    worker.close()
    assert is_gone(child)
    assert not is_alive(leader)


STRAY = """
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                {disguise}
                open({noted!r}, "w").write(str(os.getpid()))
                import time; time.sleep(600)
            os._exit(0)
        import time
        while not os.path.exists({noted!r}): time.sleep(0.01)
        {end}
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and prctl")
@pytest.mark.parametrize(
    ("disguise", "end"),
    [
        ("pass", "pass"),
        ("pass", "os.kill(os.getpid(), 9)"),
        ("os.execve('/bin/sh', ['sh', '-c', f'echo $$ > {noted}; exec sleep 600'], {{}})", "time.sleep(0.2)"),
    ],
    ids=["worker-lives", "worker-dies", "other-environment"],
)
def test_grandchildren_of_their_own_session_are_gone_after_their_file(
    worker: Worker, tmp_path: Path, disguise: str, end: str
) -> None:
    noted = str(tmp_path / "stray")
    body = STRAY.format(disguise=disguise.replace("{noted}", noted).replace("{{}}", "{}"), noted=noted, end=end)
    with contextlib.suppress(AnalysisError):
        ask(worker, tmp_path, body.strip())
    worker.tidy()
    assert is_gone(int(Path(noted).read_text()))
    assert ask(worker, tmp_path, name="next.py").result.summary is not None
    pid = pid_of(worker)
    worker.tidy()
    assert pid_of(worker) == pid


def test_process_after_process_is_stopped(worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MOST_PROCESSES", 8)
    body = 'import subprocess, time; self.c = [subprocess.Popen(["sleep", "60"]) for _ in range(12)]; time.sleep(60)'
    with pytest.raises(AnalysisError, match=r"started 13 processes and was stopped"):
        ask(worker, tmp_path, body)


def test_secrets_stay_with_the_parent(worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HARMLESS", "kept")
    worker.close()
    seen = ask(worker, tmp_path, "raise RuntimeError(f\"{os.environ.get('HF_TOKEN')} {os.environ.get('HARMLESS')}\")")
    (skipped,) = seen.result.skipped
    assert "RuntimeError: None kept" in skipped.reason


def test_what_one_model_changes_the_next_one_does_not_see(worker: Worker, tmp_path: Path) -> None:
    spoil = "import torch, sys; os.chdir('/'); os.environ['SPOILED'] = '1'; torch.set_grad_enabled(False); "
    spoil += "torch.set_default_dtype(torch.float64); sys.path.insert(0, '/spoiled')"
    ask(worker, tmp_path, spoil)
    ask(worker, tmp_path, "import torch, sys; raise RuntimeError(f\"{os.getcwd()} {os.environ.get('SPOILED')}\")")
    look = "import torch, sys; raise RuntimeError(str(["
    look += "os.getcwd(), 'SPOILED' in os.environ, torch.is_grad_enabled(), torch.get_default_dtype(), "
    look += "'/spoiled' in sys.path]))"
    (skipped,) = ask(worker, tmp_path, look).result.skipped
    assert str([str(Path.cwd()), False, True]).rstrip("]") + ", torch.float32, False]" in skipped.reason


@pytest.mark.parametrize(
    "spoil",
    [
        "import signal; signal.signal(signal.SIGALRM, lambda *_: 1 / 0); signal.setitimer(signal.ITIMER_REAL, 9, 9)",
        "import threading, time; threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
        "import torch; torch.nn.functional.gelu = None",
        "from torch import nn; nn.Conv2d.forward = lambda *_: 1 / 0",
        "import sys; sys.modules['json'] = None",
        "import sys; sys.stdout = None",
        "from torch import nn; nn.modules.module.register_module_forward_hook(lambda *_: None)",
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))",
    ],
    ids=["timer", "thread", "function", "method", "module", "stream", "hook", "limit"],
)
def test_a_process_that_was_tampered_with_is_not_used_again(worker: Worker, tmp_path: Path, spoil: str) -> None:
    assert ask(worker, tmp_path, spoil).result.summary is not None
    spoilt = pid_of(worker)
    assert ask(worker, tmp_path, name="next.py").result.summary is not None
    pid = pid_of(worker)
    assert pid != spoilt
    assert ask(worker, tmp_path, "import torch; torch.set_default_dtype(torch.float64)").result.summary is not None
    assert ask(worker, tmp_path, name="next.py").result.summary is not None
    assert pid_of(worker) == pid


def test_the_wrapper_that_torchs_compiler_puts_around_a_function_is_no_tampering(
    worker: Worker, tmp_path: Path
) -> None:
    """Large models make torch import it: each would cost the start of another process."""
    assert (
        ask(worker, tmp_path, "import torch._dynamo; assert torch.manual_seed.__wrapped__").result.summary is not None
    )
    pid = pid_of(worker)
    assert ask(worker, tmp_path, name="next.py").result.summary is not None
    assert pid_of(worker) == pid


def test_nobody_can_answer_for_the_next_file(worker: Worker, tmp_path: Path) -> None:
    forged = encode(Result(TargetResult()))
    body = "import contextlib\n        for fd in range(3, 40):\n            with contextlib.suppress(OSError):\n"
    body += f"                os.write(fd, {forged!r})"
    with pytest.raises(AnalysisError, match=r"disturbed gradlint's own channel \(an answer to another question\)"):
        ask(worker, tmp_path, body)
    summary = ask(worker, tmp_path, name="next.py").result.summary
    assert summary is not None
    assert summary.path.endswith("next.py")


def test_an_interrupt_of_the_users_own_is_told_with_its_line(worker: Worker, tmp_path: Path) -> None:
    (skipped,) = ask(worker, tmp_path, "raise KeyboardInterrupt").result.skipped
    assert (skipped.reason, skipped.line) == ("it raised KeyboardInterrupt", 8)


def test_an_exception_without_a_text_is_still_named(worker: Worker, tmp_path: Path) -> None:
    body = "raise type('Odd', (Exception,), {'__str__': lambda self: os._exit(3) if not self.args else 1 / 0})(1)"
    (skipped,) = ask(worker, tmp_path, body).result.skipped
    assert "Odd: (its text cannot be had: ZeroDivisionError)" in skipped.reason


def test_rules_are_found_though_the_file_clears_the_path(worker: Worker, tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(HEALTHY.format(body="import sys; sys.path.clear()"))
    worker.close()
    answer = worker.ask(Analyse(Target(path=str(path), name="Net", line=5), path.read_text(), Settings(("GL101",))))
    assert isinstance(answer, Result)
    assert answer.result.skipped == ()


def test_the_same_weights_whatever_came_before(worker: Worker, tmp_path: Path) -> None:
    look = "import torch; raise RuntimeError(str(torch.rand(1).item()))"
    first = ask(worker, tmp_path, look).result.skipped[0].reason
    ask(worker, tmp_path, "import torch; torch.rand(100)", "between.py")
    assert ask(worker, tmp_path, look).result.skipped[0].reason == first


def test_the_flow_as_a_table(worker: Worker, tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(HEALTHY.format(body="pass"))
    request = Tabulate(Target(path=str(path), name="Net", line=5), path.read_text(), Settings(()), measured=True)
    answer = worker.ask(request)
    assert isinstance(answer, Table)
    assert answer.table is not None
    (row,) = answer.table.layers
    assert (row.path, row.class_name, row.calls) == ("layer", "Linear", 1)
    assert row.predicted is not None and row.measured is not None
    assert row.predicted.gradient_rms == pytest.approx(1.0, rel=0.01)
    assert row.measured.gradient_rms == pytest.approx(1.0, rel=0.5)

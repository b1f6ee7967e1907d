"""`gradlint check` as its users meet it."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., "subprocess.CompletedProcess[str]"]
COMMAND = str(Path(sys.executable).with_name("gradlint"))


def test_a_finding_exits_1_and_shows_its_line(run: Run, model: Path) -> None:
    done = run("check", "model.py", "--select", "TST101", cwd=model.parent)
    assert done.returncode == 1
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "error[TST101]: sure-thing  Net: layer is wide"
    assert lines[1].startswith(" --> model.py:7:")
    assert lines[3] == "7 |         self.layer = nn.Linear(8, 2)"
    assert lines[4].endswith("here")
    assert "  = predicted: too wide" in lines
    assert "Found 1 error in 1 model (1 file)." in lines


def test_what_to_fail_on_as_key_and_value(run: Run, model: Path) -> None:
    done = run("check", "model.py", "--select", "TST101", "--config", 'fail-on = "never"', cwd=model.parent)
    assert done.returncode == 0, done.stderr
    assert "error[TST101]" in done.stdout


def test_concise_into_a_file_and_exit_zero(run: Run, model: Path) -> None:
    arguments = ["--select", "sure-thing", "--output-format", "concise", "-o", "out.txt", "--exit-zero"]
    done = run("check", *arguments, cwd=model.parent)
    assert (done.returncode, done.stdout) == (0, "")
    first, second = (model.parent / "out.txt").read_text().splitlines()
    assert first.startswith("model.py:7:")
    assert first.endswith(": error[TST101] sure-thing Net: layer is wide")
    assert second == "Found 1 error in 1 model (1 file)."


def test_comments_silence_and_idle_ones_are_told(run: Run, model: Path) -> None:
    silenced = model.read_text().replace("nn.Linear(8, 2)", "nn.Linear(8, 2)  # gradlint: ignore[TST101] meant")
    model.write_text(silenced.replace("self.layer(x)", "self.layer(x)  # gradlint: ignore[sure-thing]"))
    done = run("check", "--extend-select", "TST101", "--output-format", "json", cwd=model.parent)
    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert [(f["code"], f["line"]) for f in document["findings"]] == [("GL002", 10)]
    assert document["summary"]["suppressed"] == 1


def test_severities_ignores_and_overrides_of_the_configuration(run: Run, model: Path) -> None:
    (model.parent / "gradlint.toml").write_text(
        'extend-select = ["TST101"]\n'
        "[severity]\n"
        'sure-thing = "info"\n'
        "[per-file-ignores]\n"
        '"legacy/*.py" = ["TST1"]\n'
        "[[overrides]]\n"
        'rule = "TST101"\n'
        'model = "Other"\n'
        'reason = "it is meant"\n'
    )
    for name in ("legacy/old.py", "other.py"):
        (model.parent / name).parent.mkdir(exist_ok=True)
        (model.parent / name).write_text(model.read_text().replace("Net", Path(name).stem.title()))
    done = run("check", "--output-format", "json", cwd=model.parent)
    document = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert [(f["code"], f["severity"], f["path"]) for f in document["findings"]] == [("TST101", "info", "model.py")]
    assert [(item["by"], item["reason"]) for item in document["suppressed"]] == [
        ("override", "it is meant"),
        ("per-file-ignores", '"legacy/*.py"'),
    ]
    (model.parent / "other.py").unlink()
    done = run("check", "--output-format", "concise", cwd=model.parent)
    assert done.returncode == 1
    assert 'gradlint.toml:6:1: warning[GL002] unused-ignore the override of TST101 (model "Other")' in done.stdout


def test_standard_input_with_settings_of_the_environment(run: Run, model: Path) -> None:
    text = model.read_text()
    model.unlink()
    arguments = ["-", "--stdin-filename", "pkg/net.py"]
    done = run("check", *arguments, cwd=model.parent, stdin=text, GRADLINT_SELECT="TST101")
    assert done.returncode == 1
    assert " --> pkg/net.py:7:" in done.stdout
    assert "self.layer = nn.Linear(8, 2)" in done.stdout


def test_verbose_says_why_nothing_fired(run: Run, model: Path) -> None:
    arguments = ["-v", "--select", "TST101", "--config", "rules.sure-thing.width = 9"]
    done = run("check", *arguments, cwd=model.parent)
    assert done.returncode == 0
    assert "did not fire: sure-thing: no layer wider than 9" in done.stdout
    assert "All clear: 1 model checked." in done.stdout


def test_the_probe_is_run_where_it_is_asked_for(run: Run, model: Path) -> None:
    done = run("check", "--probe", "-v", "--select", "TST101", cwd=model.parent)
    assert done.returncode == 1
    assert "probed: yes" in done.stdout


def test_no_torch_for_help_rules_settings_and_files_without_a_model(run: Run, tmp_path: Path) -> None:
    (tmp_path / "stubs").mkdir()
    (tmp_path / "stubs" / "torch.py").write_text("raise SystemExit('torch was imported')\n")
    (tmp_path / "empty.py").write_text("x = 1\n")
    (tmp_path / "torchless.py").write_text("import torch\nx = torch.ones(1)\n")
    path = os.pathsep.join(filter(None, [str(tmp_path / "stubs"), os.environ.get("PYTHONPATH", "")]))
    for arguments in (["--help"], ["check", "--help"], ["--version"], ["rule", "--all"], ["config"], ["check", "."]):
        done = run(*arguments, cwd=tmp_path, PYTHONPATH=path)
        assert done.returncode == 0, (arguments, done.stderr)
        assert "torch was imported" not in done.stdout + done.stderr


def test_help_says_that_files_are_run(run: Run, tmp_path: Path) -> None:
    assert "RUNS its definitions" in run("--help", cwd=tmp_path).stdout
    assert "RUNS the definitions" in run("check", "--help", cwd=tmp_path).stdout


def test_a_reader_that_leaves_early_is_no_error(model: Path) -> None:
    process = subprocess.Popen([COMMAND, "rule", "--all"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() == 0
    assert "BrokenPipe" not in errors


def on_a_terminal(arguments: list[str], folder: Path, **environment: str) -> str:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [COMMAND, *arguments],
        cwd=folder,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", **environment},
    ) as process:
        os.close(theirs)
        said = b""
        try:
            while chunk := os.read(ours, 4096):
                said += chunk
        except OSError:  # the other end of a terminal is closed with an error
            pass
        process.wait()
    os.close(ours)
    return said.decode()


def test_colours_on_terminals_only(run: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def (\n")
    assert "\x1b[1;33mwarning[GL001]" in on_a_terminal(["check", "broken.py"], tmp_path)
    assert "\x1b" not in on_a_terminal(["check", "broken.py"], tmp_path, NO_COLOR="1")
    assert "\x1b" not in run("check", "broken.py", cwd=tmp_path).stdout
    assert "\x1b[1;33mwarning" in run("check", "broken.py", cwd=tmp_path, FORCE_COLOR="1").stdout
    assert "\x1b[1;33mwarning" in run("check", "broken.py", "--color", "always", cwd=tmp_path).stdout


def test_ctrl_c_ends_the_run_and_its_worker(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    (tmp_path / "slow.py").write_text(
        "import os, time\nfrom torch import nn\n"
        "class Slow(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        f"        open({str(noted)!r}, 'w').write(str(os.getpid()))\n"
        "        time.sleep(60)\n"
        "    def forward(self, x):\n"
        "        return x\n"
    )
    import signal
    import time

    with subprocess.Popen(
        [COMMAND, "check", "slow.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    ) as process:
        deadline = time.monotonic() + 60
        while not (noted.exists() and noted.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.strip() == "interrupted"
    assert not Path(f"/proc/{noted.read_text()}").exists()

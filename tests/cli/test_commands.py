"""The other commands."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import tomli

import gradlint

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_version(run: Run, tmp_path: Path) -> None:
    assert run("--version", cwd=tmp_path).stdout == f"gradlint, version {gradlint.__version__}\n"


def test_as_a_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gradlint", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"gradlint, version {gradlint.__version__}\n"
    asked = subprocess.run([sys.executable, "-m", "gradlint", "check", "absent.py"], cwd=tmp_path, check=False)
    assert asked.returncode == 2


def test_a_rules_page_by_code_and_by_name(run: Run, tmp_path: Path) -> None:
    page = run("rule", "TST101", cwd=tmp_path)
    assert page.returncode == 0
    assert page.stdout.startswith("# TST101 sure-thing\n\nWide linear layers\n")
    assert run("rule", "sure-thing", cwd=tmp_path).stdout == page.stdout


def test_all_rules(run: Run, tmp_path: Path) -> None:
    lines = run("rule", "--all", cwd=tmp_path).stdout.splitlines()
    codes = [line.split()[0] for line in lines]
    assert codes == sorted(codes)
    assert {"GL001", "GL002", "GL101", "TST101"} <= set(codes)
    bare = run("rule", cwd=tmp_path)
    assert (bare.returncode, bare.stdout.splitlines()) == (0, lines)


def test_rules_as_json(run: Run, tmp_path: Path) -> None:
    listed = json.loads(run("rule", "--output-format", "json", cwd=tmp_path).stdout)
    assert {"GL001", "GL101", "TST101"} <= {entry["code"] for entry in listed}
    (one,) = json.loads(run("rule", "GL101", "--output-format", "json", cwd=tmp_path).stdout)
    assert (one["name"], one["level"]) == ("saturating-stack", "stable")
    assert one["page"] == run("rule", "GL101", cwd=tmp_path).stdout


def test_settings_with_their_origin(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gradlint.toml").write_text("timeout = 7\n")
    done = run("config", "--memory", "2", cwd=tmp_path, GRADLINT_FAIL_ON="error")
    assert f"timeout = 7.0  # {tmp_path}/gradlint.toml" in done.stdout
    assert "memory = 2.0  # command line" in done.stdout
    assert 'fail-on = "error"  # environment' in done.stdout
    assert tomli.loads(done.stdout)["timeout"] == 7.0


def test_tables_of_settings_are_shown_as_toml(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gradlint.toml").write_text(
        'baseline = "known.json"\n[per-file-ignores]\n"legacy/*.py" = ["GL4"]\n[severity]\nGL401 = "off"\n'
        '[[overrides]]\nrule = "GL101"\nmodule = "body.*"\nreason = "it is meant"\n'
    )
    settings = tomli.loads(run("config", cwd=tmp_path, GRADLINT_BASELINE="other.json").stdout)
    assert settings["baseline"] == "other.json"
    assert settings["per-file-ignores"] == {"legacy/*.py": ["GL4"]}
    assert settings["severity"] == {"GL401": "off"}
    assert settings["overrides"] == [{"rule": "GL101", "reason": "it is meant", "module": "body.*", "severity": "off"}]


def test_every_setting_can_be_given_as_key_and_value(run: Run, tmp_path: Path) -> None:
    given = ["timeout = 5", "memory=2", 'optimizer = "adam"', "jobs = 3", "probe = true"]
    arguments = [part for setting in given for part in ("--config", setting)]
    done = run("config", "--isolated", *arguments, cwd=tmp_path)
    settings = tomli.loads(done.stdout)
    wanted = {"timeout": 5.0, "memory": 2.0, "optimizer": "adam", "jobs": 3, "probe": True}
    assert {key: settings[key] for key in wanted} == wanted
    done = run("config", "--isolated", *arguments, "--timeout", "9", cwd=tmp_path)
    assert tomli.loads(done.stdout)["timeout"] == 9.0


def test_predicted_flow_as_a_table(run: Run, model: Path) -> None:
    done = run("flow", "model.py", cwd=model.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "Net  model.py:4"
    (row,) = [
        line.split() for line in done.stdout.splitlines() if line.strip().startswith("layer ") and "Linear" in line
    ]
    assert row[:3] == ["layer", "Linear", "1"]


def test_measured_flow_of_a_recurrence_over_time(run: Run, tmp_path: Path) -> None:
    (tmp_path / "rnn.py").write_text(
        "from torch import nn\n"
        "class Reader(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.rnn = nn.RNN(4, 8, batch_first=True)\n"
        "        self.head = nn.Linear(8, 2)\n"
        "    def forward(self, x):\n"
        "        return self.head(self.rnn(x)[0][:, -1])\n"
    )
    (tmp_path / "gradlint.toml").write_text('[[targets]]\ntarget = "rnn.py:Reader"\ninputs = [[8, 12, 4]]\n')
    done = run("probe", "rnn.py:Reader", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "inputs (8, 12, 4) float32 (configured)" in done.stdout
    assert "rnn (rnn_tanh, 12 steps): " in done.stdout
    steps = [line.split() for line in done.stdout.splitlines() if line.split()[:1] and line.split()[0].isdigit()]
    assert [int(row[0]) for row in steps] == list(range(1, 13))
    assert all(len(row) == 6 for row in steps)


def test_flow_of_a_model_that_cannot_be_built_or_is_not_the_only_one(run: Run, model: Path) -> None:
    model.write_text(model.read_text() + model.read_text().replace("Net", "Other"))
    several = run("flow", "model.py", cwd=model.parent)
    assert several.returncode == 2
    assert "name one of model.py:Net, model.py:Other" in several.stderr
    model.write_text(model.read_text().replace("nn.Linear(8, 2)", "nn.Linear(8, 'two')"))
    failed = run("flow", "model.py:Net", cwd=model.parent)
    assert failed.returncode == 2
    assert "error: building Net failed: TypeError" in failed.stderr
    assert "--> model.py:7:" in failed.stderr


def test_json_is_what_the_python_interface_gives(run: Run, model: Path) -> None:
    done = run("check", "model.py", "--output-format", "json", "--isolated", cwd=model.parent)
    from_python = gradlint.check(str(model), {}).to_dict()
    document = json.loads(done.stdout)
    assert [m["name"] for m in document["models"]] == [m["name"] for m in from_python["models"]] == ["Net"]
    assert document["models"][0]["attenuation"] == from_python["models"][0]["attenuation"]
    assert document["models"][0]["path"] == "model.py"
    assert from_python["models"][0]["path"] == str(model)

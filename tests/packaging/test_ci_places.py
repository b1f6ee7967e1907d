"""The shell of `action.yml` and of the GitLab job, run with the environment that those services give it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
JOB = yaml.safe_load((ROOT / "docs" / "gitlab-ci.yml").read_text(encoding="utf-8"))["gradlint"]
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}
SICK = (ROOT / "fixtures" / "ailing" / "sigmoid_mlp.py").read_text(encoding="utf-8")
STUB = """#!/bin/sh
printf '%s\\n' "$0" "$@" -- >> "$CALLS"
case "$*" in
  "check --help") echo "Options: {options}" ;;
  --version) echo "gradlint, version 0.0.1" ;;
esac
exit {code}
"""


class Runner:
    """A runner of GitHub's or GitLab's, with stand-ins for commands where a test wants some."""

    def __init__(self, folder: Path) -> None:
        self.workspace = folder / "workspace"
        self.temp = folder / "temp"
        self.bin = folder / "bin"
        for made in (self.workspace, self.temp, self.bin):
            made.mkdir()
        self.output, self.summary, self.calls = self.temp / "output", self.temp / "summary", self.temp / "calls"
        for made in (self.output, self.summary, self.calls):
            made.touch()

    def stub(self, name: str, *, options: str = "", code: int = 0) -> None:
        (self.bin / name).write_text(STUB.format(options=options, code=code))
        (self.bin / name).chmod(0o755)

    def run(self, script: str, *, folder: str = ".", **given: str) -> "subprocess.CompletedProcess[str]":
        path = os.pathsep.join([str(self.bin), str(Path(sys.executable).parent), os.environ["PATH"]])
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("GITHUB_", "GRADLINT_", "CI"))}
        github = {"GITHUB_OUTPUT": str(self.output), "GITHUB_STEP_SUMMARY": str(self.summary)}
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.workspace / folder,
            env={**kept, **github, "RUNNER_TEMP": str(self.temp), "CALLS": str(self.calls), "PATH": path, **given},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def check(self, **inputs: str) -> "subprocess.CompletedProcess[str]":
        """The step that checks."""
        values = {name: value["default"] for name, value in ACTION["inputs"].items()} | inputs
        given = {
            "INPUT_ARGS": values["args"],
            "INPUT_FOLDER": values["working-directory"],
            "INPUT_ONLY_NEW": values["only-new-issues"],
            "BASE": inputs.get("base", ""),
        }
        assert given.keys() == STEPS["Check"]["env"].keys()
        return self.run(STEPS["Check"]["run"], folder=values["working-directory"], **given)

    @property
    def outputs(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.output.read_text().splitlines())

    def called(self, name: str) -> list[list[str]]:
        """Arguments of every call of a stand-in."""
        calls = [call.split("\n") for call in self.calls.read_text().split("\n--\n") if call]
        return [call[1:] for call in calls if Path(call[0]).name == name]


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


@pytest.mark.parametrize(("version", "asked"), [("", "torch-gradlint"), ("1.2.0", "torch-gradlint==1.2.0")])
def test_the_version_is_installed(runner: Runner, version: str, asked: str) -> None:
    runner.stub("python")
    assert runner.run(STEPS["Install gradlint"]["run"], INPUT_VERSION=version).returncode == 0
    (call,) = runner.called("python")
    assert call[:3] == ["-m", "pip", "install"]
    assert call[-1] == asked


def test_findings_are_annotated_summarised_and_written_as_sarif(runner: Runner) -> None:
    (runner.workspace / "a folder").mkdir()
    (runner.workspace / "a folder" / "net.py").write_text(SICK)
    done = runner.check(**{"working-directory": "a folder", "args": "net.py --fail-on 'error'"})
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("::error title=GL101 saturating-stack,file=a folder/net.py,line=14,")
    assert "GL101" in runner.summary.read_text()
    assert runner.outputs == {"exit-code": "1", "sarif-file": str(runner.temp / "gradlint.sarif")}
    document = json.loads((runner.temp / "gradlint.sarif").read_text())
    found = set(re.findall(r'"uri": "([^"]*net.py)"', json.dumps(document)))
    assert found == {"a%20folder/net.py"}


def test_a_clean_run_is_green_and_a_failed_one_is_not(runner: Runner) -> None:
    (runner.workspace / "tools.py").write_text("x = 1\n")
    assert runner.check().returncode == 0
    assert runner.outputs["exit-code"] == "0"
    done = runner.check(args="nowhere.py")
    assert done.returncode == 2
    assert "there is no file or directory" in done.stdout
    assert runner.outputs["exit-code"] == "2"


def test_arguments_are_words_and_never_commands(runner: Runner) -> None:
    runner.stub("gradlint")
    done = runner.check(args="a.py 'b c.py' $(touch owned) `touch owned` ; touch owned *")
    assert done.returncode == 0, done.stderr
    (call,) = runner.called("gradlint")
    assert call[:4] == ["check", "a.py", "b c.py", "$(touch"]
    assert "*" in call
    assert not (runner.workspace / "owned").exists()
    runner.check(args="")
    assert runner.called("gradlint")[1][:2] == ["check", "--output-format"]


NEW = {"only-new-issues": "true"}


def test_only_new_issues_names_the_base(runner: Runner) -> None:
    runner.stub("gradlint", options="--since REV")
    runner.stub("git", code=0)
    assert runner.check(**NEW, base="abc123").returncode == 0
    assert runner.called("gradlint")[-1][:4] == ["check", ".", "--since", "abc123"]
    assert [call[0] for call in runner.called("git")] == ["cat-file"]


def test_a_base_that_the_checkout_lacks_is_fetched(runner: Runner) -> None:
    runner.stub("gradlint", options="--since REV")
    runner.stub("git", code=1)
    assert runner.check(**NEW, base="abc123").returncode == 1, "a fetch that fails is not passed over"
    assert runner.called("git")[-1][0] == "fetch"
    assert runner.called("git")[-1][-1] == "abc123"


@pytest.mark.parametrize("base", ["", "0" * 40])
def test_without_a_base_everything_is_reported_and_said(runner: Runner, base: str) -> None:
    runner.stub("gradlint", options="--since REV")
    done = runner.check(**NEW, base=base)
    assert done.returncode == 0
    assert "::notice title=gradlint::There is nothing to compare with" in done.stdout
    assert "--since" not in runner.called("gradlint")[-1]


def test_a_gradlint_without_since_is_told_of(runner: Runner) -> None:
    runner.stub("gradlint", options="--baseline PATH")
    done = runner.check(**NEW, base="abc123")
    assert done.returncode == 2
    assert "::error title=gradlint::only-new-issues needs 'gradlint check --since'" in done.stdout
    assert "gradlint, version 0.0.1 does not have" in done.stdout
    assert runner.outputs == {"exit-code": "2"}


def test_the_action_is_complete() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"\binputs\.([\w-]+)", text)) == set(ACTION["inputs"])
    assert all(step["shell"] == "bash" for step in STEPS.values() if "run" in step)
    scripts = "".join(step.get("run", "") for step in STEPS.values())
    assert "${{" not in scripts, "what a stranger can write must come by the environment"
    upload = STEPS["Upload to code scanning"]
    assert upload["with"]["sarif_file"] == "${{ steps.check.outputs.sarif-file }}"
    assert "!cancelled()" in upload["if"]


def test_the_page_tells_of_every_input_and_output() -> None:
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE)
    assert names == [*ACTION["inputs"], *ACTION["outputs"]]
    workflow, include, _ = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    (used,) = [step for step in workflow["jobs"]["gradlint"]["steps"] if "OWNER" in step.get("uses", "")]
    assert used["with"].keys() <= ACTION["inputs"].keys()
    assert include["gradlint"]["variables"].keys() <= JOB["variables"].keys()


def test_the_shards_of_the_page(runner: Runner) -> None:
    """The job of every shard, and the commands that make one report of two."""
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8").partition("## Many files: shards")[2]
    job = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0])["jobs"]["gradlint"]
    healthy = (ROOT / "fixtures" / "healthy" / "relu_cnn.py").read_text(encoding="utf-8")
    for name, text in {"net": SICK, "other": healthy}.items():
        (runner.workspace / f"{name}.py").write_text(text)
    step = job["steps"][-1]["run"]
    numbers = job["strategy"]["matrix"]["shard"]
    codes = [runner.run(step.replace("${{ matrix.shard }}", str(number))).returncode for number in numbers]
    assert sorted(codes) == [0, 0, 0, 1]
    commands = re.findall(r"^\$ (.*)$", page, re.MULTILINE)
    assert [runner.run(command).returncode for command in commands] == [0, 0, 1]
    (found,) = json.loads((runner.workspace / "gradlint.sarif").read_text())["runs"][0]["results"]
    assert found["ruleId"] == "GL101"


def gitlab(runner: Runner, **given: str) -> "subprocess.CompletedProcess[str]":
    """The job's script, as GitLab joins it."""
    variables: dict[str, Any] = JOB["variables"]
    return runner.run("\n".join(JOB["script"]), **{**variables, **given})


def test_the_gitlab_job_writes_its_reports(runner: Runner) -> None:
    runner.stub("pip")
    (runner.workspace / "net.py").write_text(SICK)
    done = gitlab(runner, TORCH_GRADLINT_VERSION="1.0", TORCH_GRADLINT_ARGS="net.py --fail-on error")
    assert done.returncode == 1, done.stderr
    assert runner.called("pip")[1][-1] == "torch-gradlint==1.0"
    for name in JOB["artifacts"]["reports"].values():
        assert "GL101" in (runner.workspace / name).read_text()


def test_the_gitlab_job_compares_with_the_base_of_the_merge_request(runner: Runner) -> None:
    runner.stub("pip")
    runner.stub("gradlint", options="--since REV")
    assert gitlab(runner, TORCH_GRADLINT_ONLY_NEW="true", CI_MERGE_REQUEST_DIFF_BASE_SHA="abc123").returncode == 0
    assert runner.called("gradlint")[-1][:4] == ["check", ".", "--since", "abc123"]
    assert gitlab(runner, CI_MERGE_REQUEST_DIFF_BASE_SHA="abc123").returncode == 0
    assert "--since" not in runner.called("gradlint")[-1]
    runner.stub("gradlint")
    done = gitlab(runner, TORCH_GRADLINT_ONLY_NEW="true", CI_MERGE_REQUEST_DIFF_BASE_SHA="abc123")
    assert (done.returncode, "needs 'gradlint check --since'" in done.stderr) == (2, True)

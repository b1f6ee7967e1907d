"""Settings: where they come from, what wins, what is refused, and how the refusal helps."""

from pathlib import Path

import pytest

from gradlint.config import Config, find, from_options, load, place_of
from gradlint.core.entries import InputEntry, OverrideEntry
from gradlint.core.errors import UsageError


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_defaults_where_there_is_no_file(tmp_path: Path) -> None:
    config = load(tmp_path, isolated=True)
    assert (config.timeout, config.memory, config.fail_on, config.probe) == (60.0, 4.0, "warning", False)
    assert config.origins == {}


def test_nearest_file_wins_and_nothing_is_merged(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", '[tool.gradlint]\ntimeout = 10\nselect = ["GL1"]\n')
    inner = write(tmp_path, "pkg/gradlint.toml", "timeout = 20\n").parent
    config = load(inner)
    assert config.timeout == 20.0
    assert config.select is None
    assert config.root == str(inner.resolve())
    assert config.origins == {"timeout": str(inner.resolve() / "gradlint.toml")}


def test_own_file_wins_over_pyproject_of_the_same_folder(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", "[tool.gradlint]\ntimeout = 10\n")
    assert load(tmp_path).timeout == 10.0
    write(tmp_path, "gradlint.toml", "timeout = 20\n")
    assert load(tmp_path).timeout == 20.0
    write(tmp_path, ".gradlint.toml", "timeout = 30\n")
    assert load(tmp_path).timeout == 30.0


def test_pyproject_without_our_table_is_passed_over(tmp_path: Path) -> None:
    outer = write(tmp_path, "pyproject.toml", "[tool.gradlint]\ntimeout = 10\n")
    write(tmp_path, "inner/pyproject.toml", '[project]\nname = "x"\n')
    assert find(tmp_path / "inner") == outer.resolve()


def test_command_line_over_environment_over_file(tmp_path: Path) -> None:
    write(tmp_path, "gradlint.toml", 'timeout = 10\nmemory = 1\nignore = ["GL101"]\nfail-on = "error"\n')
    environment = {"GRADLINT_TIMEOUT": "20", "GRADLINT_MEMORY": "2", "GRADLINT_IGNORE": "GL102, GL103", "HOME": "/"}
    config = load(tmp_path, overrides={"timeout": 30.0, "optimizer": None}, environment=environment)
    assert (config.timeout, config.memory, config.fail_on) == (30.0, 2.0, "error")
    assert config.ignore == ("GL102", "GL103")
    assert config.origins["timeout"] == "command line"
    assert config.origins["memory"] == "environment"
    assert config.origins["fail-on"].endswith("gradlint.toml")


def test_targets_with_shapes_and_tables(tmp_path: Path) -> None:
    text = """
[[targets]]
target = "model.py:Net"
args = [4]
kwargs = { width = 8 }
inputs = [[4, 16], { shape = [4, 7], dtype = "int64", high = 100, name = "ids" }]
optimizer = "adam"
sequence-length = 7
[rules.saturating-stack]
decades = 3.0
"""
    write(tmp_path, "gradlint.toml", text)
    config = load(tmp_path)
    (target,) = config.targets
    assert target.inputs == ((4, 16), InputEntry(shape=(4, 7), dtype="int64", high=100, name="ids"))
    assert (target.args, target.kwargs, target.optimizer, target.sequence_length) == ((4,), {"width": 8}, "adam", 7)
    assert config.rules == {"saturating-stack": {"decades": 3.0}}


@pytest.mark.parametrize(
    ("text", "line", "message", "remedy"),
    [
        ("timeot = 3\n", 1, 'unknown key "timeot"', 'did you mean "timeout"?'),
        ("timeout = 3\nselect = [\n", 3, "not valid TOML", ""),
        ('\ntimeout = "fast"\n', 2, "timeout: expected `float`, got `str` (given: 'fast')", "timeout is e.g. 60"),
        ('fail-on = "warnings"\n', 1, "expected one of error, warning, never", ""),
        ("timeout = 0\n", 1, "timeout: expected `float` > 0.0", ""),
        ('[[targets]]\ntarget = "m.py:N"\nargz = []\n', 3, 'unknown key "argz"', 'did you mean "args"?'),
        (
            '[[targets]]\ntarget = "m.py:N"\ninputs = [{ shap = [1] }]\n',
            3,
            'unknown key "shap"',
            'did you mean "shape"?',
        ),
        ("[[targets]]\nargs = []\n", 1, "missing required field `target`", ""),
        ('[severity]\nGL101 = "warn"\n', 1, "expected one of error, warning, info, off", "severity is e.g. { missing"),
        ('per-file-ignores = ["GL101"]\n', 1, "per-file-ignores: expected `object`", '{ "legacy/*.py" = ["GL401"] }'),
        ('[per-file-ignores]\n"a.py" = "GL101"\n', 1, "expected `array`, got `str`", '{ "legacy/*.py" = ["GL401"] }'),
        ('[[overrides]]\nrule = "GL101"\npath = "a.py"\n', 1, "missing required field `reason`", "reason ="),
        ('[[overrides]]\nrule = "GL101"\nmoddel = "A"\nreason = "x"\n', 3, 'unknown key "moddel"', 'mean "model"?'),
        ('[[overrides]]\nrule = "GL101"\nreason = "x"\n', 1, "name a path, a model or a module", "reason ="),
        (
            '[[overrides]]\nrule = "GL101"\nmodel = "A"\nreason = "x"\n[[overrides]]\nrule = "GL101"\nmodel = "A"\n'
            'reason = " "\n',
            5,
            "overrides[1]: the reason is empty",
            "",
        ),
        (
            "baseline = 3\n",
            1,
            "baseline: expected `str | null`, got `int`",
            'e.g. "gradlint-baseline.json"',
        ),
    ],
)
def test_refusals_name_file_line_and_remedy(tmp_path: Path, text: str, line: int, message: str, remedy: str) -> None:
    path = write(tmp_path, "gradlint.toml", text)
    with pytest.raises(UsageError) as caught:
        load(tmp_path)
    assert message in caught.value.message
    assert remedy in caught.value.remedy
    assert caught.value.location is not None
    assert caught.value.location.path == str(path.resolve())
    assert caught.value.location.line == line


def test_findings_over_time(tmp_path: Path) -> None:
    text = """
baseline = "known.json"
[per-file-ignores]
"legacy/*.py" = ["GL401", "GL1"]
[severity]
missing-normalization = "info"
[[overrides]]
rule = "GL101"
module = ""
reason = "logic gates"
"""
    write(tmp_path, "gradlint.toml", text)
    config = load(tmp_path)
    assert config.baseline == "known.json"
    assert config.per_file_ignores == {"legacy/*.py": ("GL401", "GL1")}
    assert config.severity == {"missing-normalization": "info"}
    assert config.overrides == (OverrideEntry(rule="GL101", module="", reason="logic gates"),)
    assert load(tmp_path, environment={"GRADLINT_BASELINE": ""}).baseline == ""


@pytest.mark.parametrize(("key", "index", "line"), [("overrides", 0, 3), ("overrides", 1, 7), ("a/*.py", 0, 2)])
def test_places_of_what_stands_below_a_key(tmp_path: Path, key: str, index: int, line: int) -> None:
    entry = '[[overrides]]\nrule = "GL101"\nmodel = "A"\nreason = "x"\n'
    write(tmp_path, "gradlint.toml", f'[per-file-ignores]\n"a/*.py" = ["GL1"]\n{entry}{entry}')
    place = place_of(load(tmp_path), key, within="per-file-ignores", index=index)
    assert place is not None
    assert place.line == line


def test_inputs_that_are_a_dictionary(tmp_path: Path) -> None:
    entry = '{ dict = { ids = { shape = [8, 16], dtype = "int64", high = 100 }, mask = [8, 16] } }'
    write(tmp_path, "gradlint.toml", f'[[targets]]\ntarget = "m.py:N"\ninputs = [{entry}]\n')
    ids = InputEntry(shape=(8, 16), dtype="int64", high=100)
    assert load(tmp_path).targets[0].inputs == (InputEntry(entries={"ids": ids, "mask": (8, 16)}),)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{ dict = { ids = { shap = [8] } } }", 'unknown key "shap"'),
        (
            "{ dict = { ids = { shape = [-8] } } }",
            r"targets\[0\].inputs\[0\].dict\[...\].shape\[0\]: expected `int` >= 0",
        ),
        ("{ dict = {} }", "a dict holds its own shapes"),
        ("{ shape = [3], dict = { x = [3] } }", "a dict holds its own shapes"),
        ('{ dict = { x = { shape = [3], name = "y" } } }', "entries of a dict go by their keys"),
        ('{ dict = "ids" }', "expected `object | null`, got `str`"),
    ],
)
def test_a_dictionary_of_inputs_that_cannot_be_meant_is_refused(tmp_path: Path, entry: str, message: str) -> None:
    write(tmp_path, "gradlint.toml", f'[[targets]]\ntarget = "m.py:N"\ninputs = [{entry}]\n')
    with pytest.raises(UsageError, match=message) as told:
        load(tmp_path)
    assert told.value.location is not None


def test_refusal_of_an_environment_variable() -> None:
    with pytest.raises(UsageError) as caught:
        load(Path.cwd(), environment={"GRADLINT_TIMEOT": "3"}, isolated=True)
    assert caught.value.message == "unknown environment variable GRADLINT_TIMEOT"
    assert caught.value.remedy == 'did you mean "GRADLINT_TIMEOUT"?'
    with pytest.raises(UsageError, match="GRADLINT_TIMEOUT: expected `float`, got `str`"):
        load(Path.cwd(), environment={"GRADLINT_TIMEOUT": "soon"}, isolated=True)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "gradlint.toml").write_bytes(b"\xef\xbb\xbftimeout = 3\n")
    assert load(tmp_path).timeout == 3.0


def test_refusal_of_an_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "gradlint.toml"
    path.write_bytes(b"timeout = 3 # \xe9\n")
    with pytest.raises(UsageError, match="cannot read the configuration"):
        load(tmp_path)


@pytest.mark.parametrize("value", ["inf", "1e300", "nan", "0"])
@pytest.mark.parametrize("key", ["timeout", "memory"])
def test_limits_are_finite_numbers_above_zero(key: str, value: str) -> None:
    with pytest.raises(UsageError, match=rf"{key}: expected"):
        from_options(**{key: float(value)})


def test_a_table_of_ours_that_is_none_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", "[tool]\ngradlint = 3\n")
    with pytest.raises(UsageError, match=r"tool\.gradlint: expected a table"):
        load(tmp_path)


def test_options_of_the_python_interface() -> None:
    config = from_options(fail_on="never", sequence_length=4, targets=[{"target": "m.py:N", "inputs": [(3, 4)]}])
    assert (config.fail_on, config.sequence_length) == ("never", 4)
    assert config.targets[0].inputs == ((3, 4),)
    with pytest.raises(UsageError) as caught:
        from_options(time_out=3)
    assert caught.value.remedy == 'did you mean "timeout"?'


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Config().timeout = 3.0  # type: ignore[misc]

"""A file is looked at anew when, and only when, something that its results were made from has changed."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gradlint import engine
from gradlint.cache.store import Store
from gradlint.config import Config, from_options
from gradlint.core.report import Report
from gradlint.engine import run
from gradlint.engine.kept import Memory, folder_of
from gradlint.worker.process import Worker

NET = """from torch import nn

class Net(nn.Module):
    def __init__(self, width={width}):
        super().__init__()
        self.layer = nn.Linear(8, width)

    def forward(self, x):
        return self.layer(x)
"""
PLAIN = NET.format(width=4)
IMPORTING = "from blocks import WIDTH\n" + NET.format(width="WIDTH")
TRYING = "try:\n    from extras import WIDTH\nexcept ImportError:\n    WIDTH = 4\n" + NET.format(width="WIDTH")
OPENING = "from pathlib import Path\nWIDTH = int(Path(__file__).with_name('width.txt').read_text())\n" + NET.format(
    width="WIDTH"
)
HERE = "import os\nHERE = os.path.dirname(__file__)\n"
LISTING = HERE + NET.format(width="3 + len(os.listdir(HERE + '/parts'))")
PROBING = HERE + NET.format(width="5 if os.path.exists(HERE + '/wide') else 4")
REQUIRING = NET.replace("={width}", "")
TRAINING = """import yaml
from net import Net
with open('config.yaml') as f:
    config = yaml.safe_load(f)
Net(config['width'])
"""
STARTING = PLAIN.replace("        super", "        import subprocess; subprocess.run(['true'])\n        super")

WRAPPING = """from torch import nn

class Wrapper(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.head = nn.Linear(net.width, 2)

    def forward(self, x):
        return self.head(self.net(x))
"""

Files = dict[str, str]


@pytest.fixture(scope="module")
def warm() -> Iterator[Worker]:
    worker = Worker(timeout=60, memory=4 * 2**30)
    yield worker
    Worker.close(worker)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm: Worker) -> Path:
    """A repository to run in, with one process for all runs."""
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    monkeypatch.chdir(project)

    def hire(*, timeout: float, memory: int) -> Worker:
        monkeypatch.setattr(warm, "close", lambda: None)
        return warm

    monkeypatch.setattr(run, "Worker", hire)
    return project


def write(files: Files) -> None:
    for name, text in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def check(*paths: str, **options: object) -> tuple[Report, Memory]:
    other = Path.cwd().parent / "other"
    other.mkdir(exist_ok=True)
    (other / "net.py").write_text(PLAIN)  # a process keeps the file that it loaded last, and has never seen two runs
    engine.check([other / "net.py"], from_options(), memory=Memory(Store(str(other))))
    shutil.rmtree(other)
    memory = Memory(Store(str(Path.cwd().parent / "cache")))
    report = engine.check(paths or ("net.py",), from_options(**options), memory=memory)
    memory.store.close()
    return report, memory


def parameters(report: Report) -> int:
    return sum(model.parameters for model in report.models)


CHANGES: dict[str, tuple[Files, Files, bool]] = {
    "the file itself": ({"net.py": PLAIN}, {"net.py": NET.format(width=5)}, True),
    "a sibling": ({"net.py": IMPORTING, "blocks.py": "WIDTH = 4"}, {"blocks.py": "WIDTH = 5"}, True),
    "a sibling's sibling": (
        {"net.py": IMPORTING, "blocks.py": "from sizes import WIDTH", "sizes.py": "WIDTH = 4"},
        {"sizes.py": "WIDTH = 5"},
        True,
    ),
    "a sibling that becomes a package": (
        {"net.py": IMPORTING, "blocks.py": "WIDTH = 4"},
        {"blocks/__init__.py": "WIDTH = 5"},
        True,
    ),
    "a sibling that was absent": ({"net.py": TRYING}, {"extras.py": "WIDTH = 5"}, True),
    "a file that it opens": ({"net.py": OPENING, "width.txt": "4"}, {"width.txt": "5"}, True),
    "a file that it only names": (
        {
            "net.py": NET.format(width="int(numpy.fromfile(HERE + '/' + 'width.bin', dtype='u1')[0]) - 48").replace(
                "from", "import numpy, os\nHERE = os.path.dirname(__file__)\nfrom", 1
            ),
            "width.bin": "4",
        },
        {"width.bin": "5"},
        True,
    ),
    "a folder that it lists": ({"net.py": LISTING, "parts/a": ""}, {"parts/b": ""}, True),
    "a file that it asks for": ({"net.py": PROBING}, {"wide": ""}, True),
    "settings that a training script reads": (
        {"net.py": REQUIRING, "train.py": TRAINING, "config.yaml": "width: 4"},
        {"config.yaml": "width: 5"},
        True,
    ),
    "a training script": (
        {"net.py": REQUIRING, "train.py": "from net import Net\nNet(4)\n"},
        {"train.py": "from net import Net\nNet(5)\n"},
        True,
    ),
    "a better training script, elsewhere": (
        {"net.py": REQUIRING, "notes/sketch.py": "from net import Net\nNet(4)\n"},
        {"train.py": "from net import Net\nNet(5)\n"},
        True,
    ),
    "a README": (
        {"net.py": REQUIRING, "README.md": "```python\nfrom net import Net\nNet(4)\n```\n"},
        {"README.md": "```python\nfrom net import Net\nNet(5)\n```\n"},
        True,
    ),
    "a new package marker": ({"net.py": PLAIN}, {"__init__.py": ""}, False),
    "a new root of the repository": ({"net.py": PLAIN}, {"pyproject.toml": ""}, False),
}


@pytest.mark.parametrize(("before", "after", "is_other"), CHANGES.values(), ids=CHANGES)
def test_what_has_changed_is_looked_at_anew(before: Files, after: Files, is_other: bool, folder: Path) -> None:
    write(before)
    first, memory = check()
    assert memory.found == 0 and not memory.why_not
    second, memory = check()
    assert memory.found == 1
    assert replace(second, seconds=0) == replace(first, seconds=0)
    write(after)
    third, memory = check()
    if is_other:
        assert memory.found == 0
        assert parameters(first) == 4 * 9 and parameters(third) == 5 * 9
    assert check()[1].found == 1


@pytest.mark.parametrize("name", ["notes.txt", "other.yaml", "weights.pt", "docs/page.rst", "__pycache__/net.pyc"])
def test_what_it_was_not_made_from_may_change(name: str, folder: Path) -> None:
    write({"net.py": REQUIRING, "train.py": TRAINING, "config.yaml": "width: 4", "docs/index.rst": ""})
    check()
    write({name: "new"})
    assert check()[1].found == 1


OPTIONS = [
    {"optimizer": "adam"},
    {"batch": 3},
    {"probe": True},
    {"ignore": ["GL4"]},
    {"severity": {"GL101": "info"}},
    {"rules": {"saturating-stack": {"run-length": 5}}},
    {"targets": [{"target": "net.py:Net", "args": [5]}]},
    {"memory": 3.0},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_settings_that_change_what_is_done_are_part_of_the_key(options: dict[str, object], folder: Path) -> None:
    from gradlint import registry

    if "rules" in options:
        rule = next(rule for rule in registry.load().rules if rule.OPTIONS and float in rule.OPTIONS.values())
        name = next(name for name, kind in rule.OPTIONS.items() if kind is float)
        options = {"rules": {rule.name: {name: 0.123}}}
    write({"net.py": PLAIN})
    check()
    assert check(**options)[1].found == 0
    assert check(**options)[1].found == 1


@pytest.mark.parametrize(
    "options", [{"fail_on": "error"}, {"timeout": 7.0}, {"jobs": 2}, {"per_file_ignores": {"net.py": ["GL4"]}}], ids=str
)
def test_settings_that_come_afterwards_need_no_other_look(options: dict[str, object], folder: Path) -> None:
    write({"net.py": PLAIN})
    check()
    assert check(**options)[1].found == 1


def test_a_renamed_file_is_another_one(folder: Path) -> None:
    write({"net.py": PLAIN})
    check()
    Path("net.py").rename("other.py")
    report, memory = check("other.py")
    assert memory.found == 0 and report.models[0].path == "other.py"


def test_a_single_model_of_a_file_is_kept_on_its_own(folder: Path) -> None:
    write({"net.py": PLAIN + PLAIN.replace("Net", "Other").replace("from torch import nn\n", "")})
    both, _ = check("net.py")
    one, memory = check("net.py:Other")
    assert memory.found == 0 and (len(both.models), len(one.models)) == (2, 1)


def test_every_file_is_made_from_those_beside_it(folder: Path) -> None:
    inner = PLAIN.replace("self.layer =", "self.{} = width\n        self.layer =")
    write({"first.py": WRAPPING, "second.py": WRAPPING, "inner.py": inner.format("size")})
    before, _ = check("first.py", "second.py")
    assert check("first.py", "second.py")[1].found == 2
    write({"inner.py": inner.format("width")})
    after, memory = check("first.py", "second.py")
    assert memory.found == 0
    assert (len(before.models), len(after.models)) == (0, 2)


def test_a_file_without_models_is_not_even_parsed_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write({"net.py": "import os\n"})
    first, _ = check()

    def fail(*args: object) -> None:
        raise AssertionError("it is parsed")

    monkeypatch.setattr("gradlint.engine.files.understood", fail)
    memory = Memory(Store(str(folder.parent / "cache")))
    second = engine.check(["net.py"], from_options(), memory=memory)
    assert memory.found == 1
    assert replace(second, seconds=0) == replace(first, seconds=0)


def test_results_are_written_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing each on its own cost a fifth of looking at a file without a model."""
    write({f"plain{number}.py": f"WIDTH = {number}\n" for number in range(250)})
    written: list[int] = []
    put = Store.put
    monkeypatch.setattr(Store, "put", lambda store, rows: (written.append(len(rows)), put(store, rows)))
    monkeypatch.setattr("gradlint.engine.kept._AT_LEAST_EVERY", 3600.0)
    check(".")
    assert written[-3:] == [100, 100, 50]
    assert check(".")[1].found == 250


def test_what_was_looked_at_before_an_interruption_is_kept(folder: Path) -> None:
    write({f"plain{number}.py": f"WIDTH = {number}\n" for number in range(5)})

    class Interrupting:
        def begin(self, total: int) -> None:
            self.left = 3

        def file(self, path: str) -> None:
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    memory = Memory(Store(str(folder.parent / "cache")))
    with pytest.raises(KeyboardInterrupt):
        engine.check(["."], from_options(), memory=memory, progress=Interrupting())
    assert check(".")[1].found == 3


def test_a_model_that_cannot_be_built_is_kept_too(folder: Path) -> None:
    write({"net.py": PLAIN.replace("nn.Linear(8, width)", "nn.Linear(8, 1 // 0)")})
    first, _ = check()
    second, memory = check()
    assert memory.found == 1 and first.findings and replace(second, seconds=0) == replace(first, seconds=0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (STARTING, "starts a process"),
        (PLAIN.replace("        super", "        import os; os._exit(3)\n        super"), "exit status 3"),
        (PLAIN.replace("        super", "        while True: pass\n        super"), "more than 2 s"),
        (PLAIN.replace("        super", "        bytearray(2**40)\n        super"), "memory"),
    ],
)
def test_what_cannot_be_repeated_is_not_kept(
    text: str, why: str, folder: Path, monkeypatch: pytest.MonkeyPatch, warm: Worker
) -> None:
    monkeypatch.setattr(warm, "_timeout", 2.0)
    write({"net.py": text})
    for _ in range(2):
        _, memory = check()
        assert memory.found == 0
        assert why in memory.why_not["net.py"]


def test_what_one_file_loads_is_known_to_the_next(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module from elsewhere stays loaded: whoever finds it loaded depends on it no less."""
    monkeypatch.setattr(run, "Worker", Worker)  # one for each run, which ends with it
    elsewhere = folder.parent
    lasting = f"WIDTH = int(open({str(elsewhere / 'width.txt')!r}).read())"
    write({"../library/lasting.py": lasting, "../width.txt": "4"})
    head = f"import sys\nsys.path.append({str(elsewhere / 'library')!r})\nfrom lasting import WIDTH\n"
    write({"net.py": head + NET.format(width="WIDTH"), "other.py": head + NET.format(width="WIDTH")})
    check("net.py", "other.py")
    assert check("net.py", "other.py")[1].found == 2
    write({"../width.txt": "5"})
    report, memory = check("net.py", "other.py")
    assert memory.found == 0 and parameters(report) == 2 * 5 * 9


def test_two_models_of_a_file_share_one_load_and_what_that_read(folder: Path) -> None:
    write({"net.py": OPENING + NET.format(width="WIDTH").replace("Net", "Other"), "width.txt": "4"})
    check()
    write({"width.txt": "5"})
    report, memory = check()
    assert memory.found == 0 and parameters(report) == 2 * 5 * 9


def test_one_changed_file_leaves_the_others_alone(folder: Path) -> None:
    write({f"net{number}.py": PLAIN for number in range(4)})
    check(".")
    write({"net2.py": NET.format(width=5)})
    assert check(".")[1].found == 3


def test_a_body_that_means_something_else_is_not_believed(folder: Path) -> None:
    write({"net.py": PLAIN})
    memory = Memory(Store(str(folder / "cache")))
    for body in (b"{}", b"[]", b"\xff", b'{"results": 3}', b""):
        memory.store.put({"file x": body})
        assert memory.find("file x", PLAIN) is None


Where = Callable[[Path], str]


@pytest.mark.parametrize(
    ("config", "where"),
    [
        (lambda f: Config(root=str(f), origins={"batch": str(f / "gradlint.toml")}), lambda f: f"{f}/.gradlint_cache"),
        (lambda f: Config(root=str(f / "sub")), lambda f: f"{f}/.gradlint_cache"),
        (
            lambda f: Config(
                root=str(f / "sub"), cache_dir="kept", origins={"cache-dir": str(f / "sub/gradlint.toml")}
            ),
            lambda f: f"{f}/sub/kept",
        ),
        (lambda f: Config(root="/", cache_dir="kept", origins={"cache-dir": "command line"}), lambda f: f"{f}/kept"),
        (lambda f: Config(root="/", cache_dir="/tmp/kept"), lambda f: "/tmp/kept"),
    ],
)
def test_where_it_lies(config: Callable[[Path], Config], where: Where, folder: Path) -> None:
    assert folder_of(config(folder)) == where(folder)

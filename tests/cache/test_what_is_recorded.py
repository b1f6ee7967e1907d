"""Whatever code reads is observed, and observed again it tells of every change; what did not change tells of none."""

import importlib
import linecache
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gradlint.cache.named import named_files
from gradlint.cache.observations import NEVER, Present, Seen
from gradlint.cache.recorder import Recorder, refuse

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

Prepare = Callable[[Path], None]
Change = Callable[[Path], None]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to run in, from which modules are imported; those are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]
    importlib.invalidate_caches()


def recorded(code: str) -> Seen:
    """What a piece of code observes."""
    recorder = Recorder()
    recorder.begin()
    try:
        exec(compile(code, "user.py", "exec"), {"__name__": "user"})
    finally:
        seen = recorder.finish()
    return seen


def holds(seen: Seen) -> bool:
    return Present(dict(os.environ)).holds(seen)


def write(name: str, text: str = "1") -> Prepare:
    def act(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return act


def remove(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def variable(name: str, value: str) -> Change:
    return lambda folder: os.environ.__setitem__(name, value)


def nothing(folder: Path) -> None:
    pass


def points(name: str, target: str) -> Prepare:
    def act(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return act


def both(*acts: Prepare) -> Prepare:
    def act(folder: Path) -> None:
        for single in acts:
            single(folder)

    return act


READS: list[tuple[str, Prepare, Change]] = [
    ("open('a.yaml').read()", write("a.yaml"), write("a.yaml", "2")),
    ("open('a.yaml', 'rb').read()", write("a.yaml"), remove("a.yaml")),
    ("import pathlib; pathlib.Path('a.yaml').read_text()", write("a.yaml"), write("a.yaml", "2")),
    ("import os; os.read(os.open('a.yaml', os.O_RDONLY), 9)", write("a.yaml"), write("a.yaml", "2")),
    ("import os; os.chdir('sub'); open('a.yaml')", write("sub/a.yaml"), write("sub/a.yaml", "2")),
    ("open('link')", both(write("a"), write("b", "2"), points("link", "a")), points("link", "b")),
    ("open('link')", both(write("a"), points("link", "a")), write("a", "2")),
    ("try: open('absent.yaml')\nexcept OSError: pass", nothing, write("absent.yaml")),
    ("import os; os.path.exists('absent')", nothing, write("absent")),
    ("import os; os.path.isfile('absent')", nothing, write("absent")),
    ("import os; os.path.isdir('absent')", nothing, write("absent/file")),
    ("import os; os.path.lexists('link')", nothing, points("link", "nowhere")),
    ("import os; os.path.exists('a.pt')", write("a.pt"), write("a.pt", "2")),
    ("import os; os.access('absent', os.R_OK)", nothing, write("absent")),
    ("import os; os.readlink('link')", points("link", "a"), points("link", "b")),
    ("import os; os.path.realpath('link')", points("link", "a"), points("link", "b")),
    ("import pathlib; pathlib.Path('absent').exists()", nothing, write("absent")),
    ("import pathlib; pathlib.Path('absent').is_file()", nothing, write("absent")),
    ("import os; os.path.getsize('a')", write("a"), write("a", "longer")),
    ("import os; os.path.getmtime('a')", write("a"), lambda folder: os.utime(folder / "a", (1, 1))),
    ("import os; os.stat('a').st_mtime", write("a"), lambda folder: os.utime(folder / "a", (1, 1))),
    ("import os; os.listdir('.')", nothing, write("new")),
    ("import os; os.listdir()", write("old"), remove("old")),
    ("import os; list(os.scandir('sub'))", write("sub/a"), write("sub/b")),
    ("import os; list(os.walk('.'))", write("sub/a"), write("sub/deeper/b")),
    ("import glob; glob.glob('*.yaml')", nothing, write("new.yaml")),
    ("import glob; glob.glob('**/*.yaml', recursive=True)", write("sub/a"), write("sub/new.yaml")),
    ("import pathlib; list(pathlib.Path('.').iterdir())", nothing, write("new")),
    ("import pathlib; list(pathlib.Path('.').rglob('*.yaml'))", write("sub/a"), write("sub/new.yaml")),
    ("import os; os.environ.get('GR_TEST_WIDTH')", nothing, variable("GR_TEST_WIDTH", "9")),
    ("import os; os.getenv('GR_TEST_WIDTH', '3')", nothing, variable("GR_TEST_WIDTH", "9")),
    ("import os; 'GR_TEST_WIDTH' in os.environ", nothing, variable("GR_TEST_WIDTH", "9")),
    ("import os; dict(os.environ)", nothing, variable("GR_TEST_WIDTH", "9")),
    ("import os; [k for k in os.environ if k.startswith('GR_')]", nothing, variable("GR_TEST_WIDTH", "9")),
    ("import os; os.environ.copy()", nothing, variable("GR_TEST_WIDTH", "9")),
    ("import os; os.environb.get(b'GR_TEST_WIDTH')", nothing, variable("GR_TEST_WIDTH", "9")),
    ("import gr_sibling", write("gr_sibling.py"), write("gr_sibling.py", "2")),
    ("import gr_sibling", write("gr_sibling.py"), write("gr_sibling/__init__.py")),
    ("from gr_package import inner", write("gr_package/inner.py"), write("gr_package/__init__.py")),
    ("import gr_package.inner", write("gr_package/inner.py"), write("gr_package/inner.py", "2")),
    ("try: import gr_absent\nexcept ImportError: pass", nothing, write("gr_absent.py")),
    ("import importlib.util; importlib.util.find_spec('gr_absent')", nothing, write("gr_absent.py")),
    ("import importlib.util; importlib.util.find_spec('gr_absent')", nothing, write("gr_absent/new.py")),
    ("import pkgutil; list(pkgutil.iter_modules(['.']))", nothing, write("new.py")),
    ("import linecache; linecache.getlines('a.py')", write("a.py"), write("a.py", "2")),
    ("import configparser; configparser.ConfigParser().read('a.ini')", write("a.ini", "[a]"), write("a.ini", "[b]")),
    ("import numpy; numpy.loadtxt('a.txt')", write("a.txt"), write("a.txt", "2")),
]  # fmt: skip


@pytest.mark.parametrize(("code", "prepare", "change"), READS, ids=[code for code, _, _ in READS])
def test_a_change_of_what_was_read_is_seen(
    code: str, prepare: Prepare, change: Change, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GR_TEST_WIDTH", raising=False)
    prepare(folder)
    linecache.clearcache()
    seen = recorded(code)
    os.chdir(folder)
    assert not [key for key in seen if key.startswith(NEVER)]
    assert holds(seen), "nothing has changed"
    change(folder)
    try:
        assert not holds(seen)
    finally:
        os.environ.pop("GR_TEST_WIDTH", None)


def test_what_was_not_read_may_change(folder: Path) -> None:
    write("a.yaml")(folder)
    seen = recorded("import os; open('a.yaml').read(); os.environ.get('GR_TEST_OTHER'); os.path.exists('absent')")
    write("b.yaml")(folder)
    os.environ["GR_TEST_WIDTH"] = "9"
    try:
        assert holds(seen)
    finally:
        del os.environ["GR_TEST_WIDTH"]


def test_a_touched_file_is_no_other_file(folder: Path) -> None:
    write("a.yaml")(folder)
    seen = recorded("import os; open('a.yaml').read(); os.path.exists('a.yaml')")
    os.utime(folder / "a.yaml", (1, 1))
    assert holds(seen)


@pytest.mark.parametrize(
    "code",
    [
        "import subprocess; subprocess.run(['true'])",
        "import os; os.system('true')",
        "import os; pid = os.fork(); os._exit(0) if pid == 0 else os.waitpid(pid, 0)",
        "import socket; socket.getaddrinfo('localhost', 80)",
        "import socket\ntry: socket.create_connection(('127.0.0.1', 9), 1)\nexcept OSError: pass",
        "import sqlite3; sqlite3.connect(':memory:').close()",
        "text = open('a.yaml').read(); open('a.yaml', 'w').write(text + 'x')",
        "open('a.yaml', 'a').write('x')",
    ],
)
def test_what_cannot_be_observed_again_is_never_believed(code: str, folder: Path) -> None:
    write("a.yaml")(folder)
    seen = recorded(code)
    assert [key for key in seen if key.startswith(NEVER)]
    assert not holds(seen)


def test_what_code_has_written_itself_is_no_news(folder: Path) -> None:
    code = """
import tempfile, os
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, 'x')
    open(path, 'w').write('1')
    assert os.path.exists(path) and open(path).read() and os.listdir(folder)
"""
    assert holds(recorded(code))


def test_a_variable_that_code_sets_itself_counts_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GR_TEST_WIDTH", raising=False)
    seen = recorded("import os; os.environ['GR_TEST_WIDTH'] = '5'; os.environ['GR_TEST_WIDTH']")
    monkeypatch.delenv("GR_TEST_WIDTH")
    assert holds(seen)


def test_what_a_module_read_when_it_was_loaded_counts_for_all_who_find_it_loaded(folder: Path) -> None:
    write("settings.yaml")(folder)
    write("gr_lasting.py", "WIDTH = open('settings.yaml').read()")(folder)
    recorder = Recorder()
    for _ in range(2):
        recorder.begin()
        importlib.import_module("gr_lasting")
        seen = recorder.finish()
        assert holds(seen)
    write("settings.yaml", "2")(folder)
    assert not holds(seen)


def test_what_a_forgotten_module_read_counts_no_more(folder: Path) -> None:
    write("gr_sibling.py", "import os; os.path.exists('absent')")(folder)
    recorder = Recorder()
    recorder.begin()
    importlib.import_module("gr_sibling")
    recorder.finish()
    del sys.modules["gr_sibling"]
    recorder.begin()
    assert not any("gr_sibling" in key or "absent" in key for key in recorder.finish())


def test_byte_code_that_is_older_than_its_source_is_not_trusted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    write("gr_sibling.py", "a = 1")(folder)
    source = folder / "gr_sibling.py"
    os.utime(source, ns=(10**18, 10**18))
    importlib.import_module("gr_sibling")
    code = next((folder / "__pycache__").iterdir())
    del sys.modules["gr_sibling"]
    os.utime(code, ns=(10**18 + 5, 10**18 + 5))
    source.write_text("a = 2")
    os.utime(source, ns=(10**18 + 9, 10**18 + 9))
    seen = recorded("import gr_sibling; assert gr_sibling.a == 1, 'Python took the byte code'")
    assert not holds(seen)


def test_a_file_that_changes_while_it_is_read_is_not_believed(folder: Path) -> None:
    write("a.yaml")(folder)
    recorder = Recorder()
    recorder.begin()
    text = (folder / "a.yaml").read_text()
    with recorder.unwatched():
        write("a.yaml", "2")(folder)
        write("a.yaml", text)(folder)
    assert not holds(recorder.finish())


def test_refusing_outside_of_any_recording_is_of_no_consequence() -> None:
    refuse("a reason")


def test_everything_is_put_back(folder: Path) -> None:
    before = (os.stat, os.lstat, os.access, os.readlink, type(os.environ).__getitem__, list(sys.meta_path))
    recorded("import os; os.stat('.')")
    assert before == (os.stat, os.lstat, os.access, os.readlink, type(os.environ).__getitem__, list(sys.meta_path))


def test_names_of_files_in_a_source_are_found(folder: Path) -> None:
    for name in ("weights.safetensors", "sub/data.h5", "net.py"):
        write(name)(folder)
    source = "load('weights.safetensors'); open(\"sub/data.h5\"); import_('net.py'); x = 'absent.bin'; y = 'no name'"
    assert list(named_files(source, [str(folder), str(folder)])) == [
        str(folder / "sub/data.h5"),
        str(folder / "weights.safetensors"),
    ]

"""The file of results survives what can happen to a file, and gives nothing that was not put there."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gradlint.cache.store import LAYOUT, NAME, Store

BODIES = {"file a": b"one", "file b": b"two" * 4000}


def filled(folder: Path) -> Path:
    store = Store(str(folder))
    store.put(BODIES)
    store.close()
    return folder / NAME


def read(folder: Path) -> dict[str, bytes | None]:
    store = Store(str(folder))
    found = {key: store.get(key) for key in BODIES}
    store.close()
    return found


def test_what_is_put_is_got(tmp_path: Path) -> None:
    filled(tmp_path / "cache")
    assert read(tmp_path / "cache") == BODIES


def test_asking_makes_nothing(tmp_path: Path) -> None:
    assert Store(str(tmp_path / "cache")).get("file a") is None
    assert not list(tmp_path.iterdir())


def test_the_folder_is_marked(tmp_path: Path) -> None:
    filled(tmp_path)
    assert (tmp_path / ".gitignore").read_text() == "*\n"
    assert (tmp_path / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 + 100)


def other_layout(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {LAYOUT + 1}")


def other_table(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE rows (key TEXT PRIMARY KEY, body BLOB)")
        connection.execute(f"PRAGMA user_version = {LAYOUT}")


def no_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE rows")


def garbage_inside(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:4000] = os.urandom(3900)
    path.write_bytes(bytes(data))


DAMAGES: list[Callable[[Path], object]] = [
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(b"no database at all" * 999),
    lambda path: path.write_bytes(path.read_bytes()[:16] + b"\xff" * 5000),
    truncate,
    other_layout,
    other_table,
    no_table,
    garbage_inside,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_made_anew_and_never_believed(damage: Callable[[Path], object], tmp_path: Path) -> None:
    damage(filled(tmp_path))
    assert all(body in (None, BODIES[key]) for key, body in read(tmp_path).items())
    filled(tmp_path)
    assert read(tmp_path) == BODIES


@pytest.mark.parametrize("seed", range(20))
def test_flipped_bytes_are_never_believed(seed: int, tmp_path: Path) -> None:
    path = filled(tmp_path)
    data = bytearray(path.read_bytes())
    for place in range(seed * 37 + 40, len(data), 211):
        data[place] ^= 0x55
    path.write_bytes(bytes(data))
    assert all(body in (None, BODIES[key]) for key, body in read(tmp_path).items())


def test_a_body_under_the_key_of_another_is_not_believed(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        body, checksum = connection.execute("SELECT body, checksum FROM rows WHERE key = 'file b'").fetchone()
        connection.execute("UPDATE rows SET body = ?, checksum = ? WHERE key = 'file a'", (body, checksum))
    assert read(tmp_path) == {"file a": None, "file b": BODIES["file b"]}


def test_a_folder_that_cannot_be_written_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    for folder in (tmp_path / "taken", Path("/proc/gradlint")):
        store = Store(str(folder))
        store.put(BODIES)
        assert store.get("file a") is None and store.trouble


def test_a_cache_that_may_only_be_read_is_read(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    path = filled(tmp_path)
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        assert read(tmp_path) == BODIES
        store = Store(str(tmp_path))
        store.put({"file c": b"three"})
        assert store.trouble
    finally:
        tmp_path.chmod(0o755)


def test_a_locked_file_is_waited_for_and_then_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradlint.cache.store._PATIENCE", 0.05)
    path = filled(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        store = Store(str(tmp_path))
        store.put({"file c": b"three"})
        assert "locked" in store.trouble
        assert store.get("file a") is None, "it asks no second time"
    assert read(tmp_path) == BODIES


def test_rows_long_unused_go_first(tmp_path: Path) -> None:
    store = Store(str(tmp_path), most_bytes=100_000)
    store.put({"old": b"x" * 40_000, "used": b"x" * 40_000})
    with closing(sqlite3.connect(tmp_path / NAME)) as connection, connection:
        connection.execute("UPDATE rows SET day = day - 9")
    assert store.get("used") is not None  # notes that it is of use today
    store.put({"new": b"x" * 30_000})
    assert {key for key in ("old", "used", "new") if store.get(key)} == {"used", "new"}


WRITER = """
import sys
from gradlint.cache.store import Store
store = Store(sys.argv[1])
number = 0
while number < int(sys.argv[3]):
    number += 1
    key = f"{sys.argv[2]} {number}"
    store.put({key: key.encode() * 500, "shared": b"shared" * 500})
    assert store.get("shared") == b"shared" * 500, store.trouble
    print(number, flush=True)
"""


def writer(folder: Path, name: str, count: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", WRITER, str(folder), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_several_runs_may_write_at_once(tmp_path: Path) -> None:
    writers = [writer(tmp_path / "cache", f"writer{number}", 30) for number in range(4)]
    for process in writers:
        _, told = process.communicate(timeout=120)
        assert process.returncode == 0, told
    store = Store(str(tmp_path / "cache"))
    for name in range(4):
        for number in range(1, 31):
            key = f"writer{name} {number}"
            assert store.get(key) == key.encode() * 500
    store.close()


def test_a_run_that_is_killed_in_the_middle_leaves_what_is_whole(tmp_path: Path) -> None:
    for attempt in range(5):
        process = writer(tmp_path / "cache", f"killed{attempt}", 10**6)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.02 * attempt)
        process.send_signal(signal.SIGKILL)
        last = (process.stdout.read().split() or [b"1"])[-1]
        process.communicate()
        store = Store(str(tmp_path / "cache"))
        for number in range(1, int(last)):
            key = f"killed{attempt} {number}"
            assert store.get(key) == key.encode() * 500
        store.put({"after": b"after"})
        assert store.get("after") == b"after"
        store.close()

"""The file that results are kept in: a key gives a body, or nothing. No error, no body that nobody put there.

Rows carry a checksum; a file that is no database, or one of another layout, is made anew; one that is locked, or lies
where nothing may be written, is as good as none. Nothing in it is dated, so a row that a killed run has left is as true
as any other.
"""

import contextlib
import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Mapping

LAYOUT = 1
NAME = f"results-{LAYOUT}.sqlite"
_PATIENCE = 2.0
"""Seconds that another run's writing is waited for."""
_DAY = 86_400
_MOST_BYTES = 256 * 2**20
_TAG = """Signature: 8a477f597d28d172789f06886806bc55
# This file marks a cache folder, made by gradlint. It may be deleted at any time.
# For information about cache folder tags see https://bford.info/cachedir/
"""
_SCHEMA = (
    "CREATE TABLE rows (key TEXT PRIMARY KEY, body BLOB NOT NULL, checksum BLOB NOT NULL, day INTEGER, size INTEGER)",
    "CREATE INDEX rows_by_day ON rows (day, size, key)",
)


class Store:
    """One cache folder. Safe to use by several threads, and beside other processes."""

    def __init__(self, folder: str, *, most_bytes: int = _MOST_BYTES) -> None:
        """Nothing is opened or made before it is needed. `most_bytes`: of the file; rows long unused go first."""
        self.folder = folder
        self.trouble = ""
        """Why nothing can be kept; empty where it can."""
        self._most_bytes = most_bytes
        self._path = os.path.join(folder, NAME)
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """The body that was put under a key."""
        with self._lock:
            if self.trouble or (self._connection is None and not os.path.isfile(self._path)):
                return None
            try:
                row = self._open().execute("SELECT body, checksum, day FROM rows WHERE key = ?", (key,)).fetchone()
            except (sqlite3.Error, OSError, ValueError) as error:
                self._fail(error)
                return None
            if row is None:
                return None
            body, checksum, day = row
            if not isinstance(body, bytes) or checksum != _checksum(key, body):
                self._discard(key)
                return None
            if day != _today():
                self._touch(key)
            return body

    def put(self, bodies: Mapping[str, bytes]) -> None:
        """Keep bodies under their keys, all of them or none."""
        rows = [(key, body, _checksum(key, body), _today(), len(body)) for key, body in bodies.items()]
        with self._lock:
            for _ in range(0 if self.trouble else 2):
                try:
                    _make(self.folder)
                    connection = self._open()
                    with connection:
                        connection.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?)", rows)
                        self._shrink(connection)
                except (sqlite3.Error, OSError, ValueError) as error:
                    if not self._fail(error):
                        return
                else:
                    return

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(
                self._path, timeout=_PATIENCE, isolation_level="IMMEDIATE", check_same_thread=False
            )
            layout = self._connection.execute("PRAGMA user_version").fetchone()[0]
            self._connection.execute("PRAGMA synchronous = OFF")  # what a power cut leaves, the checksums sort out
            if layout != LAYOUT:
                self._lay_out(self._connection, layout)
        return self._connection

    def _lay_out(self, connection: sqlite3.Connection, layout: int) -> None:
        """Make the table of a new file; a file of another layout is refused, and made anew."""
        if layout != 0:
            raise sqlite3.DatabaseError(f"layout {layout}")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:  # no other run was faster
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {LAYOUT}")

    def _fail(self, error: Exception) -> bool:
        """Get over an error; whether to try again: a broken file is gone now."""
        self._close()
        is_broken = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
        if isinstance(error, sqlite3.OperationalError):
            is_broken = "no such" in str(error) or "column" in str(error)  # a table of somebody else's
        self.trouble = "" if is_broken else str(error)
        if is_broken:
            try:
                _remove(self._path)
            except OSError as refused:
                self.trouble = str(refused)
                return False
        return is_broken

    def _discard(self, key: str) -> None:
        with contextlib.suppress(sqlite3.Error, OSError), self._open() as connection:
            connection.execute("DELETE FROM rows WHERE key = ?", (key,))

    def _touch(self, key: str) -> None:
        """Note the day on which a row was last of use."""
        with contextlib.suppress(sqlite3.Error, OSError), self._open() as connection:
            connection.execute("UPDATE rows SET day = ? WHERE key = ?", (_today(), key))

    def _shrink(self, connection: sqlite3.Connection) -> None:
        """Drop the rows that have been of no use for longest, down to three quarters of the bound."""
        facts = ("page_count", "freelist_count", "page_size")
        pages, free, size = (connection.execute(f"PRAGMA {fact}").fetchone()[0] for fact in facts)
        if (pages - free) * size <= self._most_bytes:
            return
        kept = 0
        for key, size in connection.execute("SELECT key, size FROM rows ORDER BY day DESC").fetchall():
            kept += size
            if kept > 0.75 * self._most_bytes:
                connection.execute("DELETE FROM rows WHERE key = ?", (key,))

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _checksum(key: str, body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16, key=key.encode()[:64]).digest()


def _today() -> int:
    return int(time.time()) // _DAY


def _make(folder: str) -> None:
    """The folder, with the marks by which git and backups leave it alone."""
    os.makedirs(folder, exist_ok=True)
    for name, text in ((".gitignore", "*\n"), ("CACHEDIR.TAG", _TAG)):
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(text)


def _remove(path: str) -> None:
    for suffix in ("", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(path + suffix)

"""A whole run that was made before, printed again where nothing that it was made from has changed.

This comes before everything else that the command does, and so imports next to nothing: neither click nor msgspec, nor
the rules, nor what renders a report. What it prints is believed only after every observation of that run has been made
again: gradlint's own (arguments, configuration, folders that were listed, sources that a report shows) and those of the
processes that ran the models.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from gradlint import __version__
from gradlint.cache.environment import environment_key
from gradlint.cache.observations import FOLDER, Present, digest
from gradlint.cache.store import Store
from gradlint.cli import streams
from gradlint.core.file_names import CONFIGURATIONS
from gradlint.worker.environment import scrubbed

if TYPE_CHECKING:
    from gradlint.cache.recorder import Recorder
    from gradlint.engine.kept import Memory

_REPEATABLE = (0, 1)
"""Exit codes of runs that came to a result."""
_CACHE_DIR = re.compile(rb"""^\s*cache-dir\s*=\s*(["'])(.*?)\1""", re.MULTILINE)


def attempt(arguments: Sequence[str]) -> int | None:
    """Print what the same command printed before, and give its exit code; None where it has to be run."""
    if list(arguments[:1]) != ["check"] or "_GRADLINT_COMPLETE" in os.environ:
        return None
    environment = scrubbed(os.environ)
    key = _key(arguments, environment)
    present = Present(environment)
    for folder in _folders(arguments):
        store = Store(folder)
        found = _found(store, key, present)
        store.close()
        if found is not None:
            text, code = found
            streams.show(text)
            return code
    return None


def keep(arguments: Sequence[str], recorder: "Recorder", memory: "Memory", text: str, code: int) -> None:
    """Keep what a run has printed, if all that it was made from is known.

    Args:
        arguments: of the command line.
        recorder: what has recorded this process since it began to read anything.
        memory: the results that the run has found and kept.
        text: what it printed on standard output.
        code: its exit code.
    """
    own = recorder.finish()
    if code not in _REPEATABLE or memory.why_not or memory.store.trouble:
        return
    own = {**own, **recorder.installed(), **recorder.modules(own)}
    if any(value == "" or memory.seen.get(name, value) != value for name, value in own.items()):
        return  # something has changed meanwhile
    row = {"sets": sorted(memory.sets), "seen": {**memory.seen, **own}, "text": text, "code": code}
    key = _key(arguments, scrubbed(os.environ))
    memory.store.put({key: json.dumps(row, ensure_ascii=True).encode()})


def _key(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Arguments, and what a terminal changes about the output."""
    terminals = [os.isatty(descriptor) for descriptor in (1, 2)]
    width = os.get_terminal_size(1).columns if terminals[0] else 0
    said = repr((tuple(arguments), terminals, width, environment_key(environment, __version__)))
    return f"run {digest(said.encode('utf-8', 'surrogateescape'))}"


def _found(store: Store, key: str, present: Present) -> tuple[str, int] | None:
    body = store.get(key)
    if body is None:
        return None
    try:
        row = json.loads(body)
        text, code, sets, seen = row["text"], row["code"], row["sets"], row["seen"]
    except (ValueError, LookupError, TypeError):
        return None
    if not present.holds(seen):
        return None
    for name in sets:
        shared = store.get(name)
        if shared is None or name != f"seen {digest(shared)}" or not present.holds(json.loads(shared)):
            return None
    return str(text), int(code)


def _folders(arguments: Sequence[str]) -> Iterator[str]:
    """Cache folders that the run may have used: what lies in another one is no less true, so all may be asked."""
    named = [os.environ.get("GRADLINT_CACHE_DIR", "")]
    for number, argument in enumerate(arguments):
        if argument == "--cache-dir":
            named += arguments[number + 1 : number + 2]
        elif argument.startswith("--cache-dir="):
            named.append(argument.partition("=")[2])
    yield from (folder for folder in named if os.path.isdir(folder))
    seen: set[str] = set()
    for start in _starts(arguments):
        folder = start
        while folder not in seen:
            seen.add(folder)
            yield from _beside(folder)
            folder = os.path.dirname(folder)


def _starts(arguments: Sequence[str]) -> Iterator[str]:
    """The working directory, and the folders of what the arguments name."""
    try:
        yield os.getcwd()
    except OSError:  # it was removed
        return
    for argument in arguments[1:]:
        path = argument if os.path.exists(argument) else argument.rpartition(":")[0]
        if path and not argument.startswith("-") and os.path.exists(path):
            full = os.path.realpath(path)
            yield full if os.path.isdir(full) else os.path.dirname(full)


def _beside(folder: str) -> Iterator[str]:
    """The cache in a folder, and the one that a configuration file there names."""
    own = os.path.join(folder, FOLDER)
    if os.path.isdir(own):
        yield own
    for name in CONFIGURATIONS:
        try:
            with open(os.path.join(folder, name), "rb") as stream:
                said = _CACHE_DIR.search(stream.read())
        except OSError:
            continue
        if said is not None:
            yield os.path.join(folder, os.fsdecode(said[2]))

"""What the answers of a worker are made from, where the parent wants to keep them."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from gradlint.cache.named import named_files
from gradlint.cache.observations import CONTENT, Seen, key_of, observe
from gradlint.cache.recorder import Recorder, refuse
from gradlint.worker.messages import Analyse, Message, Request, Result


class Recording:
    """The recorder of a worker. The targets of one file share one load of it, and so what that observed."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment`: as the worker was given it."""
        self._recorder = Recorder(environment)
        self._packs: Seen = {}
        self._names: frozenset[str] = frozenset()
        self._base: Seen = {}
        self._is_said = False
        self._file: tuple[str, str, str] | None = None
        self._seen: Seen = {}
        self._is_blind = False
        """Whether anything was answered unrecorded: modules may have been loaded that have observed something."""

    @contextmanager
    def of_packs(self) -> Iterator[None]:
        """What loading the rule packs observes, and which modules the worker has before it looks at any file."""
        self._recorder.begin()
        try:
            yield
        finally:
            self._packs = self._recorder.finish()
            self._names = frozenset(sys.modules)

    @contextmanager
    def of(self, request: Request) -> Iterator[None]:
        """What answering a request observes, where that is asked for."""
        if not (isinstance(request, Analyse) and request.is_recorded):
            self._file = None
            self._is_blind = True
            yield
            return
        if not self._base:
            self._base = {**self._packs, **self._recorder.installed(), **self._recorder.modules(self._packs)}
        file = (request.target.path, request.source, request.folder)
        self._recorder.begin(anew=file != self._file)
        if self._is_blind:
            refuse("the same process has looked at other files unrecorded")
        self._file = file
        try:
            yield
        finally:
            self._seen = self._recorder.finish()

    def added_to(self, answer: Message, request: Request) -> Message:
        """The answer with what it was made from."""
        if not (isinstance(answer, Result) and isinstance(request, Analyse) and request.is_recorded):
            return answer
        every = {**self._seen, **self._recorder.modules(self._seen, self._names)}
        every = {**every, **_named(request, every)}
        seen = {key: value for key, value in every.items() if self._base.get(key) != value}
        base, self._is_said = None if self._is_said else self._base, True
        return msgspec.structs.replace(answer, seen=seen, base=base)


def _named(request: Analyse, seen: Seen) -> Seen:
    """Content of files that the loaded sources name: what opens them need not be seen."""
    here = request.folder or os.getcwd()  # noqa: PTH109
    sources = {request.target.path: request.source}
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and path.endswith(".py") and key_of(CONTENT, path) in seen and path not in sources:
            with contextlib.suppress(OSError):
                sources[path] = Path(path).read_text(encoding="utf-8", errors="replace")
    named = {name for path, source in sources.items() for name in named_files(source, (here, str(Path(path).parent)))}
    keys = {key_of(CONTENT, name): name for name in named}
    return {key: observe(CONTENT, name, {}) for key, name in keys.items() if key not in seen}

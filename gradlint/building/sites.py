"""Remember where each module and parameter was made: the chain of user lines, innermost first."""

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

from torch import nn

from gradlint.building.failure import COMPREHENSIONS, is_foreign, place_in
from gradlint.core.location import Location

_MODULE_KEY = "_gradlint_sites"
_PARAMETER_KEY = "_gradlint_parameter_sites"
_DEEPEST = 24
_tokens = itertools.count()

Chain = tuple[Location, ...]


class SiteRecorder:
    """Constructor chains of the models of one file. Instances carry a note of theirs, and so do deep copies."""

    def __init__(self, stop: CodeType) -> None:
        self.stop = stop
        self.token = next(_tokens)
        self.chains: list[Chain] = []
        self._known: dict[tuple[CodeType, int], Location] = {}

    def chain(self, frame: FrameType | None) -> Chain:
        """User lines from a frame outwards, up to the call that builds the model."""
        found: list[Location] = []
        inside = ""  # qualified name of a comprehension, whose enclosing function is at the same expression
        while frame is not None and frame.f_code is not self.stop and len(found) < _DEEPEST:
            code = frame.f_code
            if not is_foreign(code.co_filename) and inside != code.co_qualname:
                found.append(self._place(frame))
                inside = code.co_qualname.rpartition(".<locals>")[0] if code.co_name in COMPREHENSIONS else ""
            frame = frame.f_back
        return tuple(found)

    def _place(self, frame: FrameType) -> Location:
        key = (frame.f_code, frame.f_lasti)
        if key not in self._known:
            self._known[key] = place_in(frame.f_code, frame.f_lasti, frame.f_lineno)
        return self._known[key]

    def note_module(self, module: nn.Module, frame: FrameType | None) -> None:
        """Note where a module is being constructed (once: base classes call `__init__` again)."""
        if module.__dict__.get(_MODULE_KEY, (None,))[0] == self.token:
            return
        while frame is not None and _is_own_constructor(frame, module):
            frame = frame.f_back
        self.chains.append(self.chain(frame))
        module.__dict__[_MODULE_KEY] = (self.token, len(self.chains) - 1)

    def note_parameter(self, module: nn.Module, name: str, frame: FrameType | None) -> None:
        """Note where a parameter is registered; registering it anew moves its site."""
        chain = self.chain(frame)
        if chain:
            self.chains.append(chain)
            module.__dict__.setdefault(_PARAMETER_KEY, {})[name] = (self.token, len(self.chains) - 1)

    def _noted(self, note: tuple[int, int] | None) -> Chain:
        """The chain of a note, if it is one of this recorder's."""
        return self.chains[note[1]] if note is not None and note[0] == self.token else ()

    def collect(self, model: nn.Module) -> tuple[dict[int, Chain], dict[tuple[int, str], Location]]:
        """Chains by module identity, and sites by module identity and parameter name."""
        modules: dict[int, Chain] = {}
        parameters: dict[tuple[int, str], Location] = {}
        for module in model.modules():
            modules[id(module)] = self._noted(module.__dict__.get(_MODULE_KEY))
            for name, note in module.__dict__.get(_PARAMETER_KEY, {}).items():
                if chain := self._noted(note):
                    parameters[id(module), name] = chain[0]
        return modules, parameters


def _is_own_constructor(frame: FrameType, module: nn.Module) -> bool:
    code = frame.f_code
    if code.co_name != "__init__" or not code.co_argcount:
        return False
    return frame.f_locals.get(code.co_varnames[0]) is module


@contextmanager
def recording(recorder: SiteRecorder, on_parameter: Callable[[nn.Parameter], None] | None = None) -> Iterator[None]:
    """Watch `nn.Module.__init__` and `register_parameter` inside the block; `on_parameter` sees each parameter."""
    original_init, original_register = nn.Module.__init__, nn.Module.register_parameter

    def init(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        recorder.note_module(self, sys._getframe(1))
        original_init(self, *args, **kwargs)

    def register(self: nn.Module, name: str, param: nn.Parameter | None) -> None:
        original_register(self, name, param)
        if param is not None:
            recorder.note_parameter(self, name, sys._getframe(1))
            if on_parameter is not None:
                on_parameter(param)

    nn.Module.__init__ = init  # type: ignore[method-assign]
    nn.Module.register_parameter = register  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.__init__ = original_init  # type: ignore[method-assign]
        nn.Module.register_parameter = original_register  # type: ignore[method-assign]

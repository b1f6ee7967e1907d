"""Expressions that only compute: calls of torch, numpy and math, methods of their results, arithmetic, literals.

They are evaluated by the worker, to learn what a file feeds its model with; nothing that reads, writes or loads is.
"""

import ast
from collections.abc import Iterator

from gradlint.discovery.initialising import Functions
from gradlint.discovery.literals import Scope, UnreadableError
from gradlint.discovery.names import Names, mentions

_PACKAGES = frozenset({"torch", "numpy", "math"})
_BUILTINS = frozenset("range len int float bool list tuple dict min max sum abs round enumerate zip".split())  # noqa: SIM905
NOT_CALLED = frozenset(
    [
        "load", "save", "savez", "savez_compressed", "savetxt", "loadtxt", "genfromtxt", "fromfile", "from_file",
        "tofile", "dump", "memmap", "hub", "utils", "jit", "multiprocessing", "distributed", "package", "ops",
        "classes", "onnx", "compile", "library", "serialization", "ctypeslib", "testing", "share_memory_",
        "register_hook", "apply_", "map_", "backward", "DataSource", "open_memmap", "set_num_threads",
        "set_default_device", "set_default_dtype",
    ]
)  # fmt: skip
_ALLOWED = (
    ast.Constant, ast.Name, ast.Attribute, ast.Call, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Subscript,
    ast.Slice, ast.Tuple, ast.List, ast.Dict, ast.keyword, ast.Starred, ast.IfExp, ast.ListComp, ast.GeneratorExp,
    ast.comprehension, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context,
)  # fmt: skip
_DEEPEST = 30


def harmless_code(node: ast.expr, scope: Scope, names: Names, functions: Functions) -> str:
    """Code that computes an expression: assignments of what it mentions, then itself in the last line.

    Raises:
        UnreadableError: where it takes more than harmless computation, or a name whose value the file does not tell.
    """
    reader = _Reader(scope, names, functions)
    lines = [*reader.lines(node, frozenset()), ast.unparse(node)]
    return "\n".join(lines)


class _Reader:
    def __init__(self, scope: Scope, names: Names, functions: Functions) -> None:
        self.scope = scope
        self.names = names
        self.functions = functions
        self.bound: set[str] = set()

    def lines(self, node: ast.expr, within: frozenset[str]) -> Iterator[str]:
        """Assignments that an expression needs, in order."""
        self._check(node, _ALLOWED)
        own = {leaf.id for leaf in ast.walk(node) if isinstance(leaf, ast.Name) and isinstance(leaf.ctx, ast.Store)}
        for name in dict.fromkeys(mentions(node)):
            if name in own or name in self.bound or self._is_known(name):
                continue
            value = self.scope.get(name)
            if value is None or name in within or len(within) > _DEEPEST:
                raise UnreadableError
            yield from self.lines(value, within | {name})
            self.bound.add(name)
            yield f"{name} = {ast.unparse(value)}"

    def _is_known(self, name: str) -> bool:
        if self.scope.get(name) is not None:
            return False
        is_package = self.names.aliases.get(name, "").partition(".")[0] in _PACKAGES
        return is_package or name in self.functions or (name in _BUILTINS and name not in self.names.top)

    def _check(self, node: ast.AST, allowed: tuple[type[ast.AST], ...], depth: int = 3) -> None:
        for leaf in ast.walk(node):
            if allowed and not isinstance(leaf, allowed):
                raise UnreadableError
            if isinstance(leaf, ast.Attribute) and leaf.attr.startswith("_"):
                raise UnreadableError
            if isinstance(leaf, ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal | ast.AsyncFunctionDef):
                raise UnreadableError
            if isinstance(leaf, ast.Call):
                self._check_call(leaf, depth)

    def _check_call(self, call: ast.Call, depth: int) -> None:
        function = call.func
        if isinstance(function, ast.Name) and function.id in self.functions and depth > 0:
            self._check(self.functions[function.id], (), depth - 1)
            return
        if isinstance(function, ast.Name) and function.id in _BUILTINS:
            return
        dotted = self.names.dotted(function)
        if dotted.partition(".")[0] in _PACKAGES and not NOT_CALLED & set(dotted.split(".")):
            return
        is_method = isinstance(function, ast.Attribute) and function.attr not in NOT_CALLED
        if is_method and not self._is_foreign(dotted):
            return
        raise UnreadableError

    def _is_foreign(self, dotted: str) -> bool:
        """Whether a method belongs to something imported or defined at the top level, not to a value computed here."""
        root = dotted.partition(".")[0]
        if not root:
            return False
        of_package = root in self.names.packages or "." in self.names.aliases.get(root, "") or root in _PACKAGES
        return of_package or (root in self.names.top and self.scope.get(root) is None)

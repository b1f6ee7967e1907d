"""What a name of the file stands for: imports resolved to dotted names, without importing anything."""

import ast
import symtable
from collections import deque
from collections.abc import Iterator

FRAMEWORKS = frozenset(
    [
        "torch",
        "torchvision",
        "torchaudio",
        "torchtext",
        "lightning",
        "pytorch_lightning",
        "transformers",
        "timm",
        "diffusers",
        "torch_geometric",
        "monai",
        "fastai",
        "segmentation_models_pytorch",
        "kornia",
        "einops",
        "x_transformers",
        "peft",
        "sentence_transformers",
    ]
)
"""Packages whose import makes it plausible that a file holds a torch model."""
_BLOCKS = ("body", "handlers", "orelse", "finalbody", "cases")
"""Fields in which statements hold others."""
_HOLDING = {
    kind: blocks
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST) and not issubclass(kind, ast.expr)
    if (blocks := tuple(block for block in _BLOCKS if block in kind._fields))
}
"""Of each kind of node that holds statements, those fields."""


class Names:
    """Imports of one file, and the names that it binds at its top level."""

    def __init__(self, tree: ast.Module) -> None:
        self.aliases: dict[str, str] = {}
        self.packages: set[str] = set()
        self.stars: list[str] = []
        for node in all_statements(tree):
            if isinstance(node, ast.Import):
                self._plain(node)
            elif isinstance(node, ast.ImportFrom):
                self._from(node)
        self._rename(tree)
        self.top = frozenset(bound_names(tree.body)) | frozenset(self.aliases)

    def _rename(self, tree: ast.Module) -> None:
        """`Base = pl.LightningModule` at the top level is another name of something imported."""
        for statement in flat_statements(tree.body):
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Attribute() as value):
                    root = self.dotted(value).partition(".")[0]
                    if root in self.packages and name != root:
                        self.aliases[name] = self.dotted(value)

    def _plain(self, node: ast.Import) -> None:
        for alias in node.names:
            top = alias.name.partition(".")[0]
            self.packages.add(top)
            self.aliases[alias.asname or top] = alias.name if alias.asname else top

    def _from(self, node: ast.ImportFrom) -> None:
        module = "." * node.level + (node.module or "")
        if not node.level:
            self.packages.add(module.partition(".")[0])
        for alias in node.names:
            if alias.name == "*":
                self.stars.append(module)
            else:
                self.aliases[alias.asname or alias.name] = f"{module}.{alias.name}"

    @property
    def framework(self) -> bool:
        """Whether the file imports torch or a package built on it."""
        return bool(self.packages & FRAMEWORKS)

    def dotted(self, node: ast.expr | None) -> str:
        """Full dotted name of an expression such as `nn.Linear` ("torch.nn.Linear"); empty where it is no name."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        head = self.aliases.get(node.id)
        if head is None:
            head = f"torch.nn.{node.id}" if self._starred(node.id) else node.id
        return canonical(".".join([head, *reversed(parts)]))

    def _starred(self, name: str) -> bool:
        return "torch.nn" in self.stars and name[:1].isupper() and name not in self.top


def canonical(dotted: str) -> str:
    """`torch.nn.modules.linear.Linear` and `torch.nn.Linear` are one class."""
    if dotted.startswith("torch.nn.modules."):
        return "torch.nn." + dotted.rpartition(".")[2]
    return dotted


def all_statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Every statement of a file in the order of `ast.walk`, at a tenth of its cost: expressions hold none."""
    waiting: deque[ast.AST] = deque([tree])
    while waiting:
        node = waiting.popleft()
        for block in _HOLDING.get(type(node), ()):
            waiting.extend(getattr(node, block))
        if isinstance(node, ast.stmt):
            yield node


def flat_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a body with those of its `if`, `try` and `with` blocks; the main block is left out."""
    for statement in body:
        if is_main_block(statement):
            continue
        yield statement
        if isinstance(statement, ast.If):
            yield from flat_statements(statement.body + statement.orelse)
        elif isinstance(statement, ast.Try):
            handlers = [child for handler in statement.handlers for child in handler.body]
            yield from flat_statements(statement.body + handlers + statement.orelse + statement.finalbody)
        elif isinstance(statement, ast.With):
            yield from flat_statements(statement.body)


def is_main_block(statement: ast.stmt) -> bool:
    """Whether a statement is `if __name__ == "__main__":` (either way round)."""
    if not isinstance(statement, ast.If) or not isinstance(statement.test, ast.Compare):
        return False
    sides = [statement.test.left, *statement.test.comparators]
    names = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
    return names and any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)


def bound_names(body: list[ast.stmt]) -> Iterator[str]:
    """Names that a module body binds by definition or assignment (imports apart)."""
    for statement in flat_statements(body):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.For):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                yield from (leaf.id for leaf in ast.walk(target) if isinstance(leaf, ast.Name))


def mentions(node: ast.AST) -> Iterator[str]:
    """Every name that a piece of code reads, in order of appearance."""
    for leaf in ast.walk(node):
        if isinstance(leaf, ast.Name) and isinstance(leaf.ctx, ast.Load):
            yield leaf.id


def free_names(statement: ast.stmt) -> set[str]:
    """Names that a definition reads from the module around it: no parameters, nothing that it binds itself."""
    tables = [symtable.symtable(ast.unparse(statement), "<definition>", "exec")]
    found = {symbol.get_name() for symbol in tables[0].get_symbols() if symbol.is_referenced()}
    while tables:
        for inner in tables.pop().get_children():
            tables.append(inner)
            found |= {symbol.get_name() for symbol in inner.get_symbols() if symbol.is_global()}
    return found


def key_of(node: ast.AST) -> str:
    """`model`, or `self.model`: names that values are kept under."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        return f"self.{node.attr}"
    return ""


def returned_names(function: ast.FunctionDef) -> Iterator[str]:
    """Names that a function returns, on their own or in a tuple or dictionary."""
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            parts = [node.value]
            if isinstance(node.value, ast.Tuple | ast.List):
                parts = node.value.elts
            elif isinstance(node.value, ast.Dict):
                parts = node.value.values
            yield from (part.id for part in parts if isinstance(part, ast.Name))

"""Load a user's file: execute its definitions, keep its script back."""

import __future__

import ast
import importlib
import linecache
import sys
import tokenize
from pathlib import Path
from types import ModuleType

from gradlint.building.failure import analysis_error
from gradlint.building.namespace import Namespace
from gradlint.building.packages import enter_package, forget_package
from gradlint.building.stubs import imported_by_user, stand_in, standing_in, why_missing
from gradlint.building.surroundings import as_script, forget_modules, package_of, search_path
from gradlint.core.errors import AnalysisError
from gradlint.core.location import Location
from gradlint.discovery.names import bound_names, is_main_block

_loaded: list[tuple[set[str], list[str]]] = []
"""Modules known before the last load, and the folders whose modules belong to it."""


def load_module(path: str, root: str | None = None, *, source: str | None = None) -> Namespace:
    """Execute the definitions of a file: imports, classes, functions, assignments without calls.

    Everything else (calls, loops, assignments that call something) is kept back, and run only where a model that is
    built depends on it; `if __name__ == "__main__"` never runs. Siblings and relative imports resolve as they would
    from the file's folder, its package's parent, the repository's root and the working directory.

    Args:
        path: the file, as locations shall carry it.
        root: the repository's root, where it is known.
        source: the file's text, where it has been read already (or comes from somewhere else, an editor's buffer say).

    Raises:
        AnalysisError: stage "parse" where the file is no Python, stage "import" where a definition raises.
    """
    tree = _parse(path, source)
    if source is not None:  # an entry without a time is never checked against the disk
        linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    file = Path(path).resolve()
    folders = search_path(file, root)
    if _loaded:
        forget_modules(*_loaded.pop())
    _loaded.append((set(sys.modules), folders))
    return _load(path, tree, folders)


def renew(namespace: Namespace) -> None:
    """Execute the definitions anew where a statement was left half-way: it may have appended to a list already."""
    if namespace.stale:
        sys.modules.pop(namespace.module.__name__, None)
        fresh = _load(namespace.path, namespace.tree, namespace.folders)
        namespace.module, namespace.held, namespace.stale = fresh.module, fresh.held, False


def _load(path: str, tree: ast.Module, folders: list[str]) -> Namespace:
    file = Path(path).resolve()
    name, outside = package_of(file)
    if "site-packages" in file.parts and "." in name:
        return _installed(path, tree, name, folders)
    try:
        return _execute(path, tree, name, folders, outside, stubbed=True)
    except AnalysisError as error:
        if "." not in name or not _may_need_package(error, name):
            raise
        forget_package(name, _loaded[-1][0])
        return _execute(path, tree, name, folders, outside, stubbed=False)


def _may_need_package(error: AnalysisError, name: str) -> bool:
    """Whether running the package's own `__init__` could help: not where a third party's package is missing."""
    cause = error.__cause__
    missing = cause.name if isinstance(cause, ModuleNotFoundError) else None
    return missing is None or missing.partition(".")[0] == name.partition(".")[0]


def _parse(path: str, source: str | None) -> ast.Module:
    try:
        if source is None:
            with tokenize.open(path) as stream:
                source = stream.read()
        return ast.parse(source, filename=path)
    except SyntaxError as error:
        place = Location(path, error.lineno or 1, max(error.offset or 1, 1))
        raise AnalysisError(f"not valid Python: {error.msg}", stage="parse", location=place) from error
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise AnalysisError(f"cannot be read: {error}", stage="parse", location=Location(path, 1)) from error


def _execute(path: str, tree: ast.Module, name: str, folders: list[str], outside: Path, *, stubbed: bool) -> Namespace:
    module = ModuleType(_free_name(name))
    module.__file__ = str(Path(path).resolve())
    module.__dict__["__package__"] = package = name.rpartition(".")[0]
    namespace = Namespace(path, module, tree, folders, _future_flags(tree))
    linecache.checkcache(path)
    with as_script(Path(path), folders), standing_in() as missing:
        if package:
            enter_package(package, outside, path, stubbed=stubbed)
        sys.modules[module.__name__] = module
        for statement in tree.body:
            _load_statement(namespace, statement)
        namespace.missing = {name: why_missing(module) for name, module in missing.items()}
    return namespace


def _installed(path: str, tree: ast.Module, name: str, folders: list[str]) -> Namespace:
    """A file of an installed package is imported as everybody imports it: to run it twice would register it twice."""
    with as_script(Path(path), folders):
        try:
            module = importlib.import_module(name)
        except BaseException as error:
            doing = f"importing {name}"
            raise analysis_error(error, stage="import", doing=doing, path=path, fallback=Location(path, 1)) from error
    return Namespace(path, module, tree, folders, _future_flags(tree))


def _free_name(name: str) -> str:
    """The file's own module name, unless that is taken by another module (`random.py`, `torch.py`)."""
    package, _, stem = name.rpartition(".")
    if name not in sys.modules and name not in sys.stdlib_module_names:
        return name
    return f"{package}._checked_{stem}" if package else f"_checked_{stem}"


def _future_flags(tree: ast.Module) -> int:
    flags = 0
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            for alias in statement.names:
                flags |= getattr(__future__, alias.name).compiler_flag
    return flags


def _load_statement(namespace: Namespace, statement: ast.stmt) -> None:
    if is_main_block(statement):
        return
    definition = definitions_of(statement)
    if definition is None or _waits(namespace, definition):
        namespace.held.append(statement)
        return
    try:
        namespace.require(_import_time_names(definition))
        _run(namespace, definition)
    except BaseException as error:
        place = Location(namespace.path, statement.lineno, statement.col_offset + 1)
        doing = f"loading {Path(namespace.path).name}"
        remedy = _remedy(error, definition, namespace.folders)
        raise analysis_error(
            error, stage="import", doing=doing, path=namespace.path, fallback=place, remedy=remedy
        ) from error


def _run(namespace: Namespace, definition: ast.stmt) -> None:
    """Execute a definition; packages that cannot be imported are stood in for."""
    while True:
        try:
            return namespace.run(definition)
        except Exception as error:
            if not stand_in(error, namespace.folders):
                raise


def _waits(namespace: Namespace, statement: ast.stmt) -> bool:
    """An assignment of something that was itself kept back is kept back too."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return False
    bound = {name for held in namespace.held for name in bound_names([held])}
    return any(name in bound for name in _import_time_names(statement))


def _remedy(error: BaseException, definition: ast.stmt, folders: list[str]) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"install {error.name.partition('.')[0]} in the environment that runs gradlint"
    if isinstance(definition, ast.Import | ast.ImportFrom) and not imported_by_user(error.__traceback__, folders):
        package = ast.unparse(definition).split()[1].partition(".")[0].rstrip(",")
        return f"{package} is installed but cannot be imported: install a version that fits torch and Python here"
    is_import = isinstance(error, ImportError)
    return "make the file importable: python shows the whole traceback when it runs it" if is_import else ""


def definitions_of(statement: ast.stmt) -> ast.stmt | None:
    """The part of a top-level statement that defines something; None where it only does something."""
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return statement
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            return None if any(isinstance(node, ast.Call) for node in ast.walk(statement)) else statement
        case ast.If() | ast.Try() | ast.With() if _defines(statement):
            return ast.copy_location(_block_of(statement), statement)
        case ast.Expr(value=ast.Call(func=ast.Attribute() as function)):
            return statement if ast.unparse(function) in ("sys.path.append", "sys.path.insert") else None
    return None


def _block_of(statement: ast.If | ast.Try | ast.With) -> ast.stmt:
    """A block with its definitions alone; what a `with` opens is the script's business."""
    if isinstance(statement, ast.If):
        return ast.If(statement.test, _kept(statement.body), _kept(statement.orelse, empty=True))
    if isinstance(statement, ast.With):
        return ast.If(ast.copy_location(ast.Constant(True), statement), _kept(statement.body), [])
    kept = [ast.copy_location(ast.ExceptHandler(h.type, h.name, _kept(h.body)), h) for h in statement.handlers]
    rest = _kept(statement.orelse, empty=True), _kept(statement.finalbody, empty=True)
    return ast.Try(_kept(statement.body), kept, *rest)


def _defines(statement: ast.stmt) -> bool:
    definitions = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
    return any(isinstance(node, definitions) for node in ast.walk(statement))


def _kept(body: list[ast.stmt], *, empty: bool = False) -> list[ast.stmt]:
    """Definitions of a block; assignments that call something stay in, for a definition may depend on the branch."""
    kept = [s if isinstance(s, ast.Assign | ast.AnnAssign | ast.Raise) else definitions_of(s) for s in body]
    found = [statement for statement in kept if statement is not None]
    if found or empty:
        return found
    return [ast.copy_location(ast.Pass(), body[0])]


def _import_time_names(definition: ast.stmt) -> list[str]:
    """Names that a definition reads while it is executed (a function's body is not)."""
    names: list[str] = []
    queue: list[ast.AST] = [definition]
    while queue:
        node = queue.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            names.append(node.id)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = [
                *node.args.posonlyargs,
                *node.args.args,
                *node.args.kwonlyargs,
                node.args.vararg,
                node.args.kwarg,
            ]
            queue += [*node.decorator_list, *node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]
            queue += [a.annotation for a in arguments if a is not None and a.annotation is not None]
            queue += [node.returns] if node.returns is not None else []
        elif not isinstance(node, ast.Lambda):
            queue += list(ast.iter_child_nodes(node))
    return names

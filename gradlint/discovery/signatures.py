"""What a definition asks for, and what it mentions."""

import ast

from gradlint.discovery.names import mentions


def signature(arguments: ast.arguments, skip: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the parameters without and with a default, the first `skip` of them left out."""
    positional = [argument.arg for argument in arguments.posonlyargs + arguments.args]
    first_default = len(positional) - len(arguments.defaults)
    required = positional[skip:first_default]
    optional = positional[max(first_default, skip) :]
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        (required if default is None else optional).append(argument.arg)
    return tuple(required), tuple(optional)


def uses(node: ast.AST, known: frozenset[str], own: str) -> tuple[str, ...]:
    """The known names that a definition reads, in order of appearance."""
    return tuple(dict.fromkeys(name for name in mentions(node) if name in known and name != own))

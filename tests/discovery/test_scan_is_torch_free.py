"""A scan neither imports torch nor runs the user's code."""

import ast
import subprocess
import sys
from pathlib import Path

from gradlint import discovery
from gradlint.discovery.names import all_statements


def test_scanning_imports_no_torch_and_runs_nothing() -> None:
    code = (
        "import sys\n"
        "from gradlint.discovery import find_targets, scan_file\n"
        "source = 'import torch\\nclass Net(torch.nn.Module):\\n    def forward(self, x): return x\\nexit()'\n"
        "assert [t.name for t in find_targets(scan_file('m.py', source))] == ['Net']\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_statements_are_those_of_a_walk_over_everything_in_its_order() -> None:
    """The order in which imports are met says which of two aliases holds."""
    for path in sorted(Path(discovery.__file__).parent.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert list(all_statements(tree)) == [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    blocks = """
match x:
    case 1 if y:
        import a
    case _:
        pass
try:
    import b
except* ValueError:
    import c
else:
    async def f():
        async with x: import d
        async for y in z: import e
        else: import g
finally:
    while lambda: 1: import h
class K:
    import i
"""
    tree = ast.parse(blocks)
    assert list(all_statements(tree)) == [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    imported = [node.names[0].name for node in all_statements(tree) if isinstance(node, ast.Import)]
    assert sorted(imported) == list("abcdeghi")

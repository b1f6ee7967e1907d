"""Which files a change can make a difference to."""

from pathlib import Path

import pytest

from gradlint.engine.revisions.affected import Imports

FILES = {
    "acts.py": "x = 1\n",
    "blocks.py": "from acts import x\n",
    "model.py": "import blocks\n",
    "alone.py": "import torch\n# acts and blocks are only spoken of\n",
    "pkg/__init__.py": "",
    "pkg/core/__init__.py": "from .layers import L\n",
    "pkg/core/layers.py": "from ..base import *\n",
    "pkg/base.py": "y = 1\n",
    "pkg/net.py": "from .core import L\n",
    "tools/run.py": "def main():\n    from pkg import net\n",
    "src/lib/a.py": "",
    "train.py": "import lib.a\n",
    "broken.py": "import acts\nclass :\n",
    "mutual_a.py": "import mutual_b\n",
    "mutual_b.py": "import mutual_a\n",
}


@pytest.mark.parametrize(
    ("changed", "affected"),
    [
        ("acts.py", "acts.py blocks.py model.py"),
        ("model.py", "model.py blocks.py"),  # it may say how the blocks are built
        ("alone.py", "alone.py"),
        ("pkg/base.py", "pkg/base.py pkg/core/layers.py pkg/core/__init__.py pkg/net.py tools/run.py"),
        ("pkg/core/__init__.py", "pkg/core/__init__.py pkg/core/layers.py pkg/net.py tools/run.py"),
        ("src/lib/a.py", "src/lib/a.py train.py"),
        ("mutual_a.py", "mutual_a.py mutual_b.py"),
        ("gone.py", ""),
        ("notes.txt", ""),
    ],
)
def test_affected(tmp_path: Path, changed: str, affected: str) -> None:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = Imports(tmp_path, [*FILES, "notes.txt"]).affected({changed})
    assert found - {"pkg/__init__.py"} == set(affected.split())

"""A scan neither imports torch nor runs the user's code."""

import subprocess
import sys


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

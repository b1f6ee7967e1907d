"""Small models are traced without the heavy half of torch."""

import subprocess
import sys
import textwrap


def test_neither_dynamo_nor_sympy_is_imported() -> None:
    program = """
        import sys, torch
        from torch import nn
        from torch.utils.checkpoint import checkpoint
        from gradlint.building.built import BuiltModel, Fed
        from gradlint.tracing import trace, trace_symbolically

        body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout())
        model = nn.Sequential(body, nn.Flatten(), nn.Linear(144, 2))
        before = {"torch._dynamo", "sympy"} & sys.modules.keys()
        x = torch.randn(2, 3, 8, 8)
        graph = trace(BuiltModel(None, model, {}, {}, {}), Fed((x,)))
        assert len(graph.reachable) == 6, graph.reachable
        assert not before, before
        assert not {"torch._dynamo", "sympy"} & sys.modules.keys()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr

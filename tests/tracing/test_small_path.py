"""Small models are traced without the heavy half of torch."""

import subprocess
import sys
import textwrap
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from speed import SMALL


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


def test_a_whole_check_of_a_small_file_imports_neither(tmp_path: Path) -> None:
    """Found, built, fed, traced, propagated, judged by all rules; the process that reports has not even torch."""
    (tmp_path / "small.py").write_text(SMALL, encoding="utf-8")
    program = """
        import sys
        from gradlint import registry
        from gradlint.config import Config
        from gradlint.engine.collect import collect
        from gradlint.engine.reading import read

        config = Config()
        (job,), _ = collect(["small.py"], config)
        reading = read(job, config)
        codes = tuple(sorted(registry.select(registry.load(), config).codes))
        assert not {"torch", "numpy"} & sys.modules.keys()
        from gradlint.worker import analysis
        from gradlint.worker.messages import Settings

        result = analysis.analyse(reading.targets[0], reading.source, Settings(codes), on_stage=lambda name: None)
        assert result.summary.attenuation is not None and not result.skipped, result
        loaded = {"torch._dynamo", "torch._inductor", "sympy", "torch.fx.experimental.symbolic_shapes"}
        assert not loaded & sys.modules.keys(), loaded & sys.modules.keys()
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_the_command_itself_imports_no_torch(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(SMALL, encoding="utf-8")
    program = """
        import sys
        from gradlint.cli import main

        assert main(["check", "small.py", "--isolated"]) == 0
        assert not {"torch", "numpy", "sympy"} & sys.modules.keys()
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (done.returncode, "1 model checked" in done.stdout) == (0, True), done.stderr

"""Small models are measured without the heavy half of torch."""

import subprocess
import sys
import textwrap


def test_neither_dynamo_nor_sympy_is_imported() -> None:
    program = """
        import sys, torch
        from torch import nn
        from gradlint.probe import measure

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.rnn, self.head = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)

            def forward(self, x):
                return self.head(self.rnn(x)[0])

        flow = measure(Model(), torch.randn(2, 5, 3))
        assert flow.times and flow.modules()["rnn"].gradient_rms > 0
        heavy = {"torch._dynamo", "sympy", "numpy.random"} & sys.modules.keys()
        assert not heavy, heavy
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr

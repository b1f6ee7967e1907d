"""Agents of reinforcement learning: no forward, or one that only raises, but `evaluate` or `get_action_and_value`."""

import ast
import textwrap
from pathlib import Path

import pytest
from torch.distributions import Distribution

from gradlint.discovery import find_targets, scan_file
from gradlint.discovery.entering import called_names, others
from gradlint.discovery.modules import definitions
from gradlint.worker.analysis import Examined, examine

HEAD = """
import torch
from torch import nn
from torch.distributions import Categorical, Normal

class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 6))
        self.critic = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 1))
"""
PLACEHOLDER = """
    def forward(self):
        raise NotImplementedError
"""
ACT = """
    def act(self, state):
        dist = Categorical(logits=self.actor(state))
        action = dist.sample()
        return action.detach(), dist.log_prob(action).detach(), self.critic(state).detach()
"""
EVALUATE = """
    def evaluate(self, state, action):
        dist = Categorical(torch.softmax(self.actor(state), -1))
        return dist.log_prob(action), self.critic(state), dist.entropy()
"""
BOTH = """
    def get_value(self, x):
        return self.critic(x)

    def get_action_and_value(self, x, action=None):
        probs = Categorical(logits=self.actor(x))
        if action is None:
            action = probs.sample()
        return action, probs.log_prob(action), probs.entropy(), self.critic(x)
"""
USES = "\nagent = Agent()\ndef collect(x):\n    return agent.{}(x)\n"


def examined(tmp_path: Path, source: str) -> Examined:
    path = tmp_path / "agent.py"
    path.write_text(source)
    target = next(target for target in find_targets(scan_file(str(path), source)) if target.name in ("agent", "Agent"))
    return examine(target, source, on_stage=lambda name: None)


@pytest.mark.parametrize(
    ("methods", "used", "through"),
    [
        (PLACEHOLDER + ACT + EVALUATE, "act", "its evaluate"),
        (ACT + EVALUATE, "act", "its evaluate"),
        (BOTH, "get_action_and_value", "its get_action_and_value"),
    ],
)
def test_what_runs_most_and_lets_the_gradient_through_is_run(
    methods: str, used: str, through: str, tmp_path: Path
) -> None:
    found = examined(tmp_path, HEAD + methods + USES.format(used))
    assert found.fed is not None and found.fed.through == through and not found.fed.is_whole
    assert found.flow.unknown == ()
    gradients = [found.flow.module_flows[path].gradient_rms for path in ("actor.0", "critic.0")]
    assert all(gradient is not None and gradient > 0 for gradient in gradients)


@pytest.mark.parametrize("checks", [True, False])
def test_actions_are_drawn_from_what_the_distribution_can_give(
    checks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Distribution, "_validate_args", checks)  # torch.compile switches them off for good
    found = examined(tmp_path, HEAD + EVALUATE + USES.format("evaluate"))
    assert found.fed is not None
    state, action = found.fed.args
    assert state.shape[-1] == 16 and action.shape == state.shape[:1] and not action.is_floating_point()
    assert 0 <= int(action.min()) <= int(action.max()) < 6


def test_continuous_actions_get_the_shape_of_the_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Distribution, "_validate_args", True)
    methods = """
    def evaluate(self, state, action):
        dist = Normal(self.actor(state), torch.ones(6))
        return dist.log_prob(action).sum(-1), self.critic(state)
"""
    found = examined(tmp_path, HEAD + methods + USES.format("evaluate"))
    assert found.fed is not None and tuple(found.fed.args[1].shape) == (*found.fed.args[0].shape[:1], 6)


@pytest.mark.parametrize(
    "source",
    [
        HEAD + PLACEHOLDER + EVALUATE,  # nobody makes one
        HEAD + PLACEHOLDER + EVALUATE + "\nagent = Agent()\n",  # nobody calls what it does
        HEAD
        + EVALUATE
        + "\n    def run(self, x):\n        return self.evaluate(x, x)\n\nclass Other(Agent):\n    pass\n",
    ],
)
def test_a_class_that_only_others_may_use_is_no_model(source: str) -> None:
    targets = find_targets(scan_file("agent.py", source))
    assert "Agent" not in [target.name for target in targets]


def test_the_method_that_the_file_calls_comes_first(tmp_path: Path) -> None:
    methods = """
    def first(self, x):
        return self.critic(x), self.actor(x)

    def log_prob(self, x):
        return self.critic(x), self.actor(x)
"""
    found = examined(tmp_path, HEAD + methods + USES.format("log_prob"))
    assert found.fed is not None and found.fed.through == "its log_prob"


def test_which_methods_stand_for_a_forward() -> None:
    text = textwrap.dedent("""
        class Net:
            def reset(self): self.body(1)
            def _hidden(self, x): return self.body(x)
            def set_size(self, size): self.size = size
            @torch.no_grad()
            def sample(self, x): return self.body(self.head(x))
            def act(self, x): return self.body(self.head(x)).detach()
            def half(self, x): return self.body(x)
            def all(self, x): return self.body(self.head(x))
    """)
    scan = scan_file("net.py", f"import torch\n{text}")
    assert scan.tree is not None
    node = definitions(scan.tree)["Net"]
    assert others(child for child in node.body if isinstance(child, ast.FunctionDef)) == ["all", "half", "act"]
    assert others((child for child in node.body if isinstance(child, ast.FunctionDef)), {"half"})[0] == "half"
    assert called_names(scan.tree) == {"no_grad", "detach"}

"""gradlint in tests: `assert_gradients_flow` for a live model; the pytest plugin for model files (`pytest --gradlint`).

Importing this imports nothing else: the plugin is loaded by every run of pytest.
"""

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import nn

__all__ = ["assert_gradients_flow"]


def assert_gradients_flow(
    model: "nn.Module",
    inputs: Any,
    *,
    max_attenuation: float | None = None,
    fail_on: Literal["error", "warning"] = "warning",
    measured: bool = False,
    **options: Any,
) -> None:
    """Fail where a rule finds something in the model, or where its gradients lose more than they may.

    The model is left exactly as found. Nothing that the test did to it is needed: no backward pass, no optimizer.

    Args:
        model: the model, with the values that its parameters have now.
        inputs: a tensor, a tuple of positional arguments, or a dictionary of keyword arguments of the forward.
        max_attenuation: decades of gradient that may be lost on the way back to any module that has parameters.
        fail_on: findings of this severity and above count.
        measured: judge by a real forward and backward pass: refuted findings do not count, and attenuation is measured.
        options: keys of the configuration in snake_case (`select=["GL1"]`, `optimizer="adam"`, `severity={…}` …).

    Raises:
        AssertionError: with the findings as `gradlint check` prints them, or with the modules that lose too much; also
            where the model cannot be analysed.
        gradlint.core.errors.UsageError: an option, or a limit, that cannot be meant.
    """
    __tracebackhide__ = True
    from gradlint.testing.asserting import why_not

    if text := why_not(model, inputs, max_attenuation, fail_on, measured=measured, options=options):
        raise AssertionError(f"gradients do not flow through {type(model).__name__}\n\n{text}")

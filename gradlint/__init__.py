"""gradlint: predicts where the gradients of a PyTorch model will starve or explode, before you train.

`check` looks at files, in a process of its own; `check_model`, `flow`, `what_if`, `tangents` and `measure` look at a
live `nn.Module`, in this process, and leave it exactly as they found it. They look at one model at a time: calls from
several threads wait for each other, since a recorded forward pass borrows `nn.Module.__call__` and torch's modes from
the whole process. Do not train in another thread meanwhile.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from gradlint.config import Config
    from gradlint.core.edit import Edit
    from gradlint.core.flow import Flow
    from gradlint.core.outlook import Outlook
    from gradlint.core.report import Report
    from gradlint.core.tangents import Tangents

__version__ = "0.1.0"
__all__ = ["__version__", "check", "check_model", "flow", "measure", "outlook", "tangents", "what_if"]


def check(paths: "str | Path | Sequence[str | Path]", config: "Config | Mapping[str, Any] | None" = None) -> "Report":
    """Check files, directories and named models. This runs the definitions of the files, in a worker process.

    Args:
        paths: one or several of: a file, a directory, `file.py:Class`, `pkg.mod:Class`.
        config: a `gradlint.config.Config`, or a dictionary of its keys in snake_case; None reads the nearest
            `pyproject.toml`, `gradlint.toml` or `.gradlint.toml`.

    Returns:
        The findings, the models, and what was not analysed and why. A path that does not exist, or a model that cannot
        be built, is an entry of `Report.skipped`, not an exception.

    Raises:
        gradlint.core.errors.UsageError: a setting, selector or rule name that cannot be meant.
    """
    import os

    from gradlint import engine
    from gradlint.config import from_options

    if isinstance(config, Mapping):
        config = from_options(**config)
    return engine.check([paths] if isinstance(paths, str | os.PathLike) else paths, config)


def check_model(model: "nn.Module", example_inputs: Any = None, **options: Any) -> "Report":
    """Check a live model with the values that its parameters have now. It is left exactly as found.

    Args:
        model: the model.
        example_inputs: a tensor, a tuple of positional arguments, or a dictionary of keyword arguments of the forward;
            None derives them from the model's first layers.
        options: keys of the configuration in snake_case: `probe=True`, `optimizer="sgd"`, `select=["GL1"]`, …

    Raises:
        gradlint.core.errors.UsageError: an unknown option, selector or rule name.
    """
    from gradlint import engine

    return engine.check_model(model, example_inputs, **options)


def flow(model: "nn.Module", example_inputs: Any, *, kwargs: Mapping[str, Any] | None = None) -> "Flow":
    """Predict the gradient flow of a live model, without a backward pass. It is left exactly as found.

    Args:
        model: the model.
        example_inputs: a tensor, a tuple of positional arguments, or a dictionary of keyword arguments of the forward.
            Shapes and dtypes count; values do only for masks, lengths and booleans.
        kwargs: further keyword arguments of the forward.

    Returns:
        `Flow.modules()` and `Flow.parameters()` by dotted name; RMS figures, attenuation in decades.

    Raises:
        gradlint.core.errors.AnalysisError: the model does not run on these inputs.
    """
    from gradlint import engine

    return engine.flow(model, example_inputs, kwargs=kwargs)


def what_if(
    model: "nn.Module", example_inputs: Any, edit: "Edit", *, kwargs: Mapping[str, Any] | None = None
) -> "Flow | None":
    """Predict the flow as it would be after one edit: another activation, gain, norm, skip or gated recurrence.

    ```python
    from gradlint.api import Edit, EditKind
    sigmoids = [name for name, node in gradlint.flow(model, x).nodes.items() if name.startswith("sigmoid")]
    better = gradlint.what_if(model, x, Edit(EditKind.ACTIVATION, "GELU", nodes=tuple(sigmoids), detail="gelu"))
    ```

    Args:
        model: the model, left exactly as found.
        example_inputs: as for `flow`.
        edit: the change; its nodes are those of `flow(…).nodes`, its parameters dotted names.
        kwargs: further keyword arguments of the forward.

    Returns:
        None where the edit does not apply: no such nodes or parameters, or shapes that do not fit.

    Raises:
        gradlint.core.errors.AnalysisError: the model does not run on these inputs.
    """
    from gradlint import engine

    return engine.what_if(model, example_inputs, edit, kwargs=kwargs)


def tangents(model: "nn.Module", example_inputs: Any, *, kwargs: Mapping[str, Any] | None = None) -> "Tangents | None":
    """Predict how far the first steps of training move the outputs, and how much of that tells samples apart.

    Args:
        model: the model, left exactly as found.
        example_inputs: as for `flow`, with at least two samples.
        kwargs: further keyword arguments of the forward.

    Returns:
        `Tangents.slowness` and `.slowness_adam`: decades of steps beyond those of a well-conditioned model; None where
        the outputs do not hold at least two samples along their first dim.

    Raises:
        gradlint.core.errors.AnalysisError: the model does not run on these inputs.
    """
    from gradlint import engine

    return engine.tangents(model, example_inputs, kwargs=kwargs)


def outlook(model: "nn.Module", example_inputs: Any, *, kwargs: Mapping[str, Any] | None = None) -> "Outlook | None":
    """Predict how hard the model will be to train, before it is trained.

        gradlint.outlook(model, x).effort("sgd")    # decades; from what effort on models fail: docs/thresholds.md

    Args:
        model: the model, left exactly as found.
        example_inputs: as for `flow`, with at least two samples.
        kwargs: further keyword arguments of the forward.

    Returns:
        None where the outputs do not hold at least two samples along their first dim.

    Raises:
        gradlint.core.errors.AnalysisError: the model does not run on these inputs.
    """
    from gradlint import engine

    return engine.outlook(model, example_inputs, kwargs=kwargs)


def measure(model: "nn.Module", example_inputs: Any, *, kwargs: Mapping[str, Any] | None = None) -> "Flow":
    """The same structure as `flow`, from one real forward and backward pass. The model is left exactly as found.

    Args:
        model: the model.
        example_inputs: as for `flow`; the tensors are used as given.
        kwargs: further keyword arguments of the forward.

    Raises:
        gradlint.core.errors.AnalysisError: a parameter or input without values.
        Exception: whatever the model's forward raises on these inputs.
    """
    from gradlint import engine

    return engine.measure(model, example_inputs, kwargs=kwargs)

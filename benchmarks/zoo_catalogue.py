"""The zoos over which `accuracy.py --zoo` compares prediction and measurement."""

import os
from collections.abc import Callable, Sequence

import zoo_deep
import zoo_features
import zoo_transformers
import zoo_vision
from accuracy_models import Case
from common import import_torchvision

LIBRARIES: dict[str, Callable[[], Sequence[Case]]] = {
    "torchvision": zoo_vision.torchvision_cases,
    "pytorchcv": zoo_vision.pytorchcv_cases,
    "transformers": zoo_transformers.cases,
    "features": zoo_features.cases,
    "deep": zoo_deep.cases,
}


def cases(library: str) -> tuple[Case, ...]:
    """The models of one library."""
    return tuple(LIBRARIES[library]())


def prepare(libraries: Sequence[str]) -> None:
    """Import what the children will need, once."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    if {"torchvision", "pytorchcv", "transformers"}.intersection(libraries):
        import_torchvision()
    if "transformers" in libraries:
        import transformers

        transformers.logging.set_verbosity_error()
    if "pytorchcv" in libraries:
        import pytorchcv.model_provider  # noqa: F401

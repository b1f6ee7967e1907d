"""Answer downloads of weights with none: a model's initial values are what is analysed, not somebody's training."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import hub, nn
from torch.nn.modules.module import _IncompatibleKeys

from gradlint.building.hub import without_checkpoints

NOTE = "pretrained weights were not downloaded: the initial values are analysed"


@contextmanager
def without_downloads() -> Iterator[list[str]]:
    """Inside, `torch.hub` gives empty state dictionaries, and loading an empty one changes nothing; `from_pretrained`
    of transformers gives a model of that kind.

    Yields:
        a list that afterwards names the files asked for.
    """
    asked: list[str] = []
    originals: tuple[Any, ...] = (hub.download_url_to_file, hub.get_dir, nn.Module.load_state_dict)

    def download(url: str, dst: str, *args: Any, **kwargs: Any) -> None:
        asked.append(Path(dst).name)
        torch.save({}, dst)

    def load(self: nn.Module, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        if not state_dict and asked:
            return _IncompatibleKeys([], [])
        return originals[2](self, state_dict, *args, **kwargs)

    with tempfile.TemporaryDirectory() as folder:
        hub.download_url_to_file = download
        hub.get_dir = lambda: folder
        nn.Module.load_state_dict = load  # type: ignore[method-assign]
        try:
            with without_checkpoints(asked):
                yield asked
        finally:
            hub.download_url_to_file, hub.get_dir = originals[:2]
            nn.Module.load_state_dict = originals[2]  # type: ignore[method-assign]

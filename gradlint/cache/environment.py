"""What every result depends on, whatever it is a result of: part of the key that it is kept under."""

import os
import sys
from collections.abc import Iterator, Mapping

from gradlint.cache.observations import digest
from gradlint.cache.store import LAYOUT

_PREFIXES = (
    "GRADLINT_", "PYTHON", "TORCH", "PYTORCH", "ATEN_", "OMP_", "MKL_", "KMP_", "OPENBLAS_", "VECLIB_", "BLIS_", "NPY_",
    "CUDA_", "NVIDIA_", "LD_", "DYLD_", "LC_", "LANG",
)  # fmt: skip
"""Variables that the interpreter and libraries read for themselves, where nobody can see it."""
GRADLINT = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/"
"""gradlint's own files."""
_DEVICE = "/dev/nvidiactl"


def environment_key(environment: Mapping[str, str], version: str) -> str:
    """Digest of versions (gradlint's own is given), platform, folder and of variables that are read unseen."""
    read = sorted((name, value) for name, value in environment.items() if name.startswith(_PREFIXES))
    try:
        folder = os.getcwd()
    except OSError:  # it was removed
        folder = ""
    machine = (sys.platform, os.uname().machine, os.path.exists(_DEVICE))
    parts = (
        LAYOUT,
        version,
        sorted(_own(GRADLINT)),
        sys.version,
        sys.executable,
        sys.prefix,
        machine,
        folder,
        read,
    )
    return digest(repr(parts).encode("utf-8", "surrogateescape"))


def _own(folder: str) -> Iterator[tuple[str, int, int]]:
    """Size and time of each of gradlint's own sources: they may be edited where they were installed from a checkout."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                found = entry.stat()
                yield entry.path, found.st_size, found.st_mtime_ns
            elif entry.name != "__pycache__" and entry.is_dir():
                yield from _own(entry.path)

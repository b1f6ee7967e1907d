"""Files that code names, and may hand to a library that opens them where Python does not see it (safetensors, HDF5)."""

import os
import re
from collections.abc import Iterable, Iterator

_LITERAL = re.compile(r"""["']([^"'\n]{0,200}[\w)]\.(?!py\b)\w{1,12})["']""")


def named_files(source: str, folders: Iterable[str]) -> Iterator[str]:
    """Where the texts of a source that look like names of files would lead from each of the folders."""
    names = {match[1] for match in _LITERAL.finditer(source)}
    for folder in dict.fromkeys(folders):
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                yield path

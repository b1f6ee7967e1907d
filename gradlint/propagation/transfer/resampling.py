"""The matrices by which up- and downsampling acts on the places of each axis."""

import torch
from torch import Tensor, fx
from torch.nn import functional as F

from gradlint.propagation import particles as P
from gradlint.tracing.model_graph import op_of

FIRST_SPATIAL = 2
_MODES = {"nearest_exact": "nearest-exact", "nearest": "nearest", "cubic": "bicubic", "linear": "linear"}
"""What names an operator → as `interpolate` has it for one axis."""


def matrices(node: fx.Node) -> list[Tensor]:
    """`[out, in]` per axis, of an `upsample_…` operator."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    op = op_of(node).op
    mode = next(said for word, said in _MODES.items() if word in op)
    given = node.args[2] if len(node.args) > 2 else node.kwargs.get("align_corners", False)
    corners = bool(given) if "nearest" not in mode else None
    extents = (tuple(n.meta["val"].shape[FIRST_SPATIAL:]) for n in (source, node))
    smooth = op.endswith("_aa")
    return [_matrix(n, out, mode, corners, smooth=smooth) for n, out in zip(*extents, strict=True)]


def _matrix(n: int, out: int, mode: str, corners: bool | None, *, smooth: bool) -> Tensor:
    """`[out, n]` of one axis; `smooth`: with windows as wide as what they leave out (`antialias`)."""
    eye = torch.eye(n, dtype=P.DTYPE)[None]
    if smooth or mode == "bicubic":  # torch has these in two dims only
        plane = {"linear": "bilinear"}.get(mode, mode)
        rows = F.interpolate(eye[:, :, None], (1, out), mode=plane, align_corners=corners, antialias=smooth)
        return rows[0, :, 0].T
    return F.interpolate(eye, size=out, mode=mode, align_corners=corners)[0].T

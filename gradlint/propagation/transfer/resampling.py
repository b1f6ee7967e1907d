"""The matrices by which up- and downsampling acts on the places of each axis."""

import torch
from torch import Tensor, fx
from torch.nn import functional as F

from gradlint.propagation import particles as P
from gradlint.tracing.model_graph import op_of

FIRST_SPATIAL = 2


def matrices(node: fx.Node) -> list[Tensor]:
    """`[out, in]` per axis, of an `upsample_…` operator."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    op = op_of(node).op
    mode = "nearest" if "nearest" in op else "cubic" if "cubic" in op else "linear"
    given = node.args[2] if len(node.args) > 2 else node.kwargs.get("align_corners", False)
    corners = bool(given) if mode != "nearest" else None
    extents = (tuple(n.meta["val"].shape[FIRST_SPATIAL:]) for n in (source, node))
    return [_matrix(n, out, mode, corners) for n, out in zip(*extents, strict=True)]


def _matrix(n: int, out: int, mode: str, corners: bool | None) -> Tensor:
    """`[out, n]` of one axis."""
    eye = torch.eye(n, dtype=P.DTYPE)[None]
    if mode == "cubic":  # torch has it in two dims only
        return F.interpolate(eye[..., None], size=(out, 1), mode="bicubic", align_corners=corners)[0, ..., 0].T
    return F.interpolate(eye, size=out, mode=mode, align_corners=corners)[0].T

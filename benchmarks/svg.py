"""What the plots share: SVG written by hand, which needs no plotting library."""

from collections.abc import Sequence
from pathlib import Path

INK, PALE, DARK, RED, AMBER = "#333", "#cfd8e3", "#1f4e8c", "#c0392b", "#d98e04"


def text(x: float, y: float, words: str, *, anchor: str = "middle") -> str:
    """A line of words."""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{words}</text>'


def write(path: Path, width: float, height: float, parts: Sequence[str]) -> None:
    """A picture of these parts on white."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" font-family="sans-serif" font-size="11" fill="{INK}">'
    )
    ground = f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>'
    path.write_text("\n".join([head, ground, *parts, "</svg>"]) + "\n", encoding="utf-8")

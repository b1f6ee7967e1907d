"""Print the first two command lines of a README's fenced shell blocks: the set-up commands that it promises."""

import re
import sys
from pathlib import Path


def shell_commands(markdown: str) -> list[str]:
    """Command lines of all fenced sh/bash/shell/console blocks, in order, comments and prompts left out."""
    blocks = re.findall(r"^```(?:sh|bash|shell|console)\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL)
    lines = (line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


if __name__ == "__main__":
    commands = shell_commands(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if len(commands) < 2:
        sys.exit(f"{sys.argv[1]}: expected at least two shell commands, found {len(commands)}")
    sys.stdout.write("\n".join(commands[:2]) + "\n")

"""Which models a file holds, read from its syntax tree: no torch, and nothing of the user's code is run."""

from gradlint.discovery.scan import scan_file
from gradlint.discovery.targets import find_targets, parse_target
from gradlint.discovery.values import Candidate, Construction, FileScan

__all__ = ["Candidate", "Construction", "FileScan", "find_targets", "parse_target", "scan_file"]

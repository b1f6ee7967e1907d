"""A check in parts, on several machines (`gradlint check --shard 3/8`), and the parts made one (`gradlint merge`)."""

from gradlint.engine.shards.merging import Merged, merge
from gradlint.engine.shards.part import check_shard
from gradlint.engine.shards.partition import parse

__all__ = ["Merged", "check_shard", "merge", "parse"]

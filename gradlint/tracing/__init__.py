"""Tracing: a built model and its inputs go in, a `ModelGraph` comes out."""

from gradlint.tracing.dropout import without_dropout
from gradlint.tracing.forward import trace
from gradlint.tracing.model_graph import ModelGraph, TensorMeta, constant_of, op_of
from gradlint.tracing.symbolic import trace_symbolically

__all__ = ["ModelGraph", "TensorMeta", "constant_of", "op_of", "trace", "trace_symbolically", "without_dropout"]

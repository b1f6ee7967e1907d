"""The process that touches user code."""

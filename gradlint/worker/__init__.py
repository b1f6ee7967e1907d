"""The process that touches user code, and the parent's side of it. Importing this package imports no torch."""

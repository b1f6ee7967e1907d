"""Which findings count: suppressions."""

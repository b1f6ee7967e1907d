"""Which models a file holds, without importing it."""

"""Build a target, without allocating where it is large, and find inputs that it runs on."""

"""ModelGraph → Flow: the signal-propagation engine."""

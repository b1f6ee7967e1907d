"""What becomes of findings: suppressed by a comment, or counted towards the exit code."""

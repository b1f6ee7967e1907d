"""Real forward and backward passes, and the verdicts they give."""

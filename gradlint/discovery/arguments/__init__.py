"""What a constructor's parameters are, by name, annotation and use; nothing is imported or run for it."""

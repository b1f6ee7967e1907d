"""Names of files that mean something to gradlint. Apart from everything else, so that knowing them imports nothing."""

CONFIGURATIONS = (".gradlint.toml", "gradlint.toml", "pyproject.toml")
"""In order of precedence within one folder."""

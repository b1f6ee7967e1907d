"""`python -m gradlint`: the command, for a Python whose scripts are not on the path."""

import sys

from gradlint.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m gradlint.worker REQUESTS ANSWERS TRACES MEMORY`: started by `gradlint.worker.process`, not by people."""

import sys

from gradlint.worker.serve import serve

if __name__ == "__main__":
    serve(*(int(argument) for argument in sys.argv[1:5]))

"""Arguments that nobody has said: guessed by name, annotation and use. A guess builds *a* model, not *the* model."""

from gradlint.building.guessing.guess import Guess, guesses, mended
from gradlint.building.guessing.objects import Deferred, described, toml
from gradlint.building.guessing.signature import positional, required, signature_of

__all__ = ["Deferred", "Guess", "described", "guesses", "mended", "positional", "required", "signature_of", "toml"]

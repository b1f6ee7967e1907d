"""The environment that user code is given: the parent's, less what looks like a secret."""

import re
from collections.abc import Mapping

_SECRET_WORDS = frozenset({
    "TOKEN", "TOKENS", "SECRET", "SECRETS", "PASSWORD", "PASSWORDS", "PASSWD", "PASSPHRASE", "PASS", "PWD", "KEY",
    "KEYS", "APIKEY", "CREDENTIAL", "CREDENTIALS", "AUTH", "PAT", "COOKIE", "COOKIES", "SIGNATURE",
})  # fmt: skip
_SECRET_PARTS = ("SECRET", "PASSW", "CREDENTIAL", "APIKEY", "ACCESSKEY", "PRIVATEKEY", "AUTHTOKEN")
_KEPT = frozenset(["PWD", "OLDPWD"])
_URL_WITH_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


def looks_secret(name: str, value: str) -> bool:
    """Whether a variable's name, or a password inside its value, says that strangers should not read it."""
    upper = name.upper()
    if upper in _KEPT:
        return False
    words = re.split(r"[^A-Z0-9]+", upper)
    named = any(word in _SECRET_WORDS or word.endswith("TOKEN") for word in words)
    return named or any(part in upper for part in _SECRET_PARTS) or bool(_URL_WITH_PASSWORD.search(value))


def scrubbed(environment: Mapping[str, str]) -> dict[str, str]:
    """The worker's environment: no secrets, no busy waiting, no downloads, hashes that are the same in every run."""
    kept = {name: value for name, value in environment.items() if not looks_secret(name, value)}
    kept["PYTHONHASHSEED"] = "0"
    kept["PYTHONUNBUFFERED"] = "1"
    kept.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    kept["HF_HUB_OFFLINE"] = kept["TRANSFORMERS_OFFLINE"] = "1"  # what is not on this machine is not fetched
    return kept

"""What the worker inherits."""

import pytest

from gradlint.worker.environment import looks_secret, scrubbed


@pytest.mark.parametrize(
    "name",
    [
        "GITHUB_TOKEN",
        "HF_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "OPENAI_API_KEY",
        "apikey",
        "DB_PASSWORD",
        "PGPASSWORD",
        "MYSQL_PWD",
        "SSH_AUTH_SOCK",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "CI_JOB_JWT_TOKEN",
        "NPM_CONFIG_AUTHTOKEN",
    ],
)
def test_secrets_are_dropped(name: str) -> None:
    assert looks_secret(name, "x")
    assert name not in scrubbed({name: "x"})


@pytest.mark.parametrize(
    "name",
    ["PATH", "HOME", "PWD", "PYTHONPATH", "TOKENIZERS_PARALLELISM", "KEYBOARD", "TORCH_HOME", "MONKEY", "HF_HOME"],
)
def test_everything_else_is_kept(name: str) -> None:
    assert scrubbed({name: "x"})[name] == "x"


def test_passwords_in_addresses_are_dropped() -> None:
    assert "DATABASE_URL" not in scrubbed({"DATABASE_URL": "postgres://me:hunter2@db/x"})
    assert scrubbed({"HOMEPAGE": "https://example.org:80/a@b"})["HOMEPAGE"] == "https://example.org:80/a@b"


def test_hashes_do_not_change_from_run_to_run() -> None:
    assert scrubbed({})["PYTHONHASHSEED"] == "0"

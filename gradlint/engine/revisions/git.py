"""git, asked only questions that change nothing and that no network answers."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gradlint.config import nearest
from gradlint.core.errors import UsageError

_QUIET = {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
"""No lock on the user's index, no fetch, no question, messages that can be read."""
_SETTINGS = ("-c", "core.fsmonitor=false", "-c", "core.quotepath=false", "-c", "diff.autoRefreshIndex=false")
_OF_ONE_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")
_INSTALL = "install git, or use a baseline: gradlint baseline write"


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit, and what the user calls it."""

    name: str
    commit: str

    @property
    def shown(self) -> str:
        """`main (1a2b3c4)`; a commit that was given as such is not said twice."""
        short = self.commit[:7]
        return short if self.commit.startswith(self.name) else f"{self.name} ({short})"


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs. `before` and `after` are relative to the repository; None where there is no such file."""

    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Git:
    """A repository with a working tree."""

    top: Path

    def ask(self, *arguments: str, given: bytes | None = None) -> bytes:
        """What git prints; raises UsageError where it fails."""
        return _run(self.top, arguments, given=given)

    def revision(self, name: str) -> Revision:
        """The commit that a name stands for; `A...B` is the commit where B left A.

        Raises:
            UsageError: it names none that is in this clone.
        """
        first, dots, second = name.partition("...")
        if dots:
            commits = [self.revision(part or "HEAD").commit for part in (first, second)]
            done = _call(self.top, ("merge-base", *commits))
            if done.returncode:
                remedy = self._deepen() or "name the revision to compare with"
                raise UsageError(f'"{first}" and "{second or "HEAD"}" have no commit in common here', remedy=remedy)
            return Revision(name, done.stdout.decode().strip())
        if ".." in name:
            raise UsageError(f'"{name}" is a range, not a revision', remedy="gradlint diff BASE HEAD, or BASE...HEAD")
        done = _call(self.top, ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"))
        commit = done.stdout.decode().strip()
        if done.returncode or not commit or "\0" in name:
            raise UsageError(f'there is no revision "{name}" here', remedy=self._near(name))
        if _call(self.top, ("cat-file", "-e", f"{commit}^{{tree}}")).returncode:
            remedy = self._deepen() or "git fsck says what is missing"
            raise UsageError(f'the content of revision "{name}" is not in this clone', remedy=remedy)
        return Revision(name, commit)

    def changes(self, base: Revision, head: Revision | None) -> tuple[Change, ...]:
        """What differs between two revisions; without `head` between `base` and the working tree, untracked files too.

        Settings for comparing (external tools, conversions for reading) are left out of it.
        """
        plain = ("--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=dirty", "--no-relative")
        revisions = (base.commit, head.commit) if head is not None else (base.commit,)
        words = _words(self.ask("diff", "--name-status", "-z", "-M", *plain, *revisions, "--"))
        found: list[Change] = []
        while words:
            status = words.pop(0)
            path = words.pop(0)
            if status[:1] in "RC":
                found.append(Change(path if status[:1] == "R" else None, words.pop(0)))
            else:
                found.append(Change(None if status == "A" else path, None if status == "D" else path))
        if head is None:
            untracked = _words(self.ask("ls-files", "-z", "--others", "--exclude-standard"))
            found += [Change(None, path) for path in untracked]
        return tuple(found)

    def listed(self) -> tuple[str, ...]:
        """All files of the working tree that git does not ignore, relative to it."""
        words = _words(self.ask("ls-files", "-z", "--cached", "--others", "--exclude-standard"))
        return tuple(dict.fromkeys(words))

    def _near(self, name: str) -> str:
        names = self.ask("for-each-ref", "--format=%(refname:short)").decode("utf-8", "replace").split("\n")
        close = nearest(filter(None, names), name)
        hints = [f'did you mean "{close}"?' if close else "", self._deepen()]
        return " Or: ".join(filter(None, hints)) or "`git log --oneline --all` lists commits"

    def _deepen(self) -> str:
        """What helps where the clone is shallow; empty where it is not."""
        if self.ask("rev-parse", "--is-shallow-repository").strip() != b"true":
            return ""
        return "this clone is shallow: git fetch --unshallow (on GitHub: actions/checkout with fetch-depth: 0)"


def repository_at(folder: Path) -> Git:
    """The repository whose working tree a folder lies in; raises UsageError."""
    done = _call(folder, ("rev-parse", "--is-inside-work-tree"))
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        if "not a git repository" in said:
            remedy = "run it inside a repository, or use a baseline: gradlint baseline write"
            raise UsageError("this is no git repository, so there is nothing to compare with", remedy=remedy)
        raise UsageError(f"git does not read this repository: {_first(said)}", remedy="`git status` says more")
    if done.stdout.strip() != b"true":
        raise UsageError("a bare repository has no working tree to check", remedy="run it in a clone of it")
    top = _run(folder, ("rev-parse", "--show-toplevel")).rstrip(b"\n")
    return Git(Path(os.fsdecode(top)).resolve())


def submodule_at(folder: Path) -> Git | None:
    """The repository of a submodule that was fetched; None where its folder holds none of its own."""
    return Git(folder) if (folder / ".git").exists() else None


def _run(folder: Path, arguments: Sequence[str], *, given: bytes | None = None) -> bytes:
    done = _call(folder, arguments, given=given)
    if done.returncode:
        said = _first(done.stderr.decode("utf-8", "replace"))
        raise UsageError(f"git {arguments[0]} failed: {said}", remedy="`git fsck` says whether the clone is whole")
    return done.stdout


def _call(
    folder: Path, arguments: Sequence[str], *, given: bytes | None = None
) -> "subprocess.CompletedProcess[bytes]":
    environment = {**os.environ, **_QUIET}
    if _is_apart(folder):
        for name in _OF_ONE_REPOSITORY:
            environment.pop(name, None)
    try:
        return subprocess.run(
            ["git", *_SETTINGS, *arguments],
            cwd=folder,
            env=environment,
            input=given if given is not None else b"",
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise UsageError("git is not installed, or not on the PATH", remedy=_INSTALL) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"git cannot be run: {error}", remedy=_INSTALL) from error


def _is_apart(folder: Path) -> bool:
    """Whether a folder has a repository of its own: what a hook's environment says of its repository is not meant."""
    return "GIT_DIR" in os.environ and "GIT_WORK_TREE" not in os.environ and (folder / ".git").exists()


def _words(answer: bytes) -> list[str]:
    return [os.fsdecode(word) for word in answer.split(b"\0") if word]


def _first(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[0].removeprefix("fatal: ") if lines else "it says nothing"

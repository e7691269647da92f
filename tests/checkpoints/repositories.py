"""Repositories of the Hub on this machine, and how it names what is in them.

A repository is a folder with one folder a commit, named by the commit's hash; branches are names
for these. Weights are stored as the Hub stores large files: named by SHA-256. Everything else is
named by git's hash of a blob.
"""

import fnmatch
import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path

LARGE = ("*.safetensors", "*.bin", "*.png")


@dataclass
class Repository:
    """A repository of the Hub: `branches` maps names to commits, the folders in `folder`."""

    folder: Path
    private: bool = False
    gated: bool = False
    sdk: str | None = None
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, source: Path, branch: str = "main") -> str:
        """Take a folder's files as the branch's next commit; return its hash."""
        digest = hashlib.sha1(self.branches.get(branch, "").encode())
        for file in sorted(path for path in source.rglob("*") if path.is_file()):
            digest.update(file.relative_to(source).as_posix().encode() + file.read_bytes())
        commit = digest.hexdigest()
        shutil.copytree(source, self.folder / commit, dirs_exist_ok=True)
        self.branches[branch] = commit
        return commit

    def resolve(self, revision: str) -> str | None:
        """The commit that a branch's name or a hash stands for."""
        if revision in self.branches:
            return self.branches[revision]
        return revision if (self.folder / revision).is_dir() else None

    def files(self, commit: str) -> dict[str, Path]:
        """Every file of a commit, by its path."""
        folder = self.folder / commit
        actual = sorted(path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path for path in actual}


def is_large(path: str) -> bool:
    """Whether the Hub stores a file of this name apart from git."""
    return any(fnmatch.fnmatch(path, pattern) for pattern in LARGE)


def name_content(path: str, content: bytes) -> str:
    """The hash by which the Hub names a file: SHA-256 of a large one, git's of another."""
    if is_large(path):
        return hashlib.sha256(content).hexdigest()
    return git_hash(content)


def git_hash(content: bytes) -> str:
    """What git names a blob."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

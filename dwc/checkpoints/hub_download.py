"""One commit of a model repository: found, and its files fetched and checked.

The Hub names every file by a hash of its content. The client compares lengths alone, so what comes
is hashed here, and again once the file was touched: damaged content is thrown away and fetched
again, and never read. A branch is remembered in the cache, for when the Hub is out of reach, only
once its files are whole.
"""

import hashlib
import logging
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import (
    HfApi,
    constants,
    hf_hub_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import RevisionNotFoundError

from dwc.checkpoints.digest_cache import remember_checked, was_checked
from dwc.checkpoints.hub_retry import FAILURES, explain, with_retries
from dwc.errors import CheckpointError

_MAIN = "main"
_CONTENT_NAME = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")  # SHA-256 of large files, else git's SHA-1

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Commit:
    """One commit of a model repository: `files` maps each path in it to its content's hash.

    The hash is SHA-256 (64 hex digits) of a large file, git's SHA-1 of a blob (40) of another, and
    empty where only the cache is at hand and does not tell. `revision` is the branch or tag that
    was asked for; None for the default branch.
    """

    repo: str
    hash: str
    files: Mapping[str, str]
    revision: str | None = None
    token: str | None = None

    @property
    def where(self) -> str:
        """The repository and revision, as one would ask for them."""
        return f"{self.repo}@{self.revision}" if self.revision else self.repo


def find_commit(repo: str, revision: str | None = None, token: str | None = None) -> Commit:
    """Look up what a branch, tag or commit of a model repository holds.

    Where the Hub gives no answer, the commit that the cache last had whole of that revision is
    taken, with a warning. Raises CheckpointError where there is none, or no such revision.
    """
    try:
        if constants.HF_HUB_OFFLINE and (cached := _find_cached(repo, revision)):
            return cached
        api = HfApi(token=token)
        info = with_retries(
            lambda: api.model_info(
                repo, revision=revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT
            )
        )
    except FAILURES as error:
        cached = None if isinstance(error, RevisionNotFoundError) else _find_cached(repo, revision)
        if cached is None:
            raise CheckpointError(explain(error, repo, revision)) from error
        _log.warning(
            "%s Using commit %s, which is here.", explain(error, repo, revision), cached.hash
        )
        return cached
    files = {
        file.rfilename: (file.lfs.sha256 if file.lfs else file.blob_id) or ""
        for file in info.siblings or ()
    }
    return Commit(repo, info.sha or "", files, revision, token)


def fetch_file(commit: Commit, path: str) -> Path:
    """The file of that path, downloaded unless it is in the cache, its content checked.

    Damaged content is fetched again, once. Raises CheckpointError where it cannot be had sound.
    """
    found = ""
    for _ in range(2):
        try:
            # The client looks there, too, but makes ready first to ask the Hub: ten times as long.
            cached = try_to_load_from_cache(commit.repo, path, revision=commit.hash)
            file = Path(cached) if isinstance(cached, str) else _download(commit, path)
            if commit.files[path] and was_checked(file, commit.files[path]):
                return file
            found = _hash_content(file, commit.files[path])
        except FAILURES as error:
            damage = f"{path} in the cache was damaged and is thrown away. " if found else ""
            raise CheckpointError(
                damage + explain(error, commit.repo, commit.revision, path)
            ) from error
        if found == commit.files[path]:
            if found:
                remember_checked(file, found)
            return file
        _throw_away(file)
    raise CheckpointError(
        f"{path} of {commit.where} came damaged twice: its content hashes to {found[:12]}…, the "
        f"Hub lists {commit.files[path][:12]}…. It is thrown away; look at what stands between "
        "here and the Hub (a proxy, a mirror), and load again"
    )


def _download(commit: Commit, path: str) -> Path:
    return Path(
        with_retries(
            lambda: hf_hub_download(commit.repo, path, revision=commit.hash, token=commit.token)
        )
    )


def fetch_files(commit: Commit, paths: Iterable[str]) -> Path:
    """The folder that holds these files, each checked; its name is the commit's hash.

    Only when all are there is the commit remembered as what its revision stands for.
    """
    folders = {path: fetch_file(commit, path) for path in paths}
    folder = next(file.parents[path.count("/")] for path, file in folders.items())
    _remember(commit, folder)
    return folder


def _find_cached(repo: str, revision: str | None) -> Commit | None:
    """The commit that the cache remembers for a revision, or has of that hash."""
    config_file = try_to_load_from_cache(repo, "config.json", revision=revision)
    if not isinstance(config_file, str):
        return None
    folder = Path(config_file).parent
    files = {
        file.relative_to(folder).as_posix(): _name_of_content(file)
        for file in folder.rglob("*")
        if file.is_file()
    }
    return Commit(repo, folder.name, files, revision)


def _name_of_content(file: Path) -> str:
    """The hash in the name of the blob that a file of the cache is a link to; else empty."""
    name = Path(os.readlink(file)).name if file.is_symlink() else ""
    return name if _CONTENT_NAME.fullmatch(name) else ""


def _hash_content(file: Path, expected: str) -> str:
    """The hash of a file's content, of the kind that is expected; empty where none is."""
    if not expected:
        return ""
    digest = hashlib.sha256() if len(expected) == 64 else hashlib.sha1(usedforsecurity=False)
    if len(expected) == 40:  # git hashes a header as well
        digest.update(b"blob %d\0" % file.stat().st_size)
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _throw_away(file: Path) -> None:
    """Remove a file from the cache: the link, and what it leads to."""
    while file.is_symlink():
        target = file.parent / os.readlink(file)
        file.unlink()
        file = target
    file.unlink(missing_ok=True)


def _remember(commit: Commit, folder: Path) -> None:
    """Write down which commit a branch or tag stands for, as the cache keeps it."""
    revision = commit.revision or _MAIN
    if revision == commit.hash:
        return
    reference = folder.parent.parent / "refs" / revision
    try:
        if reference.is_file() and reference.read_text() == commit.hash:
            return
        reference.parent.mkdir(parents=True, exist_ok=True)
        written = reference.with_name(f".{reference.name}.{os.getpid()}")
        written.write_text(commit.hash)
        written.replace(reference)
    except OSError as error:  # a cache that may only be read serves as well
        _log.warning("%s is not remembered for use offline: %s", commit.where, error)

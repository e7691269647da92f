"""Download and verify files of a Hub model repository, with retries and clear errors.

Every message says what was seen and what to do.

A commit of the repository is looked up first; then its files are fetched and verified.

The Hub names every file by a hash of its content. The client compares only lengths, so files are
hashed here after a download and after any change: damaged content is deleted, fetched again, and
never read. A branch is recorded in the cache, for use offline, only once its files are complete.
"""

import errno
import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from httpx2 import TimeoutException, TransportError
from huggingface_hub import (
    HfApi,
    constants,
    hf_hub_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    XetDownloadError,
)

from dwc.checkpoints.digest_cache import remember_checked, was_checked
from dwc.errors import CheckpointError
from dwc.files import file_digest, write_text

# ValueError: an answer that is not the Hub's, or an invalid name. RuntimeError: uploads and the Xet
# storage.
FAILURES = (HTTPError, OSError, XetDownloadError, ValueError, KeyError, RuntimeError)
"""Errors of the Hub's client that `explain` can explain."""

_WAITS_S = (1.0, 2.0, 4.0)  # between attempts
_LONGEST_WAIT_S = 30.0  # whatever the Hub requests
_TRANSIENT = (408, 429, 500, 502, 503, 504)
_LOG_IN = "log in (hf auth login), set HF_TOKEN, or give a token that may"

_Result = TypeVar("_Result")


def with_retries(request: Callable[[], _Result]) -> _Result:
    """Call `request` and return its result; retry if the Hub is busy or fails temporarily."""
    for wait_s in _WAITS_S:
        try:
            return request()
        except HfHubHTTPError as error:  # noqa: PERF203
            if _status(error) not in _TRANSIENT:
                raise
            requested_s = error.response.headers.get("Retry-After", "")
            time.sleep(
                min(float(requested_s) if requested_s.isdigit() else wait_s, _LONGEST_WAIT_S)
            )
    return request()


def explain(
    error: BaseException, repo: str, revision: str | None = None, path: str | None = None
) -> str:
    """Return a sentence on why a request for a repository failed, and one on what to do."""
    where = f"{repo}@{revision}" if revision else repo
    what = f"{path} of {where}" if path else where
    chain = list(_causes(error))
    for cause in chain:
        if message := _explain_answer(cause, repo, revision, what) or _explain_silence(cause, what):
            return message
    return f"{what}: {type(error).__name__}: {error}. Check the name and the connection."


def _explain_answer(error: BaseException, repo: str, revision: str | None, what: str) -> str | None:
    """Explain an error reported by the Hub or its client; None for other errors."""
    status = _status(error)
    if isinstance(error, HFValidationError):
        return f"{repo} is no name of the Hub: {error}. Give owner/name."
    if isinstance(error, GatedRepoError):
        return (
            f"{repo} is gated ({status}): its owner asks for consent. Give it on "
            f"{constants.ENDPOINT}/{repo}, then {_LOG_IN} read it."
        )
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"The Hub has no model {repo}, or keeps it private ({status}). Check the name; for a "
            f"private one {_LOG_IN} read it."
        )
    if isinstance(error, RevisionNotFoundError):
        return (
            f"{repo} has no revision {revision!r} ({status}). Give one of its branches, tags or "
            f"commits: {constants.ENDPOINT}/{repo}/commits/main"
        )
    if isinstance(error, RemoteEntryNotFoundError):
        return f"{what} is not there ({status}). Check that the repository is whole."
    if status == 401:
        return (
            f"The Hub refuses {what} (401): there was no token, or it is wrong or has "
            f"expired. To go on, {_LOG_IN} read it."
        )
    if status == 403:
        return f"The token has no right to {what} (403). To go on, {_LOG_IN}."
    if status == 409 or status == 412:
        return f"{repo} was changed meanwhile ({status}). Run this again."
    if status == 429:
        return f"The Hub limits requests (429), and still did at the last attempt for {what}. Wait."
    if status is not None:
        return f"The Hub answered {status} for {what}: {error}. Try again later."
    return None


def _explain_silence(error: BaseException, what: str) -> str | None:
    """Explain a missing or incomplete response, or a full disk; None for other errors."""
    if isinstance(error, OfflineModeIsEnabled):
        return (
            f"{what} is not in {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE forbids to fetch it. "
            "Unset that, or load it once with a connection."
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The disk is full: there is no room for {what} in {constants.HF_HUB_CACHE}. Make "
            "room, or set HF_HOME to another disk; what was there before is as it was."
        )
    if isinstance(error, TimeoutException):
        return (
            f"The Hub at {constants.ENDPOINT} stalls: nothing came of {what} for "
            f"{constants.HF_HUB_DOWNLOAD_TIMEOUT} s. Check the connection; for a slow one set "
            "HF_HUB_ETAG_TIMEOUT and HF_HUB_DOWNLOAD_TIMEOUT, in seconds."
        )
    if isinstance(error, TransportError):
        return (
            f"The Hub at {constants.ENDPOINT} cannot be reached, or broke off ({error}), so {what} "
            "could not be had. Check the connection (and HF_ENDPOINT, if set), then try again."
        )
    if isinstance(error, OSError) and "Consistency check failed" in str(error):
        return (
            f"{what} has another length than the Hub lists, and was deleted: "
            f"{str(error).splitlines()[0]} Load it again."
        )
    if isinstance(error, ValueError | KeyError):
        return (
            f"{constants.ENDPOINT} answered for {what}, but not as the Hub does ({error}). Check "
            "the connection (a page to log in to a network?) and HF_ENDPOINT."
        )
    return None


def _status(error: BaseException) -> int | None:
    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its chain of causes, the original cause last."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


_MAIN = "main"
_CONTENT_NAME = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")  # SHA-256 of large files, else git's SHA-1

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Commit:
    """One commit of a model repository.

    Attributes:
        repo: The repository.
        hash: The commit's hash.
        files: Hash of each file's content by path: SHA-256 (64 hex digits) of a large file, git's
            SHA-1 of a blob (40) of another, empty where only the cache is at hand and does not
            tell.
        revision: The requested branch or tag; None for the default branch.
        token: Token for the Hub.
    """

    repo: str
    hash: str
    files: Mapping[str, str]
    revision: str | None = None
    token: str | None = None

    @property
    def where(self) -> str:
        """Name of the repository and revision, in the form in which a user requests them."""
        return f"{self.repo}@{self.revision}" if self.revision else self.repo


def find_commit(repo: str, revision: str | None = None, token: str | None = None) -> Commit:
    """Look up what a branch, tag or commit of a model repository contains.

    If the Hub does not respond, the latest complete commit of that revision in the cache is used,
    with a warning.

    Raises:
        CheckpointError: There is neither, or no such revision.
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
    """Return a file of a commit, downloaded unless cached, its content verified.

    Damaged content is fetched again once.

    Raises:
        CheckpointError: It is out of reach, or damaged twice.
    """
    actual = ""
    for _ in range(2):
        try:
            # The client would look there as well, but prepares a request first: ten times as long.
            cached = try_to_load_from_cache(commit.repo, path, revision=commit.hash)
            file = Path(cached) if isinstance(cached, str) else _download(commit, path)
            if commit.files[path] and was_checked(file, commit.files[path]):
                return file
            actual = _hash_content(file, commit.files[path])
        except FAILURES as error:
            damage = f"{path} in the cache was damaged and was deleted. " if actual else ""
            raise CheckpointError(
                damage + explain(error, commit.repo, commit.revision, path)
            ) from error
        if actual == commit.files[path]:
            if actual:
                remember_checked(file, actual)
            return file
        _delete(file)
    raise CheckpointError(
        f"{path} of {commit.where} came damaged twice: its content hashes to {actual[:12]}…, the "
        f"Hub lists {commit.files[path][:12]}…. It was deleted; check what is between here and "
        "the Hub (a proxy, a mirror), and load again"
    )


def _download(commit: Commit, path: str) -> Path:
    return Path(
        with_retries(
            lambda: hf_hub_download(commit.repo, path, revision=commit.hash, token=commit.token)
        )
    )


def fetch_files(commit: Commit, paths: Iterable[str]) -> Path:
    """Return the folder that holds these files, each verified; its name is the commit's hash.

    Only when all are there is the commit recorded for its revision.
    """
    folders = {path: fetch_file(commit, path) for path in paths}
    folder = next(file.parents[path.count("/")] for path, file in folders.items())
    _record_revision(commit, folder)
    return folder


def _find_cached(repo: str, revision: str | None) -> Commit | None:
    """Return the cached commit of a revision or hash; None if there is none."""
    config_file = try_to_load_from_cache(repo, "config.json", revision=revision)
    if not isinstance(config_file, str):
        return None
    folder = Path(config_file).parent
    files = {
        file.relative_to(folder).as_posix(): _blob_hash(file)
        for file in folder.rglob("*")
        if file.is_file()
    }
    return Commit(repo, folder.name, files, revision)


def _blob_hash(file: Path) -> str:
    """Return the hash in the name of the blob that a cached file links to; "" if none."""
    name = Path(os.readlink(file)).name if file.is_symlink() else ""
    return name if _CONTENT_NAME.fullmatch(name) else ""


def _hash_content(file: Path, expected: str) -> str:
    """Hash a file's content with the algorithm of `expected`; "" if `expected` is empty."""
    if not expected:
        return ""
    digest = hashlib.sha256() if len(expected) == 64 else hashlib.sha1(usedforsecurity=False)
    if len(expected) == 40:  # git hashes a header as well
        digest.update(b"blob %d\0" % file.stat().st_size)
    return file_digest(file, digest)


def _delete(file: Path) -> None:
    """Delete a file from the cache: the link and its target."""
    while file.is_symlink():
        target = file.parent / os.readlink(file)
        file.unlink()
        file = target
    file.unlink(missing_ok=True)


def _record_revision(commit: Commit, folder: Path) -> None:
    """Record the commit of a branch or tag in the format of the Hub's cache."""
    revision = commit.revision or _MAIN
    if revision == commit.hash:
        return
    reference = folder.parent.parent / "refs" / revision
    try:
        if reference.is_file() and reference.read_text() == commit.hash:
            return
        write_text(reference, commit.hash)
    except OSError as error:  # a read-only cache works as well
        _log.warning("%s is not recorded for use offline: %s", commit.where, error)

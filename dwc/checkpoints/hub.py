"""Download of files from the Hugging Face Hub ("the Hub"), with verification, and upload to it.

`find_commit` looks up a commit of a repository; `fetch_file` and `fetch_files` download its files.
`publish` uploads files as one commit. Requests are retried, and every error message says what
happened and what to do about it.

The Hub lists a hash of each file's content, but its client compares only file sizes. So this module
hashes each file after its download and whenever it has changed; a damaged file is deleted and
downloaded again. Once all files of a branch are in the cache, the branch's commit is recorded, so
that the branch can be loaded offline.

Hashing large weights takes longer than loading them, so a file is hashed only once. For each
verified file, an empty marker file is created in the folder `.dwc-checked` of its repository in the
cache. The marker's name consists of the content hash and the file's state (size, times, inode). Any
write to the file changes its state, so that the marker no longer applies. The same folder stores
short texts that were computed from verified files, such as fingerprints, each under a key.
"""

import errno
import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from httpx2 import TimeoutException, TransportError
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    ModelInfo,
    SpaceInfo,
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

from dwc.errors import CheckpointError
from dwc.files import file_digest, write_text

# ValueError occurs for a response in an unexpected format or an invalid name, RuntimeError in
# uploads and in the Hub's Xet storage.
FAILURES = (HTTPError, OSError, XetDownloadError, ValueError, KeyError, RuntimeError)
"""Exceptions that the Hub's client raises, and that `explain` converts to a message."""

_WAITS_S = (1.0, 2.0, 4.0)  # seconds between attempts
_LONGEST_WAIT_S = 30.0  # seconds; applies even if the Hub requests a longer wait
_TRANSIENT = (408, 429, 500, 502, 503, 504)
_LOG_IN = "log in (hf auth login), set HF_TOKEN, or give a token that may"

_Result = TypeVar("_Result")


def with_retries(request: Callable[[], _Result]) -> _Result:
    """Call `request` and return its result; retry if the Hub is busy or fails temporarily.

    After three retries, the error is raised. The waits between the attempts get longer.
    """
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
    """Return a message that says why a request to the Hub failed and what to do about it.

    Args:
        error: The error that the Hub's client raised.
        repo: The repository.
        revision: The requested branch, tag or commit, if any.
        path: The requested file, if any.
    """
    where = f"{repo}@{revision}" if revision else repo
    what = f"{path} of {where}" if path else where
    chain = list(_causes(error))
    for cause in chain:
        if message := _explain_answer(cause, repo, revision, what) or _explain_silence(cause, what):
            return message
    return f"{what}: {type(error).__name__}: {error}. Check the name and the connection."


def _explain_answer(error: BaseException, repo: str, revision: str | None, what: str) -> str | None:
    """Return a message if the Hub answered with an error or `repo` is no valid name, else None.

    `what` names the request in the message: a repository or one of its files.
    """
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
    """Return a message if a request failed without an error answer of the Hub, else None.

    Examples are offline mode, a full disk, a failed connection and an incomplete answer. `what`
    names the request in the message: a repository or one of its files.
    """
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
    """Yield an error, the error that caused it, and so on; the original cause comes last."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


_MAIN = "main"
# Hashes of file contents: SHA-256 for large files, git's SHA-1 for others.
_CONTENT_NAME = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Commit:
    """One commit of a model repository.

    Attributes:
        repo: The repository, `owner/name`.
        hash: The commit's hash.
        files: The hash of each file's content, by the file's path: SHA-256 (64 hex digits) for a
            large file, git's SHA-1 of the blob (40 hex digits) for any other. An unknown hash is
            ""; this happens only for commits in the cache.
        revision: The requested branch, tag or commit; None for the default branch.
        token: Access token for the Hub; None for the client's default.
    """

    repo: str
    hash: str
    files: Mapping[str, str]
    revision: str | None = None
    token: str | None = None

    @property
    def where(self) -> str:
        """The repository and its revision as users write them: `owner/name@revision`."""
        return f"{self.repo}@{self.revision}" if self.revision else self.repo


def find_commit(repo: str, revision: str | None = None, token: str | None = None) -> Commit:
    """Look up a commit of a repository, with its list of files.

    If the request to the Hub fails, a warning is logged and the commit that the cache has for the
    revision is returned. In offline mode, only the cache is used.

    Args:
        repo: The repository, `owner/name`.
        revision: A branch, a tag or the hash of a commit; None for the default branch.
        token: Access token for the Hub; None for the client's default.

    Raises:
        CheckpointError: The revision does not exist; or the Hub cannot be reached and the cache
            does not have the revision.
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
    """Return the local path of a commit's file after verifying the file's content.

    The file is downloaded if it is not in the cache. If its content is damaged, the file is deleted
    and downloaded again.

    Raises:
        CheckpointError: The file cannot be downloaded, or its content was damaged twice.
    """
    actual = ""
    for _ in range(2):
        try:
            # The client's download function also checks the cache, but takes ten times as long.
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
    """Download and verify files of a commit, and return the folder that contains them.

    Files in the cache are not downloaded again. The folder's name is the commit's hash. Afterwards,
    the commit is recorded in the cache as the latest one of its branch or tag.

    Raises:
        CheckpointError: A file cannot be downloaded, or its content was damaged twice.
    """
    folders = {path: fetch_file(commit, path) for path in paths}
    folder = next(file.parents[path.count("/")] for path, file in folders.items())
    _record_revision(commit, folder)
    return folder


def _find_cached(repo: str, revision: str | None) -> Commit | None:
    """Return the cached commit of a branch, tag or commit hash; None if the cache has none."""
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
    """Return the content hash of a file in the cache.

    Most files in the cache are links to a file whose name is the content hash. For any other file,
    the result is "".
    """
    name = Path(os.readlink(file)).name if file.is_symlink() else ""
    return name if _CONTENT_NAME.fullmatch(name) else ""


def _hash_content(file: Path, expected: str) -> str:
    """Return the hash of a file's content in hex digits, for comparison with `expected`.

    The algorithm is SHA-256 if `expected` has 64 digits, and git's SHA-1 if it has 40. If
    `expected` is "", the result is also "".
    """
    if not expected:
        return ""
    digest = hashlib.sha256() if len(expected) == 64 else hashlib.sha1(usedforsecurity=False)
    if len(expected) == 40:  # git's hash includes a header
        digest.update(b"blob %d\0" % file.stat().st_size)
    return file_digest(file, digest)


def _delete(file: Path) -> None:
    """Delete a file from the cache, including the file that it links to."""
    while file.is_symlink():
        target = file.parent / os.readlink(file)
        file.unlink()
        file = target
    file.unlink(missing_ok=True)


def _record_revision(commit: Commit, folder: Path) -> None:
    """Record which commit a branch or tag points to, in the format of the Hub's cache."""
    revision = commit.revision or _MAIN
    if revision == commit.hash:
        return
    reference = folder.parent.parent / "refs" / revision
    try:
        if reference.is_file() and reference.read_text() == commit.hash:
            return
        write_text(reference, commit.hash)
    except OSError as error:  # a read-only cache is usable too
        _log.warning("%s is not recorded for use offline: %s", commit.where, error)


_FOLDER = ".dwc-checked"
# Least age of a verified file in nanoseconds. Some file systems have a time resolution of two
# seconds, so a second write within that time could go unnoticed.
_SETTLED_NS = 2_000_000_000


def was_checked(file: Path, content_hash: str) -> bool:
    """Return whether a file in the cache was verified against a hash and has not changed since."""
    return _marker(file, content_hash).is_file()


def remember_checked(file: Path, content_hash: str) -> None:
    """Record that a file was verified against a hash.

    Nothing is recorded if the file was written in the last two seconds, because another write
    within this time could go unnoticed.
    """
    state = file.stat()
    if time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) < _SETTLED_NS:
        return
    marker = _marker(file, content_hash)
    try:
        marker.parent.mkdir(exist_ok=True)
        for outdated in marker.parent.glob(f"{content_hash}-*"):
            outdated.unlink(missing_ok=True)
        marker.touch()
    except OSError as error:  # a read-only cache is usable too
        _log.debug("%s is hashed again at the next load: %s", file, error)


def load_cached_digest(folder: Path, key: str) -> str | None:
    """Return the text, such as a fingerprint, that `save_cached_digest` stored under a key.

    Args:
        folder: A commit's folder in the cache, `REPOSITORY/snapshots/COMMIT`.
        key: The key, which is used as part of a file name.

    Returns:
        The text; None if no complete text is stored.
    """
    try:
        text = _note(folder, key).read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    return text[:-1] if text.endswith("\n") else None


def save_cached_digest(folder: Path, key: str, text: str) -> None:
    """Store one line of ASCII text in a commit's cache folder, under a key.

    Args:
        folder: A commit's folder in the cache, `REPOSITORY/snapshots/COMMIT`.
        key: The key, which is used as part of a file name.
        text: The text, without a line end.
    """
    note = _note(folder, key)
    try:
        note.parent.mkdir(exist_ok=True)
        note.write_text(f"{text}\n", encoding="ascii")
    except OSError as error:  # a read-only cache is usable too
        _log.debug("%s is computed again at the next load: %s", key, error)


def _note(folder: Path, key: str) -> Path:
    return folder.parent.parent / _FOLDER / f"told-{key}"


def _marker(file: Path, content_hash: str) -> Path:
    """Return the path of the empty file which records that a file in the cache was verified.

    The path depends on the file's size, times and inode, so that it changes if the file is written.

    Args:
        file: The file, `REPOSITORY/snapshots/COMMIT/PATH`.
        content_hash: The hash of the file's content, in hex digits.
    """
    state = file.stat()
    stamp = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
    repository = next(parent.parent for parent in file.parents if parent.name == "snapshots")
    return repository / _FOLDER / "-".join([content_hash, *map(str, stamp)])


@dataclass(frozen=True)
class Published:
    """The result of an upload to the Hub.

    Attributes:
        repo: The repository, `owner/name`.
        commit: The hash of the commit.
        url: The address of the commit's page.
    """

    repo: str
    commit: str
    url: str


def publish(
    files: Mapping[str, Path],
    repo: str,
    outdated: Callable[[Collection[str]], Iterable[str]],
    revision: str | None = None,
    private: bool = False,
    token: str | None = None,
    message: str = "Upload a DWC checkpoint",
    repo_type: str | None = None,
) -> Published:
    """Upload files to a model repository, or to a Gradio Space, as one commit.

    The repository and the branch are created if necessary. The upload is atomic, and it fails if
    another commit is made at the same time.

    Args:
        files: Local files by path in the repository.
        repo: The repository's name, with or without its owner.
        outdated: Function that takes the paths of all files in the repository and returns the paths
            of the files to delete. Files that are uploaded are never deleted.
        revision: The branch; None for the default branch.
        private: Whether to make a new repository private.
        token: Access token for the Hub; None for the client's default.
        message: The commit's message.
        repo_type: "space" for a Space; None for a model.

    Raises:
        CheckpointError: The Hub rejects the upload or cannot be reached, or a private repository
            was requested and a public one exists.
    """
    api = HfApi(token=token)
    try:
        name = api.create_repo(
            repo,
            private=private or None,
            exist_ok=True,
            repo_type=repo_type,
            space_sdk="gradio" if repo_type == "space" else None,
        ).repo_id
        if revision and revision != _MAIN:
            api.create_branch(name, branch=revision, exist_ok=True)
        find_info = api.space_info if repo_type == "space" else api.model_info
        current: ModelInfo | SpaceInfo = with_retries(
            lambda: find_info(name, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        )
        if private and not current.private:
            path = f"spaces/{name}" if repo_type == "space" else name
            raise CheckpointError(
                f"{name} exists already and is public; nothing was uploaded. Give another name, "
                f"or make it private first: {constants.ENDPOINT}/{path}/settings"
            )
        existing = {file.rfilename for file in current.siblings or ()}
        deleted = set(outdated(existing)) - set(files)
        commit = api.create_commit(
            name,
            [
                *(CommitOperationAdd(path, str(file)) for path, file in sorted(files.items())),
                *(CommitOperationDelete(path) for path in sorted(deleted)),
            ],
            commit_message=message,
            repo_type=repo_type,
            revision=revision,
            parent_commit=current.sha,
        )
    except FAILURES as error:
        raise CheckpointError(
            f"{repo} was not published. {explain(error, repo, revision)}"
        ) from error
    return Published(name, commit.oid, str(commit.commit_url))

"""Requests to the Hub: retries where they help, and explanations of failures.

Every message says what was seen and what to do.
"""

import errno
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from httpx2 import TimeoutException, TransportError
from huggingface_hub import constants
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
    """Call `request`, and again after a while where the Hub is busy or has a passing fault."""
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
    """One sentence on what happened to a request about a repository, and one on the cure."""
    where = f"{repo}@{revision}" if revision else repo
    what = f"{path} of {where}" if path else where
    chain = list(_causes(error))
    for cause in chain:
        if message := _explain_answer(cause, repo, revision, what) or _explain_silence(cause, what):
            return message
    return f"{what}: {type(error).__name__}: {error}. Check the name and the connection."


def _explain_answer(error: BaseException, repo: str, revision: str | None, what: str) -> str | None:
    """Explain a refusal by the Hub, or by its client on the Hub's behalf."""
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
    """Explain a missing or incomplete answer, or a full disk."""
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
    """The error and its causes, the original one last."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__

"""A folder's files made one commit of a model repository."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants

from dwc.errors import CheckpointError
from dwc.hub.asking import FAILURES, explain, patiently

_MAIN = "main"


@dataclass(frozen=True)
class Published:
    """Where a folder was published: the repository with its owner, the commit's hash and page."""

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
) -> Published:
    """Make these files, path in the repository to file here, one commit of a model repository.

    The repository is made if it is not there (`private` is for one that is made), and so is the
    branch `revision`. `outdated` picks, from the paths that are there, those that go. Nothing is
    changed unless everything is: it is one commit, on the one whose paths were read.

    Raises CheckpointError where the Hub refuses or cannot be reached, and where a private
    repository is asked for and a public one is there.
    """
    api = HfApi(token=token)
    try:
        name = api.create_repo(repo, private=private or None, exist_ok=True).repo_id
        if revision and revision != _MAIN:
            api.create_branch(name, branch=revision, exist_ok=True)
        before = patiently(
            lambda: api.model_info(name, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        )
        if private and not before.private:
            raise CheckpointError(
                f"{name} is there already, and is public; nothing was uploaded. Give another name, "
                f"or make it private first: {constants.ENDPOINT}/{name}/settings"
            )
        there = {file.rfilename for file in before.siblings or ()}
        made = api.create_commit(
            name,
            [
                *(CommitOperationAdd(path, str(file)) for path, file in sorted(files.items())),
                *(CommitOperationDelete(path) for path in sorted(outdated(there - set(files)))),
            ],
            commit_message="Upload a DWC checkpoint",
            revision=revision,
            parent_commit=before.sha,
        )
    except FAILURES as error:
        raise CheckpointError(
            f"{repo} was not published. {explain(error, repo, revision)}"
        ) from error
    return Published(name, made.oid, str(made.commit_url))

"""Publish a checkpoint and its model card as one commit of a model repository."""

import json
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants

from dwc.checkpoints.hub_download import FAILURES, explain, with_retries
from dwc.checkpoints.load import companions, content, is_companion, is_part, load
from dwc.checkpoints.model_card import CARD, CardFacts, render_card
from dwc.errors import CheckpointError
from dwc.modeling.configuration_dwc import DWCConfig

_MAIN = "main"


@dataclass(frozen=True)
class Published:
    """A published checkpoint: the repository with its owner, the commit's hash, its page."""

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
    """Upload files to a model repository as one commit.

    The repository and the branch are created if necessary. Either everything changes or nothing: it
    is one commit on top of the one whose paths were read.

    Args:
        files: Local files by path in the repository.
        repo: The repository.
        outdated: Function that selects the paths to delete from the existing paths.
        revision: The branch.
        private: Make a new repository private.
        token: Token for the Hub.

    Raises:
        CheckpointError: The Hub refuses or is out of reach, or a private repository was requested
            and a public one exists.
    """
    api = HfApi(token=token)
    try:
        name = api.create_repo(repo, private=private or None, exist_ok=True).repo_id
        if revision and revision != _MAIN:
            api.create_branch(name, branch=revision, exist_ok=True)
        current = with_retries(
            lambda: api.model_info(name, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        )
        if private and not current.private:
            raise CheckpointError(
                f"{name} exists already and is public; nothing was uploaded. Give another name, "
                f"or make it private first: {constants.ENDPOINT}/{name}/settings"
            )
        existing = {file.rfilename for file in current.siblings or ()}
        commit = api.create_commit(
            name,
            [
                *(CommitOperationAdd(path, str(file)) for path, file in sorted(files.items())),
                *(CommitOperationDelete(path) for path in sorted(outdated(existing - set(files)))),
            ],
            commit_message="Upload a DWC checkpoint",
            revision=revision,
            parent_commit=current.sha,
        )
    except FAILURES as error:
        raise CheckpointError(
            f"{repo} was not published. {explain(error, repo, revision)}"
        ) from error
    return Published(name, commit.oid, str(commit.commit_url))


def list_files(folder: str | Path) -> dict[str, Path]:
    """Return the files that `push` uploads, by path in the repository.

    These are the checkpoint, its companions, and its card if it has one.
    """
    folder = Path(folder)
    card = folder / CARD
    files = [*content(folder), *companions(folder), *([card] if card.is_file() else [])]
    return {file.relative_to(folder).as_posix(): file for file in files}


def check_folder(folder: str | Path) -> str:
    """Load a checkpoint's folder as users would; return its fingerprint.

    Raises:
        CheckpointError: It is not a folder, or does not load.
    """
    if not Path(folder).is_dir():  # a Hub name would load as well
        raise CheckpointError(f"there is no folder {folder}; give the checkpoint's folder")
    return load(Path(folder).absolute()).fingerprint


def make_card(folder: str | Path, name: str, facts: CardFacts | None) -> str | None:
    """Render the model card of a checkpoint's folder; None if the folder already has a card.

    Raises:
        CheckpointError: The folder has a card, but facts for a new card were given.
    """
    if (Path(folder) / CARD).is_file():
        if facts is not None:
            raise CheckpointError(
                f"{folder} has a {CARD} of its own, which states license, datasets and metrics; "
                "write them there, or remove it to have one made"
            )
        return None
    return render_card(name, DWCConfig.from_pretrained(folder), facts or CardFacts())


def read_evaluations(files: Iterable[Path]) -> tuple[dict[str, Any], ...]:
    """Read the files of `python -m dwc evaluate --json`.

    Raises:
        CheckpointError: A file has other content.
    """
    evaluations = []
    for file in files:
        try:
            numbers = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{file} cannot be read as JSON: {error}") from error
        if not isinstance(numbers, dict) or not {"protocol", "recall@10"} <= numbers.keys():
            raise CheckpointError(
                f"{file} has no protocol and recalls, as `python -m dwc evaluate --json FILE` "
                "writes them; give such a file"
            )
        evaluations.append(numbers)
    return tuple(evaluations)


def push(
    folder: str | Path,
    repo: str,
    revision: str | None = None,
    private: bool = False,
    token: str | None = None,
    facts: CardFacts | None = None,
) -> Published:
    """Publish a checkpoint's folder, with its model card, as one commit of a model on the Hub.

    The published commit has the folder's fingerprint: files of an earlier checkpoint that the
    folder lacks are deleted in the same commit, other files stay. A folder without a card gets one,
    rendered from its config and the facts; the local folder does not change.

    Raises:
        CheckpointError: The folder does not load, or the Hub refuses it.
    """
    check_folder(folder)
    card = make_card(folder, repo, facts)
    with tempfile.TemporaryDirectory(prefix="dwc-card-") as workplace:
        files = list_files(folder)
        if card is not None:
            files[CARD] = Path(workplace) / CARD
            files[CARD].write_text(card, encoding="utf-8")
        return publish(
            files,
            repo,
            outdated=lambda existing: [
                path for path in existing if is_part(path) or is_companion(path)
            ],
            revision=revision,
            private=private,
            token=token,
        )

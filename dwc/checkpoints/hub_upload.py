"""Publishing of a checkpoint with its model card as one commit on the Hugging Face Hub."""

import json
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    ModelInfo,
    SpaceInfo,
    constants,
)

from dwc.checkpoints.hub_download import FAILURES, explain, with_retries
from dwc.checkpoints.load import companions, content, is_companion, is_part, load
from dwc.checkpoints.model_card import CARD, CardFacts, render_card
from dwc.errors import CheckpointError
from dwc.modeling.configuration_dwc import DWCConfig

_MAIN = "main"


@dataclass(frozen=True)
class Published:
    """A published checkpoint.

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
    """Upload files to a model repository, or to a Space of the SDK Gradio, as one commit.

    The repository and the branch are created if necessary. The upload is atomic, and it fails if
    another commit is made at the same time.

    Args:
        files: Local files by path in the repository.
        repo: The repository's name, with or without its owner.
        outdated: Function that selects the files to delete from the repository. Its argument has
            the paths of all files in the repository; those in `files` are never deleted.
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


def list_files(folder: str | Path) -> dict[str, Path]:
    """Return the files of a checkpoint's folder that `push` uploads.

    The result has the files of the checkpoint, the files that are computed from its weights and
    stored with it, and the model card if there is one.

    Returns:
        A dict from the path in the repository to the local path.
    """
    folder = Path(folder)
    card = folder / CARD
    files = [*content(folder), *companions(folder), *([card] if card.is_file() else [])]
    return {file.relative_to(folder).as_posix(): file for file in files}


def check_folder(folder: str | Path) -> str:
    """Check that the checkpoint in a folder loads, and return its fingerprint.

    Raises:
        CheckpointError: There is no such folder, or its checkpoint does not load.
    """
    if not Path(folder).is_dir():  # `load` would accept a Hub name too
        raise CheckpointError(f"there is no folder {folder}; give the checkpoint's folder")
    return load(Path(folder).absolute()).fingerprint


def make_card(folder: str | Path, name: str, facts: CardFacts | None) -> str | None:
    """Render a model card for a checkpoint's folder that has none.

    Args:
        folder: The checkpoint's folder.
        name: The model's name on the Hub.
        facts: Facts for the card; None if there are none.

    Returns:
        The card as Markdown; None if the folder already has a card.

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
    """Return the contents of files that `python -m dwc evaluate --json` wrote, in their order.

    Raises:
        CheckpointError: A file cannot be read, or was not written by that command.
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
    """Publish a checkpoint with its model card as one commit of a model repository on the Hub.

    Files of an earlier checkpoint that are not in the folder are deleted from the repository, so
    that the published checkpoint has the same fingerprint as the folder. All other files of the
    repository stay. If the folder has no model card, one is rendered and uploaded; the local folder
    does not change.

    Args:
        folder: The checkpoint's folder.
        repo: The repository's name, with or without its owner.
        revision: The branch; None for the default branch.
        private: Whether to make a new repository private.
        token: Access token for the Hub; None for the client's default.
        facts: Facts for the rendered model card, in addition to the config.

    Raises:
        CheckpointError: The folder does not load, or the Hub rejects the upload.
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

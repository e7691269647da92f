"""A folder's files made one commit of a model repository.

A checkpoint and its model card, published on the Hub.
"""

import json
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants

from dwc.checkpoints.hub_retry import FAILURES, explain, with_retries
from dwc.checkpoints.load import companions, content, is_companion, is_part, load
from dwc.checkpoints.model_card import CARD, CardFacts, render_card
from dwc.errors import CheckpointError
from dwc.modeling.configuration_dwc import DWCConfig

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
        before = with_retries(
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


def list_files(folder: str | Path) -> dict[str, Path]:
    """What `push` uploads, path in the repository to file.

    The checkpoint, what is kept with it, and its card if it has one.
    """
    folder = Path(folder)
    card = folder / CARD
    files = [*content(folder), *companions(folder), *([card] if card.is_file() else [])]
    return {file.relative_to(folder).as_posix(): file for file in files}


def check(folder: str | Path) -> str:
    """Load a checkpoint's folder as anyone would, and return its fingerprint.

    Raises CheckpointError where it is no folder, or does not load.
    """
    if not Path(folder).is_dir():  # a Hub name would load as well
        raise CheckpointError(f"there is no folder {folder}; give the checkpoint's folder")
    return load(Path(folder).absolute()).fingerprint


def make_card(folder: str | Path, name: str, facts: CardFacts | None) -> str | None:
    """The card that a folder without one is given under this name; None where it has its own.

    Raises CheckpointError where it has its own and there are facts for another.
    """
    if (Path(folder) / CARD).is_file():
        if facts is not None:
            raise CheckpointError(
                f"{folder} has a {CARD} of its own, in which licence, datasets and metrics stand; "
                "write them there, or take it away to have one made"
            )
        return None
    return render_card(name, DWCConfig.from_pretrained(folder), facts or CardFacts())


def read_evaluations(files: Iterable[Path]) -> tuple[dict[str, Any], ...]:
    """What `python -m dwc evaluate --json` wrote; CheckpointError for anything else."""
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
    """Publish a checkpoint's folder, with its model card, as one commit of a model of the Hub.

    What `load` then gives of that commit has the folder's fingerprint: files of a checkpoint that
    was there before and that the folder lacks are removed in the same commit, others stay. A folder
    without a card is given one of its config and these facts; the folder stays as it is.

    Raises CheckpointError where the folder does not load, and where the Hub does not take it.
    """
    check(folder)
    card = make_card(folder, repo, facts)
    with tempfile.TemporaryDirectory(prefix="dwc-card-") as workplace:
        files = list_files(folder)
        if card is not None:
            files[CARD] = Path(workplace) / CARD
            files[CARD].write_text(card, encoding="utf-8")
        return publish(
            files,
            repo,
            outdated=lambda there: [path for path in there if is_part(path) or is_companion(path)],
            revision=revision,
            private=private,
            token=token,
        )

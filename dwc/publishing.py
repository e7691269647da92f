"""A checkpoint and its model card, published on the Hub."""

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dwc.card import CARD, CardFacts, render_card
from dwc.checkpoint import companions, content, is_companion, is_part, load
from dwc.errors import CheckpointError
from dwc.hub.committing import Published, publish
from dwc.modeling.configuration import DWCConfig


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

"""A checkpoint and its model card, published on the Hub."""

from pathlib import Path

from dwc.checkpoint import content, is_part, load
from dwc.errors import CheckpointError
from dwc.hub.committing import Published, publish

CARD = "README.md"


def list_files(folder: str | Path) -> dict[str, Path]:
    """What `push` uploads: path in the repository to file; the checkpoint, and its card if any."""
    folder = Path(folder)
    card = folder / CARD
    files = [*content(folder), *([card] if card.is_file() else [])]
    return {file.relative_to(folder).as_posix(): file for file in files}


def check(folder: str | Path) -> str:
    """Load a checkpoint's folder as anyone would, and return its fingerprint.

    Raises CheckpointError where it is no folder, or does not load.
    """
    if not Path(folder).is_dir():  # a Hub name would load as well
        raise CheckpointError(f"there is no folder {folder}; give the checkpoint's folder")
    return load(Path(folder).absolute()).fingerprint


def push(
    folder: str | Path,
    repo: str,
    revision: str | None = None,
    private: bool = False,
    token: str | None = None,
) -> Published:
    """Publish a checkpoint's folder, with its model card, as one commit of a model of the Hub.

    What `load` then gives of that commit has the folder's fingerprint: files of a checkpoint that
    was there before and that the folder lacks are removed in the same commit, others stay.

    Raises CheckpointError where the folder does not load, and where the Hub does not take it.
    """
    check(folder)
    return publish(
        list_files(folder),
        repo,
        outdated=lambda there: filter(is_part, there),
        revision=revision,
        private=private,
        token=token,
    )

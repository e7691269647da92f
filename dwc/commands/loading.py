"""Loading a checkpoint for a command."""

from dwc.checkpoints.load import Checkpoint, load


def load_checkpoint(name: str | None, revision: str | None = None) -> Checkpoint:
    """As `dwc.checkpoints.load.load`, without the progress bar of something that takes a second."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    return load(name, revision)

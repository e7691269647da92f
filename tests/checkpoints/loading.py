"""Loading from the Hub on this machine: how it is refused, and what it leaves behind."""

import pytest

from dwc.checkpoints import load
from dwc.errors import CheckpointError

WEIGHTS = r"GET .*/cdn/.*model\.safetensors"


def refusal(name="owner/tiny", **options):
    """What is said where a model cannot be loaded."""
    with pytest.raises(CheckpointError) as caught:
        load.load(name, **options)
    return str(caught.value)


def leftovers(cache):
    """What came in part, and would be in nobody's way but the disk's."""
    return [file.name for file in cache.rglob("*.incomplete")]

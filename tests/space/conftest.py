"""The Hub on this machine, for models that a Space loads and for the Spaces themselves."""

from tests.checkpoints.conftest import cache, fingerprint, hub, other, tiny

__all__ = ["cache", "fingerprint", "hub", "other", "tiny"]

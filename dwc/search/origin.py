"""What an answer came from: which checkpoint, over which gallery."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwc.search.searcher import Searcher


@dataclass(frozen=True)
class Origin:
    """What an answer came from, so that it can be told again: model and gallery.

    `revision` is the Hub's commit, whole; None for a folder.
    """

    model: str
    fingerprint: str
    revision: str | None
    gallery: str
    gallery_fingerprint: str

    def to_dict(self) -> dict[str, Any]:
        """`model` and `gallery`, each with its name and what tells it from others; for JSON."""
        return {
            "model": {
                "name": self.model,
                "fingerprint": self.fingerprint,
                "revision": self.revision,
            },
            "gallery": {"name": self.gallery, "fingerprint": self.gallery_fingerprint},
        }


def origin_of(searcher: Searcher) -> Origin:
    """What this searcher's answers come from; folders by their own name, without the way there."""
    checkpoint, store = searcher.checkpoint, searcher.store
    return Origin(
        model=shorten(checkpoint.name),
        fingerprint=checkpoint.fingerprint,
        revision=checkpoint.revision,
        gallery=shorten(store.manifest.argument),
        gallery_fingerprint=store.fingerprint,
    )


def shorten(name: str) -> str:
    """A folder's own name without the way to it; a name of the Hub as it is."""
    path = Path(name)
    is_path = path.is_absolute() or name.startswith((".", "~")) or path.is_dir()
    return path.name if is_path and path.name else name

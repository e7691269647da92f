"""What was named at the start -> a model that answers over a gallery that is embedded."""

import hashlib
import logging
import os
import re
from pathlib import Path

from dwc.checkpoint import Checkpoint
from dwc.errors import PictureError
from dwc.gallery.building import Progress, build_store
from dwc.gallery.sources import Source, open_source
from dwc.gallery.store import Store
from dwc.search.encoding import identify, picture_embedder

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[^A-Za-z0-9.-]+")


def cache_folder() -> Path:
    """Where embedded galleries are kept: DWC_CACHE, else `dwc` in XDG_CACHE_HOME or ~/.cache."""
    if named := os.environ.get("DWC_CACHE"):
        return Path(named).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "dwc"


def store_folder(fingerprint: str, source: Source) -> Path:
    """Where a gallery embedded by a model is kept: `galleries/<gallery>-<its hash>-<model>`."""
    label = _NAME.sub("-", Path(source.argument).name or source.argument)[:40].strip("-.")
    digest = hashlib.blake2b(repr(sorted(source.spec.items())).encode(), digest_size=4).hexdigest()
    return cache_folder() / "galleries" / f"{label or 'gallery'}-{digest}-{fingerprint}"


def open_gallery(argument: str, checkpoint: Checkpoint, progress: Progress | None = None) -> Store:
    """Open a gallery for a model: embedded where that has not been done, else brought up to date.

    `argument` is "catalogue", a folder, or a dataset of the Hub.

    Raises `PictureError` for a gallery that does not exist or has no readable picture, `StoreError`
    where the store cannot be written.
    """
    source = open_source(argument)
    path = store_folder(checkpoint.fingerprint, source)
    store = build_store(
        source,
        picture_embedder(checkpoint),
        path,
        identify(checkpoint),
        progress=progress,
    )
    for picture_id, reason in list(store.manifest.skipped.items())[:20]:
        logger.warning("%s was skipped: %s", picture_id, reason)
    if len(store) == 0:
        raise PictureError(
            f"{argument}: none of its {len(store.manifest.skipped)} pictures can be read."
        )
    return store

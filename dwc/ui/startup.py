"""What was named at the start -> models that answer over a gallery that each has embedded."""

import hashlib
import logging
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from dwc.checkpoints import load
from dwc.checkpoints.load import Checkpoint
from dwc.errors import CheckpointError, DWCError, ImageError, StoreError
from dwc.gallery.builder import Progress, build_store
from dwc.gallery.sources import Source, open_source
from dwc.gallery.store import Store
from dwc.search.model_pool import KEEP_LOADED, ModelPool, short_name
from dwc.search.query import image_embedder, model_identity
from dwc.search.searcher import Searcher
from dwc.ui import zerogpu

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[^A-Za-z0-9.-]+")

Show = Callable[[str], AbstractContextManager[Progress]]
"""What shows how far the gallery is embedded, by the model of that name."""


class Opened(NamedTuple):
    """The models that answer, and the first one's store, whose pictures are shown."""

    models: ModelPool
    store: Store


def open_models(
    arguments: Sequence[str | None],
    gallery: str,
    show: Show,
    keep_loaded: int = KEEP_LOADED,
    waits: bool = True,
) -> Opened:
    """Open every model once, so that its gallery is embedded; at most `keep_loaded` stay loaded.

    `arguments` are folders, names of the Hub, or None for the bundled one; `gallery` is as for
    `open_gallery`. A model that cannot be loaded, or whose gallery cannot be embedded, is named in
    a warning and left out. The first, which answers where no other is asked for, has to do: what
    is wrong with it is raised, a `DWCError` or an `OSError`. Without `waits` it alone is opened
    here, and the others by `open_meanwhile`, or by whoever asks them first.
    """
    named = name_models(arguments)
    opener = _Opener(named, gallery, show)
    models = ModelPool(list(named), opener.open, keep_loaded)
    first, *others = named
    with models.using(first):
        pass
    for name in others if waits else ():
        _open_or_leave_out(models, name)
    return Opened(models, opener.stores[first])


def list_bundled() -> list[str]:
    """The names of the checkpoints that come with this package, the one that answers first first.

    Another than it may not have been made yet, and is then not offered.
    """
    first, *others = load.ALL_BUNDLED
    folder = load.BUNDLED_FOLDER.parent
    return [first, *(name for name in others if (folder / name).is_dir())]


def open_meanwhile(models: ModelPool) -> threading.Thread:
    """Open the models one after the other while the first answers already.

    What is wrong with one is logged; who asks it is told the same.
    """

    def open_one(name: str) -> None:
        try:
            with models.using(name):
                return
        except (DWCError, OSError) as error:
            logger.warning("The model %s cannot be opened: %s", name, error)

    def open_each() -> None:
        for name in models.names:
            open_one(name)

    thread = threading.Thread(target=open_each, name="open-models", daemon=True)
    thread.start()
    return thread


def _open_or_leave_out(models: ModelPool, name: str) -> None:
    try:
        with models.using(name):
            return
    except (DWCError, OSError) as error:
        models.remove(name)
        logger.warning("The model %s is left out: %s", name, error)


def name_models(arguments: Sequence[str | None]) -> dict[str, str]:
    """What each model is called, with what it is loaded by; one that is named twice, once.

    Folders go by their own name, and by as much of the way to it as tells them apart.
    """
    distinct = list(dict.fromkeys(argument or load.BUNDLED for argument in arguments))
    names = [short_name(argument) for argument in distinct]
    depth = 1
    while len(set(names)) < len(names) and depth < max(len(Path(a).parts) for a in distinct):
        depth += 1
        names = [
            "/".join(Path(argument).parts[-depth:]) if names.count(name) > 1 else name
            for name, argument in zip(names, distinct, strict=True)
        ]
    return dict(zip(names, distinct, strict=True))


class _Known(NamedTuple):
    """A model that was opened before, and is to be the same when it is opened again."""

    fingerprint: str
    revision: str | None
    store: Path


class _Opener:
    """Opens models over one gallery: the first time embedding it, later from what is there."""

    def __init__(self, named: Mapping[str, str], gallery: str, show: Show) -> None:
        self.stores: dict[str, Store] = {}  # the first's alone: its pictures are those of the page
        self._named, self._gallery, self._show = named, gallery, show
        self._known: dict[str, _Known] = {}

    def open(self, name: str) -> Searcher:
        """Load the model of a name, with its gallery's vectors."""
        if name in self._known:
            return self._open_again(name, self._known[name])
        loaded = load.load(self._named[name])
        zerogpu.place_for_embedding(loaded.model)
        with self._show(name) as progress:
            store = open_gallery(self._gallery, loaded, progress)
        for shown in self.stores.values():
            _require_same_pictures(store, shown)
        searcher = Searcher(loaded, store)
        if not self.stores:
            self.stores[name] = store
        self._known[name] = _Known(loaded.fingerprint, loaded.revision, store.path)
        return searcher

    def _open_again(self, name: str, known: _Known) -> Searcher:
        repository = self._named[name].partition("@")[0]
        argument = self._named[name] if known.revision is None else repository
        try:
            # By the commit that was loaded at first, wherever its branch stands by now.
            loaded = load.load(argument, revision=known.revision)
            if loaded.fingerprint != known.fingerprint:
                raise CheckpointError(
                    f"it was {known.fingerprint} when the app started and is {loaded.fingerprint} "
                    "now; the gallery was embedded by the former."
                )
            zerogpu.place_for_embedding(loaded.model)
            store = self.stores[name] if name in self.stores else Store.open(known.store)
            return Searcher(loaded, store)
        except (DWCError, OSError) as error:
            raise CheckpointError(
                f"The model {name} cannot be loaded again: {error} Choose another model, or put "
                "this right and start the app again."
            ) from error


def _require_same_pictures(store: Store, shown: Store) -> None:
    if set(store.ids) != set(shown.ids):
        raise StoreError(
            f"the gallery changed while it was embedded: {len(shown):,} pictures for the first "
            f"model, {len(store):,} for this one, or others. Start the app again."
        )


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

    Raises `ImageError` for a gallery that does not exist or has no readable picture, `StoreError`
    where the store cannot be written.
    """
    source = open_source(argument)
    path = store_folder(checkpoint.fingerprint, source)
    store = build_store(
        source,
        image_embedder(checkpoint),
        path,
        model_identity(checkpoint),
        progress=progress,
    )
    for picture_id, reason in list(store.manifest.skipped.items())[:20]:
        logger.warning("%s was skipped: %s", picture_id, reason)
    if len(store) == 0:
        raise ImageError(
            f"{argument}: none of its {len(store.manifest.skipped)} pictures can be read."
        )
    return store

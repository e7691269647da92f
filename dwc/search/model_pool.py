"""A pool of models for one gallery: loads models on request and keeps only some of them in memory.

Each model is loaded together with the vectors that it computed for the gallery's images; both are
part of a `Searcher`.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwc.errors import QueryError, quote
from dwc.search.searcher import Searcher


@dataclass(frozen=True)
class Origin:
    """The model and the gallery of a search result, as needed to reproduce the result.

    Attributes:
        model: the checkpoint's name; for a folder, the last part of its path.
        fingerprint: a hash that identifies the checkpoint's content.
        revision: the full commit hash on the Hugging Face Hub; None for a folder.
        gallery: the gallery's name; for a folder, the last part of its path.
        gallery_fingerprint: a hash that identifies the gallery's pictures and vectors.
        metadata_digest: a hash of the gallery's metadata.
    """

    model: str
    fingerprint: str
    revision: str | None
    gallery: str
    gallery_fingerprint: str
    metadata_digest: str

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-compatible dict with the entries `model` and `gallery`, each a dict."""
        return {
            "model": {
                "name": self.model,
                "fingerprint": self.fingerprint,
                "revision": self.revision,
            },
            "gallery": {"name": self.gallery, "fingerprint": self.gallery_fingerprint},
        }


def origin_of(searcher: Searcher) -> Origin:
    """Return a description of the model and the gallery that a searcher uses."""
    checkpoint, store = searcher.checkpoint, searcher.store
    return Origin(
        model=short_name(checkpoint.name),
        fingerprint=checkpoint.fingerprint,
        revision=checkpoint.revision,
        gallery=short_name(store.manifest.argument),
        gallery_fingerprint=store.fingerprint,
        metadata_digest=store.metadata.digest,
    )


def short_name(name: str) -> str:
    """Return the short name of a model or gallery: the last part of its path, or its Hub name.

    Args:
        name: a folder's path or a name on the Hugging Face Hub.
    """
    path = Path(name)
    is_path = path.is_absolute() or name.startswith((".", "~")) or path.is_dir()
    return path.name if is_path and path.name else name


KEEP_LOADED = 2
"""The default maximum number of checkpoints in memory, enough to compare two without reloading.

A checkpoint needs memory for its parameters (float32, four bytes per parameter) and, during a
search, for its vectors of the gallery's images. Loading a checkpoint takes seconds.
"""

Open = Callable[[str], Searcher]
"""Function that loads the searcher of a checkpoint, given the checkpoint's name."""


@dataclass
class _Loaded:
    searcher: Searcher
    users: int


class ModelPool:
    """A pool of searchers, one per checkpoint name; the first name is the default.

    At most `keep_loaded` searchers are in memory. To load another searcher, the pool unloads
    searchers that are not in use, the least recently used first. If all loaded searchers are in
    use, a thread that requests another searcher waits. There is one exception: a thread that
    already uses a searcher, for example to compare models, does not wait, since it might wait for
    itself. Until this thread finishes, more than `keep_loaded` searchers may be in memory.

    The pool is thread-safe. If several threads request the same searcher, it is loaded once.
    """

    def __init__(self, names: Sequence[str], open: Open, keep_loaded: int = KEEP_LOADED) -> None:
        """Create the pool without loading any checkpoint.

        Args:
            names: names of the checkpoints; the first is the default.
            open: function that loads the searcher of a checkpoint, given the checkpoint's name.
            keep_loaded: maximum number of searchers in memory, 1 or more.

        Raises:
            ValueError: if there are no names, a name is repeated, or `keep_loaded` is below 1.
        """
        if not names or len(set(names)) < len(names):
            raise ValueError(f"the models are named {list(names)}; one name each is needed.")
        if keep_loaded < 1:
            raise ValueError(f"keep_loaded is {keep_loaded}; 1 or more have to be in memory.")
        self._names = list(names)
        self._open = open
        self._keep_loaded = keep_loaded
        self._origins: dict[str, Origin] = {}
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()  # least recently used first
        self._opening: set[str] = set()
        self._changed = threading.Condition()
        self._here = threading.local()  # `.uses`: how many searchers the current thread is using

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the checkpoints, in the order given to the constructor."""
        return tuple(self._names)

    @property
    def default(self) -> str:
        """The name of the checkpoint that is used when none is requested."""
        return self._names[0]

    @property
    def in_memory(self) -> tuple[str, ...]:
        """The names of the loaded checkpoints, least recently used first."""
        with self._changed:
            return tuple(self._loaded)

    def require(self, name: object = None) -> str:
        """Return `name`, or the name of the default checkpoint if `name` is None or empty.

        Raises:
            QueryError: if the pool has no checkpoint of this name.
        """
        if name is None or name == "":
            return self.default
        if name not in self._names:
            offered = ", ".join(self._names)
            raise QueryError(
                f"there is no model {quote(name)} here. Choose one of these: {offered}."
            )
        return str(name)

    @contextmanager
    def using(self, name: str | None = None) -> Iterator[Searcher]:
        """Yield the searcher of a checkpoint; the searcher stays in memory within the block.

        Args:
            name: the checkpoint's name; None for the default.

        Raises:
            QueryError: if the name is unknown.
            DWCError: if the checkpoint cannot be loaded; the other checkpoints remain usable.
        """
        name = self.require(name)
        loaded = self._acquire(name)
        self._here.uses = self._uses_here + 1
        try:
            yield loaded.searcher
        finally:
            del loaded
            self._here.uses -= 1
            self._release(name)

    def replace(self, name: str, searcher: Searcher) -> None:
        """Replace the searcher of a checkpoint, for example because its gallery has grown.

        Threads that are using the previous searcher continue with it. If the checkpoint is not in
        memory, only the description that `origin` returns changes.

        Args:
            name: the checkpoint's name.
            searcher: the new searcher, with the same model.
        """
        origin = origin_of(searcher)
        with self._changed:
            self._origins[name] = origin
            if (loaded := self._loaded.get(name)) is not None:
                loaded.searcher = searcher

    def origin(self, name: str | None = None) -> Origin:
        """Return a description of the model and the gallery that a checkpoint's searcher uses.

        The checkpoint is loaded if it has never been loaded.

        Args:
            name: the checkpoint's name; None for the default.
        """
        name = self.require(name)
        if name not in self._origins:
            with self.using(name):
                pass
        return self._origins[name]

    def remove(self, name: str) -> None:
        """Remove the name of a checkpoint that cannot be loaded, so that it is no longer offered.

        This method is not thread-safe: call it only before the web page is served.
        """
        self._names.remove(name)

    @property
    def _uses_here(self) -> int:
        return getattr(self._here, "uses", 0)

    def _acquire(self, name: str) -> _Loaded:
        with self._changed:
            while True:
                if (loaded := self._loaded.get(name)) is not None:
                    loaded.users += 1
                    self._loaded.move_to_end(name)
                    return loaded
                if name not in self._opening and (self._has_room() or self._uses_here):
                    self._opening.add(name)
                    break
                self._changed.wait()
        try:
            searcher = self._open(name)
            origin = origin_of(searcher)
        except BaseException:
            with self._changed:
                self._opening.remove(name)
                self._changed.notify_all()
            raise
        with self._changed:
            self._opening.remove(name)
            self._origins[name] = origin
            loaded = self._loaded[name] = _Loaded(searcher, users=1)
            self._changed.notify_all()
            return loaded

    def _release(self, name: str) -> None:
        with self._changed:
            self._loaded[name].users -= 1
            self._unload(self._keep_loaded)
            self._changed.notify_all()

    def _has_room(self) -> bool:
        """Unload unused searchers if necessary; return whether another searcher may be loaded."""
        self._unload(self._keep_loaded - 1)
        return len(self._loaded) + len(self._opening) < self._keep_loaded

    def _unload(self, most: int) -> None:
        """Unload searchers that are not in use, the least recently used first.

        Unloading stops when at most `most` searchers are loaded or being loaded, or when all
        remaining searchers are in use.
        """
        for name in list(self._loaded):
            if len(self._loaded) + len(self._opening) <= most:
                return
            if self._loaded[name].users == 0:
                del self._loaded[name]

"""Several checkpoints over one gallery, requested by name, with a limit on those in memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwc.errors import QueryError
from dwc.search.searcher import Searcher


@dataclass(frozen=True)
class Origin:
    """The model and the gallery of an answer, so that it can be reproduced.

    Attributes:
        model: the checkpoint's name; a folder by its own name.
        fingerprint: the checkpoint's.
        revision: the Hub's full commit; None for a folder.
        gallery: the gallery's name; a folder by its own name.
        gallery_fingerprint: the store's.
    """

    model: str
    fingerprint: str
    revision: str | None
    gallery: str
    gallery_fingerprint: str

    def to_dict(self) -> dict[str, Any]:
        """For JSON: `model` and `gallery`, each with name and fingerprint."""
        return {
            "model": {
                "name": self.model,
                "fingerprint": self.fingerprint,
                "revision": self.revision,
            },
            "gallery": {"name": self.gallery, "fingerprint": self.gallery_fingerprint},
        }


def origin_of(searcher: Searcher) -> Origin:
    """The origin of a searcher's answers."""
    checkpoint, store = searcher.checkpoint, searcher.store
    return Origin(
        model=short_name(checkpoint.name),
        fingerprint=checkpoint.fingerprint,
        revision=checkpoint.revision,
        gallery=short_name(store.manifest.argument),
        gallery_fingerprint=store.fingerprint,
    )


def short_name(name: str) -> str:
    """The last part of a folder's path; a name of the Hub as it is."""
    path = Path(name)
    is_path = path.is_absolute() or name.startswith((".", "~")) or path.is_dir()
    return path.name if is_path and path.name else name


KEEP_LOADED = 2
"""The default number of checkpoints in memory: two can be compared without loading.

Each takes its weights (float32, four bytes a parameter) and, while it searches, its gallery's
vectors. Loading one takes seconds.
"""

Open = Callable[[str], Searcher]


@dataclass
class _Loaded:
    searcher: Searcher
    users: int


class ModelPool:
    """The searchers of a page by the names of their checkpoints, the first being the default.

    At most `keep_loaded` of them are in memory. To load another, the least recently used is
    unloaded. It may be used from any thread: a searcher in use is never unloaded, no two threads
    load the same one, and where all are in use a thread waits. A thread that uses one already, to
    compare it with another, does not wait; until it is done more than `keep_loaded` may be in
    memory.
    """

    def __init__(self, names: Sequence[str], open: Open, keep_loaded: int = KEEP_LOADED) -> None:
        """Take the names and a function that loads the searcher of a name.

        Raises:
            ValueError: for no names, repeated names, or a `keep_loaded` below 1.
        """
        if not names or len(set(names)) < len(names):
            raise ValueError(f"the models are named {list(names)}; one name each is needed.")
        if keep_loaded < 1:
            raise ValueError(f"keep_loaded is {keep_loaded}; 1 or more have to be in memory.")
        self._names = list(names)
        self._open = open
        self._keep_loaded = keep_loaded
        self._origins: dict[str, Origin] = {}
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()  # the least recently used first
        self._opening: set[str] = set()
        self._changed = threading.Condition()
        self._here = threading.local()  # `.uses`: the number in use by this thread

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the checkpoints, in the order of the constructor."""
        return tuple(self._names)

    @property
    def default(self) -> str:
        """The name used where none is given."""
        return self._names[0]

    @property
    def in_memory(self) -> tuple[str, ...]:
        """The names of loaded checkpoints, the least recently used first."""
        with self._changed:
            return tuple(self._loaded)

    def require(self, name: object = None) -> str:
        """Return the name, or the default for None and ""; `QueryError` for an unknown name."""
        if name is None or name == "":
            return self.default
        if name not in self._names:
            offered = ", ".join(self._names)
            raise QueryError(f"there is no model {name!r} here. Choose one of these: {offered}.")
        return str(name)

    @contextmanager
    def using(self, name: str | None = None) -> Iterator[Searcher]:
        """Yield the searcher of a name (None: the default), which stays in memory within the block.

        Raises:
            QueryError: for an unknown name.
            DWCError: what loading the checkpoint raises; the others still answer.
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

    def origin(self, name: str | None = None) -> Origin:
        """The origin of a name's answers; the checkpoint is loaded if it never was."""
        name = self.require(name)
        if name not in self._origins:
            with self.using(name):
                pass
        return self._origins[name]

    def remove(self, name: str) -> None:
        """Remove a checkpoint that cannot be loaded. Not to be called while the page serves."""
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
        """Unload what is not in use, and return whether another may be loaded."""
        self._unload(self._keep_loaded - 1)
        return len(self._loaded) + len(self._opening) < self._keep_loaded

    def _unload(self, most: int) -> None:
        """Unload what is not in use, the least recently used first, until `most` are left."""
        for name in list(self._loaded):
            if len(self._loaded) + len(self._opening) <= most:
                return
            if self._loaded[name].users == 0:
                del self._loaded[name]

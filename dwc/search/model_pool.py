"""What an answer came from: which checkpoint, over which gallery.

Several checkpoints over one gallery: asked for by name, and only so many in memory at a time.
"""

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
        model=short_name(checkpoint.name),
        fingerprint=checkpoint.fingerprint,
        revision=checkpoint.revision,
        gallery=short_name(store.manifest.argument),
        gallery_fingerprint=store.fingerprint,
    )


def short_name(name: str) -> str:
    """A folder's own name without the way to it; a name of the Hub as it is."""
    path = Path(name)
    is_path = path.is_absolute() or name.startswith((".", "~")) or path.is_dir()
    return path.name if is_path and path.name else name


KEEP_LOADED = 2
"""How many checkpoints stay in memory, unless told: two can be gone to and fro between at once.

Each takes its weights (float32, four bytes a parameter) and, while it searches, its gallery's
vectors; loading one anew takes seconds.
"""

Open = Callable[[str], Searcher]


@dataclass
class _Loaded:
    searcher: Searcher
    users: int


class ModelPool:
    """The searchers of a page, by the names of their checkpoints; the first answers by default.

    At most `keep_loaded` of them are in memory. For one more, that which was used longest ago is
    let go, to be opened again when it is asked for. Any number of threads may ask: none is let go
    while it is in use, no two threads open the same, and where all are in use one waits. A thread
    that is using one already, to compare it with another, is not made to wait: until it is done,
    there may be more in memory than `keep_loaded`.
    """

    def __init__(self, names: Sequence[str], open: Open, keep_loaded: int = KEEP_LOADED) -> None:
        """`open` makes the searcher of a name, whenever it is needed and not in memory.

        Raises ValueError for no names, one that is there twice, or `keep_loaded` below 1.
        """
        if not names or len(set(names)) < len(names):
            raise ValueError(f"the models are named {list(names)}; one name each is needed.")
        if keep_loaded < 1:
            raise ValueError(f"keep_loaded is {keep_loaded}; 1 or more have to be in memory.")
        self._names = list(names)
        self._open = open
        self._keep_loaded = keep_loaded
        self._origins: dict[str, Origin] = {}
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()  # used longest ago first
        self._opening: set[str] = set()
        self._changed = threading.Condition()
        self._here = threading.local()  # `.uses`: how many this thread is using

    @property
    def names(self) -> tuple[str, ...]:
        """What can be asked for, in the order in which it was offered."""
        return tuple(self._names)

    @property
    def default(self) -> str:
        """What answers where no other is asked for."""
        return self._names[0]

    @property
    def in_memory(self) -> tuple[str, ...]:
        """The names of those that are loaded, that which was used longest ago first."""
        with self._changed:
            return tuple(self._loaded)

    def require(self, name: object = None) -> str:
        """The name itself, or the first for None and ""; QueryError for one that is not offered."""
        if name is None or name == "":
            return self.default
        if name not in self._names:
            offered = ", ".join(self._names)
            raise QueryError(f"there is no model {name!r} here. Choose one of these: {offered}.")
        return str(name)

    @contextmanager
    def using(self, name: str | None = None) -> Iterator[Searcher]:
        """The searcher of a name (None: the first), which stays in memory within the block.

        It is not to be kept beyond the block. Raises QueryError for a name that is not offered, and
        what opening it raises; the others go on answering.
        """
        name = self.require(name)
        loaded = self._take(name)
        self._here.uses = self._uses_here + 1
        try:
            yield loaded.searcher
        finally:
            del loaded
            self._here.uses -= 1
            self._give_back(name)

    def origin(self, name: str | None = None) -> Origin:
        """Where the answers of a name come from; it is opened for this only if it never was."""
        name = self.require(name)
        if name not in self._origins:
            with self.using(name):
                pass
        return self._origins[name]

    def remove(self, name: str) -> None:
        """Offer a name no longer: it cannot be opened. Not to be called while the page serves."""
        self._names.remove(name)

    @property
    def _uses_here(self) -> int:
        return getattr(self._here, "uses", 0)

    def _take(self, name: str) -> _Loaded:
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

    def _give_back(self, name: str) -> None:
        with self._changed:
            self._loaded[name].users -= 1
            self._let_go(self._keep_loaded)
            self._changed.notify_all()

    def _has_room(self) -> bool:
        """Make room for one more; whether there is any now."""
        self._let_go(self._keep_loaded - 1)
        return len(self._loaded) + len(self._opening) < self._keep_loaded

    def _let_go(self, most: int) -> None:
        """Let go of what is in no use, longest unused first, until `most` are left."""
        for name in list(self._loaded):
            if len(self._loaded) + len(self._opening) <= most:
                return
            if self._loaded[name].users == 0:
                del self._loaded[name]

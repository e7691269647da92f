"""Several checkpoints in bounded memory: what is kept, what is let go, with many threads."""

import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwc.errors import CheckpointError, QueryError
from dwc.gallery.metadata import Metadata
from dwc.search.model_pool import ModelPool, short_name

NAMES = ("a", "b", "c", "d")


class Room:
    """Opens stand-ins for searchers, and counts how often, and how many are alive."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.opened = []
        self.alive = weakref.WeakSet()
        self.most_alive = 0
        self.lock = threading.Lock()

    def open(self, name):
        time.sleep(self.seconds)
        searcher = SimpleNamespace(
            checkpoint=SimpleNamespace(name=name, fingerprint=f"of-{name}", revision=f"at-{name}"),
            store=SimpleNamespace(
                manifest=SimpleNamespace(argument="g"), fingerprint="0", metadata=Metadata({}, 0)
            ),
        )
        alive = _Alive()
        searcher.alive = alive
        with self.lock:
            self.opened.append(name)
            self.alive.add(alive)
            self.most_alive = max(self.most_alive, len(self.alive))
        return searcher


class _Alive:
    pass


def use(models, name):
    with models.using(name) as searcher:
        return searcher.checkpoint.name


def test_the_first_answers_where_none_is_named():
    models = ModelPool(NAMES, Room().open)
    assert models.default == use(models, None) == use(models, "") == "a"
    assert use(models, "c") == "c"


@pytest.mark.parametrize("name", ["e", "A", 1, ["a"]])
def test_a_name_that_is_not_offered_is_told_with_those_that_are(name):
    models = ModelPool(NAMES, Room().open)
    with pytest.raises(QueryError, match="a, b, c, d"), models.using(name):
        pass
    assert models.in_memory == ()


@pytest.mark.parametrize(("names", "kept"), [((), 1), (("a", "a"), 1), (("a",), 0)])
def test_what_cannot_be_offered(names, kept):
    with pytest.raises(ValueError, match=r"one name|keep_loaded"):
        ModelPool(names, Room().open, kept)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(NAMES), max_size=25), st.integers(1, 4))
def test_what_was_used_longest_ago_is_let_go(asked, kept):
    room = Room()
    models = ModelPool(NAMES, room.open, kept)
    recent, opened = [], []
    for name in asked:
        if name not in recent:
            opened.append(name)
        recent = [*(n for n in recent if n != name), name][-kept:]
        assert use(models, name) == name
        assert list(models.in_memory) == recent
    assert room.opened == opened
    assert room.most_alive <= kept


def test_what_is_let_go_is_gone_from_memory():
    room = Room()
    models = ModelPool(NAMES, room.open, 1)
    use(models, "a")
    with models.using("b"):
        assert len(room.alive) == 1
    assert models.in_memory == ("b",)


def test_many_threads_share_few_places():
    room = Room(seconds=0.001)
    models = ModelPool(NAMES, room.open, 2)

    def ask(turn):
        name = NAMES[turn * 7 % 4]
        with models.using(name) as searcher:
            time.sleep(0.0005)
            assert name in models.in_memory
            assert len(models.in_memory) <= 2
            return searcher.checkpoint.name == name

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(120)))
    assert room.most_alive <= 2 + 8  # the stand-ins that threads are about to drop
    assert len(room.alive) == 2


def test_a_model_is_opened_once_however_many_ask_at_once():
    room = Room(seconds=0.05)
    models = ModelPool(NAMES, room.open, 2)
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda _: use(models, "b"), range(6))) == ["b"] * 6
    assert room.opened == ["b"]


def test_one_more_waits_until_another_is_done():
    models = ModelPool(NAMES, Room().open, 1)
    done = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with models.using("a"):
            waiting = pool.submit(lambda: (use(models, "b"), done.set()))
            assert not done.wait(0.1)
            assert models.in_memory == ("a",)
        waiting.result(timeout=5)
    assert models.in_memory == ("b",)


def test_who_uses_one_is_given_another_beyond_the_limit_and_it_goes_afterwards():
    models = ModelPool(NAMES, Room().open, 1)
    with ExitStack() as used:
        for name in ("a", "b", "c"):
            used.enter_context(models.using(name))
        assert set(models.in_memory) == {"a", "b", "c"}
    assert len(models.in_memory) == 1


def test_two_threads_that_both_want_the_others_model_do_not_wait_for_ever():
    models = ModelPool(NAMES, Room().open, 2)
    both = threading.Barrier(2)

    def compare(one, other):
        with models.using(one):
            both.wait(5)
            return use(models, other)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(compare, "a", "b"), pool.submit(compare, "b", "c")
        assert (first.result(5), second.result(5)) == ("b", "c")
    assert len(models.in_memory) <= 2


def test_one_that_cannot_be_opened_is_told_and_the_others_go_on():
    room, broken = Room(), {"b"}

    def open_or_fail(name):
        if name in broken:
            raise CheckpointError(f"{name} is damaged")
        return room.open(name)

    models = ModelPool(NAMES, open_or_fail, 1)
    use(models, "a")
    for _ in range(2):
        with pytest.raises(CheckpointError, match="b is damaged"), models.using("b"):
            pass
    assert use(models, "a") == "a"
    broken.clear()
    assert use(models, "b") == "b"


def test_an_error_while_it_is_used_leaves_it_free():
    models = ModelPool(NAMES, Room().open, 1)
    with pytest.raises(ZeroDivisionError), models.using("a"):
        raise ZeroDivisionError
    assert use(models, "b") == "b"


def test_the_origin_is_known_without_opening_again():
    room = Room()
    models = ModelPool(NAMES, room.open, 1)
    assert models.origin("b").fingerprint == "of-b"
    use(models, "c")
    assert models.origin("b").revision == "at-b"
    assert room.opened == ["b", "c"]


def test_what_is_withdrawn_is_not_offered():
    models = ModelPool(NAMES, Room().open)
    models.remove("b")
    assert models.names == ("a", "c", "d")
    with pytest.raises(QueryError, match="no model 'b'"):
        models.require("b")


def test_a_model_is_called_by_its_name(tmp_path):
    assert short_name("dwc-catalogue") == "dwc-catalogue"
    assert short_name("owner/name") == "owner/name"
    assert short_name(str(tmp_path / "run-3")) == "run-3"
    assert short_name("./runs/best") == "best"

"""A GPU that is lent for single calls, in another process, and what is carried there and back."""

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dwc.checkpoints import load
from dwc.errors import QueryError
from dwc.explain.text_perturbations import ablate_words, probe_paraphrases
from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from dwc.search.image_embedding import image_embedder, model_identity
from dwc.search.query_batching import MODEL_QUEUE
from dwc.search.searcher import Searcher
from dwc.ui import zerogpu
from dwc.ui.startup import open_models
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import draw_gallery
from tests.ui.test_startup import Counts


class Lender:
    """As much of `spaces` as the page uses: functions called as if in another process."""

    def __init__(self, zero_gpu: bool) -> None:
        self.config = SimpleNamespace(Config=SimpleNamespace(zero_gpu=zero_gpu))
        self.calls = 0
        self.refuses = False
        self.began, self.goes_on = threading.Event(), threading.Event()
        self.goes_on.set()

    def GPU(self, duration: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        assert 0 < duration <= 60

        def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                self.calls += 1
                self.began.set()
                assert self.goes_on.wait(20)
                if self.refuses:
                    raise RuntimeError("the quota is spent")
                carried = pickle.loads(pickle.dumps(arguments))
                return pickle.loads(pickle.dumps(function(*carried)))

            return call

        return wrap


@pytest.fixture
def lender(monkeypatch):
    lender = Lender(zero_gpu=True)
    monkeypatch.setattr(zerogpu, "spaces", lender)
    monkeypatch.setattr(zerogpu, "_LENT_DEVICE", "cpu")
    return lender


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    (tmp_path_factory.getbasetemp() / "lent").mkdir()
    return tmp_path_factory.getbasetemp() / "lent"


@pytest.fixture(scope="module")
def gallery(folder):
    (folder / "gallery").mkdir()
    return draw_gallery(folder / "gallery", 20)


@pytest.fixture(scope="module")
def checkpoints(folder):
    """Two checkpoints' folders, which differ."""
    return [write_tiny_checkpoint(folder / name, seed) for seed, name in enumerate(("one", "two"))]


@pytest.fixture(scope="module")
def loaded(checkpoints):
    return load.load(checkpoints[0])


@pytest.fixture(scope="module")
def store(loaded, gallery, folder):
    return build_store(
        FolderSource(gallery), image_embedder(loaded), folder / "store", model_identity(loaded)
    )


@pytest.fixture
def question(gallery):
    return {"image": gallery / "figure-02.png", "text": "is shorter and red"}


def assert_alike(result, other):
    """Two answers are the same but for rounding."""
    assert [hit.id for hit in result.hits] == [hit.id for hit in other.hits]
    for hit, same in zip(result.hits, other.hits, strict=True):
        assert hit.parts == pytest.approx(same.parts, abs=1e-5)
    for name, weight in result.weights.items():
        assert weight.image == pytest.approx(other.weights[name].image, abs=1e-5)


@pytest.mark.slow
def test_every_pass_of_the_model_borrows_it(lender, loaded, store, question):
    plain, searcher = Searcher(loaded, store), Searcher(loaded, store)
    expected = plain.search(**question)
    effects = ablate_words(plain, plain.encode_query(**question), "figure-09.png")
    zerogpu.borrow_gpu(searcher)
    searcher.compose(loaded.processor(text="red"))
    assert lender.calls == 1
    asked = searcher.encode_query(**question)
    assert lender.calls == 2
    assert_alike(searcher.answer(asked), expected)
    borrowed = ablate_words(searcher, asked, "figure-09.png")
    for effect, same in zip(borrowed.words, effects.words, strict=True):
        assert effect.weight_effect == pytest.approx(same.weight_effect, abs=1e-5)
        assert effect.score_effect == pytest.approx(same.score_effect, abs=1e-5)
    assert lender.calls == 3
    again = probe_paraphrases(searcher, asked, [asked.text], k=5)
    assert again.mean_overlap == 1.0
    assert lender.calls == 3  # the text was composed before
    probe_paraphrases(searcher, asked, ["is long and red"], k=5)
    assert lender.calls == 4


@pytest.mark.slow
def test_searches_that_wait_together_borrow_it_once(lender, loaded, store, gallery):
    questions = [(gallery / f"figure-{n:02}.png", "is red") for n in range(6)]
    expected = [Searcher(loaded, store).search(*question) for question in questions]
    searcher = Searcher(loaded, store)
    zerogpu.borrow_gpu(searcher)
    lender.goes_on.clear()
    with ThreadPoolExecutor(len(questions)) as pool:
        first = pool.submit(searcher.search, *questions[0])
        assert lender.began.wait(20)
        others = [pool.submit(searcher.search, *question) for question in questions[1:]]
        while len(MODEL_QUEUE) < len(others):
            pass
        lender.goes_on.set()
        results = [future.result(20) for future in (first, *others)]
    for result, same in zip(results, expected, strict=True):
        assert_alike(result, same)
    assert lender.calls == 2


def test_what_it_borrows_for_is_a_copy(lender, loaded, store, question, monkeypatch):
    """The model itself stays where everything else finds it."""
    expected = Searcher(loaded, store).search(**question)
    searcher = Searcher(loaded, store)
    zerogpu.borrow_gpu(searcher)
    monkeypatch.setattr(loaded.model, "compose", None)
    assert_alike(searcher.search(**question), expected)


def test_where_none_is_lent_the_cpu_answers(lender, loaded, store, question, caplog):
    expected = Searcher(loaded, store).search(**question)
    searcher = Searcher(loaded, store)
    zerogpu.borrow_gpu(searcher)
    lender.refuses = True
    assert_alike(searcher.search(**question), expected)
    assert "the quota is spent" in caplog.text
    lender.refuses = False
    with pytest.raises(QueryError, match="neither"):
        searcher.search()


@pytest.mark.parametrize("lends", [False, None])
def test_elsewhere_nothing_is_changed(loaded, store, monkeypatch, lends):
    monkeypatch.setattr(zerogpu, "spaces", None if lends is None else Lender(zero_gpu=lends))
    searcher = Searcher(loaded, store)
    run_model = searcher.compose.run_model
    zerogpu.borrow_gpu(searcher)
    assert searcher.compose.run_model is run_model


@pytest.mark.slow
def test_every_model_borrows_it_also_after_it_was_unloaded(
    lender, checkpoints, gallery, question, tmp_path, monkeypatch
):
    monkeypatch.setenv("DWC_CACHE", str(tmp_path))
    models, _ = open_models([str(c) for c in checkpoints], str(gallery), Counts().show, 1)
    for name in ("one", "two", "one", "two"):
        borrowed_before = lender.calls
        with models.using(name) as searcher:
            searcher.search(**question)
        assert models.in_memory == (name,)
        assert lender.calls == borrowed_before + 1, name


def test_a_machine_with_a_gpu_of_its_own_uses_it(monkeypatch):
    moves = []
    model = SimpleNamespace(to=lambda device: moves.append(str(device)))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    zerogpu.use_local_gpu(model)
    assert moves == ["cuda:0"]
    monkeypatch.setattr(zerogpu, "spaces", Lender(zero_gpu=True))
    zerogpu.use_local_gpu(model)
    assert moves == ["cuda:0"]

"""Columns against searches at the ends of the dial, and against other models' own."""

import json
import math
from dataclasses import replace

import pytest

from dwc.checkpoints import load
from dwc.errors import QueryError
from dwc.explain.comparison import compare, learned_column
from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from dwc.search.image_embedding import image_embedder, model_identity
from dwc.search.searcher import Searcher
from dwc.ui.api import compare_query
from dwc.ui.gallery_images import StoreImages
from tests.search.tiny import write_tiny_checkpoint

QUESTION = {"reference_id": "p04.png", "text": "is red"}


@pytest.fixture(scope="module")
def searcher(loaded, store):
    return Searcher(loaded, store)


@pytest.fixture(scope="module")
def another(pictures, tmp_path_factory):
    """Another model over all pictures but p01, which only the first gallery has."""
    folder = tmp_path_factory.mktemp("another")
    (folder / "pictures").mkdir()
    for file in pictures.iterdir():
        if file.name != "p01.png":
            (folder / "pictures" / file.name).write_bytes(file.read_bytes())
    (folder / "pictures" / "p99.png").write_bytes((pictures / "p01.png").read_bytes())
    loaded = load.load(write_tiny_checkpoint(folder / "model", seed=5))
    source = FolderSource(folder / "pictures")
    made = build_store(source, image_embedder(loaded), folder / "store", model_identity(loaded))
    return Searcher(loaded, made)


@pytest.mark.slow
def test_columns_are_searches(searcher, another):
    asked = searcher.encode_query(**QUESTION)
    found = compare(searcher.sweep(asked), asked, 6, {"another": another})
    columns = {column.name: column for column in found.columns}
    assert list(columns) == ["picture", "words", "average", "learned", "another"]
    learned = {hit.id: hit for hit in searcher.search(**QUESTION, k=100).hits}
    best = {id for id, hit in learned.items() if hit.rank <= 6}
    searches = {
        "picture": searcher.search(**QUESTION, k=6, shift=math.inf),
        "words": searcher.search(**QUESTION, k=6, shift=-math.inf),
        "learned": searcher.search(**QUESTION, k=6),
        "another": another.search(**QUESTION, k=6),
    }
    for name, result in searches.items():
        column = columns[name]
        assert [hit.rank for hit in column.hits] == [1, 2, 3, 4, 5, 6]
        assert column.weights == result.weights
        expected = [hit.score for hit in result.hits]
        assert [hit.score for hit in column.hits] == pytest.approx(expected, abs=1e-5)
        assert {hit.id for hit in column.hits[:5]} <= {hit.id for hit in result.hits}
        assert column.shared == len(best & {hit.id for hit in column.hits})
    for column in columns.values():
        for hit in column.hits:
            if hit.id == "p99.png":
                assert hit.learned_rank is hit.change is None
                continue
            assert hit.change == hit.learned_rank - hit.rank
            # A pair of equal scores may stand either way round.
            assert hit.learned_rank == pytest.approx(learned[hit.id].rank, abs=1)
    assert {hit.change for hit in columns["learned"].hits} == {0}
    assert {w.image for w in columns["average"].weights.values()} == {0.5}


def test_what_another_gallery_alone_has_is_not_ranked_here(searcher, another):
    asked = searcher.encode_query(**QUESTION)
    other = compare(searcher.sweep(asked), asked, 100, {"another": another}).columns[-1]
    ranks = {hit.id: hit.learned_rank for hit in other.hits}
    assert ranks["p99.png"] is None
    assert "p04.png" not in ranks
    assert sorted(rank for rank in ranks.values() if rank is not None) != []


def test_words_alone_have_two_readings_and_all_is_plain_data(searcher):
    asked = searcher.encode_query(text="is red")
    told = compare(searcher.sweep(asked), asked, 3).to_dict()
    assert [column["name"] for column in told["columns"]] == ["words", "learned"]
    assert told["columns"][0]["hits"] == told["columns"][1]["hits"]
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_a_kept_column_is_held_to_the_question_asked_now(searcher):
    before = searcher.encode_query(**QUESTION)
    earlier = learned_column(searcher.sweep(before), 6)
    assert earlier == compare(searcher.sweep(before), before, 6).columns[-1]
    now = searcher.encode_query(text="is blue", reference_id="p09.png")
    ranks = {hit.id: hit.rank for hit in searcher.answer(now, k=100).hits}
    columns = compare(searcher.sweep(now), now, 6, saved=[replace(earlier, name="earlier")]).columns
    assert [column.name for column in columns][-2:] == ["learned", "earlier"]
    kept = columns[-1]
    assert [hit.id for hit in kept.hits] == [hit.id for hit in earlier.hits]
    assert kept.weights == earlier.weights
    for hit in kept.hits:
        assert hit.learned_rank == ranks.get(hit.id)  # None for the reference asked with now
        assert hit.change is None or hit.change == hit.learned_rank - hit.rank
    best = {id for id, rank in ranks.items() if rank <= 6}
    assert kept.shared == len(best & {hit.id for hit in kept.hits})


def test_a_comparison_has_the_notes_of_a_search(searcher):
    text = "is red " * 100
    query = searcher.encode_query(text=text, reference_id="p04.png")
    notes = compare_query(searcher, StoreImages(searcher.store), query, 3)["notes"]
    assert notes == searcher.search(text=text, reference_id="p04.png").notes
    assert "Only the beginning of the text was read" in notes[0]


def test_what_cannot_be_compared_is_told(searcher, another):
    asked = searcher.encode_query(text="is red")
    with pytest.raises(QueryError, match="k is 0"):
        compare(searcher.sweep(asked), asked, 0)
    with pytest.raises(QueryError, match="'words' names a variant"):
        compare(searcher.sweep(asked), asked, 3, {"words": another})

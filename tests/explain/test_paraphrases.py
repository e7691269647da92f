"""A probe against one search a wording."""

import json
import math
from itertools import combinations
from statistics import fmean, pstdev

import pytest

from dwc.checkpoints.load import load
from dwc.errors import QueryError
from dwc.explain.paraphrases import jaccard, probe_paraphrases
from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from dwc.search.query import image_embedder, model_identity
from dwc.search.searcher import Searcher

TEXTS = ["is red", "is more formal and zork", "is blue", "is red"]


@pytest.fixture(scope="module")
def searcher(loaded, store):
    return Searcher(loaded, store)


@pytest.mark.parametrize("reference", ["p07.png", None])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_a_probe_is_a_search_a_wording(searcher, reference, shift):
    asked = searcher.encode_query(text=TEXTS[0], reference_id=reference)
    probe = probe_paraphrases(searcher, asked, [f" {text} " for text in TEXTS[1:]], 5, shift)
    assert [wording.text for wording in probe.wordings] == TEXTS
    for wording in probe.wordings:
        found = searcher.search(text=wording.text, reference_id=reference, k=6, shift=shift)
        gap = found.hits[4].score - found.hits[5].score
        if gap > 1e-5:  # else rounding may choose
            assert set(wording.ids) == {hit.id for hit in found.hits[:5]}
        expected = {name: weight.image for name, weight in found.weights.items()}
        assert wording.image_weights == pytest.approx(expected, abs=1e-5)
        assert wording.unknown_words == found.unknown_words
    shares = []
    for a, b in combinations(range(4), 2):
        one, other = set(probe.wordings[a].ids), set(probe.wordings[b].ids)
        assert probe.overlaps[a][b] == probe.overlaps[b][a] == len(one & other) / len(one | other)
        shares.append(probe.overlaps[a][b])
    assert probe.mean_overlap == pytest.approx(fmean(shares))
    for name, spread in probe.weights.items():
        weights = [wording.image_weights[name] for wording in probe.wordings]
        assert (spread.least, spread.greatest) == (min(weights), max(weights))
        assert spread.deviation == pytest.approx(pstdev(weights))
    ranked = 21 - 2 * (reference is not None)
    assert probe.overlap_by_chance == pytest.approx(5 / (2 * ranked - 5))


def test_the_same_words_have_the_same_answer(searcher):
    asked = searcher.encode_query(text="is red", reference_id="p02.png")
    probe = probe_paraphrases(searcher, asked, ["is red", "is red"], k=100)
    assert probe.overlaps == [[1.0] * 3] * 3
    assert all(spread.deviation < 1e-6 for spread in probe.weights.values())
    told = probe.to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told


@pytest.fixture(scope="module")
def bundled(pictures, tmp_path_factory):
    checkpoint = load()
    folder = tmp_path_factory.mktemp("stores") / "bundled"
    made = build_store(
        FolderSource(pictures), image_embedder(checkpoint), folder, model_identity(checkpoint)
    )
    return Searcher(checkpoint, made)


def test_a_wording_is_read_as_a_search_reads_it(bundled):
    """Words that are only written unusually were listed as unknown, and no note was given."""
    long = "is red and striped with a belt " * 30
    wordings = ["reddress", "navyblue zork", "ｂｌｕｅ", "blue-green", "minus stripes", long]
    asked = bundled.encode_query(text="is red", reference_id="p02.png")
    probe = probe_paraphrases(bundled, asked, wordings)
    for wording, text in zip(probe.wordings, ["is red", *wordings], strict=True):
        found = bundled.search(text=text, reference_id="p02.png")
        assert wording.unknown_words == found.unknown_words
        assert wording.notes == found.notes
    unknown = [wording.unknown_words for wording in probe.wordings]
    assert unknown[:5] == [[], [], ["zork"], [], []]
    assert "Only the beginning of the text was read" in probe.wordings[-1].notes[0]


def test_a_wording_in_another_language_is_said_to_be_unread(bundled):
    asked = bundled.encode_query(text="is red", reference_id="p02.png")
    foreign = probe_paraphrases(bundled, asked, ["rotes Kleid"]).wordings[1]
    assert foreign.unknown_words == ["rotes", "Kleid"]
    assert "reads English" in foreign.notes[0]


def test_overlap_is_of_sets():
    assert jaccard(["a", "b", "c"], ["c", "d"]) == 0.25
    assert jaccard(["a"], ["b"]) == 0
    assert jaccard([], []) == 1


def test_what_cannot_be_probed_is_told(searcher):
    asked = searcher.encode_query(text="is red")
    with pytest.raises(QueryError, match="no words"):
        probe_paraphrases(searcher, searcher.encode_query(reference_id="p02.png"), ["is red"])
    with pytest.raises(QueryError, match="blank"):
        probe_paraphrases(searcher, asked, ["is red", "  "])
    with pytest.raises(QueryError, match="k is 0"):
        probe_paraphrases(searcher, asked, ["is blue"], k=0)
    with pytest.raises(QueryError, match="not a number"):
        probe_paraphrases(searcher, asked, ["is blue"], shift=math.nan)

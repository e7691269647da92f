"""Searches within a filter: the same scores, and ranks among the pictures that fit."""

import json
import math

import pytest
from PIL import Image

from dwc.cli import main
from dwc.errors import QueryError
from dwc.explain.comparison import compare
from dwc.explain.score_split import explain_score
from dwc.explain.text_perturbations import probe_paraphrases
from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from dwc.search.image_embedding import image_embedder, model_identity
from dwc.search.searcher import Searcher

FILTER = "size = big and price < 18"
FITTING = {f"p{n:02}.png" for n in range(10, 18)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    lines = ["file_name,size,price"]
    for n in range(20):
        picture = Image.new("RGB", (64, 48 + n), (12 * n, 40, 255 - 12 * n))
        picture.paste("white", (0, 0, 64, 6))  # a picture of a single color has a note
        picture.save(folder / f"p{n:02}.png")
        lines.append(f"p{n:02}.png,{'big' if n >= 10 else 'small'},{n}")
    (folder / "metadata.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def searcher(loaded, folder, tmp_path_factory):
    store = tmp_path_factory.mktemp("stores") / "shop"
    source = FolderSource(folder)
    return Searcher(
        loaded, build_store(source, image_embedder(loaded), store, model_identity(loaded))
    )


def answer(searcher, filter="", **options):
    return searcher.search(reference_id="p12.png", text="is blue", k=50, filter=filter, **options)


@pytest.mark.parametrize("shift", [0.0, 1.5, math.inf, -math.inf])
def test_hits_are_those_of_the_whole_search_that_fit(searcher, shift):
    whole = [h for h in answer(searcher, shift=shift).hits if h.id in FITTING]
    result = answer(searcher, FILTER, shift=shift)
    assert [hit.id for hit in result.hits] == [hit.id for hit in whole]
    assert {hit.id for hit in result.hits} == FITTING - {"p12.png"}  # the reference is left out
    for rank, (hit, same) in enumerate(zip(result.hits, whole, strict=True), start=1):
        assert (hit.rank, hit.score, hit.parts) == (rank, same.score, same.parts)
        below = sum(other.score < hit.score for other in result.hits)
        assert hit.percentile == pytest.approx(100 * below / len(result.hits))
    assert (result.filter, result.fitting, result.gallery_size) == (FILTER, 8, 20)
    assert result.weights == answer(searcher, shift=shift).weights


def test_near_duplicates_are_folded_within_the_filter(searcher):
    folded = answer(searcher, FILTER, fold=True)
    ids = [hit.id for hit in folded.hits] + [i for h in folded.hits for i in h.near_duplicates]
    assert sorted(ids) == sorted(FITTING - {"p12.png"})


def test_explanations_rank_within_the_filter(searcher):
    query = searcher.encode_query(reference_id="p12.png", text="is blue", filter=FILTER)
    sweep = searcher.sweep(query)
    hits = answer(searcher, FILTER).hits
    assert len(sweep) == len(hits) == 7
    for hit in hits:
        why = explain_score(sweep, hit.id)
        assert (why.rank, why.ranked, why.percentile) == (hit.rank, 7, hit.percentile)
        assert max(why.ranks.values()) <= 7
    trace = sweep.rank_trace()
    assert {item.id for item in trace.items} == {hit.id for hit in hits}
    assert sorted(item.ranks[trace.learned] for item in trace.items) == list(range(1, 8))
    others = {"another": searcher}
    for column in compare(sweep, query, k=20, others=others).columns:
        assert {hit.id for hit in column.hits} == {hit.id for hit in hits}
        assert all(hit.learned_rank for hit in column.hits)
    probe = probe_paraphrases(searcher, query, ["in blue"], k=20)
    assert all(set(wording.ids) == {hit.id for hit in hits} for wording in probe.wordings)
    assert probe.overlap_by_chance == 1.0
    with pytest.raises(QueryError, match="does not fit the filter"):
        explain_score(sweep, "p03.png")


def test_a_reference_need_not_fit(searcher):
    ids = [hit.id for hit in searcher.search(reference_id="p03.png", k=3, filter=FILTER).hits]
    assert len(ids) == 3
    assert set(ids) <= FITTING


def test_where_nothing_fits_it_is_said(searcher):
    result = answer(searcher, "size = bg")
    assert result.hits == []
    assert result.notes == [
        "No picture has size = 'bg'. Did you mean 'big'?",
        "No picture fits the filter size = bg.",
    ]
    assert answer(searcher, "price > 100").notes == ["No picture fits the filter price > 100."]


def test_a_wrong_filter_is_refused_before_the_model_runs(searcher, monkeypatch):
    monkeypatch.setattr(searcher, "encode", lambda *_: pytest.fail("the model ran"))
    with pytest.raises(QueryError, match="Its columns are: price, size"):
        answer(searcher, "colour = red")


def test_a_search_without_filter_says_nothing_of_filters(searcher):
    assert "filter" not in answer(searcher).to_dict()
    assert answer(searcher, FILTER).to_dict()["filter_fits"] == 8


@pytest.mark.slow
def test_filters_of_the_command_line_all_have_to_fit(searcher, checkpoint_folder, capsys):
    store = str(searcher.store.path)
    options = ["--reference-id", "p12.png", "--k", "30", "--model", str(checkpoint_folder)]
    filters = ["--filter", "size = big or size = small", "--filter", "not price >= 3"]
    assert main(["search", store, *options, *filters, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {hit["id"] for hit in printed["results"]} == {"p00.png", "p01.png", "p02.png"}
    assert printed["filter_fits"] == 3
    assert main(["search", store, *options, *filters]) == 0
    assert "filter: (size = big or size = small) and not (price >= 3) (3 of 20 pictures fit)" in (
        capsys.readouterr().out
    )
    assert main(["search", store, *options, "--filter", "weight < 3"]) == 2
    assert "'weight', which this gallery does not have" in capsys.readouterr().err

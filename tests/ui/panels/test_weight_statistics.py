"""The atlas as drawn, its tables, its examples, and what it says of files that hold less."""

import re
from types import SimpleNamespace

import pytest

from dwc.catalogue.splits import gallery
from dwc.explain.weight_statistics import EXTREMES, compute_weight_statistics
from dwc.search.reference_weights import ReferenceQueries, ReferenceWeights
from dwc.search.results import Weight
from dwc.ui.gallery_images import describe_garment, describe_test_garment
from dwc.ui.panels.examples import Example
from dwc.ui.panels.weight_statistics import (
    parse_reference_query,
    render,
    render_statistics,
    statistics_table,
)
from tests.ui.reading import read

COUNT = 30
SHARES = [place % 5 / 5 for place in range(COUNT)]
"""Six queries of each share: enough for a mean."""


@pytest.fixture
def context(pictures):
    asked = ReferenceQueries(
        references=list(pictures.ids),
        words=[f"in <colour> {place}" for place in range(COUNT)],
        picture_shares=SHARES,
        image_weights={
            "clip": [round(0.01 + 0.03 * place, 6) for place in range(COUNT)],
            "cnn": [round(0.1 + 0.8 * share, 6) for share in SHARES],
        },
    )
    return ReferenceWeights.from_queries(asked, "30 <made> queries")


def standing(context, has_both=True, clip=0.4):
    weights = {"clip": Weight(clip, 1 - clip), "cnn": Weight(0.7, 0.3)}
    return SimpleNamespace(
        reference_weights=context,
        has_two_modalities=has_both,
        result=SimpleNamespace(weights=weights),
    )


def drawn(context, pictures, **options):
    return read(render(None, pictures, standing(context, **options)))


def test_each_stream_has_its_counts_and_its_truth(context, pictures):
    page = drawn(context, pictures)
    assert [title.full_text() for title in page.one(cls="atlas").all("h3")] == [
        "CLIP stream",
        "CNN stream",
    ]
    assert len(page.one(cls="atlas").all("figure")) == 4
    assert "30 <made> queries: how much" in page.full_text()
    clip, cnn = compute_weight_statistics(context).streams.values()
    said = page.full_text()
    assert f"correlation of weight and truth: {cnn.correlation:.2f}" in said
    assert f"correlation of weight and truth: {clip.correlation:.2f}" in said


def test_bars_are_as_high_as_counts_and_dots_as_means(context, pictures):
    figures = drawn(context, pictures).one(cls="atlas").all("figure")
    clip = compute_weight_statistics(context).streams["clip"]
    heights = [float(bar.attributes["height"]) for bar in figures[0].all("rect")]
    counts = [number for number in clip.counts if number]
    assert heights == pytest.approx([116 * n / max(counts) for n in counts], abs=0.06)
    dots = [float(dot.attributes["cy"]) for dot in figures[3].all("circle")]
    means = [step.mean for step in compute_weight_statistics(context).streams["cnn"].by_share]
    assert dots == pytest.approx([138 - 116 * mean for mean in means], abs=0.06)


def test_this_search_is_marked_where_it_has_a_weight(context, pictures):
    marks = drawn(context, pictures).one(cls="atlas").all("line", "here")
    assert [float(mark.attributes["x1"]) for mark in marks] == pytest.approx(
        [26 + 320 * 0.4, 26 + 320 * 0.7], abs=0.06
    )
    assert drawn(context, pictures, has_both=False).all("line", "here") == []
    assert len(drawn(context, pictures, clip=1.0).all("line", "here")) == 1


def test_the_tables_say_the_same(context, pictures):
    tables = drawn(context, pictures).all("table")
    assert len(tables) == 4
    for table in tables[::2]:
        counts = [int(cell.full_text()) for cell in table.all("td")]
        assert len(counts) == 10
        assert sum(counts) == COUNT
    steps = compute_weight_statistics(context).streams["cnn"].by_share
    told = [
        [float(cell.full_text()) for cell in row.all("td")]
        for row in tables[3].one("tbody").all("tr")
    ]
    assert told == [[s.queries, round(s.mean, 2), round(s.deviation, 2)] for s in steps]


def test_the_furthest_queries_are_one_click_away(context, pictures):
    page = drawn(context, pictures)
    buttons = page.one(cls="atlas-ends").all("button")
    assert len(buttons) == 2 * EXTREMES
    now = standing(context)
    for button in buttons:
        data = {
            "side": button.attributes["data-side"],
            "place": int(button.attributes["data-place"]),
        }
        asked = parse_reference_query(data["side"], data["place"], now, pictures)
        assert asked.words in button.full_text()
        assert pictures.describe(asked.reference_id) in button.one("img").attributes["alt"]
    means = [
        (a + b) / 2 for a, b in zip(*context.reference_queries.image_weights.values(), strict=True)
    ]
    last = means.index(max(means))
    first = parse_reference_query("picture", 0, now, pictures)
    assert first == Example(pictures.ids[last], f"in <colour> {last}")


@pytest.mark.parametrize(
    "data",
    [
        {}, {"side": "both", "place": 0}, {"side": "words"}, {"side": "words", "place": EXTREMES},
        {"side": "words", "place": -1}, {"side": ["words"], "place": 0},
        {"side": "words", "place": "0"},
    ],
)  # fmt: skip
def test_what_is_no_query_is_not_asked(context, pictures, data):
    sent = data.get("side"), data.get("place")
    assert parse_reference_query(*sent, standing(context), pictures) is None
    assert parse_reference_query("words", 0, standing(None), pictures) is None


def test_queries_of_another_gallery_can_be_read_only(context, pictures):
    elsewhere = ReferenceQueries(
        ["q"] * COUNT,
        context.reference_queries.words,
        SHARES,
        context.reference_queries.image_weights,
    )
    other = ReferenceWeights.from_queries(elsewhere, "elsewhere")
    page = drawn(other, pictures)
    assert page.all("button") == []
    assert len(page.all("p", "untried")) == 2 * EXTREMES
    assert parse_reference_query("words", 0, standing(other), pictures) is None


@pytest.mark.slow
def test_a_reference_of_the_benchmarks_gallery_is_described(context, pictures):
    elsewhere = ReferenceQueries(
        ["test-00012"] * COUNT,
        context.reference_queries.words,
        SHARES,
        context.reference_queries.image_weights,
    )
    page = drawn(ReferenceWeights.from_queries(elsewhere, "elsewhere"), pictures)
    described = describe_garment(gallery("test", 13)[12].garment)
    assert page.full_text().count(f"Like {described}, but") == 2 * EXTREMES
    assert describe_test_garment("test-99999") is None
    assert describe_test_garment("garment-00001") is None


def test_a_file_of_weights_alone_is_drawn_and_says_what_it_lacks(context, pictures):
    page = drawn(ReferenceWeights(context.weights, COUNT, "earlier"), pictures)
    assert len(page.all("figure")) == 2
    assert page.all("button") == []
    assert "Only the weights were kept" in page.full_text()
    assert "correlation" not in page.full_text()


def test_without_a_file_it_says_how_to_get_one(pictures):
    assert "python -m dwc weights" in drawn(None, pictures).full_text()


def test_names_from_files_are_escaped(pictures):
    context = ReferenceWeights({"<b>": [0.2, 0.4]}, 2, "<script>")
    html = render_statistics(compute_weight_statistics(context), {}, pictures)
    assert not re.search(r"<b>(?!\d)|<script>", html)


def test_the_table_is_plain(context):
    assert (
        statistics_table(SimpleNamespace(reference_weights=context))
        == compute_weight_statistics(context).to_dict()
    )
    assert statistics_table(SimpleNamespace(reference_weights=None))["streams"] == {}

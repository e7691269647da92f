"""Counts, means and the correlation against plain ones; what old files cannot tell is None."""

import json
from statistics import mean, median, pstdev

import numpy as np
import pytest

from dwc.explain.weight_statistics import (
    EXTREMES,
    HISTOGRAM_BINS,
    MIN_QUERIES,
    bin_by_share,
    compute_weight_statistics,
)
from dwc.search.reference_weights import ReferenceQueries, ReferenceWeights

COUNT = 60


@pytest.fixture
def asked():
    generator = np.random.default_rng(5)
    shares = (generator.integers(0, 11, COUNT) / 10).tolist()
    return ReferenceQueries(
        references=[f"p-{place:03}" for place in range(COUNT)],
        words=[f"wish {place}" for place in range(COUNT)],
        picture_shares=shares,
        image_weights={
            "clip": [0.2 + 0.6 * share for share in shares],
            "cnn": generator.uniform(0.0, 1.0, COUNT).round(6).tolist(),
        },
    )


def test_weights_are_counted(asked):
    atlas = compute_weight_statistics(ReferenceWeights.from_queries(asked, "made"))
    assert (atlas.queries, atlas.protocol) == (COUNT, "made")
    for name, stream in atlas.streams.items():
        weights = asked.image_weights[name]
        assert sum(stream.counts) == COUNT
        assert (stream.lowest, stream.highest) == (min(weights), max(weights))
        assert stream.median == pytest.approx(median(weights))
    steps = [int(weight * HISTOGRAM_BINS) for weight in asked.image_weights["cnn"]]
    assert atlas.streams["cnn"].counts == [steps.count(step) for step in range(HISTOGRAM_BINS)]


def test_the_truth_is_binned_with_its_spread(asked):
    shares, weights = asked.picture_shares, asked.image_weights["cnn"]
    steps = bin_by_share(shares, weights)
    assert sum(step.queries for step in steps) <= COUNT
    for step in steps:
        assert step.queries >= MIN_QUERIES
        last = step.high == 1
        here = [
            weight
            for share, weight in zip(shares, weights, strict=True)
            if step.low - 1e-9 <= share and (share < step.high - 1e-9 or last)
        ]
        assert len(here) == step.queries
        assert step.mean == pytest.approx(mean(here))
        assert step.deviation == pytest.approx(pstdev(here))


def test_few_queries_have_no_mean():
    assert bin_by_share([0.35] * (MIN_QUERIES - 1), [0.5] * (MIN_QUERIES - 1)) == []
    (step,) = bin_by_share([0.3] * MIN_QUERIES, [0.5] * MIN_QUERIES)
    assert (step.low, step.high, step.deviation) == (0.3, 0.4, 0.0)


def test_a_weight_that_follows_the_truth_correlates_wholly(asked):
    atlas = compute_weight_statistics(ReferenceWeights.from_queries(asked, "made"))
    assert atlas.streams["clip"].correlation == pytest.approx(1.0)
    assert abs(atlas.streams["cnn"].correlation) < 0.5


def test_the_ends_are_the_most_extreme_means(asked):
    atlas = compute_weight_statistics(ReferenceWeights.from_queries(asked, "made"))
    means = {
        reference: (clip + cnn) / 2
        for reference, clip, cnn in zip(
            asked.references, *asked.image_weights.values(), strict=True
        )
    }
    by_mean = sorted(means, key=means.get)
    assert [led.reference for led in atlas.word_led] == by_mean[:EXTREMES]
    assert [led.reference for led in atlas.picture_led] == by_mean[::-1][:EXTREMES]
    led = atlas.picture_led[0]
    place = asked.references.index(led.reference)
    assert led.words == asked.words[place]
    assert led.picture_share == asked.picture_shares[place]
    assert led.image_weights == {n: w[place] for n, w in asked.image_weights.items()}


def test_what_was_not_kept_is_not_told(asked):
    atlas = compute_weight_statistics(ReferenceWeights({"clip": [0.25, 0.5, 1.0]}, 3, "earlier"))
    assert (atlas.picture_led, atlas.word_led) == (None, None)
    clip = atlas.streams["clip"]
    assert (clip.by_share, clip.correlation) == (None, None)
    assert clip.counts[-1] == 1
    untold = ReferenceQueries(asked.references, asked.words, None, asked.image_weights)
    atlas = compute_weight_statistics(ReferenceWeights.from_queries(untold, "no truth"))
    assert atlas.streams["cnn"].by_share is None
    assert atlas.word_led[0].picture_share is None


def test_a_small_set_leans_to_no_two_sides():
    few = ReferenceQueries(["a", "b", "c"], ["x", "y", "z"], None, {"clip": [0.1, 0.5, 0.9]})
    atlas = compute_weight_statistics(ReferenceWeights.from_queries(few, "three"))
    assert [led.reference for led in atlas.word_led] == ["a"]
    assert [led.reference for led in atlas.picture_led] == ["c"]


def test_it_is_plain_data(asked):
    plain = compute_weight_statistics(ReferenceWeights.from_queries(asked, "made")).to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain

"""Lengths, shares and percentiles against their definitions, and the file they are kept in."""

import json
import math

import pytest
import torch

from dwc.checkpoints.load import ALL_BUNDLED, BUNDLED_FOLDER, fingerprint, load
from dwc.errors import CheckpointError, QueryError
from dwc.modeling.combiners import ComposedQuery
from dwc.search.reference_weights import (
    REFERENCE_WEIGHTS,
    ReferenceQueries,
    ReferenceWeights,
    describe_weights,
    load_reference_weights,
)
from tests.search.made import made_query, made_stream
from tests.search.tiny import write_tiny_checkpoint


def asked(references, words, picture_shares):
    """A file of one query, with what is said of it."""
    told = {"references": references, "words": words, "picture_shares": picture_shares}
    return json.dumps({"clip": [0.5], "queries": 1, "protocol": "p", "asked": told})


CONTEXT = ReferenceWeights({"clip": [0.2, 0.4, 0.6, 0.8], "cnn": [0.3, 0.3, 0.3, 0.9]}, 4, "four")


@pytest.mark.parametrize("shift", [0.0, 0.8, -3.0])
def test_a_share_is_of_the_weighted_lengths(shift):
    query = made_query()
    told = describe_weights(query, CONTEXT, shift)
    for name, stream in query.shifted(shift).streams.items():
        weight = float(stream.image_weight)
        image = weight * float(stream.image_part.norm())
        text = (1 - weight) * float(stream.text_part.norm())
        seen = told.streams[name]
        assert seen.image_weight == weight
        assert seen.image_length == pytest.approx(image, rel=1e-5)
        assert seen.text_length == pytest.approx(text, rel=1e-5)
        assert seen.image_share == pytest.approx(image / (image + text), rel=1e-5)


def test_a_percentile_is_what_lies_below_ties_by_half():
    told = describe_weights(made_query(weights=(0.6, 0.3)), CONTEXT)
    assert told.streams["clip"].percentile == pytest.approx(62.5)
    assert told.streams["cnn"].percentile == pytest.approx(37.5)
    assert CONTEXT.percentile("clip", 0.0) == 0
    assert CONTEXT.percentile("clip", 1.0) == 100
    assert CONTEXT.percentile("third", 0.5) is None


def test_the_sentence_says_what_is_known():
    query = made_query(weights=(0.6, 0.3))
    with_context = describe_weights(query, CONTEXT)
    shares = [round(100 * stream.image_share) for stream in with_context.streams.values()]
    told = (
        f"By length, the picture is {shares[0]} % (CLIP) and {shares[1]} % (CNN) of what is mixed"
    )
    assert with_context.summary == (
        f"{told}, and its weight is higher than in 62 % (CLIP) and 38 % (CNN) of 4 reference "
        "queries."
    )
    assert (with_context.queries, with_context.protocol) == (4, "four")
    without = describe_weights(query)
    assert without.summary == f"{told}."
    assert (without.queries, without.streams["clip"].percentile) == (None, None)
    plain = with_context.to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


@pytest.mark.parametrize(
    ("weight", "shift", "said"),
    [(1.0, 0.0, "picture alone"), (0.0, 0.0, "words alone"), (0.5, math.inf, "picture alone")],
)
def test_one_modality_alone_is_all_of_the_query(weight, shift, said):
    told = describe_weights(made_query(weights=(weight, weight)), CONTEXT, shift)
    assert said in told.summary
    assert {stream.image_share for stream in told.streams.values()} == {float("words" not in said)}
    is_compared = {stream.percentile is not None for stream in told.streams.values()}
    assert is_compared == {weight == 0.5}


def test_nothing_mixed_has_no_share():
    stream = made_stream(torch.Generator().manual_seed(0))
    silent = type(stream).mix(0 * stream.image_part, 0 * stream.text_part, stream.image_weight)
    told = describe_weights(ComposedQuery(clip=silent))
    assert told.streams["clip"].image_share is None
    assert told.summary.startswith("Neither")


def test_weights_alone_are_saved_and_loaded(tmp_path):
    weights = {"clip": [0.25, 0.25, 0.25, 1.0], "cnn": [0.125, 0.75, 0.75, 0.75]}
    reference = ReferenceWeights(weights, 4, "made, seed 1")
    file = reference.save(tmp_path)
    assert file.name == REFERENCE_WEIGHTS
    content = json.loads(file.read_text())
    assert (content["queries"], content["protocol"]) == (4, "made, seed 1")
    assert ReferenceWeights.load(tmp_path) == reference


def test_queries_kept_with_their_weights_come_back_in_their_order(tmp_path):
    queries = ReferenceQueries(
        references=["b", "a"],
        words=["in red", "longer"],
        picture_shares=[0.25, 1],
        image_weights={"clip": [0.75, 0.5], "cnn": [0.25, 0.625]},
    )
    context = ReferenceWeights.from_queries(queries, "two")
    assert context.weights == {"clip": [0.5, 0.75], "cnn": [0.25, 0.625]}
    context.save(tmp_path)
    kept = ReferenceWeights.load(tmp_path)
    assert kept == context
    assert kept.reference_queries.image_weights["clip"] == [0.75, 0.5]
    assert kept.percentile("clip", 0.6) == 50


def test_a_file_of_weights_alone_still_loads(tmp_path):
    content = {"clip": [0.5, 0.25], "queries": 2, "protocol": "earlier"}
    (tmp_path / REFERENCE_WEIGHTS).write_text(json.dumps(content))
    kept = ReferenceWeights.load(tmp_path)
    assert (kept.weights, kept.reference_queries) == ({"clip": [0.25, 0.5]}, None)


@pytest.mark.slow
@pytest.mark.parametrize("other", ["0123456789ab", None])
def test_weights_of_another_checkpoint_are_ignored_with_a_warning(tmp_path, caplog, other):
    checkpoint = load(write_tiny_checkpoint(tmp_path / "model"))
    for saved in (other, checkpoint.fingerprint):
        weights = ReferenceWeights({"clip": [0.25, 0.5]}, 2, "two", fingerprint=saved)
        weights.save(checkpoint.folder)
        is_foreign = saved != checkpoint.fingerprint
        caplog.clear()
        assert load_reference_weights(checkpoint) == (None if is_foreign else weights)
        owner = "an unnamed model" if saved is None else f"model {saved}"
        assert (f"belongs to {owner}, not to" in caplog.text) == is_foreign


@pytest.mark.parametrize("name", ALL_BUNDLED)
def test_the_weights_of_a_bundled_checkpoint_are_its_own(name):
    folder = BUNDLED_FOLDER.with_name(name)
    assert ReferenceWeights.load(folder).fingerprint == fingerprint(folder)


def test_a_fingerprint_that_is_no_text_is_refused(tmp_path):
    content = {"clip": [0.5], "queries": 1, "protocol": "p", "fingerprint": 7}
    (tmp_path / REFERENCE_WEIGHTS).write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="has the fingerprint 7"):
        ReferenceWeights.load(tmp_path)


def test_without_a_file_there_is_no_context(tmp_path):
    assert ReferenceWeights.load(tmp_path) is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "cannot be read"),
        ("[]", "no table"),
        ('{"clip": [0.5], "protocol": "p"}', "None queries"),
        ('{"clip": [0.5], "queries": true, "protocol": "p"}', "True queries"),
        ('{"clip": [0.5], "queries": 1}', "protocol None"),
        ('{"queries": 1, "protocol": "p"}', "no stream"),
        ('{"clip": [0.5], "queries": 2, "protocol": "p"}', "'clip' is not a list of 2"),
        ('{"clip": [1.5], "queries": 1, "protocol": "p"}', "from 0 to 1"),
        ('{"clip": [NaN], "queries": 1, "protocol": "p"}', "from 0 to 1"),
        ('{"clip": ["0.5"], "queries": 1, "protocol": "p"}', "from 0 to 1"),
        ('{"clip": [0.5], "queries": 1, "protocol": "p", "asked": []}', "are no table"),
        (asked(["a", "b"], ["red"], [0.5]), "'references' of the queries asked is not a list of 1"),
        (asked(["a"], [3], [0.5]), "'words' of the queries asked is not a list of 1"),
        (asked(["a"], ["red"], [1.5]), "'picture_shares' is not a list of 1"),
        (asked(["a"], ["red"], [True]), "'picture_shares' is not a list of 1"),
    ],
)
def test_a_broken_file_is_told(tmp_path, content, says):
    (tmp_path / REFERENCE_WEIGHTS).write_text(content)
    with pytest.raises(CheckpointError, match=says):
        ReferenceWeights.load(tmp_path)


def test_a_shift_must_be_a_number():
    with pytest.raises(QueryError, match="not a number"):
        describe_weights(made_query(), shift=math.nan)


def test_a_git_lfs_pointer_is_called_one(tmp_path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    (tmp_path / REFERENCE_WEIGHTS).write_text(pointer)
    with pytest.raises(CheckpointError, match=r"is a Git LFS pointer.*git lfs pull"):
        ReferenceWeights.load(tmp_path)

"""The weights kept beside a checkpoint, and that they change nothing of what it is."""

from pathlib import Path

import pytest
import torch

from dwc.catalogue.queries import queries
from dwc.catalogue.splits import FAMILIES, catalogue_items, gallery
from dwc.checkpoints import load
from dwc.cli import main
from dwc.evaluation.catalogue import CatalogueImages, evaluate_catalogue
from dwc.gallery.builder import load_precomputed
from dwc.gallery.sources import CatalogueSource
from dwc.search.query import encode_query
from dwc.search.query_batching import QueryComposer
from dwc.search.reference_weights import ReferenceWeights
from tests.search.tiny import write_tiny_checkpoint


@pytest.mark.slow
def test_the_weights_of_many_queries_are_kept(tmp_path, capsys):
    torch.set_num_threads(1)
    folder = write_tiny_checkpoint(tmp_path / "model")
    before = load.fingerprint(folder)
    assert main(["weights", str(folder), "--gallery", "40", "--queries", "25"]) == 0
    files = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert files == ["reference_weights.json", "gallery.safetensors"]
    assert len(load_precomputed(folder / files[1], before)) == 40
    context = ReferenceWeights.load(folder)
    assert context.queries == 25
    assert "25 wishes" in context.protocol
    loaded = load.load(folder)
    assert loaded.fingerprint == before
    assert context.fingerprint == before
    measured = evaluate_catalogue(loaded.model, loaded.processor, gallery_size=40, queries=25)
    for name, weights in context.weights.items():
        mean = measured["streams"][name]["image_weight_mean"]
        assert sum(weights) / 25 == pytest.approx(mean, abs=1e-5)


@pytest.mark.slow
def test_each_query_is_kept_with_its_weights_and_its_truth(tmp_path):
    torch.set_num_threads(1)
    folder = write_tiny_checkpoint(tmp_path / "model")
    assert main(["weights", str(folder), "--gallery", "40", "--queries", "50", "--seed", "3"]) == 0
    kept = ReferenceWeights.load(folder)
    items = gallery("test", 40)
    asked = queries(items, 50, 3)
    assert kept.reference_queries.references == [query.reference for query in asked]
    assert kept.reference_queries.picture_shares == pytest.approx(
        [q.picture_share for q in asked], abs=1e-6
    )
    assert {
        name: sorted(row) for name, row in kept.reference_queries.image_weights.items()
    } == kept.weights
    loaded = load.load(folder)
    pictures = CatalogueImages(items, workers=1)
    # Short enough for this model's few tokens, and in one caption, which its template sets apart.
    alone = [n for n, q in enumerate(asked) if len(q.captions) == 1 and len(q.captions[0]) < 20]
    assert alone
    for place in alone:
        assert kept.reference_queries.words[place] == asked[place].captions[0]
        picture = pictures(asked[place].reference)
        words = kept.reference_queries.words[place]
        composed = encode_query(loaded, picture, words, QueryComposer(loaded.model)).composed
        for name, stream in composed.streams.items():
            weight = kept.reference_queries.image_weights[name][place]
            assert float(stream.image_weight) == pytest.approx(weight, abs=2e-5)


@pytest.mark.slow
def test_the_gallery_alone_is_embedded_again(tmp_path, capsys):
    torch.set_num_threads(1)
    folder = write_tiny_checkpoint(tmp_path / "model")
    assert main(["weights", str(folder), "--gallery-only", "--gallery", "12"]) == 0
    assert [Path(line).name for line in capsys.readouterr().out.splitlines()] == [
        "gallery.safetensors"
    ]
    assert not (folder / "reference_weights.json").exists()
    saved = load_precomputed(folder / "gallery.safetensors", load.fingerprint(folder))
    assert {vector.row.id for vector in saved.values()} == {
        item.id for item in catalogue_items(FAMILIES, 12)
    }


@pytest.mark.parametrize("name", load.ALL_BUNDLED)
def test_the_bundled_vectors_are_those_of_the_default_gallery(name):
    folder = load.BUNDLED_FOLDER.parent / name
    saved = load_precomputed(folder / load.GALLERY_VECTORS, load.fingerprint(folder))
    assert list(saved) == [item.content_key() for item in CatalogueSource().items()]

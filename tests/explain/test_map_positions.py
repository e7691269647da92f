"""Where a question and its answer lie on the map: pictures where they are, others among them."""

import numpy as np
import pytest
import torch

from dwc.checkpoints import load
from dwc.explain.map_positions import NEIGHBORS, locate_answer, weighted_mean
from dwc.gallery.builder import build_store
from dwc.gallery.projection import project
from dwc.gallery.sources import FolderSource
from dwc.search.image_embedding import image_embedder, model_identity
from dwc.search.searcher import Searcher
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import draw_gallery


@pytest.fixture(scope="module")
def searcher(tmp_path_factory):
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("marks")
    (place / "gallery").mkdir()
    source = FolderSource(draw_gallery(place / "gallery", 20))
    loaded = load.load(write_tiny_checkpoint(place / "model"))
    store = build_store(source, image_embedder(loaded), place / "store", model_identity(loaded))
    return Searcher(loaded, store)


@pytest.fixture(scope="module")
def projection(searcher):
    return project(searcher.store.vectors)


def marked(searcher, projection, k=12, **question):
    asked = searcher.encode_query(**question)
    result = searcher.answer(asked, k)
    return locate_answer(searcher, projection, asked, result), result


@pytest.mark.slow
def test_pictures_lie_at_their_own_places(searcher, projection):
    reference = searcher.store.ids[7]
    marks, result = marked(searcher, projection, text="is red", reference_id=reference)
    assert marks.reference.position == 7
    assert (marks.reference.x, marks.reference.y) == tuple(projection.unit[7])
    positions = [searcher.store.position(hit.id) for hit in result.hits]
    assert [mark.position for mark in marks.results] == positions
    assert [(mark.x, mark.y) for mark in marks.results] == [
        tuple(place) for place in projection.unit[positions]
    ]


def test_the_query_lies_at_the_mean_of_those_that_fit_best(searcher, projection):
    marks, result = marked(searcher, projection, text="is red")
    assert marks.reference is None
    positions = [searcher.store.position(hit.id) for hit in result.hits]
    assert marks.query.position is None
    assert marks.query.among == tuple(positions[:NEIGHBORS])
    ahead = np.array([hit.score - result.hits[NEIGHBORS].score for hit in result.hits[:NEIGHBORS]])
    mean = (ahead / ahead.sum()) @ projection.unit[positions[:NEIGHBORS]]
    assert (marks.query.x, marks.query.y) == pytest.approx(tuple(mean))


def test_an_uploaded_picture_lies_among_what_it_is_most_like(searcher, projection):
    known = searcher.store.picture(searcher.store.ids[3]).image
    upload = known.rotate(3, fillcolor=(225, 225, 230))
    marks, _ = marked(searcher, projection, image=upload, text="is red")
    assert marks.reference.position is None
    (vector,) = image_embedder(searcher.checkpoint)([upload])
    nearest = np.argsort(-(searcher.store.vectors @ vector), kind="stable")[:NEIGHBORS]
    assert marks.reference.among == tuple(nearest.tolist())


def test_an_upload_that_the_gallery_has_lies_where_it_is(searcher, projection):
    known = searcher.store.picture(searcher.store.ids[3]).image
    marks, _ = marked(searcher, projection, image=known, text="is red")
    assert marks.reference.position == 3


def test_of_equals_each_weighs_alike():
    places = np.array([[0.0, 0.0], [1.0, 0.5]])
    assert weighted_mean(places, [0.7, 0.7]) == (0.5, 0.25)
    assert weighted_mean(places[:1], [0.7]) == (0.0, 0.0)


def test_the_last_of_few_is_what_the_others_outdo():
    places = np.array([[0.0, 0.0], [1.0, 0.0], [9.0, 9.0]])
    assert weighted_mean(places, [0.9, 0.6, 0.5]) == pytest.approx((0.2, 0.0))

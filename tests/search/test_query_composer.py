"""Queries of several callers in one pass of the model, none of them twice."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from dwc.errors import QueryError
from dwc.search.query_batching import BatchQueue, QueryComposer, model_runner
from dwc.search.searcher import Searcher

WAIT = 20  # seconds at most
TEXTS = [f"<BOS> {text} <EOS>" for text in ("is blue", "is red and long, and has no sleeves", "")]


class Counted:
    """A model's passes: how many queries and images each had; the first waits for the test."""

    def __init__(self, model, holds=False):
        self.run_model = model_runner(model)
        self.queries, self.images = [], []
        self.began, self.goes_on = threading.Event(), threading.Event()
        if not holds:
            self.goes_on.set()

    def __call__(self, inputs):
        outputs = self.run_model(inputs)
        self.queries.append(len(outputs.composed.embedding))
        self.images.append(0 if inputs.pixel_values is None else len(inputs.pixel_values))
        self.began.set()
        assert self.goes_on.wait(WAIT)
        return outputs


@pytest.fixture
def counted(loaded):
    return Counted(loaded.model)


@pytest.fixture
def composer(loaded, counted):
    composer = QueryComposer(loaded.model, BatchQueue())
    composer.run_model = counted
    return composer


def assert_equal(query, other):
    assert query.streams.keys() == other.streams.keys()
    for name, stream in query.streams.items():
        for part in ("embedding", "image_part", "text_part", "image_weight"):
            ours, theirs = getattr(stream, part), getattr(other.streams[name], part)
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    assert (query.ood_score is None) == (other.ood_score is None)
    if query.ood_score is not None:
        torch.testing.assert_close(query.ood_score, other.ood_score, atol=1e-5, rtol=1e-5)


@pytest.fixture
def images(searcher, pictures):
    return [searcher.encode_query(pictures / f"p{n:02}.png").image for n in range(8)]


@pytest.fixture
def searcher(loaded, store):
    return Searcher(loaded, store)


@torch.inference_mode()
def compose_alone(loaded, inputs):
    return loaded.model.compose(**inputs)


@pytest.mark.slow
def test_a_query_is_composed_as_by_the_model_itself(loaded, composer, images):
    process = loaded.processor
    for inputs in (
        process(images=images[0]),
        process(text=TEXTS[0]),
        process(images=images[0], text=TEXTS[0]),
        process(images=images[:3], text=TEXTS),
    ):
        assert_equal(composer(inputs), compose_alone(loaded, inputs))


@pytest.mark.slow
def test_waiting_queries_share_a_pass_and_equal_those_alone(loaded, images):
    """Eight visitors, with texts of different lengths, one of them without words."""
    counted = Counted(loaded.model, holds=True)
    queue = BatchQueue()
    composer = QueryComposer(loaded.model, queue)
    composer.run_model = counted
    inputs = [loaded.processor(images=image, text=TEXTS[n % 3]) for n, image in enumerate(images)]
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(composer, loaded.processor(text=TEXTS[0]))
        assert counted.began.wait(WAIT)
        futures = [pool.submit(composer, one) for one in inputs]
        while len(queue) < len(inputs):
            pass
        counted.goes_on.set()
        first.result(WAIT)
        for future, one in zip(futures, inputs, strict=True):
            assert_equal(future.result(WAIT), compose_alone(loaded, one))
    assert (counted.queries, counted.images) == ([1, 8], [0, 8])


@pytest.mark.slow
def test_one_visitors_error_is_not_anothers(loaded, images):
    """Words alone of which the CNN stream knows none are an error; with others', too."""
    counted = Counted(loaded.model, holds=True)
    queue = BatchQueue()
    composer = QueryComposer(loaded.model, queue)
    composer.run_model = counted
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(composer, loaded.processor(images=images[0]))
        assert counted.began.wait(WAIT)
        texts = ("is blue", "...", "is red")
        futures = [pool.submit(composer, loaded.processor(text=text)) for text in texts]
        while len(queue) < len(texts):
            pass
        counted.goes_on.set()
        first.result(WAIT)
        for text, future in zip(texts, futures, strict=True):
            if text == "...":
                with pytest.raises(QueryError, match="neither a picture nor words"):
                    future.result(WAIT)
            else:
                alone = compose_alone(loaded, loaded.processor(text=text))
                assert_equal(future.result(WAIT), alone)


@pytest.mark.slow
def test_the_same_image_is_encoded_once(loaded, composer, counted, images):
    for text in TEXTS:
        composer(loaded.processor(images=images[0], text=text))
    assert (counted.queries, counted.images) == ([1, 1, 1], [1, 0, 0])
    composer(loaded.processor(images=images[:2], text=TEXTS[:2]))  # the first is known as it is
    assert (counted.queries[3:], counted.images[3:]) == ([1], [1])
    features = composer.image_features(loaded.processor(images=images[0])["pixel_values"])
    alone = loaded.model.image_features(loaded.processor(images=images[0])["pixel_values"])
    torch.testing.assert_close(features.clip, alone.clip.detach(), atol=1e-5, rtol=0)
    assert len(counted.queries) == 4


def test_the_same_query_is_composed_once(loaded, composer, counted, images):
    inputs = loaded.processor(images=images[0], text=TEXTS[0])
    first = composer(inputs)
    assert_equal(composer(inputs), first)
    padded = loaded.processor(images=images[0], text=TEXTS[:1] + TEXTS[1:2])
    padded = {name: tensor[:1] for name, tensor in padded.items()}
    assert padded["word_ids"].shape != inputs["word_ids"].shape
    assert_equal(composer(padded), first)
    assert counted.queries == [1]


def test_one_image_with_many_texts_is_encoded_once(loaded, counted, composer, searcher, images):
    searcher.compose = composer
    together = searcher.compose_texts(images[0], ["is blue", "is red", "is blue"])
    assert (counted.queries, counted.images) == ([2], [1])
    torch.testing.assert_close(together.embedding[0], together.embedding[2])


def test_an_image_that_was_not_used_before_is_encoded_for_its_features(loaded, composer, images):
    pixels = loaded.processor(images=images[0])["pixel_values"]
    with torch.inference_mode():
        alone = loaded.model.image_features(pixels)
    features = composer.image_features(pixels)
    torch.testing.assert_close(features.clip, alone.clip)
    torch.testing.assert_close(features.cnn_map, alone.cnn_map)


@pytest.mark.slow
def test_few_queries_run_in_one_thread_of_torch_and_other_threads_keep_theirs(loaded, images):
    before = torch.get_num_threads()
    counts = []

    def run_model(inputs):
        with ThreadPoolExecutor(1) as new_thread:
            elsewhere = new_thread.submit(torch.get_num_threads).result()
        counts.append((len(inputs.image_rows), torch.get_num_threads(), elsewhere))
        return model_runner(loaded.model)(inputs)

    composer = QueryComposer(loaded.model, BatchQueue())
    composer.run_model = run_model
    torch.set_num_threads(3)
    try:
        for number, count in enumerate((1, 8, 2)):
            composer(loaded.processor(images=images[:count], text=[TEXTS[number]] * count))
        assert counts == [(1, 1, 3), (8, 3, 3), (2, 1, 3)]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_the_caches_are_bounded(loaded, images):
    inputs = [loaded.processor(images=image, text=TEXTS[0]) for image in images]
    size = loaded.model.image_features(inputs[0]["pixel_values"]).size_bytes
    composer = QueryComposer(loaded.model, BatchQueue(), 3 * size, query_cache_bytes=0)
    composer.run_model = counted = Counted(loaded.model)
    for one in inputs:
        composer(one)
    assert sum(counted.images) == 8
    composer(inputs[7])
    composer(inputs[5])
    assert sum(counted.images) == 8
    composer(inputs[0])  # it was dropped
    assert sum(counted.images) == 9
    assert len(composer._images._values) == 3
    assert len(composer._queries._values) == 0


@pytest.mark.slow
def test_searches_at_the_same_time_find_what_each_alone_finds(loaded, store, pictures):
    questions = [(pictures / f"p{n:02}.png", text) for n in range(6) for text in ("is red", "")]
    alone = [Searcher(loaded, store).search(image, text) for image, text in questions]
    searcher = Searcher(loaded, store)
    with ThreadPoolExecutor(len(questions)) as pool:
        together = list(pool.map(lambda question: searcher.search(*question), questions))
    for result, expected in zip(together, alone, strict=True):
        scores = {hit.id: hit.score for hit in expected.hits}
        assert [hit.score for hit in result.hits] == pytest.approx(
            sorted(scores.values(), reverse=True), abs=1e-5
        )
        for name, weight in result.weights.items():
            assert weight.image == pytest.approx(expected.weights[name].image, abs=1e-5)

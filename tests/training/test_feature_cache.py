"""Cached features give the embeddings of pixels and token ids."""

import pytest
import torch

from dwc.training.catalogue.batches import cached_triplet_batches
from dwc.training.feature_cache import CachedImages, CachedPool, CachedTexts, with_cached_features
from tests.training.tiny import TinyBatches, tiny_model, tiny_processor


@pytest.fixture
def world():
    """A model, a batch of pixels and ids, and the same batch as a cached pool of one view."""
    processor = tiny_processor()
    model = tiny_model(processor).eval()
    batch = TinyBatches(processor, size=6)(0)
    query = batch.queries[0]
    pixels = torch.cat([query["pixel_values"], batch.require_target_pixels()])
    with torch.no_grad():
        features = model.clip.image_features(pixels)
        maps = model.cnn_stream.resnet(pixels).last_hidden_state
        texts = model.clip.text_features(query["clip_input_ids"], query["clip_attention_mask"])
    rows = torch.cat([features, maps.flatten(1)], dim=1)[None]
    texts = CachedTexts(texts, query["word_ids"].int(), query["word_mask"].sum(dim=1))
    cached = CachedPool(
        CachedImages(rows, tuple(maps.shape[1:])),
        references=torch.arange(6),
        targets=torch.arange(6, 12),
        modifications=texts,
        descriptions=CachedTexts(
            *(torch.cat([part, part]) for part in (texts.features, texts.words, texts.lengths))
        ),
    )
    return model, batch, cached


@torch.no_grad()
def test_cached_features_give_the_embeddings_of_pixels(world):
    model, batch, cached = world
    expected = model.compose(**batch.queries[0]).embedding
    gallery = model.embed_images(batch.require_target_pixels())
    generator = torch.Generator()
    with with_cached_features(model, cached):
        rows = cached.images.sample(torch.arange(6), generator)
        inputs = cached.modifications.take(torch.arange(6))
        found = model.compose(pixel_values=rows, **inputs).embedding
        found_gallery = model.embed_images(cached.images.sample(torch.arange(6, 12), generator))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found_gallery, gallery, rtol=1e-4, atol=1e-5)


def test_the_towers_are_back_afterwards_even_when_training_fails(world):
    model, _, cached = world
    clip, resnet = model.clip, model.cnn_stream.resnet

    def fail_while_replaced():
        with with_cached_features(model, cached):
            assert model.clip is not clip
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail_while_replaced()
    assert model.clip is clip
    assert model.cnn_stream.resnet is resnet


def test_cached_batches_have_triplets_and_repeat(world):
    _, _, cached = world
    make = cached_triplet_batches(cached, size=16, text_only=0.25, image_only=0.125, seed=3)
    batch, again = make(5), make(5)
    composed, described, pictured = batch.queries
    assert [len(group[name]) for group, name in zip(
        batch.queries, ("pixel_values", "clip_input_ids", "pixel_values"), strict=True
    )] == [10, 4, 2]  # fmt: skip
    assert "pixel_values" not in described
    assert "word_ids" not in pictured
    assert torch.equal(batch.labels, again.labels)
    assert torch.equal(composed["pixel_values"], again.queries[0]["pixel_values"])
    assert not torch.equal(batch.labels, make(6).labels)
    # Reference i goes with the wish i and the target i + 6.
    rows = cached.images.rows[0]
    for row, label in enumerate(batch.labels[:10].tolist()):
        assert torch.equal(composed["pixel_values"][row], rows[label - 6])
        features = cached.modifications.features[label - 6]
        assert torch.equal(composed["clip_input_ids"][row], features)
    assert torch.equal(batch.require_target_pixels(), rows[batch.labels])


def test_padding_is_as_long_as_the_longest_text_taken():
    words = torch.tensor([[5, 0, 0], [6, 7, 8], [9, 9, 0]])
    texts = CachedTexts(torch.zeros(3, 2), words, torch.tensor([1, 3, 2]))
    taken = texts.take(torch.tensor([2, 0]))
    assert taken["word_ids"].tolist() == [[9, 9], [5, 0]]
    assert taken["word_mask"].tolist() == [[True, True], [True, False]]


def test_sampling_draws_views_at_random():
    rows = torch.stack([torch.zeros(50, 1), torch.ones(50, 1)])
    seen = CachedImages(rows, (1, 1, 1)).sample(torch.arange(50), torch.Generator().manual_seed(0))
    assert 0.2 < float(seen.mean()) < 0.8

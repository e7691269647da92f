"""The CNN stream against a version written for one query from the formulas."""

import pytest
import torch
from small_models import cnn_config, pictures, scatter, texts
from torch import Tensor

from dwc.errors import QueryError
from dwc.modeling.cnn_stream import CnnStream, WordEncoder
from dwc.modeling.combiners import Composition
from dwc.modeling.configuration_dwc import CnnStreamConfig
from dwc.modeling.text_batching import PackedSequences


def stream(seed: int = 0) -> CnnStream:
    built = CnnStream(CnnStreamConfig(**cnn_config()), embedding_dim=12, dropout=0.5).eval()
    scatter(built, seed)
    return built


def gem(rows: Tensor, p: Tensor) -> Tensor:
    return rows.clamp(min=1e-6).pow(p).mean(dim=-1).pow(1 / p)


def compose_by_hand(s: CnnStream, pixel_values: Tensor, word_ids: Tensor) -> Composition:
    """One query, without padding or masks, from the formulas."""
    x = s.resnet(pixel_values).last_hidden_state  # (1, C, 4, 4)
    t, _ = s.word_encoder.lstm(s.word_encoder.embedding(word_ids))  # (1, L, H)
    every = torch.ones_like(word_ids, dtype=torch.bool)
    e_map = s.embed_regions(x).relu()
    e = e_map.flatten(2)[0]  # (H, R)
    scores = t[0] @ e  # (L, R)
    c = torch.stack(
        [(scores[:, r] / 7).softmax(0) @ t[0] for r in range(scores.shape[1])], dim=1
    )  # (H, R)
    c_map = c.view_as(e_map[0])[None]
    f_i = s.gate_image(torch.cat([e_map, c_map], dim=1)).sigmoid() * x + s.add_image(c_map).relu()
    i = s.project_image(gem(f_i.flatten(2), s.pool_image.p))
    v = torch.stack([e @ (row / 4).softmax(0) for row in scores], dim=1)[None]  # (1, H, L)
    sentence, v = PackedSequences(every), v[0].T  # one sentence of L words: (L, H)
    gate = s.gate_text(torch.cat([t[0], v], dim=1), sentence).sigmoid()
    f_t = gate * t[0] + s.add_text(v, sentence).relu()
    text = s.project_text(gem(f_t.T[None], s.pool_text.p))
    hidden = torch.cat([i, text], dim=1) @ s.weigh[0].weight.T + s.weigh[0].bias
    w = (hidden.relu() @ s.weigh[3].weight.T + s.weigh[3].bias).sigmoid()
    q = w * i + (1 - w) * text
    return Composition(q / q.norm(dim=1, keepdim=True), i, text, w)


def rows(composed: Composition, row: int) -> list[Tensor]:
    """Everything a composition says of one row."""
    parts = [composed.embedding, composed.image_part, composed.text_part, composed.image_weight]
    return [part[row] for part in parts]


@torch.no_grad()
def test_compose_is_the_formula():
    built = stream()
    word_ids = torch.tensor([[4, 0, 7, 9, 4]])
    composed = built.compose(pictures(1), word_ids, torch.ones_like(word_ids))
    expected = compose_by_hand(built, pictures(1), word_ids)
    for actual, wanted in zip(rows(composed, 0), rows(expected, 0), strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_embed_is_the_formula_with_the_gallery_pool_and_the_shared_projection():
    built = stream()
    features = built.resnet(pictures()).last_hidden_state.flatten(2)
    expected = built.project_image(gem(features, built.pool_gallery.p))
    expected = expected / expected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(built.embed(pictures()), expected)


@torch.no_grad()
@pytest.mark.parametrize("padding_id", [0, 13])
def test_a_query_alone_and_in_a_batch_agree(padding_id: int):
    built, inputs = stream(), texts()
    word_ids = inputs["word_ids"].masked_fill(inputs["word_mask"] == 0, padding_id)
    word_ids = torch.nn.functional.pad(word_ids, (0, 5), value=padding_id)
    mask = torch.nn.functional.pad(inputs["word_mask"], (0, 5))
    batch = built.compose(pictures(), word_ids, mask)
    for row, length in enumerate(mask.sum(dim=1)):
        one = built.compose(pictures()[row : row + 1], word_ids[row : row + 1, :length])
        for actual, wanted in zip(rows(batch, row), rows(one, 0), strict=True):
            torch.testing.assert_close(actual, wanted, rtol=1e-5, atol=1e-5)


def test_padding_changes_nothing_in_training_either():
    """Batch norm's running statistics, too, come from words alone."""
    inputs = texts()
    compositions, states = [], []
    for extra in (0, 6):
        built = stream().train()
        word_ids = torch.nn.functional.pad(inputs["word_ids"], (0, extra), value=13)
        mask = torch.nn.functional.pad(inputs["word_mask"], (0, extra))
        torch.manual_seed(5)
        compositions.append(built.compose(pictures(), word_ids, mask))
        states.append(built.gate_text.state_dict())
    for actual, wanted in zip(rows(compositions[0], 0), rows(compositions[1], 0), strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-4, atol=1e-5)
    for name, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][name], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_without_words_the_picture_is_all():
    built, inputs = stream(), texts()
    alone = built.compose(pictures(), None, None)
    assert torch.equal(alone.image_weight, torch.ones(3, 1))
    assert torch.equal(alone.text_part, torch.zeros(3, 12))
    unit = alone.image_part / alone.image_part.norm(dim=1, keepdim=True)
    torch.testing.assert_close(alone.embedding, unit)
    mask = inputs["word_mask"].clone()
    mask[1] = 0
    mixed = built.compose(pictures(), inputs["word_ids"], mask)
    for actual, wanted in zip(rows(mixed, 1), rows(alone, 1), strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-5, atol=1e-5)
    assert 0 < mixed.image_weight[0] < 1
    none = built.compose(pictures(), inputs["word_ids"], torch.zeros_like(mask))
    torch.testing.assert_close(none.embedding, alone.embedding)


@torch.no_grad()
def test_without_a_picture_the_words_are_all():
    built, inputs = stream(), texts()
    composed = built.compose(None, inputs["word_ids"], inputs["word_mask"])
    assert torch.equal(composed.image_weight, torch.zeros(3, 1))
    assert torch.equal(composed.image_part, torch.zeros(3, 12))
    unit = composed.text_part / composed.text_part.norm(dim=1, keepdim=True)
    torch.testing.assert_close(composed.embedding, unit)
    one = built.compose(None, inputs["word_ids"][:1, :2])
    torch.testing.assert_close(composed.embedding[0], one.embedding[0], rtol=1e-5, atol=1e-5)


def test_what_cannot_be_composed_is_refused():
    built, inputs = stream(), texts()
    word_ids, mask = inputs["word_ids"], inputs["word_mask"].clone()
    with pytest.raises(QueryError, match="neither a picture nor words"):
        built.compose(None, None, None)
    mask[1] = 0
    with pytest.raises(QueryError, match="neither a picture nor words"):
        built.compose(None, word_ids, mask)
    with pytest.raises(QueryError, match="pad texts on the right"):
        built.compose(pictures(), word_ids, inputs["word_mask"].flip(1))
    with pytest.raises(QueryError, match=r"\(3, 3\).*\(3, 4\)"):
        built.compose(pictures(), word_ids, inputs["word_mask"][:, :3])


def test_every_parameter_learns_from_a_query_and_its_target():
    built, inputs = stream().train(), texts()
    query = built.compose(pictures(), inputs["word_ids"], inputs["word_mask"]).embedding
    (query * built.embed(pictures(seed=1))).sum().backward()
    assert [name for name, p in built.named_parameters() if p.grad is None] == []
    assert all(torch.isfinite(p.grad).all() for p in built.parameters())


@torch.no_grad()
def test_region_maps_are_the_attention_of_compose():
    built, inputs = stream(), texts()
    maps = built.region_maps(pictures(), inputs["word_ids"], inputs["word_mask"])
    assert maps.words_by_region.shape == maps.regions_by_word.shape == (3, 4, 4, 4)
    assert maps.image_gate.shape == (3, 4, 4)
    torch.testing.assert_close(maps.words_by_region.sum(dim=1), torch.ones(3, 4, 4))
    is_word = inputs["word_mask"].float()
    torch.testing.assert_close(maps.regions_by_word.sum(dim=(2, 3)), is_word)
    assert ((maps.image_gate > 0) & (maps.image_gate < 1)).all()
    with pytest.raises(QueryError, match="nothing to show"):
        built.region_maps(pictures(), inputs["word_ids"], torch.zeros_like(inputs["word_mask"]))


@torch.no_grad()
def test_many_sentences_are_read_in_lots_as_each_alone():
    encoder = stream().word_encoder
    word_ids = torch.randint(1, 9, (80, 11))
    mask = torch.arange(11) < torch.randint(1, 12, (80, 1))
    together = encoder(word_ids, mask)
    assert together.shape[:2] == (80, 11)
    for row in range(80):
        length = int(mask[row].sum())
        alone = encoder(word_ids[row : row + 1, :length], mask[row : row + 1, :length])
        torch.testing.assert_close(together[row, :length], alone[0], rtol=1e-5, atol=1e-6)
        assert together[row, length:].abs().sum() == 0


@pytest.mark.parametrize("count", [3, 80])
def test_words_are_encoded_in_bfloat16_on_any_processor(count: int):
    """Without AVX-512, torch raised an error: no training in bfloat16 came to its streams."""
    torch.manual_seed(0)
    encoder = WordEncoder(20, 8, 16)
    word_ids = torch.randint(1, 20, (count, 5))
    mask = torch.ones(count, 5, dtype=torch.bool)
    exact = encoder(word_ids, mask)
    with torch.autocast("cpu", torch.bfloat16):
        states = encoder(word_ids, mask)
    torch.testing.assert_close(states.float(), exact, atol=0.02, rtol=0.05)
    states.float().sum().backward()
    assert encoder.lstm.weight_ih_l0.grad is not None

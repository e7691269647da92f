import pytest
import torch
from small_models import scatter

from dwc.errors import QueryError
from dwc.modeling.clip_stream import ClipStream
from dwc.modeling.composition import normalize


def stream(combiner: str = "dwc", embedding_dim: int = 8) -> ClipStream:
    built = ClipStream(6, embedding_dim, combiner, 0.5).eval()
    scatter(built)
    return built


def test_embed_is_the_projection_then_relu_then_unit_length():
    built = stream()
    features = torch.randn(3, 6)
    projected = (features @ built.project_image.weight.T + built.project_image.bias).clamp_min(0)
    expected = projected / projected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(built.embed(features), expected)


def test_compose_is_the_combiner_of_the_projections():
    built = stream()
    image, text = torch.randn(3, 6), torch.randn(3, 6)
    projected = (text @ built.project_text.weight.T + built.project_text.bias).clamp_min(0)
    expected = built.combiner(built.embed(image), normalize(projected))
    torch.testing.assert_close(built.compose(image, text).embedding, expected.embedding)


def test_a_combiner_on_clips_own_features_has_no_projections():
    built = stream("clip4cir", embedding_dim=6)
    assert not [name for name in built.state_dict() if name.startswith("project")]
    features = torch.randn(3, 6)
    torch.testing.assert_close(built.embed(features), normalize(features))


@pytest.mark.parametrize("combiner", ["dwc", "concat_mlp", "average", "text_only"])
def test_a_missing_modality_leaves_the_other_whole(combiner: str):
    built = stream(combiner)
    features = torch.randn(3, 6)
    words = built.compose(None, features)
    assert torch.equal(words.image_weight, torch.zeros(3, 1))
    assert words.joint_part is None
    assert torch.equal(words.image_part, torch.zeros(3, 8))
    torch.testing.assert_close(words.embedding, normalize(words.text_part))
    picture = built.compose(features, None)
    assert torch.equal(picture.image_weight, torch.ones(3, 1))
    assert torch.equal(picture.text_part, torch.zeros(3, 8))
    torch.testing.assert_close(picture.embedding, normalize(picture.image_part))


def test_dwc_edits_a_lone_modality_beside_zeros():
    built = stream()
    features = torch.randn(3, 6)
    picture = built.embed(features)
    beside_zeros = built.combiner(picture, torch.zeros_like(picture))
    composed = built.compose(features, None)
    torch.testing.assert_close(composed.image_part, beside_zeros.image_part)


def test_neither_picture_nor_words_is_an_error():
    with pytest.raises(QueryError, match="neither"):
        stream().compose(None, None)

"""CLIP's encoders, and the CLIP stream that projects and combines their features."""

import pytest
import torch
from small_models import END, PAD, clip_config, config, pictures, scatter, texts
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel

from dwc.errors import QueryError
from dwc.modeling.clip_stream import ClipBackbone, ClipStream
from dwc.modeling.combiners import normalize
from dwc.modeling.configuration_dwc import ClipBackboneConfig
from dwc.modeling.modeling_dwc import DWCModel


def backbone(vision: str = "vit") -> ClipBackbone:
    built = ClipBackbone(ClipBackboneConfig(**clip_config(vision))).eval()
    scatter(built)
    return built


def test_vit_features_equal_those_of_transformers_own_clip():
    clip = CLIPModel(CLIPConfig(**clip_config())).eval()
    scatter(clip)
    ours = ClipBackbone(ClipBackboneConfig.from_clip(clip.config)).eval()
    ours.load_state_dict(clip.state_dict())
    ids = torch.tensor([[0, 7, 8, END], [0, 9, 10, END]])
    with torch.no_grad():
        states = clip.text_model(input_ids=ids).last_hidden_state[:, -1]
        torch.testing.assert_close(ours.text_features(ids), clip.text_projection(states))
        expected = clip.get_image_features(pixel_values=pictures()).pooler_output
        torch.testing.assert_close(ours.image_features(pictures()), expected)


@pytest.mark.parametrize("vision", ["vit", "resnet"])
def test_features_share_one_space_and_are_not_unit_length(vision: str):
    clip, inputs = backbone(vision), texts()
    with torch.no_grad():
        image = clip.image_features(pictures())
        text = clip.text_features(inputs["clip_input_ids"], inputs["clip_attention_mask"])
    assert image.shape == text.shape == (3, 20)
    assert (image.norm(dim=-1) - 1).abs().min() > 1e-3


def test_a_text_is_read_at_its_end_whatever_follows_and_however_small_the_end_id():
    clip = backbone()
    short = torch.tensor([[0, 7, 39, END]])
    padded = torch.tensor([[0, 7, 39, END, PAD, PAD]])
    padded_with_end = torch.tensor([[0, 7, 39, END, END, END]])
    with torch.no_grad():
        expected = clip.text_features(short)
        torch.testing.assert_close(clip.text_features(padded), expected)
        torch.testing.assert_close(clip.text_features(padded, (padded != PAD).long()), expected)
        torch.testing.assert_close(clip.text_features(padded_with_end), expected)
        other = clip.text_features(torch.tensor([[0, 39, 7, END]]))
    assert (other - expected).abs().max() > 1e-3


@torch.no_grad()
def test_many_texts_of_unequal_length_are_read_as_each_alone():
    clip = backbone()
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 6, (70,), generator=generator)
    ids = torch.full((70, 6), PAD)
    for row, length in enumerate(lengths.tolist()):
        ids[row, :length] = torch.randint(7, 40, (length,), generator=generator)
        ids[row, length] = END
    mask = (torch.arange(6) <= lengths[:, None]).long()
    together = clip.text_features(ids, mask)
    for row, length in enumerate(lengths.tolist()):
        alone = clip.text_features(ids[row : row + 1, : length + 1])
        torch.testing.assert_close(together[row], alone[0], rtol=1e-4, atol=1e-5)


def test_a_text_too_long_or_without_end_is_refused():
    clip = backbone()
    with pytest.raises(QueryError, match="13 CLIP tokens; this model reads at most 12"):
        clip.text_features(torch.full((1, 13), END))
    with pytest.raises(QueryError, match="no end-of-text token"):
        clip.text_features(torch.tensor([[0, 7, END], [0, 7, 8]]))


def test_the_backbone_alone_trains():
    clip = backbone("resnet").train()
    inputs = texts()
    image = functional.normalize(clip.image_features(pictures()), dim=-1)
    text = functional.normalize(clip.text_features(inputs["clip_input_ids"]), dim=-1)
    logits = clip.logit_scale.exp() * image @ text.T
    functional.cross_entropy(logits, torch.arange(3)).backward()
    without = [name for name, p in clip.named_parameters() if p.grad is None]
    assert without == []


@pytest.mark.parametrize("inside", [False, True])
def test_a_fresh_backbone_starts_as_openais_did(inside: bool):
    """Alone, and as a part of the whole model, which starts its own layers otherwise."""
    settings = ClipBackboneConfig(**clip_config("resnet"))
    clip = DWCModel(config("resnet")).clip if inside else ClipBackbone(settings)
    expected = clip.text_projection.in_features**-0.5
    assert clip.text_projection.weight.std().item() == pytest.approx(expected, rel=0.2)
    query = clip.vision_model.attention_pool.query
    assert query.weight.std().item() == pytest.approx(query.in_features**-0.5, rel=0.1)
    for stage in clip.vision_model.stages:
        for block in stage:
            assert block.expand.normalisation.weight.abs().sum() == 0


def test_the_backbone_alone_is_saved_and_loaded(tmp_path):
    clip = backbone("resnet")
    clip.save_pretrained(tmp_path)
    again = ClipBackbone.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(again.image_features(pictures()), clip.image_features(pictures()))


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


def test_attributes_add_the_projected_roots_of_their_probabilities():
    built = ClipStream(6, 8, "dwc", 0.5, [2, 3]).eval()
    scatter(built)
    built.attributes.scale.fill_(3.0)
    features = torch.randn(4, 6)
    layer = built.attributes.classifiers
    logits = features @ layer.weight.T + layer.bias
    chances = torch.cat([logits[:, :2].softmax(1), logits[:, 2:].softmax(1)], dim=1)
    more = 3.0 * chances.sqrt() @ built.attributes.project.weight.T
    projected = features @ built.project_image.weight.T + built.project_image.bias + more
    torch.testing.assert_close(built.embed(features), normalize(projected.clamp_min(0)))
    text = torch.randn(4, 6)
    words = normalize(built.project_text(text).clamp_min(0))
    expected = built.combiner(built.embed(features), words)
    torch.testing.assert_close(built.compose(features, text).embedding, expected.embedding)


def test_gradients_of_attributes_are_finite_where_a_probability_vanishes():
    built = ClipStream(6, 8, "dwc", 0.0, [2, 3])
    scatter(built)
    with torch.no_grad():
        built.attributes.classifiers.weight.mul_(1e4)
    features = torch.randn(4, 6, requires_grad=True)
    built.embed(features).sum().backward()
    assert bool(features.grad.isfinite().all())
    assert built.attributes.classifiers.weight.grad is None  # frozen
    assert built.attributes.project.weight.grad is not None


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

import pytest
import torch
from small_models import alone, config, model, pictures, texts

from dwc.errors import QueryError
from dwc.modeling.clip_stream import ClipBackbone
from dwc.modeling.configuration_dwc import DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.ood import MahalanobisOOD


@torch.no_grad()
@pytest.mark.parametrize("vision", ["vit", "resnet"])
def test_a_query_alone_and_in_a_batch_agree_in_both_streams(vision: str):
    built, inputs = model(vision), texts()
    batch = built.compose(pixel_values=pictures(), **inputs)
    assert batch.embedding.shape == (3, 32)
    for row in range(3):
        one = built.compose(pixel_values=pictures()[row : row + 1], **alone(inputs, row))
        for name, stream in one.streams.items():
            actual = batch.streams[name]
            for part in ("embedding", "image_part", "text_part", "image_weight"):
                torch.testing.assert_close(
                    getattr(actual, part)[row], getattr(stream, part)[0], rtol=1e-5, atol=1e-5
                )


@torch.no_grad()
def test_gallery_vectors_are_unit_per_stream_clip_first():
    built = model()
    vectors = built.embed_images(pictures())
    clip, cnn = vectors.split([20, 12], dim=1)
    torch.testing.assert_close(clip.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(cnn.norm(dim=1), torch.ones(3))
    features = built.clip.image_features(pictures())
    torch.testing.assert_close(clip, built.clip_stream.embed(features))
    torch.testing.assert_close(cnn, built.cnn_stream.embed(pictures()))


@torch.no_grad()
@pytest.mark.parametrize(("absent", "stream", "width"), [("cnn", "clip", 20), ("clip", "cnn", 12)])
def test_one_stream_alone_ignores_the_others_text(absent: str, stream: str, width: int):
    built = model(**{f"{absent}_config": None})
    query = built.compose(pixel_values=pictures(), **texts())
    assert list(query.streams) == [stream]
    assert query.embedding.shape == (3, width)
    assert built.embed_images(pictures()).shape == (3, width)
    assert not [name for name in built.state_dict() if name.startswith(absent)]


@torch.no_grad()
def test_a_missing_modality_has_weight_zero_in_both_streams():
    built = model()
    for stream in built.compose(pixel_values=pictures()).streams.values():
        assert torch.equal(stream.image_weight, torch.ones(3, 1))
        torch.testing.assert_close(stream.embedding.norm(dim=1), torch.ones(3))
    for stream in built.compose(**texts()).streams.values():
        assert torch.equal(stream.image_weight, torch.zeros(3, 1))
        torch.testing.assert_close(stream.embedding.norm(dim=1), torch.ones(3))


def test_a_query_without_anything_or_with_half_its_text_is_refused():
    built, inputs = model(), texts()
    with pytest.raises(QueryError, match="neither"):
        built.compose()
    with pytest.raises(QueryError, match="clip_input_ids without word_ids"):
        built.compose(pixel_values=pictures(), clip_input_ids=inputs["clip_input_ids"])
    with pytest.raises(QueryError, match="word_ids without clip_input_ids"):
        built.compose(pixel_values=pictures(), word_ids=inputs["word_ids"])


@pytest.mark.parametrize("vision", ["vit", "resnet"])
def test_clip_is_frozen_and_stays_in_eval_mode(vision: str):
    built = model(vision)
    built.train()
    assert built.training
    assert built.cnn_stream.training
    assert built.clip_stream.training
    assert not any(module.training for module in built.clip.modules())
    before = {name: tensor.clone() for name, tensor in built.clip.state_dict().items()}
    trained = [p for p in built.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=0.1)
    query = built.compose(pixel_values=pictures(), **texts())
    (query.embedding * built.embed_images(pictures(seed=1))).sum().backward()
    optimiser.step()
    assert all(p.grad is None for p in built.clip.parameters())
    for name, tensor in built.clip.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    not_taught = [
        name
        for name, p in built.named_parameters()
        if not name.startswith("clip.") and p.grad is None
    ]
    assert not_taught == []


def test_attribute_classifiers_are_saved_and_stay_frozen_after_loading(tmp_path):
    built = model(image_attributes={"pattern": ["plain", "striped"], "colour": ["red", "blue"]})
    with torch.no_grad():
        built.clip_stream.attributes.scale.fill_(2.5)
    built.save_pretrained(tmp_path)
    again = DWCModel.from_pretrained(tmp_path)
    assert list(again.config.image_attributes) == ["colour", "pattern"]
    assert float(again.clip_stream.attributes.scale) == 2.5
    frozen = {name for name, p in again.clip_stream.named_parameters() if not p.requires_grad}
    assert frozen == {"attributes.classifiers.weight", "attributes.classifiers.bias"}
    with torch.no_grad():
        assert torch.equal(again.embed_images(pictures()), built.eval().embed_images(pictures()))


def test_the_same_clip_trains_outside_the_model():
    built = ClipBackbone(config().clip_config)
    assert all(p.requires_grad for p in built.parameters())
    assert built.train().vision_model.training


def test_calling_the_model_composes():
    built = model()
    with torch.no_grad():
        called = built(pixel_values=pictures(), **texts())
        composed = built.compose(pixel_values=pictures(), **texts())
    assert torch.equal(called.embedding, composed.embedding)


@pytest.mark.slow
@torch.no_grad()
def test_ood_score_comes_with_the_query_where_the_checkpoint_can_tell():
    built = model(familiarity=True)
    assert isinstance(built.familiarity, MahalanobisOOD)
    features = built.clip.image_features(pictures())
    query = built.compose(pixel_values=pictures(), **texts())
    torch.testing.assert_close(query.ood_score, built.familiarity.score(features))
    assert built.compose(**texts()).ood_score is None
    assert model().compose(pixel_values=pictures()).ood_score is None


def test_the_papers_clip_stream_has_the_papers_number_of_parameters():
    with torch.device("meta"):
        built = DWCModel(DWCConfig.paper(vocab_size=33))
    trainable = [p for p in built.clip_stream.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trainable) == 10_493_953
    assert not any(p.requires_grad for p in built.clip.parameters())
    assert built.cnn_stream.resnet.encoder.stages[-1].layers[0].layer[1].convolution.stride == (
        2,
        2,
    )


def test_layers_start_as_pytorch_starts_them():
    """Not with transformers' normal of 0.02, in which a deep block's signal dies."""
    torch.manual_seed(0)
    built = DWCModel(config())
    weight = built.cnn_stream.gate_image.point[0].convolution.weight
    bound = weight[0].numel() ** -0.5
    assert weight.abs().max() <= bound
    assert weight.abs().max() > 0.9 * bound
    assert built.cnn_stream.word_encoder.embedding.weight.std() > 0.8
    assert built.cnn_stream.pool_image.p == 3

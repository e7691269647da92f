"""What transformers expects of every model, and what does not apply to this one."""

import copy
import inspect
import io
import json
import pickle
from dataclasses import fields

import pytest
import torch
from small_models import clip_config, cnn_config, config, model, pictures, texts
from torch.nn import functional
from transformers import AutoModel, PreTrainedModel

from dwc.checkpoints import load
from dwc.checkpoints.save import save_checkpoint
from dwc.modeling.clip_stream import ClipBackbone
from dwc.modeling.combiners import Composition
from dwc.modeling.configuration_dwc import DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.strict_loading import StrictModel
from tests.search.tiny import write_tiny_checkpoint

LITE = {"model_type": "efficientnet_lite", "image_size": 64, "width": 0.25, "depth": 0.3}
CONFIGS = {
    "vit": {},
    "resnet": {"clip_config": clip_config("resnet")},
    "lite, shared": {
        "clip_config": {**clip_config(), "vision_config": LITE},
        "cnn_config": {**cnn_config(), "shared_channels": 8},
    },
    "clip alone": {"cnn_config": None},
    "cnn alone": {"clip_config": None},
    "with ood": {"familiarity": True},
}
every_config = pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS)


def inputs():
    return {"pixel_values": pictures(), **texts()}


def build(changes, seed=0):
    torch.manual_seed(seed)
    return DWCModel(config(**changes)).eval()


def flat(nested):
    """All tensors of nested tuples, in order."""
    if isinstance(nested, torch.Tensor):
        return [nested]
    return [tensor for item in nested for tensor in flat(item)]


@torch.no_grad()
def assert_same_outputs(actual, expected, rtol=1e-5, atol=1e-6):
    queries = [flat(built(**inputs()).to_tuple()) for built in (actual, expected)]
    for one, other in zip(*queries, strict=True):
        torch.testing.assert_close(one, other, rtol=rtol, atol=atol)
    vectors = [built.embed_images(pictures()) for built in (actual, expected)]
    torch.testing.assert_close(*vectors, rtol=rtol, atol=atol)


# Inputs and outputs


def test_the_arguments_of_a_call_are_the_processors_tensors():
    names = list(inspect.signature(DWCModel.forward).parameters)
    assert names[1] == DWCModel.main_input_name == "pixel_values"
    assert names[1:6] == list(inspect.signature(DWCModel.compose).parameters)[1:]
    with pytest.raises(TypeError, match="unexpected keyword argument 'input_ids'"):
        model()(**inputs(), input_ids=texts()["clip_input_ids"])


@every_config
@torch.no_grad()
def test_tuple_and_object_hold_the_same_tensors(changes):
    built = build(changes)
    query = built(**inputs())
    expected = [
        getattr(stream, field.name)
        for stream in query.streams.values()
        for field in fields(Composition)
        if getattr(stream, field.name) is not None
    ]
    expected += [] if query.ood_score is None else [query.ood_score]
    returned = built(**inputs(), return_dict=False)
    assert isinstance(returned, tuple)
    assert len(flat(returned)) == len(expected)
    assert all(map(torch.equal, flat(returned), expected))
    built.config.return_dict = False
    assert isinstance(built(**inputs()), tuple)
    assert not isinstance(built(**inputs(), return_dict=True), tuple)


@every_config
@torch.no_grad()
def test_the_same_inputs_give_the_same_outputs(changes):
    built = build(changes)
    assert_same_outputs(built, built, rtol=0, atol=0)
    positional = built(*inputs().values())
    assert torch.equal(positional.embedding, built(**inputs()).embedding)


@every_config
@torch.no_grad()
def test_a_row_of_a_batch_is_the_image_alone(changes):
    built = build(changes)
    batch = built.embed_images(pictures())
    for row in range(3):
        alone = built.embed_images(pictures()[row : row + 1])
        torch.testing.assert_close(alone[0], batch[row], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("option", "message"),
    [("output_attentions", "region_maps"), ("output_hidden_states", "image_part")],
)
def test_outputs_that_do_not_exist_are_refused_with_what_there_is(option, message):
    built = model()
    with pytest.raises(ValueError, match=f"{option} is True.*{message}"):
        built(**inputs(), **{option: True})
    built(**inputs(), **{option: False})
    built.set_attn_implementation("eager")  # transformers' condition for `output_attentions`
    setattr(built.config, option, True)
    with pytest.raises(ValueError, match=f"{option} is True"):
        built(**inputs())


# Weights


@pytest.mark.slow
@every_config
def test_weights_start_finite_and_are_those_of_the_seed(changes):
    first, same, other = build(changes), build(changes), build(changes, seed=1)
    weights = first.state_dict()
    assert [name for name, value in weights.items() if not value.isfinite().all()] == []
    assert all(torch.equal(value, same.state_dict()[name]) for name, value in weights.items())
    matrices = [name for name, parameter in first.named_parameters() if parameter.dim() > 1]
    unchanged = [name for name in matrices if torch.equal(weights[name], other.state_dict()[name])]
    assert unchanged == []
    assert max(value.abs().max() for name, value in weights.items() if name in matrices) < 6


@every_config
def test_no_two_weights_share_memory(changes):
    built = build(changes)
    assert built.all_tied_weights_keys == {}
    pointers = [tensor.data_ptr() for tensor in built.state_dict().values() if tensor.numel()]
    assert len(set(pointers)) == len(pointers)


@pytest.mark.slow
@every_config
def test_a_model_without_memory_has_the_same_weights(changes):
    with torch.device("meta"):
        built = DWCModel(config(**changes))
    assert {tensor.device.type for tensor in built.state_dict().values()} == {"meta"}
    shapes = {name: tensor.shape for name, tensor in built.state_dict().items()}
    assert shapes == {name: value.shape for name, value in build(changes).state_dict().items()}


# Saving and loading


@pytest.mark.slow
@every_config
def test_saved_and_loaded_a_model_gives_the_same_outputs(changes, tmp_path):
    original = model(**changes)
    original.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert (saved["model_type"], saved["architectures"]) == ("dwc", ["DWCModel"])
    assert "auto_map" not in saved
    for kind in (DWCModel, AutoModel):
        loaded, info = kind.from_pretrained(tmp_path, output_loading_info=True)
        assert type(loaded) is DWCModel
        assert not any(info.values())
        assert not loaded.training
        assert_same_outputs(loaded, original)
        loaded.save_pretrained(tmp_path / kind.__name__)
        again = (tmp_path / kind.__name__ / "model.safetensors").read_bytes()
        assert again == (tmp_path / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_shards_are_written_and_read(tmp_path):
    original = model()
    original.save_pretrained(tmp_path, max_shard_size="40KB")
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 2
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == {shard.name for shard in shards}
    for options in ({}, {"device_map": "cpu"}):
        assert_same_outputs(DWCModel.from_pretrained(tmp_path, **options), original)


@pytest.mark.slow
@pytest.mark.parametrize("device_map", ["cpu", {"": "cpu"}, torch.device("cpu"), "auto"])
def test_a_device_map_loads_the_same_model(device_map, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda *_: None)
    original = model()
    original.save_pretrained(tmp_path)
    loaded = DWCModel.from_pretrained(tmp_path, device_map=device_map)
    assert_same_outputs(loaded, original)
    assert not any(parameter.requires_grad for parameter in loaded.clip.parameters())


@pytest.mark.parametrize("device_map", ["auto", "balanced", "balanced_low_0", "sequential"])
def test_a_model_is_not_divided_among_devices(device_map, monkeypatch):
    received = {}

    def from_pretrained(*_, **options):
        received.update(options)
        return model()

    device = torch.device("cuda")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda *_: device)
    monkeypatch.setattr(StrictModel, "from_pretrained", from_pretrained)
    DWCModel.from_pretrained("folder", device_map=device_map)
    assert received == {"device_map": {"": device}}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.bfloat16, "float16", "auto"])
def test_a_dtype_loads_the_model_in_it(dtype, tmp_path):
    original = model()
    original.to(torch.bfloat16).save_pretrained(tmp_path)
    loaded = DWCModel.from_pretrained(tmp_path, dtype=dtype)
    expected = torch.float16 if dtype == "float16" else torch.bfloat16
    assert loaded.dtype == loaded.config.dtype == expected
    kinds = {value.dtype for value in loaded.state_dict().values() if value.is_floating_point()}
    assert kinds == {expected}


@pytest.mark.parametrize("cast", [DWCModel.half, DWCModel.bfloat16])
@torch.no_grad()
def test_half_precision_gives_nearly_the_same_embeddings(cast):
    exact = model()
    expected = exact.embed_images(pictures())
    small = cast(exact)
    arguments = {**inputs(), "pixel_values": pictures().to(small.dtype)}
    actual = small.embed_images(arguments["pixel_values"])
    assert actual.dtype == small.dtype
    assert functional.cosine_similarity(actual.float(), expected).min() > 0.99
    assert small(**arguments).embedding.isfinite().all()


@pytest.mark.slow
def test_a_state_dict_can_be_given():
    original = model()
    loaded = DWCModel.from_pretrained(
        None, config=original.config, state_dict=original.state_dict()
    )
    assert_same_outputs(loaded, original)


@pytest.mark.slow
def test_copies_give_the_same_outputs():
    original = model()
    file = io.BytesIO()
    torch.save(original, file)
    file.seek(0)
    for again in (
        copy.deepcopy(original),
        pickle.loads(pickle.dumps(original)),
        torch.load(file, weights_only=False),
    ):
        assert_same_outputs(again, original)
        assert again.cnn_stream.config is again.config.cnn_config
        assert not any(parameter.requires_grad for parameter in again.clip.parameters())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@torch.no_grad()
def test_quantized_linear_layers_give_nearly_the_same_embeddings():
    original = model()
    small = torch.ao.quantization.quantize_dynamic(original, {torch.nn.Linear}, torch.qint8)
    linear = [item for item in small.modules() if type(item) is torch.nn.Linear]
    assert linear == []
    actual, expected = small(**inputs()).embedding, original(**inputs()).embedding
    assert functional.cosine_similarity(actual, expected).min() > 0.99


@pytest.mark.slow
@torch.no_grad()
def test_a_compiled_model_gives_the_same_outputs():
    original = model()
    compiled = torch.compile(original, backend="eager")  # traced, and run without a C compiler
    actual, expected = compiled(**inputs()), original(**inputs())
    for one, other in zip(flat(actual.to_tuple()), flat(expected.to_tuple()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


# Attention implementations


def attention_of(built):
    return {
        name: part.config._attn_implementation
        for name, part in built.named_modules()
        if isinstance(part, PreTrainedModel)
    }


@pytest.mark.slow
@every_config
def test_every_part_with_attention_gets_the_implementation(changes, tmp_path):
    original = model(**changes)
    original.save_pretrained(tmp_path)
    for name in ("eager", "sdpa"):
        loaded = DWCModel.from_pretrained(tmp_path, attn_implementation=name)
        changed = copy.deepcopy(original)
        changed.set_attn_implementation(name)
        built = AutoModel.from_config(original.config, attn_implementation=name)
        for one in (loaded, changed, built):
            parts = attention_of(one)
            assert parts.pop("") == name
            assert all(
                value == (name if part.startswith("clip") else "eager")
                for part, value in parts.items()
            )
        for one in (loaded, changed):
            assert_same_outputs(one, original, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_parts_can_get_different_implementations(tmp_path):
    original = model()
    original.save_pretrained(tmp_path)
    by_part = {"": "sdpa", "clip_config": {"": "sdpa", "text_config": "eager"}}
    changed = DWCModel.from_pretrained(tmp_path, attn_implementation="sdpa")
    changed.set_attn_implementation(by_part)
    parts = attention_of(changed)
    assert (parts["clip.text_model"], parts["clip.vision_model"]) == ("eager", "sdpa")
    assert_same_outputs(changed, original, rtol=1e-4, atol=1e-5)


def test_an_implementation_that_does_not_exist_is_named(tmp_path):
    built = model()
    with pytest.raises(ValueError, match="quick"):
        built.set_attn_implementation("quick")
    with pytest.raises(ValueError, match="names text_config; this model has clip_config"):
        built.set_attn_implementation({"text_config": "eager"})
    with pytest.raises(ValueError, match="quick"):
        AutoModel.from_config(config(), attn_implementation="quick")


# Vocabularies


def test_the_input_embeddings_are_those_of_the_words():
    built = model()
    table = built.get_input_embeddings()
    assert table is built.cnn_stream.word_encoder.embedding
    replacement = copy.deepcopy(table)
    built.set_input_embeddings(replacement)
    assert built.get_input_embeddings() is replacement
    assert built.get_output_embeddings() is None
    alone = model(cnn_config=None)
    assert alone.get_input_embeddings().num_embeddings == 40
    assert alone.get_input_embeddings() is alone.clip.text_model.get_input_embeddings()


@pytest.mark.slow
@pytest.mark.parametrize("words", [15, 20, 11])
def test_the_word_vectors_can_be_resized(words, tmp_path):
    original = model()
    resized = copy.deepcopy(original)
    assert resized.resize_token_embeddings() is resized.get_input_embeddings()
    table = resized.resize_token_embeddings(words)
    assert table is resized.get_input_embeddings()
    assert table.num_embeddings == resized.config.cnn_config.vocab_size == words
    assert table.weight.requires_grad
    both = min(words, 15)
    assert torch.equal(table.weight[:both], original.get_input_embeddings().weight[:both])
    assert_same_outputs(resized, original)  # whose texts use words below 11
    resized.save_pretrained(tmp_path)
    loaded = DWCModel.from_pretrained(tmp_path)
    assert_same_outputs(loaded, resized)
    last = {**inputs(), "word_ids": inputs()["word_ids"].clone()}
    last["word_ids"][0, 0] = words - 1
    assert torch.equal(loaded(**last).embedding, resized(**last).embedding)


@pytest.mark.slow
def test_a_checkpoint_learns_new_words(tmp_path):
    first = load.load(write_tiny_checkpoint(tmp_path / "first"))
    assert first.processor.unknown_words("velvet") == ["velvet"]
    first.processor.word_tokenizer.add_tokens(["velvet"])
    first.model.resize_token_embeddings(len(first.processor.word_tokenizer))
    save_checkpoint(first.model, first.processor, tmp_path / "second")
    second = load.load(tmp_path / "second")
    assert second.processor.unknown_words("velvet") == []
    (ids,) = second.processor(text="velvet")["word_ids"].tolist()
    assert ids == [second.model.config.cnn_config.vocab_size - 1]


def test_a_vocabulary_that_cannot_grow_says_why():
    with pytest.raises(ValueError, match="CLIP is frozen"):
        model(cnn_config=None).resize_token_embeddings(50)
    with pytest.raises(ValueError, match="pad_to_multiple_of is 8"):
        model().resize_token_embeddings(16, pad_to_multiple_of=8)


# What does not apply


def test_a_model_that_generates_no_text_says_so():
    assert not DWCModel.can_generate()
    with pytest.raises(NotImplementedError, match=r"generates no text.*compose"):
        model().generate(**inputs())


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    "name", ["gradient_checkpointing_enable", "activation_checkpointing_enable"]
)
def test_gradient_checkpointing_does_not_apply_and_says_why(name):
    built = model()
    if not hasattr(PreTrainedModel, name):
        pytest.skip("an earlier version of transformers")
    with pytest.raises(ValueError, match=r"CLIP is frozen.*batch norms twice"):
        getattr(built, name)()
    assert not built.is_gradient_checkpointing


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("vision", ["vit", "resnet"])
def test_gradients_of_clip_are_the_same_with_checkpointing(vision):
    clip = ClipBackbone(config(vision).clip_config).train()
    given = texts()

    def gradients():
        clip.zero_grad()
        features = clip.text_features(given["clip_input_ids"], given["clip_attention_mask"])
        (features.square().sum() + clip.image_features(pictures()).square().sum()).backward()
        return {name: p.grad.clone() for name, p in clip.named_parameters() if p.grad is not None}

    expected = gradients()
    clip.gradient_checkpointing_enable()
    assert clip.is_gradient_checkpointing
    actual = gradients()
    assert actual.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(actual[name], gradient, rtol=1e-4, atol=1e-5)
    clip.gradient_checkpointing_disable()
    assert not clip.is_gradient_checkpointing


def test_the_embedded_words_can_require_gradients():
    built = model().train()
    built.enable_input_require_grads()
    built.get_input_embeddings().weight.requires_grad_(False)
    built(**inputs()).embedding.sum().backward()
    assert built.cnn_stream.word_encoder.lstm.weight_ih_l0.grad.abs().sum() > 0


def test_sizes_are_counted():
    built = model()
    counted = sum(parameter.numel() for parameter in built.parameters())
    frozen = sum(parameter.numel() for parameter in built.clip.parameters())
    assert built.num_parameters() == counted
    assert built.num_parameters(only_trainable=True) == counted - frozen
    tensors = [*built.parameters(), *built.buffers()]
    assert built.get_memory_footprint() == sum(tensor.nbytes for tensor in tensors)
    assert (built.device, built.dtype) == (torch.device("cpu"), torch.float32)
    assert built.base_model is built
    assert isinstance(built.config, DWCConfig)

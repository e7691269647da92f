"""OpenAI's names of CLIP, and the sizes that its tensors tell.

Radford et al. 2021; `openai/CLIP` at commit d05afc4. All nine released models fit: RN50, RN101,
RN50x4, RN50x16, RN50x64, ViT-B/32, ViT-B/16, ViT-L/14 and its 336 px version.
"""

import re
from collections.abc import Mapping

from torch import Tensor
from transformers import CLIPTextConfig, CLIPVisionConfig

from dwc.convert.renaming import Rule, rename
from dwc.errors import CheckpointError
from dwc.modeling.configuration import ClipBackboneConfig, ModifiedResNetConfig

_HEAD_DIM = 64  # in every tower of every model
_LEAF = r"(weight|bias|running_mean|running_var|num_batches_tracked)"


def _transformer_rules(theirs: str, ours: str) -> list[Rule]:
    """A tower of residual attention blocks; the joint projection is split in three."""
    block, layer = rf"{theirs}\.resblocks\.(\d+)", rf"{ours}.encoder.layers.\1"
    attention = tuple(rf"{layer}.self_attn.{part}_proj.\2" for part in "qkv")
    parts = {
        r"attn\.out_proj": "self_attn.out_proj",
        r"ln_1": "layer_norm1",
        r"ln_2": "layer_norm2",
        r"mlp\.c_fc": "mlp.fc1",
        r"mlp\.c_proj": "mlp.fc2",
    }
    return [
        Rule(rf"{block}\.attn\.in_proj_(weight|bias)", attention),
        *(
            Rule(rf"{block}\.{part}\.(weight|bias)", (rf"{layer}.{place}.\2",))
            for part, place in parts.items()
        ),
    ]


def _modified_resnet_rules() -> list[Rule]:
    rules = []
    for step in range(3):
        stem = f"vision_model.stem.{step}"
        rules += [
            Rule(rf"visual\.conv{step + 1}\.weight", (f"{stem}.convolution.weight",)),
            Rule(rf"visual\.bn{step + 1}\.{_LEAF}", (rf"{stem}.normalisation.\1",)),
        ]
    for stage in range(4):
        block = rf"visual\.layer{stage + 1}\.(\d+)"
        for step, place in enumerate(("reduce", "spatial", "expand"), start=1):
            target = rf"vision_model.stages.{stage}.\1.{place}"
            rules += [
                Rule(rf"{block}\.conv{step}\.weight", (rf"{target}.convolution.weight",)),
                Rule(rf"{block}\.bn{step}\.{_LEAF}", (rf"{target}.normalisation.\2",)),
            ]
        shortcut = rf"vision_model.stages.{stage}.\1.shortcut"
        rules += [
            Rule(rf"{block}\.downsample\.0\.weight", (rf"{shortcut}.convolution.weight",)),
            Rule(rf"{block}\.downsample\.1\.{_LEAF}", (rf"{shortcut}.normalisation.\2",)),
        ]
    pool = "vision_model.attention_pool"
    rules.append(Rule(r"visual\.attnpool\.positional_embedding", (f"{pool}.position_embedding",)))
    for letter, place in {"q": "query", "k": "key", "v": "value", "c": "projection"}.items():
        rules.append(
            Rule(rf"visual\.attnpool\.{letter}_proj\.(weight|bias)", (rf"{pool}.{place}.\1",))
        )
    return rules


_TEXT_RULES = (
    Rule(r"token_embedding\.weight", ("text_model.embeddings.token_embedding.weight",)),
    Rule(r"positional_embedding", ("text_model.embeddings.position_embedding.weight",)),
    Rule(r"ln_final\.(weight|bias)", (r"text_model.final_layer_norm.\1",)),
    Rule(r"text_projection", ("text_projection.weight",), transposed=True),
    Rule(r"logit_scale", ("logit_scale",)),
    *_transformer_rules("transformer", "text_model"),
    # Numbers about the model, which only the released archives carry.
    Rule(r"input_resolution|context_length|vocab_size", ()),
)

_VIT_RULES = (
    Rule(r"visual\.class_embedding", ("vision_model.embeddings.class_embedding",)),
    Rule(r"visual\.conv1\.weight", ("vision_model.embeddings.patch_embedding.weight",)),
    Rule(r"visual\.positional_embedding", ("vision_model.embeddings.position_embedding.weight",)),
    Rule(r"visual\.ln_pre\.(weight|bias)", (r"vision_model.pre_layrnorm.\1",)),
    Rule(r"visual\.ln_post\.(weight|bias)", (r"vision_model.post_layernorm.\1",)),
    Rule(r"visual\.proj", ("visual_projection.weight",), transposed=True),
    *_transformer_rules(r"visual\.transformer", "vision_model"),
)


def backbone_weights(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """OpenAI's state dict under `ClipBackbone`'s names; CheckpointError lists unknown ones."""
    rules = _VIT_RULES if _is_vit(state) else _modified_resnet_rules()
    return rename(state, (*_TEXT_RULES, *rules), source, "a CLIP with OpenAI's names")


def backbone_config(state: Mapping[str, Tensor], source: str) -> ClipBackboneConfig:
    """The sizes that the tensors (OpenAI's names) tell; CheckpointError where one is missing."""
    try:
        width = state["ln_final.weight"].shape[0]
        projection_dim = state["text_projection"].shape[1]
        vocab_size = state["token_embedding.weight"].shape[0]
        text = CLIPTextConfig(
            vocab_size=vocab_size,
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=_count(state, r"transformer\.resblocks\.(\d+)\..*"),
            num_attention_heads=width // _HEAD_DIM,
            max_position_embeddings=state["positional_embedding"].shape[0],
            projection_dim=projection_dim,
            # The last two tokens are the start and the end of a text, which also pads.
            bos_token_id=vocab_size - 2,
            eos_token_id=vocab_size - 1,
            pad_token_id=vocab_size - 1,
        )
        vision = (_vit_config if _is_vit(state) else _modified_resnet_config)(state, projection_dim)
    except KeyError as error:
        raise CheckpointError(
            f"{source} lacks {error}, which tells the size of CLIP; give a CLIP state dict with "
            "OpenAI's names, or a transformers CLIP folder"
        ) from error
    return ClipBackboneConfig(text_config=text, vision_config=vision, projection_dim=projection_dim)


def _is_vit(state: Mapping[str, Tensor]) -> bool:
    return "visual.proj" in state


def _vit_config(state: Mapping[str, Tensor], projection_dim: int) -> CLIPVisionConfig:
    width, _, patch_size, _ = state["visual.conv1.weight"].shape
    patches = state["visual.positional_embedding"].shape[0] - 1
    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=_count(state, r"visual\.transformer\.resblocks\.(\d+)\..*"),
        num_attention_heads=width // _HEAD_DIM,
        patch_size=patch_size,
        image_size=patch_size * round(patches**0.5),
        projection_dim=projection_dim,
    )


def _modified_resnet_config(
    state: Mapping[str, Tensor], projection_dim: int
) -> ModifiedResNetConfig:
    regions, channels = state["visual.attnpool.positional_embedding"].shape
    reduction = 32  # a stem that divides by 4, three stages that halve
    return ModifiedResNetConfig(
        layers=[_count(state, rf"visual\.layer{stage}\.(\d+)\..*") for stage in range(1, 5)],
        width=state["visual.layer1.0.conv1.weight"].shape[0],
        image_size=reduction * round((regions - 1) ** 0.5),
        num_attention_heads=channels // _HEAD_DIM,
        projection_dim=projection_dim,
    )


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    """How many different numbers the pattern's group takes."""
    return len({match[1] for name in state if (match := re.fullmatch(pattern, name))})

"""OpenAI's names of CLIP, and the sizes that its tensors tell.

Radford et al. 2021; `openai/CLIP` at commit d05afc4. All nine released models fit: RN50, RN101,
RN50x4, RN50x16, RN50x64, ViT-B/32, ViT-B/16, ViT-L/14 and its 336 px version.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import CLIPTextConfig, CLIPVisionConfig

from dwc.convert.key_mapping import Rule, rename, rename_back
from dwc.errors import CheckpointError
from dwc.modeling.configuration_dwc import ClipBackboneConfig, ModifiedResNetConfig

_HEAD_DIM = 64  # in every tower of every model
_ACTIVATION = "quick_gelu"  # OpenAI's; no tensor tells it


class Sizes(NamedTuple):
    """What tells the released models apart: image tower, picture and feature lengths."""

    tower: tuple[int, ...]  # blocks a stage and width of a ResNet; layers, width, patch of a ViT
    image_size_px: int
    projection_dim: int


RELEASED = {
    "RN50": Sizes((3, 4, 6, 3, 64), 224, 1024),
    "RN101": Sizes((3, 4, 23, 3, 64), 224, 512),
    "RN50x4": Sizes((4, 6, 10, 6, 80), 288, 640),
    "RN50x16": Sizes((6, 8, 18, 8, 96), 384, 768),
    "RN50x64": Sizes((3, 15, 36, 10, 128), 448, 1024),
    "ViT-B/32": Sizes((12, 768, 32), 224, 512),
    "ViT-B/16": Sizes((12, 768, 16), 224, 512),
    "ViT-L/14": Sizes((24, 1024, 14), 224, 768),
    "ViT-L/14@336px": Sizes((24, 1024, 14), 336, 768),
}
"""OpenAI's models by name."""


def _transformer_rules(theirs: str, ours: str) -> list[Rule]:
    """A tower of residual attention blocks; the joint projection is split in three."""
    block, layer = f"{theirs}.resblocks.{{n}}", f"{ours}.encoder.layers.{{n}}"
    attention = tuple(f"{layer}.self_attn.{part}_proj.{{leaf}}" for part in "qkv")
    parts = {
        "attn.out_proj": "self_attn.out_proj",
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    return [
        Rule(f"{block}.attn.in_proj_{{leaf}}", attention),
        *(
            Rule(f"{block}.{part}.{{leaf}}", (f"{layer}.{place}.{{leaf}}",))
            for part, place in parts.items()
        ),
    ]


def _normalised(convolution: str, norm: str, ours: str) -> list[Rule]:
    """A convolution without bias and its batch norm."""
    return [
        Rule(f"{convolution}.weight", (f"{ours}.convolution.weight",)),
        Rule(f"{norm}.{{statistic}}", (f"{ours}.normalisation.{{statistic}}",)),
    ]


def _modified_resnet_rules() -> list[Rule]:
    rules = []
    for step in range(3):
        ours = f"vision_model.stem.{step}"
        rules += _normalised(f"visual.conv{step + 1}", f"visual.bn{step + 1}", ours)
    for stage in range(4):
        block, ours = f"visual.layer{stage + 1}.{{n}}", f"vision_model.stages.{stage}.{{n}}"
        for step, place in enumerate(("reduce", "spatial", "expand"), start=1):
            rules += _normalised(f"{block}.conv{step}", f"{block}.bn{step}", f"{ours}.{place}")
        rules += _normalised(f"{block}.downsample.0", f"{block}.downsample.1", f"{ours}.shortcut")
    pool = "vision_model.attention_pool"
    rules.append(Rule("visual.attnpool.positional_embedding", (f"{pool}.position_embedding",)))
    for letter, place in {"q": "query", "k": "key", "v": "value", "c": "projection"}.items():
        rules.append(Rule(f"visual.attnpool.{letter}_proj.{{leaf}}", (f"{pool}.{place}.{{leaf}}",)))
    return rules


_TEXT_RULES = (
    Rule("token_embedding.weight", ("text_model.embeddings.token_embedding.weight",)),
    Rule("positional_embedding", ("text_model.embeddings.position_embedding.weight",)),
    Rule("ln_final.{leaf}", ("text_model.final_layer_norm.{leaf}",)),
    Rule("text_projection", ("text_projection.weight",), transposed=True),
    Rule("logit_scale", ("logit_scale",)),
    *_transformer_rules("transformer", "text_model"),
    # Numbers about the model, which only the released archives carry.
    Rule("input_resolution", ()),
    Rule("context_length", ()),
    Rule("vocab_size", ()),
)

_MODIFIED_RESNET_RULES = (*_TEXT_RULES, *_modified_resnet_rules())

_VIT_RULES = (
    *_TEXT_RULES,
    Rule("visual.class_embedding", ("vision_model.embeddings.class_embedding",)),
    Rule("visual.conv1.weight", ("vision_model.embeddings.patch_embedding.weight",)),
    Rule("visual.positional_embedding", ("vision_model.embeddings.position_embedding.weight",)),
    Rule("visual.ln_pre.{leaf}", ("vision_model.pre_layrnorm.{leaf}",)),
    Rule("visual.ln_post.{leaf}", ("vision_model.post_layernorm.{leaf}",)),
    Rule("visual.proj", ("visual_projection.weight",), transposed=True),
    *_transformer_rules("visual.transformer", "vision_model"),
)


def backbone_rules(state: Mapping[str, Tensor]) -> tuple[Rule, ...]:
    """The rules for a CLIP with these of OpenAI's names: a ViT, or a ModifiedResNet."""
    return _VIT_RULES if _is_vit(state) else _MODIFIED_RESNET_RULES


def backbone_weights(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """OpenAI's state dict under `ClipBackbone`'s names; CheckpointError lists unknown ones."""
    return rename(state, backbone_rules(state), source, "a CLIP with OpenAI's names")


def openai_state(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`ClipBackbone`'s weights under OpenAI's names; CheckpointError lists those without one."""
    is_vit = "visual_projection.weight" in weights
    return rename_back(weights, _VIT_RULES if is_vit else _MODIFIED_RESNET_RULES)


def released_name(config: ClipBackboneConfig) -> str | None:
    """The one of OpenAI's models that has these sizes; its weights may be others."""
    vision = config.vision_config
    if isinstance(vision, ModifiedResNetConfig):
        tower = (*vision.layers, vision.width)
    else:
        tower = (vision.num_hidden_layers, vision.hidden_size, vision.patch_size)
    sizes = Sizes(tower, vision.image_size, config.projection_dim)
    return next((name for name, released in RELEASED.items() if released == sizes), None)


def backbone_config(
    state: Mapping[str, Tensor], source: str, activation: str = _ACTIVATION
) -> ClipBackboneConfig:
    """The sizes that the tensors (OpenAI's names) tell; CheckpointError where one is missing.

    `activation` is that of both transformers, by transformers' name.
    """
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
            hidden_act=activation,
            # The last two tokens are the start and the end of a text, which also pads.
            bos_token_id=vocab_size - 2,
            eos_token_id=vocab_size - 1,
            pad_token_id=vocab_size - 1,
        )
        vision = (
            _vit_config(state, projection_dim, activation)
            if _is_vit(state)
            else _modified_resnet_config(state, projection_dim)
        )
        return ClipBackboneConfig(
            text_config=text, vision_config=vision, projection_dim=projection_dim
        )
    except KeyError as error:
        raise CheckpointError(
            f"{source} lacks {error}, which tells the size of CLIP; give a CLIP state dict with "
            "OpenAI's names, or a transformers CLIP folder"
        ) from error
    except (IndexError, ValueError, ZeroDivisionError, StrictDataclassError) as error:
        raise CheckpointError(
            f"the tensors in {source} have OpenAI's names, but their shapes do not make a CLIP: "
            f"{error}. Check that the file is whole"
        ) from error


def _is_vit(state: Mapping[str, Tensor]) -> bool:
    return "visual.proj" in state


def _vit_config(
    state: Mapping[str, Tensor], projection_dim: int, activation: str
) -> CLIPVisionConfig:
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
        hidden_act=activation,
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

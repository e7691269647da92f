"""OpenAI's names of CLIP's tensors, and the sizes that the tensors show.

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
from dwc.convert.open_clip_config import UNSTATED, ClipSettings
from dwc.errors import CheckpointError
from dwc.modeling.configuration_dwc import ClipBackboneConfig, ModifiedResNetConfig

_HEAD_DIM = 64  # in every tower of OpenAI's
_WIDE_HEAD_DIMS = {1280: 80, 1408: 88, 1664: 104}  # of open_clip's ViT-H, ViT-g, ViT-bigG
_ACTIVATION = "quick_gelu"  # OpenAI's; no tensor shows it


class Sizes(NamedTuple):
    """What distinguishes the released models.

    Attributes:
        tower: Blocks of each stage and width of a ResNet; layers, width and patch of a ViT.
        image_size_px: Side of the images.
        projection_dim: Length of the features.
    """

    tower: tuple[int, ...]
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
    """Rules of a stack of residual attention blocks; the joint projection is split in three."""
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
            Rule(f"{block}.{part}.{{leaf}}", (f"{layer}.{part_name}.{{leaf}}",))
            for part, part_name in parts.items()
        ),
    ]


def _normalized_rules(convolution: str, norm: str, ours: str) -> list[Rule]:
    """Rules of a bias-free convolution and its batch norm."""
    return [
        Rule(f"{convolution}.weight", (f"{ours}.convolution.weight",)),
        Rule(f"{norm}.{{statistic}}", (f"{ours}.normalisation.{{statistic}}",)),
    ]


def _modified_resnet_rules() -> list[Rule]:
    rules = []
    for step in range(3):
        ours = f"vision_model.stem.{step}"
        rules += _normalized_rules(f"visual.conv{step + 1}", f"visual.bn{step + 1}", ours)
    for stage in range(4):
        block, ours = f"visual.layer{stage + 1}.{{n}}", f"vision_model.stages.{stage}.{{n}}"
        for step, part_name in enumerate(("reduce", "spatial", "expand"), start=1):
            rules += _normalized_rules(
                f"{block}.conv{step}", f"{block}.bn{step}", f"{ours}.{part_name}"
            )
        rules += _normalized_rules(
            f"{block}.downsample.0", f"{block}.downsample.1", f"{ours}.shortcut"
        )
    pool = "vision_model.attention_pool"
    rules.append(Rule("visual.attnpool.positional_embedding", (f"{pool}.position_embedding",)))
    for letter, part_name in {"q": "query", "k": "key", "v": "value", "c": "projection"}.items():
        rules.append(
            Rule(f"visual.attnpool.{letter}_proj.{{leaf}}", (f"{pool}.{part_name}.{{leaf}}",))
        )
    return rules


_TEXT_RULES = (
    Rule("token_embedding.weight", ("text_model.embeddings.token_embedding.weight",)),
    Rule("positional_embedding", ("text_model.embeddings.position_embedding.weight",)),
    Rule("ln_final.{leaf}", ("text_model.final_layer_norm.{leaf}",)),
    Rule("text_projection", ("text_projection.weight",), transposed=True),
    Rule("logit_scale", ("logit_scale",)),
    *_transformer_rules("transformer", "text_model"),
    # Numbers about the model, in the released archives only.
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
    """The rules for a CLIP with OpenAI's names: a ViT or a ModifiedResNet."""
    return _VIT_RULES if _is_vit(state) else _MODIFIED_RESNET_RULES


def backbone_weights(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Rename OpenAI's state dict to `ClipBackbone`'s names.

    Raises:
        CheckpointError: There are unknown names; the message lists them.
    """
    return rename(state, backbone_rules(state), source, "a CLIP with OpenAI's names")


def openai_state(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename `ClipBackbone`'s weights to OpenAI's names.

    Raises:
        CheckpointError: A tensor has no name there.
    """
    is_vit = "visual_projection.weight" in weights
    return rename_back(weights, _VIT_RULES if is_vit else _MODIFIED_RESNET_RULES)


def released_name(config: ClipBackboneConfig) -> str | None:
    """Name of OpenAI's model with these sizes; its weights may be others. None without a match."""
    vision = config.vision_config
    if isinstance(vision, ModifiedResNetConfig):
        tower = (*vision.layers, vision.width)
    else:
        tower = (vision.num_hidden_layers, vision.hidden_size, vision.patch_size)
    sizes = Sizes(tower, vision.image_size, config.projection_dim)
    return next((name for name, released in RELEASED.items() if released == sizes), None)


def backbone_config(
    state: Mapping[str, Tensor], source: str, settings: ClipSettings = UNSTATED
) -> ClipBackboneConfig:
    """Derive the sizes from tensors with OpenAI's names.

    Args:
        state: The tensors.
        source: Where they were read, for messages.
        settings: What tensors do not show. By default OpenAI's activation, heads of 64 channels,
            and in wide ViTs those of open_clip's.

    Raises:
        CheckpointError: A tensor is missing, or the shapes do not make a CLIP.
    """
    try:
        width = state["ln_final.weight"].shape[0]
        projection_dim = state["text_projection"].shape[1]
        vocab_size = state["token_embedding.weight"].shape[0]
        text = CLIPTextConfig(
            vocab_size=vocab_size,
            hidden_size=width,
            intermediate_size=state["transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
            num_hidden_layers=_count(state, r"transformer\.resblocks\.(\d+)\..*"),
            num_attention_heads=settings.text_heads or width // _HEAD_DIM,
            max_position_embeddings=state["positional_embedding"].shape[0],
            projection_dim=projection_dim,
            hidden_act=settings.activation or _ACTIVATION,
            # The last two tokens are the start and the end of a text, which also pads.
            bos_token_id=vocab_size - 2,
            eos_token_id=vocab_size - 1,
            pad_token_id=vocab_size - 1,
        )
        vision = (
            _vit_config(state, projection_dim, settings)
            if _is_vit(state)
            else _modified_resnet_config(state, projection_dim)
        )
        return ClipBackboneConfig(
            text_config=text, vision_config=vision, projection_dim=projection_dim
        )
    except KeyError as error:
        raise CheckpointError(
            f"{source} lacks {error}, which shows the size of CLIP; give a CLIP state dict with "
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
    state: Mapping[str, Tensor], projection_dim: int, settings: ClipSettings
) -> CLIPVisionConfig:
    width, _, patch_size, _ = state["visual.conv1.weight"].shape
    patches = state["visual.positional_embedding"].shape[0] - 1
    head_dim = settings.vision_head_dim or _WIDE_HEAD_DIMS.get(width, _HEAD_DIM)
    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=state["visual.transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        num_hidden_layers=_count(state, r"visual\.transformer\.resblocks\.(\d+)\..*"),
        num_attention_heads=width // head_dim,
        patch_size=patch_size,
        image_size=patch_size * round(patches**0.5),
        projection_dim=projection_dim,
        hidden_act=settings.activation or _ACTIVATION,
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
    """Count the different values of the pattern's group."""
    return len({match[1] for name in state if (match := re.fullmatch(pattern, name))})

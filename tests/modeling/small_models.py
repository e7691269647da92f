"""Models small enough for tests, and inputs for them."""

from typing import Any

import torch
from torch import Tensor, nn

from dwc.modeling.configuration_dwc import DWCConfig
from dwc.modeling.modeling_dwc import DWCModel

END = 2  # The end-of-text token; not the largest id, so that pooling at the largest one fails.
PAD = 1


def clip_config(vision: str = "vit") -> dict[str, Any]:
    towers = {
        "vit": {
            "model_type": "clip_vision_model",
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 16,
        },
        "resnet": {
            "model_type": "clip_modified_resnet",
            "layers": [2, 1, 1],
            "width": 8,
            "image_size": 64,
            "num_attention_heads": 4,
        },
    }
    text = {
        "vocab_size": 40,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 12,
        "bos_token_id": 0,
        "pad_token_id": PAD,
        "eos_token_id": END,
    }
    return {"text_config": text, "vision_config": towers[vision], "projection_dim": 20}


def cnn_config() -> dict[str, Any]:
    """Three stages: pictures of 64 pixels become 4 by 4 regions."""
    resnet = {"embedding_size": 8, "hidden_sizes": [8, 16, 24], "depths": [1, 1, 1]}
    return {
        "resnet_config": {**resnet, "layer_type": "basic"},
        "vocab_size": 15,
        "word_embedding_dim": 10,
        "hidden_dim": 16,
    }


def config(vision: str = "vit", **changes: Any) -> DWCConfig:
    settings = {
        "clip_config": clip_config(vision),
        "cnn_config": cnn_config(),
        "clip_embedding_dim": 20,
        "cnn_embedding_dim": 12,
    }
    return DWCConfig(**{**settings, **changes})


def scatter(module: nn.Module, seed: int = 0) -> None:
    """Give every tensor values of its own, so that no norm is the identity and no bias zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if not tensor.is_floating_point() or name.startswith("familiarity."):
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            kind = name.split(".")[-1]
            if tensor.dim() > 1:
                tensor.copy_(noise / tensor[0].numel() ** 0.5)
            elif kind == "running_var":
                tensor.copy_(1 + 0.1 * noise.abs())
            else:
                tensor.copy_({"p": 3.0, "weight": 1.0}.get(kind, 0.0) + 0.1 * noise)


def model(vision: str = "vit", seed: int = 0, **changes: Any) -> DWCModel:
    built = DWCModel(config(vision, **changes)).eval()
    scatter(built, seed)
    return built


def pictures(count: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def texts() -> dict[str, Tensor]:
    """Three texts of unequal length, in both forms."""
    clip_input_ids = torch.tensor(
        [[0, 7, 30, END, PAD, PAD], [0, 39, END, PAD, PAD, PAD], [0, 8, 9, 10, 11, END]]
    )
    word_ids = torch.tensor([[4, 5, 0, 0], [6, 0, 0, 0], [0, 7, 8, 9]])
    word_mask = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]])
    return {
        "clip_input_ids": clip_input_ids,
        "clip_attention_mask": (clip_input_ids != PAD).long(),
        "word_ids": word_ids,
        "word_mask": word_mask,
    }


def alone(inputs: dict[str, Tensor], row: int) -> dict[str, Tensor]:
    """One row of a batch of texts, its padding cut off."""
    length = int(inputs["clip_attention_mask"][row].sum())
    words = int(inputs["word_mask"][row].sum())
    lengths = {"clip": length, "word": words}
    return {
        name: tensor[row : row + 1, : lengths[name.split("_")[0]]]
        for name, tensor in inputs.items()
    }

"""A whole checkpoint of a few thousand random weights: both streams, familiarity, vocabularies."""

from pathlib import Path

import torch
from transformers import CLIPTextConfig, CLIPVisionConfig, ResNetConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from dwc.checkpoints.save import save_checkpoint
from dwc.modeling.configuration_dwc import ClipBackboneConfig, CnnStreamConfig, DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor, build_word_tokenizer
from dwc.training.catalogue.recipe import train_clip_tokenizer

CAPTIONS = ["is blue with a v-neck", "is shorter and red", "has no sleeves", "is more formal"]
SIZE_PX = 32
MAX_TOKENS = 24


def write_tiny_checkpoint(folder: Path, seed: int = 0, combiner: str = "dwc") -> Path:
    """Write the checkpoint; another seed is another model, with another fingerprint."""
    torch.manual_seed(seed)
    clip_tokenizer = train_clip_tokenizer(CAPTIONS, 560, max_tokens=MAX_TOKENS)
    word_tokenizer = build_word_tokenizer(CAPTIONS)
    shape = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "projection_dim": 12,
    }
    text = CLIPTextConfig(
        **shape,
        vocab_size=len(clip_tokenizer),
        max_position_embeddings=MAX_TOKENS,
        bos_token_id=clip_tokenizer.bos_token_id,
        eos_token_id=clip_tokenizer.eos_token_id,
        pad_token_id=clip_tokenizer.pad_token_id,
    )
    vision = CLIPVisionConfig(**shape, image_size=SIZE_PX, patch_size=16)
    resnet = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        downsample_in_first_stage=False,
    )
    config = DWCConfig(
        clip_config=ClipBackboneConfig(text_config=text, vision_config=vision, projection_dim=12),
        cnn_config=CnnStreamConfig(
            resnet_config=resnet,
            vocab_size=len(word_tokenizer),
            word_embedding_dim=8,
            hidden_dim=16,
        ),
        clip_embedding_dim=12,
        cnn_embedding_dim=16,
        combiner=combiner,
        caption_template={"single": "<BOS> {0} <EOS>", "pair": "<BOS> {0} <AND> {1} <EOS>"},
        familiarity=True,
    )
    model = DWCModel(config).eval()
    model.familiarity.threshold.fill_(100.0)  # no picture is unfamiliar to random weights
    size = {"height": SIZE_PX, "width": SIZE_PX}
    pictures = CLIPImageProcessorPil(size=size, do_center_crop=False)
    return save_checkpoint(model, DWCProcessor(pictures, clip_tokenizer, word_tokenizer), folder)

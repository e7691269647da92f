"""A FashionIQ of drawings of 32 pixels, with a CLIP and a ResNet of that size, all as files."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel, ResNetConfig, ResNetModel

from dwc.catalogue.export import draw_images, triplets_of, write_fashion_iq
from dwc.catalogue.splits import gallery, training_triplets
from dwc.datasets.fashion_iq import CATEGORIES
from dwc.training.catalogue.recipe import train_clip_tokenizer

PX = 32
ITEMS, TRIPLETS = {"train": 20, "val": 12}, {"train": 24, "val": 8}  # a category
SMALL = ("embedding_dim=32", "word_embedding_dim=16", "hidden_dim=32", "batch_size=8")


@dataclass(frozen=True)
class World:
    """Where the files are; each of `clip` and `resnet` is a folder as transformers writes it."""

    data: Path
    clip: Path
    resnet: Path


def make_world(root: Path) -> World:
    """Write all of it."""
    world = World(root / "fashion_iq", root / "clip", root / "resnet")
    captions = write_data(world.data)
    write_clip(world.clip, captions)
    torch.manual_seed(1)
    resnet = ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic"
    )
    ResNetModel(resnet).save_pretrained(world.resnet)
    return world


def write_data(root: Path) -> list[str]:
    """FashionIQ's files with drawings in the place of photographs; all captions."""
    captions = []
    for split in ("train", "val"):
        every = gallery(split, len(CATEGORIES) * ITEMS[split])
        draw_images(root, every, PX, suffix=".png")
        for number, category in enumerate(CATEGORIES):
            items = every[number * ITEMS[split] : (number + 1) * ITEMS[split]]
            triplets = triplets_of(items, training_triplets(items, 0, TRIPLETS[split]))
            write_fashion_iq(root, category, split, items, triplets)
            captions += [caption for triplet in triplets for caption in triplet.captions]
    return captions


def write_clip(folder: Path, captions: list[str]) -> None:
    """A CLIP that knows nothing, with a tokenizer of its own."""
    tokenizer = train_clip_tokenizer(captions, 1_500, 77)
    end = tokenizer.eos_token_id
    tower = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    tower |= {"num_attention_heads": 2}
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={
            **tower, "vocab_size": len(tokenizer), "bos_token_id": end - 1, "eos_token_id": end,
            "pad_token_id": end, "max_position_embeddings": 77,
        },
        vision_config={**tower, "image_size": PX, "patch_size": 8},
        projection_dim=24,
    )  # fmt: skip
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)

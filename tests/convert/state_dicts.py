"""State dicts as the authors' code and OpenAI's write them, at any size: names and shapes."""

import json
from pathlib import Path

import torch

GOLDEN = Path(__file__).parents[1] / "golden"
SHAPES = {
    name: json.loads((GOLDEN / f"golden_{name}.json").read_text())["shapes"]
    for name in ("rn50", "vitb32")
}
CAPTIONS = json.loads((GOLDEN / "texts.json").read_text())["vocabulary_texts"]
TOKENS, MAX_TOKENS = 600, 20
STATISTICS = ("weight", "bias", "running_mean", "running_var")


def norm(name, size):
    shapes = {f"{name}.{statistic}": [size] for statistic in STATISTICS}
    return {**shapes, f"{name}.num_batches_tracked": []}


def linear(name, outputs, inputs):
    return {f"{name}.weight": [outputs, inputs], f"{name}.bias": [outputs]}


def transformer(name, layers, width):
    shapes = {}
    for layer in range(layers):
        block = f"{name}.resblocks.{layer}"
        shapes |= {f"{block}.attn.in_proj_weight": [3 * width, width]}
        shapes |= {f"{block}.attn.in_proj_bias": [3 * width]}
        shapes |= linear(f"{block}.attn.out_proj", width, width)
        shapes |= linear(f"{block}.mlp.c_fc", 4 * width, width)
        shapes |= linear(f"{block}.mlp.c_proj", width, 4 * width)
        for number in (1, 2):
            shapes |= {f"{block}.ln_{number}.weight": [width], f"{block}.ln_{number}.bias": [width]}
    return shapes


def text_tower(embed_dim, width, layers, vocab_size, context):
    return {
        "positional_embedding": [context, width],
        "text_projection": [width, embed_dim],
        "logit_scale": [],
        "token_embedding.weight": [vocab_size, width],
        "ln_final.weight": [width],
        "ln_final.bias": [width],
        **transformer("transformer", layers, width),
    }


def modified_resnet(layers, width, image_size, embed_dim):
    shapes = {}
    stem = [(3, width // 2), (width // 2, width // 2), (width // 2, width)]
    for number, (inputs, outputs) in enumerate(stem, start=1):
        shapes |= {f"visual.conv{number}.weight": [outputs, inputs, 3, 3]}
        shapes |= norm(f"visual.bn{number}", outputs)
    inputs = width
    for stage, blocks in enumerate(layers):
        planes = width * 2**stage
        for block in range(blocks):
            name = f"visual.layer{stage + 1}.{block}"
            steps = [(inputs, planes, 1), (planes, planes, 3), (planes, 4 * planes, 1)]
            for number, (before, after, kernel) in enumerate(steps, start=1):
                shapes |= {f"{name}.conv{number}.weight": [after, before, kernel, kernel]}
                shapes |= norm(f"{name}.bn{number}", after)
            if block == 0:
                shapes |= {f"{name}.downsample.0.weight": [4 * planes, inputs, 1, 1]}
                shapes |= norm(f"{name}.downsample.1", 4 * planes)
            inputs = 4 * planes
    shapes |= {"visual.attnpool.positional_embedding": [(image_size // 32) ** 2 + 1, inputs]}
    for letter in "kqv":
        shapes |= linear(f"visual.attnpool.{letter}_proj", inputs, inputs)
    return shapes | linear("visual.attnpool.c_proj", embed_dim, inputs)


def vit(layers, width, patch, image_size, embed_dim):
    shapes = {
        "visual.class_embedding": [width],
        "visual.positional_embedding": [(image_size // patch) ** 2 + 1, width],
        "visual.proj": [width, embed_dim],
        "visual.conv1.weight": [width, 3, patch, patch],
    }
    for norm_name in ("ln_pre", "ln_post"):
        shapes |= {f"visual.{norm_name}.{leaf}": [width] for leaf in ("weight", "bias")}
    return shapes | transformer("visual.transformer", layers, width)


# As the models are described: image tower, embedding, text width; all texts have 12 layers.
RELEASED = {
    "RN50": (modified_resnet([3, 4, 6, 3], 64, 224, 1024), 1024, 512),
    "RN101": (modified_resnet([3, 4, 23, 3], 64, 224, 512), 512, 512),
    "RN50x4": (modified_resnet([4, 6, 10, 6], 80, 288, 640), 640, 640),
    "RN50x16": (modified_resnet([6, 8, 18, 8], 96, 384, 768), 768, 768),
    "ViT-B/32": (vit(12, 768, 32, 224, 512), 512, 512),
    "ViT-B/16": (vit(12, 768, 16, 224, 512), 512, 512),
}


def released_shapes(name):
    image_tower, embed_dim, width = RELEASED[name]
    return {**text_tower(embed_dim, width, 12, 49408, 77), **image_tower}


def hollow(shapes):
    """Tensors of these shapes that take no memory."""
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def tiny_clip_shapes(kind):
    """A CLIP with OpenAI's names of 64 (ViT) or 32 (ResNet) pixels, features of length 24."""
    images = {
        "vit": vit(2, 64, 32, 64, 24),
        "resnet": modified_resnet([1, 1, 1, 1], 16, 64, 24),
    }
    return {**text_tower(24, 64, 2, TOKENS, MAX_TOKENS), **images[kind]}


def fill(shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.tensor(0)
        if name.endswith("num_batches_tracked")
        else torch.rand(shape, generator=generator) / max(1, shape[-1] if shape else 1) ** 0.5
        for name, shape in shapes.items()
    }


def global_shapes(features=24, dim=16):
    """The authors' CLIP stream at another size than theirs."""
    scale = {512: features, 1024: dim, 2048: 2 * dim}
    shapes = SHAPES["vitb32"]["global"]
    return {name: [scale.get(size, size) for size in shape] for name, shape in shapes.items()}


def local_state():
    """The authors' CNN stream at full size, one small value a tensor, in a few kilobytes."""
    return {
        name: torch.tensor(
            [1.0 + number if name.endswith("running_var") else number * 1e-6]
        ).expand(shape)
        if shape
        else torch.tensor(number)
        for number, (name, shape) in enumerate(SHAPES["rn50"]["local"].items())
    }


def rewrite(file, **changes):
    """Change tensors of a `.pth` of the authors; None takes one away."""
    state = torch.load(file, weights_only=True)["model_state_dict"]
    state = {name: tensor for name, tensor in {**state, **changes}.items() if tensor is not None}
    torch.save({"model_state_dict": state}, file)

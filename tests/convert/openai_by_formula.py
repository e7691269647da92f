"""CLIP computed straight from OpenAI's state dict, as Radford et al. 2021 describe it."""

import torch
from torch.nn import functional

HEAD_DIM = 64


def text_features(state, ids, end):
    """Token ids (L,) -> features (F,), read where the text ends."""
    tokens = state["token_embedding.weight"][ids] + state["positional_embedding"][: len(ids)]
    states = transform(state, "transformer", tokens, causal=True)
    states = layer_norm(state, "ln_final", states)
    return states[ids.tolist().index(end)] @ state["text_projection"]


def image_features(state, pixels):
    """A normalised picture (3, H, W) -> features (F,)."""
    return (vit if "visual.proj" in state else modified_resnet)(state, pixels)


def vit(state, pixels):
    kernel = state["visual.conv1.weight"]
    patches = functional.conv2d(pixels[None], kernel, stride=kernel.shape[-1])[0].flatten(1).T
    tokens = torch.cat([state["visual.class_embedding"][None], patches])
    tokens = layer_norm(state, "visual.ln_pre", tokens + state["visual.positional_embedding"])
    tokens = transform(state, "visual.transformer", tokens, causal=False)
    return layer_norm(state, "visual.ln_post", tokens[0]) @ state["visual.proj"]


def modified_resnet(state, pixels):
    features = pixels[None]
    for number in (1, 2, 3):
        stride = 2 if number == 1 else 1
        features = convolve(state, f"visual.conv{number}", f"visual.bn{number}", features, stride)
        features = functional.relu(features)
    features = functional.avg_pool2d(features, 2)
    for stage in (1, 2, 3, 4):
        block = 0
        while f"visual.layer{stage}.{block}.conv1.weight" in state:
            shrinks = 2 if stage > 1 and block == 0 else 1
            features = bottleneck(state, f"visual.layer{stage}.{block}", features, shrinks)
            block += 1
    regions = features[0].flatten(1).T
    tokens = torch.cat([regions.mean(dim=0, keepdim=True), regions])
    tokens = tokens + state["visual.attnpool.positional_embedding"]
    query, key, value = (linear(state, f"visual.attnpool.{one}_proj", tokens) for one in "qkv")
    return linear(state, "visual.attnpool.c_proj", attend(query[:1], key, value)[0])


def bottleneck(state, name, features, shrinks):
    residual = functional.relu(convolve(state, f"{name}.conv1", f"{name}.bn1", features))
    residual = functional.relu(convolve(state, f"{name}.conv2", f"{name}.bn2", residual))
    residual = functional.avg_pool2d(residual, shrinks)
    residual = convolve(state, f"{name}.conv3", f"{name}.bn3", residual)
    if f"{name}.downsample.0.weight" in state:
        features = functional.avg_pool2d(features, shrinks)
        features = convolve(state, f"{name}.downsample.0", f"{name}.downsample.1", features)
    return functional.relu(residual + features)


def convolve(state, name, norm, features, stride=1):
    kernel = state[f"{name}.weight"]
    features = functional.conv2d(features, kernel, stride=stride, padding=kernel.shape[-1] // 2)
    mean, variance, weight, bias = (
        state[f"{norm}.{one}"].view(-1, 1, 1)
        for one in ("running_mean", "running_var", "weight", "bias")
    )
    return (features - mean) / (variance + 1e-5).sqrt() * weight + bias


def transform(state, name, tokens, causal):
    layer = 0
    while f"{name}.resblocks.{layer}.ln_1.weight" in state:
        block = f"{name}.resblocks.{layer}"
        inputs = layer_norm(state, f"{block}.ln_1", tokens)
        joint = functional.linear(
            inputs, state[f"{block}.attn.in_proj_weight"], state[f"{block}.attn.in_proj_bias"]
        )
        mixed = attend(*joint.chunk(3, dim=-1), causal)
        tokens = tokens + linear(state, f"{block}.attn.out_proj", mixed)
        hidden = linear(state, f"{block}.mlp.c_fc", layer_norm(state, f"{block}.ln_2", tokens))
        hidden = hidden * torch.sigmoid(1.702 * hidden)
        tokens = tokens + linear(state, f"{block}.mlp.c_proj", hidden)
        layer += 1
    return tokens


def attend(query, key, value, causal=False):
    heads = []
    for start in range(0, query.shape[-1], HEAD_DIM):
        q, k, v = (one[:, start : start + HEAD_DIM] for one in (query, key, value))
        scores = q @ k.T / HEAD_DIM**0.5
        if causal:
            scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -torch.inf)
        heads.append(scores.softmax(dim=-1) @ v)
    return torch.cat(heads, dim=-1)


def linear(state, name, inputs):
    return inputs @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def layer_norm(state, name, inputs):
    centred = inputs - inputs.mean(dim=-1, keepdim=True)
    scaled = centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]

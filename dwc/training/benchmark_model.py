"""The model that a benchmark's training starts from: a frozen CLIP, and ImageNet's ResNet."""

from collections.abc import Mapping, Sequence

import torch
from transformers import ResNetModel

from dwc.agreement import check_agreement
from dwc.checkpoint import without_progress_bar
from dwc.convert.clip_tokenizer import find_clip_tokenizer
from dwc.convert.conversion import authors_pictures
from dwc.convert.sources import read_clip
from dwc.convert.whole_models import read_whole
from dwc.errors import CheckpointError
from dwc.modeling.combiners import combiner_class
from dwc.modeling.configuration import CnnStreamConfig, DWCConfig
from dwc.modeling.model import DWCModel
from dwc.processing import DWCProcessor, build_word_tokenizer
from dwc.training.presets import BenchmarkPreset

RESNET = "microsoft/resnet-50"
"""ImageNet's ResNet-50, from which the authors start their CNN stream."""


@without_progress_bar()
def build_model(
    clip: str,
    resnet: str,
    captions: Sequence[str],
    preset: BenchmarkPreset,
    template: Mapping[str, str],
    clip_tokenizer: str | None = None,
) -> tuple[DWCModel, DWCProcessor]:
    """A model in eval mode whose heads know nothing yet, and its processor.

    `clip` is a Hub id, a transformers folder, or a file of OpenAI's weights (RN50 and its family
    are files only); `resnet` a Hub id or folder of transformers' ResNet, not looked at where the
    preset has no CNN stream. The word vocabulary is that of `captions`, in order. Pictures are
    resized to CLIP's size at the short side, bicubic, and cut out of the centre, for both streams;
    with CLIP's mean and standard deviation.

    Raises CheckpointError where CLIP, its tokenizer, or the ResNet cannot be read whole.
    """
    source = read_clip(clip)
    tokenizer = find_clip_tokenizer(clip_tokenizer, clip, source.config)
    if tokenizer is None:
        raise CheckpointError(
            f"{clip} comes without CLIP's tokenizer, and none is within reach. Give it with "
            "--clip-tokenizer: bpe_simple_vocab_16e6.txt.gz of openai/CLIP, or a folder"
        )
    words = backbone = cnn_config = None
    if preset.has_cnn:
        backbone, words = _read_resnet(resnet), build_word_tokenizer(captions)
        cnn_config = CnnStreamConfig(
            resnet_config=backbone.config,
            vocab_size=len(words),
            word_embedding_dim=preset.word_embedding_dim,
            hidden_dim=preset.hidden_dim,
        )
    has_own_projections = combiner_class(preset.combiner).uses_projections
    torch.manual_seed(preset.seed)
    model = DWCModel(
        DWCConfig(
            clip_config=source.config,
            cnn_config=cnn_config,
            combiner=preset.combiner,
            clip_embedding_dim=preset.embedding_dim
            if has_own_projections
            else source.config.projection_dim,
            cnn_embedding_dim=preset.embedding_dim,
            dropout=preset.dropout,
            caption_template=dict(template),
        )
    )
    assert model.clip is not None  # so says the config
    model.clip.load_state_dict(source.weights)
    if model.cnn_stream is not None and backbone is not None:
        model.cnn_stream.resnet.load_state_dict(backbone.state_dict())
    size_px = source.config.vision_config.image_size
    processor = DWCProcessor(authors_pictures(size_px), tokenizer, words)
    check_agreement(model, processor, clip)
    return model.eval(), processor


def _read_resnet(name: str) -> ResNetModel:
    return read_whole(
        ResNetModel,
        name,
        f"Give a ResNet of transformers, by its folder or Hub name, such as {RESNET}: --resnet",
        unread=("classifier.",),
        spare=(".num_batches_tracked",),  # counters of batch norms, which nothing here reads
    )

"""Where PL's stage two may start: at a checkpoint's own CLIP, or at one from elsewhere."""

from pathlib import Path

from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from dwc import checkpoint
from dwc.convert.clip_tokenizer import find_clip_tokenizer
from dwc.convert.sources import read_clip
from dwc.errors import CheckpointError
from dwc.modeling.clip_backbone import ClipBackbone
from dwc.processing import DWCProcessor
from dwc.training.progressive.recipe import Start


def start_from_checkpoint(name: str | Path | None) -> Start:
    """The CLIP of a checkpoint of this project; None is the bundled one.

    Raises CheckpointError where it cannot be loaded, or has no CLIP.
    """
    loaded = checkpoint.load(name)
    if loaded.model.clip is None:
        raise CheckpointError(f"{loaded.name} has no CLIP to start from; give one that has.")
    return Start(loaded.name, loaded.model.clip, loaded.processor)


def start_from_clip(source: str, clip_tokenizer: str | None = None) -> Start:
    """OpenAI's CLIP or any like it: a Hub id, a transformers folder, or a file of weights.

    Pictures are resized to its size at the short side and cut out of the centre, with CLIP's mean
    and standard deviation. Raises CheckpointError where CLIP or its tokenizer cannot be read.
    """
    with checkpoint.without_progress_bar():
        found = read_clip(source)
        tokenizer = find_clip_tokenizer(clip_tokenizer, source, found.config)
    if tokenizer is None:
        raise CheckpointError(
            f"{source} comes without CLIP's tokenizer, and none is within reach. Give it with "
            "--clip-tokenizer: bpe_simple_vocab_16e6.txt.gz of openai/CLIP, or a folder"
        )
    clip = ClipBackbone(found.config)
    clip.load_state_dict(found.weights)
    size_px = found.config.vision_config.image_size
    pictures = CLIPImageProcessorPil(
        size={"shortest_edge": size_px}, crop_size={"height": size_px, "width": size_px}
    )
    # Its own tokenizer reads every word; there is no CNN stream that would need another.
    return Start(source, clip, DWCProcessor(pictures, tokenizer))

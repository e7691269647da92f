"""Progressive Learning (PL) on drawn garments, from a recipe to an evaluated checkpoint.

    draw_pool -> (make_processor -> stage one) or pretrained CLIP -> stage two -> stage three
              -> a complete checkpoint -> its evaluation

`ProgressiveBatches` makes the batches. Stage one has one short caption per garment, with a noun
and one or two attributes. Stage two has two images of each garment, and texts as in an online shop:
descriptions, most of them complete, and tags about single attributes. Stage three has composed
queries.

Each stage saves its state in the work folder, so an interrupted run can resume.
"""

import copy
import logging
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from dwc.catalogue.language.description import describe, describe_fully
from dwc.catalogue.language.statements import say_color, say_value
from dwc.catalogue.language.vocabulary import nouns_for
from dwc.catalogue.queries import benchmark, queries
from dwc.catalogue.schema import Garment
from dwc.catalogue.splits import Split, gallery, training_triplets
from dwc.checkpoints.load import EVALUATION, Checkpoint
from dwc.checkpoints.model_card import write_progressive_card
from dwc.checkpoints.save import save_and_load
from dwc.checkpoints.validate import prepared_image_size
from dwc.datasets.triplets import Benchmark
from dwc.errors import CheckpointError, TrainingError
from dwc.evaluation.catalogue import CatalogueImages
from dwc.files import description_digest, write_json
from dwc.modeling.clip_stream import ClipBackbone, ClipStream
from dwc.modeling.configuration_dwc import DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor
from dwc.training.catalogue.augmentation import random_views
from dwc.training.catalogue.batches import CatalogueBatches
from dwc.training.catalogue.drawn_pool import DrawnPool, PoolTriplet, draw_pool
from dwc.training.catalogue.pretraining import PairBatch
from dwc.training.catalogue.recipe import MEAN, PICTURE_PX, STD, make_processor
from dwc.training.catalogue.train_catalogue import fit_ood
from dwc.training.data_loading import shard_and_prefetch
from dwc.training.feature_cache import (
    CachedTowers,
    Preprocessing,
    cache_tower_inputs,
    weights_digest,
)
from dwc.training.loop import LoopSettings, launched_processes, new_accelerator
from dwc.training.progressive.ablation import (
    AblationQueries,
    encode_queries,
    rank_queries,
    weight_ablation,
)
from dwc.training.progressive.recipe import (
    FIXED_COMBINER,
    ProgressiveRecipe,
    Stage,
    Start,
    progressive_config,
    small_clip,
)
from dwc.training.progressive.stages import (
    FashionBatch,
    train_fashion,
    train_hybrid,
    train_open_domain,
)
from dwc.training.run_dir import claim, merge_logs, recipe_record

logger = logging.getLogger(__name__)

TEMPLATE = {"single": "{0}", "pair": "{0} and {1}"}
_CAPTION_DETAIL = 0.25  # maximum share of a garment's attributes in a stage-one caption
_FULL_SHARE = 0.6  # share of stage-two descriptions that mention every attribute


class Described(Protocol):
    """Interface of a drawn or photographed garment with known attributes."""

    @property
    def category(self) -> str:
        """Category of the garment, such as "dress"."""

    def get(self, attribute: str) -> str | None:
        """Return an attribute's value, or None if the attribute is missing or unknown."""


@dataclass(frozen=True)
class Tag:
    """Short text: a noun for a garment, such as "dress", or an attribute, such as "long sleeves".

    Attributes:
        text: The text.
        allowed: Attribute name -> values of the attribute that match the text.
        category: Category of the garments that the text applies to; None for all categories.
    """

    text: str
    allowed: dict[str, frozenset[str]]
    category: str | None = None

    def suits(self, garment: Described) -> bool:
        """Return whether the tag matches a garment.

        If the tag has a category, the garment must have the same category. For each attribute in
        `allowed`, the garment must have one of the listed values.
        """
        if self.category not in (None, garment.category):
            return False
        return all(garment.get(name) in values for name, values in self.allowed.items())


def draw_tag(garment: Garment, rng: random.Random) -> Tag:
    """Return a random tag of a garment: a noun for it, or words for one of its attributes."""
    name = rng.choice(["kind", *(name for name in garment.attributes if name != "second_colour")])
    if name == "kind":
        noun = rng.choice(nouns_for(garment))
        return Tag(noun.text, dict(noun.says), garment.category)
    if name == "colour":
        statement = say_color(rng, garment["colour"], None)
    else:
        statement = say_value(rng, garment.category, name, garment[name])
    text = f"no {statement.text}" if statement.form == "no" else statement.text
    # The same words can mean different lengths for different kinds of garment.
    category = None if name in ("colour", "shade", "pattern") else garment.category
    return Tag(text, dict(statement.allowed), category)


@dataclass(frozen=True)
class ProgressiveBatches(CatalogueBatches):
    """Batches of drawings for the three training stages of Progressive Learning (PL).

    Attributes:
        size_px: Side of the square input images in pixels.
        mean: Mean to subtract from each channel, for values in [0, 1].
        std: Standard deviation to divide each channel by.
        cached: Inputs (views, garments, K) of CLIP's last image layer, from `cache_tower_inputs`: K
            numbers for each augmented copy ("view") of each drawing. If given, batches have these
            inputs instead of pixels; if None, batches have pixels.
    """

    size_px: int = PICTURE_PX
    mean: Sequence[float] = MEAN
    std: Sequence[float] = STD
    cached: Tensor | None = None

    def open_domain(self, size: int) -> Callable[[int], PairBatch]:
        """Return a function that makes the batches of stage one of Progressive Learning (PL).

        A batch has `size` random garments, each with a short caption.

        Returns:
            A function that takes a step number and returns the batch of that step.
        """

        def batch(step: int) -> PairBatch:
            generator, rng = self._random("open_domain", step)
            indices = torch.randint(0, len(self.pool.items), (size,), generator=generator)
            captions = [
                describe(garment, rng, detail=rng.uniform(0, _CAPTION_DETAIL))
                for garment in self._garments(indices)
            ]
            inputs = self.processor(text=captions)
            return PairBatch(
                self._views(indices, generator),
                inputs["clip_input_ids"],
                inputs["clip_attention_mask"],
            )

        return batch

    def fashion(self, size: int) -> Callable[[int], FashionBatch]:
        """Return a function that makes the batches of stage two of Progressive Learning (PL).

        A batch has `size` garments, each with two images, a description and a tag. About half of
        the garments come in groups of similar garments (hard negatives).

        Returns:
            A function that takes a step number and returns the batch of that step.
        """

        def batch(step: int) -> FashionBatch:
            generator, rng = self._random("fashion", step)
            negatives = self._hard_negatives(size // 2, generator)
            others = torch.randint(
                0, len(self.pool.items), (size - len(negatives),), generator=generator
            )
            indices = torch.cat([negatives, others])
            garments = self._garments(indices)
            descriptions = self.processor(
                text=[
                    (describe_fully if rng.random() < _FULL_SHARE else describe)(garment, rng)
                    for garment in garments
                ]
            )
            tags = [draw_tag(garment, rng) for garment in garments]
            tag_inputs = self.processor(text=[tag.text for tag in tags])
            return FashionBatch(
                pixels=self._views(indices, generator),
                input_ids=descriptions["clip_input_ids"],
                attention_mask=descriptions["clip_attention_mask"],
                labels=indices,
                other_pixels=self._views(indices, generator),
                tag_ids=tag_inputs["clip_input_ids"],
                tag_mask=tag_inputs["clip_attention_mask"],
                has_tag=torch.tensor([[tag.suits(g) for tag in tags] for g in garments]),
            )

        return batch

    def _views(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        if self.cached is not None:
            views = torch.randint(0, len(self.cached), (len(indices),), generator=generator)
            return self.cached[views, indices].float()
        images = self.pool.take(indices, generator)
        return random_views(images, self.size_px, generator, self.mean, self.std)


@dataclass(frozen=True)
class TrainedProgressive:
    """Result of a training run: the trained model, in eval mode, and its processor."""

    model: DWCModel
    processor: DWCProcessor


@dataclass(frozen=True)
class _Parts:
    """Modules that the stages train, and their training data.

    Attributes:
        clip: The CLIP model to train.
        towers: Image and text encoders: `clip`, or a stand-in that takes cached inputs and shares
            parameters with `clip`.
        stream: The CLIP stream with the combiner.
        batches: Batches of all stages.
        triplets: Training triplets of stage three.
    """

    clip: ClipBackbone
    towers: ClipBackbone | CachedTowers
    stream: ClipStream
    batches: ProgressiveBatches
    triplets: list[PoolTriplet]


def train_progressive(
    recipe: ProgressiveRecipe,
    work: Path,
    start: Start | None = None,
    until: Stage = "hybrid",
    drawings: Path | None = None,
) -> TrainedProgressive:
    """Run a recipe's stages of Progressive Learning (PL) and return the trained model.

    A stage whose finished state is in `work` is loaded instead of repeated, so stages can be run
    one at a time. If stage three is not run, no image weight is learned, and image and text have
    equal weights.

    Args:
        recipe: The hyperparameters.
        work: Folder of saved training states, logs and caches.
        start: A pretrained CLIP model. A copy of it is trained, beginning with stage two. None to
            train a CLIP model from scratch.
        until: The last stage to run.
        drawings: Folder for the file of training drawings, `work` by default; the file is created
            if it is missing.

    Raises:
        TrainingError: `work` belongs to another recipe or another `start`, the recipe caches images
            but `start` is None, or the disk is full.
    """
    if recipe.cached_views and start is None:
        raise TrainingError(
            f"cached_views is {recipe.cached_views}, which needs a CLIP that was trained on such "
            "pictures; give one to start from, or 0."
        )
    torch.manual_seed(recipe.seed)
    processes = launched_processes()
    drawings = drawings or work
    with processes.main_process_first():  # the first process draws, the others load its file
        claim(work, _claimed(recipe, start))
        pool = draw_pool(recipe.pool, drawings, workers=os.cpu_count() or 1)
    if start is None:
        processor = make_processor(pool.items, recipe.seed, recipe.vocabulary_texts)
        clip = ClipBackbone(small_clip(processor))
    else:
        processor, clip = start.processor, copy.deepcopy(start.clip).requires_grad_(True)
    stages = recipe.stages_until(until)
    preprocessing = preprocessing_of(processor)
    config = progressive_config(
        clip.config,
        recipe.combiner if "hybrid" in stages else FIXED_COMBINER,
        recipe.dropout,
        TEMPLATE,
        familiarity=preprocessing == (PICTURE_PX, MEAN, STD),
    )
    parts = _build_parts(recipe, config, clip, processor, preprocessing, pool)
    if recipe.cached_views and start is not None:
        with processes.main_process_first():
            parts = _with_cached_images(parts, recipe, start, preprocessing, work)
    for stage in stages:
        if start is None or stage != "open_domain":
            _run_stage(stage, recipe, parts, work)

    model = DWCModel(config)
    assert model.clip is not None  # see progressive_config
    assert model.clip_stream is not None
    model.clip.load_state_dict(clip.state_dict())
    model.clip_stream.load_state_dict(parts.stream.state_dict())
    model.to("cpu").eval()
    if config.familiarity:
        with processes.main_process_first():
            fit_ood(model, recipe.pool, recipe.ood_items, recipe.seed, drawings)
    return TrainedProgressive(model, processor)


def _build_parts(
    recipe: ProgressiveRecipe,
    config: DWCConfig,
    clip: ClipBackbone,
    processor: DWCProcessor,
    preprocessing: Preprocessing,
    pool: DrawnPool,
) -> _Parts:
    stream = ClipStream(
        clip.config.projection_dim, config.clip_embedding_dim, config.combiner, config.dropout
    )
    triplets = list(training_triplets(pool.items, recipe.seed, recipe.triplets))
    size_px, mean, std = preprocessing
    batches = ProgressiveBatches(
        pool,
        processor,
        recipe.seed,
        config.caption_template,
        size_px=size_px,
        mean=mean,
        std=std,
    )
    return _Parts(clip, clip, stream, batches, triplets)


def _with_cached_images(
    parts: _Parts,
    recipe: ProgressiveRecipe,
    start: Start,
    preprocessing: Preprocessing,
    work: Path,
) -> _Parts:
    """Return `parts` with batches of cached inputs of CLIP's last image layer, not of pixels.

    `parts` are the modules to train and their training data. The inputs are computed if they are
    not in the work folder; see `cache_tower_inputs`.
    """
    name = description_digest(
        [start_name(start), recipe.seed, preprocessing, recipe.cached_views, asdict(recipe.pool)]
    )
    cached = cache_tower_inputs(
        parts.clip,
        parts.batches.pool,
        recipe.cached_views,
        recipe.seed,
        preprocessing,
        work,
        name,
        recipe.mixed_precision,
    )
    batches = replace(parts.batches, cached=cached)
    return replace(parts, batches=batches, towers=CachedTowers(parts.clip))


def _run_stage(stage: Stage, recipe: ProgressiveRecipe, parts: _Parts, work: Path) -> None:
    # Each stage has its own seed, so that stages run one at a time use the same random numbers.
    torch.manual_seed(random.Random(f"{recipe.seed}/{stage}").getrandbits(63))
    accelerator = new_accelerator(mixed_precision=recipe.mixed_precision)
    steps = getattr(recipe, stage).total_steps
    loop = LoopSettings(steps, work)

    def load(make: Callable[[int], Any]) -> Callable[[int], Any]:
        return shard_and_prefetch(make, steps, accelerator)

    batches = parts.batches
    if stage == "open_domain":
        pairs = load(batches.open_domain(recipe.open_domain_batch))
        train_open_domain(parts.clip, pairs, recipe.open_domain, accelerator, loop)
    elif stage == "fashion":
        products = load(batches.fashion(recipe.fashion_batch))
        train_fashion(parts.towers, products, recipe.fashion, accelerator, loop)
    else:
        shares = recipe.text_only_share, recipe.image_only_share
        triplets = load(batches.triplets(parts.triplets, recipe.hybrid_batch, *shares))
        train_hybrid(parts.towers, parts.stream, triplets, recipe.hybrid, accelerator, loop)


def preprocessing_of(processor: DWCProcessor) -> Preprocessing:
    """Return the image size and the normalization of a processor.

    Returns:
        Side of the square images in pixels, and mean and standard deviation of each channel.

    Raises:
        CheckpointError: the processor makes images that are not square or not all of one size.
    """
    size = prepared_image_size(processor)
    if size is None or size[0] != size[1]:
        raise CheckpointError(
            f"the processor makes pictures of {size} pixels; this training needs square ones of "
            "one size. Start from another CLIP."
        )
    images = processor.image_processor
    return size[0], tuple(images.image_mean), tuple(images.image_std)


def _claimed(recipe: ProgressiveRecipe, start: Start | None) -> dict[str, Any]:
    """Return all settings that affect the trained parameters, without settings of the evaluation.

    `claim` compares them with those of an earlier run in the same work folder.
    """
    described = {k: v for k, v in recipe_record(recipe).items() if not k.startswith("measured_")}
    return {**described, "start": None if start is None else start_name(start)}


def start_name(start: Start) -> str:
    """Return a text with the name of the CLIP model to start from and a hash of its parameters."""
    return f"{start.name} {weights_digest([start.clip])}"


def publish_progressive(
    recipe: ProgressiveRecipe,
    work: Path,
    out: Path,
    start: Start | None = None,
    until: Stage = "hybrid",
    drawings: Path | None = None,
) -> dict[str, Any]:
    """Run Progressive Learning (PL) on drawings, and write the checkpoint.

    The checkpoint's evaluation, the training log and a model card are also written.

    The evaluation compares the learned image weights with fixed ones; the best fixed weight is
    selected on the catalogue's validation split.

    Args:
        recipe: The hyperparameters.
        work: Folder of saved training states, logs and caches.
        out: Folder of the checkpoint.
        start: A pretrained CLIP model, which is trained from stage two on; None to train a CLIP
            model from scratch.
        until: The last stage to run.
        drawings: Folder for the file of training drawings, `work` by default; the file is created
            if it is missing.

    Returns:
        The content of `evaluation.json`, measured with the written checkpoint; empty on all
        processes but the first.
    """
    trained = train_progressive(recipe, work, start, until, drawings)
    if not launched_processes().is_main_process:
        return {}
    loaded = save_and_load(trained.model, trained.processor, out)
    logger.info("wrote %s, fingerprint %s; evaluating", out, loaded.fingerprint)
    stages = [s for s in recipe.stages_until(until) if start is None or s != "open_domain"]
    numbers: dict[str, Any] = {
        "fingerprint": loaded.fingerprint,
        "reconstruction": True,
        "start": None if start is None else start.name,
        "stages": stages,
        "recipe": recipe_record(recipe),
        **evaluate_progressive(loaded, recipe.measured_gallery, recipe.measured_queries),
    }
    write_results(out, numbers, work)
    return numbers


def evaluate_progressive(loaded: Checkpoint, garments: int, count: int) -> dict[str, Any]:
    """Evaluate a Progressive Learning checkpoint on drawings, with several image weights.

    Args:
        loaded: The checkpoint.
        garments: Number of garments in the gallery of a split.
        count: Number of queries for that gallery.

    Returns:
        Entries of `evaluation.json`: `catalogue`, counts and recalls with the learned weights; and
        `weights`, recalls with the learned weights, with several fixed weights (the same for all
        queries), and with the weight that ranks each query's target best.
    """
    drawn, test = _encode_split(loaded, garments, count, "test")
    _, val = _encode_split(loaded, garments, count, "val")
    return {
        "catalogue": {**rank_queries(test, drawn).to_dict(), "split": "test", "seed": 0},
        "weights": weight_ablation(test, chosen_on=val),
    }


def write_results(out: Path, numbers: Mapping[str, Any], work: Path) -> None:
    """Write `evaluation.json`, the training log of all stages and the model card to `out`."""
    write_json(out / EVALUATION, numbers)
    merge_logs(work, numbers["stages"], out)
    write_progressive_card(out, numbers)


def _encode_split(
    loaded: Checkpoint, garments: int, count: int, split: Split
) -> tuple[Benchmark, AblationQueries]:
    """Build the benchmark of a catalogue split, and encode its queries and gallery.

    Queries and gallery are the same as in `evaluate_catalogue`.

    Args:
        loaded: The checkpoint that encodes them.
        garments: Number of garments in the gallery.
        count: Number of queries.
        split: Name of the split.
    """
    items = gallery(split, garments)
    drawn = benchmark(items, queries(items, count, 0), f"catalogue-{split}")
    images = CatalogueImages(items)
    # Small batches suit the large feature maps of EfficientNet-Lite.
    return drawn, encode_queries(loaded.model, loaded.processor, drawn, images, batch_size=16)

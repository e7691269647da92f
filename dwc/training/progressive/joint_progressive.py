"""Progressive Learning (PL) on drawings and photographs, from a recipe to an evaluated checkpoint.

    checkpoint for drawings and photographs -> cached inputs of its image tower's last layer
        -> stage two -> stage three -> a complete checkpoint -> its evaluation

PL starts from the CLIP model of a checkpoint that was trained on photographs, so stage one is not
needed. The image tower (image encoder) is frozen except for its last layer, a linear projection;
this layer and the text encoder are trained. EfficientNet-Lite does not change, so the
out-of-distribution statistics of its features are copied from the checkpoint.

The images are drawings, photographs and recolored photographs. The queries of stage three are
generated as in the joint training of DWC; see `dwc.training.catalogue.joint_batches`.
"""

import copy
import logging
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dwc.catalogue.language.description import describe, describe_fully
from dwc.catalogue.splits import CatalogueItem
from dwc.checkpoints.load import Checkpoint
from dwc.checkpoints.save import save_and_load
from dwc.datasets.wardrobe import TABLE, Photograph, phrase_changes
from dwc.errors import CheckpointError
from dwc.evaluation.photographs import evaluate_wardrobe
from dwc.files import description_digest, file_digest
from dwc.modeling.clip_stream import ClipStream
from dwc.modeling.efficientnet_lite import EfficientNetLiteTower
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.ood import SubspaceOOD
from dwc.training.catalogue.batches import FULL_SHARE, draw_hard_negatives
from dwc.training.catalogue.drawn_pool import PoolSettings, draw_pool
from dwc.training.catalogue.joint_batches import (
    BatchMix,
    MixedBatches,
    PhotographTriplets,
    collect_texts,
)
from dwc.training.catalogue.photographs import load_photographs, photograph_noun
from dwc.training.catalogue.recipe import scale_recipe
from dwc.training.data_loading import shard_and_prefetch
from dwc.training.feature_cache import CachedTowers, ImagePool, cache_tower_inputs
from dwc.training.loop import LoopSettings, launched_processes, new_accelerator
from dwc.training.progressive.recipe import Start, progressive_config
from dwc.training.progressive.stages import (
    FashionBatch,
    FashionSettings,
    HybridSettings,
    train_fashion,
    train_hybrid,
)
from dwc.training.progressive.train_progressive import (
    TEMPLATE,
    Described,
    Tag,
    TrainedProgressive,
    draw_tag,
    evaluate_progressive,
    preprocessing_of,
    start_name,
    write_results,
)
from dwc.training.run_dir import claim, recipe_record

logger = logging.getLogger(__name__)

STAGES = ("fashion", "hybrid")
_EVAL_SPLIT = "eval"
_TAG_ATTRIBUTES = ("colour", "pattern", "sleeve", "length")  # attributes with phrases for a tag


@dataclass(frozen=True)
class JointProgressiveRecipe:
    """All settings of Progressive Learning (PL) on drawings and photographs.

    Attributes:
        seed: Seed of all random numbers.
        combiner: Name of the combiner; "progressive" predicts an image weight for each query.
        dropout: Dropout probability in the combiner.
        pool: Settings of the drawings to train on (the "pool").
        cached_views: Number of augmented copies ("views") of each photograph for which the inputs
            of the image tower's last layer are cached, at least 2. Drawings and recolored
            photographs have one view each.
        recolorings: Maximum number of recolored copies of each photograph.
        triplets: Number of triplets of drawings.
        negation_share: Share of the texts about drawings that exclude an attribute value, in
            [0, 1].
        fashion: Settings of stage two.
        fashion_batch: Batch size of stage two; half of the images are drawings.
        hybrid: Settings of stage three.
        mix: For each kind of query, its number in a batch of stage three.
        mixed_precision: Precision of both stages, in accelerate's terms: "no", "fp16" or "bf16".
        measured_gallery: Number of garments in the evaluation gallery of a split.
        measured_queries: Number of evaluation queries for that gallery.
    """

    seed: int = 0
    combiner: str = "progressive"
    dropout: float = 0.1
    pool: PoolSettings = field(
        default_factory=lambda: PoolSettings(items=6_000, styles=("gallery",), size_px=192)
    )
    cached_views: int = 2
    recolorings: int = 1
    triplets: int = 64_000
    negation_share: float = 0.12
    fashion: FashionSettings = field(
        default_factory=lambda: FashionSettings(
            total_steps=250, warmup_steps=30, learning_rate=3e-4
        )
    )
    fashion_batch: int = 160
    hybrid: HybridSettings = field(
        default_factory=lambda: HybridSettings(
            total_steps=2_200, warmup_steps=60, learning_rate=3e-4
        )
    )
    mix: BatchMix = field(
        default_factory=lambda: BatchMix(
            drawings=144, recolorings=16, exclusions=16, text_exclusions=16, descriptions=24
        )
    )
    mixed_precision: str = "bf16"
    measured_gallery: int = 2_000
    measured_queries: int = 2_000

    def __post_init__(self) -> None:
        if self.cached_views < 2:
            raise ValueError(
                f"cached_views is {self.cached_views}; stage two compares two views of a "
                "photograph, so give at least 2."
            )

    @classmethod
    def of(cls, seed: int = 0, share: float = 1.0) -> "JointProgressiveRecipe":
        """Return the default recipe with a given seed, shortened if `share` is below 1.

        Args:
            seed: Seed of all random numbers.
            share: Factor of the numbers of steps, drawings and triplets, above 0 and at most 1.
        """
        return scale_recipe(cls(seed=seed), share, STAGES)


@dataclass(frozen=True)
class JointProgressiveBatches(MixedBatches):
    """Batches of drawings and photographs for stages two and three of Progressive Learning (PL).

    Instead of pixels, the batches have cached inputs of the image tower's last layer, K numbers per
    image.

    Attributes:
        start: The pretrained CLIP model, whose tokenizer is used for the texts.
        items: The drawn garments.
        of_drawings: Cached inputs (items, K) for the drawings.
        of_photographs: Cached inputs (images, K) for the photographs, one tensor per augmented copy
            ("view"). The first tensor also has rows for the recolored photographs, after those for
            the original photographs.
    """

    start: Start
    items: Sequence[CatalogueItem]
    of_drawings: Tensor
    of_photographs: Sequence[Tensor]

    @property
    def views(self) -> int:
        """Number of augmented copies ("views") of each photograph."""
        return len(self.of_photographs)

    def _photograph(self, image: int, view: int) -> Tensor:
        is_recolored = image >= len(self.pool.photographs)
        return self.of_photographs[0 if is_recolored else view][image].float()

    def _drawing(self, item: int) -> Tensor:
        return self.of_drawings[item].float()

    def _group(self, words: list[str] | None, images: list[Tensor] | None) -> dict[str, Tensor]:
        group = {} if words is None else _token_ids(self.start, words)
        return group if images is None else group | {"pixel_values": torch.stack(images)}

    def fashion(self, size: int) -> Callable[[int], FashionBatch]:
        """Return a function that makes the batches of stage two of Progressive Learning (PL).

        Half of the `size` images of a batch are drawings with descriptions. About half of these
        come in groups of similar garments (hard negatives). The other images are photographs with
        their captions. Every image has a tag and a second image: another augmented copy ("view") of
        a photograph, or the same drawing again.

        Returns:
            A function that takes a step number and returns the batch of that step.
        """

        def batch(step: int) -> FashionBatch:
            rng = random.Random(f"{self.seed}/fashion/{step}")
            generator = torch.Generator().manual_seed(rng.getrandbits(63))
            count = len(self.pool.photographs)
            drawn = draw_hard_negatives(len(self.items), size // 4, generator).tolist()
            drawn += rng.choices(range(len(self.items)), k=size // 2 - len(drawn))
            shown = rng.sample(range(count), min(count, size - len(drawn)))
            garments = [self.items[item].garment for item in drawn]
            described: list[Described] = [*garments]
            described += [_Photographed.of(self.pool.photographs[image]) for image in shown]
            texts = [
                (describe_fully if rng.random() < FULL_SHARE else describe)(garment, rng)
                for garment in garments
            ]
            texts += [self.texts.captions[image] for image in shown]
            tags = [draw_tag(garment, rng) for garment in garments]
            tags += [draw_photograph_tag(self.pool.photographs[image], rng) for image in shown]
            views = [rng.sample(range(self.views), 2) for _ in shown]
            drawings = [self._drawing(item) for item in drawn]
            pairs = list(zip(shown, views, strict=True))
            descriptions = _token_ids(self.start, texts)
            tag_ids = _token_ids(self.start, [tag.text for tag in tags])
            return FashionBatch(
                pixels=torch.stack([*drawings, *(self._photograph(i, v[0]) for i, v in pairs)]),
                input_ids=descriptions["clip_input_ids"],
                attention_mask=descriptions["clip_attention_mask"],
                labels=torch.tensor([*drawn, *(len(self.items) + image for image in shown)]),
                other_pixels=torch.stack(
                    [*drawings, *(self._photograph(i, v[1]) for i, v in pairs)]
                ),
                tag_ids=tag_ids["clip_input_ids"],
                tag_mask=tag_ids["clip_attention_mask"],
                has_tag=torch.tensor([[tag.suits(one) for tag in tags] for one in described]),
            )

        return batch


def _token_ids(start: Start, texts: list[str]) -> dict[str, Tensor]:
    """Return CLIP's token ids and attention mask of texts, without the CNN stream's word ids."""
    inputs = start.processor(text=texts)
    return {name: inputs[name] for name in ("clip_input_ids", "clip_attention_mask")}


@dataclass(frozen=True)
class _Photographed:
    """Category and known attribute values of a photographed garment; `Tag.suits` checks them."""

    category: str
    values: dict[str, str | None]

    @classmethod
    def of(cls, photograph: Photograph) -> "_Photographed":
        known = {name: photograph.known(name) for name in photograph.attributes}
        return cls(photograph.category, known)

    def get(self, attribute: str) -> str | None:
        return self.values.get(attribute)


def draw_photograph_tag(photograph: Photograph, rng: random.Random) -> Tag:
    """Return a random tag of a photographed garment: a noun, or words for one of its attributes."""
    known = {name: value for name in _TAG_ATTRIBUTES if (value := photograph.known(name))}
    name = rng.choice(["kind", *known])
    if name == "kind":
        return Tag(photograph_noun(photograph, rng), {}, photograph.category)
    # In a mid shade the phrase is the name of the color alone, which suits all its shades.
    text = phrase_changes({name: known[name]}, "mid", rng)
    # The same words mean different lengths for different kinds of garment.
    category = photograph.category if name == "length" else None
    return Tag(text, {name: frozenset({known[name]})}, category)


def train_joint_progressive(
    recipe: JointProgressiveRecipe,
    start: Checkpoint,
    wardrobe: Path,
    work: Path,
    drawings: Path | None = None,
) -> TrainedProgressive:
    """Train a model in stages two and three of Progressive Learning (PL), and return it.

    The training images are drawings and photographs.

    Args:
        recipe: The hyperparameters.
        start: A checkpoint that was trained on photographs; a copy of its CLIP model is trained.
        wardrobe: Folder of labeled photographs of clothes, as `dwc.datasets.wardrobe` describes it.
        work: Folder of saved training states, logs and caches.
        drawings: Folder for the file of training drawings, `work` by default; the file is created
            if it is missing.

    Raises:
        CheckpointError: the image tower of `start` is not an EfficientNet-Lite, or `start` has no
            out-of-distribution statistics of the tower's features.
        TrainingError: `work` belongs to another recipe, start checkpoint or wardrobe, or the
            wardrobe is too small.
    """
    clip, ood = copy.deepcopy(start.model.clip), start.model.familiarity
    if (
        clip is None
        or not isinstance(clip.vision_model, EfficientNetLiteTower)
        or not isinstance(ood, SubspaceOOD)
    ):
        raise CheckpointError(
            f"{start.name} was not trained on photographs: its image tower is no EfficientNet-Lite "
            "with familiarity statistics. Start from dwc-catalogue, or from a checkpoint that "
            "`make checkpoint` wrote"
        )
    began = Start(start.name, clip.requires_grad_(True), start.processor)
    torch.manual_seed(recipe.seed)
    processes = launched_processes()
    with processes.main_process_first():  # the first process draws, the others load its files
        inputs = {"start": start_name(began), "wardrobe": file_digest(wardrobe / TABLE)[:12]}
        claim(work, inputs | recipe_record(recipe))
        workers = os.cpu_count() or 1
        pool = load_photographs(wardrobe, work, recipe.seed, workers)
        pool = pool.with_recolorings(recipe.recolorings)
        drawn = draw_pool(replace(recipe.pool, seed=recipe.seed), drawings or work, workers)
        settings = [*inputs.values(), recipe.seed, recipe_record(recipe.pool)]
        originals = replace(pool, recolorings=[], pixels=pool.pixels[: len(pool.photographs)])
        image_sets: list[ImagePool] = [drawn, pool, *[originals] * (recipe.cached_views - 1)]
        cached = [
            _cached_inputs(began, images, recipe.seed + number, recipe, work, settings)
            for number, images in enumerate(image_sets)
        ]
    texts = collect_texts(
        pool, drawn.items, TEMPLATE, recipe.triplets, recipe.negation_share, [], recipe.seed
    )
    batches = JointProgressiveBatches(
        pool,
        texts,
        PhotographTriplets.of(pool, recipe.seed),
        recipe.mix,
        recipe.seed,
        began,
        drawn.items,
        cached[0],
        cached[1:],
    )
    config = progressive_config(
        clip.config, recipe.combiner, recipe.dropout, TEMPLATE, True, len(ood.thresholds)
    )
    stream = ClipStream(
        clip.config.projection_dim, config.clip_embedding_dim, config.combiner, config.dropout
    )
    _train_stages(recipe, CachedTowers(clip), stream, batches, work)

    model = DWCModel(config)
    assert model.clip is not None  # see progressive_config
    assert model.clip_stream is not None
    assert model.familiarity is not None
    model.clip.load_state_dict(clip.state_dict())
    model.clip_stream.load_state_dict(stream.state_dict())
    model.familiarity.load_state_dict(ood.state_dict())
    return TrainedProgressive(model.to("cpu").eval(), start.processor)


def _cached_inputs(
    start: Start,
    images: ImagePool,
    seed: int,
    recipe: JointProgressiveRecipe,
    work: Path,
    settings: Sequence[Any],
) -> Tensor:
    """Return the inputs (images, K) of the image tower's last layer for all images.

    Each image is augmented once. The inputs are computed if they are not in the work folder; see
    `cache_tower_inputs`. `seed` is the seed of the augmentation. `settings` identify the CLIP model
    and the images, and are part of the name of the cache file.
    """
    preprocessing = preprocessing_of(start.processor)
    name = description_digest([images.images, seed, preprocessing, *settings])
    (inputs,) = cache_tower_inputs(
        start.clip, images, 1, seed, preprocessing, work, name, recipe.mixed_precision
    )
    return inputs


def _train_stages(
    recipe: JointProgressiveRecipe,
    towers: CachedTowers,
    stream: ClipStream,
    batches: JointProgressiveBatches,
    work: Path,
) -> None:
    for stage in STAGES:
        torch.manual_seed(random.Random(f"{recipe.seed}/{stage}").getrandbits(63))
        accelerator = new_accelerator(mixed_precision=recipe.mixed_precision)
        if stage == "fashion":
            loop = LoopSettings(recipe.fashion.total_steps, work)
            products = shard_and_prefetch(
                batches.fashion(recipe.fashion_batch), loop.total_steps, accelerator
            )
            train_fashion(towers, products, recipe.fashion, accelerator, loop)
        else:
            loop = LoopSettings(recipe.hybrid.total_steps, work)
            queries = shard_and_prefetch(batches.batches(), loop.total_steps, accelerator)
            train_hybrid(towers, stream, queries, recipe.hybrid, accelerator, loop)


def publish_joint_progressive(
    recipe: JointProgressiveRecipe,
    start: Checkpoint,
    wardrobe: Path,
    work: Path,
    out: Path,
    drawings: Path | None = None,
) -> dict[str, Any]:
    """Run Progressive Learning on drawings and photographs, and write the checkpoint.

    The checkpoint's evaluation, the training log and a model card are also written.

    Args:
        recipe: The hyperparameters.
        start: A checkpoint that was trained on photographs; a copy of its CLIP model is trained.
        wardrobe: Folder of labeled photographs of clothes, as `dwc.datasets.wardrobe` describes it.
        work: Folder of saved training states, logs and caches.
        out: Folder to write the checkpoint to.
        drawings: Folder for the file of training drawings, `work` by default; the file is created
            if it is missing.

    Returns:
        The content of `evaluation.json`, measured with the written checkpoint; empty on all
        processes but the first.
    """
    trained = train_joint_progressive(recipe, start, wardrobe, work, drawings)
    if not launched_processes().is_main_process:
        return {}
    loaded = save_and_load(trained.model, trained.processor, out)
    logger.info("wrote %s, fingerprint %s; evaluating", out, loaded.fingerprint)
    numbers: dict[str, Any] = {
        "fingerprint": loaded.fingerprint,
        "reconstruction": True,
        "start": start.name,
        "stages": list(STAGES),
        "recipe": recipe_record(recipe),
        **evaluate_progressive(loaded, recipe.measured_gallery, recipe.measured_queries),
        "wardrobe": evaluate_wardrobe(loaded.model, loaded.processor, wardrobe, _EVAL_SPLIT),
    }
    write_results(out, numbers, work)
    return numbers

"""Training of DWC on a benchmark, from a pretrained CLIP and ResNet to an evaluated checkpoint.

    read_benchmark -> build_model -> cache_benchmark_features -> train_mutually with EpochSelection
                   -> the best epoch's parameters -> a checkpoint -> its evaluation

To resume an interrupted training run, repeat the same command.
"""

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import set_seed
from transformers import ResNetModel

from dwc.checkpoints import load
from dwc.checkpoints.model_card import CardFacts, write_card
from dwc.checkpoints.save import save_checkpoint, without_progress_bar
from dwc.checkpoints.validate import check_agreement
from dwc.convert.clip_tokenizer import find_clip_tokenizer
from dwc.convert.sources import read_clip, read_whole
from dwc.convert.to_checkpoint import authors_image_processor
from dwc.datasets.image_prefetch import ImagePrefetcher, image_order
from dwc.errors import CheckpointError, TrainingError
from dwc.evaluation.benchmarks import BenchmarkOptions, evaluate_benchmark
from dwc.evaluation.metrics import recalls
from dwc.evaluation.retrieval import run_benchmark
from dwc.files import description_digest, write_json
from dwc.modeling.combiners import combiner_class
from dwc.modeling.configuration_dwc import CnnStreamConfig, DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor, build_word_tokenizer
from dwc.training.dwc.benchmark_data import (
    CATEGORIES,
    PROTOCOL,
    BatchLoader,
    BenchmarkBatches,
    BenchmarkData,
    cache_benchmark_features,
    read_benchmark,
)
from dwc.training.dwc.mutual_training import train_mutually
from dwc.training.dwc.presets import BenchmarkPreset
from dwc.training.loop import EpochSelection, LoopSettings, WeightAverage, new_accelerator
from dwc.training.run_dir import claim, flatten, recipe_record, stage_log

logger = logging.getLogger(__name__)

RESNET = "microsoft/resnet-50"
"""Hub id of the ResNet-50 trained on ImageNet, from which the authors' CNN stream starts."""

STAGE = "alternating"
_SHARD_MB = 2_000


@without_progress_bar()
def build_model(
    clip: str,
    resnet: str,
    captions: Sequence[str],
    preset: BenchmarkPreset,
    template: Mapping[str, str],
    clip_tokenizer: str | None = None,
) -> tuple[DWCModel, DWCProcessor]:
    """Build a DWC model from a pretrained CLIP and ResNet, and the model's processor.

    The other layers of both streams are initialized at random. For both streams, the processor
    resizes the short side of an image to CLIP's input size (bicubic), center-crops it, and
    normalizes it with CLIP's mean and standard deviation.

    Args:
        clip: Source of CLIP: a Hub id, a folder in transformers' format, or a file of parameters
            from OpenAI (OpenAI's CLIP models with a ResNet are published only as such files).
        resnet: Hub id, or folder of a ResNet in transformers' format; ignored if there is no CNN
            stream.
        captions: Texts that define the word vocabulary; words get ids in the order in which they
            occur.
        preset: Sizes, combiner, streams and seed of the model.
        template: Format strings that join the captions of a query to one text.
        clip_tokenizer: Source of CLIP's tokenizer, if `clip` does not include one.

    Returns:
        The model in eval mode and the processor.

    Raises:
        CheckpointError: CLIP, its tokenizer or the ResNet cannot be read completely.
    """
    source = read_clip(clip, read_preprocessing=False)
    for line in source.assumed:
        logger.warning(line)
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
    assert model.clip is not None  # see its config
    model.clip.load_state_dict(source.weights)
    if model.cnn_stream is not None and backbone is not None:
        model.cnn_stream.resnet.load_state_dict(backbone.state_dict())
    size_px = source.config.vision_config.image_size
    processor = DWCProcessor(authors_image_processor(size_px), tokenizer, words)
    check_agreement(model, processor, clip)
    return model.eval(), processor


def _read_resnet(name: str) -> ResNetModel:
    return read_whole(
        ResNetModel,
        name,
        f"Give a ResNet of transformers, by its folder or Hub name, such as {RESNET}: --resnet",
        unread=("classifier.",),
        spare=(".num_batches_tracked",),  # step counters of batch norms; unused here
    )


@dataclass(frozen=True)
class BenchmarkTraining:
    """Arguments of training on a benchmark.

    Attributes:
        dataset: Name of the benchmark, a key of `CATEGORIES`.
        data: The benchmark's folder.
        clip: Source of the pretrained CLIP model; see `build_model`.
        preset: The hyperparameters.
        out: Folder of the checkpoint. If each category gets its own model, the folder contains one
            checkpoint folder per category.
        work: Folder of saved training states, logs and caches, with the same sub-folders as `out`.
        resnet: Hub id or folder of the CNN stream's pretrained ResNet.
        clip_tokenizer: Source of CLIP's tokenizer, if `clip` does not include one.
        categories: Categories of FashionIQ to train on; all if empty. The preset determines whether
            there is one model for all of them or one per category.
        workers: Number of processes that load images.
        trackers: Names of experiment trackers that accelerate supports, such as "tensorboard".
    """

    dataset: str
    data: Path
    clip: str
    preset: BenchmarkPreset
    out: Path
    work: Path
    resnet: str = RESNET
    clip_tokenizer: str | None = None
    categories: tuple[str, ...] = ()
    workers: int = 4
    trackers: tuple[str, ...] = ()

    @property
    def threads(self) -> int:
        """Number of threads that load images for caching and evaluation."""
        return max(1, self.workers)


def train_benchmark(args: BenchmarkTraining) -> dict[str, Any]:
    """Train DWC on a benchmark, write the best epoch's checkpoint, and evaluate the checkpoint.

    The checkpoint's folder also receives `evaluation.json`, `training.json` (the recipe, counts of
    the data, and the metrics of every epoch), the log `training.jsonl` and a model card.

    Returns:
        The content of `evaluation.json`, measured with the written checkpoint. If each category
        gets its own model, the recalls are means over the models. Empty on all processes but the
        first.

    Raises:
        DatasetError: the data cannot be read; for a damaged image the message names the triplet.
        CheckpointError: CLIP or the ResNet cannot be read.
        TrainingError: `work` contains states of a training with other settings, or an argument is
            invalid.
    """
    _check(args)
    categories = args.categories or CATEGORIES[args.dataset]
    if not args.preset.one_model_per_category or len(categories) < 2:
        return _train_model(args, categories)
    models = {
        category: _train_model(
            replace(args, work=args.work / category, out=args.out / category), (category,)
        )
        for category in categories
    }
    if not all(models.values()):
        return {}
    numbers = _average(models)
    write_json(args.out / load.EVALUATION, numbers)
    return numbers


def _check(args: BenchmarkTraining) -> None:
    if args.dataset not in CATEGORIES:
        raise TrainingError(f"no benchmark {args.dataset!r}; there are {', '.join(CATEGORIES)}")
    if unknown := set(args.categories).difference(CATEGORIES[args.dataset]):
        raise TrainingError(
            f"{args.dataset} has no category {min(unknown)!r}; there are "
            f"{', '.join(CATEGORIES[args.dataset]) or 'none'}"
        )
    installed = [tracker.value for tracker in get_available_trackers()]
    if missing := [name for name in args.trackers if name not in installed]:
        raise TrainingError(
            f"the tracker {missing[0]} is not installed (installed are: "
            f"{', '.join(installed) or 'none'}). Install it, or leave it out: the log is in "
            f"{args.work} as well"
        )


def _train_model(args: BenchmarkTraining, categories: Sequence[str]) -> dict[str, Any]:
    """Train one model on one or more categories, and return its evaluation metrics.

    The metrics are also written to `evaluation.json` in the checkpoint's folder. The result is
    empty on all processes but the first.
    """
    preset = args.preset
    accelerator = new_accelerator(
        mixed_precision=_precision(preset),
        log_with=list(args.trackers) or None,
        project_dir=args.work,
    )
    data = read_benchmark(args.dataset, args.data, preset, categories)
    if accelerator.is_main_process:
        counts = (f"{name.replace('_', ' ')} {n:,}" for name, n in data.counts.items())
        logger.info("%s: %s", " ".join((args.dataset, *categories)), ", ".join(counts))
    template = preset.caption_template(args.dataset)
    model, processor = build_model(
        args.clip, args.resnet, data.vocabulary, preset, template, args.clip_tokenizer
    )
    recipe = _recipe(args, categories, data, accelerator)
    claim(args.work, recipe, writes=accelerator.is_main_process)
    accelerator.wait_for_everyone()
    accelerator.init_trackers("dwc", flatten(recipe_record(preset)))
    run = _run_epochs(args, data, model, processor, template, accelerator)
    numbers: dict[str, Any] = {}
    if accelerator.is_main_process:
        epoch = run["chosen_epoch"]
        logger.info("the weights after epoch %d are the best; written to %s", epoch, args.out)
        model.to("cpu").eval()
        save_checkpoint(model, processor, args.out, max_shard_mb=_SHARD_MB)
        numbers = _evaluate(args, categories, accelerator.device)
        record = {**recipe, "counts": dict(data.counts), **run}
        write_json(args.out / "training.json", record)
        write_card(args.out, model.config, _card_facts(args, categories, record, numbers))
        shutil.copyfile(stage_log(args.work, STAGE), args.out / "training.jsonl")
    accelerator.wait_for_everyone()
    accelerator.end_training()
    accelerator.free_memory()
    return numbers


def _run_epochs(
    args: BenchmarkTraining,
    data: BenchmarkData,
    model: DWCModel,
    processor: DWCProcessor,
    template: Mapping[str, str],
    accelerator: Accelerator,
) -> dict[str, Any]:
    """Train the model, load the best epoch's parameters into it, and return a record of the run.

    Returns:
        JSON-serializable data about the run, such as `chosen_epoch` (the number of the best epoch)
        and `epochs` (the metrics of every evaluated epoch).
    """
    preset = args.preset
    model.to(accelerator.device, memory_format=torch.channels_last)
    assert model.clip is not None  # see `build_model`
    table = cache_benchmark_features(
        model.clip, processor, template, data, args.work, accelerator, args.threads
    )
    batches = BenchmarkBatches(
        data,
        processor,
        dict(template),
        preset.batch_size,
        preset.seed,
        preset.masks_padding,
        accelerator.process_index,
        accelerator.num_processes,
        table,
    )
    settings = preset.mutual_settings(batches.steps_per_epoch)
    average = WeightAverage(model, preset.ema_decay) if preset.ema_decay > 0 else None
    if average is not None:
        accelerator.register_for_checkpointing(average)
    selection = EpochSelection(
        model,
        partial(_measure, model, processor, data, args.threads),
        preset.measured_epochs(),
        batches.steps_per_epoch,
        args.work,
        accelerator,
        average,
    )
    set_seed(preset.seed, device_specific=True)
    loader = BatchLoader(batches, settings.total_steps, accelerator.device, args.workers)
    loop = LoopSettings(settings.total_steps, args.work, preset.save_every, preset.log_every)
    start = time.monotonic()
    train_mutually(model, loader, settings, accelerator, loop, STAGE, selection)
    seconds = time.monotonic() - start - selection.seconds
    accelerator.wait_for_everyone()
    selection.measure_epoch(preset.epochs)
    accelerator.wait_for_everyone()
    return {
        "chosen_epoch": selection.load_best(),
        "chosen_by": f"mean recall@{'/'.join(map(str, data.chosen_by))}, {preset.chooses_on}",
        "steps_per_epoch": batches.steps_per_epoch,
        "device": str(accelerator.device),
        "mixed_precision": accelerator.mixed_precision,
        "seconds_since_resumption": round(seconds, 1),
        "epochs": selection.history,
    }


def _precision(preset: BenchmarkPreset) -> str:
    """Return the precision to train with: "no" (float32), "fp16" or "bf16".

    On a CPU, the result is "no". On a GPU, the result is the preset's precision; if the GPU does
    not support bfloat16, "fp16" replaces "bf16".
    """
    if not torch.cuda.is_available():
        return "no"
    if preset.mixed_precision == "bf16" and not torch.cuda.is_bf16_supported():
        logger.warning("this GPU does not support bfloat16; float16 is used")
        return "fp16"
    return preset.mixed_precision


def _measure(
    model: DWCModel, processor: DWCProcessor, data: BenchmarkData, threads: int
) -> tuple[float, dict[str, float]]:
    """Evaluate the current model on the queries that are used to select the best epoch.

    Returns:
        The score of the epoch, and the recalls by name. The names are, for example, "recall@10"
        for both streams together and "clip_recall@10" for one stream. Each recall is a mean over
        the galleries of `data.selection`. The score is the mean of the recalls of both streams
        together.
    """
    by_gallery: list[dict[str, float]] = []
    for benchmark in data.selection:
        with ImagePrefetcher(data.paths, image_order(benchmark), threads) as open_image:
            report = run_benchmark(benchmark, model, processor, open_image)
        by_gallery.append(
            {
                name if stream == "together" else f"{stream}_{name}": value
                for stream, ranks in report.ranks.items()
                for name, value in recalls(ranks, data.chosen_by).items()
            }
        )
    numbers = {
        name: sum(row[name] for row in by_gallery) / len(by_gallery) for name in by_gallery[0]
    }
    score = sum(numbers[f"recall@{k}"] for k in data.chosen_by) / len(data.chosen_by)
    return score, numbers


def _evaluate(
    args: BenchmarkTraining, categories: Sequence[str], device: torch.device
) -> dict[str, Any]:
    """Evaluate the written checkpoint in the same way as `python -m dwc evaluate`.

    Args:
        args: Arguments of the training.
        categories: Categories of the benchmark that the model is trained on.
        device: Device of the model.

    Returns:
        The metrics, which are also written to `evaluation.json`.
    """
    loaded = load.load(args.out)
    loaded.model.to(device)
    options = BenchmarkOptions(
        protocol=PROTOCOL, categories=categories, states_answer=args.preset.states_answer
    )
    numbers = evaluate_benchmark(args.dataset, loaded.model, loaded.processor, args.data, options)
    numbers = {"model": str(args.out), "fingerprint": loaded.fingerprint, **numbers}
    write_json(args.out / load.EVALUATION, numbers)
    return numbers


def _card_facts(
    args: BenchmarkTraining,
    categories: Sequence[str],
    record: Mapping[str, Any],
    numbers: Mapping[str, Any],
) -> CardFacts:
    preset = args.preset
    listed = f" on {', '.join(categories)}" if categories else ""
    epochs = "1 epoch" if preset.epochs == 1 else f"{preset.epochs} epochs"
    return CardFacts(
        datasets=(args.dataset,),
        base_model=None if Path(args.clip).exists() else args.clip,
        trained=f"With `python -m dwc train dwc` and the preset `{preset.name}`{listed}: {epochs} "
        f"of {record['steps_per_epoch']:,} steps of {preset.batch_size}, seed {preset.seed}, on a "
        f"{record['device']}. The weights after epoch {record['chosen_epoch']} were the best by "
        f"{record['chosen_by']}. `training.json` has every number of the recipe and of each epoch.",
        evaluations=(numbers,),
    )


def _average(models: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the content of `evaluation.json` for several models, one per category.

    Args:
        models: Category -> evaluation metrics of its model.

    Returns:
        The recalls, each averaged over the models, and in `models` the metrics of each model.
    """
    first = next(iter(models.values()))
    names = [name for name in first if name.startswith("recall@") or name == "mean_of_averages"]

    def mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return {name: sum(row[name] for row in rows) / len(rows) for name in names}

    rows = list(models.values())
    return {
        "protocol": f"fashion_iq-{PROTOCOL}, a model for each category",
        "comparable": all(row["comparable"] for row in rows),
        **mean(rows),
        "streams": {
            name: mean([row["streams"][name] for row in rows]) for name in first["streams"]
        },
        "models": dict(models),
    }


def _recipe(
    args: BenchmarkTraining,
    categories: Sequence[str],
    data: BenchmarkData,
    accelerator: Accelerator,
) -> dict[str, Any]:
    """Return all settings that affect the trained parameters, with a hash of the training data.

    `claim` compares them with those of an earlier run in the same work folder.
    """
    content = [*data.vocabulary, *sorted(data.paths), dict(data.counts)]
    return {
        "dataset": args.dataset,
        "categories": list(categories),
        "clip": args.clip,
        "resnet": args.resnet,
        "processes": accelerator.num_processes,
        "data": description_digest(content),
        "preset": recipe_record(args.preset),
    }

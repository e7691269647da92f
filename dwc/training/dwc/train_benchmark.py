"""The model that a benchmark's training starts from: a frozen CLIP, and ImageNet's ResNet.

DWC trained on a benchmark, from a CLIP and a ResNet to a measured checkpoint.

    read_benchmark -> build_model -> train_alternating, watched by EpochSelection
                   -> the best epoch's weights -> a checkpoint -> its numbers on the evaluation set

A training that was killed and is asked for again goes on where it was.
"""

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
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
from dwc.datasets.prefetch import ImagePrefetcher, image_order
from dwc.errors import CheckpointError, TrainingError
from dwc.evaluation.benchmarks import (
    evaluate_css3d,
    evaluate_fashion200k,
    evaluate_fashion_iq,
    evaluate_shoes,
)
from dwc.evaluation.metrics import recalls
from dwc.evaluation.retrieval import run_benchmark
from dwc.modeling.combiners import combiner_class
from dwc.modeling.configuration_dwc import CnnStreamConfig, DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor, build_word_tokenizer
from dwc.training.callbacks import EpochSelection, WeightAverage
from dwc.training.dwc.benchmark_batches import BatchLoader, BenchmarkBatches
from dwc.training.dwc.benchmark_data import CATEGORIES, PROTOCOL, BenchmarkData, read_benchmark
from dwc.training.dwc.clip_feature_table import cache_clip_features
from dwc.training.dwc.mutual_training import train_mutually
from dwc.training.dwc.presets import BenchmarkPreset
from dwc.training.loop import LoopSettings

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
    processor = DWCProcessor(authors_image_processor(size_px), tokenizer, words)
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


logger = logging.getLogger(__name__)

STAGE = "alternating"
_SHARD_MB = 2_000
_ASKED = "asked.json"


@dataclass(frozen=True)
class BenchmarkTraining:
    """What is asked for.

    `data` is the benchmark's folder; `clip`, `clip_tokenizer` and `resnet` as in `build_model`.
    `categories` are those of FashionIQ, all by default, in one model or one each as the preset
    says. States and logs go to `work`, the checkpoint to `out`; where each category has its own,
    to folders of their names within. `workers` processes read pictures. `trackers` are accelerate's
    names of them ("tensorboard", …).
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


def train_benchmark(asked: BenchmarkTraining) -> dict[str, Any]:
    """Train, choose, write and measure; returns the numbers, which are in `out/evaluation.json`.

    They are those of the files written, read back. Beside them lie `training.json` (the recipe,
    counts, every epoch's numbers), the log, and the model's card. Of several processes only the
    first returns numbers.

    Raises DatasetError for data that cannot be read (a picture that is there but damaged is named
    with its triplet), CheckpointError for a CLIP or ResNet that cannot, TrainingError where `work`
    holds another training.
    """
    _check(asked)
    categories = asked.categories or CATEGORIES[asked.dataset]
    if not asked.preset.one_model_per_category or len(categories) < 2:
        return _train_model(asked, categories, asked.work, asked.out)
    models = {
        category: _train_model(asked, (category,), asked.work / category, asked.out / category)
        for category in categories
    }
    if not all(models.values()):
        return {}
    numbers = _average(models)
    _write_json(asked.out / "evaluation.json", numbers)
    return numbers


def _check(asked: BenchmarkTraining) -> None:
    if asked.dataset not in CATEGORIES:
        raise TrainingError(f"no benchmark {asked.dataset!r}; there are {', '.join(CATEGORIES)}")
    if strange := set(asked.categories).difference(CATEGORIES[asked.dataset]):
        raise TrainingError(
            f"{asked.dataset} has no category {min(strange)!r}; there are "
            f"{', '.join(CATEGORIES[asked.dataset]) or 'none'}"
        )
    there = [tracker.value for tracker in get_available_trackers()]
    if missing := [name for name in asked.trackers if name not in there]:
        raise TrainingError(
            f"the tracker {missing[0]} is not installed (installed are: "
            f"{', '.join(there) or 'none'}). Install it, or leave it out: the log is in "
            f"{asked.work} as well"
        )


def _train_model(
    asked: BenchmarkTraining, categories: Sequence[str], work: Path, out: Path
) -> dict[str, Any]:
    """One model, of one or more categories."""
    preset = asked.preset
    accelerator = Accelerator(
        mixed_precision=_precision(preset), log_with=list(asked.trackers) or None, project_dir=work
    )
    data = read_benchmark(asked.dataset, asked.data, preset, categories)
    if accelerator.is_main_process:
        counts = (f"{name.replace('_', ' ')} {n:,}" for name, n in data.counts.items())
        logger.info("%s: %s", " ".join((asked.dataset, *categories)), ", ".join(counts))
    template = preset.caption_template(asked.dataset)
    model, processor = build_model(
        asked.clip, asked.resnet, data.vocabulary, preset, template, asked.clip_tokenizer
    )
    _remember(asked, categories, data, accelerator, work)
    accelerator.init_trackers("dwc", _flat(asdict(preset)))
    model.to(accelerator.device, memory_format=torch.channels_last)
    assert model.clip is not None  # so says `build_model`
    table = cache_clip_features(
        model.clip, processor, template, data, work, accelerator, max(1, asked.workers)
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
    settings = preset.alternating(batches.steps_per_epoch)
    average = WeightAverage(model, preset.ema_decay) if preset.ema_decay > 0 else None
    if average is not None:
        accelerator.register_for_checkpointing(average)
    selection = EpochSelection(
        model,
        partial(_measure, model, processor, data, max(1, asked.workers)),
        preset.measured_epochs(),
        batches.steps_per_epoch,
        work,
        accelerator,
        average,
    )
    set_seed(preset.seed, device_specific=True)
    reader = BatchLoader(batches, settings.total_steps, accelerator.device, asked.workers)
    loop = LoopSettings(settings.total_steps, work, preset.save_every, preset.log_every)
    began = time.monotonic()
    train_mutually(model, reader, settings, accelerator, loop, STAGE, selection)
    seconds = time.monotonic() - began - selection.seconds
    accelerator.wait_for_everyone()
    selection.consider(preset.epochs)
    accelerator.wait_for_everyone()
    epoch = selection.load_best()
    numbers: dict[str, Any] = {}
    if accelerator.is_main_process:
        logger.info("the weights after epoch %d are the best; written to %s", epoch, out)
        model.to("cpu").eval()
        save_checkpoint(model, processor, out, max_shard_mb=_SHARD_MB)
        numbers = _evaluate(asked, categories, out, accelerator.device)
        record = {
            **_describe(asked, categories, data, accelerator),
            "counts": dict(data.counts),
            "chosen_epoch": epoch,
            "chosen_by": f"mean recall@{'/'.join(map(str, data.chosen_by))}, {preset.chooses_on}",
            "steps_per_epoch": batches.steps_per_epoch,
            "device": str(accelerator.device),
            "mixed_precision": accelerator.mixed_precision,
            "seconds_since_resumption": round(seconds, 1),
            "epochs": selection.history,
        }
        _write_json(out / "training.json", record)
        write_card(out, model.config, _facts(asked, categories, record, numbers))
        shutil.copyfile(work / f"{STAGE}.jsonl", out / "training.jsonl")
    accelerator.wait_for_everyone()
    accelerator.end_training()
    accelerator.free_memory()
    return numbers


def _precision(preset: BenchmarkPreset) -> str:
    """The preset's where it pays and is sound: on GPUs; bfloat16 only where they have it."""
    if not torch.cuda.is_available():
        return "no"
    if preset.mixed_precision == "bf16" and not torch.cuda.is_bf16_supported():
        logger.warning("this GPU has no bfloat16; float16 is taken")
        return "fp16"
    return preset.mixed_precision


def _measure(
    model: DWCModel, processor: DWCProcessor, data: BenchmarkData, threads: int
) -> tuple[float, dict[str, float]]:
    """The mean of the recalls that the benchmark is judged by, over its galleries; all of them."""
    every: list[dict[str, float]] = []
    for benchmark in data.selection:
        with ImagePrefetcher(data.paths, image_order(benchmark), threads) as open_picture:
            report = run_benchmark(benchmark, model, processor, open_picture)
        every.append(
            {
                name if stream == "together" else f"{stream}_{name}": value
                for stream, ranks in report.ranks.items()
                for name, value in recalls(ranks, data.chosen_by).items()
            }
        )
    numbers = {name: sum(one[name] for one in every) / len(every) for name in every[0]}
    score = sum(numbers[f"recall@{k}"] for k in data.chosen_by) / len(data.chosen_by)
    return score, numbers


def _evaluate(
    asked: BenchmarkTraining, categories: Sequence[str], out: Path, device: torch.device
) -> dict[str, Any]:
    """The numbers of the checkpoint in `out`, as `python -m dwc evaluate` gives them; written."""
    loaded = load.load(out)
    loaded.model.to(device)
    evaluations: Mapping[str, Callable[..., dict[str, Any]]] = {
        "fashion_iq": partial(evaluate_fashion_iq, protocol=PROTOCOL, categories=categories),
        "shoes": evaluate_shoes,
        "fashion200k": partial(evaluate_fashion200k, states_answer=asked.preset.states_answer),
        "css3d": evaluate_css3d,
    }
    numbers = evaluations[asked.dataset](loaded.model, loaded.processor, asked.data)
    numbers = {"model": str(out), "fingerprint": loaded.fingerprint, **numbers}
    _write_json(out / "evaluation.json", numbers)
    return numbers


def _facts(
    asked: BenchmarkTraining,
    categories: Sequence[str],
    record: Mapping[str, Any],
    numbers: Mapping[str, Any],
) -> CardFacts:
    preset = asked.preset
    kinds = f" on {', '.join(categories)}" if categories else ""
    epochs = "1 epoch" if preset.epochs == 1 else f"{preset.epochs} epochs"
    return CardFacts(
        datasets=(asked.dataset,),
        base_model=None if Path(asked.clip).exists() else asked.clip,
        trained=f"With `python -m dwc train dwc` and the preset `{preset.name}`{kinds}: {epochs} "
        f"of {record['steps_per_epoch']:,} steps of {preset.batch_size}, seed {preset.seed}, on a "
        f"{record['device']}. The weights after epoch {record['chosen_epoch']} were the best by "
        f"{record['chosen_by']}. `training.json` has every number of the recipe and of each epoch.",
        evaluations=(numbers,),
    )


def _average(models: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One table of a model for each category: the mean of their recalls, and each by itself."""
    first = next(iter(models.values()))
    names = [name for name in first if name.startswith("recall@") or name == "mean_of_averages"]

    def mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return {name: sum(row[name] for row in rows) / len(rows) for name in names}

    every = list(models.values())
    return {
        "protocol": f"fashion_iq-{PROTOCOL}, a model for each category",
        "comparable": all(one["comparable"] for one in every),
        **mean(every),
        "streams": {
            name: mean([one["streams"][name] for one in every]) for name in first["streams"]
        },
        "models": dict(models),
    }


def _describe(
    asked: BenchmarkTraining,
    categories: Sequence[str],
    data: BenchmarkData,
    accelerator: Accelerator,
) -> dict[str, Any]:
    """All that decides what a training gives, but for the machine."""
    content = json.dumps([*data.vocabulary, *sorted(data.paths), dict(data.counts)])
    return {
        "dataset": asked.dataset,
        "categories": list(categories),
        "clip": asked.clip,
        "resnet": asked.resnet,
        "processes": accelerator.num_processes,
        "data": sha256(content.encode()).hexdigest()[:12],
        "preset": asdict(asked.preset),
    }


def _remember(
    asked: BenchmarkTraining,
    categories: Sequence[str],
    data: BenchmarkData,
    accelerator: Accelerator,
    work: Path,
) -> None:
    """Write down in `work` what is trained there; TrainingError where that is something else."""
    described = _describe(asked, categories, data, accelerator)
    file = work / _ASKED
    if file.is_file():
        before, now = _flat(json.loads(file.read_text())), _flat(described)
        differ = [n for n in {**before, **now} if before.get(n) != now.get(n)]
        if differ:
            told = ", ".join(f"{n} {before.get(n)} (asked: {now.get(n)})" for n in differ[:5])
            raise TrainingError(
                f"{work} holds a training with {told}; it cannot go on as another. Ask for that "
                "one, or give another --work"
            )
    elif accelerator.is_main_process:
        _write_json(file, described)
    accelerator.wait_for_everyone()


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """One level, in values that every tracker takes."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": one for inner, one in _flat(value).items()}
        else:
            flat[name] = value if isinstance(value, (int, float, str, bool)) else str(value)
    return flat


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    fresh.write_text(json.dumps(content, indent=2) + "\n")
    fresh.replace(file)

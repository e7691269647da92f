"""The study from the command line, on a few drawings: cached, run, written, not run again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dwc.catalogue.queries import queries
from dwc.catalogue.splits import gallery
from dwc.checkpoints import load
from dwc.cli import main
from dwc.errors import TrainingError
from dwc.evaluation.catalogue import CatalogueImages
from dwc.modeling.processing_dwc import fill_template
from dwc.training.study import runs
from dwc.training.study.models import StudySettings, build_dwc, cache_features, load_features
from dwc.training.study.variants import all_variants
from tests.training.study.made import TINY
from tests.training.tiny import tiny_model, tiny_processor

SMALL = replace(TINY, seeds=(0,))

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def loaded() -> load.Checkpoint:
    return load.load(str(load.DRAWINGS_FOLDER))


@pytest.fixture(scope="module")
def kept(place: Path, loaded: load.Checkpoint) -> Path:
    return cache_features(SMALL, loaded, place / "work", place / "drawings")


def test_cached_features_give_the_checkpoints_embeddings(
    kept: Path, loaded: load.Checkpoint
) -> None:
    """With the checkpoint's own heads, a kept question is composed as the question itself."""
    features = load_features(kept)
    assert features.pool.images.rows.shape[:2] == (2, 60)
    assert features.test.hits.any(dim=1).all()
    hidden = loaded.model.config.cnn_config.hidden_dim
    whole = replace(all_variants()[0], combiner=loaded.model.config.combiner)
    model = build_dwc(whole, features, replace(SMALL, cnn_hidden_dim=hidden)).eval()
    state = loaded.model.state_dict()
    model.load_state_dict({name: state[name] for name in model.state_dict()})
    test, chosen = features.test, torch.arange(SMALL.queries)
    items = gallery("test", SMALL.gallery)
    asked = queries(items, SMALL.queries, 0)
    pictures = CatalogueImages(items)
    inputs = loaded.processor(
        images=[pictures(query.reference) for query in asked],
        text=[fill_template(features.config.caption_template, q.captions) for q in asked],
    )
    with torch.no_grad():
        rows = test.rows[test.references].float()
        over_kept = model.compose(pixel_values=rows, **test.texts.take(chosen))
        directly = loaded.model.compose(**inputs)
    for name, stream in directly.streams.items():
        # Texts were read in bfloat16, rows are kept as float16.
        found = over_kept.streams[name]
        torch.testing.assert_close(found.image_weight, stream.image_weight, rtol=0, atol=0.05)
        assert (found.embedding * stream.embedding).sum(dim=1).min() > 0.98


def test_a_checkpoint_of_another_size_is_refused(tmp_path: Path) -> None:
    processor = tiny_processor()
    other = load.Checkpoint(tiny_model(processor), processor, "0" * 12, "the other")
    with pytest.raises(TrainingError, match="takes pictures of 32 pixels"):
        cache_features(SMALL, other, tmp_path, tmp_path)


@pytest.mark.usefixtures("kept")
def test_the_command_writes_numbers_table_and_figures(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def settings(seeds: tuple[int, ...]) -> StudySettings:
        return replace(SMALL, seeds=seeds)

    monkeypatch.setattr("dwc.training.study.models.StudySettings", settings)
    ran: list[str] = []
    run_variant = runs.run_variant

    def run(one: Any, *arguments: Any) -> dict[str, Any]:
        ran.append(one.name)
        return run_variant(one, *arguments)

    monkeypatch.setattr(runs, "run_variant", run)
    asked = ["study", "--work", str(place / "work"), "--drawings", str(place / "drawings")]
    asked += ["--out", str(place / "assets"), "--workers", "1", "--seeds", "1"]
    assert main(asked) == 0
    folder = place / "assets" / "study"
    summary = json.loads((folder / "study.json").read_text())
    assert summary["fingerprint"] == load.load(str(load.DRAWINGS_FOLDER)).fingerprint
    assert len(summary["variants"]) == len(ran)
    assert "1 seed," in (folder / "study.md").read_text()
    assert {file.suffix for file in folder.iterdir()} == {".json", ".md", ".svg"}
    assert main(asked) == 0
    assert len(summary["variants"]) == len(ran)  # none was run again


@pytest.mark.parametrize(
    ("more", "message"),
    [(["--seeds", "0"], "--seeds is 0"), (["--workers", "0"], "--workers is 0")],
)
def test_wrong_arguments_are_errors(
    more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", *more]) == 2
    assert message in capsys.readouterr().err

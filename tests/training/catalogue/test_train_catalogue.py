"""The bundled checkpoint's training from nothing to a checkpoint that searches, in small."""

import json
from dataclasses import replace

import pytest
import torch
from huggingface_hub import ModelCard

from dwc.catalogue.drawing.draw import draw
from dwc.catalogue.splits import gallery
from dwc.checkpoints import load
from dwc.gallery.builder import build_store
from dwc.gallery.sources import CatalogueSource
from dwc.modeling.combiners import combiner_names
from dwc.search.image_embedding import image_embedder, model_identity
from dwc.search.searcher import Searcher
from dwc.training.catalogue.drawn_pool import PoolSettings
from dwc.training.catalogue.pretraining import AttributeSettings, ContrastiveSettings
from dwc.training.catalogue.recipe import CatalogueRecipe
from dwc.training.catalogue.text_tuning import TextTuningSettings
from dwc.training.catalogue.train_catalogue import publish_catalogue
from dwc.training.dwc.mutual_training import MutualSettings

pytestmark = pytest.mark.training

TINY = CatalogueRecipe(
    pool=PoolSettings(items=60, styles=("training",)),
    contrastive=ContrastiveSettings(total_steps=3, warmup_steps=1),
    contrastive_batch=8,
    attributes=AttributeSettings(total_steps=3, warmup_steps=1),
    attributes_batch=8,
    cached_views=2,
    text_tuning=TextTuningSettings(total_steps=3, warmup_steps=1),
    text_tuning_batch=8,
    mutual=MutualSettings(total_steps=3, schedule="cosine", warmup_steps=1),
    mutual_batch=8,
    triplets=60,
    text_only_share=0.25,
    image_only_share=0.125,
    comparison_steps=2,
    mixed_precision="no",
    vocabulary_texts=200,
    ood_items=24,
    measured_gallery=40,
    measured_queries=20,
)
MAX_FILE_MB = 10  # what the Hub, and GitHub, take without further ado


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The checkpoint's folder, the numbers that came back, and the work folder."""
    place = tmp_path_factory.mktemp("training")
    photographs = place / "photographs"
    photographs.mkdir()
    rows = ["file,label"]
    for item, label in zip(gallery("val", 4), ("Dress", "Shoes", "Hat", "Skirt"), strict=True):
        draw(item.garment, item.picture_seed, 64).save(photographs / f"{item.id}.jpg")
        rows.append(f"{item.id}.jpg,{label}")
    (photographs / "labels.csv").write_text("\n".join(rows))
    torch.set_num_threads(1)
    out, work = place / "out", place / "work"
    return out, publish_catalogue(TINY, work, out, photographs), work


def test_the_folder_is_a_whole_checkpoint_of_small_files(published):
    out, numbers, _ = published
    files = {file.relative_to(out).as_posix(): file for file in out.rglob("*") if file.is_file()}
    assert {"README.md", "config.json", "evaluation.json", "processor_config.json"} <= set(files)
    assert any(name.endswith(".safetensors") for name in files)
    too_large = [name for name, f in files.items() if f.stat().st_size > MAX_FILE_MB * 1_000_000]
    assert too_large == []
    assert load.fingerprint(out) == numbers["fingerprint"]


def test_the_numbers_are_json_and_complete(published):
    out, numbers, _ = published

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    written = json.loads((out / "evaluation.json").read_text(), parse_constant=refuse)
    assert written == numbers
    catalogue = written["catalogue"]
    assert (catalogue["gallery"], catalogue["queries"]) == (40, 20)
    assert set(catalogue["streams"]) == {"clip", "cnn"}
    assert 0 <= catalogue["recall@1"] <= catalogue["recall@10"] <= catalogue["recall@50"] == 1
    assert set(written["combiners"]) == set(combiner_names())
    assert written["combiners"]["average"]["weight_truth_correlation"] is None
    assert set(written["photographs"]["classes"]) >= {"Dress", "Shoes"}
    assert written["recipe"]["contrastive"]["total_steps"] == 3


def test_the_log_has_every_stage_to_its_end(published):
    out, _, _ = published
    lines = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    ends = {line["stage"]: line["step"] for line in lines}
    # The last to be drawn are the held-out garments that familiarity is measured on.
    drawn = TINY.ood_items
    texts = TINY.triplets + TINY.pool.items  # every wish, and a description of each drawing
    trained = dict.fromkeys(("contrastive", "attributes", "reading", "alternating"), 3)
    assert ends == {"drawing": drawn, "keeping": texts, **trained}


def test_the_card_shows_the_numbers(published):
    out, numbers, _ = published
    card = (out / "README.md").read_text()
    assert ModelCard(card).data.license == "apache-2.0"
    assert f"{100 * numbers['catalogue']['recall@10']:.1f}" in card
    assert "20 queries to a gallery of 40 garments" in card
    for row in ("both streams", "CLIP stream", "CNN stream", "**DWC**", "plain average"):
        assert f"| {row} |" in card


def test_the_loaded_model_is_in_eval_mode_with_clip_frozen(published):
    loaded = load.load(str(published[0]))
    assert float(loaded.model.familiarity.threshold) > 0
    assert not loaded.model.training
    assert not any(p.requires_grad for p in loaded.model.clip.parameters())


def test_it_answers_over_a_gallery(published, tmp_path):
    loaded = load.load(str(published[0]))
    source = CatalogueSource("test", 12, 64)
    embed = image_embedder(loaded)
    store = build_store(source, embed, tmp_path / "store", model_identity(loaded), workers=1)
    result = Searcher(loaded, store).search(text="in red", k=5, reference_id=store.ids[0])
    assert len(result.hits) == 5
    assert store.ids[0] not in {hit.id for hit in result.hits}
    assert set(result.weights) == {"clip", "cnn"}
    assert result.ood_score is not None
    assert all(sum(h.parts.values()) == pytest.approx(h.score, abs=1e-4) for h in result.hits)


def test_a_finished_run_goes_through_without_training_again(published, tmp_path):
    _, numbers, work = published
    before = (work / "alternating.jsonl").read_text()
    again = publish_catalogue(replace(TINY, comparison_steps=1), work, tmp_path / "again")
    assert (work / "alternating.jsonl").read_text() == before
    assert again["fingerprint"] == numbers["fingerprint"]
    assert "photographs" not in again
    assert "Not measured" in (tmp_path / "again" / "README.md").read_text()

"""The weights kept beside a checkpoint, and that they change nothing of what it is."""

import pytest
import torch

from dwc import checkpoint
from dwc.cli import main
from dwc.evaluation.catalogue import evaluate_catalogue
from dwc.search.weight_context import WeightContext
from tests.search.tiny import write_tiny_checkpoint


def test_the_weights_of_many_queries_are_kept(tmp_path, capsys):
    torch.set_num_threads(1)
    folder = write_tiny_checkpoint(tmp_path / "model")
    before = checkpoint.fingerprint(folder)
    assert main(["weights", str(folder), "--gallery", "40", "--queries", "25"]) == 0
    assert capsys.readouterr().out.strip().endswith("reference_weights.json")
    context = WeightContext.load(folder)
    assert context.queries == 25
    assert "25 wishes" in context.protocol
    loaded = checkpoint.load(folder)
    assert loaded.fingerprint == before
    measured = evaluate_catalogue(loaded.model, loaded.processor, gallery_size=40, queries=25)
    for name, weights in context.weights.items():
        mean = measured["streams"][name]["image_weight_mean"]
        assert sum(weights) / 25 == pytest.approx(mean, abs=1e-5)

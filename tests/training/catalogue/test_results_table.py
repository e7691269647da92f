"""How long a training took, read from its logs."""

import json
from pathlib import Path

from dwc.training.catalogue.train_catalogue import stage_seconds


def write(work: Path, stage: str, seconds: list[float]) -> None:
    (work / f"{stage}.jsonl").write_text(
        "".join(json.dumps({"seconds": s}) + "\n" for s in seconds)
    )


def test_every_resumption_counts(tmp_path: Path) -> None:
    write(tmp_path, "drawing", [200.0, 8.0, 9.0])  # three pools, each logged once it was whole
    write(tmp_path, "contrastive", [10.0, 20.0, 30.0])  # never interrupted
    write(tmp_path, "attributes", [10.0, 20.0, 5.0, 12.0])  # killed after 20 s, 12 s more
    write(tmp_path, "keeping", [110.0, 60.0])  # of pictures and of texts, each once it was done
    write(tmp_path, "reading", [15.0])
    write(tmp_path, "alternating", [7.0])
    assert stage_seconds(tmp_path) == {
        "drawing": 217.0,
        "contrastive": 30.0,
        "attributes": 32.0,
        "keeping": 170.0,
        "reading": 15.0,
        "alternating": 7.0,
    }

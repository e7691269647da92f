"""The study, conducted and written: `study.json`, a table and the figures."""

import json
from pathlib import Path

from dwc.training.study.conducting import conduct
from dwc.training.study.figures import draw_figures
from dwc.training.study.settings import StudySettings
from dwc.training.study.summary import summarise
from dwc.training.study.table import how_it_was_made, write_markdown

FOLDER = "study"


def study_to(
    settings: StudySettings,
    model: str | None,
    work: Path,
    drawings: Path,
    out: Path,
    workers: int,
) -> Path:
    """Conduct the study and write it into `out`/study; the folder. See `conduct`."""
    conducted = conduct(settings, model, work, drawings, workers)
    summary = summarise(settings, conducted)
    summary["how"] = how_it_was_made(summary)
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawing in draw_figures(summary).items():
        (folder / name).write_text(drawing)
    (folder / "study.md").write_text(write_markdown(summary))
    (folder / "study.json").write_text(json.dumps(summary, indent=2) + "\n")
    return folder

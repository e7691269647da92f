"""The way of a search as a strip: a tile a step, what was left aside fainter below."""

from pathlib import Path

from dwc.ui.pictures import Pictures, url_of
from dwc.ui.trail import Line, Step, Trail
from dwc.ui.wording import escape, percents

ON_LOAD = """
element.addEventListener('click', (event) => {
  const stop = event.target.closest('button[data-step]');
  if (stop) trigger('back', {step: Number(stop.dataset.step)});
});
element.addEventListener('keydown', (event) => {
  const towards = {ArrowLeft: -1, ArrowRight: 1}[event.key];
  const stops = [...element.querySelectorAll('button[data-step]')];
  const place = stops.indexOf(event.target.closest('button[data-step]'));
  if (!towards || place < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  stops[place + towards]?.focus();
});
const lead = () => {
  const frame = element.querySelector('.way-frame');
  const here = element.querySelector('[aria-current]');
  if (!frame || !here) return;
  const stop = here.parentElement;  // only the frame is scrolled, not the page
  frame.scrollLeft = stop.offsetLeft + stop.offsetWidth - frame.clientWidth + 24;
  frame.scrollTop = 0;
};
watch('value', lead);
lead();
"""

_HINT = "Every search of this visit is kept here. Choose one to go back to it."


def render_trail(
    trail: Trail, pictures: Pictures, uploads_kept_minutes: int, said: str = ""
) -> str:
    """The tree of steps under its heading; empty before the first.

    `said` is what there is to tell about going back.
    """
    lines = trail.lines()
    if not lines:
        return ""
    stops = "".join(
        _stop(step, line, row, line.column + place, trail, pictures, uploads_kept_minutes)
        for row, line in enumerate(lines, start=1)
        for place, step in enumerate(line.steps)
    )
    alone = len(trail.steps) == 1
    note = f'<p class="hint" role="status">{escape(said)}</p>' if said else ""
    hint = f'<p class="hint">{_HINT}</p>' if alone else ""
    return (
        f'<nav class="trail{" alone" if alone else ""}" aria-labelledby="trail-title">'
        '<h3 id="trail-title">The way so far</h3>'
        f'<div class="way-frame"><ol class="way">{stops}</ol></div>{note}{hint}</nav>'
    )


def tell_deleted(step: Step, uploads_kept_minutes: int) -> str:
    """What to say where a step's picture was uploaded and is no longer kept."""
    rest = "Its words are back: choose" if step.question.words else "Choose"
    return (
        f"Step {step.number} began from a picture that you uploaded, and uploads are deleted after "
        f"{uploads_kept_minutes} minutes. {rest} the picture again to repeat it."
    )


def is_kept(step: Step) -> bool:
    """Whether a step's picture is still there; one without picture needs none."""
    return step.question.upload is None or Path(step.question.upload).is_file()


def _stop(
    step: Step,
    line: Line,
    row: int,
    column: int,
    trail: Trail,
    pictures: Pictures,
    uploads_kept_minutes: int,
) -> str:
    current = ' aria-current="step"' if step.number == trail.current else ""
    aside = row > 1
    words = step.question.words
    weight, rest = percents(step.lean.image_weight)
    turn = "leaned to " if step.lean.shift != 0 else ""
    shown, name = _picture(step, pictures, uploads_kept_minutes)
    told = [
        f"Step {step.number}: {name}",
        f"“{words}”" if words else "no words",
        f"{turn}picture {weight} %, words {rest} %",
    ]
    if step.parent is not None:
        told[0] = f"Step {step.number}, after step {step.parent}: {name}"
    if aside:
        told.append("left aside")
    kind, up = "stop aside" if aside else "stop", ""
    if step is line.steps[0]:
        kind += " branch" if aside else " start"
        up = f";--up:{line.up}"
    said = escape("; ".join(told))
    return (
        f'<li class="{kind}" style="grid-row:{row};grid-column:{column + 1}{up}">'
        f'<button type="button" data-step="{step.number}" title="{said}"{current} '
        f'aria-label="{said}">{shown}'
        f'<span class="listened" aria-hidden="true"><i style="width:{weight}%"></i></span>'
        f'<span class="said">{escape(words) or "more like this"}</span></button></li>'
    )


def _picture(step: Step, pictures: Pictures, uploads_kept_minutes: int) -> tuple[str, str]:
    """What is shown for the reference, and what it is called."""
    question = step.question
    if question.reference_id is not None:
        name = pictures.describe(question.reference_id)
        return _thumbnail(url_of(pictures.thumbnail(question.reference_id)), name), f"like {name}"
    if question.upload is None:
        return '<span class="no-picture">words only</span>', "words alone"
    if not is_kept(step):
        gone = f"your picture, deleted after {uploads_kept_minutes} minutes"
        return '<span class="no-picture">picture deleted</span>', gone
    return _thumbnail(url_of(Path(question.upload)), "your picture"), "like your picture"


def _thumbnail(url: str, name: str) -> str:
    return f'<img src="{escape(url)}" alt="{escape(name)}" width="60" height="60">'

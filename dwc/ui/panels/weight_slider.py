"""The slider that leans a search: from only the words, over as learned, to only the picture."""

from collections.abc import Mapping

from dwc.search.results import Weight, mean_image_weight
from dwc.ui.format import percents

STEPS = 1000

RESTED_MS = 400  # longer than a hand takes between two steps, and no wait to be noticed

ON_LOAD = """
let resting;
const rest = () => {
  clearTimeout(resting);
  resting = setTimeout(() => trigger('rest', {}), RESTED_MS);
};
const tell = () => {
  const slider = element.querySelector('input');
  const button = element.querySelector('button');
  const learned = slider.value === slider.dataset.learned;
  const picture = Math.round(slider.value / slider.max * 100);
  slider.setAttribute('aria-valuetext',
    (learned ? 'as learned: ' : '') + `picture ${picture} %, words ${100 - picture} %`);
  button.disabled = learned;
  // What stands here now is also what the next answer's slider is compared with: without this, one
  // that is as the last came would count as shown already, and leave the slider leaned.
  slider.setAttribute('value', slider.value);
  props.value = element.innerHTML;
};
element.addEventListener('input', (event) => {
  const slider = event.target.closest('input');
  if (!slider) return;
  tell();
  rest();
  if (slider.value === slider.dataset.learned) trigger('lean', {learned: true});
  else trigger('lean', {position: slider.value / slider.max});
});
element.addEventListener('click', (event) => {
  if (!event.target.closest('button')) return;
  const slider = element.querySelector('input');
  slider.value = slider.dataset.learned;
  tell();
  rest();
  slider.focus();
  trigger('lean', {learned: true});
});
""".replace("RESTED_MS", str(RESTED_MS))


def render_slider(weights: Mapping[str, Weight], at: float | None = None) -> str:
    """The slider `at` a mean weight, by default the learned `weights`' own.

    Empty where nothing has been searched.
    """
    if not weights:
        return ""
    mean = mean_image_weight(weights)
    picture, words = percents(mean)
    if not any(0 < weight.image < 1 for weight in weights.values()):
        return (
            '<div class="lean"><p class="sr-only">There is nothing to lean to: the search has '
            "only one of picture and words.</p></div>"
        )
    learned = round(STEPS * mean)
    stands = learned if at is None else round(STEPS * at)
    said = f"picture {picture} %, words {words} %"
    if stands == learned:
        said = f"as learned: {said}"
    else:
        said = "picture {} %, words {} %".format(*percents(stands / STEPS))
    state = "disabled" if stands == learned else ""
    return (
        f'<div class="lean"><input type="range" min="0" max="{STEPS}" step="1" value="{stands}" '
        f'data-learned="{learned}" aria-label="Lean the search: left to the words, right to the '
        f'picture" aria-valuetext="{said}">'
        f'<button type="button" id="learned" style="--at:{100 * mean:.2f}%" {state}>as learned'
        "</button></div>"
    )

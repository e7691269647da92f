"""The switch that hides look-alikes, and what it says they are."""

from dwc.search.look_alikes import Folds
from dwc.ui.wording import signed

SWITCH = """
<div class="view">
<button type="button" role="switch" id="fold" aria-checked="false" aria-describedby="fold-told">
<i aria-hidden="true"></i>Hide look-alikes</button>
<p class="hint keys">With a result in focus: <kbd>arrow keys</kbd> move, <kbd>Enter</kbd> tells why,
<kbd>F</kbd> goes on from it.</p>
<p class="hint told" role="status" id="fold-told"></p></div>
"""

ON_LOAD = """
element.addEventListener('click', (event) => {
  const fold = event.target.closest('#fold');
  if (!fold) return;
  const folded = document.getElementById('answer').toggleAttribute('data-folded');
  fold.setAttribute('aria-checked', String(folded));
  document.dispatchEvent(new Event('dwc-folded'));
});
"""

# Part of the results' script: the cards are hidden by style, and moved here where one unfolds them.
ARRANGING = """
const folded = () => element.closest('[data-folded]') !== null;
const arrange = () => {
  const list = element.querySelector('.cards');
  if (!list) return;
  const focused = document.activeElement;
  const inOrder = [...list.children].sort((one, other) => one.dataset.rank - other.dataset.rank);
  list.append(...inOrder);
  for (const button of list.querySelectorAll('.alike')) {
    if (!folded()) button.setAttribute('aria-expanded', 'false');
    const open = button.getAttribute('aria-expanded') === 'true';
    const own = inOrder.filter((card) => card.dataset.under === button.dataset.rank);
    for (const card of own) card.classList.toggle('unfolded', open);
    if (open) button.closest('.card').after(...own);
  }
  if (list.contains(focused)) focused.focus({preventScroll: true});  // moving it took the focus
};
const tellFolds = () => {
  const told = document.getElementById('fold-told');
  const cards = folded() ? element.querySelector('.cards') : null;
  if (told) told.textContent = cards?.dataset.alike ?? '';
};
const unfold = (button) => {
  const open = button.getAttribute('aria-expanded') !== 'true';
  button.setAttribute('aria-expanded', String(open));
  arrange();
};
document.addEventListener('dwc-folded', () => { arrange(); tellFolds(); });
"""


def tell_folds(folds: Folds) -> str:
    """How many look-alikes there are, and what counts as one in this gallery."""
    total = len(folds.under)
    if folds.folded == 0:
        told = f"None of these {total} looks nearly like a better one"
    else:
        verb, noun = ("is", "a look-alike") if folds.folded == 1 else ("are", "look-alikes")
        told = f"{folds.folded} of these {total} {verb} {noun}, folded under the better one"
    return (
        f"{told}. Look-alikes lie less than a twentieth as far apart as two pictures of this "
        f"gallery usually do: a cosine of at least {folds.least:.3f} between their embeddings, "
        f"where {signed(folds.usual)} is usual."
    )

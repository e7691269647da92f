"""Moving the slider as a hand does, and how soon the page has followed."""

SLIDER = "#shift input"

_FOLLOW = """
async () => {
    const slider = document.querySelector('#shift input');
    const changed = (place) => new Promise((done) => {
        const observer = new MutationObserver(() => { observer.disconnect(); done(); });
        const told = document.querySelector(place);
        observer.observe(told, {childList: true, subtree: true, characterData: true});
    });
    const painted = () => new Promise(requestAnimationFrame);
    const times = [];
    for (let step = 0; step < 15; step++) {
        const began = performance.now();
        const both = Promise.all([changed('#weights'), changed('#results')]);
        slider.value = step % 2 ? 200 : 800;
        slider.dispatchEvent(new Event('input', {bubbles: true}));
        await both;
        await painted();
        times.push(performance.now() - began);
    }
    return times.sort((a, b) => a - b)[7];
}
"""


def lean(page, position):
    """Move the slider to a share of its way, and wait until the sentence says so."""
    page.eval_on_selector(
        SLIDER,
        """(slider, position) => {
            slider.value = position * slider.max;
            slider.dispatchEvent(new Event('input', {bubbles: true}));
        }""",
        position,
    )
    page.wait_for_function(
        "document.querySelector('#weights .sentence').textContent.startsWith('Leaned by hand')"
    )


def follow_the_hand(page):
    """Milliseconds from a move to the new sentence and results on the screen, the median of 15."""
    lean(page, 0.5)
    return page.evaluate(_FOLLOW)

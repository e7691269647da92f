/* The result cards: keyboard, "more", and near-duplicates folded under the better picture. */
window.dwcResults = (() => {
  /* The switch above the cards. Style hides folded cards; `arrange` moves the unfolded ones. */
  function foldSwitch({element, trigger}) {
    element.addEventListener("click", (event) => {
      const fold = event.target.closest("#fold");
      if (!fold) return;
      const folded = document.getElementById("answer").toggleAttribute("data-folded");
      fold.setAttribute("aria-checked", String(folded));
      document.dispatchEvent(new Event("dwc-folded"));
      trigger("fold", {folded}); // the server refills the page
    });
  }

  function isFolded(element) {
    return element.closest("[data-folded]") !== null;
  }

  /* Put the cards in rank order, and those of an unfolded group behind their first. */
  function arrange(element) {
    const list = element.querySelector(".cards");
    if (!list) return;
    const folded = isFolded(element);
    const focused = document.activeElement;
    const ranked = [...list.children].sort((a, b) => a.dataset.rank - b.dataset.rank);
    list.append(...ranked);
    for (const button of list.querySelectorAll(".alike")) {
      if (!folded) button.setAttribute("aria-expanded", "false");
      const open = button.getAttribute("aria-expanded") === "true";
      const group = ranked.filter((card) => card.dataset.under === button.dataset.rank);
      for (const card of group) card.classList.toggle("unfolded", open);
      if (open) button.closest(".card").after(...group);
    }
    if (list.contains(focused)) focused.focus({preventScroll: true}); // moving it took the focus
  }

  function describeFolds(element) {
    const status = document.getElementById("fold-told");
    const cards = isFolded(element) ? element.querySelector(".cards") : null;
    if (status) status.textContent = cards?.dataset.alike ?? "";
  }

  function toggleGroup(element, button) {
    const open = button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", String(open));
    arrange(element);
  }

  function visibleCards(element) {
    return [...element.querySelectorAll(".card")].filter((card) => card.offsetParent);
  }

  /* The card that an arrow key leads to; undefined at an edge and for another key. */
  function neighbor(element, card, key) {
    const cards = visibleCards(element);
    const firstBelow = cards.findIndex((other) => other.offsetTop > cards[0].offsetTop);
    const columns = firstBelow < 0 ? cards.length : firstBelow;
    const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns}[key];
    return step && cards[cards.indexOf(card) + step];
  }

  function cards({element, trigger, watch}) {
    let countBefore = 0; // the cards there were when more were requested; 0 while none are
    element.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      if (button.dataset.more !== undefined) {
        if (window.dwcSession.isPending()) return; // these cards are about to be replaced
        countBefore = element.querySelectorAll(".card").length;
        trigger("more", {});
      } else if (button.classList.contains("alike")) toggleGroup(element, button);
      else if (button.dataset.id) {
        const {id, content} = button.dataset;
        trigger(button.classList.contains("frame") ? "why" : "follow", {id, content});
      }
    });
    element.addEventListener("keydown", (event) => {
      const card = event.target.closest(".card");
      if (!card || event.ctrlKey || event.altKey || event.metaKey) return;
      if (event.key === "f" || event.key === "F") {
        event.preventDefault();
        trigger("follow", {id: card.dataset.id, content: card.dataset.content});
        return;
      }
      const next = neighbor(element, card, event.key);
      if (!next) return;
      event.preventDefault();
      next.querySelector(".frame").focus();
    });
    document.addEventListener("dwc-folded", () => { arrange(element); describeFolds(element); });
    watch("value", () => {
      describeFolds(element);
      if (!countBefore || element.querySelectorAll(".card").length <= countBefore) return;
      const first = visibleCards(element).find((card) => Number(card.dataset.rank) > countBefore);
      (first?.querySelector(".frame") ?? element.querySelector("[data-more]"))?.focus();
      countBefore = 0;
    });
  }

  return {foldSwitch, cards};
})();

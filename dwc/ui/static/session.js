/* Which search is on the screen, and how it survives: the address, Back and Forward, a reload, a
   reconnect, a link that waits for a busy server.

   The server's memory of a visit may be lost at any time. So the browser keeps what it shows: the
   answer's request in the entry of the browser's history, the visit's own history, the pin, and what
   is in the fields in the tab's storage. */
window.dwcSession = (() => {
  const STORED = "dwc-visit";
  const LINK_NAMES = ["ref", "reference_id", "text", "filter", "model", "shift"]; // as in request_parsing.py
  const ADDRESS_MS = 250;
  const MOST_REFUSALS = 20; // one after the other, before the page stops asking by itself
  let fire = null; // triggers the event `restore` of the page
  let screen = null; // the answer shown, as `describe_screen` in handlers.py describes it
  let fields = null; // what is in the fields: the reference's file, and the words
  let settings = null; // the model and the filter that the page shows
  let refusals = 0; // by a busy server, one after the other
  let asking; // the timer that asks a busy server again
  let isUnexplained = false; // an explanation of the answer shown was refused
  let updating; // the timer that writes the answer into the address
  let expected = null; // the answer of the history entry that is being restored

  function stored() {
    // Storage may be forbidden, as in a sandboxed frame.
    try { return JSON.parse(sessionStorage.getItem(STORED)) ?? {}; } catch { return {}; }
  }

  function store(changes) {
    try { sessionStorage.setItem(STORED, JSON.stringify({...stored(), ...changes})); } catch { /* not kept */ }
  }

  function answerColumn() {
    return document.getElementById("answer");
  }

  function notify(text) {
    const notice = document.getElementById("answer-notice-text");
    if (notice && notice.textContent !== text) notice.textContent = text;
  }

  function isWaiting() {
    return answerColumn()?.hasAttribute("data-waiting") ?? false;
  }

  function isPending() {
    return document.querySelector("#results .html-container")?.classList.contains("pending") ?? false;
  }

  /* Whether the address or this entry of the browser's history names a search. */
  function isAddressed() {
    const query = window.dwcEmbedding.query().replaceAll("&amp;", "&");
    let parameters = new URLSearchParams(query);
    // A link that was encoded as a whole has all of its parameters in the first name.
    if (!query.includes("=")) parameters = new URLSearchParams([...parameters.keys()].join("&"));
    const isSearch = [...parameters].some(([name, value]) => value && LINK_NAMES.includes(name.toLowerCase()));
    return isSearch || Boolean(history.state?.screen);
  }

  /* Hide the answer on the screen until that of the address has come: it belongs to another search. */
  function wait(text) {
    answerColumn()?.setAttribute("data-waiting", "");
    notify(text);
  }

  /* What the server needs to restore this entry of the browser's history. `loads`: the page is new. */
  function visit(loads) {
    const entry = history.state?.screen ? history.state : null;
    const kept = stored();
    return {
      address: window.dwcEmbedding.query(),
      screen: entry?.screen ?? null,
      step: entry?.step ?? null,
      history: entry || !loads ? kept.history ?? null : null,
      pin: entry || !loads ? kept.pin ?? null : null,
      draft: entry && loads ? kept.draft ?? null : null,
    };
  }

  function start() {
    if (isAddressed()) wait("Opening this search…");
  }

  function connect({trigger}) {
    fire = trigger;
    addEventListener("pagehide", () => updateEntry(screen));
    addEventListener("popstate", () => {
      expected = history.state?.screen ?? null;
      wait("Opening this search…");
      fire("restore", {visit: visit(false)});
    });
  }

  /* The page was opened. What its address or a reload asks for is a search, which may have to wait. */
  function opened() {
    if (isWaiting()) fire?.("restore", {visit: visit(true)});
  }

  /* Ask a busy server again, after the seconds that it gave or, if it goes on refusing, up to 8.
     Return these seconds; 0 if the page stops asking. */
  function askLater(wait, ask) {
    refusals += 1;
    clearTimeout(asking);
    if (refusals > MOST_REFUSALS) return 0;
    const seconds = Math.max(wait?.seconds ?? 1, Math.min(2 ** (refusals - 1), 8));
    asking = setTimeout(ask, 1000 * seconds);
    return seconds;
  }

  /* Opening or restoring was refused or lost: do it again as soon as there is room. */
  function retry(wait) {
    if (wait?.error) { // the message on the page says why
      answerColumn()?.removeAttribute("data-waiting");
      notify("");
      return;
    }
    const seconds = askLater(wait, () => fire?.("restore", {visit: visit(true)}));
    if (!isWaiting()) return;
    notify(seconds
      ? `The server is busy, about ${seconds} s. This search is opened as soon as there is room.`
      : "The server is busy. Load the page again later.");
  }

  /* Whether two answers are to the same question. A picture of the gallery that was moved is the same, and one
     that took the name of another is not. Entries that older pages wrote lack the content. */
  function isSameQuestion({request: one}, {request: other}) {
    const sameRest = ["words", "upload", "model"].every((name) => one[name] === other[name])
      && (one.filter ?? "") === (other.filter ?? "");
    const hasContents = one.content && other.content;
    return sameRest && (hasContents ? one.content === other.content : one.reference_id === other.reference_id);
  }

  function isFolded() {
    return answerColumn()?.hasAttribute("data-folded") ?? false;
  }

  function showFolding(folded) {
    answerColumn()?.toggleAttribute("data-folded", folded);
    document.getElementById("fold")?.setAttribute("aria-checked", String(folded));
    document.dispatchEvent(new Event("dwc-folded"));
  }

  /* An answer, or none, is on the screen: the address follows it. Without an answer, `given` may have
     a notice, and the weight shift that the address sets for the first search. */
  function show(given) {
    const shown = given?.request ? given : null;
    const isNew = !screen || !shown || !isSameQuestion(screen, shown);
    // The page's own first answer comes with its explanations; all others are explained later.
    const isExplained = !screen && !isWaiting();
    if (isNew || isWaiting()) {
      refusals = 0;
      clearTimeout(asking);
    }
    screen = shown;
    if (shown && expected && !isSameQuestion(shown, expected)) return; // of an entry that was left since
    expected = null;
    answerColumn()?.removeAttribute("data-waiting");
    if (!screen) {
      notify(given?.notice ?? "");
      return;
    }
    if (isNew || isFolded() !== screen.request.folded) showFolding(screen.request.folded);
    const entry = history.state?.screen;
    if (entry && !isSameQuestion(entry, screen)) {
      clearTimeout(updating);
      history.pushState({screen}, "", addressOf(screen));
    } else if (isNew) updateEntry(screen);
    else {
      // Browsers refuse to follow a hand on the slider: they limit how often the address changes.
      clearTimeout(updating);
      updating = setTimeout(() => updateEntry(screen), ADDRESS_MS);
    }
    if (isNew && !isExplained) {
      isUnexplained = false;
      answerColumn()?.setAttribute("data-explaining", "");
    }
  }

  function addressOf({link}) {
    return window.dwcEmbedding.addressOf(link);
  }

  /* Write an answer into the current entry of the browser's history, and into the address. */
  function updateEntry(shown) {
    clearTimeout(updating);
    const entry = history.state?.screen;
    if (shown && (!entry || isSameQuestion(entry, shown))) {
      history.replaceState({...history.state, screen: shown}, "", addressOf(shown));
    }
  }

  /* The panels explain the answer on the screen. */
  function explained() {
    if (!isUnexplained) answerColumn()?.removeAttribute("data-explaining");
  }

  /* The server took no explanation: the panels go on explaining an earlier answer. */
  function refuseExplanation() {
    isUnexplained = true;
    notify("The server is busy. What is below the results explains an earlier search; search again to see it.");
  }

  /* Whether the fields hold another search than an answer's. */
  function hasOtherFields(shown) {
    return fields.reference !== shown.reference || fields.words.trim() !== shown.request.words;
  }

  /* Whether the page shows another model or filter than those of an answer. */
  function hasOtherSettings(shown) {
    const {model, filter} = shown.request;
    return (model && settings.model !== model) || settings.filter !== (filter ?? "");
  }

  /* Mark the answer where the page holds another search than it answers. */
  function compare(reference, words, model, filter, given) {
    const shown = given?.request ? given : null;
    fields = {reference: reference?.path ?? null, words: words ?? ""};
    settings = {model, filter: filter ?? ""};
    store({draft: fields});
    if (isWaiting()) return;
    const differs = shown && (hasOtherFields(shown) || hasOtherSettings(shown));
    answerColumn()?.toggleAttribute("data-stale", Boolean(differs || shown?.notice));
    notify(differs ? `These results answer another search: ${shown.description}. Press Search for yours.` : given?.notice ?? "");
  }

  /* The server took no search: what is shown still answers the one before. It is asked again.
     `wait`: about how many seconds the server is busy. `key`: the event, as in `dwcEvents.repeat`. */
  function refuse(wait, key) {
    if (wait?.error) {
      notify("The server did not take this search; the message says why. These results answer an earlier one.");
      return;
    }
    const seconds = askLater(wait, () => {
      if (key === "search") document.getElementById("search")?.click();
      else window.dwcEvents.repeat(key);
    });
    const next = seconds ? `it is busy, about ${seconds} s. The search is sent again by itself.`
      : "it may be busy. Search again.";
    notify(`The server did not take this search; ${next} These results answer an earlier one.`);
  }

  /* The visit's history or the pin changed. */
  function keep(visited, pin) {
    store({history: visited, pin});
    if (history.state?.screen) history.replaceState({...history.state, step: visited?.current ?? null}, "");
  }

  return {
    start, connect, visit, opened, retry, refuse, refuseExplanation, show, explained, compare, keep,
    isPending,
  };
})();

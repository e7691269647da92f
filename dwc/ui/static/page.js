/* What the page does without the server: light and dark, upload limits, the way to the next question. */
window.dwc = (() => {
  const REMEMBERED = "dwc-theme";
  const dark = () => document.body.classList.contains("dark");

  function remembered() {
    // Storage may be forbidden, as in a sandboxed frame.
    try { return localStorage.getItem(REMEMBERED); } catch { return null; }
  }

  function remember(theme) {
    try { localStorage.setItem(REMEMBERED, theme); } catch { /* the choice lasts for this visit */ }
  }

  function show(theme) {
    document.body.classList.toggle("dark", theme === "dark");
    document.getElementById("theme-toggle")?.setAttribute("aria-pressed", String(dark()));
  }

  function system() {
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  }

  /* The server never writes here, so that it cannot take for shown what it has not sent. */
  function say(message) {
    const place = document.getElementById("refused-upload");
    if (place) place.textContent = message;
  }

  /* A search that takes longer than a glance is shown and told as such. */
  function watchSearches() {
    const results = document.querySelector("#results .html-container");
    if (!results) return;
    let timer;
    const tell = (searching) => {
      document.body.toggleAttribute("data-searching", searching);
      const status = document.getElementById("search-status");
      if (status) status.textContent = searching ? "Searching…" : "";
    };
    new MutationObserver(() => {
      clearTimeout(timer);
      if (results.classList.contains("pending")) timer = setTimeout(() => tell(true), 250);
      else tell(false);
    }).observe(results, {attributes: true, attributeFilter: ["class"]});
  }

  /* Runs once Gradio has put the page in place, since it sets its own theme while it does. */
  function start() {
    show(remembered() ?? system());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      if (remembered() === null) show(system());
    });
    watchSearches();
    showModel();
    document.documentElement.lang = "en";
  }

  /* A new reference is in place: lead to the words, ready to be typed over. */
  function askAgain() {
    const words = document.querySelector("#words textarea, #words input");
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    document.getElementById("question")?.scrollIntoView({
      behavior: calm ? "auto" : "smooth", block: "start",
    });
    words?.focus({preventScroll: true});
    words?.select();
  }

  /* A result was asked about: lead to its reasons, which may lie below the fold. */
  function showWhy() {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    document.getElementById("reasons")?.scrollIntoView({
      behavior: calm ? "auto" : "smooth", block: "nearest",
    });
  }

  /* Put the answer's address into the address line, and copy it. */
  async function share(button) {
    const told = document.getElementById("taken");
    if (button.dataset.refusal) { told.textContent = button.dataset.refusal; return; }
    const address = new URL(location.href);
    address.search = button.dataset.query;
    history.replaceState(null, "", address);
    try {
      await navigator.clipboard.writeText(address.href);
      told.textContent = "The link is copied.";
    } catch {
      told.textContent = "The link is in the address line.";
    }
  }

  /* Hand over an answer as a file, which the server made for it just now. */
  function save(parcel) {
    if (!parcel) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([parcel.content], {type: parcel.type}));
    link.download = parcel.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    const told = document.getElementById("taken");
    if (told) told.textContent = `${parcel.name} is saved.`;
  }

  /* Copy what a button abbreviates, and say so; where copying is not allowed its title has it. */
  async function copy(button) {
    const told = document.getElementById("copied");
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      told.textContent = "Copied";
    } catch {
      told.textContent = button.dataset.copy;
    }
    setTimeout(() => { told.textContent = ""; }, 4000);
  }

  /* The choice shows which model answers. Once a person has chosen, the browser keeps what they
     chose; but a model may not load, and a page that is opened again begins with the first. */
  function showModel() {
    const choice = document.getElementById("model-choice");
    const chosen = choice?.querySelector("option[selected]");
    if (chosen) choice.value = chosen.value;
  }

  document.addEventListener("click", (event) => {
    const shared = event.target.closest?.("#share");
    if (shared) share(shared);
    const copied = event.target.closest?.("button[data-copy]");
    if (copied) copy(copied);
    if (event.target.closest?.("#search, #examples button, .tile, .card button")) say("");
    if (!event.target.closest?.("#theme-toggle")) return;
    const theme = dark() ? "light" : "dark";
    remember(theme);
    show(theme);
  });

  /* Refuse what the server would refuse, before it travels, and say so in the page. */
  function guard(event) {
    if (!event.target.closest?.("#reference")) return;
    const files = event.dataTransfer?.files ?? event.clipboardData?.files ?? event.target.files;
    const file = files?.[0];
    if (!file) return;
    say("");
    let trouble = "";
    if (file.size > DWC_MAX_UPLOAD_BYTES) {
      const size = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
      trouble = `The picture has ${size(file.size)}; at most ${size(DWC_MAX_UPLOAD_BYTES)} are taken. ` +
        "Make it smaller and try again.";
    } else if (file.type && !file.type.startsWith("image/")) {
      trouble = `${file.name} is not a picture (${file.type}). Choose a JPEG, PNG or WebP file.`;
    }
    if (!trouble) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.target.matches?.("input[type=file]")) event.target.value = "";
    say(trouble);
  }
  for (const kind of ["change", "drop", "paste"]) document.addEventListener(kind, guard, true);

  return {start, askAgain, showWhy, save, showModel};
})();

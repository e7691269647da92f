/* What the page does without the server: light and dark, upload limits, copying, saving, scrolling. */
window.dwc = (() => {
  const STORED = "dwc-theme";
  const dark = () => window.dwcEmbedding.themed().classList.contains("dark");

  function storedTheme() {
    // Storage may be forbidden, as in a sandboxed frame.
    try { return localStorage.getItem(STORED); } catch { return null; }
  }

  function storeTheme(theme) {
    try { localStorage.setItem(STORED, theme); } catch { /* the choice lasts for this visit */ }
  }

  function show(theme) {
    window.dwcEmbedding.themed().classList.toggle("dark", theme === "dark");
    document.getElementById("theme-toggle")?.setAttribute("aria-pressed", String(dark()));
  }

  function system() {
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  }

  /* The server never writes into this element, so that it always knows what it contains. */
  function showUploadError(message) {
    const element = document.getElementById("refused-upload");
    if (element) element.textContent = message;
  }

  /* Show a search that takes longer than a quarter of a second, with its position in the queue. */
  function watchSearches() {
    const results = document.querySelector("#results .html-container");
    if (!results) return;
    let timer;
    const showSearching = (searching) => {
      document.body.toggleAttribute("data-searching", searching);
      const status = document.getElementById("search-status");
      const queue = results.closest("#results").textContent.match(/queue: (\d+)\/(\d+)/);
      const position = searching && queue ? ` ${queue[1]} of ${queue[2]} in the queue` : "";
      document.getElementById("search")?.style.setProperty("--position", `"${position}"`);
      if (status) status.textContent = searching ? `Searching…${position}` : "";
    };
    new MutationObserver(() => {
      clearTimeout(timer);
      if (results.classList.contains("pending")) timer = setTimeout(() => showSearching(true), 250);
      else showSearching(false);
    }).observe(results, {attributes: true, attributeFilter: ["class"]});
  }

  /* Show a picture large in a dialog, which any click and Escape close. */
  function enlarge(button) {
    let dialog = document.getElementById("large-picture");
    if (!dialog) {
      dialog = document.createElement("dialog");
      dialog.id = "large-picture";
      dialog.innerHTML = '<button type="button" aria-label="Close"><img alt=""></button><p></p>';
      dialog.addEventListener("click", () => dialog.close());
      window.dwcEmbedding.container().append(dialog);
    }
    const image = dialog.querySelector("img");
    const caption = dialog.querySelector("p");
    const small = button.closest(".card, .why-head")?.querySelector("img");
    image.src = small?.src ?? ""; // until the large version has come
    image.alt = small?.alt ?? "";
    caption.textContent = image.alt;
    dialog.setAttribute("aria-label", image.alt);
    const large = new Image();
    large.onload = () => { if (dialog.open) image.src = large.src; };
    large.onerror = () => { caption.textContent += " (only the thumbnail is left)"; };
    large.src = window.dwcEmbedding.resolve(button.dataset.large);
    dialog.showModal();
  }

  function watchEnlarging() {
    document.addEventListener("click", (event) => {
      const button = event.target.closest?.(".enlarge");
      if (button) enlarge(button);
    });
    document.addEventListener("keydown", (event) => {
      const card = event.target.closest?.(".card");
      if (!card || event.key.toLowerCase() !== "l") return;
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      enlarge(card.querySelector(".enlarge"));
    });
  }

  /* Runs once Gradio has put the page in place, since it sets its own theme while it does. */
  function start() {
    show(storedTheme() ?? system());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      if (storedTheme() === null) show(system());
    });
    watchSearches();
    watchEnlarging();
    showModel();
    window.dwcSession.start();
    if (!window.dwcEmbedding.isEmbedded()) document.documentElement.lang = "en";
  }

  /* A new reference is in place: focus the words, selected, ready to be replaced. */
  function askAgain() {
    const words = document.querySelector("#words textarea, #words input");
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    document.getElementById("question")?.scrollIntoView({
      behavior: calm ? "auto" : "smooth", block: "start",
    });
    words?.focus({preventScroll: true});
    words?.select();
  }

  /* A result was selected: scroll to its explanation. */
  function showWhy() {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    document.getElementById("reasons")?.scrollIntoView({
      behavior: calm ? "auto" : "smooth", block: "nearest",
    });
  }

  /* Copy the answer's address, and put it into the address line. */
  async function share(button) {
    const status = document.getElementById("taken");
    if (button.dataset.refusal) { status.textContent = button.dataset.refusal; return; }
    const address = window.dwcEmbedding.pageAddress();
    address.search = button.dataset.query;
    if (!window.dwcEmbedding.isEmbedded()) history.replaceState(history.state, "", address);
    try {
      await navigator.clipboard.writeText(address.href);
      status.textContent = "The link is copied.";
    } catch {
      status.textContent = "The link is in the address line.";
    }
  }

  /* Save an answer's file, which the server has just written. */
  function save(parcel) {
    if (!parcel) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([parcel.content], {type: parcel.type}));
    link.download = parcel.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    const status = document.getElementById("taken");
    if (status) status.textContent = `${parcel.name} is saved.`;
  }

  /* Copy what a button abbreviates. Where copying is not allowed, show it. */
  async function copy(button) {
    const status = document.getElementById("copied");
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      status.textContent = "Copied";
    } catch {
      status.textContent = button.dataset.copy;
    }
    setTimeout(() => { status.textContent = ""; }, 4000);
  }

  /* Show in the choice which model answers. The browser would keep what was chosen, but that model
     may not have loaded, and a page that is opened again begins with the default. */
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
    if (event.target.closest?.("#search, #examples button, .tile, .card button")) showUploadError("");
    if (!event.target.closest?.("#theme-toggle")) return;
    const theme = dark() ? "light" : "dark";
    storeTheme(theme);
    show(theme);
  });

  /* Refuse what the server would refuse, before it travels, and say so in the page. */
  function guard(event) {
    if (!event.target.closest?.("#reference")) return;
    const files = event.dataTransfer?.files ?? event.clipboardData?.files ?? event.target.files;
    const file = files?.[0];
    if (!file) return;
    showUploadError("");
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
    showUploadError(trouble);
  }
  for (const kind of ["change", "drop", "paste"]) document.addEventListener(kind, guard, true);

  return {start, askAgain, showWhy, save, showModel};
})();

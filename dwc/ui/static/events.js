/* Events that elements send to the server, one of a kind at a time. */
window.dwcEvents = (() => {
  // For each event whose handler runs: the event that was triggered last meanwhile, or null.
  const running = new Map();
  const latest = new Map(); // for each event, what sends it again as it was sent last
  // Events that change what the next search is made with: the filter, the model, the reference.
  const SETTINGS = ["facets-filter", "masthead-choose", "gallery-follow", "results-follow", "map-service-follow"];
  let isHeld = false; // whether Search was pressed while one of them ran

  /* Return a `trigger` that waits while the handler of the same event runs, and then sends the latest.
     Gradio would drop it, or with its trigger mode "always_last" repeat the first event's data. */
  function gate(id, trigger) {
    return (name, data) => {
      const key = `${id}-${name}`;
      latest.set(key, () => trigger(name, data));
      repeat(key);
    };
  }

  /* Send an event as it was sent last, now or when its handler has ended. */
  function repeat(key) {
    const send = latest.get(key);
    if (!send) return;
    if (running.has(key)) { running.set(key, send); return; }
    running.set(key, null);
    send();
  }

  /* The handler of an event has ended, well or not. */
  function ended(key) {
    const send = running.get(key);
    if (send) {
      running.set(key, null);
      setTimeout(send);
    } else running.delete(key);
    if (!isHeld || changesSettings()) return;
    isHeld = false;
    setTimeout(() => document.getElementById("search")?.click());
  }

  function changesSettings() {
    return SETTINGS.some((key) => running.has(key));
  }

  /* Let a search wait for a filter, a model or a reference that was chosen just before it and is on its way: the
     search would be made without them, while the page shows them. */
  function holdSearch(event) {
    if (!changesSettings()) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    isHeld = true;
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#search")) holdSearch(event);
  }, true);
  document.addEventListener("keydown", (event) => {
    const isSubmit = event.key === "Enter" && !event.shiftKey && !event.isComposing;
    if (isSubmit && event.target.closest?.("#words")) holdSearch(event);
  }, true);

  return {gate, repeat, ended};
})();

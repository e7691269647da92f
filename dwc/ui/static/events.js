/* Events that elements send to the server, one of a kind at a time. */
window.dwcEvents = (() => {
  // For each event whose handler runs: the event that was triggered last meanwhile, or null.
  const running = new Map();
  const latest = new Map(); // for each event, what sends it again as it was sent last

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
    if (!send) { running.delete(key); return; }
    running.set(key, null);
    setTimeout(send);
  }

  return {gate, repeat, ended};
})();

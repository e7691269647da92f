/* The gallery's map in the page: it is drawn once it comes into view, steered, and asked for pictures. */
window.dwcMap = (() => {
  const {Drawing, Dots, View} = window.dwcMapDrawing;
  const REACH = 12; // how far from a dot, in CSS pixels, a pointer still means it
  const REACH_OF_A_FINGER = 22;

  /* What fingers, a mouse and keys do to a drawing. */
  function steer(drawing) {
    const {canvas} = drawing;
    const down = new Map(); // the pointers that touch it
    let moved = false;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const apart = ([[x, y], [u, v]]) => Math.hypot(x - u, y - v);

    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      down.set(event.pointerId, place(event));
      moved = down.size > 1;
    });
    canvas.addEventListener("pointermove", (event) => {
      const [left, top] = place(event);
      if (!down.has(event.pointerId)) {
        drawing.pointed = event.pointerType === "mouse" ? drawing.under(left, top, REACH) : -1;
        canvas.style.cursor = drawing.pointed >= 0 ? "pointer" : drawing.view.scale > 1 ? "grab" : "";
        drawing.ask();
        return;
      }
      const [x, y] = down.get(event.pointerId);
      if (!moved && Math.hypot(left - x, top - y) < 5) return;
      moved = true;
      canvas.setPointerCapture(event.pointerId);
      if (down.size === 2) {
        const before = apart([...down.values()]);
        down.set(event.pointerId, [left, top]);
        const [[a, b], [c, d]] = [...down.values()];
        drawing.zoom(apart([[a, b], [c, d]]) / Math.max(before, 1), (a + c) / 2, (b + d) / 2);
        return;
      }
      down.set(event.pointerId, [left, top]);
      drawing.view.move(left - x, top - y);
      drawing.ask();
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(kind, (event) => {
        if (!down.delete(event.pointerId) || moved || kind === "pointercancel") return;
        const found = drawing.under(...place(event), event.pointerType === "mouse" ? REACH : REACH_OF_A_FINGER);
        if (found >= 0) drawing.choose(found);
      });
    }
    canvas.addEventListener("pointerleave", () => { drawing.pointed = -1; drawing.ask(); });
    canvas.addEventListener("dblclick", (event) => drawing.zoom(2, ...place(event)));
    // The bare wheel scrolls the page, which the map must not catch.
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      drawing.zoom(Math.exp(-event.deltaY / (event.deltaMode ? 20 : 400)), ...place(event));
    }, {passive: false});

    const keys = {
      ArrowLeft: () => drawing.step(-1, 0),
      ArrowRight: () => drawing.step(1, 0),
      ArrowUp: () => drawing.step(0, -1),
      ArrowDown: () => drawing.step(0, 1),
      Enter: () => canvas.closest(".map").querySelector(".map-card button")?.focus(),
      "+": () => drawing.zoom(1.5),
      "=": () => drawing.zoom(1.5),
      "-": () => drawing.zoom(1 / 1.5),
      0: () => drawing.whole(),
    };
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    });
    canvas.closest(".map")?.addEventListener("click", (event) => {
      const kind = event.target.closest("[data-zoom]")?.dataset.zoom;
      if (kind === "all") drawing.whole();
      else if (kind) drawing.zoom(kind === "in" ? 1.5 : 1 / 1.5);
    });
  }

  const fetched = new Map(); // dots by store
  const views = new Map(); // and how one last looked at them, which outlives an answer
  let served;
  const service = new Promise((resolve) => { served = resolve; });

  async function fetchDots(model) {
    const {server} = await service;
    const {store, points} = await server.points({model});
    const bytes = Uint8Array.from(atob(points), (letter) => letter.charCodeAt(0));
    fetched.set(store, new Dots(new Uint16Array(bytes.buffer)));
  }

  /* Tell how long it has taken; the server cannot know how long it will. */
  async function layOut(node, model) {
    const clock = node.querySelector(".map-clock");
    const began = Date.now();
    const ticking = setInterval(() => {
      clock.textContent = `${Math.round((Date.now() - began) / 1000)} seconds so far`;
    }, 1000);
    try {
      await fetchDots(model);
      (await service).tell.laidOut();
    } finally {
      clearInterval(ticking);
    }
  }

  function askForCard(card, model) {
    let latest = 0;
    return async (position) => {
      const turn = ++latest;
      const {server} = await service;
      const html = await server.card({model, position});
      if (turn === latest) card.innerHTML = html;
    };
  }

  async function mount(node, told) {
    if (!fetched.has(told.store)) await fetchDots(told.model);
    const dots = fetched.get(told.store);
    if (!dots || !node.isConnected) return;
    if (!views.has(told.store)) views.set(told.store, new View());
    const card = node.querySelector(".map-card");
    const show = askForCard(card, told.model);
    const drawing = new Drawing(node.querySelector("canvas"), dots, told, views.get(told.store), (place) => {
      show(place).catch(() => { card.textContent = "The picture cannot be shown: is the app still running?"; });
    });
    steer(drawing);
    card.addEventListener("click", async (event) => {
      const button = event.target.closest("button[data-id]");
      if (button) (await service).tell.follow(button.dataset);
    });
    const sizes = new ResizeObserver(() => (node.isConnected ? drawing.fit() : sizes.disconnect()));
    sizes.observe(drawing.canvas);
    const theme = new MutationObserver(() => (node.isConnected ? drawing.ask() : theme.disconnect()));
    theme.observe(window.dwcEmbedding.themed(), {attributes: true, attributeFilter: ["class"]});
    requestAnimationFrame(() => { node.dataset.drawn = ""; }); // after the first painting
  }

  function begin(node) {
    const told = JSON.parse(node.dataset.map);
    const work = told.store ? mount(node, told) : layOut(node, told.model);
    work.catch(() => {
      const said = node.querySelector("[role=status]") ?? node.querySelector(".map-card");
      said.textContent = "The map cannot be drawn: is the app still running?";
    });
  }

  /* Draw what an answer put here once it comes into view, and whatever is put here after it. */
  function show({element}) {
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries.filter((one) => one.isIntersecting)) {
        seen.unobserve(entry.target);
        begin(entry.target);
      }
    }, {rootMargin: "200px"});
    let watched;
    let told;
    const watch = () => {
      let node = element.querySelector("[data-map]");
      if (!node || (node === watched && node.dataset.map === told)) return;
      if (node === watched) {
        // Gradio changed it in place: what listens there knows the answer before.
        const fresh = node.cloneNode(true);
        node.replaceWith(fresh);
        node = fresh;
      }
      watched = node;
      told = node.dataset.map;
      seen.disconnect(); // what stood here before is gone
      seen.observe(node);
    };
    const changes = {childList: true, subtree: true, attributes: true, attributeFilter: ["data-map"]};
    new MutationObserver(watch).observe(element, changes);
    watch();
  }

  /* Connect the element through which the server is asked, and through which the page is notified. */
  function serve({server, trigger}) {
    served({server, tell: {
      follow: ({id, content}) => trigger("follow", {id, content}),
      laidOut: () => trigger("laid_out", {}),
    }});
  }

  return {show, serve};
})();

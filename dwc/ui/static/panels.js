/* What the smaller elements of the page do; each function is run once, when its element is in place. */
window.dwcPanels = (() => {
  const INDEXING_MS = 2000; // between two questions how far the gallery is indexed
  const RESTED_MS = 400; // longer than a hand takes between two steps, too short to be noticed

  /* Report each click on a button inside the element that matches the selector. */
  function onButton(element, selector, report) {
    element.addEventListener("click", (event) => {
      const button = event.target.closest(selector);
      if (button && !button.disabled) report(button);
    });
  }

  function header({element, trigger, watch}) {
    element.addEventListener("change", (event) => {
      if (event.target.id === "model-choice") trigger("choose", {model: event.target.value});
    });
    watch("value", () => window.dwc.showModel());
  }

  function examples({element, trigger}) {
    onButton(element, "button[data-example]", (button) => {
      const {example, content} = button.dataset;
      trigger("ask", {example: Number(example), content: content ?? ""}); // empty: it has no picture
    });
  }

  function toolbar({element, trigger}) {
    onButton(element, "button[data-save]", (button) => trigger("save", {kind: button.dataset.save}));
  }

  function galleryBrowser({element, trigger}) {
    onButton(element, "button", ({dataset}) => {
      if (dataset.id !== undefined) trigger("follow", {id: dataset.id, content: dataset.content});
      else if (dataset.page !== undefined) trigger("turn", {page: Number(dataset.page)});
    });
  }

  /* How far the gallery is indexed. More pictures are shown in the gallery browser, unless the focus is there. */
  function indexing({element, trigger}) {
    let searchable = null;
    let timer;
    const page = () => {
      const previous = document.querySelectorAll("#gallery .pager button[data-page]")[1];
      return Number(previous?.dataset.page ?? -1) + 1;
    };
    const ask = async () => {
      if (!element.isConnected) clearInterval(timer);
      let answer;
      try { answer = await (await fetch(window.dwcEmbedding.resolve("indexing"))).json(); } catch { return; }
      const isRunning = answer.state === "running";
      const isNews = answer.state !== "complete" || searchable !== null; // not on a page opened after the end
      element.innerHTML = isNews ? answer.html : "";
      if (!isRunning) clearInterval(timer);
      const isBrowsed = document.getElementById("gallery")?.contains(document.activeElement);
      if (isRunning && (answer.searchable === searchable || isBrowsed)) return;
      searchable = answer.searchable;
      trigger("grow", {page: page()});
    };
    timer = setInterval(ask, INDEXING_MS);
    ask();
  }

  /* Rendering changes the elements that are there already, and what a visitor ticked or typed in one would stay
     beside another value. The function that this returns gives a field the text that was rendered, if it is new. */
  function renewing(element, selector) {
    const rendered = () => element.querySelector(selector)?.defaultValue;
    let last = rendered();
    return () => {
      const field = element.querySelector(selector);
      if (field && (rendered() !== last || field !== document.activeElement)) field.value = rendered();
      last = rendered();
    };
  }

  /* The filter. It is rendered again after every choice: what was open and focused stays so. */
  function facets({element, trigger, watch}) {
    const open = new Set();
    let focused = null; // selector of the element that sent the last choice
    const renewText = renewing(element, "#filter-text");
    const renew = () => {
      for (const box of element.querySelectorAll("input[type=checkbox]")) box.checked = box.defaultChecked;
      for (const end of element.querySelectorAll("[data-end]")) end.value = end.defaultValue;
      renewText();
    };
    const choose = (choice, selector) => {
      focused = selector;
      trigger("filter", {choice});
    };
    element.addEventListener("toggle", ({target}) => {
      if (target.open) open.add(target.dataset.facet);
      else if (target.isConnected) open.delete(target.dataset.facet);
    }, true);
    element.addEventListener("change", ({target}) => {
      const column = target.closest("fieldset")?.dataset.column;
      if (column === undefined) return;
      const fieldset = target.closest("fieldset");
      const within = `fieldset[data-column="${CSS.escape(column)}"]`;
      if (target.type === "checkbox") {
        const values = [...fieldset.querySelectorAll(":checked")].map((box) => box.value);
        choose({column, values}, `${within} input[value="${CSS.escape(target.value)}"]`);
        return;
      }
      const [least, greatest] = ["least", "greatest"].map((end) => fieldset.querySelector(`[data-end=${end}]`).value);
      choose({column, least, greatest}, `${within} [data-end=${target.dataset.end}]`);
    });
    element.addEventListener("submit", (event) => {
      event.preventDefault();
      choose({text: element.querySelector("#filter-text").value}, "#filter-text");
    });
    onButton(element, "#filter-clear", () => choose({text: ""}, "#filter-text"));
    /* A search applies what was typed as a filter first, and waits for it (events.js). A filter that cannot be
       read stops the search: the field would show another filter than that of the answer. */
    const isSearch = (event) => event.type === "click" ? event.target.closest?.("#search")
      : event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target.closest?.("#words");
    const applyTyped = (event) => {
      const field = isSearch(event) && element.querySelector("#filter-text");
      if (!field) return;
      if (field.value.trim() !== field.defaultValue.trim()) choose({text: field.value}, "#filter-text");
      else if (element.querySelector(".facets [role=alert]")) {
        event.stopImmediatePropagation();
        event.preventDefault();
        for (const part of element.querySelectorAll("details.facets")) part.open = true;
        field.focus();
      }
    };
    // On the window, so that it runs before what holds a search (events.js).
    for (const kind of ["click", "keydown"]) window.addEventListener(kind, applyTyped, true);
    watch("value", () => {
      renew();
      for (const part of element.querySelectorAll("details")) part.open = open.has(part.dataset.facet);
      if (focused && document.activeElement === document.body) element.querySelector(focused)?.focus();
      focused = null;
    });
  }

  function comparison({element, trigger}) {
    onButton(element, "button[data-pin]", (button) => trigger("pin", {keep: button.dataset.pin === "keep"}));
  }

  function paraphrases({element, trigger, watch}) {
    watch("value", renewing(element, "#wordings"));
    onButton(element, "#probe", () => trigger("probe", {wordings: element.querySelector("textarea").value}));
  }

  function weightStatistics({element, trigger}) {
    onButton(element, "button[data-side]", ({dataset}) => {
      trigger("ask", {side: dataset.side, place: Number(dataset.place)});
    });
  }

  function attentionMaps({element}) {
    element.addEventListener("change", (event) => {
      if (event.target.name !== "region-word") return;
      for (const map of element.querySelectorAll("[data-word]")) map.hidden = map.dataset.word !== event.target.value;
    });
  }

  /* A selected line shows its picture below the drawing: on a touch screen nothing can hover, and on
     a narrow page there is no room for a name beside the line. */
  function rankTrace({element}) {
    const select = (line) => {
      const detail = element.querySelector(".traced");
      if (!line || !detail) return;
      for (const other of element.querySelectorAll(".line.picked")) other.classList.remove("picked");
      line.classList.add("picked");
      line.parentNode.append(line); // on top
      detail.hidden = false;
      detail.querySelector("img").src = window.dwcEmbedding.resolve(line.dataset.picture);
      detail.querySelector("p").textContent = line.getAttribute("aria-label");
    };
    element.addEventListener("click", (event) => select(event.target.closest(".line")));
    element.addEventListener("keydown", (event) => {
      const line = event.target.closest(".line");
      if (!line || (event.key !== "Enter" && event.key !== " ")) return;
      event.preventDefault();
      select(line);
      line.focus(); // moving it to the top took the focus
    });
  }

  function weightSlider({element, trigger, props}) {
    let resting;
    const rest = () => {
      clearTimeout(resting);
      resting = setTimeout(() => trigger("rest", {}), RESTED_MS);
    };
    const describe = () => {
      const slider = element.querySelector("input");
      const learned = slider.value === slider.dataset.learned;
      const picture = Math.round(slider.value / slider.max * 100);
      slider.setAttribute("aria-valuetext",
        (learned ? "as learned: " : "") + `picture ${picture} %, words ${100 - picture} %`);
      element.querySelector("button").disabled = learned;
      // The next answer's slider is compared with this value. Without this line a slider equal to
      // the last answer's would count as unchanged, and stay where the hand moved it.
      slider.setAttribute("value", slider.value);
      props.value = element.innerHTML;
    };
    element.addEventListener("input", (event) => {
      const slider = event.target.closest("input");
      if (!slider || window.dwcSession.isPending()) return; // another answer's slider is on its way
      describe();
      rest();
      if (slider.value === slider.dataset.learned) trigger("lean", {learned: true});
      else trigger("lean", {position: slider.value / slider.max});
    });
    onButton(element, "button", () => {
      const slider = element.querySelector("input");
      slider.value = slider.dataset.learned;
      describe();
      rest();
      slider.focus();
      trigger("lean", {learned: true});
    });
  }

  function history({element, trigger, watch}) {
    const steps = () => [...element.querySelectorAll("button[data-step]")];
    onButton(element, "button[data-step]", (step) => trigger("back", {step: Number(step.dataset.step)}));
    element.addEventListener("keydown", (event) => {
      const move = {ArrowLeft: -1, ArrowRight: 1}[event.key];
      const position = steps().indexOf(event.target.closest("button[data-step]"));
      if (!move || position < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      steps()[position + move]?.focus();
    });
    const scrollToCurrent = () => {
      const frame = element.querySelector(".way-frame");
      const item = element.querySelector("[aria-current]")?.parentElement;
      if (!frame || !item) return;
      frame.scrollLeft = item.offsetLeft + item.offsetWidth - frame.clientWidth + 24; // not the page
      frame.scrollTop = 0;
    };
    watch("value", scrollToCurrent);
    scrollToCurrent();
  }

  /* Give the focus back to a button that was rendered again, unless it has moved elsewhere. */
  function refocus(id) {
    if (document.activeElement === document.body) document.getElementById(id)?.focus();
  }

  return {
    header, examples, toolbar, galleryBrowser, indexing, facets, comparison, paraphrases, weightStatistics,
    attentionMaps, rankTrace, weightSlider, history, refocus,
  };
})();

/* The page's own address and elements, also where another page embeds it as <gradio-app>.

   An embedding page has an address of its own, which the app neither reads nor changes; relative
   addresses would lead to the embedding page. A frame is no such case: it has the app's address. */
window.dwcEmbedding = (() => {
  const PICTURES = 'img[src^="gradio_api/"]';
  const LINKS = 'a[href^="?"]';
  const STYLES = 'link[rel="stylesheet"][href*="/assets/index-"]';
  const isEmbedded = () => window.__gradio_mode__ !== "app";

  /* The address of the app's page. Gradio gives its theme an absolute address, on that server. */
  function pageAddress() {
    if (!isEmbedded()) return new URL(location.href);
    const theme = document.querySelector('link[href*="/theme.css"]');
    return new URL("./", theme?.href ?? location.href);
  }

  /* The query string of the page, which may name a search. */
  function query() {
    return isEmbedded() ? "" : location.search;
  }

  /* The address to write into the address line for a search with this query string. */
  function addressOf(link) {
    if (isEmbedded()) return location.href;
    return location.pathname + (link ? `?${link}` : "");
  }

  /* The absolute address of a file that the server names by a relative one. */
  function resolve(file) {
    return new URL(file, isEmbedded() ? pageAddress() : document.baseURI).href;
  }

  /* The element that holds the whole page. */
  function container() {
    return (isEmbedded() && document.querySelector(".gradio-container")) || document.body;
  }

  /* The element whose class "dark" makes the page dark, as Gradio chooses it. */
  function themed() {
    return isEmbedded() ? container().parentElement : document.body;
  }

  function resolveAll() {
    for (const image of document.querySelectorAll(PICTURES)) {
      image.src = resolve(image.getAttribute("src"));
    }
    for (const link of document.querySelectorAll(LINKS)) {
      link.href = resolve(link.getAttribute("href"));
      link.target = "_blank";
    }
  }

  /* Gradio looks for its own styles at the root of the server, even if the page is below a path. */
  function resolveStyles() {
    for (const link of document.querySelectorAll(STYLES)) {
      const address = resolve(`assets/${link.href.split("/assets/").pop()}`);
      if (link.href !== address) link.href = address;
    }
  }

  if (isEmbedded()) {
    new MutationObserver(resolveAll).observe(document.documentElement, {
      attributes: true, attributeFilter: ["src", "href"], childList: true, subtree: true,
    });
    resolveAll();
    resolveStyles();
  }

  return {isEmbedded, pageAddress, query, addressOf, resolve, container, themed};
})();

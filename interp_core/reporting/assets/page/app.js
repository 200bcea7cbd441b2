// Tabs, the search, light and dark, and the address.
const TABS = [
  ["texts", "Texts", ofWords.length > 0, drawTexts],
  ["words", "Words", DATA.words.length > 0, drawWords],
  [
    "concepts",
    "Concepts",
    DATA.concepts.length > 0 || DATA.corpora.length > 0 || DATA.effects.length > 0,
    drawConcepts,
  ],
  ["components", "Components", withComponents.length > 0, drawComponents],
  ["trust", "Trust", DATA.scores.length + DATA.benchmarks.length + DATA.tables.length > 0, drawTrust],
  ["made", "How made", DATA.records.length > 0, drawMade],
].filter(([, , present]) => present);
const root = document.querySelector(".ip-page"),
  main = document.getElementById("ip-main");
const panels = new Map(),
  drawn = new Map();

const tabs = TABS.map(([id, name]) =>
  h(
    "button",
    {
      type: "button",
      role: "tab",
      class: "ip-tab",
      id: `ip-tab-${id}`,
      "aria-controls": `ip-panel-${id}`,
      "data-tab": id,
      onclick: () => open(id),
    },
    name,
  ),
);
const bars = h(
  "div",
  {
    class: "ip-tabs",
    role: "tablist",
    "aria-label": "Parts of the page",
    onkeydown: (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!move) return;
      const next = tabs[(tabs.indexOf(document.activeElement) + move + tabs.length) % tabs.length];
      next.focus();
      open(next.dataset.tab);
    },
  },
  tabs,
);
put(
  main,
  bars,
  TABS.map(([id]) => {
    const panel = h("section", {
      role: "tabpanel",
      id: `ip-panel-${id}`,
      class: `ip-panel ip-panel-${id}`,
      "aria-labelledby": `ip-tab-${id}`,
      tabindex: "0",
      hidden: true,
    });
    panels.set(id, panel);
    return panel;
  }),
);

function open(id, again = false) {
  const tab = TABS.find(([name]) => name === id) ?? TABS[0];
  if (!tab) return;
  state.tab = tab[0];
  tabs.forEach((one) => {
    const chosen = one.dataset.tab === tab[0];
    one.setAttribute("aria-selected", String(chosen));
    one.tabIndex = chosen ? 0 : -1;
  });
  panels.forEach((panel, name) => {
    panel.hidden = name !== tab[0];
  });
  drawn.set(tab[0], tab[3](panels.get(tab[0])));
  if (!again) remember(true);
}

// Search, share and the theme stand in the heading.
const search = h("input", {
  type: "search",
  class: "ip-search",
  placeholder: "search",
  "aria-label": "Search texts, words and concepts",
  oninput: () => {
    state.search = search.value.trim();
    drawn.get(state.tab)?.search();
  },
});
const THEMES = ["light", "dark", "auto"];
const themes = THEMES.map((name) =>
  button(
    name[0].toUpperCase() + name.slice(1),
    name === "auto",
    () => {
      if (name === "auto") delete root.dataset.theme;
      else root.dataset.theme = name;
      themes.forEach((one, i) => one.setAttribute("aria-pressed", String(THEMES[i] === name)));
    },
    { "data-theme-button": name },
  ),
);
put(
  document.getElementById("ip-tools"),
  search,
  shareMenu(() => drawn.get(state.tab).table()),
  h("div", { class: "ip-choices ip-themes", role: "group", "aria-label": "Colours" }, themes),
);

// The number of a word is shown above its middle, moved aside where it would leave the page.
const ROOM = 85;
function keepInside(event) {
  const word = event.target.closest?.(".ip-words mark");
  if (!word) return;
  const box = word.getBoundingClientRect(),
    page = root.getBoundingClientRect(),
    middle = (box.left + box.right) / 2;
  word.style.setProperty(
    "--aside",
    `${Math.max(page.left + ROOM - middle, Math.min(0, page.right - ROOM - middle))}px`,
  );
}
root.addEventListener("pointerover", keepInside);
root.addEventListener("focusin", keepInside);

// A link within the page is an address; one to what is open already does something too.
root.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="#"]');
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  visit(link.getAttribute("href"));
  panels.get(state.tab)?.focus({ preventScroll: true });
  main.scrollIntoView({ block: "nearest" });
});
function visit(target) {
  try {
    history.pushState(null, "", target);
  } catch {
    /* a page inside of another has no address */
  }
  arrive(new URLSearchParams(target.slice(1)));
}
addEventListener("popstate", () => arrive(new URLSearchParams(location.hash.slice(1))));
// What is searched and filtered may leave out what an address is about.
function arrive(given) {
  state.search = search.value = concepted.of = "";
  Object.assign(filters, UNFILTERED);
  readAddress(given);
  open(state.tab, true);
}

const paperBox = h("div", { class: "ip-paper" });
root.append(paperBox);
addEventListener("beforeprint", () => put(paperBox, paper()));
addEventListener("afterprint", () => put(paperBox));

state.tab = TABS[0]?.[0] ?? "";
readAddress(new URLSearchParams(location.hash.slice(1)));
root.dataset.ready = "";
requestAnimationFrame(() => setTimeout(() => open(state.tab, true)));

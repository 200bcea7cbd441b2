// Everything is readable without this script. It copies what the tables say to the words, and shows one concept at a time.
for (const root of document.querySelectorAll(".ip:not([data-ready])")) {
  root.dataset.ready = "";
  const all = (selector, within = root) => [...within.querySelectorAll(selector)];
  const press = (buttons, pressed) => buttons.forEach((b) => b.setAttribute("aria-pressed", b === pressed));
  all("[data-js]").forEach((part) => { part.hidden = false; });

  const colour = (text, choice) => {
    const buttons = all("[data-choice]", text);
    const button = buttons.find((b) => b.dataset.choice === choice);
    if (!button) return;
    press(buttons, button);
    all("[data-said]", text).forEach((said) => { said.textContent = button.dataset.label; said.title = button.title; });
    for (const method of all("[data-method]", text)) {
      const table = method.querySelector("[data-scores]");
      const head = all("[data-choice-column]", table).find((h) => h.dataset.choiceColumn === choice);
      const own = new Set((head?.dataset.own ?? "").split(" "));
      method.querySelector("[data-unasked]").hidden = Boolean(head);
      all("[data-gap]", method).forEach((gap) => gap.classList.toggle("own", own.has(gap.dataset.gap)));
      all(".ip-words mark", method).forEach((word, unit) => {
        const cell = head && table.tBodies[0].rows[unit].cells[head.cellIndex];
        word.className = cell ? cell.className : "z";
        word.classList.toggle("own", own.has(String(unit)));
        word.dataset.s = cell ? cell.textContent : "";
      });
    }
  };
  const best = (text) => all("[data-choice]", text).find((b) => b.querySelector(".ip-best"))?.dataset.choice ?? "0";
  const colourAll = (button) => {
    press(all("[data-all]"), button);
    all("[data-text]").forEach((text) => colour(text, button.dataset.all === "best" ? best(text) : button.dataset.all));
  };

  const showConcept = (group, key) => {
    all("[data-card]", group).forEach((card) => { card.hidden = card.dataset.card !== key; });
    all("[data-concept]", group).forEach((link) => link.setAttribute("aria-current", link.dataset.concept === key));
  };
  const showClass = (group, place) => {
    press(all("[data-class]", group), all("[data-class]", group).find((b) => b.dataset.class === place));
    all("[data-ranking]", group).forEach((ranking) => { ranking.hidden = ranking.dataset.ranking !== place; });
    const first = group.querySelector("[data-ranking]:not([hidden]) [data-concept]");
    if (first) showConcept(group, first.dataset.concept);
  };
  all("[data-group]").forEach((group) => showClass(group, "0"));

  const toggleTheme = (button) => {
    const dark = button.getAttribute("aria-pressed") === "true";
    root.dataset.theme = dark ? "light" : "dark";
    button.setAttribute("aria-pressed", !dark);
  };
  all("[data-theme-button]").forEach((b) => b.setAttribute("aria-pressed", matchMedia("(prefers-color-scheme: dark)").matches));

  root.addEventListener("click", (event) => {
    const hit = (selector) => event.target.closest(selector);
    const [choice, every, place, concept, theme] =
      ["[data-choice]", "[data-all]", "[data-class]", "[data-concept]", "[data-theme-button]"].map(hit);
    if (choice) { press(all("[data-all]"), null); colour(choice.closest("[data-text]"), choice.dataset.choice); }
    if (every) colourAll(every);
    if (place) showClass(place.closest("[data-group]"), place.dataset.class);
    if (theme) toggleTheme(theme);
    if (concept) {
      event.preventDefault();
      const group = concept.closest("[data-group]");
      showConcept(group, concept.dataset.concept);
      group.querySelector("[data-card]:not([hidden])").scrollIntoView({ block: "nearest" });
    }
  });

  // The number of a word is shown above its middle, moved aside where it would leave the page.
  const ROOM = 85;
  const keepInside = (event) => {
    const word = event.target.closest(".ip-words mark");
    if (!word) return;
    const [page, box] = [root.getBoundingClientRect(), word.getBoundingClientRect()];
    const middle = (box.left + box.right) / 2;
    const aside = Math.max(page.left + ROOM - middle, Math.min(0, page.right - ROOM - middle));
    word.style.setProperty("--aside", `${aside}px`);
  };
  root.addEventListener("pointerover", keepInside);
  root.addEventListener("focusin", keepInside);

  // The words of a text are one stop of the Tab key; the arrow keys walk along them.
  all(".ip-words").forEach((words) => words.querySelector("mark")?.setAttribute("tabindex", "0"));
  root.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const words = event.target.closest("mark")?.closest(".ip-words");
    if (!step || !words) return;
    const marks = all("mark", words);
    const next = marks[marks.indexOf(event.target) + step];
    if (!next) return;
    event.preventDefault();
    event.target.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });
}

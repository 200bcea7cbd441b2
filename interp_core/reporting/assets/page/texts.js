// Texts: a list, the chosen text with its words coloured, and beside it why.
const UNFILTERED = { right: "all", label: "", answer: "" };
const filters = { ...UNFILTERED, sort: "order" };
const SCALES = [
  ["answer", "this answer"],
  ["text", "this text"],
  ["all", "all texts"],
];
const ofWords = DATA.texts.map((_, i) => i).filter((i) => !DATA.texts[i].components);

function fitting(places) {
  const wanted = state.search.toLowerCase();
  const found = places.filter((i) => {
    const one = DATA.texts[i];
    return (
      (filters.right === "all" || one.right === (filters.right === "right")) &&
      (!filters.label || one.label === filters.label) &&
      (!filters.answer || one.answer === filters.answer) &&
      (!wanted || (one.whole || one.text).toLowerCase().includes(wanted))
    );
  });
  const sure = (i) => (typeof DATA.texts[i].probability === "number" ? DATA.texts[i].probability : 2);
  if (filters.sort === "unsure") found.sort((a, b) => sure(a) - sure(b));
  if (filters.sort === "sure") found.sort((a, b) => sure(b) - sure(a));
  return found;
}

const mark = (right) => (right === true ? "✓" : right === false ? "✗" : "");
const marked = (right) =>
  right === null || right === undefined
    ? null
    : h(
        "span",
        { class: right ? "ip-right" : "ip-wrong", role: "img", "aria-label": right ? "right" : "wrong" },
        mark(right),
      );

function textRow(place) {
  const one = DATA.texts[place];
  const sure = typeof one.probability === "number" ? ` ${percent(one.probability)}` : "";
  return [
    h("span", { class: "ip-row-text", dir: "auto" }, marked(one.right), one.right === null ? "" : " ", one.text),
    h("span", { class: "ip-fine" }, `${place + 1}${one.answer ? ` · ${one.answer}${sure}` : ""}`),
  ];
}

function textFilters(changed) {
  const distinct = (name) =>
    [...new Set(DATA.texts.map((one) => one[name]).filter((v) => v !== null && v !== undefined))].sort();
  const [labels, answers] = [distinct("label"), distinct("answer")];
  const known = DATA.texts.some((one) => one.right !== null && one.right !== undefined);
  const choose = (name) => (value) => {
    filters[name] = value;
    changed();
  };
  const any = (names) => [["", "any"], ...names.map((name) => [name, name])];
  return h(
    "div",
    { class: "ip-filters" },
    known &&
      select(
        "show",
        [
          ["all", "all"],
          ["wrong", "wrong only"],
          ["right", "right only"],
        ],
        filters.right,
        choose("right"),
      ),
    labels.length > 1 && select("label", any(labels), filters.label, choose("label")),
    answers.length > 1 && select("answered", any(answers), filters.answer, choose("answer")),
    DATA.texts.some((one) => typeof one.probability === "number") &&
      select(
        "sort",
        [
          ["order", "as given"],
          ["unsure", "least sure"],
          ["sure", "surest"],
        ],
        filters.sort,
        choose("sort"),
      ),
  );
}

function drawTexts(panel) {
  const stage = h("div", { class: "ip-stage" }),
    side = h("aside", { class: "ip-side", "aria-label": "Why" });
  const amount = h("p", { class: "ip-fine", "aria-live": "polite" });
  const list = new VirtualList("Texts", 56, textRow, (place) => {
    state.t = place;
    remember();
    draw();
  });
  const draw = () => {
    drawStage(stage, side, state.t, draw);
  };
  const renew = () => {
    const found = fitting(ofWords);
    amount.textContent = `${grouped(found.length)} of ${counted(ofWords.length, "text")}`;
    if (found.length && !found.includes(state.t)) {
      state.t = found[0];
      remember();
      draw();
    }
    list.show(found, state.t);
  };
  if (!ofWords.includes(state.t)) state.t = ofWords[0];
  const several = ofWords.length > 1;
  put(
    panel,
    notes(DATA.word_notes),
    h(
      "div",
      { class: `ip-three${several ? "" : " ip-alone"}` },
      several && h("div", { class: "ip-list" }, textFilters(renew), amount, list.box),
      stage,
      side,
    ),
  );
  if (several) renew();
  draw();
  return { search: renew, table: textTable };
}

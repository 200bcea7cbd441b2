// Texts: a list, the chosen text with its words coloured, and beside it why.
const filters = { right: "all", label: "", answer: "", sort: "order" };
const SCALES = [
  ["answer", "this answer"],
  ["text", "this text"],
  ["all", "all texts"],
];
const ofWords = DATA.texts.map((_, i) => i).filter((i) => !DATA.texts[i].components);

function fitting(places) {
  const wanted = state.search.toLocaleLowerCase();
  const found = places.filter((i) => {
    const one = DATA.texts[i];
    return (
      (filters.right === "all" || one.right === (filters.right === "right")) &&
      (!filters.label || one.label === filters.label) &&
      (!filters.answer || one.answer === filters.answer) &&
      (!wanted || (one.whole || one.text).toLocaleLowerCase().includes(wanted))
    );
  });
  const sure = (i) => DATA.texts[i].probability ?? 2;
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
  const sure = one.probability === null || one.probability === undefined ? "" : ` ${percent(one.probability)}`;
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

// The answer that is shown: the one in the address where this text has it, else the one with the highest score.
function chosenOf(one) {
  const named = one.choices.findIndex((choice) => choice.label === state.k);
  return named >= 0 ? named : one.chosen;
}

function heading(place, one) {
  const known = DATA.texts[place];
  const probability = typeof known.probability === "number" ? ` ${percent(known.probability)}` : "";
  return h(
    "h2",
    { class: "ip-text-title" },
    `Text ${place + 1}`,
    known.label && h("span", {}, "label ", h("b", {}, known.label)),
    known.answer && h("span", {}, "answered ", h("b", {}, known.answer + probability), " ", marked(known.right)),
  );
}

function answers(one, chosen, again) {
  const pick = (choice) => {
    state.k = one.choices[choice].label;
    remember();
    again();
  };
  const order = one.choices.map((_, i) => i);
  const scored = !one.generated && one.choices.every((choice) => typeof choice.intact === "number");
  if (scored) order.sort((a, b) => one.choices[b].intact - one.choices[a].intact);
  const few = order.slice(0, 5).includes(chosen) ? order.slice(0, 5) : [...order.slice(0, 4), chosen];
  const label = (i) => [
    cut(one.choices[i].label, 40),
    one.choices[i].best && h("span", { class: "ip-best", title: "highest score of those shown" }, " ★"),
    typeof one.choices[i].intact === "number" && h("small", {}, ` ${number(one.choices[i].intact)}`),
  ];
  const parts = [];
  if (one.generated && one.choices.length > 1) {
    const move = (by) => pick((chosen + by + one.choices.length) % one.choices.length);
    parts.push(
      button("◀", false, () => move(-1), { "aria-label": "the answer before", "aria-pressed": null }),
      h("b", { class: "ip-now", dir: "auto" }, one.choices[chosen].label),
      button("▶", false, () => move(1), { "aria-label": "the next answer", "aria-pressed": null }),
    );
  } else if (one.choices.length > 1) {
    parts.push(
      few.map((i) => button(label(i), i === chosen, () => pick(i), { "data-choice": i, title: one.choices[i].label })),
    );
  } else if (one.choices.length)
    parts.push(
      h(
        "span",
        {},
        one.generated ? "counts for the token " : "counts for ",
        h("b", { dir: "auto" }, one.choices[0].label),
      ),
    );
  if (one.choices.length > few.length) {
    parts.push(
      select(
        one.generated ? "explained" : "all answers",
        one.choices.map((c, i) => [i, `${cut(c.label, 50)}${scored ? `  ${number(c.intact)}` : ""}`]),
        chosen,
        (i) => pick(Number(i)),
        { "data-answers": true },
      ),
    );
  }
  return h("div", { class: "ip-choices", role: "group", "aria-label": "Answers" }, parts);
}

function drawStage(stage, side, place, again) {
  const one = text(place),
    chosen = chosenOf(one),
    views = one.views.filter((view) => !view.over);
  const redo = (name) => (value) => {
    state[name] = value;
    again();
  };
  const alike = views.filter((view) => view.cut === views[0]?.cut && targetOf(view, chosen) >= 0);
  const layouts = [
    ["stacked", "stacked"],
    ["beside", "side by side"],
    ...(alike.length > 1 ? [["difference", "difference"]] : []),
  ];
  if (!layouts.some(([name]) => name === state.layout)) state.layout = "stacked";
  const shown = state.layout === "difference" ? [difference(alike, chosen)] : views;
  put(
    stage,
    heading(place, one),
    one.told && h("p", { class: "ip-fine" }, one.told),
    answers(one, chosen, again),
    h(
      "div",
      { class: "ip-controls" },
      select("scale", SCALES, state.scale, redo("scale"), { "data-scale": true }),
      views.length > 1 && select("methods", layouts, state.layout, redo("layout"), { "data-layout": true }),
    ),
    h(
      "div",
      { class: `ip-views ip-${state.layout}` },
      shown.map((view) => viewOf(one, view, chosen, again, shown.length > 1 || state.layout === "difference")),
    ),
    legend(shown),
    heatMap(one, views[0], chosen, again),
  );
  put(side, why(one, views, chosen, place));
}

function difference(views, chosen) {
  const [a, b] = views,
    [i, j] = [targetOf(a, chosen), targetOf(b, chosen)];
  const shares = (view, k) => {
    const most = largestOf(view.values[k]) || 1;
    return [...view.values[k]].map((value) => value / most);
  };
  const other = shares(b, j),
    values = shares(a, i).map((value, unit) => value - other[unit]);
  return {
    ...a,
    method: `${a.method} less ${b.method}, each as a share of its strongest word`,
    targets: [chosen],
    own: [a.own[i]],
    values: [values],
    error: null,
    notes: [],
    directed: true,
    effort: "",
    scale: "",
    space: "",
  };
}

function scales(view, target) {
  const own = ownUnits(view, target),
    side = new Map(view.pieces.filter((p) => p[1] >= 0).map((p) => [p[1], p[4]]));
  if (state.scale === "all" && DATA.largest[view.scale]) return () => DATA.largest[view.scale];
  const rows = state.scale === "text" ? view.values : [view.values[target]];
  const most = (which) =>
    Math.max(
      ...rows.map((row) =>
        largestOf(
          [...row].map((v, unit) => (side.get(unit) === which ? v : 0)),
          own,
        ),
      ),
    );
  const [prompt, written] = [most(0), most(1)];
  return (unit) => (side.get(unit) === 1 ? written : prompt);
}

function viewOf(one, view, chosen, again, named) {
  const target = targetOf(view, chosen);
  const head = named && h("h3", { class: "ip-by" }, view.method);
  if (target < 0)
    return h(
      "div",
      { class: "ip-method" },
      head,
      h("p", { class: "ip-fine" }, `${view.method} was not asked about this answer.`),
    );
  const scale = scales(view, target),
    own = new Set(view.own[target]);
  const words = h("div", {
    class: `ip-words${one.code ? " ip-code" : ""}`,
    dir: "auto",
    "data-sure": view.error ? "error" : view.exact ? "exact" : null,
  });
  let block = null,
    box = words;
  for (const [piece, unit, gap, where, side] of view.pieces) {
    if (`${where} ${side}` !== block && one.blocks.length) {
      box = h(
        "div",
        { class: `ip-block${where < 0 && !side ? " ip-template" : ""}` },
        h("span", { class: "ip-role" }, side ? "answer" : where < 0 ? "template" : one.blocks[where]),
      );
      words.append(box);
    } else if (side && block !== null && block.endsWith("0") && !one.blocks.length) {
      box = h("div", { class: "ip-block ip-answer", title: "what the model wrote" });
      words.append(box);
    }
    block = `${where} ${side}`;
    if (unit < 0)
      box.append(
        gap || piece.trim()
          ? h("span", { class: `ip-outside${own.has(gap) ? " own" : ""}`, "data-gap": gap || null }, piece)
          : piece,
      );
    else box.append(wordOf(one, view, target, unit, piece, scale, own, side, again));
  }
  const first = words.querySelector("mark");
  first?.setAttribute("tabindex", "0");
  words.addEventListener("keydown", walk);
  return h(
    "div",
    { class: "ip-method", "data-method": view.method },
    head,
    words,
    split(one, view, target),
    table(view, one),
    notes(view.notes),
  );
}

function wordOf(one, view, target, unit, piece, scale, own, side, again) {
  const value = view.values[target][unit];
  const colour = Number.isNaN(value) ? "na" : step(value, scale(unit), view.directed);
  const about = side ? view.own.findIndex((names) => names.includes(String(unit))) : -1;
  const word = h(
    "mark",
    { class: colour + (own.has(String(unit)) ? " own" : ""), "data-s": said(view, target, unit), "data-unit": unit },
    piece,
  );
  if (about >= 0 && one.choices.length > 1) {
    word.classList.add("ip-pick");
    word.addEventListener("click", () => {
      state.k = one.choices[view.targets[about]].label;
      remember();
      again();
    });
  }
  return word;
}

// The words of a text are one stop of the Tab key; the arrow keys walk along them, and Enter asks about one of the answer.
function walk(event) {
  const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key],
    at = event.target.closest("mark");
  if (!at) return;
  if (event.key === "Enter") at.click();
  if (!move) return;
  const marks = all("mark", event.currentTarget),
    next = marks[marks.indexOf(at) + move];
  if (!next) return;
  event.preventDefault();
  at.setAttribute("tabindex", "-1");
  next.setAttribute("tabindex", "0");
  next.focus();
}

// How much of all scores is on the prompt, and on what the model wrote itself.
function split(one, view, target) {
  if (!one.generated) return null;
  const side = new Map(view.pieces.filter((p) => p[1] >= 0).map((p) => [p[1], p[4]])),
    sums = [0, 0];
  view.values[target].forEach((value, unit) => {
    if (Number.isFinite(value)) sums[side.get(unit) ?? 0] += Math.abs(value);
  });
  const total = sums[0] + sums[1];
  return total
    ? h(
        "p",
        { class: "ip-fine", "data-split": true },
        `${percent(sums[0] / total)} of the size of all scores is on the prompt, ${percent(sums[1] / total)} on the words of the answer before this.`,
      )
    : null;
}

function table(view, one) {
  const box = h(
    "details",
    {
      class: "ip-fold",
      ontoggle: () => {
        if (box.open && box.childElementCount === 1) box.append(tableOf(view, one));
      },
    },
    h(
      "summary",
      {},
      "All numbers of ",
      view.method,
      view.space && h("span", { class: "ip-unit" }, ` (${view.space}${view.exact ? ", exact" : ""})`),
    ),
  );
  return box;
}

const MOST_COLUMNS = 30;
function tableOf(view, one) {
  const shown = view.targets.slice(0, MOST_COLUMNS);
  const rest = view.targets.length - shown.length;
  const rows = view.units.map((unit, j) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, unit),
      shown.map((_, k) => h("td", { class: Number.isNaN(view.values[k][j]) ? "na" : "" }, said(view, k, j))),
    ),
  );
  return [
    view.effort && h("p", { class: "ip-fine" }, view.effort),
    rest > 0 && h("p", { class: "ip-fine" }, `${rest} more answers are in the CSV file (Share).`),
    h(
      "div",
      { class: "ip-scroll", role: "region", "aria-label": `Scores of ${view.method}`, tabindex: "0" },
      h(
        "table",
        { class: "ip-scores" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, "Piece of text"),
            shown.map((choice) => h("th", { scope: "col" }, cut(one.choices[choice].label, 40))),
          ),
        ),
        h("tbody", {}, rows),
      ),
    ),
  ]
    .filter(Boolean)
    .reduce((box, part) => {
      box.append(part);
      return box;
    }, h("div"));
}

function textTable() {
  const one = text(state.t),
    rows = [];
  for (const view of one.views) {
    view.targets.forEach((choice, k) =>
      view.units.forEach((unit, j) => {
        const value = view.values[k][j];
        rows.push([
          view.method,
          one.choices[choice].label,
          unit,
          Number.isNaN(value) ? "" : value,
          view.error ? view.error[k][j] : "",
        ]);
      }),
    );
  }
  return { name: `text-${state.t + 1}`, columns: ["method", "target", "unit", "score", "error"], rows };
}

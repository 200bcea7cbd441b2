// The chosen text: its answers, its words as each method colours them, and all numbers.
// The answer that is shown: the one in the address where this text has it, else the one with the highest score.
// A label may stand there several times, as a word in an answer does.
const alikeOf = (one, label) => one.choices.map((_, i) => i).filter((i) => one.choices[i].label === label);
function chosenOf(one) {
  const named = alikeOf(one, state.k);
  return named[state.n] ?? named[0] ?? one.chosen;
}
function pickChoice(one, choice) {
  state.k = one.choices[choice].label;
  state.n = alikeOf(one, state.k).indexOf(choice);
  remember();
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
    pickChoice(one, choice);
    again();
  };
  const order = one.choices.map((_, i) => i);
  const scored = !one.generated && one.choices.every((choice) => typeof choice.intact === "number");
  if (scored) order.sort((a, b) => one.choices[b].intact - one.choices[a].intact);
  const most = order.length === 6 ? 6 : 5; // a menu for one more would take as much room
  const few = order.slice(0, most).includes(chosen) ? order.slice(0, most) : [...order.slice(0, most - 1), chosen];
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
  const draw = ([piece, unit, gap, where, side]) => {
    if (one.blocks.length && where < 0 && !side && unit < 0 && !piece.trim()) return box.append(piece);
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
  };
  inSlices(view.pieces, draw, words);
  const first = words.querySelector("mark");
  first?.setAttribute("tabindex", "0");
  words.addEventListener("keydown", walk);
  return h(
    "div",
    { class: "ip-method", "data-method": view.method },
    head,
    words,
    split(one, view, target),
    table(view, one, target),
    notes(view.notes),
  );
}

// A long text is drawn in slices, so that the page answers meanwhile.
const SLICE = 1500;
function inSlices(pieces, draw, words, first = 0) {
  pieces.slice(first, first + SLICE).forEach(draw);
  const next = first + SLICE;
  if (next < pieces.length) setTimeout(() => words.isConnected && inSlices(pieces, draw, words, next));
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
      pickChoice(one, view.targets[about]);
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
  return total && [...side.values()].includes(1)
    ? h(
        "p",
        { class: "ip-fine", "data-split": true },
        `${percent(sums[0] / total)} of the size of all scores is on the prompt, ${percent(sums[1] / total)} on the words of the answer before this.`,
      )
    : null;
}

function table(view, one, target) {
  const box = h(
    "details",
    {
      class: "ip-fold",
      ontoggle: () => {
        if (box.open && box.childElementCount === 1) box.append(tableOf(view, one, target));
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
// The answer that is shown first, then the others in their order.
const inOrder = (view, target) => [target, ...view.targets.map((_, k) => k).filter((k) => k !== target)];
function tableOf(view, one, target) {
  const shown = (view.targets.length > MOST_COLUMNS ? inOrder(view, target) : view.targets.map((_, k) => k)).slice(
    0,
    MOST_COLUMNS,
  );
  const rest = view.targets.length - shown.length;
  const rows = view.units.map((unit, j) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, unit),
      shown.map((k) => h("td", { class: Number.isNaN(view.values[k][j]) ? "na" : "" }, said(view, k, j))),
    ),
  );
  return h(
    "div",
    {},
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
            shown.map((k) => h("th", { scope: "col" }, cut(one.choices[view.targets[k]].label, 40))),
          ),
        ),
        h("tbody", {}, rows),
      ),
    ),
  );
}

function textTable(place = state.t) {
  const one = text(place),
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
  return { name: `text-${place + 1}`, columns: ["method", "target", "unit", "score", "error"], rows };
}

// Beside a text: a waterfall to the score of the answer, the concepts of the text, and how it was asked.
const BARS = 10;

function legend(views) {
  const ramp = (classes) =>
    h(
      "span",
      { class: "ip-ramp", "aria-hidden": "true" },
      classes.map((name) => h("i", { class: name })),
    );
  const seven = [1, 2, 3, 4, 5, 6, 7];
  const directed = views.some((view) => view.directed),
    sized = views.filter((view) => !view.directed);
  return h(
    "div",
    { class: "ip-legends" },
    directed &&
      h(
        "div",
        { class: "ip-legend", role: "group", "aria-label": "Colour scale" },
        h("span", {}, "speaks against"),
        ramp([...seven.map((i) => `n${8 - i}`), "z", ...seven.map((i) => `p${i}`)]),
        h("span", {}, "speaks for"),
      ),
    sized.length > 0 &&
      h(
        "div",
        { class: "ip-legend", role: "group", "aria-label": "Colour scale of scores without a direction" },
        h("span", {}, "matters little"),
        ramp(["z", ...seven.map((i) => `s${i}`)]),
        h(
          "span",
          {},
          `matters most; ${sized.map((view) => view.method).join(", ")} does not say whether for or against`,
        ),
      ),
  );
}

function why(one, views, chosen, place) {
  const view = views.find((each) => targetOf(each, chosen) >= 0);
  const label = one.choices[chosen]?.label ?? "";
  const parts = [h("h3", { dir: "auto" }, "Why ", h("b", {}, cut(label, 40)))];
  if (view) {
    const target = targetOf(view, chosen),
      bars = barsOf(view, target, view.intact?.[target], one.blocks);
    parts.push(
      h("p", { class: "ip-fine" }, `${view.method}${view.space ? `, ${view.space}` : ""}`),
      waterfall(bars, label),
    );
  }
  parts.push(
    conceptsOf(one, label),
    effortOf(views),
    one.views.some((each) => each.over) &&
      h(
        "p",
        { class: "ip-fine" },
        h("a", { href: `#tab=components&t=${place + 1}` }, "components of the model for this text"),
      ),
  );
  return parts;
}

// The strongest words, the others together, and the rest that no score accounts for; up to the score of the whole text.
function barsOf(view, target, intact, blocks = []) {
  const names = namesOf(view, blocks);
  const scores = [...view.values[target]]
    .map((value, unit) => [names[unit].trim() || "␣", value])
    .filter(([, value]) => Number.isFinite(value));
  const order = [...scores].sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])),
    strongest = order.slice(0, BARS),
    rest = order.slice(BARS);
  const sum = (pairs) => pairs.reduce((total, [, value]) => total + value, 0);
  const bars = strongest.map(([name, value]) => ({ name, value }));
  if (rest.length && view.directed)
    bars.push({ name: counted(rest.length, "other word"), value: sum(rest), rest: true });
  if (!view.directed || typeof intact !== "number") return { bars, directed: view.directed };
  return { bars, directed: true, from: intact - sum(scores), to: intact };
}

// A long unit that is all of a document or message is called by the name of that.
function namesOf(view, blocks) {
  const held = new Map();
  for (const [, unit, , where] of view.pieces)
    if (unit >= 0 && where >= 0) held.set(where, (held.get(where) ?? new Set()).add(unit));
  const names = [...view.units];
  for (const [where, units] of held) {
    const [unit] = units;
    if (units.size === 1 && names[unit].length > 14) names[unit] = blocks[where] ?? names[unit];
  }
  return names;
}

const ROW = 24,
  WIDE = 300,
  NAMES = 104,
  NUMBERS = 58;
function waterfall({ bars, directed, from, to }, label) {
  const steps = from !== undefined,
    ends = [];
  let at = steps ? from : 0;
  for (const bar of bars) {
    ends.push([at, at + bar.value]);
    if (steps) at += bar.value;
  }
  const rows = [
    ...(steps ? [{ name: "the rest", title: "the score less the sum of all scores of words", total: from }] : []),
    ...bars.map((bar, i) => ({ ...bar, span: ends[i] })),
    ...(steps ? [{ name: "score", total: to }] : []),
  ];
  const points = [0, ...ends.flat(), ...(steps ? [from, to] : [])],
    low = Math.min(...points),
    high = Math.max(...points);
  const x = (value) => NAMES + ((value - low) / (high - low || 1)) * (WIDE - NAMES - NUMBERS);
  const title = steps
    ? `From ${number(from)}, the score less the sum of all scores of words, to ${number(to)}, the score of ${label}`
    : `The words that matter most to ${label}`;
  return svg(
    "svg",
    {
      class: "ip-waterfall",
      viewBox: `0 0 ${WIDE} ${rows.length * ROW + 4}`,
      role: "img",
      "aria-label": title,
      "data-figure": true,
    },
    svg("line", { x1: x(0), x2: x(0), y1: 0, y2: rows.length * ROW, class: "ip-zero" }),
    rows.map((row, i) => {
      const [a, b] = row.span ?? [0, row.total],
        way = row.span ? (directed ? (row.value < 0 ? "against" : "for") : "size") : "total";
      return svg(
        "g",
        { class: `ip-step ${way}`, transform: `translate(0 ${i * ROW})` },
        svg(
          "text",
          { x: NAMES - 6, y: 16, "text-anchor": "end" },
          cut(row.name, 14),
          svg("title", {}, row.title ?? row.name),
        ),
        svg("rect", { x: Math.min(x(a), x(b)), y: 5, height: ROW - 9, width: Math.max(1, Math.abs(x(b) - x(a))) }),
        svg(
          "text",
          { x: WIDE, y: 16, "text-anchor": "end", class: "ip-number" },
          row.span ? (directed ? signed(row.value) : number(row.value)) : number(row.total),
        ),
      );
    }),
  );
}

function conceptsOf(one, label) {
  return one.concepts.map((held) => {
    if (!Object.hasOwn(held.targets, label)) return null;
    const pairs = held.targets[label],
      group = DATA.concepts[held.group];
    const most = Math.max(...pairs.map(([, value]) => Math.abs(value)), 0);
    return h(
      "div",
      { class: "ip-of-text" },
      h("h4", {}, "Concepts of this text"),
      h(
        "ul",
        {},
        pairs.map(([row, value]) =>
          h(
            "li",
            {},
            h(
              "a",
              { href: `#tab=concepts&g=${held.group}&c=${row}` },
              h("span", { dir: "auto" }, cut(group.titles[row] || `concept ${group.numbers[row]}`, 34)),
              h("span", { class: "ip-value" }, held.directed ? signed(value) : number(Math.abs(value))),
            ),
            bar(Math.abs(value), most, held.directed ? (value < 0 ? "against" : "for") : ""),
          ),
        ),
      ),
    );
  });
}

const bar = (value, most, way = "") =>
  h(
    "span",
    { class: "ip-track" },
    h("span", { class: `ip-fill ${way}`, style: `width:${most ? Math.min(100, (100 * Math.abs(value)) / most) : 0}%` }),
  );

function effortOf(views) {
  const lines = [...new Set(views.filter((view) => view.effort).map((view) => `${view.method}: ${view.effort}`))];
  return lines.length
    ? h(
        "details",
        { class: "ip-fold" },
        h("summary", {}, "How it was asked"),
        lines.map((each) => h("p", { class: "ip-fine" }, each)),
      )
    : null;
}

// All answers of a text by all of its units, where several are explained.
const MOST_ROWS = 60,
  MOST_CELLS = 4000;
function heatMap(one, view, chosen, again) {
  if (!view || view.targets.length < 2) return null;
  const box = h(
    "details",
    { class: "ip-fold", "data-heat": true },
    h(
      "summary",
      {},
      one.generated ? "Heat map: what each token of the answer is from" : "Heat map: all answers and words",
    ),
  );
  box.addEventListener("toggle", () => {
    if (box.open && box.childElementCount === 1) box.append(...heat(one, view, chosen, again));
  });
  return box;
}
function heat(one, view, chosen, again) {
  const units = view.units.length,
    rows = Math.max(1, Math.min(view.targets.length, MOST_ROWS, Math.floor(MOST_CELLS / units)));
  const first = targetOf(view, chosen);
  const order = rows < view.targets.length && first >= 0 ? inOrder(view, first) : view.targets.map((_, k) => k);
  const most = Math.max(...order.slice(0, rows).map((k) => largestOf([...view.values[k]], ownUnits(view, k))));
  const lines = order.slice(0, rows).map((k) => {
    const choice = view.targets[k];
    return h(
      "tr",
      { class: choice === chosen ? "ip-chosen" : null },
      h(
        "th",
        { scope: "row" },
        h(
          "button",
          {
            type: "button",
            class: "ip-link",
            onclick: () => {
              pickChoice(one, choice);
              again();
            },
          },
          cut(one.choices[choice].label, 24),
        ),
      ),
      view.units.map((unit, j) => {
        const value = view.values[k][j];
        return h(
          "td",
          {
            class: Number.isNaN(value) ? "na" : step(value, most, view.directed),
            title: `${one.choices[choice].label} ← ${unit}: ${said(view, k, j)}`,
          },
          h("span", { class: "ip-hidden" }, said(view, k, j)),
        );
      }),
    );
  });
  return [
    rows < view.targets.length &&
      h(
        "p",
        { class: "ip-fine" },
        `${rows} of ${view.targets.length} answers, the chosen one first; the others are in the CSV file (Share).`,
      ),
    h(
      "div",
      { class: "ip-scroll", role: "region", "aria-label": "Heat map", tabindex: "0" },
      h(
        "table",
        { class: "ip-heat" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("td", {}),
            view.units.map((unit) => h("th", { scope: "col" }, h("span", {}, cut(unit.trim() || "␣", 16)))),
          ),
        ),
        h("tbody", {}, lines),
      ),
    ),
  ].filter(Boolean);
}

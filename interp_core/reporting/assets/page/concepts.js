// Concepts: a table of all, and a card.
const concepted = { sort: "importance", k: 0, of: "" };
function drawConcepts(panel) {
  const top = h("div", { class: "ip-controls" }),
    held = h("div", { class: "ip-list" }),
    shown = h("div", { class: "ip-stage ip-card", tabindex: "-1" });
  const amount = h("p", { class: "ip-fine", "aria-live": "polite" }),
    head = h("div", { class: "ip-group-head" });
  let list = null;
  const group = () => DATA.concepts[state.g];
  const draw = () => {
    if (group() && state.c !== null) put(shown, cardOf(state.g, state.c));
    else put(shown);
  };
  const pick = (row) => {
    state.c = row;
    remember();
    draw();
  };
  const renew = () => {
    const one = group();
    if (!one) return;
    if (!(concepted.k in one.targets)) concepted.k = 0;
    const rows = conceptOrder(one);
    if (!rows.includes(state.c)) state.c = rows[0] ?? null;
    amount.textContent = `${grouped(rows.length)} of ${counted(one.numbers.length, "concept")}`;
    list.show(rows, state.c);
    draw();
  };
  const settle = () => {
    const one = group();
    put(
      head,
      one && [
        DATA.concepts.length > 1 && h("h2", { class: "ip-text-title" }, one.title),
        one.facts.length > 0 &&
          h(
            "dl",
            { class: "ip-facts" },
            one.facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
          ),
        one.directed &&
          h(
            "p",
            { class: "ip-fine ip-keys" },
            Object.values(WAYS).map(([sign, meaning]) => h("span", {}, `${sign} ${meaning}`)),
          ),
      ],
    );
    list = new VirtualList("Concepts", 62, (row) => conceptRow(one, row), pick);
    put(held, amount, list.box);
    const classes = one?.classes ? [...new Set(one.classes)] : [];
    put(
      top,
      DATA.concepts.length > 1 &&
        select(
          "concepts",
          DATA.concepts.map((each, i) => [i, cut(each.title, 70)]),
          state.g,
          (g) => {
            state.g = Number(g);
            state.c = null;
            concepted.k = 0;
            concepted.of = "";
            remember();
            settle();
          },
          { "data-group": true },
        ),
      one?.targets.length > 1 &&
        (one.targets.length <= 8
          ? h(
              "div",
              { class: "ip-choices", role: "group", "aria-label": "Classes" },
              one.targets.map((name, k) =>
                button(
                  cut(name, 40),
                  k === concepted.k,
                  (event) => {
                    toClass(one, k);
                    all("[data-class]", top).forEach((b) =>
                      b.setAttribute("aria-pressed", String(b === event.currentTarget)),
                    );
                    renew();
                  },
                  { "data-class": k },
                ),
              ),
            )
          : select(
              "class",
              one.targets.map((name, k) => [k, name]),
              concepted.k,
              (k) => {
                toClass(one, Number(k));
                renew();
              },
              { "data-class": true },
            )),
      classes.length > 1 &&
        select(
          "class",
          [["", "all"], ...classes.map((name) => [name, name])],
          concepted.of ?? "",
          (of) => {
            concepted.of = of;
            state.c = null;
            renew();
          },
          { "data-own-class": true },
        ),
      one &&
        select(
          "sort",
          [
            ["importance", one.measured ? "what matters most" : "in words first"],
            ["number", "number"],
            ["title", "name"],
            ["density", "how often active"],
          ].filter(([by]) => by !== "density" || hasDensity()),
          concepted.sort,
          (by) => {
            concepted.sort = by;
            renew();
          },
          { "data-sort": true },
        ),
    );
    renew();
  };
  const hasDensity = () => group().numbers.length > 0 && card(state.g, 0).active !== undefined;
  put(
    panel,
    notes(DATA.concept_notes),
    DATA.corpora.map((one) =>
      h(
        "p",
        { class: "ip-fine" },
        `The corpus: ${counted(one.texts, "text")}, ${counted(one.rows, "activation")} of ${one.layer}, one for each ${one.each}.`,
      ),
    ),
    DATA.concepts.length > 0 && [top, head, h("div", { class: "ip-two ip-with-list" }, held, shown)],
    effects(),
  );
  if (DATA.concepts.length) settle();
  return { search: renew, table: conceptTable };
}

// The class that concepts are sorted by stands in the address.
function toClass(one, k) {
  concepted.k = k;
  state.k = one.targets[k];
  state.n = 0;
  state.c = null;
}

function conceptOrder(one) {
  const wanted = state.search.toLowerCase();
  const rows = one.numbers
    .map((_, row) => row)
    .filter(
      (row) =>
        (!concepted.of || !one.classes || one.classes[row] === concepted.of) &&
        (!wanted || String(one.numbers[row]) === wanted || one.titles[row].toLowerCase().includes(wanted)),
    );
  const scores = one.importance[concepted.k] ?? [];
  if (concepted.sort === "importance" && one.measured) rows.sort((a, b) => (scores[b] ?? -1) - (scores[a] ?? -1));
  if (concepted.sort === "importance" && !one.measured)
    rows.sort((a, b) => (one.titles[a] === "") - (one.titles[b] === ""));
  if (concepted.sort === "title")
    rows.sort((a, b) => (one.titles[a] === "") - (one.titles[b] === "") || one.titles[a].localeCompare(one.titles[b]));
  if (concepted.sort === "density") {
    const active = (row) => card(DATA.concepts.indexOf(one), row).active ?? 0;
    const known = new Map(rows.map((row) => [row, active(row)]));
    rows.sort((a, b) => known.get(b) - known.get(a));
  }
  return rows;
}

const WAYS = {
  for: ["▲", "speaks for"],
  against: ["▼", "speaks against"],
  both: ["◆", "speaks for in some texts and against in others"],
};
const way = (name) =>
  WAYS[name]
    ? h("span", { class: "ip-way", role: "img", "aria-label": WAYS[name][1], title: WAYS[name][1] }, WAYS[name][0])
    : null;
function conceptRow(one, row) {
  const score = one.importance[concepted.k]?.[row],
    most = Math.max(
      ...(one.mosts ??= one.importance.map((list) => list.reduce((a, b) => Math.max(a, b ?? 0), 0))).slice(
        concepted.k,
        concepted.k + 1,
      ),
      0,
    );
  return [
    h(
      "span",
      { class: "ip-row-text" },
      h("small", { class: "ip-number" }, one.numbers[row]),
      " ",
      h("span", { dir: "auto" }, one.titles[row] || (one.named ? "unnamed" : `concept ${one.numbers[row]}`)),
    ),
    h(
      "span",
      { class: "ip-fine ip-row-value" },
      one.classes && `${one.classes[row]} · `,
      way(one.ways[concepted.k]?.[row]),
      typeof score === "number" && number(score),
    ),
    typeof score === "number" && bar(score, most, one.ways[concepted.k][row]),
  ];
}

const pairs = (title, rows, directed, names = (name) => name) =>
  rows?.length
    ? [
        h("h4", {}, title),
        h(
          "table",
          { class: "ip-bartable" },
          h(
            "tbody",
            {},
            rows.map(([name, value, w]) =>
              h(
                "tr",
                {},
                h("th", { scope: "row", dir: "auto" }, names(name)),
                h(
                  "td",
                  { class: "ip-cellbar" },
                  bar(
                    value,
                    Math.max(...rows.map(([, v]) => Math.abs(v ?? 0))),
                    w ?? (directed ? (value < 0 ? "against" : "for") : ""),
                  ),
                ),
                h("td", { class: "ip-value" }, way(w), directed ? signed(value) : number(value)),
              ),
            ),
          ),
        ),
      ]
    : null;

function cardOf(g, row) {
  const one = card(g, row),
    group = DATA.concepts[g],
    to = (n) => `#tab=concepts&g=${g}&c=${group.numbers.indexOf(n)}`;
  const every = [...one.passages, ...(one.stretches ?? []).flatMap(([, found]) => found)];
  const strongest = Math.max(one.largest ?? 0, ...every.map(([, , , value]) => Math.abs(value)));
  const strengths = one.words.some(([, value]) => value);
  const trust = [
    ...(one.scores ?? []),
    ...(typeof one.trust === "number" ? [["label", one.trust]] : []),
    ...(typeof one.confidence === "number" ? [["confidence of the labeller", one.confidence]] : []),
  ];
  return [
    (one.title || group.classes) &&
      h("p", { class: "ip-over" }, `Concept ${one.number}${group.classes ? ` of ${group.classes[row]}` : ""}`),
    h("h3", { dir: "auto" }, one.title || `Concept ${one.number}`),
    !one.labelled &&
      h(
        "p",
        { class: "ip-fine" },
        one.words.length ? "This concept has no label; it is named by its words." : "This concept has no label.",
      ),
    one.note && h("p", { class: "ip-fine" }, one.note),
    one.rationale && h("p", { class: "ip-fine" }, one.rationale),
    trust.length > 0 &&
      h(
        "p",
        { class: "ip-fine" },
        "How far the label is to be trusted: ",
        trust.map(([name, value]) => `${name} ${number(value)}`).join(", "),
      ),
    one.by_class?.length > 0 &&
      h("p", { class: "ip-fine" }, one.by_class.map(([name, title]) => `${name}: ${title}`).join("; ")),
    strengths
      ? pairs("Words that speak for it", one.words, false)
      : one.words.length > 0 && [
          h("h4", {}, "Words that speak for it"),
          h(
            "p",
            { class: "ip-wordlist", dir: "auto" },
            one.words.map(([word]) => h("span", {}, word)),
          ),
        ],
    one.counts?.length > 0 && [h("h4", {}, "How strong it is"), histogram(one)],
    typeof one.active === "number" &&
      h(
        "p",
        { class: "ip-fine" },
        `active in ${(100 * one.active).toFixed(2)}${THIN}% of the rows, up to ${number(one.largest)}`,
      ),
    passages("Where it is most active", one.passages, strongest),
    (one.stretches ?? []).map(([name, found]) =>
      passages(`Examples from the stretch ${name} of its active rows`, found, strongest),
    ),
    pairs("How much it matters", one.classes, false),
    effectsOf(one.effect),
    pairs("Tokens that it raises", one.raised, true),
    pairs("Tokens that it lowers", one.lowered, true),
    one.nearest?.length > 0 && [
      h("h4", {}, "Concepts most like it"),
      h(
        "ul",
        { class: "ip-near" },
        one.nearest.map(([n, cosine]) =>
          h(
            "li",
            {},
            h("a", { href: to(n) }, cut(group.titles[group.numbers.indexOf(n)] || `concept ${n}`, 50)),
            h("span", { class: "ip-value" }, `cosine ${number(cosine)}`),
          ),
        ),
      ),
    ],
  ];
}

// Each example shaded by how strong the concept is there, beside the strongest.
function passages(title, found, most) {
  if (!found?.length) return null;
  return [
    h("h4", {}, title),
    h(
      "ul",
      { class: "ip-passages" },
      found.map(([before, unit, after, value]) =>
        h(
          "li",
          {},
          h("blockquote", { dir: "auto" }, before, h("mark", { class: step(value, most, true) }, unit), after),
          h("span", { class: "ip-value" }, number(value)),
        ),
      ),
    ),
  ];
}

function histogram(one) {
  const W = 300,
    H = 60,
    most = Math.max(...one.counts) || 1,
    wide = W / one.counts.length;
  return svg(
    "svg",
    {
      class: "ip-histogram",
      viewBox: `0 0 ${W} ${H + 14}`,
      role: "img",
      "aria-label": `histogram of the codes above 0, up to ${number(one.largest)}; heights are square roots of counts`,
      "data-figure": true,
    },
    one.counts.map((count, i) =>
      svg(
        "rect",
        { x: i * wide + 0.5, width: wide - 1, y: H - H * Math.sqrt(count / most), height: H * Math.sqrt(count / most) },
        svg(
          "title",
          {},
          `${number((i * one.largest) / one.counts.length)} to ${number(((i + 1) * one.largest) / one.counts.length)}: ${grouped(Math.round(count))}`,
        ),
      ),
    ),
    svg("text", { x: 0, y: H + 12 }, "0"),
    svg("text", { x: W, y: H + 12, "text-anchor": "end" }, number(one.largest)),
  );
}

const effectsOf = (found) =>
  found?.length
    ? [
        h("h4", {}, "What changing it does"),
        h(
          "table",
          { class: "ip-bartable" },
          h(
            "tbody",
            {},
            found.map(([name, mean, interval]) =>
              h(
                "tr",
                {},
                h("th", { scope: "row" }, name),
                h("td", { class: "ip-value" }, signed(mean)),
                h("td", { class: "ip-value" }, interval ? `${signed(interval[0])} to ${signed(interval[1])}` : ""),
              ),
            ),
          ),
        ),
      ]
    : null;

function effects() {
  if (!DATA.effects.length) return null;
  return h(
    "section",
    { class: "ip-effects" },
    h("h2", {}, "What changing concepts does"),
    h(
      "p",
      { class: "ip-read" },
      "The model was run again with the concepts changed. A concept that matters to an answer must move it when it is taken away. An interval that holds 0 says that the change may do nothing; one that does not may still be what any direction of that size does, so compare with a random one, or one learnt from shuffled labels.",
    ),
    h(
      "div",
      { class: "ip-scroll", role: "region", "aria-label": "Effects", tabindex: "0" },
      h(
        "table",
        { class: "ip-trust" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["Change", "Answer", "Its score moves by", `95${THIN}% interval`].map((name) =>
              h("th", { scope: "col" }, name),
            ),
          ),
        ),
        h(
          "tbody",
          {},
          DATA.effects.flatMap((one) =>
            one.rows.map((row) =>
              h(
                "tr",
                {},
                h("th", { scope: "row" }, one.change, h("span", { class: "ip-aside" }, one.texts)),
                h("td", {}, row.target),
                h("td", {}, row.mean),
                h("td", {}, row.interval),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}

function conceptTable() {
  const one = DATA.concepts[state.g];
  if (!one)
    return {
      name: "effects",
      columns: ["change", "texts", "answer", "mean", "interval"],
      rows: DATA.effects.flatMap((e) => e.rows.map((r) => [e.change, e.texts, r.target, r.mean, r.interval])),
    };
  return {
    name: "concepts",
    columns: [
      ...(one.classes ? ["class"] : []),
      "concept",
      "name",
      ...one.targets.flatMap((name) => [`importance: ${name}`, `direction: ${name}`]),
    ],
    rows: one.numbers.map((n, row) => [
      ...(one.classes ? [one.classes[row]] : []),
      n,
      one.titles[row],
      ...one.targets.flatMap((_, k) => [one.importance[k][row] ?? "", one.ways[k][row]]),
    ]),
  };
}

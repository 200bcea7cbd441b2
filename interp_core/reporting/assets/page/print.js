// On paper: the chosen texts, the strongest concepts, the measures and how it was made, on six pages at most.
const PAPER = { texts: 5, characters: 700, concepts: 5, classes: 8, measures: 14, records: 14 };
function paper() {
  const places = [state.t, ...ofWords.filter((i) => i !== state.t)]
    .filter((i) => ofWords.includes(i))
    .slice(0, PAPER.texts);
  return [
    places.length > 0 &&
      h(
        "section",
        {},
        h("h2", {}, "Texts"),
        places.map(paperText),
        ofWords.length > places.length &&
          h(
            "p",
            { class: "ip-fine" },
            `${counted(ofWords.length - places.length, "more text")} on the page; the one that is open is printed first.`,
          ),
      ),
    DATA.concepts
      .filter((group) => group.measured)
      .slice(0, 2)
      .map(paperConcepts),
    DATA.benchmarks.map((one) => [
      h("p", {}, one.verdict),
      paperTable(
        ["Method", ...one.metrics.map((metric) => metric.name)],
        one.lines
          .slice(0, PAPER.measures)
          .map((row) => [
            row.method,
            ...(row.failure ? [row.failure] : row.places.map((each) => each.value || each.failure)),
          ]),
      ),
    ]),
    DATA.effects.length > 0 &&
      h(
        "section",
        {},
        h("h2", {}, "What changing concepts does"),
        paperTable(
          ["Change", "Answer", "Its score moves by", `95${THIN}% interval`],
          DATA.effects
            .flatMap((one) => one.rows.map((row) => [one.change, row.target, row.mean, row.interval]))
            .slice(0, PAPER.measures),
        ),
      ),
    withComponents.slice(0, 1).map(paperComponents),
    DATA.concepts
      .filter((group) => !group.measured)
      .slice(0, 2)
      .map((group) =>
        h(
          "p",
          {},
          h("b", {}, group.title || "Concepts"),
          ": ",
          group.titles
            .filter(Boolean)
            .slice(0, 20)
            .map((title) => cut(title, 60))
            .join("; "),
          `; ${counted(group.numbers.length, "concept")} on the page.`,
        ),
      ),
    DATA.tables.map((one) => h("p", {}, h("b", {}, one.kind), `: ${one.line}`)),
    DATA.scores.length > 0 &&
      h(
        "section",
        {},
        h("h2", {}, "How far to trust it"),
        h(
          "table",
          { class: "ip-paper-table" },
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              ["Measure", "Value", `95${THIN}% interval`, "Random", "Verdict"].map((name) =>
                h("th", { scope: "col" }, name),
              ),
            ),
          ),
          h(
            "tbody",
            {},
            DATA.scores
              .slice(0, PAPER.measures)
              .map((one) =>
                h(
                  "tr",
                  {},
                  h("th", { scope: "row" }, one.name, " ", { true: "↑", false: "↓", null: "" }[one.higher]),
                  h("td", {}, number(one.value)),
                  h("td", {}, one.interval ? `${number(one.interval[0])} to ${number(one.interval[1])}` : "\u2013"),
                  h("td", {}, one.chance === null ? "\u2013" : number(one.chance)),
                  h("td", {}, one.words),
                ),
              ),
          ),
        ),
      ),
    DATA.records.length > 0 &&
      h(
        "section",
        {},
        h("h2", {}, "How it was made"),
        DATA.records
          .slice(0, PAPER.records)
          .map((one) =>
            h(
              "p",
              { class: "ip-fine" },
              h("b", {}, one.title),
              ` ${one.what}: `,
              cut(one.facts.map(([name, value]) => `${name.toLowerCase()} ${value}`).join("; "), 260),
            ),
          ),
        DATA.records.length > PAPER.records &&
          h("p", { class: "ip-fine" }, `${counted(DATA.records.length - PAPER.records, "more run")} on the page.`),
        DATA.versions.slice(0, 1).map((one) => h("p", { class: "ip-fine" }, `Made with ${one}.`)),
        DATA.references.length > 0 &&
          h(
            "p",
            { class: "ip-fine" },
            `References: ${DATA.references
              .slice(0, PAPER.records)
              .map((one, i) => `[${i + 1}] ${one}`)
              .join("; ")}`,
          ),
      ),
  ]
    .flat(2)
    .filter(Boolean);
}

function paperText(place) {
  const one = text(place),
    chosen = chosenOf(one),
    view = one.views.find((each) => !each.over && targetOf(each, chosen) >= 0);
  if (!view) return null;
  const target = targetOf(view, chosen),
    scale = scales(view, target),
    known = DATA.texts[place];
  let room = PAPER.characters;
  const words = [];
  for (const [piece, unit] of view.pieces) {
    if (room <= 0) {
      words.push("…");
      break;
    }
    const shown = cut(piece, Math.max(room, 20));
    room -= piece.length;
    const value = unit < 0 ? 0 : view.values[target][unit];
    words.push(
      unit < 0
        ? shown
        : h("mark", { class: Number.isNaN(value) ? "na" : step(value, scale(unit), view.directed) }, shown),
    );
  }
  return h(
    "div",
    { class: "ip-paper-text" },
    h(
      "p",
      { class: "ip-fine" },
      `Text ${place + 1}${known.answer ? `, answered ${known.answer}` : ""}${known.label ? `, label ${known.label}` : ""}: ${view.method} for `,
      h("b", {}, cut(one.choices[chosen].label, 60)),
    ),
    h("div", { class: "ip-words", dir: "auto" }, words),
  );
}

function paperConcepts(group) {
  return h(
    "section",
    {},
    h("h2", {}, group.title),
    h(
      "div",
      { class: "ip-paper-columns" },
      group.targets.slice(0, PAPER.classes).flatMap((name, k) =>
        (group.classes ? [...new Set(group.classes)].slice(0, PAPER.classes) : [null]).map((of) => {
          const rows = group.numbers
            .map((_, row) => row)
            .filter((row) => of === null || group.classes[row] === of)
            .sort((a, b) => (group.importance[k][b] ?? -1) - (group.importance[k][a] ?? -1))
            .slice(0, PAPER.concepts);
          return h(
            "div",
            { class: "ip-paper-class" },
            h("h3", {}, of ?? name),
            h(
              "ol",
              {},
              rows.map((row) =>
                h(
                  "li",
                  {},
                  way(group.ways[k][row]),
                  ` ${cut(group.titles[row] || `concept ${group.numbers[row]}`, 60)} `,
                  h("span", { class: "ip-value" }, number(group.importance[k][row])),
                ),
              ),
            ),
          );
        }),
      ),
    ),
  );
}

const paperTable = (head, rows) =>
  h(
    "table",
    { class: "ip-paper-table" },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        head.map((name) => h("th", { scope: "col" }, cut(name, 40))),
      ),
    ),
    h(
      "tbody",
      {},
      rows.map((row) =>
        h(
          "tr",
          {},
          row.map((cell) => h("td", {}, cut(String(cell), 60))),
        ),
      ),
    ),
  );

function paperComponents(place) {
  const one = text(place),
    view = one.views.find((each) => each.over),
    { bars, directed } = barsOf(view, 0, null);
  return h(
    "section",
    {},
    h("h2", {}, "Components"),
    h(
      "p",
      { class: "ip-fine" },
      `Text ${place + 1}, ${view.method} for ${cut(one.choices[view.targets[0]].label, 40)}: ${view.about}`,
    ),
    h("p", {}, bars.map((each) => `${each.name} ${directed ? signed(each.value) : number(each.value)}`).join(", ")),
    withComponents.length > 1 &&
      h("p", { class: "ip-fine" }, `${counted(withComponents.length - 1, "more text")} on the page.`),
  );
}

// Trust: each measure on an axis of its own, beside what random orders get; methods compared; how it was made.
function drawTrust(panel) {
  put(
    panel,
    DATA.benchmarks.map(standings),
    DATA.scores.length > 0 && [
      h(
        "p",
        { class: "ip-read" },
        "Each measure is set beside what a random answer gets. An explanation that does no better than random tells you nothing, however good it looks.",
      ),
      h("div", { class: "ip-measures" }, DATA.scores.map(measure)),
    ],
    DATA.tables.map(other),
  );
  return { search: () => {}, table: trustTable };
}

const DIRECTION = { true: "↑ higher is better", false: "↓ lower is better", null: "neither way is better" };
function measure(one) {
  return h(
    "article",
    { class: "ip-measure", "data-measure": one.name },
    h("h3", {}, one.name, h("span", { class: "ip-direction" }, DIRECTION[one.higher])),
    h(
      "p",
      { class: "ip-figure" },
      h("b", {}, number(one.value)),
      one.interval && h("span", {}, ` ${number(one.interval[0])} to ${number(one.interval[1])}`),
      h(
        "span",
        { class: "ip-fine" },
        one.chance === null
          ? ""
          : ` random ${number(one.chance)}${one.chance_error === null ? "" : ` ± ${number(one.chance_error)}`}`,
      ),
    ),
    h(
      "p",
      {},
      h("span", { class: `ip-verdict ${one.verdict}` }, one.words),
      one.aside && h("span", { class: "ip-aside" }, one.aside),
    ),
    axis(one),
    curves(one),
    one.definition && h("p", { class: "ip-fine" }, one.definition),
    one.inputs !== null && h("p", { class: "ip-fine" }, counted(one.inputs, "input")),
    one.notes.map((note) => h("p", { class: "ip-fine" }, h("b", {}, "Note: "), note)),
  );
}

function axis(one) {
  if (!one.axis || typeof one.value !== "number") return null;
  const [low, high] = one.axis,
    title = `${one.name}: ${number(one.value)} on an axis from ${number(low)} to ${number(high)}${one.chance === null ? "" : `; random ${number(one.chance)}`}`;
  return h(
    "div",
    { class: "ip-axis-box" },
    strip(one.dots, low, high, one.value, {
      interval: one.interval,
      chance: typeof one.chance === "number" ? one.chance : null,
      title,
    }),
    h(
      "div",
      { class: "ip-ends ip-fine", "aria-hidden": "true" },
      h("span", {}, number(low)),
      h("span", {}, number(high)),
    ),
  );
}

function curves(one) {
  if (!one.curves) return null;
  const W = 320,
    H = 150,
    L = 40,
    B = 24,
    { own, random, space } = one.curves,
    every = [own, ...(random ? [random] : [])]
      .flatMap((band) => [...band.mean, ...band.low, ...band.high])
      .filter(Number.isFinite);
  if (!every.length) return null;
  const [low, high] = [Math.min(...every), Math.max(...every)],
    x = (i, n) => L + (i / (n - 1 || 1)) * (W - L - 6),
    y = (v) => 6 + (1 - (v - low) / (high - low || 1)) * (H - B - 6);
  const path = (values) =>
    values.map((v, i) => `${i ? "L" : "M"}${x(i, values.length).toFixed(1)} ${y(v).toFixed(1)}`).join("");
  const drawn = (band, name) =>
    svg(
      "g",
      { class: name },
      band.low.length > 0 &&
        svg("path", {
          class: "ip-band",
          d: `${path(band.high)}${[...band.low]
            .reverse()
            .map((v, i) => `L${x(band.low.length - 1 - i, band.low.length).toFixed(1)} ${y(v).toFixed(1)}`)
            .join("")}Z`,
        }),
      svg("path", { class: "ip-curve", d: path(band.mean) }),
    );
  return [
    svg(
      "svg",
      {
        class: "ip-curves",
        viewBox: `0 0 ${W} ${H}`,
        role: "img",
        "aria-label": `${one.name}: mean ${space} over the share of the words, from ${number(own.mean[0])} to ${number(own.mean.at(-1))}${random ? `; of random orders from ${number(random.mean[0])} to ${number(random.mean.at(-1))}` : ""}`,
        "data-figure": true,
      },
      svg("line", { class: "ip-axis", x1: L, x2: W - 6, y1: H - B, y2: H - B }),
      svg("line", { class: "ip-axis", x1: L, x2: L, y1: 6, y2: H - B }),
      random && drawn(random, "random"),
      drawn(own, "own"),
      svg("text", { x: L - 4, y: 12, "text-anchor": "end" }, number(high)),
      svg("text", { x: L - 4, y: H - B, "text-anchor": "end" }, number(low)),
      svg("text", { x: L, y: H - 8 }, "0"),
      svg("text", { x: W - 6, y: H - 8, "text-anchor": "end" }, "share of the words   1"),
    ),
    h(
      "p",
      { class: "ip-fine ip-keys" },
      h("span", {}, h("i", { class: "ip-key own" }), ` ${space}, mean over inputs`),
      random && h("span", {}, h("i", { class: "ip-key random" }), " random orders"),
      own.low.length > 0 && h("span", {}, `bands: 95${THIN}% intervals of the means`),
    ),
  ];
}

function standings(one) {
  const place = (each) =>
    each.failure
      ? h("td", { class: "ip-failed" }, each.failure)
      : h(
          "td",
          { class: each.best ? "ip-best-of" : null },
          h("b", { class: "ip-figure" }, each.value),
          each.best &&
            h(
              "span",
              { class: "ip-mark", role: "img", "aria-label": "best of the column", title: "best of the column" },
              " ★",
            ),
          each.beats &&
            h(
              "span",
              {
                class: "ip-mark",
                role: "img",
                "aria-label": "better than random orders",
                title: "better than random orders",
              },
              " ✓",
            ),
          each.interval && h("span", { class: "ip-aside" }, each.interval),
          each.chance && h("span", { class: "ip-aside" }, `random ${each.chance}`),
        );
  return h(
    "section",
    { class: "ip-standings" },
    h("h2", {}, "Which method to trust"),
    h("p", { class: "ip-outcome" }, one.verdict),
    h(
      "div",
      { class: "ip-scroll", role: "region", "aria-label": "Methods and metrics", tabindex: "0" },
      h(
        "table",
        { class: "ip-methods" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, "Method"),
            one.metrics.map((metric) =>
              h(
                "th",
                { scope: "col", title: metric.name },
                cut(metric.name, 40),
                metric.direction && h("span", { class: "ip-aside" }, metric.direction),
              ),
            ),
            h("th", { scope: "col" }, "Time"),
            h("th", { scope: "col" }, "Model rows"),
          ),
        ),
        h(
          "tbody",
          {},
          one.lines.map((row) =>
            h(
              "tr",
              { class: row.trusted ? "ip-trusted" : null },
              h(
                "th",
                { scope: "row", title: row.method },
                cut(row.method, 40),
                row.trusted && h("span", { class: "ip-aside" }, "to be trusted here"),
              ),
              row.failure
                ? h("td", { class: "ip-failed", colspan: one.metrics.length }, row.failure)
                : row.places.map(place),
              h("td", { class: "ip-figure" }, row.seconds),
              h("td", { class: "ip-figure" }, row.rows, row.passes && h("span", { class: "ip-aside" }, row.passes)),
            ),
          ),
        ),
      ),
    ),
    h(
      "p",
      { class: "ip-fine ip-keys" },
      h("span", {}, "★ best value of its column"),
      h(
        "span",
        {},
        `✓ better than random orders on the same texts${one.judged ? ", by more than chance over all comparisons together" : ""}`,
      ),
    ),
    one.metrics
      .filter((metric) => metric.definition)
      .map((metric) => h("p", { class: "ip-fine" }, h("b", {}, metric.name), ": ", metric.definition)),
    notes(one.notes),
    h(
      "p",
      { class: "ip-fine" },
      one.what,
      " · ",
      h("a", { href: one.csv, download: "benchmark.csv" }, "download as CSV"),
    ),
  );
}

// A value of a package, as a table.
function other(one) {
  return h(
    "section",
    { class: "ip-other" },
    h("h2", {}, one.kind),
    h("p", { class: "ip-read" }, one.line),
    notes(one.notes),
    h(
      "div",
      { class: "ip-scroll", role: "region", "aria-label": one.kind, tabindex: "0" },
      h(
        "table",
        { class: "ip-scores" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            one.columns.map((name) => h("th", { scope: "col" }, name)),
          ),
        ),
        h(
          "tbody",
          {},
          one.rows.map((row) =>
            h(
              "tr",
              {},
              row.map((cell) =>
                h(
                  "td",
                  { dir: "auto" },
                  typeof cell === "number"
                    ? number(cell)
                    : cell === null
                      ? "\u2013"
                      : typeof cell === "boolean"
                        ? cell
                          ? "yes"
                          : "no"
                        : cut(cell, 80),
                ),
              ),
            ),
          ),
        ),
      ),
    ),
    one.more > 0 && h("p", { class: "ip-fine" }, `${counted(one.more, "more row")} in the value itself.`),
  );
}

// Every table of the tab, each a file of its own.
function trustTable() {
  const measures = {
    name: "measures",
    columns: ["measure", "value", "low", "high", "random", "higher is better", "verdict", "definition"],
    rows: DATA.scores.map((s) => [
      s.name,
      s.value,
      s.interval?.[0] ?? "",
      s.interval?.[1] ?? "",
      s.chance ?? "",
      s.higher ?? "",
      s.words,
      s.definition,
    ]),
  };
  const compared = DATA.benchmarks.map((one, i) => ({
    name: DATA.benchmarks.length > 1 ? `benchmark-${i + 1}` : "benchmark",
    columns: ["method", ...one.metrics.map((m) => m.name), "time", "rows"],
    rows: one.lines.map((row) => [
      row.method,
      ...(row.failure ? one.metrics.map(() => "failed") : row.places.map((p) => p.value || "failed")),
      row.seconds,
      row.rows,
    ]),
  }));
  const others = DATA.tables.map((one, i) => ({ ...one, name: `${one.kind}-${i + 1}` }));
  return [...(DATA.scores.length ? [measures] : []), ...compared, ...others];
}

function drawMade(panel) {
  put(
    panel,
    h("p", { class: "ip-read" }, "With the same packages, parameters and model, these steps give these results again."),
    DATA.records.map((one, i) =>
      h(
        "details",
        { class: "ip-fold ip-made", open: DATA.records.length < 4 },
        h("summary", {}, h("b", {}, one.title), ` · ${one.what}`, one.reference > 0 && ` · [${one.reference}]`),
        h(
          "dl",
          {},
          one.facts.map(([name, value]) =>
            h(
              "div",
              {},
              h("dt", {}, name),
              h(
                "dd",
                {},
                value.includes(" = ") ? value.split(/, (?=[a-z][\w ]* = )/).map((each) => h("div", {}, each)) : value,
              ),
            ),
          ),
        ),
        notes(one.notes),
      ),
    ),
    DATA.versions.map((one) => h("p", { class: "ip-fine" }, `Made with ${one}.`)),
    DATA.references.length > 0 && [
      h("h2", {}, "References"),
      h(
        "ol",
        { class: "ip-references" },
        DATA.references.map((one) => h("li", {}, one)),
      ),
    ],
    DATA.bibtex &&
      h(
        "details",
        { class: "ip-fold" },
        h("summary", {}, "BibTeX"),
        h("p", { class: "ip-fine" }, "Authors, year and identifier, as far as they are recorded; titles are not."),
        h("pre", { class: "ip-pre", tabindex: "0", "aria-label": "BibTeX entries" }, DATA.bibtex),
      ),
  );
  return {
    search: () => {},
    table: () => ({
      name: "how-made",
      columns: ["run", "what", "name", "value"],
      rows: DATA.records.flatMap((one) => one.facts.map(([name, value]) => [one.title, one.what, name, value])),
    }),
  };
}

const LISTED = 25;
// Words: for each class those with the highest mean score over all texts, and the texts behind them.
function drawWords(panel) {
  if (!DATA.words[state.m]) state.m = 0;
  const list = h("div", { class: "ip-wordtable" }),
    behind = h("aside", { class: "ip-side", "aria-label": "Texts with this word" }),
    top = h("div", { class: "ip-controls" });
  const table = () => DATA.words[state.m];
  const target = () =>
    Math.max(
      0,
      table().targets.findIndex((each) => each.label === state.k),
    );
  const draw = () => {
    const each = table().targets[target()];
    put(
      top,
      DATA.words.length > 1 &&
        select(
          "method",
          DATA.words.map((one, i) => [i, one.scale]),
          state.m,
          (m) => {
            state.m = Number(m);
            draw();
          },
          { "data-method-of-words": true },
        ),
      table().targets.length <= 8
        ? h(
            "div",
            { class: "ip-choices", role: "group", "aria-label": "Answers" },
            table().targets.map((one, i) =>
              button(
                cut(one.label, 40),
                i === target(),
                () => {
                  state.k = one.label;
                  state.w = null;
                  remember();
                  draw();
                },
                { "data-target": i },
              ),
            ),
          )
        : select(
            "answer",
            table().targets.map((one) => [one.label, cut(one.label, 50)]),
            each.label,
            (k) => {
              state.k = k;
              state.w = null;
              remember();
              draw();
            },
            { "data-target": true },
          ),
    );
    const wanted = state.search.toLowerCase(),
      words = each.words.filter((word) => word.word.includes(wanted));
    const points = words.flatMap((word) => word.dots.map(([score]) => score)),
      [low, high] = [Math.min(0, ...points), Math.max(0, ...points)];
    put(
      list,
      h(
        "p",
        { class: "ip-fine" },
        `${counted(each.texts, "text")}; mean score of a word by ${table().method}${table().directed ? "" : " (size; for or against is not said)"}, with its 95${THIN}% interval where it occurs five times or more. The ${LISTED} highest means of words that occur twice or more are listed; a word that is rare can be high by chance.`,
      ),
      h(
        "table",
        { class: "ip-words-table" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["Word", "Mean", "Times", "Each time"].map((name) => h("th", { scope: "col" }, name)),
          ),
        ),
        h(
          "tbody",
          {},
          words.length === 0 && h("tr", {}, h("td", { colspan: "4" }, "no word that is listed fits")),
          words.map((word) =>
            h(
              "tr",
              { class: word.word === state.w ? "ip-chosen" : null, "data-word": word.word },
              h(
                "th",
                { scope: "row" },
                h(
                  "button",
                  {
                    type: "button",
                    class: "ip-link",
                    dir: "auto",
                    onclick: () => {
                      state.w = word.word;
                      remember();
                      draw();
                    },
                  },
                  word.word,
                ),
              ),
              h(
                "td",
                {},
                table().directed ? signed(word.mean) : number(word.mean),
                word.interval &&
                  h("span", { class: "ip-aside" }, `${number(word.interval[0])} to ${number(word.interval[1])}`),
              ),
              h("td", {}, grouped(word.count)),
              h(
                "td",
                {},
                strip(
                  word.dots.map(([score]) => score),
                  low,
                  high,
                  word.mean,
                ),
              ),
            ),
          ),
        ),
      ),
    );
    const chosen = words.find((word) => word.word === state.w) ?? words[0];
    put(
      behind,
      chosen
        ? [
            h("h3", { dir: "auto" }, "Texts with ", h("b", {}, chosen.word)),
            h(
              "ol",
              { class: "ip-behind" },
              behindOf(chosen).map(([score, place]) =>
                h(
                  "li",
                  {},
                  h(
                    "a",
                    { href: `#tab=texts&t=${place + 1}&k=${encodeURIComponent(each.label)}`, dir: "auto" },
                    cut(DATA.texts[place].text, 110),
                  ),
                  h("span", { class: "ip-value" }, table().directed ? signed(score) : number(Math.abs(score))),
                ),
              ),
            ),
          ]
        : "",
    );
  };
  put(panel, top, h("div", { class: "ip-two" }, list, behind));
  draw();
  return {
    search: draw,
    table: () => ({
      name: "words",
      columns: ["answer", "word", "mean", "low", "high", "times"],
      rows: table().targets.flatMap((each) =>
        each.words.map((w) => [each.label, w.word, w.mean, w.interval?.[0] ?? "", w.interval?.[1] ?? "", w.count]),
      ),
    }),
  };
}

const MOST_TEXTS = 20;
const behindOf = (word) =>
  [...new Map([...word.dots].sort((a, b) => Math.abs(a[0]) - Math.abs(b[0])).map((dot) => [dot[1], dot])).values()]
    .reverse()
    .slice(0, MOST_TEXTS);

// Dots on a line from low to high, with the mean and the place of zero.
function strip(values, low, high, mean, { interval = null, chance = null, title = "" } = {}) {
  values = values.filter(Number.isFinite);
  const W = 220,
    x = (value) => 4 + ((value - low) / (high - low || 1)) * (W - 8);
  return svg(
    "svg",
    {
      class: "ip-dots",
      viewBox: `0 0 ${W} 20`,
      role: "img",
      "aria-label":
        title ||
        `${values.length} scores from ${number(Math.min(...values, mean))} to ${number(Math.max(...values, mean))}`,
      "data-figure": true,
    },
    svg("line", { x1: 0, x2: W, y1: 10, y2: 10, class: "ip-axis" }),
    low < 0 && high > 0 && svg("line", { x1: x(0), x2: x(0), y1: 2, y2: 18, class: "ip-zero" }),
    values.map((value) => svg("circle", { cx: x(value), cy: 10, r: 2.5, class: "ip-each" })),
    interval && svg("line", { x1: x(interval[0]), x2: x(interval[1]), y1: 10, y2: 10, class: "ip-span" }),
    chance !== null && svg("line", { x1: x(chance), x2: x(chance), y1: 1, y2: 19, class: "ip-random" }),
    svg("line", { x1: x(mean), x2: x(mean), y1: 3, y2: 17, class: "ip-mean" }),
  );
}

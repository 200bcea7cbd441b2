// Components of the model: layers down, heads and MLPs across.
const withComponents = DATA.texts.map((_, i) => i).filter((i) => DATA.texts[i].over);
const component = { view: 0 };
function drawComponents(panel) {
  const top = h("div", { class: "ip-controls" }),
    stage = h("div", { class: "ip-stage" }),
    side = h("aside", { class: "ip-side", "aria-label": "Strongest components" });
  if (withComponents.includes(state.t)) state.ct = state.t;
  if (!withComponents.includes(state.ct)) state.ct = withComponents[0];
  const draw = () => {
    const one = text(state.ct),
      views = one.views.filter((view) => view.over);
    if (!(component.view in views)) component.view = 0;
    const view = views[component.view];
    let chosen = chosenOf(one);
    if (targetOf(view, chosen) < 0) chosen = view.targets[0];
    const target = targetOf(view, chosen),
      most = largestOf([...view.values[target]]);
    put(
      top,
      withComponents.length > 1 &&
        select(
          "text",
          withComponents.map((i) => [i, `${i + 1} ${cut(DATA.texts[i].text, 60)}`]),
          state.ct,
          (i) => {
            state.ct = Number(i);
            remember();
            draw();
          },
          { "data-text-of-components": true },
        ),
      views.length > 1 &&
        select(
          "method",
          views.map((each, i) => [i, `${each.method}, ${each.over}`]),
          component.view,
          (i) => {
            component.view = Number(i);
            draw();
          },
          { "data-view": true },
        ),
      view.targets.length > 1 &&
        select(
          "answer",
          view.targets.map((choice) => [choice, cut(one.choices[choice].label, 50)]),
          chosen,
          (k) => {
            pickChoice(one, Number(k));
            draw();
          },
          { "data-answer": true },
        ),
    );
    put(
      stage,
      h("h2", { class: "ip-text-title" }, `Text ${state.ct + 1}`),
      h("blockquote", { class: "ip-passage", dir: "auto" }, DATA.texts[state.ct].whole || DATA.texts[state.ct].text),
      h("p", { class: "ip-fine" }, view.about),
      h(
        "p",
        { class: "ip-said" },
        `${view.method} for `,
        h("b", { dir: "auto" }, one.choices[chosen].label),
        view.space && `, ${view.space}`,
      ),
      gridTable(view, target, most, side),
      legend([view]),
      notes(view.notes),
    );
    put(side, strongestOf(view, target));
  };
  put(panel, top, h("div", { class: "ip-two" }, stage, side));
  draw();
  return { search: () => {}, table: () => textTable(state.ct) };
}

function gridTable(view, target, most, side) {
  const { rows, columns, places } = view.grid,
    at = new Map(places.map(([r, c], unit) => [`${r} ${c}`, unit]));
  return h(
    "div",
    { class: "ip-scroll ip-grid-box", role: "region", "aria-label": "Components", tabindex: "0" },
    h(
      "table",
      { class: "ip-grid" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("td", {}),
          columns.map((name) => h("th", { scope: "col" }, cut(name, 18))),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row, r) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, row),
            columns.map((_, c) => {
              const unit = at.get(`${r} ${c}`);
              if (unit === undefined) return h("td", { class: "ip-none" });
              return h(
                "td",
                {
                  class: step(view.values[target][unit], most, view.directed),
                  title: `${view.units[unit]}: ${said(view, target, unit)}`,
                  "data-unit": unit,
                },
                h("span", {}, said(view, target, unit)),
              );
            }),
          ),
        ),
      ),
    ),
  );
}

function strongestOf(view, target) {
  const { bars, directed } = barsOf(view, target, null);
  return [
    h("h3", {}, "The strongest"),
    waterfall({ bars: bars.filter((each) => !each.rest), directed }, "the answer"),
    h("p", { class: "ip-fine" }, "Effects of single components need not add up."),
  ];
}

// Share: a link to what is shown, and what is shown as a file.
const quoted = (cell) => (/[",;\n\r]/.test(String(cell)) ? `"${String(cell).replaceAll('"', '""')}"` : String(cell));
const harmless = (cell) => (typeof cell === "string" && /^[\s\u00a0]*[=+\-@＝＋－＠]/.test(cell) ? `'${cell}` : cell); // no formula in a spreadsheet
const asCsv = ({ columns, rows }) =>
  [columns, ...rows].map((row) => row.map((cell) => quoted(harmless(cell))).join(",")).join("\r\n");
const asJson = ({ columns, rows }) =>
  JSON.stringify(
    rows.map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i] === "" ? null : row[i]]))),
    null,
    1,
  );

const TEX = {
  "\\": "\\textbackslash{}",
  "{": "\\{",
  "}": "\\}",
  $: "\\$",
  "&": "\\&",
  "#": "\\#",
  "%": "\\%",
  _: "\\_",
  "~": "\\textasciitilde{}",
  "^": "\\textasciicircum{}",
};
function tex(cell) {
  if (typeof cell !== "number")
    return String(cell)
      .replace(/[\\{}$&#%_~^]/g, (c) => TEX[c])
      .replace(/\s+/g, " ");
  const [digits, power] = (Number.isInteger(cell) && Math.abs(cell) < 1e6 ? String(cell) : cell.toPrecision(3)).split(
    "e",
  );
  return power ? `$${digits}\\times 10^{${Number(power)}}$` : `$${digits}$`;
}
const MOST_TEX = 40;
function asLatex({ columns, rows }) {
  const numeric = columns.map(
    (_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === "number" || row[i] === ""),
  );
  const lines = rows.slice(0, MOST_TEX).map((row) => `{}${row.map(tex).join(" & ")} \\\\`);
  const more = rows.length > MOST_TEX ? [`% ${rows.length - MOST_TEX} more rows are left out`] : [];
  return [
    `\\begin{tabular}{${numeric.map((one) => (one ? "r" : "l")).join("")}}`,
    "\\toprule",
    `${columns.map(tex).join(" & ")} \\\\`,
    "\\midrule",
    ...lines,
    ...more,
    "\\bottomrule",
    "\\end{tabular}",
  ].join("\n");
}

// The largest figure in view, with its colours written into it.
const STYLED = [
  "fill",
  "stroke",
  "stroke-width",
  "stroke-dasharray",
  "opacity",
  "font-size",
  "font-family",
  "font-weight",
];
function figure() {
  const shown = all("svg[data-figure]", document.querySelector("[role=tabpanel]:not([hidden])")).filter((one) =>
    one.checkVisibility(),
  );
  return shown.sort((a, b) => b.getBoundingClientRect().height - a.getBoundingClientRect().height)[0] ?? null;
}
function asSvg(drawn) {
  const copy = drawn.cloneNode(true),
    from = [drawn, ...all("*", drawn)],
    to = [copy, ...all("*", copy)];
  from.forEach((element, i) => {
    const style = getComputedStyle(element);
    to[i].setAttribute("style", STYLED.map((name) => `${name}:${style.getPropertyValue(name)}`).join(";"));
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return new XMLSerializer().serializeToString(copy);
}

function save(name, content, type) {
  const link = h("a", {
    href: URL.createObjectURL(new Blob([content], { type: `${type};charset=utf-8` })),
    download: name,
  });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function shareMenu(current) {
  const told = h("span", { class: "ip-fine", role: "status" });
  const file = (ending, make, type) => () => {
    const tables = [current()].flat();
    for (const table of tables) save(`${table.name}.${ending}`, make(table), type);
    const left = tables
      .filter((table) => table.more > 0)
      .map((table) => `${table.name} has ${counted(table.more, "row")} more`);
    told.textContent = [`${tables.map((table) => `${table.name}.${ending}`).join(", ")} saved`, ...left].join("; ");
  };
  const link = async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      told.textContent = "the link is copied";
    } catch {
      told.textContent = location.href;
    }
  };
  const picture = () => {
    const drawn = figure();
    if (drawn) {
      save("figure.svg", asSvg(drawn), "image/svg+xml");
      told.textContent = "figure.svg is saved";
    } else told.textContent = "there is no figure here";
  };
  const item = (name, press) =>
    h("button", { type: "button", class: "ip-button", "data-share": name, onclick: press }, name);
  return h(
    "details",
    { class: "ip-menu" },
    h("summary", { class: "ip-button" }, "Share"),
    h(
      "div",
      { class: "ip-menu-box" },
      item("Link", link),
      item("CSV", file("csv", asCsv, "text/csv")),
      item("JSON", file("json", asJson, "application/json")),
      item("SVG", picture),
      item("LaTeX", file("tex", asLatex, "text/x-tex")),
      told,
    ),
  );
}

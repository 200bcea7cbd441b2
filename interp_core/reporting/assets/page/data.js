// The data of the page: an index, which is read at once, and a line for each text and each concept, read when drawn.
const LINES = document.getElementById("ip-data").textContent.split("\n");
const DATA = JSON.parse(LINES[0]);
const kept = new Map();
function line(place) {
  if (!kept.has(place)) {
    if (kept.size > 200) kept.clear();
    kept.set(place, JSON.parse(LINES[place]));
  }
  return kept.get(place);
}

const bytes = (packed) => Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
const floats = (packed) => new Float32Array(bytes(packed).buffer);
// A text with its numbers unpacked: for each method `scores[target][unit]`, NaN where a unit cannot count.
function text(place) {
  const found = line(1 + place);
  if (!found.ready) {
    for (const view of found.views) {
      const units = found.cuts[view.cut].units,
        flat = floats(view.scores);
      const errors = view.error ? floats(view.error) : null;
      const rows = (values) => view.targets.map((_, k) => values.subarray(k * units.length, (k + 1) * units.length));
      Object.assign(view, {
        units,
        pieces: found.cuts[view.cut].pieces,
        values: rows(flat),
        error: errors && rows(errors),
      });
    }
    found.ready = true;
  }
  return found;
}

const OFFSETS = [];
let concepts = 0;
for (const group of DATA.concepts) {
  OFFSETS.push(concepts);
  concepts += group.numbers.length;
}
const card = (group, row) => line(1 + DATA.texts.length + OFFSETS[group] + row);

const largestOf = (values, leave = new Set()) =>
  values.reduce(
    (most, value, unit) => (Number.isFinite(value) && !leave.has(unit) ? Math.max(most, Math.abs(value)) : most),
    0,
  );
const targetOf = (view, choice) => view.targets.indexOf(choice);
const ownUnits = (view, target) =>
  new Set((view.own[target] ?? []).filter((name) => !name.startsWith("at")).map(Number));
const hasSigns = (view) => view.directed || view.values.some((row) => row.some((value) => value < 0));
function said(view, target, unit) {
  const value = view.values[target][unit];
  if (Number.isNaN(value)) return "\u2013";
  const error = view.error ? ` ± ${number(view.error[target][unit])}` : "";
  return (hasSigns(view) ? signed(value) : number(value)) + error;
}

// Where the reader is; the address follows.
const state = {
  tab: "",
  t: 0,
  ct: 0,
  k: null,
  n: 0,
  g: 0,
  c: null,
  w: null,
  m: 0,
  scale: "answer",
  layout: "stacked",
  search: "",
};
function readAddress(given) {
  if (!given.size) return;
  const whole = (name, most) => {
    const value = Number.parseInt(given.get(name), 10);
    return value >= 0 && value < most ? value : null;
  };
  if (given.has("t")) state.t = (whole("t", DATA.texts.length + 1) ?? 1) - 1;
  state.t = state.ct = Math.max(0, state.t);
  state.k = given.get("k");
  state.n = whole("n", 1e6) ?? 0;
  state.m = whole("m", DATA.words.length) ?? state.m;
  if (state.k !== null)
    concepted.k = Math.max(0, (DATA.concepts[whole("g", DATA.concepts.length) ?? 0]?.targets ?? []).indexOf(state.k));
  state.w = given.get("w");
  if (given.has("g")) state.g = whole("g", DATA.concepts.length) ?? 0;
  const group = DATA.concepts[state.g];
  state.c = group && given.has("c") ? whole("c", group.numbers.length) : null;
  state.tab =
    given.get("tab") ?? (given.has("c") ? "concepts" : given.has("w") ? "words" : given.has("t") ? "texts" : state.tab);
}
function address() {
  const held =
    { texts: ["t", "k", "n"], words: ["m", "k", "w"], concepts: ["g", "c", "k"], components: ["t", "k", "n"] }[
      state.tab
    ] ?? [];
  const parts = [["tab", state.tab]];
  for (const name of held) {
    if (state[name] !== null && state[name] !== undefined && !(state[name] === 0 && (name === "n" || name === "m")))
      parts.push([name, name === "t" ? (state.tab === "components" ? state.ct : state.t) + 1 : state[name]]);
  }
  return `#${new URLSearchParams(parts)}`;
}
function remember(anew = false) {
  try {
    if (anew && address() !== location.hash) history.pushState(null, "", address());
    else history.replaceState(null, "", address());
  } catch {
    /* a page inside of another has no address */
  }
}

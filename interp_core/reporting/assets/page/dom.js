// Elements are made of text, never of markup, so that what a text or a label says stays text.
const h = (tag, given = {}, ...children) => fill(document.createElement(tag), given, children);
const svg = (tag, given = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), given, children);

function fill(element, given, children) {
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const put = (element, ...children) => element.replaceChildren(...children.flat(3).filter(Boolean));
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// Numbers as in the rest of the library: about three significant digits.
const MINUS = "\u2212",
  THIN = "\u202f";
function number(value) {
  if (typeof value !== "number") return value === null || value === undefined ? "\u2013" : String(value);
  if (!Number.isFinite(value)) return String(value).replace("-", MINUS);
  const size = Math.abs(value);
  let text;
  if (size === 0) return "0";
  if (size < 0.0005 || size >= 1e6) {
    const [digits, power] = value.toExponential(1).split("e");
    text = `${digits}e${power[0]}${power.slice(1).padStart(2, "0")}`;
  } else if (size >= 100) text = grouped(Math.round(value));
  else text = value.toFixed(size >= 10 ? 1 : size >= 1 ? 2 : 3);
  return text.replaceAll("-", MINUS);
}
const grouped = (whole) => String(whole).replace(/\B(?=(\d{3})+(?!\d))/g, THIN);
const signed = (value) => (value > 0 ? "+" : "") + number(value);
const percent = (share) => `${Math.round(100 * share)}${THIN}%`;
const counted = (amount, noun, plural = `${noun}s`) => `${grouped(amount)} ${amount === 1 ? noun : plural}`;
const cut = (text, most = 60) =>
  text.length <= most
    ? text
    : `${[...text]
        .slice(0, most - 1)
        .join("")
        .trimEnd()}…`;

// The step of a score on the colour scale.
const STEPS = 7;
function step(value, largest, directed) {
  if (!largest || !Number.isFinite(value)) return "z";
  const level = Math.min(STEPS, Math.round((STEPS * Math.abs(value)) / largest));
  return level ? `${directed ? (value > 0 ? "p" : "n") : "s"}${level}` : "z";
}

const button = (label, pressed, press, more = {}) =>
  h(
    "button",
    { type: "button", class: "ip-button", "aria-pressed": String(Boolean(pressed)), onclick: press, ...more },
    label,
  );

function select(label, options, chosen, choose, more = {}) {
  const box = h(
    "select",
    { class: "ip-select", "aria-label": label, onchange: () => choose(box.value), ...more },
    options.map(([value, name]) => h("option", { value, selected: String(value) === String(chosen) }, name)),
  );
  return h("label", { class: "ip-field" }, h("span", {}, label), box);
}

const notes = (lines) =>
  lines?.length
    ? h(
        "div",
        { class: "ip-note", role: "note" },
        h("strong", {}, "Please note"),
        h(
          "ul",
          {},
          lines.map((line) => h("li", {}, line)),
        ),
      )
    : null;

// A list of any length: only the rows in view are in the document.
class VirtualList {
  constructor(label, height, draw, pick) {
    Object.assign(this, { height, draw, pick, items: [], chosen: -1 });
    this.inner = h("div", { class: "ip-virtual-rows", role: "presentation" });
    this.box = h(
      "div",
      {
        class: "ip-virtual",
        role: "listbox",
        tabindex: "0",
        "aria-label": label,
        onscroll: () => this.render(),
        onkeydown: (event) => this.key(event),
      },
      this.inner,
    );
    this.id = `ip-list-${(VirtualList.made = (VirtualList.made ?? 0) + 1)}`;
    new ResizeObserver(() => this.render()).observe(this.box);
  }
  show(items, chosen) {
    this.items = items;
    this.choose(chosen, true);
  }
  choose(item, still = false) {
    this.chosen = this.items.indexOf(item);
    const top = this.chosen * this.height,
      bottom = top + this.height;
    this.inner.style.height = `${Math.max(1, this.items.length) * this.height}px`;
    if (this.chosen >= 0 && (top < this.box.scrollTop || bottom > this.box.scrollTop + this.box.clientHeight)) {
      this.box.scrollTop = Math.max(0, top - (still ? this.box.clientHeight / 3 : 0));
      if (!still && bottom > this.box.scrollTop + this.box.clientHeight)
        this.box.scrollTop = bottom - this.box.clientHeight;
    }
    this.render();
  }
  render() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.height) - 4);
    const last = Math.min(this.items.length, first + Math.ceil((this.box.clientHeight || 600) / this.height) + 8);
    const rows = [];
    for (let place = first; place < last; place++) {
      rows.push(
        h(
          "div",
          {
            class: "ip-row",
            role: "option",
            id: `${this.id}-${place}`,
            "aria-selected": String(place === this.chosen),
            "aria-setsize": this.items.length,
            "aria-posinset": place + 1,
            "data-item": this.items[place],
            style: `top:${place * this.height}px;height:${this.height}px`,
            onclick: () => this.to(place),
          },
          this.draw(this.items[place]),
        ),
      );
    }
    put(this.inner, rows);
    if (!this.items.length)
      put(this.inner, h("div", { class: "ip-row ip-fine", role: "option", "aria-selected": "false" }, "nothing fits"));
    if (this.chosen >= first && this.chosen < last)
      this.box.setAttribute("aria-activedescendant", `${this.id}-${this.chosen}`);
    else this.box.removeAttribute("aria-activedescendant");
  }
  to(place) {
    const item = this.items[Math.max(0, Math.min(this.items.length - 1, place))];
    if (item === undefined) return;
    this.choose(item);
    this.pick(item);
  }
  key(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / this.height) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (!(event.key in moves)) return;
    event.preventDefault();
    this.to(Math.min(this.items.length - 1, Math.max(0, this.chosen + moves[event.key])));
  }
}

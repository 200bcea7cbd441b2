// What a person would see, measured: run by test_report_browser.py inside of the page.
const draw = document.createElement('canvas').getContext('2d', {willReadFrequently: true});

// For each word of a text: red less blue of its background (above zero: orange), and the style of its underline.
const looks = (text) => [...document.querySelectorAll('[data-text]')[text].querySelectorAll('.ip-words mark')].map((m) => {
  const style = getComputedStyle(m);
  for (const colour of ['#fff', style.backgroundColor]) { draw.fillStyle = colour; draw.fillRect(0, 0, 1, 1); }
  const [r, , b] = draw.getImageData(0, 0, 1, 1).data;
  return [r - b, style.borderBottomStyle];
});

// The elements whose text has less than 4.5 to 1 of contrast with what is behind it (WCAG 2.2).
const weak = () => {
  const over = (layers) => {
    layers.forEach(c => { draw.fillStyle = c; draw.fillRect(0, 0, 1, 1); });
    return [...draw.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  for (const e of document.querySelectorAll('.ip *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || !e.checkVisibility()) continue;
    const layers = [];
    for (let p = e; p; p = p.parentElement) layers.unshift(getComputedStyle(p).backgroundColor);
    const [a, b] = [light(over(layers)), light(over([...layers, getComputedStyle(e).color]))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push([e.tagName, e.className, e.textContent.slice(0, 20), ratio]);
  }
  return found;
};

// The elements that reach beyond the right edge of the window, those in a box that scrolls by itself left out.
const beyond = () => [...document.querySelectorAll('.ip *')].filter((e) => !e.closest('.ip-scroll') && e.checkVisibility() &&
  e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.className);

// All that styles the elements of a part of the page.
const styles = (part) => [...document.querySelectorAll(part + ' *')].map((e) => [...getComputedStyle(e)].map(
  (name) => getComputedStyle(e).getPropertyValue(name)).join());

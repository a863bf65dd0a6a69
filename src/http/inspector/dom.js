// Elements, and how values are written. All text goes in as text: keys and rows are anybody's words.

const SVG = document.querySelector('svg').namespaceURI;

/** An element: h('a', { href, onclick }, 'text', child, …). Attributes that are false or undefined are left out. */
export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);
export const svg = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  for (const child of children.flat(Infinity)) if (child !== undefined && child !== null && child !== false) element.append(typeof child === 'string' ? plainly(child) : child);
  return element;
}

/* Characters that nobody sees, or that turn the direction of the text behind them, are written out. */
const plainly = (text) => text.replace(/[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Change the text of an element only where it differs, so that nothing is read out twice. */
export function say(element, said) {
  const text = plainly(said);
  if (element.textContent === text) return false;
  element.textContent = text;
  return true;
}

/** Make the content of an element these children. What is there already stays, so that the focus does, too. */
export const put = (box, ...children) => follow(box, h('div', {}, children));

function follow(old, next) {
  const before = [...old.childNodes];
  const after = [...next.childNodes];
  after.forEach((node, i) => {
    const there = before[i];
    if (!there) old.append(node);
    else if (there.nodeName !== node.nodeName) there.replaceWith(node);
    else if (node.nodeType === Node.TEXT_NODE) say(there, node.textContent);
    else {
      for (const { name } of [...there.attributes]) if (!node.hasAttribute(name)) there.removeAttribute(name);
      for (const { name, value } of node.attributes) if (there.getAttribute(name) !== value) there.setAttribute(name, value);
      follow(there, node);
    }
  });
  for (const node of before.slice(after.length)) node.remove();
}

// ---- values ----

const plain = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

export const number = (value) => (typeof value === 'number' && !Number.isNaN(value) ? (Math.abs(value) < 100 ? short : plain).format(value) : '–');
export const rate = (value) => `${number(value)}/s`;

export function bytes(value) {
  if (typeof value !== 'number' || Number.isNaN(value)) return '–';
  const power = value < 1024 ? 0 : Math.min(Math.floor(Math.log2(value) / 10), 5);
  return `${short.format(value / 1024 ** power)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'][power]}`;
}

export function seconds(value) {
  if (typeof value !== 'number' || Number.isNaN(value)) return '–';
  if (value < 0.001) return `${short.format(value * 1e6)} µs`;
  if (value < 1) return `${short.format(value * 1e3)} ms`;
  if (value < 120) return `${short.format(value)} s`;
  const units = [['d', 86400], ['h', 3600], ['min', 60]];
  const at = units.findIndex(([, length]) => value >= length);
  const [name, length] = units[at];
  const rest = units[at + 1] && Math.floor((value % length) / units[at + 1][1]);
  return `${Math.floor(value / length)} ${name}${rest ? ` ${rest} ${units[at + 1][0]}` : ''}`;
}

/** A time in milliseconds, or in seconds since 1970, in UTC. */
export function moment(ms) {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? '–' : date.toISOString().replace('T', ' ').replace('Z', '');
}

export const cut = (text, most) => (text.length > most ? `${text.slice(0, most)}…` : text);
export const json = (value) => (value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value));

// ---- parts of a screen ----

/** A region of its own that scrolls sideways; also by keyboard. */
export const scroll = (label, table) => h('div', { class: 'scroll', role: 'region', 'aria-label': label, tabindex: 0 }, table);

/** columns: [[title, isNumber], …]; rows: lists of text or elements, of which the first names the row. */
export function table(caption, columns, rows) {
  return scroll(caption, h('table', {},
    h('caption', {}, caption),
    h('thead', {}, h('tr', {}, columns.map(([title, isNumber]) => h('th', { scope: 'col', class: isNumber && 'number' }, title)))),
    h('tbody', {}, rows.map((row) => h('tr', {}, row.map((cell, i) => (
      h(i ? 'td' : 'th', { scope: !i && 'row', class: columns[i][1] && 'number' }, cell)
    )))))));
}

/** A paragraph of lesser weight. */
export const quiet = (...children) => h('p', { class: 'quiet' }, children);

export const tile = (title, value, more) => h('li', { class: 'tile' }, h('span', { class: 'quiet' }, title), h('b', {}, value), more);

/** A tile of the last of these values, or of another, with a line of all; undefined if none is known. */
export function lineTile(title, values, write, other) {
  const last = values.findLast((value) => typeof value === 'number') ?? other;
  return last === undefined ? undefined : tile(title, write(last), spark(title, values, write));
}

/** A line of the last values. Who does not see it hears its ends. */
export function spark(title, values, write) {
  const known = values.filter((value) => typeof value === 'number');
  if (known.length < 2) return svg('svg', { class: 'spark', 'aria-hidden': 'true' });
  const most = Math.max(...known, 1e-9);
  let path = '';
  values.forEach((value, i) => {
    if (typeof value === 'number') path += `${path ? 'L' : 'M'}${((i / (values.length - 1)) * 100).toFixed(1)} ${(19 - (value / most) * 18).toFixed(1)}`;
  });
  const text = `${title}: from ${write(Math.min(...known))} to ${write(Math.max(...known))} in the last minutes`;
  return svg('svg', { class: 'spark', viewBox: '0 0 100 20', preserveAspectRatio: 'none', role: 'img', 'aria-label': text }, svg('path', { d: path }));
}

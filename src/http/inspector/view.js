// A view: its rows as they are, read anew each second, sorted, page by page, searched by a predicate.

import { cut, h, json, number, put, say, scroll } from './dom.js';
import { known, pathOfView } from './data.js';
import { readWhere } from './where.js';

const EVERY = 1000; /* ms between two reads of the rows */
const COLUMNS = 12;
const CELL = 200; /* characters of a value */
const PAGES = [25, 50, 100, 200];
const TAPE = 200; /* newest changes of the log, of which an append view's are shown */

/* What would not be seen is quoted. */
const named = (text) => cut(text && text.trim() === text ? text : JSON.stringify(text), CELL);

const rowAddress = (view, key) => `#/row/${encodeURIComponent(view)}/${encodeURIComponent(key)}`;

/* What the server is asked for: of an append view its newest events. */
function pathOf(id, { isTape, where, sort, order, take, skip, key }) {
  const { epoch, last_change: last } = known.status ?? {};
  const asked = {
    key, skip, take: isTape ? TAPE : !key && take, where: where && JSON.stringify(where), sort: sort && !isTape && JSON.stringify([{ by: [sort], order }]),
    ...(isTape && { events: 1, after: last > TAPE && `${epoch}:${last - TAPE}` }),
  };
  const query = Object.entries(asked).filter(([, value]) => value).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  return `${pathOfView(id)}?${query.join('&')}`;
}

/* A key may have several events. */
const idOf = ({ key, offset }) => offset ?? key;

/** The rows of one page, kept in place from one read to the next, so that what has the focus keeps it. */
class Rows {
  columns = [];
  lines = new Map(); /* id → {line, cells} */

  constructor(id, head) {
    this.id = id;
    this.head = head;
    this.body = h('tbody');
  }

  /* Columns stay where they are, and new ones come behind them. */
  #widen(rows) {
    let hidden = 0;
    const before = this.columns.length;
    for (const { data } of rows) {
      for (const name of Object.keys(data ?? {})) {
        if (name === '_seq' || this.columns.includes(name)) continue;
        if (this.columns.length < COLUMNS) this.columns.push(name);
        else hidden++;
      }
    }
    if (this.columns.length > before || !this.drawn) {
      this.drawn = true;
      this.lines.clear();
      this.body.replaceChildren();
      this.head(this.columns);
    }
    return hidden;
  }

  #line(key) {
    const cells = this.columns.map(() => h('td'));
    const link = h('a', { href: rowAddress(this.id, key) }, named(key));
    return { line: h('tr', {}, h('th', { scope: 'row' }, link), cells), cells };
  }

  /** Show these rows; returns whether some members have no column. */
  show(rows) {
    const hidden = this.#widen(rows);
    const keys = new Set(rows.map(idOf));
    for (const [key, { line }] of this.lines) {
      if (keys.has(key)) continue;
      if (line.contains(document.activeElement)) this.body.closest('.scroll').focus();
      line.remove();
      this.lines.delete(key);
    }
    let at = this.body.firstChild;
    for (const row of rows) {
      const { key, data } = row;
      const isNew = !this.lines.has(idOf(row));
      if (isNew) this.lines.set(idOf(row), this.#line(key));
      const { line, cells } = this.lines.get(idOf(row));
      this.columns.forEach((name, i) => {
        cells[i].classList.toggle('fresh', say(cells[i], cut(json(data?.[name]), CELL)) && !isNew);
        cells[i].classList.toggle('number', typeof data?.[name] === 'number');
      });
      if (line === at) at = at.nextSibling;
      else this.body.insertBefore(line, at);
    }
    return hidden > 0;
  }
}

export function showView({ main, names, query, follow }) {
  const id = names[0] ?? '';
  const mode = known.status?.views?.find((view) => view.id === id)?.mode ?? id.split('/').pop();
  const isTape = mode === 'append';
  const take = PAGES.includes(Number(query.get('take'))) ? Number(query.get('take')) : PAGES[0];
  const skip = Math.max(Math.floor(Number(query.get('skip'))) || 0, 0);
  const [sort, order] = [query.get('sort') ?? '', query.get('order') === 'desc' ? 'desc' : 'asc'];
  /* This screen with other parameters: they stand in the address, so that “back” leads to the former ones. */
  const go = (changes) => {
    for (const [name, value] of Object.entries(changes)) value ? query.set(name, value) : query.delete(name);
    location.hash = `#/view/${encodeURIComponent(id)}?${query}`;
  };

  // ---- the search ----

  const field = (name, label, value, hint) => {
    const input = h('input', { type: 'search', id: name, value, placeholder: hint, autocomplete: 'off', spellcheck: 'false', 'aria-describedby': 'told' });
    input.addEventListener('keydown', (event) => event.key === 'Escape' && (input.value = ''));
    return [h('label', { for: name, class: 'wide' }, label, input), input];
  };
  const [whereLabel, where] = field('where', 'Search (where)', query.get('where') ?? '', 'mag >= 5 and status = reviewed');
  const [keyLabel, key] = field('key', mode === 'state' ? 'Key (this view shows one at a time)' : 'Key', query.get('key') ?? '', '');
  const size = h('select', { id: 'take', onchange: () => go({ take: size.value, skip: '' }) }, PAGES.map((n) => h('option', { value: n, selected: n === take }, String(n))));
  const told = h('p', { id: 'told', role: 'status', class: 'quiet' });
  const trouble = h('div', { role: 'alert' });
  const submit = (event) => {
    event.preventDefault();
    if (readSearch()) go({ where: where.value, key: key.value, skip: '' });
    else where.focus();
  };
  function readSearch() {
    try {
      return { predicate: readWhere(where.value) };
    } catch (error) {
      put(trouble, h('p', { class: 'warn' }, `The search cannot be read: ${error.message}`));
      return undefined;
    }
  }
  const form = h('form', { class: 'line', role: 'search', onsubmit: submit }, whereLabel, keyLabel, h('button', { type: 'submit' }, 'Search'), h('label', { for: 'take' }, 'Rows per page', size));

  // ---- the table ----

  const headRow = h('tr');
  const rows = new Rows(id, (columns) => headRow.replaceChildren(h('th', { scope: 'col' }, 'key'), ...columns.map((name) => {
    const isSorted = name === sort;
    const next = isSorted && order === 'desc' ? { sort: '', order: '' } : { sort: name, order: isSorted ? 'desc' : '' };
    const button = h('button', { type: 'button', onclick: () => go({ ...next, skip: '' }) }, named(name), isSorted && h('span', { 'aria-hidden': 'true' }, order === 'asc' ? ' ▲' : ' ▼'));
    return h('th', { scope: 'col', 'aria-sort': isSorted && (order === 'asc' ? 'ascending' : 'descending') }, button);
  })));
  const place = scroll(`Rows of ${id}`, h('table', { 'aria-label': `Rows of ${id}` }, h('thead', {}, headRow), rows.body));
  const turn = (title, to) => h('button', { type: 'button', onclick: () => go({ skip: to || '' }) }, title);
  const [first, previous, next] = [turn('First', 0), turn('Previous', Math.max(skip - take, 0)), turn('Next', skip + take)];
  first.disabled = previous.disabled = !skip;
  next.disabled = true;
  const isPaused = () => pause.getAttribute('aria-pressed') === 'true';
  const pause = h('button', { type: 'button', 'aria-pressed': 'false', onclick: () => pause.setAttribute('aria-pressed', !isPaused()) }, 'Pause');
  main.append(form, trouble, told, place, h('p', {}, first, ' ', previous, ' ', next, ' ', pause));

  // ---- reading ----

  const search = readSearch();
  if (!search) return;
  const rowOf = ({ data, ...event }) => ({ ...event, data: { change: event.offset, op: event.op, ...data } });
  function draw({ events, rows: all = events.slice(-take).reverse().map(rowOf), more }) {
    const hidden = rows.show(all);
    next.disabled = !more;
    put(trouble);
    const range = `Rows ${number(skip + 1)} to ${number(skip + all.length)}${more ? ', and more behind them' : ''}.${hidden ? ' Some members have no column; the row shows them all.' : ''}`;
    say(told, isTape ? `${all.length} of the newest events.` : all.length ? range : skip ? 'No rows so far behind.' : 'No rows.');
  }

  follow(trouble, () => !isPaused() && pathOf(id, { isTape, where: search.predicate, sort, order, take, skip, key: query.get('key') }), draw, { every: EVERY });
}

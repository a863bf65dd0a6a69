// A row: as it is, its history, and why it is in the view or not, side by side.

import { cut, h, json, moment, put, quiet, say } from './dom.js';
import { PERIOD, ask, known, pathOfView, repeat } from './data.js';
import { viewLink } from './overview.js';

const PAGE = 100;
const SHOWN = 200; /* events, the newest */
const PAGES = 20; /* pages of the log that are read by themselves */
const VALUE = 2000;

const show = (value) => cut(value === undefined ? 'nothing' : JSON.stringify(value, null, 1), VALUE);
const panel = (title, ...children) => h('section', { 'aria-label': title }, h('h2', {}, title), children);

// ---- history ----

/* What one change did: by the server's diff, else its patch. */
function drawChanges({ op, data, diff }) {
  if (diff) {
    if (!diff.length) return quiet('It set what was there already.');
    return h('dl', {}, diff.map(({ path, from, to, added, dropped }) => [
      h('dt', {}, h('code', {}, path.join('.') || '(the row)')),
      h('dd', {}, added ? `${show(added)} added${dropped ? `, ${dropped} dropped` : ''}` : `${show(from)} → ${show(to)}`),
    ]));
  }
  if (data === null || data === undefined) return h('p', {}, op === 'delete' ? 'It was deleted.' : 'No data.');
  return h('dl', {}, Object.entries(data).filter(([name]) => name !== '_seq').map(([name, value]) => [h('dt', {}, h('code', {}, name)), h('dd', {}, show(value))]));
}

const drawEvent = (event) => h('li', {},
  h('strong', {}, event.op), ` at ${moment(event.time)} UTC`,
  h('span', { class: 'quiet' }, ` – seq ${event.seq ?? '–'}, change ${event.offset}`),
  drawChanges(event));

async function followHistory(box, { exportName, key, signal, needToken }) {
  const list = h('ol', { class: 'events', reversed: true });
  const told = h('p', { class: 'quiet' });
  const source = `/v1/history?${new URLSearchParams({ export: exportName, key, take: PAGE })}`;
  let after = '';
  let events = [];
  let fresh = true;
  box.append(told, list);

  /* Read on from where it was, to the newest change, or for so many pages. */
  async function read() {
    for (let page = 0; page < PAGES; page++) {
      const { body } = await ask(`${source}${after && `&after=${encodeURIComponent(after)}`}`, { signal });
      if (after && body.resumed === false) events = [];
      after = body.cursor;
      events = [...events, ...body.events].slice(-SHOWN);
      fresh ||= body.events.length > 0;
      if (!body.more) return body;
    }
    return { earliest: undefined };
  }

  await repeat(async () => {
    try {
      const { earliest } = await read();
      if (signal.aborted) return;
      if (fresh) put(list, [...events].reverse().map(drawEvent));
      fresh = false;
      say(told, `${events.length ? `${events.length} changes, the newest first.` : 'No change of it.'}${earliest > 1 ? ` The log begins at change ${earliest}.` : ''}`);
    } catch (error) {
      if (signal.aborted) return;
      put(told, ...needToken(error));
      if (error.status === undefined) throw error;
    }
  }, PERIOD, signal);
}

// ---- explanation ----

/* A predicate with what it saw: each part on a line, with its verdict in words. */
function drawPredicate(it) {
  const verdict = h('strong', { class: it.holds ? 'good' : it.holds === false && 'bad' }, it.holds ? 'holds' : it.holds === false ? 'does not hold' : 'not known');
  const kind = ['all', 'any'].find((name) => it[name]);
  if (kind) return [h('p', {}, `${kind} of: `, verdict), h('ul', {}, it[kind].map((part) => h('li', {}, drawPredicate(part))))];
  if (it.not) return [h('p', {}, 'not: ', verdict), h('ul', {}, h('li', {}, drawPredicate(it.not)))];
  const { holds, value, operand, ...condition } = it;
  return [h('code', {}, json(condition)), ' ', verdict, `, the row has ${show(value)}`, operand !== undefined && `, compared with ${show(operand)}`];
}

function drawStep({ step, holds, predicate, hidden, why, ...rest }) {
  const verdict = holds === undefined ? 'passes' : holds === null ? 'not known' : holds ? 'passes' : 'stops here';
  return h('li', {},
    h('strong', {}, step), ': ', h('strong', { class: holds === false ? 'bad' : holds && 'good' }, verdict), why && ` – ${why}`, hidden && ' – what it saw is hidden from you',
    predicate && h('div', {}, drawPredicate(predicate)),
    Object.keys(rest).length > 0 && h('dl', {}, Object.entries(rest).map(([name, value]) => [h('dt', {}, name), h('dd', {}, show(value))])));
}

const BY = { change: 'a change of the row', another: 'a change of another row', time: 'time alone' };

function drawExplanation({ in: isIn, steps, since, seq }) {
  const when = since?.known ? `since ${since.time ? `${moment(since.time)} UTC` : `change ${since.change}`}, by ${BY[since.by] ?? since.by}${since.change ? ` (change ${since.change})` : ''}` : `since when is not known${since?.why ? `: ${since.why}` : ''}`;
  return [
    h('p', {}, h('strong', { class: isIn ? 'good' : 'bad' }, isIn ? 'The view shows it' : 'The view does not show it'), `, ${when}.`),
    h('ol', { class: 'events' }, (steps ?? []).map(drawStep)),
    quiet(`As of seq ${seq ?? '–'}.`),
  ];
}

// ---- the screen ----

export function showRow({ main, names, signal, follow, needToken }) {
  const [view = '', key = ''] = names;
  const { mode, export: exportName = view.split('/')[0] } = known.status?.views?.find(({ id }) => id === view) ?? {};
  /* A state view may be asked by another value than the key of the row. */
  const shown = mode === 'state' ? `${exportName}/state` : view;
  const [row, history, explanation] = [0, 0, 0].map(() => h('div'));
  const query = new URLSearchParams({ key });
  const drawRow = ({ rows }) => (rows.length ? h('pre', { tabindex: 0, 'aria-label': 'JSON of the row' }, JSON.stringify(rows[0].data, null, 2)) : h('p', {}, 'The view has no such row now.'));
  follow(row, () => `${pathOfView(shown)}?${query}`, drawRow);
  followHistory(history, { exportName, key, signal, needToken });
  /* An explanation may read much of the log, so it is asked for once. */
  const again = follow(explanation, () => `/v1/explain?${new URLSearchParams({ view, key })}`, drawExplanation, { every: 0 });
  main.append(
    h('p', {}, viewLink(view)),
    h('div', { class: 'cards' }, panel('The row', row), panel('History', history), panel('Why it is there, or not', explanation, h('p', {}, h('button', { type: 'button', onclick: again }, 'Explain again')))));
}

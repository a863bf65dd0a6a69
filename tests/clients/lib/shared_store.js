// What several subscriptions of one view on one connection show together, and the store in which the
// published clients keep it: one map for each view, whoever the frames came for.
//
// Rows here are {g, n, list}; `rows` is key → row, the newest change last.

import { http } from './feed.js';

/** Definitions of the views, for the server's configuration. */
export const DEFINITIONS = { T: { views: { by: { pipeline: [{ sort: 'n' }] }, top: { pipeline: [{ sort: 'n' }, { take: 3 }] } } } };

const byKey = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** The view's rows in its order: [key, row]. */
export function viewRows(view, rows) {
  const newest = [...rows].reverse();
  if (view === 'T/list' || view === 'T/append') return newest;
  const sorted = newest.sort(([a, x], [b, y]) => (x.n ?? Infinity) - (y.n ?? Infinity) || byKey(a, b));
  return view === 'T/top' ? sorted.slice(0, 3) : sorted;
}

/** Lists that are sent in part: what they show beside what changed is not said. */
export const isPartial = (view, { withSnapshot, snapshotLimit }) => withSnapshot === false || snapshotLimit !== undefined;

/** The keys that a subscription shows when all was sent. */
export function shownBy(view, { key, take, skip = 0, filters }, rows) {
  const passing = viewRows(view, rows).filter(([name, row]) => (key === undefined || name === key) && (!filters || row.g === filters.g));
  return passing.slice(skip, take === undefined ? undefined : skip + take).map(([name]) => name);
}

/** What all of them together make of a key: true (it is there), false (it is not), undefined (either). */
export function wantedOf(view, subscriptions, rows) {
  const wanted = new Map();
  for (const one of subscriptions) {
    for (const key of shownBy(view, one, rows)) {
      if (!isPartial(view, one)) wanted.set(key, true);
      else if (!wanted.has(key)) wanted.set(key, undefined);
    }
  }
  return (key) => (wanted.has(key) ? wanted.get(key) : false);
}

/* ---- feeding and reading ---- */

export const ONE_READER = { readers: 1 };
export const FENCE = 'T/\u0001fence';

export const add = (key, n, more = {}) => ({ export: 'T', key, patch: { list: [n], ...more }, append: ['list'] });
export const del = (key) => ({ export: 'T', key, op: 'delete' });

/** All frames until nothing more is on its way. What a window or the subscription to a key states is
 * read first: with `server`, which has one reader (ONE_READER), requests that are read wait for it too. */
export async function settle(client, server) {
  const frames = [];
  for (let i = 0; i < 3; i++) {
    if (server) await http(`${server.http}/v1/views/T/list?take=1`);
    client.subscribe(FENCE);
    frames.push(...(await client.until((frame) => frame.type === 'error', 'the fence')).slice(0, -1));
  }
  return frames;
}

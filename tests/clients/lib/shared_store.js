// What several subscriptions of one view on one connection show together, and the store in which the
// published clients keep it: one map for each view, whoever the frames came for.
//
// Rows here are {g, n, list}; `rows` is key → row, the newest change last.

import { http } from './feed.js';
import { parse } from './json.js';
import { pipeline, windowOf } from './window_model.js';

/** Definitions of the views, for the server's configuration. */
export const DEFINITIONS = { T: { views: { by: { pipeline: [{ sort: 'n' }] }, top: { pipeline: [{ sort: 'n' }, { take: 3 }] } } } };

const VIEWS = parse(JSON.stringify(DEFINITIONS)).get('T').get('views');

/** The view's rows in its order, as lib/window_model.js has them. */
function viewRows(view, rows) {
  const newest = [...rows].reverse().map(([key, row]) => ({ key, entity: parse(JSON.stringify(row)) }));
  return pipeline(newest, VIEWS.get(view.slice('T/'.length))?.get('pipeline') ?? []);
}

/** Lists that are sent in part: what they show beside what changed is not said. */
export const isPartial = (view, { withSnapshot, snapshotLimit }) => withSnapshot === false || snapshotLimit !== undefined;

/** The keys that a subscription shows when all was sent. */
export function shownBy(view, { key, take, skip, filters }, rows) {
  const passing = filters && parse(JSON.stringify(filters));
  return windowOf(viewRows(view, rows), { key, take, skip, filters: passing }).map((row) => row.key);
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
    if (server) await http(`${server.http}/v1/views/T/list?take=1`, { kept: server.kept });
    client.subscribe(FENCE);
    frames.push(...(await client.until((frame) => frame.type === 'error', 'the fence')).slice(0, -1));
  }
  return frames;
}

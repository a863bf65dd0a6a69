// What the tests of this package share: the real server, and what it says that a view shows.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { SteleClient } from '../dist/index.js';

/* The helpers of the server's own tests; run.sh runs these in a copy elsewhere. */
export const ROOT = process.env.STELE_ROOT ?? join(dirname(fileURLToPath(import.meta.url)), '../../..');
const lib = (name) => import(join(ROOT, 'tests/clients/lib', name));
export const { run, Server, sql, patience, within } = await lib('server.js');
export const { post, postAll } = await lib('feed.js');
export const { Proxy } = await lib('proxy.js');
export const { Browser, browserProgram } = await lib('browser.js');
export const { bearer, newKey, tokenOf, unixNow } = await lib('token.js');

export const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
export const row = (i, more = {}) => ({ export: 'E', key: `k${i}`, patch: { n: i, g: i % 3, text: `row ${i}`, ...more } });
export const del = (i) => ({ export: 'E', key: `k${i}`, op: 'delete' });

/** A folder that goes when the test ends. */
export function scratch(t) {
  const folder = mkdtempSync(join(tmpdir(), 'stele-client-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export const CONFIG = {
  exports: { E: { views: { top: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 10 }] } } }, F: {} },
};

/** A client that closes when the test ends. */
export function clientOf(t, server, options = {}) {
  const client = new SteleClient({ url: server.ws, WebSocket, storage: 'memory', backoff: { first: 0.02, most: 0.2 }, ...options });
  t.after(() => client.close());
  return client;
}

/** Wait until `holds` of the view's state; the state. */
export function until(view, holds, what = String(holds)) {
  const found = soon(view, holds);
  return within(found.then(() => view.state), () => `${what}; it is ${JSON.stringify(view.state).slice(0, 600)}`);
}

/** The view ends because nobody listens to it; nor does this. */
export const ends = (view) =>
  within((async () => { while (view.state.status === 'live') await new Promise((done) => setTimeout(done, 10)); })(), 'the end of a view without listeners');

/** key → row in the order of SQL's view, which knows a derived view's own order and cut. */
export async function table(server, view, where = 'true', order = undefined) {
  const rows = await sql(server.db, `SELECT key, json(data) AS data FROM "${view}" WHERE ${where} ${order ? `ORDER BY ${order}` : ''}`);
  return rows.map(({ key, data }) => [key, JSON.parse(data)]);
}

export const shown = ({ keys, rows }) => rows.map((data, i) => [keys[i], data]);

/** So long a view is compared with one reading of SQL, before SQL is read anew. */
const READING_MS = 500;

/**
 * The view shows soon what SQL has, in its order. SQL is read anew while this waits, because it may have been read before
 * a batch that a client kept came to the server.
 */
export async function equals(server, view, name, where, order, cut = (rows) => rows) {
  const end = Date.now() + patience(20_000);
  for (;;) {
    const wanted = cut(await table(server, name, where, order));
    const isEqual = (state) => state.status === 'live' && JSON.stringify(shown(state)) === JSON.stringify(wanted);
    if (await soon(view, isEqual, READING_MS)) return;
    if (Date.now() < end) continue;
    assert.deepEqual(shown(view.state), wanted, `${name} as SQL has it; the view is ${view.state.status}`);
    assert.fail(`${name} shows what SQL has, and is ${view.state.status}`);
  }
}

/** True as soon as `holds` of the view's state; false after `ms`, if they are given. */
function soon(view, holds, ms) {
  let stop = () => {};
  const found = new Promise((done) => {
    const look = () => holds(view.state) && done(true);
    stop = view.subscribe(look);
    if (ms !== undefined) setTimeout(() => done(false), ms);
    look();
  });
  return found.finally(() => setTimeout(stop, 1000).unref());
}

// What a page sees first: the rows, and only then what it must lose.

import assert from 'node:assert/strict';
import test from 'node:test';
import { clientFor } from './lib/client.js';
import { tryPost } from './lib/feed.js';
import { Server } from './lib/server.js';
import { bearer, newKey, tokenOf } from './lib/token.js';

const GONE = 2200; /* more than one job reads */
const ROWS = 120; /* two batches */
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const key = newKey();

const CONFIG = {
  exports: {
    E: { views: { top: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 40 }] }, some: { keys: ['stays1', 'gone2', 'stays3', 'gone4'] }, one: { pipeline: [{ sort: 'n' }, 'last'] } } },
    S: { scope: 'team' },
    Empty: {},
  },
  auth: { mode: 'signed', keys: [key.x] },
};

/** A server where much was deleted, and what clients held before, by export. */
async function start(t) {
  const server = await Server.forTest(t, { config: CONFIG });
  const write = bearer(tokenOf(key));
  const put = (name, id, i) => ({ export: name, key: id, patch: { n: i, even: i % 2 === 0, team: 'red' } });
  const feed = async (all) => {
    for (let at = 0; at < all.length; at += 500) assert.equal((await tryPost(server, all.slice(at, at + 500), write)).status, 200);
  };
  for (const name of ['E', 'S']) {
    await feed([...range(ROWS, (i) => put(name, `stays${i}`, i)), ...range(GONE, (i) => put(name, `gone${i}`, 10_000 + i))]);
  }
  await feed(range(GONE, (i) => put('Empty', `gone${i}`, i)));
  for (const name of ['E', 'S', 'Empty']) await feed(range(GONE, (i) => ({ export: name, key: `gone${i}`, op: 'delete' })));
  /* Of windows that it has watched itself a server knows what left; after a restart it does not. */
  await server.terminate();
  await server.restart();
  return server;
}

const cases = [
  ['E/list', {}], ['E/append', {}], ['E/list', { snapshotLimit: 60 }], ['E/some', {}], ['S/list', {}],
  ['E/list', { take: 3 }], ['E/list', { take: 110 }], ['E/list', { filters: { even: true } }], ['E/top', {}], ['E/top', { take: 3, skip: 2 }],
  ['E/one', {}], ['E/list', { key: 'stays5' }], ['E/state', { key: 'stays5' }],
  ['E/list', { key: 'gone5' }], ['Empty/list', {}], ['Empty/append', { filters: { even: true } }],
];

test('the first row waits for no delete, and what completes a snapshot ends it', async (t) => {
  const server = await start(t);
  const told = [];
  for (const [view, parameters] of cases) {
    const what = `${view} ${JSON.stringify(parameters)}`;
    const client = await clientFor(t, server, { headers: bearer(tokenOf(key, { row_scopes: ['red'] })) });
    client.subscribe(view, parameters);
    const frames = await client.until((frame) => frame.complete, what);
    await client.silence();
    const first = frames.findIndex((frame) => frame.data?.length > 0);
    const rows = new Set(frames.flatMap((frame) => (frame.op === 'snapshot' ? frame.data.map((row) => row.key) : [])));
    const gone = frames.filter((frame) => frame.op === 'delete');
    if (rows.size > 0) assert.equal(first, 1, `${what}: ${first} frames before the first row`);
    assert.ok(gone.every((frame) => !rows.has(frame.key)), what);
    const lastRow = frames.findLastIndex((frame) => frame.data?.length > 0);
    const firstDelete = frames.findIndex((frame) => frame.op === 'delete');
    assert.ok(firstDelete < 0 || firstDelete > lastRow, `${what}: a delete before the last row`);
    assert.equal(frames.filter((frame) => frame.complete).length, 1, what);
    assert.ok(frames.at(-1).seq, what);
    if (!gone.length) assert.ok(frames.at(-1).data.length > 0 || !rows.size, `${what}: an empty batch that nothing needs`);
    told.push([what, gone.length]);
  }
  t.diagnostic(told.map(([what, count]) => `${what}: ${count}`).join('; '));
  const of = new Map(told);
  assert.equal(of.get('E/list {}'), GONE);
  assert.equal(of.get('S/list {}'), GONE);
  assert.equal(of.get('Empty/list {}'), GONE);
  assert.equal(of.get('E/some {}'), 2, 'only keys that the view can have shown');
  assert.equal(of.get('E/list {"key":"gone5"}'), 1);
  assert.equal(of.get('E/state {"key":"stays5"}'), 0);
});

test('many deletes wait a moment behind the rows, and nothing is lost by it', async (t) => {
  const server = await start(t);
  const open = () => clientFor(t, server, { headers: bearer(tokenOf(key, { row_scopes: ['red'] })) });
  const complete = (client, what) => client.until((frame) => frame.complete, what);
  for (const [view, parameters, waits] of [['E/list', {}, true], ['E/list', { take: 3 }, false], ['S/list', {}, true], ['E/list', { snapshotLimit: 60 }, true], ['E/some', {}, false]]) {
    const what = `${view} ${JSON.stringify(parameters)}`;
    const client = await open();
    const began = performance.now();
    client.subscribe(view, parameters);
    const frames = await complete(client, what);
    const ms = performance.now() - began;
    if (waits) assert.ok(ms > 40, `${what}: complete after ${ms} ms`); /* a slow machine only makes it longer */
    assert.equal(frames.filter((frame) => frame.op === 'delete').length > 100, waits, what);
    client.destroy();
  }
  /* What comes meanwhile goes behind it; and whoever hangs up meanwhile is no harm. */
  const client = await open();
  client.subscribe('E/append');
  const write = bearer(tokenOf(key));
  for (let i = 0; i < 20; i++) {
    const other = await open();
    other.subscribe('E/list');
    other.subscribe('S/list');
    await other.next();
    await new Promise((done) => setTimeout(done, i * 3));
    other.destroy();
    assert.equal((await tryPost(server, { export: 'E', key: `late${i}`, patch: { n: i } }, write)).status, 200);
  }
  const frames = await client.until((frame) => frame.key === 'late19', 'the newest change');
  const keys = new Set(frames.flatMap((frame) => (frame.op === 'snapshot' ? frame.data.map((row) => row.key) : frame.key)));
  for (let i = 0; i < 20; i++) assert.ok(keys.has(`late${i}`), `late${i}`);
  await server.terminate();
});

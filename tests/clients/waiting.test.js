// Subscribers that come before the first mutation of an open server's export.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Applier } from './lib/applier.js';
import { Client, clientFor } from './lib/client.js';
import { http, post } from './lib/feed.js';
import { Server, check, sql, sqlView } from './lib/server.js';

const read = async (server, path, headers = {}) => http(server.http + path, { headers });
const bearer = (token) => ({ headers: { authorization: `Bearer ${token}` } });

/** Reads until the view holds what SQL says. */
async function converge(client, applier, server, view) {
  const wanted = [...(await sqlView(server, view))].map(([key, row]) => [key, row.data]).sort();
  const held = () => [...applier.rows].map(([key, row]) => [key, JSON.stringify(row)]).sort();
  while (JSON.stringify(held()) !== JSON.stringify(wanted)) applier.apply(await client.next(`${view} to hold ${wanted.length} rows`));
}

/* ---- every kind of subscription ---- */

const kinds = [
  ['list', {}],
  ['list', { key: 'a' }],
  ['state', { key: 'a' }],
  ['append', {}],
  ['append', { key: 'a' }],
  ['list', { take: 5 }],
  ['list', { take: 5, skip: 0, filters: { n: 1 } }],
  ['append', { filters: { n: 1 } }],
  ['state', { key: 'a', filters: { n: 1 } }],
  ['list', { snapshotLimit: 3 }],
  ['list', { after: '5:000000000003', epoch: 'f0e0d0c0-0000-4000-8000-000000000000' }],
  ['append', { after: '5:000000000003' }],
];

test('a view of an export that was never fed is empty, and fills when it is fed', async (t) => {
  const server = await Server.forTest(t);
  await post(server, { export: 'Other', key: 'o', patch: {} });
  for (const [i, [name, parameters]] of kinds.entries()) {
    const [view, what] = [`X${i}/${name}`, JSON.stringify([name, parameters])];
    const client = await clientFor(t, server);
    const { subscribed, rows, batches } = await client.open(view, parameters);
    assert.deepEqual([subscribed.view, subscribed.mode, rows.size, batches.length], [view, name, 0, 1], what);
    assert.equal(subscribed.resumed, parameters.after ? false : undefined, what);
    await post(server, { export: `X${i}`, key: 'a', patch: { n: 1, list: [1] }, append: ['list'] });
    const frame = await client.next(what);
    assert.deepEqual([frame.entity, frame.key, frame.data.n, frame.data.list], [view, 'a', 1, [1]], what);
    await post(server, { export: `X${i}`, key: 'a', patch: { list: [2] }, append: ['list'] });
    const more = await client.next(what);
    assert.deepEqual([more.op, more.data.list], more.op === 'patch' ? ['patch', [2]] : ['upsert', [1, 2]], what);
    await client.silence();
  }
  await check(server.db);
});

test('withSnapshot:false waits without a word', async (t) => {
  const server = await Server.forTest(t);
  for (const more of [{}, { take: 3 }]) {
    const client = await clientFor(t, server);
    const name = `N${Object.keys(more).length}`;
    client.subscribe(`${name}/list`, { withSnapshot: false, ...more });
    await client.expect('subscribed');
    await client.silence();
    await post(server, { export: name, key: 'a', patch: { n: 1 } });
    assert.equal((await client.expect('upsert')).key, 'a');
  }
});

test('who comes while the export is first fed misses nothing', async (t) => {
  const server = await Server.forTest(t);
  const seen = [];
  for (let round = 0; round < 40; round++) {
    const name = `R${round}`;
    const parameters = round % 2 ? { take: 1000 } : {};
    const clients = await Promise.all(Array.from({ length: 4 }, () => Client.open(server)));
    t.after(() => clients.forEach((client) => client.destroy()));
    const fed = (async () => {
      for (let n = 0; n < 8; n++) await post(server, [{ export: name, key: `k${n}`, patch: { n } }, { export: name, key: 'all', patch: { list: [n] }, append: ['list'] }]);
    })();
    for (const client of clients) {
      client.subscribe(`${name}/list`, parameters);
      await new Promise((done) => setImmediate(done));
    }
    await fed;
    for (const client of clients) {
      const applier = new Applier();
      await converge(client, applier, server, `${name}/list`);
      await client.silence();
      seen.push(applier.frames);
      client.destroy();
    }
  }
  t.diagnostic(`${Math.min(...seen)} to ${Math.max(...seen)} frames each`);
});

/* ---- names ---- */

test('what can be no view stays unknown, and a configured server knows only what it names', async (t) => {
  const server = await Server.forTest(t);
  const client = await clientFor(t, server);
  const wrong = ['', '/', 'X', 'X/', '/list', 'X/lists', 'X/List', 'X/list/', 'X/y/list', 'a"b/list', 'a\u0001/list', 'a\u0085/list', `${'x'.repeat(129)}/list`, `${'é'.repeat(65)}/state`];
  for (const view of wrong) {
    client.subscribe(view, { key: 'k' });
    assert.equal((await client.expect('error')).code, 'view-not-found', view);
  }
  for (const view of ['x'.repeat(128), 'é'.repeat(64), '日本', 'a b', '%41', '*'].map((name) => `${name}/list`)) {
    assert.equal((await client.open(view)).rows.size, 0, view);
  }
  const closed = await Server.forTest(t, { config: { exports: { E: {} } } });
  const other = await clientFor(t, closed);
  for (const view of ['X/list', 'X/state', 'E/other']) {
    other.subscribe(view, { key: 'k' });
    assert.equal((await other.expect('error')).code, 'view-not-found', view);
  }
});

test('a token sees the views that it names, whether they were fed or not', async (t) => {
  const tokens = [{ token: 'sees-only-F-0123456789', scope: 'read', views: ['F/*', 'G/state'] }, { token: 'writes-only-0123456789', scope: 'write' }];
  const server = await Server.forTest(t, { config: { auth: { mode: 'static', tokens } } });
  const client = await clientFor(t, server, bearer(tokens[0].token));
  assert.equal((await client.open('F/list')).rows.size, 0);
  assert.equal((await client.open('G/state', { key: 'k' })).rows.size, 0);
  const texts = new Set();
  for (const view of ['E/list', 'G/list', 'E/nothing']) {
    client.subscribe(view);
    const error = await client.expect('error');
    assert.equal(error.code, 'view-not-found');
    texts.add(error.message.replace(view, ''));
    assert.equal((await read(server, `/v1/views/${view}`, bearer(tokens[0].token).headers)).status, 404, view);
  }
  assert.equal(texts.size, 1, 'what is told differs by whether there could be such a view');
  assert.equal((await read(server, '/v1/views/F/list', bearer(tokens[0].token).headers)).status, 200);
  assert.equal((await read(server, '/v1/views/F/list', bearer(tokens[1].token).headers)).json.code, 'scope-missing');
});

/* ---- bounds ---- */

const wait = async (client, name, view = 'list', more = {}) => {
  client.subscribe(`${name}/${view}`, more);
  const frame = (await client.until((each) => each.op === 'subscribed' || each.type === 'error', name)).at(-1);
  if (frame.op === 'subscribed') await client.expect('snapshot');
  else assert.equal(frame.code, 'subscription-limit-exceeded');
  return frame;
};

test('a server waits for so many names at a time', async (t) => {
  const server = await Server.forTest(t, { set: { max_waiting_exports: 3 } });
  const client = await clientFor(t, server);
  const other = await clientFor(t, server);
  for (const name of ['A', 'B', 'C']) assert.equal((await wait(client, name)).op, 'subscribed');
  const refused = await wait(other, 'D');
  assert.match(refused.message, /'D'.*3.*max_waiting_exports allows; feed it first, or name/);
  /* The same names again, in other ways, are no more names. */
  assert.equal((await wait(other, 'A', 'append')).op, 'subscribed');
  assert.equal((await wait(other, 'B', 'list', { take: 2 })).op, 'subscribed');
  assert.equal((await wait(client, 'C', 'state', { key: 'k' })).op, 'subscribed');
  /* One that is fed is not waited for any more; it and its subscribers stay. */
  await post(server, { export: 'A', key: 'k', patch: {} });
  await client.until((frame) => frame.key === 'k');
  assert.equal((await wait(other, 'D')).op, 'subscribed');
  assert.ok((await wait(other, 'E')).code);
  /* One that nobody waits for any more is forgotten, also where a window was all. */
  client.send({ type: 'unsubscribe', view: 'B/list' });
  await client.silence();
  other.send({ type: 'unsubscribe', view: 'B/list' });
  assert.equal((await wait(other, 'E')).op, 'subscribed');
  assert.ok((await wait(other, 'F')).code);
  client.destroy();
  await client.closed;
  for (let left = true; left; ) left = (await server.status()).subscribers > 1;
  assert.equal((await wait(other, 'F')).op, 'subscribed');
});

test('a connection waits for a hundred names', async (t) => {
  const server = await Server.forTest(t);
  const client = await clientFor(t, server);
  for (let i = 0; i < 100; i++) {
    for (const view of ['list', 'append']) assert.equal((await wait(client, `N${i}`, view)).op, 'subscribed');
  }
  assert.match((await wait(client, 'N100')).message, /'N100'.*100/);
  assert.equal((await wait(await clientFor(t, server), 'N100')).op, 'subscribed');
  await post(server, { export: 'N7', key: 'k', patch: {} });
  for (let i = 0; i < 2; i++) assert.equal((await client.next()).key, 'k');
  assert.equal((await wait(client, 'N100')).op, 'subscribed');
});

/* ---- elsewhere ---- */

test('GET answers with the empty view; lists and the database know nothing of it', async (t) => {
  const server = await Server.forTest(t);
  const client = await clientFor(t, server);
  await client.open('X/list');
  const empty = await read(server, '/v1/views/X/list?take=5');
  assert.deepEqual([empty.status, empty.json.rows, empty.json.mode], [200, [], 'list']);
  const tag = empty.headers.etag;
  assert.equal((await read(server, '/v1/views/Y/list', { 'if-none-match': (await read(server, '/v1/views/Y/list')).headers.etag })).status, 304);
  assert.deepEqual((await read(server, '/v1/views')).json.views, []);
  assert.deepEqual(JSON.parse((await server.get('/status')).text).views, []);
  assert.deepEqual(await sql(server, 'SELECT name FROM export'), []);
  await post(server, { export: 'X', key: 'a', patch: { n: 1 } });
  const full = await read(server, '/v1/views/X/list?take=5', { 'if-none-match': tag });
  assert.deepEqual([full.status, full.json.rows.length], [200, 1]);
  assert.equal((await read(server, '/v1/views/X/other')).json.code, 'view-not-found');
});

test('a derived view over an export that is configured and was never fed fills likewise', async (t) => {
  const views = { top: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 2 }] }, last: { pipeline: [{ sort: 'n' }, 'last'] } };
  const server = await Server.forTest(t, { config: { exports: { E: { views } } } });
  const clients = [];
  for (const view of ['E/top', 'E/last', 'E/list', 'E/append']) {
    const client = await clientFor(t, server);
    assert.equal((await client.open(view)).rows.size, 0);
    assert.deepEqual((await read(server, `/v1/views/${view}`)).json.rows, []);
    clients.push(client);
  }
  await post(server, { export: 'E', key: 'a', patch: { n: 1 } });
  for (const client of clients) assert.equal((await client.next()).key, 'a');
});

// Sums, by the vectors of all languages; and a view that is compared with its server (docs/drift.md).

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { check } from '../dist/check.js';
import { States } from '../dist/states.js';
import { add, hex, keySum, link, partOf, rowSum, rowText, sha256 } from '../dist/sum.js';
import { bearer, clientOf, CONFIG, post, postAll, range, ROOT, row, Server, until, within } from './lib.js';

const isLive = ({ status }) => status === 'live';
const PATIENCE = { patience: 60_000 };

test('all languages compute the same sums', () => {
  const vectors = JSON.parse(readFileSync(join(ROOT, 'tests/vectors/drift.json'), 'utf8'));
  const sum = new Uint32Array(8);
  let order = new Uint32Array(8);
  for (const { key, row: text, text: wanted, part, sum: own } of vectors.rows) {
    const data = JSON.parse(text);
    assert.equal(rowText(key, data), wanted);
    assert.equal(hex(rowSum(key, data)), own);
    assert.equal(partOf(keySum(key)).toString(16).padStart(2, '0'), part);
    add(sum, rowSum(key, data));
    order = link(order, keySum(key));
  }
  assert.deepEqual([hex(sum), hex(order)], [vectors.sum, vectors.order]);
});

test('SHA-256 is that of the platform, whatever the length', () => {
  for (let length = 0; length < 300; length++) {
    const bytes = Uint8Array.from(range(length, (i) => (i * 7 + length) % 256));
    assert.equal(hex(sha256(bytes)), createHash('sha256').update(bytes).digest('hex'), String(length));
  }
});

test('each kind of view is equal to what the server has', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await post(server, range(150, (i) => row(i, { price: `${i}.10`, deep: { a: [1.0, -0, 1e21, 'ä😀'] } })));
  await post(server, '{"export":"E","key":"hostile","patch":{"n":1.50,"wide":12345678901234567890,"tiny":1e-7,"__proto__":{"x":-0.0}}}');
  const client = clientOf(t, server);
  for (const query of [
    { view: 'E/list' }, { view: 'E/top' }, { view: 'E/list', where: { field: 'n', gte: 100 } }, { view: 'E/list', filters: { g: 1 } }, { view: 'E/state', key: 'k3' },
    { view: 'E/list', sort: [{ by: 'text', order: 'desc' }], take: 7, skip: 2 }, { view: 'E/list', take: 5 }, { view: 'E/state', key: 'none' },
  ]) {
    const view = client.view(query);
    await until(view, isLive);
    assert.deepEqual(await check(client, view, PATIENCE), { equal: true, keys: [], orderDiffers: false }, JSON.stringify(query));
  }
  await assert.rejects(check(client, client.view({ view: 'E/append' }), PATIENCE), { code: 'has-events' });
});

/** The server's file is changed while nobody has it open; the client goes on from its cursor, and is not told. */
async function plant(server, ...statements) {
  await server.terminate();
  execFileSync('sqlite3', [server.db, ...statements]);
  await server.restart({ samePort: true });
}

test('what the server has and the view has not is named: exactly those keys', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await post(server, range(300, (i) => row(i)));
  const client = clientOf(t, server);
  const view = client.view({ view: 'E/list' });
  await until(view, isLive);
  await plant(server, "UPDATE entity SET data = json_set(data, '$.text', 'other') WHERE key = 'k7'", "UPDATE entity SET key = 'k\u20ac' WHERE key = 'k8'");
  await until(view, isLive);
  const { equal, keys, orderDiffers } = await check(client, view, PATIENCE);
  assert.deepEqual([equal, orderDiffers], [false, false]);
  assert.deepEqual(keys.sort((a, b) => (a.key < b.key ? -1 : 1)), [{ key: 'k7', is: 'changed' }, { key: 'k8', is: 'here' }, { key: 'k\u20ac', is: 'there' }]);
  await plant(server, "UPDATE entity SET data = json_set(data, '$.text', 'row 7') WHERE key = 'k7'", "UPDATE entity SET key = 'k8' WHERE key = 'k\u20ac'");
  await until(view, isLive);
  assert.equal((await check(client, view, PATIENCE)).equal, true);
});

test('a view that is fed meanwhile is equal, and a difference in it is found, also where its cursor stays behind', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(3000, (i) => row(i)), 1000);
  const queries = [{ view: 'E/list' }, { view: 'E/list', where: { field: 'n', lt: 10 } }, { view: 'E/top' }];
  const open = async (client) => {
    const views = queries.map((query) => client.view(query));
    for (const view of views) await until(view, isLive);
    return views;
  };
  const [client, damaged] = [clientOf(t, server), clientOf(t, server)];
  const [views, wrong] = [await open(client), await open(damaged)];
  /* No client of ours does that. */
  for (const view of wrong.slice(0, 2)) view.get('k7').text = 'other';
  let going = true;
  const feeding = (async () => {
    for (let i = 0; going; i++) {
      await post(server, row(100 + (i % 2000), { text: `again ${i}` }));
      await new Promise((done) => setTimeout(done, 10));
    }
  })();
  for (const view of views) assert.deepEqual(await check(client, view, PATIENCE), { equal: true, keys: [], orderDiffers: false }, JSON.stringify(view.query));
  for (const view of wrong.slice(0, 2)) assert.deepEqual((await check(damaged, view, PATIENCE)).keys, [{ key: 'k7', is: 'changed' }], JSON.stringify(view.query));
  assert.equal((await check(damaged, wrong[2], PATIENCE)).equal, true);
  going = false;
  await feeding;
});

test('a view of which every row differs is told in several answers', async (t) => {
  const COUNT = 25_000;
  const server = await Server.forTest(t);
  await postAll(server, range(COUNT, (i) => row(i)), 5000);
  const client = clientOf(t, server);
  const view = client.view({ view: 'E/list' });
  await until(view, ({ status, rows }) => status === 'live' && rows.length === COUNT);
  /* No client of ours does that. */
  for (const shown of view.state.rows) shown.text = 'other';
  const { equal, keys } = await check(client, view, PATIENCE);
  assert.deepEqual([equal, new Set(keys.map(({ key }) => key)).size, keys.every(({ is }) => is === 'changed')], [false, COUNT, true]);
});

test('a row that the page changed after a check differs in the next', async (t) => {
  const server = await Server.forTest(t);
  await post(server, range(20, (i) => row(i)));
  const client = clientOf(t, server);
  const view = client.view({ view: 'E/list' });
  await until(view, isLive);
  assert.equal((await check(client, view, PATIENCE)).equal, true);
  view.get('k7').text = 'other';
  assert.deepEqual((await check(client, view, PATIENCE)).keys, [{ key: 'k7', is: 'changed' }]);
});

test('no longer than the patience, whatever the server does', async (t) => {
  const server = await Server.forTest(t);
  await post(server, range(20, (i) => row(i)));
  const client = clientOf(t, server, { fetch: (url, { signal }) => new Promise((done, fail) => signal.addEventListener('abort', () => fail(signal.reason))) });
  const view = client.view({ view: 'E/list' });
  await until(view, isLive);
  const holds = setInterval(() => {}, 1000); /* such a signal does not keep the process */
  t.after(() => clearInterval(holds));
  assert.equal((await within(check(client, view, { patience: 300 }), 'the end of a check')).equal, undefined);
});

test('states are kept as what became other, and each is found as it was', () => {
  let seed = 7;
  const random = (n) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
  const take = (held) => ({ keys: held.map(([key]) => key), rows: held.map(([, row]) => row) });
  let held = range(40, (i) => [`k${i}`, { i }]);
  const states = new States(take(held), 'c0');
  const all = [['c0', take(held)]];
  for (let n = 1; n < 400; n++) {
    const changed = new Set(range(1 + random(3), () => `k${random(60)}`));
    held = held.filter(([key]) => !changed.has(key));
    for (const key of changed) if (random(3)) held.splice(random(held.length + 1), 0, [key, { n }]);
    if (n % 97 === 0) held = held.map(([key], i) => [key, { n, i }]).reverse(), changed.clear();
    const cursor = `c${n >> 1}`;
    states.add(take(held), cursor, changed);
    all.push([cursor, take(held)]);
    if (random(4)) continue;
    const [wanted] = all[all.length - 1 - random(Math.min(all.length, (n % 97) + 1, 6))];
    const last = all.findLast(([each]) => each === wanted)[1];
    const shown = states.find(wanted);
    assert.deepEqual([shown.keys, shown.rows.map((row, i) => row === last.rows[i])], [last.keys, last.rows.map(() => true)]);
    all.splice(0, all.findLastIndex(([each]) => each === wanted));
  }
});

test('many states of a large view take little room', () => {
  const COUNT = 20_000;
  let rows = range(COUNT, (n) => ({ n }));
  const keys = range(COUNT, (n) => `k${n}`);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  const used = () => (collect(), process.memoryUsage().heapUsed);
  const states = new States({ rows, keys: [...keys] }, 'c0');
  const before = used();
  for (let n = 1; n <= 600; n++) {
    rows = rows.with(n, { n: -n });
    states.add({ rows, keys: [...keys] }, `c${n}`, new Set([`k${n}`]));
  }
  const grown = (used() - before) / 2 ** 20;
  assert.ok(grown < 60, `${grown} MiB for 600 states`);
  const { rows: then } = states.find('c500');
  assert.deepEqual([then[500].n, then[501].n], [-500, 501]);
});

test('a token sees its rows alone, and a refusal rejects', async (t) => {
  const tokens = [['a', { row_scopes: ['a'] }], ['few', { views: ['F/list'] }]].map(([name, more]) => ({ token: `token-${name}-0123456789abcdef`, subject: name, scope: 'read', ...more }));
  const writer = 'writer-0123456789abcdef';
  const server = await Server.forTest(t, { config: { exports: { E: { scope: 'owner' }, F: {} }, auth: { mode: 'static', tokens: [{ token: writer, scope: 'write' }, ...tokens] } } });
  const response = await fetch(`${server.http}/v1/mutations`, { method: 'POST', headers: bearer(writer), body: range(20, (i) => JSON.stringify(row(i, { owner: i % 2 ? 'a' : 'b' }))).join('\n') });
  assert.equal(response.status, 200);
  const client = clientOf(t, server, { token: () => tokens[0].token });
  const view = client.view({ view: 'E/list' });
  await until(view, ({ status, rows }) => status === 'live' && rows.length === 10);
  assert.equal((await check(client, view, PATIENCE)).equal, true);
  const other = clientOf(t, server, { token: () => tokens[1].token });
  await assert.rejects(check(other, view, PATIENCE), ({ code, retryable }) => !retryable && Boolean(code));
});

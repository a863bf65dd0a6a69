// protocol.md, "Clients and windows": which windows are shared by how many, and what refreshing them costs.

import assert from 'node:assert/strict';
import test from 'node:test';
import { clientFor } from './lib/client.js';
import { checkAnswer } from './lib/error_table.js';
import { http } from './lib/feed.js';
import { NamedClient } from './lib/named.js';
import { Server, eventually } from './lib/server.js';

const ADMIN = 'admin-0123456789abcdef', FEEDER = 'feeder-0123456789abcdef';
const ONE = 'one-0123456789abcdef', SAME = 'same-0123456789abcdef', TWO = 'two-0123456789abcdef';
const auth = {
  mode: 'static',
  tokens: [
    { token: ADMIN, subject: 'root', scope: 'admin' },
    { token: FEEDER, subject: 'shop', scope: 'read write' },
    { token: ONE, subject: 'one', scope: 'read', row_scopes: ['a'] },
    { token: SAME, subject: 'same', scope: 'read', row_scopes: ['a'] },
    { token: TWO, subject: 'two', scope: 'read', row_scopes: ['b'] },
  ],
};
const bearer = (token) => ({ authorization: `Bearer ${token}` });
const serverFor = (t, config = {}) => Server.forTest(t, { config: { exports: { E: {}, S: { scope: 'owner' } }, auth, ...config } });
const ask = (server, query = '', token = ADMIN, base = server.http) => http(`${base}/v1/windows${query}`, { headers: token ? bearer(token) : {} });
const list = async (server, query) => {
  const answer = await ask(server, query);
  assert.equal(answer.status, 200, answer.text);
  return answer.json;
};
const watched = async (server) => (await list(server)).windows.filter(({ members }) => members);
const reader = (t, server, token = FEEDER) => clientFor(t, server, { headers: bearer(token) });
const feed = async (server, mutations) => {
  const answer = await http(`${server.http}/v1/mutations`, { method: 'POST', headers: bearer(FEEDER), body: mutations.map((it) => JSON.stringify(it)).join('\n') });
  assert.equal(answer.status, 200, answer.text);
};
const rows = (count, extra = {}) => Array.from({ length: count }, (_, i) => ({ export: 'E', key: `k${i}`, patch: { n: i, ...extra } }));

test('queries that mean the same share one window, which counts its members', async (t) => {
  const server = await serverFor(t);
  await feed(server, rows(50));
  const clients = [];
  for (const where of [{ field: 'n', gte: 10 }, { gte: 10, field: ['n'] }, { all: [{ field: 'n', gte: 10 }] }]) {
    clients.push(await reader(t, server));
    await clients.at(-1).open('E/list', { where, take: 5 });
  }
  const [window, ...others] = await watched(server);
  assert.deepEqual(others, [], 'one window for three ways to say it');
  assert.deepEqual([window.view, window.take, window.skip, window.protocol, window.members, window.rows], ['E/list', 5, 0, '1', 3, 5]);
  assert.ok(!('scope' in window) && !('key' in window));
  const { clients: found, count } = (await http(`${server.http}/v1/clients`, { headers: bearer(ADMIN) })).json;
  assert.equal(count, 3);
  for (const { subscriptions: [it] } of found) assert.deepEqual([it.window, it.query], [window.id, window.query], 'the list of clients names the same window');
  await clients[0].open('E/list', { where: { field: 'n', gte: 10 }, take: 7 });
  const named = await NamedClient.connect(t, server.port, { headers: bearer(FEEDER) });
  await named.open('x', { view: 'E/list', where: { field: 'n', gte: 10 }, take: 5 });
  const now = await watched(server);
  assert.deepEqual(now.map(({ take, protocol, members }) => [take, protocol, members]), [[5, '1', 2], [7, '1', 1], [5, '2', 1]]);
  assert.deepEqual(new Set(now.map(({ sharing, matches }) => `${sharing} ${matches}`)), new Set(['3 40']), 'the rows that pass are kept once for all three');
  const { count: windows, members } = await list(server);
  assert.deepEqual([windows, members], [3, 4]);
  clients.forEach((client) => client.destroy());
  named.socket.terminate();
  await eventually(async () => (await list(server)).count === 0, 'nobody watches');
  const left = await list(server);
  assert.deepEqual(left.windows.map(({ id, members }) => [id, members]), now.map(({ id }) => [id, 0]), 'they linger for who comes back');
});

test('whose rows a window has is shown as a digest', async (t) => {
  const server = await serverFor(t);
  await feed(server, [{ export: 'S', key: 'x', patch: { owner: 'a' } }, { export: 'S', key: 'y', patch: { owner: 'b' } }]);
  const epochs = [];
  for (const token of [ONE, SAME, TWO]) epochs.push((await (await reader(t, server, token)).open('S/list', { take: 5 })).subscribed.epoch);
  const windows = await watched(server);
  assert.deepEqual(windows.map(({ members, rows }) => [members, rows]), [[2, 1], [1, 1]]);
  assert.notEqual(windows[0].scope, windows[1].scope);
  for (const { scope } of windows) assert.match(scope, /^[0-9a-f]{16}$/);
  assert.ok(epochs[0].includes(`-${windows[0].scope}`) && epochs[2].includes(`-${windows[1].scope}`));
  assert.ok(!JSON.stringify(windows).includes('"a"'), 'not the labels themselves');
});

test('each refresh counts, with the rows that it read', async (t) => {
  const server = await serverFor(t);
  await feed(server, rows(500));
  const client = await reader(t, server);
  await client.open('E/list', { take: 20 });
  const [first] = await watched(server);
  assert.ok(first.refreshes >= 1 && first.rows_read >= 20 && first.total_ms >= first.refresh_ms && first.bytes > 0, JSON.stringify(first));
  assert.ok(Math.abs(first.refreshed - (await list(server)).time) < 600_000 && Number.isInteger(first.refreshed));
  for (let i = 0; i < 5; i++) {
    await feed(server, [{ export: 'E', key: `new${i}`, patch: { n: i } }]);
    await client.until(({ key }) => key === `new${i}`);
  }
  const [later] = await watched(server);
  assert.equal(later.id, first.id);
  assert.ok(later.refreshes >= first.refreshes + 5 && later.rows_read >= first.rows_read + 5 * 20, JSON.stringify([first, later]));
  assert.ok(later.total_ms > first.total_ms && later.refreshed >= first.refreshed);
});

test('pages, the scope and what is refused are as in the list of clients', async (t) => {
  const server = await serverFor(t);
  const client = await reader(t, server);
  for (let take = 1; take <= 30; take++) await (await reader(t, server)).open('E/list', { take });
  const seen = [];
  let page = { more: true }, after = 0;
  while (page.more) {
    page = await list(server, `?limit=7&after=${after}`);
    seen.push(...page.windows.map(({ take }) => take));
    after = page.windows.at(-1).id;
  }
  assert.deepEqual(seen, Array.from({ length: 30 }, (_, i) => i + 1));
  await client.close();
  for (const [token, code] of [[null, 'token-missing'], [FEEDER, 'scope-missing']]) {
    for (const base of [server.http, server.healthUrl]) {
      const answer = await ask(server, '', token, base);
      checkAnswer({ ...answer, body: answer.text }, code);
    }
  }
  assert.equal((await ask(server, '', ADMIN, server.healthUrl)).status, 200);
  const wrong = await ask(server, '?x=1');
  checkAnswer({ ...wrong, body: wrong.text }, 'invalid-parameter');
  const end = await http(`${server.http}/v1/windows`, { method: 'DELETE', headers: bearer(ADMIN) });
  checkAnswer({ ...end, body: end.text }, 'method-not-allowed');
  assert.equal((await ask(server, '/1')).status, 404);
  const open = await Server.forTest(t, {});
  assert.deepEqual((await ask(open, '', null, open.healthUrl)).json.windows, []);
  assert.equal((await ask(open, '', null)).status, 403);
});

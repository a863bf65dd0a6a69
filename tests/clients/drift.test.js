// Whether two sides show the same: GET /v1/checksum and `stele check --url` (docs/drift.md).

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { request as requestTls } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import test from 'node:test';
import { connect as connectTls } from 'node:tls';
import { http, post, postAll, tryPost } from './lib/feed.js';
import { Random } from './lib/random.js';
import { seedsOf } from './lib/seeds.js';
import { BINARY, check, eventually, ROOT, run, scratch, Server, sql } from './lib/server.js';
import { hex, minus, partOf, plus, rowSum, sumsOf } from './lib/sums.js';
import { bearer } from './lib/token.js';

const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const query = (parameters) => new URLSearchParams(parameters).toString().replaceAll('+', '%20');
const ask = (server, view, parameters = {}, options = {}) => http(`${server.http}/v1/checksum?${query({ view, ...parameters })}`, options);

async function sums(server, view, parameters, options) {
  const answer = await ask(server, view, parameters, options);
  assert.equal(answer.status, 200, answer.text);
  return answer.json;
}

/** [[key, data]…] as a read has them: all, unless something says how many. */
async function rowsOf(server, view, parameters = {}, options = {}) {
  const isCut = parameters.key !== undefined || /state|top|last/.test(view);
  const answer = await http(`${server.http}/v1/views/${view.replace('append', 'list')}?${query({ ...(!isCut && { take: 10_000 }), ...parameters })}`, options);
  assert.equal(answer.status, 200, answer.text);
  return answer.json.rows.map(({ key, data }) => [key, data]);
}

/** Write to a file that nobody has open. */
async function plant(file, ...statements) {
  const { code, stderr } = await run([file, ...statements], { program: 'sqlite3' });
  assert.equal(code, 0, stderr);
}

async function copyOf(t, server) {
  const file = join(scratch(t), 'copy.db');
  const { code, stderr } = await run(['backup', '--db', server.db, file]);
  assert.equal(code, 0, stderr);
  return file;
}

/** `stele check --json`: {code, views: {id → object}}. */
async function compare(...args) {
  const { code, stdout, stderr } = await run(['check', '--json', ...args]);
  const list = stdout.trim() ? JSON.parse(`[${stdout.trim().replaceAll('}\n{"view"', '},\n{"view"')}]`) : [];
  return { code, stderr, views: Object.fromEntries(list.map((each) => [each.view, each])) };
}
const keysOf = ({ keys }) => Object.fromEntries(keys.map(({ key, is }) => [key, is]));

const CONFIG = { exports: { E: { views: {
  top: { pipeline: [{ filter: { field: 'n', gte: 0 } }, { sort: { by: 'n', order: 'desc' } }, { take: 20 }] },
  all: { pipeline: [{ sort: 'name' }] },
  less: { fields: ['n', 'deep.a'] },
  some: { keys: ['k1', 'k3', 'none'] },
  last: { pipeline: [{ sort: 'n' }, 'last'] },
  one: { pipeline: [{ sort: { by: 'n', order: 'desc' } }], output: { keyed_by: 'name' } },
} } } };
const rows = (count) => range(count, (i) => m(`k${i}`, { n: (i * 7) % count, name: `name ${i % 9}`, deep: { a: i, b: [i] }, secret: i }));

/* ---- what is answered ---- */

test('hostile keys and values have the sums that their vectors say', async (t) => {
  const vectors = JSON.parse(readFileSync(join(ROOT, 'tests/vectors/drift.json'), 'utf8'));
  const server = await Server.forTest(t);
  /* No entity has such keys. */
  const fed = vectors.rows.filter(({ key }) => key && !key.includes('\0'));
  await post(server, fed.map(({ key, row }) => `{"export":"E","key":${JSON.stringify(key)},"op":"upsert","patch":${row}}\n`).join(''));
  const { keys, rows: count, sum } = await sums(server, 'E/append', { keys: 'all' });
  assert.deepEqual(new Map(keys), new Map(fed.map(({ key, sum: own }) => [key, own])));
  assert.equal(count, fed.length);
  assert.equal(sum, hex(fed.reduce((all, { sum: own }) => plus(all, own), 0n)));
  for (const { key, part, sum: own } of fed) assert.deepEqual((await sums(server, 'E/list', { key, keys: part })).keys, [[key, own]], key);
});

test('each view and query is summed as it is read', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await post(server, rows(300));
  const where = JSON.stringify({ field: 'n', gte: 150 });
  const cases = [
    ['E/list'], ['E/append'], ['E/top'], ['E/all'], ['E/less'], ['E/some'], ['E/last'], ['E/state', { key: 'k7' }], ['E/list', { key: 'none' }], ['E/one', { key: 'name 3' }],
    ['E/list', { take: '7' }], ['E/list', { take: '7', skip: '290' }], ['E/all', { where }], ['E/all', { where, take: '3', skip: '2' }], ['E/top', { where, take: '3' }],
    ['E/list', { filter: 'name:name 4' }], ['E/list', { sort: '["name","n"]' }], ['E/list', { sort: '[{"by":"n","order":"desc"}]', take: '5', skip: '3' }], ['E/top', { skip: '15' }],
  ];
  for (const [view, parameters = {}] of cases) {
    const wanted = sumsOf(await rowsOf(server, view, parameters));
    const { parts, keys, order, rows: count, sum } = await sums(server, view, { ...parameters, parts: '1', keys: 'all' });
    const what = `${view} ${JSON.stringify(parameters)}`;
    assert.deepEqual({ count, sum, parts, keys }, { count: wanted.rows, sum: wanted.sum, parts: wanted.parts, keys: wanted.keys }, what);
    if (order !== undefined) assert.equal(order, wanted.order, what);
    assert.equal(order === undefined, ['E/append', 'E/state'].includes(view), what);
    const wantedKeys = wanted.keys.filter(([key]) => ['3f', '07'].includes(partOf(key)));
    assert.deepEqual((await sums(server, view, { ...parameters, keys: '3f,07' })).keys, wantedKeys, what);
  }
  assert.equal((await sums(server, 'E/all')).rows, 300);
  assert.equal((await sums(server, 'E/all', { subscribed: '1' })).rows, 100, 'as a subscription shows it');
  assert.deepEqual(await sums(server, 'E/all', { subscribed: '1' }), await sums(server, 'E/all', { take: '100' }));
  const { seq, epoch } = (await http(`${server.http}/v1/views/E/list`)).json;
  const answer = await ask(server, 'E/list');
  assert.deepEqual([answer.json.seq, answer.json.epoch, answer.json.scoped, answer.headers['cache-control']], [seq, epoch, false, 'no-store']);
});

test('what is no question is refused', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG, set: { max_window_rows: 50 } });
  await post(server, rows(60));
  const refused = async (view, parameters, status, code, message, method = 'GET') => {
    const answer = await ask(server, view, parameters, { method });
    assert.deepEqual([answer.status, answer.json?.code], [status, code], answer.text);
    assert.match(answer.json.message, message);
  };
  await refused('E/nix', {}, 404, 'view-not-found', /not known/);
  await refused('E/state', {}, 400, 'invalid-parameter', /'key' is missing/);
  await refused('E/one', {}, 400, 'invalid-parameter', /'key' is missing/);
  for (const keys of ['', '3', '3F', '3f,', 'x', `3f${',3f'.repeat(256)}`]) await refused('E/list', { keys }, 400, 'invalid-parameter', /'keys'/);
  await refused('E/list', { parts: '2' }, 400, 'invalid-parameter', /'parts' is '2'/);
  await refused('E/list', { after: '1:1' }, 400, 'invalid-parameter', /'after' is not for a checksum/);
  await refused('E/list', { limit: '2' }, 400, 'invalid-parameter', /use view, key, take, skip, filter, where, sort, parts, keys or subscribed$/);
  for (const name of ['wait', 'as_of', 'events']) await refused('E/list', { [name]: '1' }, 400, 'invalid-parameter', new RegExp(`no parameter '${name}'`));
  await refused('E/list', { sort: '["n"]' }, 413, 'too-large', /more than 50 rows to sort/);
  await refused('E/list', {}, 405, 'method-not-allowed', /takes GET/, 'DELETE');
  const twice = await http(`${server.http}/v1/checksum?view=E/list&keys=3f&keys=a0`);
  assert.match(twice.text, /'keys' is given twice/);
  assert.equal((await http(`${server.http}/v1/checksum`)).json.code, 'invalid-parameter');
  assert.equal((await sums(server, 'E/list', { sort: '["n"]', take: '5' })).rows, 5);
  await refused('E/list', { sort: '["n"]', take: '5', skip: '46' }, 413, 'too-large', /more than 50 rows to sort/);
});

/* ---- who is answered ---- */

const WRITER = 'writer-0123456789abcdef';
const tokenFor = (name) => `token-${name}-0123456789abcdef`;
function scoped(tokens, exports) {
  const list = Object.entries(tokens).map(([name, more]) => ({ token: tokenFor(name), subject: name, scope: 'read', ...more }));
  return { exports, auth: { mode: 'static', tokens: [{ token: WRITER, scope: 'write' }, ...list] } };
}
const as = (name) => ({ headers: bearer(tokenFor(name)) });
const write = async (server, mutations) => assert.equal((await tryPost(server, mutations, bearer(WRITER))).status, 200);

test('a token gets sums of what it sees, and of nothing else', async (t) => {
  const server = await Server.forTest(t, { config: scoped(
    { a: { row_scopes: ['a'] }, b: { row_scopes: ['b'] }, both: { row_scopes: ['a', 'b'] }, none: {}, few: { row_scopes: ['a'], views: ['E/less'] }, writer: { scope: 'write' }, small: { row_scopes: ['a'], limits: { max_snapshot_rows: 3 } } },
    { E: { scope: 'owner', views: { less: { fields: ['n'] }, top: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 6 }] } } } },
  ) });
  await write(server, range(40, (i) => m(`k${i}`, { n: i, owner: ['a', 'b', null, 7][i % 4], secret: i })));
  const views = ['E/list', 'E/append', 'E/less', 'E/top'];
  const all = async (name) => Promise.all(views.map(async (view) => (await ask(server, view, { parts: '1', keys: 'all' }, as(name))).text));
  for (const name of ['a', 'b', 'both', 'none']) {
    for (const view of views) {
      const { rows: count, sum, parts, keys, scoped: isScoped } = await sums(server, view, { parts: '1', keys: 'all' }, as(name));
      const wanted = sumsOf(await rowsOf(server, view, {}, as(name)));
      assert.deepEqual({ count, sum, parts, keys, isScoped }, { count: wanted.rows, sum: wanted.sum, parts: wanted.parts, keys: wanted.keys, isScoped: true }, `${name} ${view}`);
    }
  }
  /* A row of another scope is, byte for byte, one that is not there. */
  for (const view of views.filter((each) => each !== 'E/top')) {
    const [hidden, missing] = await Promise.all(['k1', 'zz'].map((key) => ask(server, view, { key, parts: '1', keys: 'all' }, as('a'))));
    assert.equal(hidden.text, missing.text);
  }
  /* What changes where it does not look leaves all as it was, but for the seq, which a read tells too. */
  const strip = (texts) => texts.map((text) => text.replace(/"seq":"[^"]*"/, ''));
  const before = strip(await all('a'));
  await write(server, [m('k1', { n: -5 }), m('k5', { secret: 'x', n: -1 }), m('kx', { n: -9, owner: 'b' }), m('k3', { n: -3 }), { export: 'E', key: 'k9', op: 'delete' }]);
  assert.deepEqual(strip(await all('a')).slice(0, 3), before.slice(0, 3));
  const less = await sums(server, 'E/less', { parts: '1' }, as('a'));
  await write(server, [m('k0', { secret: 'other' })]);
  const { sum, parts } = await sums(server, 'E/less', { parts: '1' }, as('a'));
  assert.deepEqual([sum, parts], [less.sum, less.parts], 'a hidden member is in no sum');
  /* As a read is refused. */
  for (const [name, view] of [['few', 'E/list'], ['writer', 'E/list'], ['a', 'E/nix'], ['nobody', 'E/list']]) {
    const [sum, read] = await Promise.all([ask(server, view, {}, as(name)), http(`${server.http}/v1/views/${view}`, as(name))]);
    assert.deepEqual([sum.status, sum.text], [read.status, read.text], name);
    assert.notEqual(sum.status, 200);
  }
  const small = await ask(server, 'E/list', {}, as('small'));
  assert.deepEqual([small.status, small.json.code], [429, 'snapshot-limit-exceeded'], small.text);
  assert.match(small.json.message, /more than the 3 rows/, 'it was not summed any further');
  assert.equal((await sums(server, 'E/list', { take: '3' }, as('small'))).rows, 3);
  /* A file has no tokens. */
  const file = await copyOf(t, server);
  const { code, views: found } = await compare('--url', server.http, '--db', file, '--config', `${server.db}.config.json`, 'E', '--wait', '0', '--token-file', tokenFile(t, 'a'));
  assert.equal(code, 2);
  assert.match(found['E/list'].why, /rows of its scope/);
});

function tokenFile(t, name) {
  const file = join(scratch(t), 'token');
  writeFileSync(file, tokenFor(name), { mode: 0o600 });
  return file;
}

/* ---- one state ---- */

test('an answer over 100,000 rows is of the state of its seq, while the server is fed, and the loop goes on', async (t) => {
  const COUNT = 100_000;
  const server = await Server.forTest(t);
  const value = new Map(range(COUNT, (i) => [`k${i}`, { n: i }]));
  await postAll(server, [...value].map(([key, patch]) => m(key, patch, { slot: 1, index: 0 })), 10_000);
  let sum = [...value].reduce((all, [key, data]) => plus(all, rowSum(key, data)), 0n);
  const states = new Map([[1, [COUNT, hex(sum)]]]);
  const random = new Random(11);
  let going = true, slot = 1;
  const feeding = (async () => {
    while (going) {
      slot++;
      const key = `k${random.below(COUNT + 50)}`;
      const old = value.get(key);
      const goes = old && random.below(3) === 0;
      if (old) sum = minus(sum, rowSum(key, old));
      if (goes) value.delete(key);
      else value.set(key, { n: slot });
      if (!goes) sum = plus(sum, rowSum(key, { n: slot }));
      states.set(slot, [value.size, hex(sum)]);
      await post(server, goes ? { export: 'E', key, op: 'delete', slot, index: 0 } : m(key, { n: slot }, { slot, index: 0 }));
    }
  })();
  const seen = new Set();
  for (let i = 0; i < 6; i++) {
    const { seq, rows: count, sum: told } = await sums(server, i % 2 ? 'E/append' : 'E/list');
    const at = Number(seq.split(':')[0]);
    assert.deepEqual([count, told], states.get(at), seq);
    seen.add(at);
  }
  assert.ok(seen.size > 3, 'it was fed meanwhile');
  /* Many at once all come to their turn, and nobody else waits for them. */
  const many = Promise.all(range(5, () => sums(server, 'E/append')));
  const begun = Date.now();
  assert.equal((await http(`${server.http}/v1/views/E/list?take=1`)).status, 200);
  const took = Date.now() - begun;
  for (const { seq, rows: count, sum: told } of await many) assert.deepEqual([count, told], states.get(Number(seq.split(':')[0])), seq);
  t.diagnostic(`a read took ${took} ms beside 5 sums`);
  going = false;
  await feeding;
  await check(server.db);
});

test('many rows are summed in many steps, in whatever order they are read', async (t) => {
  const COUNT = 20_000;
  const server = await Server.forTest(t, {
    config: scoped({ a: { row_scopes: ['a'] }, both: { row_scopes: ['a', 'b'] } }, {
      E: { scope: 'owner', views: { up: { pipeline: [{ sort: 'n' }] }, cut: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { skip: 1000 }, { take: 15_000 }] }, less: { fields: ['n'] } } },
      F: { views: { up: { pipeline: [{ sort: 'n' }] }, cut: { pipeline: [{ filter: { field: 'n', gte: 100 } }, { sort: { by: 'n', order: 'desc' } }, { skip: 1000 }, { take: 15_000 }] } } },
    }), set: { max_window_rows: 100_000 },
  });
  const value = (i) => ({ n: (i * 7919) % COUNT, owner: ['a', 'b', null][i % 3] });
  for (let at = 0; at < COUNT; at += 5000) {
    await write(server, range(5000, (i) => m(`k${at + i}`, value(at + i))));
    await write(server, range(5000, (i) => ({ ...m(`k${at + i}`, { n: value(at + i).n }), export: 'F' })));
  }
  const rowOf = (key) => value(Number(key.slice(1)));
  const newest = range(COUNT, (i) => `k${COUNT - 1 - i}`);
  const rising = range(COUNT, (i) => `k${i}`).sort((x, y) => rowOf(x).n - rowOf(y).n);
  const falling = [...rising].reverse();
  const less = (key) => ({ n: rowOf(key).n });
  const sees = (name) => (key) => rowOf(key).owner !== 'b' || name === 'both';
  const cases = [
    ['F/list', newest, less], ['F/up', rising, less], ['F/cut', falling.slice(1000, 16_000), less],
    ['F/list', rising.filter((key) => rowOf(key).n >= 5000), less, { sort: '["n"]', where: '{"field":"n","gte":5000}' }],
    ['F/up', rising.filter((key) => rowOf(key).n >= 2000).slice(5, 12_005), less, { where: '{"field":"n","gte":2000}', skip: '5', take: '12000' }],
    ...['a', 'both'].flatMap((name) => [
      ['E/list', newest.filter(sees(name)), rowOf, {}, name], ['E/less', newest.filter(sees(name)), less, {}, name], ['E/up', rising.filter(sees(name)), rowOf, {}, name],
      ['E/cut', falling.slice(1000, 16_000).filter(sees(name)), rowOf, {}, name],
    ]),
  ];
  for (const [view, keys, shows, parameters = {}, name = 'a'] of cases) {
    const wanted = sumsOf(keys.map((key) => [key, shows(key)]));
    const { rows: count, sum, order, parts } = await sums(server, view, { ...parameters, parts: '1' }, as(name));
    assert.deepEqual({ count, sum, order, parts }, { count: wanted.rows, sum: wanted.sum, order: wanted.order, parts: wanted.parts }, `${view} ${name} ${JSON.stringify(parameters)}`);
  }
});

test('clients that go, and a server that is killed, leave nothing behind', async (t) => {
  const server = await Server.forTest(t);
  await postAll(server, range(30_000, (i) => m(`k${i}`, { n: i })), 10_000);
  const { sum } = await sums(server, 'E/list');
  const leaving = range(8, () => {
    const gone = (server.http.startsWith('https:') ? requestTls : request)(`${server.http}/v1/checksum?view=E/list&keys=all`, { agent: false }, (answer) => answer.resume());
    gone.on('error', () => {});
    gone.end();
    return gone;
  });
  await new Promise((done) => setTimeout(done, 30));
  for (const each of leaving) each.destroy();
  assert.equal((await sums(server, 'E/list')).sum, sum, 'their places are free');
  /* The log starts over when nobody reads any more. */
  await post(server, m('k0', { n: -1 }));
  const asking = range(6, () => ask(server, 'E/list').catch((error) => error));
  await new Promise((done) => setTimeout(done, 20));
  await server.kill9();
  await Promise.all(asking);
  await server.restart();
  await check(server.db);
  await post(server, m('k0', { n: 0 }));
  assert.equal((await sums(server, 'E/list')).sum, sum);
  /* And one that is stopped ends at once, whatever is asked. */
  const last = range(6, () => ask(server, 'E/list').catch((error) => error));
  await new Promise((done) => setTimeout(done, 20));
  await server.terminate();
  await Promise.all(last);
});

/** What each of so many that ask for `path(i)`, and then end their side, were sent. */
async function leave(server, count, path, lines = '') {
  const { hostname: host, port, protocol } = new URL(server.http);
  const open = protocol === 'https:' ? connectTls : connect;
  return Promise.all(range(count, (i) => new Promise((done) => {
    let text = '';
    const socket = open({ host, port: Number(port), allowHalfOpen: true }, () => socket.end(`GET ${path(i)} HTTP/1.1\r\nHost: ${host}:${port}\r\n${lines}\r\n`));
    socket.setEncoding('utf8').on('data', (piece) => (text += piece)).on('error', () => {}).on('close', () => done(text));
  })));
}

test('who ends its side has what a moment takes, and nothing that takes long', async (t) => {
  const COUNT = 100_000, MANY = 30;
  const server = await Server.forTest(t);
  await postAll(server, range(COUNT, (i) => m(`k${i}`, { n: i })), 10_000);
  /* Equal filters would share one search, and its end. */
  const none = (i) => `where=${encodeURIComponent(`{"field":"n","lt":${-i}}`)}`;
  for (const path of [() => '/v1/checksum?view=E/list', (i) => `/v1/views/E/list?${none(i)}&take=1`, (i) => `/v1/views/E/append?events=1&${none(i)}`]) {
    for (const lines of ['', 'Connection: close\r\n']) {
      const texts = await leave(server, MANY, path, lines);
      const answered = texts.filter((text) => text.startsWith('HTTP/1.1 200'));
      t.diagnostic(`${path(0)}: ${answered.length} of ${MANY} answered`);
      assert.ok(answered.length < MANY / 3, `${path(0)}: ${answered.length}`);
      assert.ok(texts.every((text) => !text || answered.includes(text)), texts.find((text) => text && !answered.includes(text)));
    }
    /* Who stays has it. */
    assert.equal((await http(server.http + path(0))).status, 200, path(0));
  }
  if (!server.http.startsWith('https:')) assert.match((await leave(server, 1, () => '/v1/views/E/list?take=3'))[0], /^HTTP\/1\.1 200 [^]*"k99999"/);
});

/** Which start of the write-ahead log this is, as its head says. */
const startOf = (server) => {
  const head = Buffer.alloc(16), file = openSync(`${server.db}-wal`, 'r');
  readSync(file, head);
  closeSync(file);
  return head.readUInt32BE(12);
};

for (const [what, count, path] of [
  ['sums', 20_000, '/v1/checksum?view=E/list'],
  ['explanations', 100_000, `/v1/explain?${query({ view: 'E/list', key: 'k7', sort: '["n"]', take: '5' })}`],
  ['searches of a history', 100_000, `/v1/views/E/append?${query({ events: '1', where: '{"field":"n","lt":0}' })}`],
]) {
  test(`${what} without a pause do not keep the write-ahead log from starting over`, async (t) => {
    const MOST = 600, TIMES = 2;
    const server = await Server.forTest(t, { config: { exports: { E: {}, F: {} }, checkpoint_pages: 64 } });
    await postAll(server, range(count, (i) => m(`k${i}`, { n: i })), 10_000);
    let going = true, asked = 0;
    const asking = range(4, async () => {
      while (going) {
        assert.equal((await http(server.http + path)).status, 200);
        asked++;
      }
    });
    await eventually(() => asked > 0, 'the first answer');
    const pad = 'x'.repeat(16_000);
    let fed = 0, starts = 0;
    for (let last = startOf(server); fed < MOST && (starts < TIMES || asked < 4); fed++) {
      await post(server, range(64, (j) => ({ export: 'F', key: `k${j}`, patch: { n: fed, pad } })));
      const now = startOf(server);
      if (now !== last) starts++;
      last = now;
    }
    going = false;
    await Promise.all(asking);
    t.diagnostic(`the log started over ${starts} times beside ${asked} ${what}, with ${fed} MiB fed`);
    assert.ok(starts >= TIMES, `the log started over ${starts} times while ${fed} MiB were fed`);
  });
}

test('while somebody else holds a long write-ahead log, sums wait, and are refused when the server stops', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {}, F: {} }, checkpoint_pages: 64 } });
  await post(server, range(10, (i) => m(`k${i}`, { n: i })));
  const hold = async () => {
    const shell = spawn('sqlite3', ['-readonly', server.db], { stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(() => shell.kill('SIGKILL'));
    shell.stdin.write("BEGIN; SELECT 'reads', count(*) FROM log_state;\n");
    await once(shell.stdout, 'data');
    for (let i = 0; i < 30; i++) await post(server, range(64, (j) => ({ export: 'F', key: `k${j}`, patch: { i, pad: 'x'.repeat(16_000) } })));
    return () => shell.stdin.end('COMMIT;\n');
  };
  /* Its answer, and whether it is there. */
  const begin = async () => {
    const asked = { answer: ask(server, 'E/list').finally(() => (asked.done = true)), done: false };
    for (let i = 0; i < 5; i++) assert.equal((await http(`${server.http}/v1/views/E/list`)).json.rows.length, 10, 'a read does not wait');
    return asked;
  };
  const end = await hold();
  const first = await begin();
  assert.equal(first.done, false);
  end();
  assert.equal((await first.answer).json.rows, 10);
  await hold();
  const second = await begin();
  assert.equal(second.done, false);
  await server.terminate();
  assert.deepEqual([(await second.answer).status, (await second.answer).json.code], [503, 'shutting-down']);
});

/* ---- two sides ---- */

test('a server and its copy are equal, and what is planted in the file is told: exactly those keys', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await post(server, rows(500));
  await post(server, ['a\nb', '"q"', 'ä€😀', ' x ', '\u001b[31m', 'k/1', '__proto__'].map((key, i) => m(key, { n: -1 - i, name: 'odd' })));
  const config = `${server.db}.config.json`;
  const clean = await copyOf(t, server);
  const equal = await compare('--url', server.http, '--db', clean, '--config', config);
  assert.equal(equal.code, 0, JSON.stringify(equal));
  assert.deepEqual(Object.keys(equal.views).sort(), ['E/all', 'E/last', 'E/less', 'E/list', 'E/some', 'E/top']);
  assert.ok(Object.values(equal.views).every(({ verdict }) => verdict === 'equal'));
  const shown = await run(['check', '--url', server.http, '--db', clean, 'E']);
  assert.match(shown.stdout, /^E\/list {2}equal {6}507 rows\n$/);
  /* One of each kind. */
  const cases = [
    [['UPDATE entity SET data = json_set(data, \'$.deep.b[0]\', 99) WHERE key = \'k41\''], { 'E/list': { k41: 'changed' }, 'E/all': { k41: 'changed' } }],
    [['UPDATE entity SET data = replace(data, \'"n":7,\', \'"n":7.0,\') WHERE key = \'k1\''], {}],
    [['UPDATE entity SET data = json_set(data, \'$.n\', 7.5) WHERE key = \'k1\''], { 'E/list': { k1: 'changed' }, 'E/less': { k1: 'changed' }, 'E/some': { k1: 'changed' }, 'E/all': { k1: 'changed' } }],
    [['UPDATE entity SET key = \'other\' WHERE key = \'k77\''], { 'E/list': { k77: 'first', other: 'second' }, 'E/less': { k77: 'first', other: 'second' }, 'E/all': { k77: 'first', other: 'second' } }],
    [['UPDATE entity SET key = \'a\' || char(9) || \'b\' WHERE key = \'a\' || char(10) || \'b\''], { 'E/list': { 'a\nb': 'first', 'a\tb': 'second' }, 'E/less': { 'a\nb': 'first', 'a\tb': 'second' }, 'E/all': { 'a\nb': 'first', 'a\tb': 'second' } }],
    /* The row at an end of a derived view goes to the other. */
    [[`UPDATE derived_row SET place = CAST(x'ff' || place AS BLOB) WHERE (stage, place) IN (SELECT stage, min(place) FROM derived_row WHERE stage = (SELECT id FROM stage WHERE definition LIKE '%"name"%' AND definition NOT LIKE '%gte%') )`], { 'E/all': null }],
  ];
  for (const [statements, wanted] of cases) {
    const file = await copyOf(t, server);
    await plant(file, ...statements);
    const { code, views } = await compare('--url', server.http, '--db', file, '--config', config, '--wait', '0');
    assert.equal(code, Object.keys(wanted).length ? 1 : 0, `${statements} ${JSON.stringify(views)}`);
    for (const [view, found] of Object.entries(views)) {
      if (wanted[view] === undefined) {
        assert.equal(found.verdict, 'equal', `${view}: ${statements} ${JSON.stringify(found)}`);
        continue;
      }
      assert.equal(found.verdict, 'different', `${view}: ${statements} ${JSON.stringify(found)}`);
      if (wanted[view]) assert.deepEqual(keysOf(found), wanted[view], `${view}: ${statements}`);
      else assert.deepEqual([found.order, found.keys.length, found.keys[0].is], [true, 1, 'moved'], JSON.stringify(found));
    }
  }
  /* A row less and a row more; as people see it. */
  const file = await copyOf(t, server);
  await plant(file, 'DELETE FROM entity WHERE key = \'k5\'', 'INSERT INTO entity SELECT max(id) + 1, 1, \'\' || char(27) || \'[2J\', 9, 9, 9, NULL, \'{"n":1}\' FROM entity', 'UPDATE entity SET data = \'{"n":2}\' WHERE key = \'k6\'');
  const people = await run(['check', '--url', server.http, '--db', file, 'E/list', '--wait', '0']);
  assert.equal(people.code, 1);
  assert.deepEqual(people.stdout.split('\n').map((line) => line.trimEnd()).sort(), ['', '  "\\u001b[2J"  only in the second', '  k5    only in the first', '  k6    the rows differ', 'E/list  different  507 and 507 rows']);
});

test('keys that are long are asked for in as many answers as they take', async (t) => {
  const COUNT = 7000; /* of 3 KB each, as JSON: more than an answer has */
  const server = await Server.forTest(t);
  const key = (i) => `k${i}${'\u0001'.repeat(500)}`;
  await postAll(server, range(COUNT, (i) => m(key(i), { n: i })), 1000);
  const file = await copyOf(t, server);
  await plant(file, 'UPDATE entity SET data = \'{"n":-1}\'');
  assert.equal((await ask(server, 'E/list', { keys: 'all' })).status, 413);
  const { code, views } = await compare('--url', server.http, '--db', file, 'E', '--wait', '0');
  assert.deepEqual([code, views['E/list'].why, views['E/list'].keys.length], [1, undefined, COUNT]);
});

test('random queries of random tokens are summed as they are read, and random faults in a copy are told', async (t) => {
  const { seeds, first } = seedsOf(2);
  for (let seed = first; seed < first + seeds; seed++) {
    const random = new Random(seed);
    const chance = (n) => random.below(n) === 0;
    const one = (list) => random.pick(list);
    const value = () => one([random.below(9), random.below(9) / 2, `${random.below(20)}`, 'x', null, true, [random.below(3)], { a: random.below(3) }, -0, 1e21]);
    const views = { sorted: { pipeline: [{ sort: { by: 'v', order: one(['asc', 'desc']) } }, { take: 60 }] }, passed: { pipeline: [{ filter: { field: 'n', gte: random.below(40) } }] }, less: { fields: ['v', 'owner'] } };
    const server = await Server.forTest(t, { config: scoped({ a: { row_scopes: ['a'] }, ab: { row_scopes: ['a', 'b'] }, none: {} }, { E: { scope: 'owner', views }, F: { views } }) });
    const data = () => ({ n: random.below(80), v: value(), w: value(), owner: one(['a', 'b', '', 'c', 5]) });
    for (let i = 0; i < 4; i++) {
      const feed = range(60, () => (chance(6) ? { op: 'delete' } : { patch: data(), op: one(['patch', 'upsert']) })).map((each) => ({ ...each, export: one(['E', 'F']), key: `k${random.below(90)}` }));
      await write(server, feed);
      for (let j = 0; j < 12; j++) {
        const view = one(['E', 'F']) + one(['/list', '/sorted', '/passed', '/less']);
        const name = one(['a', 'ab', 'none']);
        const parameters = {
          ...(chance(3) && { where: JSON.stringify({ [one(['all', 'any'])]: [{ field: 'v', [one(['eq', 'gt', 'lt'])]: random.below(9) }, { exists: 'owner' }] }) }),
          ...(chance(3) && /list|less|passed/.test(view) && { sort: JSON.stringify(one([['v'], [{ by: 'v', order: 'desc' }]])) }),
          ...(chance(3) && { take: 1 + random.below(30) }), ...(chance(4) && { skip: random.below(20) }),
        };
        const what = `STELE_SEED=${seed} ${view} ${name} ${JSON.stringify(parameters)}`;
        const wanted = sumsOf(await rowsOf(server, view, parameters, as(name)));
        const { rows: count, sum, order, parts, keys } = await sums(server, view, { ...parameters, parts: '1', keys: 'all' }, as(name));
        assert.deepEqual({ count, sum, order, parts, keys }, { count: wanted.rows, sum: wanted.sum, order: wanted.order, parts: wanted.parts, keys: wanted.keys }, what);
      }
    }
    const file = await copyOf(t, server);
    const kept = (await sql(file, 'SELECT key FROM entity WHERE export = (SELECT id FROM export WHERE name = \'F\')')).map(({ key }) => key);
    const faults = new Map(), statements = [];
    for (const key of kept.filter(() => chance(8))) {
      const is = one(['changed', 'first', 'second']);
      const where = `WHERE key = '${key}' AND export = (SELECT id FROM export WHERE name = 'F')`;
      if (is === 'changed') statements.push(`UPDATE entity SET data = json_set(data, '$.planted', 1) ${where}`);
      if (is === 'first') statements.push(`DELETE FROM entity ${where}`);
      if (is === 'second') statements.push(`INSERT INTO entity (export, key, slot, idx, change, data) SELECT export, key || '+', slot, idx, change, data FROM entity ${where}`);
      faults.set(is === 'second' ? `${key}+` : key, is);
    }
    await plant(file, 'BEGIN', ...statements, 'COMMIT');
    const { code, views: found } = await compare('--url', server.http, '--db', file, 'F', '--wait', '0', '--token-file', tokenFile(t, 'a'));
    assert.equal(code, faults.size ? 1 : 0, `STELE_SEED=${seed}`);
    if (faults.size) assert.deepEqual(keysOf(found['F/list']), Object.fromEntries(faults), `STELE_SEED=${seed}`);
  }
});

test('two servers: equal, different, and at two seqs', async (t) => {
  const first = await Server.forTest(t, { config: CONFIG });
  await post(first, range(200, (i) => m(`k${i}`, { n: i }, { slot: 10, index: i })));
  const file = await copyOf(t, first);
  const second = await Server.forTest(t, { db: file, config: CONFIG });
  const both = ['--url', first.http, '--url', second.http];
  assert.equal((await compare(...both)).code, 0);
  /* The first goes on: rows that came, changed and went, and one that came back as it was. */
  await post(first, [m('k3', { n: -3 }, { slot: 11, index: 0 }), m('new', { n: 1 }, { slot: 12, index: 0 }), { export: 'E', key: 'k4', op: 'delete', slot: 13, index: 0 }, m('k5', { n: -5 }, { slot: 14, index: 0 }), m('k5', { n: 5 }, { slot: 15, index: 0 })]);
  const behind = await compare(...both, 'E/append', '--wait', '0');
  assert.equal(behind.code, 0, JSON.stringify(behind.views));
  assert.deepEqual([behind.views['E/append'].verdict, behind.views['E/append'].behind, behind.views['E/append'].order_told], ['equal', 'second', true], 'as of the seq of the other');
  assert.notEqual(...behind.views['E/append'].seq);
  const ordered = await compare(...both, 'E', '--wait', '0');
  assert.deepEqual([ordered.code, ordered.views['E/list'].verdict, ordered.views['E/list'].behind, ordered.views['E/list'].order_told], [0, 'equal', 'second', false]);
  const people = await run(['check', ...both, 'E', 'E/append', 'E/list', 'E', '--wait', '0']);
  assert.match(people.stdout, /^E\/list    equal      200 and 200 rows; the second is behind, at 10:\d+; the order was not compared\nE\/append  equal      200 and 200 rows; the second is behind, at 10:\d+\n$/);
  /* What the second lacks is told, and not what it only does not have yet; whichever is named first. */
  await second.terminate();
  await plant(file, 'UPDATE entity SET data = \'{"n":7.5}\' WHERE key = \'k7\'', 'UPDATE entity SET key = \'k8x\' WHERE key = \'k8\'', 'UPDATE entity SET data = \'{"n":-4}\' WHERE key = \'k4\'');
  await second.restart({ samePort: true });
  const found = await compare(...both, 'E/append', '--wait', '0');
  assert.equal(found.code, 1);
  assert.deepEqual(keysOf(found.views['E/append']), { k4: 'second', k7: 'changed', k8: 'first', k8x: 'second' });
  /* In a view that is cut other rows decide, too. */
  await post(first, m('big', { n: 500 }, { slot: 16, index: 0 }));
  const top = await compare(...both, 'E/top', '--wait', '0');
  assert.deepEqual([top.code, top.views['E/top'].verdict, top.views['E/top'].behind], [0, 'equal', 'second'], JSON.stringify(top.views));
  await second.terminate();
  await plant(file, 'UPDATE entity SET data = json_set(data, \'$.x\', 1) WHERE key = \'k199\'');
  await second.restart({ samePort: true });
  assert.deepEqual(keysOf((await compare(...both, 'E/top', '--wait', '0')).views['E/top']), { k199: 'changed' });
  await second.terminate();
  await plant(file, 'UPDATE entity SET data = json_remove(data, \'$.x\') WHERE key = \'k199\'');
  await second.restart({ samePort: true });
  const turned = await compare('--url', second.http, '--url', first.http, 'E/append', '--wait', '0');
  assert.deepEqual(keysOf(turned.views['E/append']), { k4: 'first', k7: 'changed', k8: 'second', k8x: 'first' });
  /* A file that is behind, and one that is ahead. */
  await second.terminate();
  const ofFile = await compare('--url', first.http, '--db', file, 'E/append', '--wait', '0');
  assert.deepEqual(keysOf(ofFile.views['E/append']), { k4: 'second', k7: 'changed', k8: 'first', k8x: 'second' });
});

test('a file that is ahead is asked for what it was; what the log has lost is not told', async (t) => {
  const first = await Server.forTest(t);
  await post(first, range(50, (i) => m(`k${i}`, { n: i }, { slot: 10, index: i })));
  const second = await Server.forTest(t, { db: await copyOf(t, first) });
  await post(second, [m('k1', { n: -1 }, { slot: 11, index: 0 }), m('k2', { n: -2 }, { slot: 12, index: 0 }), m('new', {}, { slot: 13, index: 0 })]);
  await second.terminate();
  const equal = await compare('--url', first.http, '--db', second.db, 'E/append', '--wait', '0');
  assert.equal(equal.code, 0, JSON.stringify(equal));
  await plant(second.db, 'DELETE FROM change WHERE key = \'k2\'', 'UPDATE export SET floor_change = 51, floor_slot = 11');
  const lost = await compare('--url', first.http, '--db', second.db, 'E/append', '--wait', '0');
  assert.equal(lost.code, 2, JSON.stringify(lost));
  assert.deepEqual([lost.views['E/append'].verdict, lost.views['E/append'].untold > 0], ['unknown', true]);
  assert.match(lost.views['E/append'].why, /is not known any more/);
});

test('two servers that are fed the same meanwhile come to be equal', async (t) => {
  const first = await Server.forTest(t);
  const second = await Server.forTest(t);
  let going = true, slot = 0;
  const feeding = (async () => {
    while (going) {
      const mutation = m(`k${++slot % 50}`, { n: slot }, { slot, index: 0 });
      await post(first, mutation);
      await post(second, mutation);
    }
  })();
  await eventually(() => slot > 60, 'some rows');
  const { code, views } = await compare('--url', first.http, '--url', second.http, 'E/append');
  assert.equal(code, 0, JSON.stringify(views));
  going = false;
  await feeding;
  assert.equal((await compare('--url', first.http, '--url', second.http)).code, 0);
  await post(second, m('k1', { n: -1 }, { slot: slot + 1, index: 0 }));
  await post(first, m('k2', { n: -1 }, { slot: slot + 1, index: 0 }));
  const { code: other, views: found } = await compare('--url', first.http, '--url', second.http, 'E/append', '--wait', '0');
  assert.deepEqual([other, keysOf(found['E/append'])], [1, { k1: 'changed', k2: 'changed' }]);
});

test('a view of which it cannot be told is named, also when all are compared and either side is ahead', async (t) => {
  /* A token that sees what now() decides has no as_of. */
  const future = { exports: { E: { views: { now: { pipeline: [{ filter: { field: 'until', gt: { now: true } } }] } } } }, auth: { mode: 'static', tokens: [{ token: WRITER, scope: 'write' }, { token: tokenFor('sees'), scope: 'read', views: ['E/now'] }] } };
  const first = await Server.forTest(t, { config: future });
  const until = Math.floor(Date.now() / 1000) + 10_000;
  await write(first, range(30, (i) => m(`k${i}`, { until, n: i }, { slot: 10, index: i })));
  const second = await Server.forTest(t, { db: await copyOf(t, first), config: future });
  await write(first, [m('k3', { n: -3 }, { slot: 11, index: 0 })]);
  await second.terminate();
  await plant(second.db, 'UPDATE entity SET data = json_set(data, \'$.n\', 7.5) WHERE key = \'k7\'');
  await second.restart({ samePort: true });
  const token = ['--wait', '0', '--token-file', tokenFile(t, 'sees')];
  for (const [ahead, behind] of [[first, second], [second, first]]) {
    const { code, views } = await compare('--url', ahead.http, '--url', behind.http, ...token);
    assert.deepEqual([code, views['E/now']?.verdict], [2, 'unknown'], JSON.stringify(views));
  }
  /* So are views that a database was not made for; those of one row are not compared. */
  const config = `${first.db}.config.json`;
  await second.terminate();
  await plant(second.db, 'DELETE FROM derived_row', 'DELETE FROM stage');
  const lacking = await compare('--url', first.http, '--db', second.db, '--config', config, ...token);
  assert.deepEqual([lacking.code, Object.keys(lacking.views)], [2, ['E/now']], JSON.stringify(lacking));
});

test('one side alone prints its sums, and what cannot be told is 2', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await post(server, rows(30));
  const { stdout, code } = await run(['check', '--url', server.http]);
  assert.equal(code, 0);
  const { sum } = await sums(server, 'E/list');
  assert.match(stdout, new RegExp(`^E/list +${sum} {2}30 rows$`, 'm'));
  assert.doesNotMatch(stdout, /E\/(append|state|one)/);
  const lost = await run(['-c', '"$0" check --url "$1" > /dev/full', BINARY, server.http], { program: 'sh' });
  assert.deepEqual([lost.code, /cannot be written/.test(lost.stderr)], [2, true], lost.stderr);
  assert.match(stdout, /^E\/top .* 20 rows$/m);
  const json = (await run(['check', '--url', server.http, '--json', 'E'])).stdout;
  assert.equal(JSON.parse(json).sum, sum);
  const file = await copyOf(t, server);
  for (const [args, message] of [
    [['--url', server.http, 'E/nix'], /view-not-found/], [['--url', server.http, '--db', file, 'E/top'], /configuration/], [['--url', 'http://127.0.0.1:1'], /no server answers/],
    [['--url', server.http, '--db', `${file}.none`], /none/], [['--url', server.http, '--url', server.http, '--db', file], /two sides/], [['--url', server.http, '--config', 'x'], /for --db/],
    [['--db', file, 'E'], /--url/], [[], /--db FILE/],
  ]) {
    const { code: wrong, stdout: out, stderr } = await run(['check', ...args]);
    assert.equal(wrong, 2, `${args}: ${out}${stderr}`);
    assert.match(out + stderr, message, String(args));
  }
  assert.equal((await sql(file, 'SELECT count(*) AS n FROM entity'))[0].n, 30);
});

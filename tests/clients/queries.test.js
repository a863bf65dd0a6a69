// Queries of subscriptions (docs/views.md, "Queries"), rule by rule: the language by every door, its
// bounds, its canonical form, time, and orders of several keys.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Applier } from './lib/applier.js';
import { Clock } from './lib/clock.js';
import { clientFor } from './lib/client.js';
import { http, post, postAll, tryPost } from './lib/feed.js';
import { Server, check, run, scratch, sql } from './lib/server.js';
import { bearer, newKey, tokenOf } from './lib/token.js';

const m = (key, patch) => ({ export: 'E', key, patch });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const views = (definitions) => ({ exports: { E: { views: definitions } } });
const read = (server, view, parameters) => http(`${server.http}/v1/views/${view}?${new URLSearchParams(parameters)}`);
const figure = async (server, name) => Number(new RegExp(`^${name} ([0-9]+)$`, 'm').exec((await http(`${server.healthUrl}/metrics`)).text)[1]);

async function refusal(t, server, parameters, view = 'E/list') {
  const client = await clientFor(t, server);
  client.subscribe(view, parameters);
  const answer = await client.next();
  client.destroy();
  assert.equal(answer.type, 'error', JSON.stringify(answer));
  return answer;
}

/* ---- the language ---- */

const ROWS = [
  m('a', { n: 1, s: 'abc', tags: ['x', 1], o: { k: null }, from: 'abcdef', t: 'x' }),
  m('b', { n: 2, s: 'ab', tags: ['y', 2.0], o: { l: 1 }, from: 'ab', t: 'y' }),
  m('c', { n: '3', s: 'b', tags: 'x', o: 'k', from: 'x', t: null }),
  m('d', { n: 5.5, s: 'é', tags: [], from: 'é!' }),
  m('e', {}),
];

const PREDICATES = [
  [{ field: 'n', in: [1, 5.5, 'none'] }, 'a d'],
  [{ field: 'n', in: [] }, ''],
  [{ field: 't', in: { field: 'tags' } }, 'a b'],
  [{ field: 't', in: [null] }, 'c d e'],
  [{ field: 's', prefix: 'ab' }, 'a b'],
  [{ field: 'from', prefix: { field: 's' } }, 'a b d'],
  [{ field: 'tags', contains: 'x' }, 'a'],
  [{ field: 'tags', contains: 2 }, 'b'],
  [{ field: 'o', contains: 'k' }, 'a'],
  [{ field: ['o', 'k'], eq: null }, 'a b c d e'],
  [{ exists: 'o.k' }, 'a'],
  [{ not: { any: [{ field: 'n', gte: 2 }, { exists: 'o' }] } }, 'e'],
  [{ all: [{ field: 'n', gt: 1 }, { field: 'n', lt: { field: 'o.l' } }] }, ''],
  [{ field: 'n', lt: { now: true } }, 'a b c d'],
];

test('a predicate chooses the same rows by every door, and in a definition', async (t) => {
  const definitions = Object.fromEntries(PREDICATES.map(([filter], i) => [`v${i}`, { pipeline: [{ filter }] }]));
  const server = await Server.forTest(t, { config: views(definitions) });
  await post(server, ROWS);
  for (const [i, [where, keys]] of PREDICATES.entries()) {
    const text = JSON.stringify(where);
    const sorted = (list) => list.sort().join(' ');
    const client = await clientFor(t, server);
    assert.equal(sorted((await client.open('E/list', { where })).order), keys, `WebSocket: ${text}`);
    client.destroy();
    const page = await read(server, 'E/list', { where: text });
    assert.equal(page.status, 200, page.text);
    assert.equal(sorted(page.json.rows.map((row) => row.key)), keys, `HTTP: ${text}`);
    assert.equal(sorted((await sql(server.db, `SELECT key FROM "E/v${i}"`)).map((row) => row.key)), keys, `SQL: ${text}`);
  }
  await server.terminate();
  await check(server.db);
});

test('rows come and go with what they are', async (t) => {
  const server = await Server.forTest(t);
  await post(server, ROWS);
  const client = await clientFor(t, server);
  const rows = new Applier();
  client.subscribe('E/list', { where: { field: 'tags', contains: 'x' } });
  for (const frame of await client.until((f) => f.complete)) rows.apply(frame);
  await post(server, [m('b', { tags: ['x'] }), m('a', { n: 7 }), m('d', { n: 7 })]);
  for (const frame of await client.until((f) => f.key === 'b')) rows.apply(frame);
  await post(server, m('a', { tags: {} }));
  const gone = await client.next();
  rows.apply(gone);
  assert.deepEqual([gone.op, gone.key], ['delete', 'a']);
  assert.deepEqual([...rows.rows.keys()], ['b']);
  await client.silence();
});

/* ---- what is refused ---- */

test('what cannot be asked is refused, with where it is wrong and what to do', async (t) => {
  const server = await Server.forTest(t, {
    config: views({ slim: { fields: ['n', 'o.x'] }, sorted: { pipeline: [{ sort: 'n' }] }, cut: { pipeline: [{ take: 5 }] } }),
    set: { max_where_depth: 2, max_where_terms: 5 },
  });
  await post(server, ROWS);
  const deep = (n) => (n ? { not: deep(n - 1) } : { exists: 'n' });
  for (const [parameters, says, view] of [
    [{ where: 'n > 5' }, /"where" must be a predicate/],
    [{ where: { all: [{ exists: 'n' }, { field: 'n', above: 5 }] } }, /"where": "all": \[1\]: a comparison has no "above"/],
    [{ where: deep(3) }, /nested deeper than 2/],
    [{ where: { field: 'n', in: [1, 2, 3, 4, 5] } }, /more than 5 predicates and values/],
    [{ where: { exists: 's' } }, /does not show 's'/, 'E/slim'],
    [{ where: { field: 'n', gt: { field: 'o' } } }, /does not show 'o'/, 'E/slim'],
    [{ sort: ['n', 's'] }, /"sort": \[1\]: .*does not show 's'/, 'E/slim'],
    [{ sort: 'n' }, /"sort" must be a list of keys/],
    [{ sort: [{ by: 'n', order: 'down' }] }, /"order" must be asc or desc/],
    [{ sort: ['n'] }, /its definition sorts it/, 'E/sorted'],
    [{ sort: ['n'] }, /its definition cuts it/, 'E/cut'],
    [{ sort: ['n'] }, /works on lists/, 'E/append'],
    [{ where: { field: 'n', gt: { now: true } } }, /subscribe to the list/, 'E/append'],
  ]) {
    const answer = await refusal(t, server, parameters, view);
    assert.equal(answer.code, 'invalid-parameter', JSON.stringify(answer));
    assert.match(answer.message, says);
  }
  for (const [parameters, says] of [
    [{ where: '{"exists":"n"},"take":1' }, /'where' is not usable JSON/],
    [{ where: '{"exists":""}' }, /empty segment/],
    [{ sort: 'n' }, /'sort' is not usable JSON/],
  ]) {
    const { status, json } = await read(server, 'E/list', parameters);
    assert.equal(status, 400);
    assert.match(json.message, says);
  }
  const client = await clientFor(t, server);
  assert.equal((await client.open('E/list', { where: deep(2) })).order.length, 4);
});

test('an order of more rows than a window may have is refused, and says so', async (t) => {
  const server = await Server.forTest(t, { set: { max_window_rows: 20 } });
  await postAll(server, range(21, (i) => m(`k${i}`, { n: i })));
  const client = await clientFor(t, server);
  client.subscribe('E/list', { sort: ['n'], take: 3 });
  await client.expect('subscribed');
  const answer = await client.next();
  assert.equal(answer.code, 'too-large');
  assert.match(answer.message, /more than 20 rows to sort.*define a view with that sort alone as an index.*take.*max_window_rows/);
  /* An index has one key. */
  const several = await read(server, 'E/list', { sort: '["n","m"]' });
  assert.match(several.json.message, /more than 20 rows to sort.*sort by one key \(an index has one\).*take.*max_window_rows/);
  assert.deepEqual((await client.open('E/list', { sort: ['n'], take: 3, where: { field: 'n', gt: 0 } })).order, ['k1', 'k2', 'k3']);
  assert.equal((await read(server, 'E/list', { sort: '["n"]' })).status, 413);
});

/* ---- an index ---- */

/** The whole of a window, told live by frames. */
function follow(client, order) {
  const rows = new Set(order);
  return {
    rows,
    async until(keys, what) {
      while ([...rows].sort().join() !== [...keys].sort().join()) {
        const { op, key } = await client.next(what);
        if (op === 'delete') rows.delete(key);
        else rows.add(key);
      }
    },
  };
}

test('a view that only sorts is the index of its source: a part of any number of rows comes in its order', async (t) => {
  const config = views({
    by_n: { pipeline: [{ sort: { by: 'n', order: 'desc' } }] }, odd: { pipeline: [{ filter: { field: 'odd', eq: true } }] },
    odd_by_n: { source: 'E/odd', pipeline: [{ sort: 'n' }] }, slim: { fields: ['n'] }, top: { pipeline: [{ sort: 'o.x' }, { take: 50 }] },
  });
  const server = await Server.forTest(t, { set: { max_window_rows: 20 }, config });
  await postAll(server, range(300, (i) => m(`k${i}`, { n: (i * 7) % 300, odd: i % 2 === 1, o: { x: i } })));
  const open = async (view, parameters) => (await clientFor(t, server)).open(view, parameters);
  const sort = [{ by: 'n', order: 'desc' }];
  const expected = range(300, (i) => i).sort((a, b) => ((b * 7) % 300) - ((a * 7) % 300)).map((i) => `k${i}`);
  const opened = await open('E/list', { sort, take: 5, skip: 2 });
  assert.deepEqual(opened.order, expected.slice(2, 7));
  assert.deepEqual([opened.subscribed.sort, opened.subscribed.take, opened.batches.at(-1).more], [{ field: ['n'], order: 'desc' }, 5, true]);
  assert.deepEqual((await open('E/slim', { sort, take: 3 })).order, expected.slice(0, 3));
  const odd = expected.filter((key) => Number(key.slice(1)) % 2);
  assert.deepEqual((await open('E/odd', { sort: ['n'], take: 3 })).order, odd.slice(-3).reverse());
  assert.deepEqual((await open('E/list', { sort, take: 3, where: { field: 'n', lt: 15 } })).order, expected.slice(-15, -12));
  assert.deepEqual((await read(server, 'E/list', { sort: JSON.stringify(sort), take: 4 })).json.rows.map((row) => row.key), expected.slice(0, 4));
  assert.equal((await read(server, 'E/list', { sort: JSON.stringify(sort), take: 4, skip: 290 })).json.rows[0].key, expected[290]);
  for (const [view, more] of [
    ['E/list', { sort: ['n'], take: 3 }], ['E/list', { sort, take: undefined }], ['E/list', { sort: [...sort, 'odd'], take: 3 }],
    ['E/list', { sort: ['o.x'], take: 3 }], ['E/odd', { sort, take: 3 }],
  ]) {
    const other = await clientFor(t, server);
    other.subscribe(view, more);
    const error = (await other.until((frame) => frame.type === 'error', JSON.stringify(more))).at(-1);
    assert.equal(error.code, 'too-large');
    const remedy = more.sort.length > 1 ? 'sort by one key' : 'define a view with that sort alone';
    assert.match(error.message, new RegExp(`more than 20 rows to sort.*${remedy}.*take.*max_window_rows`));
  }
});

test('a window by an index follows its rows, resumes over a restart, and is shared', async (t) => {
  const server = await Server.forTest(t, { set: { max_window_rows: 20 }, config: views({ by_n: { pipeline: [{ sort: 'n' }] } }) });
  await postAll(server, range(100, (i) => m(`k${i}`, { n: i })));
  const parameters = { sort: ['n'], take: 3 };
  const client = await clientFor(t, server);
  const live = follow(client, (await client.open('E/list', parameters)).order);
  await (await clientFor(t, server)).open('E/list', { sort: [{ by: 'n', order: 'asc' }], take: 3 });
  assert.equal(await figure(server, 'stele_windows'), 1);
  await post(server, m('k50', { n: -1 }));
  await live.until(['k50', 'k0', 'k1'], 'a row that came first');
  await post(server, [m('k0', { n: 500 }), { export: 'E', key: 'k1', op: 'delete' }]);
  await live.until(['k50', 'k2', 'k3'], 'two that left');
  await post(server, m('k99', { other: 1 }));
  await client.silence();
  const { json } = await read(server, 'E/list', { sort: '["n"]', take: 3 });
  assert.deepEqual(json.rows.map((row) => row.key), ['k50', 'k2', 'k3']);
  await post(server, [m('new', { n: -5 }), m('k2', { n: 90 })]);
  await server.kill9();
  await server.restart();
  const again = await clientFor(t, server);
  again.subscribe('E/list', { ...parameters, after: json.seq, epoch: json.epoch });
  assert.equal((await again.expect('subscribed')).resumed, true);
  const rows = follow(again, ['k50', 'k2', 'k3']);
  const frames = await again.until((frame) => frame.complete, 'the answer to a cursor');
  for (const frame of frames) {
    if (frame.op === 'delete') rows.rows.delete(frame.key);
    for (const { key } of frame.data ?? []) rows.rows.add(key);
  }
  assert.deepEqual([...rows.rows].sort(), ['k3', 'k50', 'new']);
});

test('by an index each token gets its own rows, however many others have', async (t) => {
  const key = newKey();
  const config = { auth: { mode: 'signed', keys: [key.x] }, exports: { E: { scope: 'owner', views: { by_n: { pipeline: [{ sort: 'n' }] } } } } };
  const server = await Server.forTest(t, { set: { max_window_rows: 20 }, config });
  const as = (...row_scopes) => ({ headers: bearer(tokenOf(key, { scope: 'read write', row_scopes })) });
  const fed = await tryPost(server, range(300, (i) => m(`k${i}`, { n: 300 - i, owner: i % 3 ? 'ann' : 'bob' })), as().headers);
  assert.equal(fed.status, 200);
  for (const [scopes, ...keys] of [[['ann'], 'k299', 'k298', 'k296'], [['ann', 'bob'], 'k299', 'k298', 'k297'], [[]], [['bob'], 'k297', 'k294', 'k291']]) {
    const client = await clientFor(t, server, as(...scopes));
    const live = follow(client, (await client.open('E/list', { sort: ['n'], take: 3 })).order);
    assert.deepEqual([...live.rows], keys, scopes.join());
    if (scopes.join() !== 'bob') continue;
    await tryPost(server, m('k0', { n: -1 }), as().headers);
    await live.until(['k0', 'k297', 'k294'], 'its row');
  }
});

test('a query may be long, and is known again; one that is too long is refused', async (t) => {
  const server = await Server.forTest(t);
  await post(server, ROWS);
  const client = await clientFor(t, server);
  const where = { field: 'n', in: range(250, (i) => `${'x'.repeat(50)}${i}`).concat(1) };
  assert.deepEqual((await client.open('E/list', { where })).order, ['a']);
  client.subscribe('E/list', { where });
  await client.silence();
  where.in[250] = 2;
  client.subscribe('E/list', { where });
  await client.expect('subscribed');
  const answer = await refusal(t, server, { where: { field: 'n', in: ['x'.repeat(16_384)] } });
  assert.match(answer.message, /the query \(filters, where, sort\) 16384/);
});

/* ---- one text for one meaning ---- */

test('subscribers whose queries mean the same share a window', async (t) => {
  const server = await Server.forTest(t);
  await post(server, ROWS);
  const same = [
    { filters: { n: 1 }, where: { any: [{ exists: 's' }, { field: 'n', in: [2, 1] }] } },
    { where: { all: [{ field: 'n', eq: 1.0 }, { all: [{ any: [{ field: 'n', in: [1, 2, 2] }, { exists: 's' }] }] }] } },
    { where: { all: [{ any: [{ exists: 's' }, { exists: 's' }, { field: 'n', in: [1, 2] }] }, { field: 'n', eq: 10e-1 }] } },
  ];
  for (const parameters of same) await (await clientFor(t, server)).open('E/list', parameters);
  assert.equal(await figure(server, 'stele_windows'), 1);
  await (await clientFor(t, server)).open('E/list', { ...same[0], sort: ['n'] });
  assert.equal(await figure(server, 'stele_windows'), 2);
});

/* ---- time ---- */

test('a row comes and goes at its second, without a change; a cursor is not good', async (t) => {
  const clock = new Clock(scratch(t));
  const server = await Server.forTest(t, { env: clock.env, config: views({ top: { pipeline: [{ take: 3 }] } }) });
  const now = Math.floor(Date.now() / 1000);
  await post(server, [m('early', { at: now - 5000 }), m('soon', { at: now + 100 }), m('late', { at: now + 100_000 })]);
  const where = { field: 'at', lte: { now: true } };
  const watch = async (view, parameters) => {
    const client = await clientFor(t, server);
    return [client, await client.open(view, parameters)];
  };
  const [list, first] = await watch('E/list', { where });
  const [top] = await watch('E/top', { where });
  const [one] = await watch('E/list', { where: { not: where }, key: 'soon' });
  const [sorted] = await watch('E/list', { where: { field: 'at', gt: { now: true } }, sort: ['at'], take: 1 });
  assert.deepEqual(first.order, ['early']);
  const page = await read(server, 'E/list', { where: JSON.stringify(where) });
  clock.set(101, 101); /* as a machine that was asleep: both clocks */
  await post(server, { export: 'F', key: 'other', patch: {} });
  for (const client of [list, top]) {
    const frame = await client.next();
    assert.deepEqual([frame.op, frame.key], ['upsert', 'soon']);
  }
  const gone = await one.next();
  assert.deepEqual([gone.op, gone.key], ['delete', 'soon']);
  assert.deepEqual([await sorted.next(), await sorted.next()].map((f) => `${f.op} ${f.key}`), ['delete soon', 'upsert late']);
  const later = await read(server, 'E/list', { where: JSON.stringify(where), after: page.json.seq, epoch: page.json.epoch });
  assert.equal(later.json.resumed, false);
  assert.deepEqual(later.json.rows.map((row) => row.key).sort(), ['early', 'soon']);
  assert.notEqual(later.headers.etag, page.headers.etag);
  const client = await clientFor(t, server);
  const again = await client.open('E/list', { where, after: first.seq, epoch: first.subscribed.epoch });
  assert.equal(again.subscribed.resumed, false);
  /* What time brought may come behind the rows of a moment ago. */
  const held = new Set(again.order);
  if (!held.has('soon')) held.add((await client.next()).key);
  assert.deepEqual([...held].sort(), ['early', 'soon']);
});

/* ---- order ---- */

test('an order of several keys is announced, kept, cut and resumed', async (t) => {
  const server = await Server.forTest(t);
  await post(server, [m('a', { g: 1, n: 1 }), m('b', { g: 2, n: 1 }), m('c', { g: 1, n: '2' }), m('d', { n: 9 }), m('e', { g: 2, n: 1.0 })]);
  const sort = [{ by: 'g', order: 'desc' }, 'n'];
  const client = await clientFor(t, server);
  const opened = await client.open('E/list', { sort });
  assert.deepEqual(opened.order, ['b', 'e', 'a', 'c', 'd']);
  assert.deepEqual(opened.subscribed.sort, { field: ['g'], order: 'desc' });
  assert.deepEqual(opened.subscribed.sorts, [{ field: ['g'], order: 'desc' }, { field: ['n'], order: 'asc' }]);
  const part = await (await clientFor(t, server)).open('E/list', { sort: ['n'], skip: 1, take: 2 });
  assert.deepEqual([part.order, part.subscribed.sort, part.subscribed.sorts], [['b', 'e'], { field: ['n'], order: 'asc' }, undefined]);
  await post(server, m('d', { g: 3 }));
  const moved = await client.next();
  assert.deepEqual([moved.op, moved.key], ['upsert', 'd']);
  const after = await (await clientFor(t, server)).open('E/list', { sort, after: opened.seq, epoch: opened.subscribed.epoch });
  assert.deepEqual([after.subscribed.resumed, after.order], [true, ['d']]);
  const page = await read(server, 'E/list', { sort: JSON.stringify(sort), take: 2 });
  assert.deepEqual([page.json.rows.map((row) => row.key), page.json.more], [['d', 'b'], true]);
});

/* ---- the command line ---- */

test('stele subscribe --where and --sort', async (t) => {
  const server = await Server.forTest(t);
  await post(server, ROWS);
  const subscribe = (...args) => run(['subscribe', 'E/list', '--url', server.ws, '--count', '2', ...args], { ms: 20_000 });
  const { stdout } = await subscribe('--where', '{"field":"s","prefix":"ab"}', '--sort', '-s', '--sort', 'n');
  const [subscribed, snapshot] = stdout.trim().split('\n').map(JSON.parse);
  assert.equal(subscribed.sorts.length, 2);
  assert.deepEqual(snapshot.data.map((row) => row.key), ['a', 'b']);
  const wrong = await subscribe('--where', '{"exists":"s"},"take":1');
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /--where is not usable JSON/);
});

// Amounts as text (views.md, "Order of values"): integers in strings stand in the order of numbers,
// whatever their size, everywhere: sorts, max_by, min_by and gt … lte, in all three ways to read.

import assert from 'node:assert/strict';
import test from 'node:test';
import { clientFor } from './lib/client.js';
import { http, post, tryPost } from './lib/feed.js';
import { check, run, Server, sql } from './lib/server.js';

const sorted = (path, order) => ({ pipeline: [{ sort: { by: path, order } }] });
const where = (relation, value) => ({ pipeline: [{ filter: { field: 'v', [relation]: value } }, { sort: 'v' }] });
const line = (key, v) => `{"export":"E","key":"${key}","patch":{"v":${v}}}\n`;

/** Keys in the order of the view, by WebSocket, which must be that over HTTP and in SQL. */
async function keysOf(t, server, view) {
  const client = await clientFor(t, server);
  client.subscribe(view);
  const frames = await client.until((frame) => frame.complete, 'the whole snapshot'); /* deletes may come before it */
  const order = frames.flatMap(({ op, data }) => (op === 'snapshot' ? data.map(({ key }) => key) : []));
  client.destroy();
  const answer = await http(`${server.http}/v1/views/${view}`);
  assert.deepEqual(answer.json.rows.map(({ key }) => key), order, `${view} over HTTP`);
  assert.deepEqual((await sql(server.db, `SELECT key FROM "${view}"`)).map(({ key }) => key), order, `${view} in SQL`);
  return order;
}

/* Rising; the keys do not. */
const RISING = [
  ['z1', '"-18446744073709551616"'], ['y1', '"-9007199254740993"'], ['x1', '"-1000"'], ['w1', '-999.5'], ['v1', '"-9"'], ['u1', '"0"'], ['t1', '0.5'],
  ['s1', '"9"'], ['r1', '10'], ['q1', '"999"'], ['p1', '"1000"'], ['o1', '1000.5'], ['n1', '"999999"'], ['m1', '"9007199254740991"'],
  ['l1', '9007199254740992'], ['k1', '"18446744073709551615"'], ['j1', '"340282366920938463463374607431768211456"'], ['i1', `"1${'0'.repeat(400)}"`], ['h1', `"1${'0'.repeat(399)}1"`],
  ['g1', '"+5"'], ['f1', '"-0"'], ['e1', '"007"'], ['d1', '"1 000"'], ['c1', '"1.0"'], ['b1', '"1e3"'], ['a1', '"abc"'],
];
const TEXTS = 7; /* at the end: strings like any other */

test('integers in strings stand in the order of numbers, before other strings', async (t) => {
  const views = { up: sorted('v', 'asc'), down: sorted('v', 'desc'), most: { pipeline: [{ filter: { field: 'v', lte: '1' + '0'.repeat(500) } }, { max_by: 'v' }] }, least: { pipeline: [{ min_by: 'v' }] } };
  const server = await Server.forTest(t, { config: { exports: { E: { views } } } });
  const shuffled = RISING.map((row, i) => RISING[(i * 11 + 5) % RISING.length]);
  assert.equal(new Set(shuffled).size, RISING.length);
  await post(server, shuffled.map(([key, v]) => line(key, v)).join(''));
  const rising = RISING.map(([key]) => key);
  assert.deepEqual(await keysOf(t, server, 'E/up'), rising);
  assert.deepEqual(await keysOf(t, server, 'E/down'), [...rising].reverse());
  assert.deepEqual(await keysOf(t, server, 'E/most'), ['h1']);
  assert.deepEqual(await keysOf(t, server, 'E/least'), ['z1']);
  await check(server.db);
});

test('gt … lte compare integers in strings as numbers, eq and filters stay typed', async (t) => {
  const views = {
    over: where('gt', '1000'), under: where('lt', 1000), from: where('gte', '0010'), least: where('gte', 10), same: where('eq', '10'), number: where('eq', 10), other: where('ne', '10'),
    /* beyond what jansson can hold */
    wide: '18446744073709551615', narrow: '-18446744073709551616',
  };
  const text = JSON.stringify({ exports: { E: { views: { ...views, wide: where('gte', 'W'), narrow: where('lt', 'N') } } } }).replace('"W"', '18446744073709551615').replace('"N"', '-9223372036854775809');
  const server = await Server.forTest(t, { config: text });
  const rows = { a: '"999"', b: '"1000"', c: '"1001"', d: '999999', e: '"9007199254740991"', f: '18446744073709551615', g: '10', h: '"10"', i: '"0010"', j: '"x"', k: '-9223372036854775810' };
  await post(server, Object.entries(rows).map(([key, v]) => line(key, v)).join(''));
  const want = {
    'E/over': ['c', 'd', 'e', 'f'], 'E/under': ['k', 'g', 'h', 'a'], 'E/from': ['i', 'j'], 'E/least': ['g', 'h', 'a', 'b', 'c', 'd', 'e', 'f'],
    'E/same': ['h'], 'E/number': ['g'], 'E/wide': ['f'], 'E/narrow': ['k'],
  };
  for (const [view, keys] of Object.entries(want)) assert.deepEqual(await keysOf(t, server, view), keys, view);
  assert.equal((await keysOf(t, server, 'E/other')).length, 10);
  for (const [filter, keys] of [['v:10', ['g']], ['v:"10"', ['h']], ['v:18446744073709551615', ['f']]]) {
    const answer = await http(`${server.http}/v1/views/E/list?filter=${encodeURIComponent(filter)}`);
    assert.deepEqual(answer.json.rows.map(({ key }) => key), keys, filter);
  }
  /* It goes on as rows change. */
  await post(server, line('b', '"1000000000000000000000000"') + line('f', '"99"') + line('a', '"09999"'));
  assert.deepEqual(await keysOf(t, server, 'E/over'), ['c', 'd', 'e', 'b']);
  assert.deepEqual(await keysOf(t, server, 'E/wide'), ['b']);
  assert.deepEqual(await keysOf(t, server, 'E/under'), ['k', 'g', 'h', 'f']);
  await check(server.db);
});

test('a view that was ordered by former rules is built anew, and its cursors are refused', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: { views: { up: sorted('v', 'asc'), plain: { pipeline: [{ take: 3 }] } } } } } });
  await post(server, line('a', '"1000"') + line('b', '"999"') + line('c', '5'));
  const client = await clientFor(t, server);
  const { seq } = await client.open('E/up');
  await server.terminate();
  /* As a former version would have left it: the same definition without the rules' edition, and the order of texts. */
  const former = `UPDATE stage SET definition = replace(definition, ',"rules":2', ''); UPDATE view_shape SET shape = replace(shape, ',"rules":2', '');
    UPDATE derived_row SET place = X'30' || place WHERE entity = (SELECT id FROM entity WHERE key = 'b');`;
  const edited = await run([server.db, former], { program: 'sqlite3' });
  assert.equal(edited.code, 0, edited.stderr);
  await server.restart();
  assert.deepEqual(await keysOf(t, server, 'E/up'), ['c', 'b', 'a']);
  const again = await clientFor(t, server);
  again.subscribe('E/up', { after: seq });
  assert.equal((await again.expect('subscribed')).resumed, false);
  await check(server.db);
});

test('integers have any length, whatever takes them in', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: { views: { up: sorted('v', 'asc') } } } } });
  const long = (digit) => `${digit}${'0'.repeat(999)}`;
  await post(server, line('b', long(2)) + line('a', long(3)) + line('c', `-${long(1)}`) + line('d', `"${long(1)}"`));
  assert.deepEqual(await keysOf(t, server, 'E/up'), ['c', 'd', 'b', 'a']);
  const [{ data }] = await sql(server.db, `SELECT data FROM "E/list" WHERE key = 'b'`);
  assert.equal(JSON.parse(data).v, long(2));
  for (const refused of ['1e999', `${long(1)}.5`]) assert.equal((await tryPost(server, line('x', refused))).status, 400, refused);
});

test('names that no URL can hold are refused', async (t) => {
  const server = await Server.forTest(t, {});
  for (const name of ['.', '..']) {
    const answer = await tryPost(server, `{"export":"${name}","key":"k","patch":{}}\n`);
    assert.equal(answer.status, 400, answer.text);
    assert.match(answer.text, /no URL/);
    for (const exports of [{ [name]: {} }, { E: { views: { [name]: {} } } }]) {
      const { code, stderr } = await Server.refused({ db: `${server.db}.2`, config: { exports } });
      assert.notEqual(code, 0);
      assert.match(stderr, /no URL/);
    }
  }
  await post(server, '{"export":"...","key":"k","patch":{}}\n');
  assert.equal((await http(`${server.http}/v1/views/.../list`)).json.rows.length, 1);
});

test('a parameter of a query that is too long is refused, not passed over with all behind it', async (t) => {
  const server = await Server.forTest(t, {});
  await post(server, line('a', '1') + line('b', '2'));
  const long = 'x'.repeat(8192);
  for (const query of [`filter=v:${long}`, `key=${long}`, `filter=v:1&filter=v:${long}&key=a`, `${long}=1`]) {
    const answer = await http(`${server.http}/v1/views/E/list?${query}`);
    assert.equal(answer.status, 400, answer.text.slice(0, 200));
    assert.equal(answer.json.code, 'invalid-parameter');
    assert.match(answer.json.message, /bytes/);
  }
  const fits = await http(`${server.http}/v1/views/E/list?filter=v:${'x'.repeat(900)}`);
  assert.deepEqual(fits.json.rows, [], fits.text);
});

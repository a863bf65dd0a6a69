// What a mutation can say beside its patch: "unset" and null_removes take members away, "if":"newer" leaves
// alone what is as new, and arrays that were cut are told. Each for the database, for subscribers as the
// published clients apply frames, for who resumes, and for SQL.
//
// STELE_SEED for the random part, STELE_ROUNDS for its length (default 150).

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { Applier } from './lib/applier.js';
import { Client } from './lib/client.js';
import { Ingest, http, post, tryPost } from './lib/feed.js';
import { value as metric, parse as parseMetrics } from './lib/prometheus.js';
import { Random } from './lib/random.js';
import { Server, check, run, scratch, sqlView } from './lib/server.js';

const SEED = Number(process.env.STELE_SEED ?? 1);
const ROUNDS = Number(process.env.STELE_ROUNDS ?? 150);

const m = (key, patch, more = {}) => ({ export: 'E', key, ...(patch === undefined ? {} : { patch }), ...more });
const un = (data) => {
  const { _seq, ...rest } = data;
  return rest;
};
const rowOf = async (server, key, view = 'E/list') => {
  const row = (await sqlView(server.db, view)).get(key);
  return row && un(JSON.parse(row.data));
};
const serverFor = async (t, exports, more = {}) => Server.forTest(t, { config: { exports, ...more } });

/* ---- unset and null, against the RFC and a model ---- */

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

/** RFC 7396, section 2, word for word. */
function mergePatch(target, patch) {
  if (!isObject(patch)) return patch;
  const result = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = mergePatch(result[name], value);
  }
  return result;
}

function mergeKeepingNull(target, patch, appends, path = '') {
  if (!isObject(target) || !isObject(patch)) return patch;
  const result = { ...target };
  for (const [name, value] of Object.entries(patch)) {
    const here = path === '' ? name : `${path}.${name}`;
    const extends_ = Array.isArray(value) && Array.isArray(result[name]) && appends.includes(here);
    result[name] = extends_ ? [...result[name], ...value] : mergeKeepingNull(result[name], value, appends, here);
  }
  return result;
}

/** Without the members at the dotted paths. A member without a name has none, nor has what is in it. */
function without(target, paths, path = '') {
  if (!isObject(target)) return target;
  const result = {};
  for (const [name, value] of Object.entries(target)) {
    if (name === '') {
      result[name] = value;
      continue;
    }
    const here = path === '' ? name : `${path}.${name}`;
    if (!paths.includes(here)) result[name] = without(value, paths, here);
  }
  return result;
}

test('null_removes: the cases of RFC 7396, by patch; an upsert keeps its nulls', async (t) => {
  const server = await serverFor(t, { E: { null_removes: true }, F: {} });
  const cases = [
    [{ a: 'b' }, { a: 'c' }], [{ a: 'b' }, { b: 'c' }], [{ a: 'b' }, { a: null }], [{ a: 'b', b: 'c' }, { a: null }],
    [{ a: ['b'] }, { a: 'c' }], [{ a: 'c' }, { a: ['b'] }], [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }], [{ e: null }, { a: 1 }], [{}, { a: { bb: { ccc: null } } }],
    [{ a: 'x' }, { a: { b: null, c: 1 } }], [{ a: [1, null] }, { a: [null, { b: null }] }], [{ 'a.b': 1, a: { b: 2 } }, { a: { b: null } }],
    [{ x: 1, y: 2, z: 3 }, { x: null, y: null, z: null }], [{ x: 1, y: { p: 1, q: 2 }, z: 3 }, { x: null, y: { p: null } }],
    [Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`n${i}`, i])), Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`n${i + 5}`, i % 2 ? null : 100 + i]))],
  ];
  for (const [i, [before, patch]] of cases.entries()) {
    await post(server, [m(`k${i}`, before, { op: 'upsert' }), m(`k${i}`, patch), m(`new${i}`, patch)]);
    assert.deepEqual(await rowOf(server, `k${i}`), mergePatch(before, patch), JSON.stringify([before, patch]));
    assert.deepEqual(await rowOf(server, `new${i}`), mergePatch({}, patch), JSON.stringify(patch));
  }
  await post(server, { export: 'F', key: 'k', patch: { a: null, b: { c: null } } });
  assert.deepEqual(await rowOf(server, 'k', 'F/list'), { a: null, b: { c: null } });
  await server.terminate();
  await check(server.db);
});

test('unset takes members away before the patch is merged; a path is names joined with dots', async (t) => {
  const server = await serverFor(t, { E: {} });
  const before = { a: { b: 1, c: { d: 2 }, '': { x: 1 } }, 'a.b': 3, list: [1, 2], note: 'x', last: true, '': { inner: 4, note: 5 } };
  const cases = [
    [{ unset: ['note'] }], [{ unset: ['a.b'] }], [{ unset: ['a.c.d', 'last'] }], [{ unset: ['a'] }], [{ unset: ['nothing', 'a.nothing', 'note.x', 'list.0'] }],
    [{ unset: ['a', 'a.b', 'list', 'note', 'last'] }], [{ unset: ['a'], patch: { a: { new: 1 } } }], [{ unset: ['a.c'], patch: { a: { c: { e: 5 } }, note: null } }],
    [{ unset: ['list'], patch: { list: [9] }, append: ['list'] }], [{ unset: ['', '.inner', 'inner', 'a..x'] }], [{ unset: ['note'], patch: { list: [3] }, append: ['list'] }], [{ unset: [] , patch: {} }],
  ];
  for (const [i, [more]] of cases.entries()) {
    const answer = await post(server, [m(`k${i}`, before), m(`k${i}`, more.patch, more)]);
    assert.equal(answer.applied, 2);
    const expected = mergeKeepingNull(without(before, more.unset), more.patch ?? {}, more.append ?? []);
    assert.deepEqual(await rowOf(server, `k${i}`), expected, JSON.stringify(more));
  }
  for (const [key, line, row] of [
    ['bare', m('bare', undefined, { unset: ['a'] })], ['empty', m('empty', {}, { unset: ['a'] })],
    ['newer', m('newer', undefined, { unset: ['a'], if: 'newer', slot: 5, index: 0 })],
    ['both', m('both', { b: 1 }, { unset: ['a'] }), { b: 1 }], ['plain', m('plain', {}), {}],
    ['first', m('first', { a: 1 })], ['first', m('first', undefined, { op: 'delete' })], ['first', m('first', undefined, { unset: ['a'] })],
  ]) {
    const { applied, ignored } = await post(server, line);
    const removes = line.unset && !row;
    assert.deepEqual([applied, ignored], removes ? [0, 1] : [1, 0], JSON.stringify(line));
    if (row) assert.deepEqual(await rowOf(server, key), row);
    else if (removes) assert.equal(await rowOf(server, key), undefined, `${key} is there`);
  }
  const wrong = [
    [m('k0', {}, { unset: 'a' }), /unset must be an array/], [m('k0', {}, { unset: [1] }), /strings only/], [m('k0', {}, { unset: ['_seq'] }), /_seq/],
    [m('k0', {}, { unset: ['a'], op: 'upsert' }), /op "patch" only/], [m('k0', undefined, { unset: ['a'], op: 'delete' }), /op "patch" only/],
    [m('k0', {}, { unset: Array(300).fill('a') }), /at most 256/], [m('k0', undefined, { unset: [] }), /patch is missing/],
  ];
  for (const [line, pattern] of wrong) {
    const { status, json } = await tryPost(server, line);
    assert.equal(status, 400);
    assert.match(json.message, pattern);
  }
  await server.terminate();
  await check(server.db);
});

test('subscribers get an upsert where something went, else a patch as ever', async (t) => {
  const server = await serverFor(t, { E: { null_removes: true } });
  await post(server, m('k', { a: { b: 1, c: 2 }, d: 3 }));
  for (const view of ['E/list', 'E/append']) {
    const client = await Client.open(server);
    t.after(() => client.destroy());
    await client.open(view);
    const frame = async (line) => {
      await post(server, line);
      const { op, data } = await client.next();
      return [op, un(data)];
    };
    assert.deepEqual(await frame(m('k', { a: { x: null, b: 5 }, y: null })), ['patch', { a: { b: 5 } }]);
    assert.deepEqual(await frame(m('k', { a: { b: 1 } }, { unset: ['gone'] })), ['patch', { a: { b: 1 } }]);
    assert.deepEqual(await frame(m('k', { a: { c: null } })), ['upsert', { a: { b: 1 }, d: 3 }]);
    assert.deepEqual(await frame(m('k', { a: { c: 2 } })), ['patch', { a: { c: 2 } }]);
    assert.deepEqual(await frame(m('k', undefined, { unset: ['d'] })), ['upsert', { a: { b: 1, c: 2 } }]);
    assert.deepEqual(await frame(m('k', { d: 3 })), ['patch', { d: 3 }]);
  }
});

test('an order book kept as a map holds its live levels, and nothing of those that went', async (t) => {
  const server = await serverFor(t, { E: { null_removes: true } });
  const moves = [];
  for (let i = 0; i < 2000; i++) moves.push(m('book', { bids: { [`p${i}`]: i, [`p${i - 50}`]: null } }));
  await post(server, moves);
  const { bids } = await rowOf(server, 'book');
  assert.equal(Object.keys(bids).length, 50);
});

/* ---- at random, for every kind of client ---- */

const NAMES = ['a', 'b', 'c', 'a.b'];

function randomValue(r, depth) {
  const kind = r.below(depth > 2 ? 3 : 6);
  if (kind === 0) return r.below(5);
  if (kind === 1) return r.pick(['x', 'y', true]);
  if (kind === 2) return Array.from({ length: r.below(3) }, () => r.below(9));
  return randomObject(r, depth + 1);
}

function randomObject(r, depth = 0, nulls = 0) {
  const object = {};
  for (let i = r.below(4); i > 0; i--) object[r.pick(NAMES)] = r.chance(nulls) ? null : depth < 3 && r.chance(0.3) ? randomObject(r, depth + 1, nulls) : randomValue(r, depth);
  return object;
}

const randomPath = (r) => Array.from({ length: r.between(1, 3) }, () => r.pick(NAMES)).join('.');

test(`random removals: every client, SQL and a model end alike, seed ${SEED}`, async (t) => {
  const r = new Random(SEED);
  const views = { cut: { mode: 'list', fields: ['b', 'c'] }, top: { pipeline: [{ sort: { by: 'c', order: 'desc' } }, { take: 3 }] } };
  const server = await serverFor(t, { E: { null_removes: true, views }, S: { scope: 'who' } }, { ring_bytes: r.pick([0, 67108864]), entity_cache_bytes: 2000 });
  const model = { E: new Map(), S: new Map() };
  const listeners = ['E/list', 'E/append', 'E/cut', 'E/top', 'S/list'].map((view) => ({ view, applier: new Applier() }));
  let mark = 1000;
  const mutate = () => {
    const name = r.pick(['E', 'E', 'S']), key = `k${r.below(5)}`, rows = model[name], old = rows.get(key);
    const line = { export: name, key };
    const what = r.below(12);
    if (what === 0) {
      rows.delete(key);
      return { ...line, op: 'delete' };
    }
    const patch = randomObject(r, 0, what === 1 ? 0 : 0.3);
    if (name === 'S' && r.chance(0.4)) patch.who = r.pick(['u', null]);
    if (what === 1) {
      rows.set(key, patch);
      return { ...line, op: 'upsert', patch };
    }
    const unset = r.chance(0.4) ? Array.from({ length: r.between(1, 3) }, () => randomPath(r)) : [];
    if (name === 'S' && r.chance(0.2)) unset.push('who');
    const base = without(old ?? {}, unset);
    rows.set(key, name === 'E' ? mergePatch(base, patch) : mergeKeepingNull(base, patch, []));
    return { ...line, patch, ...(unset.length ? { unset } : {}) };
  };
  for (let round = 0; round < ROUNDS; round++) {
    for (const listener of listeners) {
      if (!listener.client && r.chance(0.5)) {
        listener.client = await Client.open(server, { windows: true });
        listener.client.subscribe(listener.view, listener.applier.parameters());
      } else if (listener.client && r.chance(0.15)) {
        if (r.chance(0.5)) await take(server, listener, ++mark);
        listener.client.destroy();
        listener.client = null;
      }
    }
    await post(server, Array.from({ length: r.between(1, 6) }, mutate));
    if (round % 50 === 49) {
      await server.kill9();
      for (const listener of listeners) listener.client = null;
      await server.restart();
    }
  }
  for (const [name, rows] of Object.entries(model)) {
    const sql = await sqlView(server.db, `${name}/list`);
    sql.delete('mark');
    assert.deepEqual([...sql.keys()].sort(), [...rows.keys()].sort());
    for (const [key, data] of rows) assert.deepEqual(un(JSON.parse(sql.get(key).data)), data, `${name} ${key}`);
  }
  for (const listener of listeners) {
    if (!listener.client) {
      listener.client = await Client.open(server, { windows: true });
      listener.client.subscribe(listener.view, listener.applier.parameters());
    }
    await take(server, listener, ++mark);
    const sql = await sqlView(server.db, listener.view.replace('/append', '/list'));
    const held = Object.fromEntries([...listener.applier.rows].map(([key, data]) => [key, un(data)]));
    /* Nobody has a token here, so rows for somebody are not seen. */
    const rows = [...sql].map(([key, row]) => [key, un(JSON.parse(row.data))]);
    const shown = Object.fromEntries(rows.filter(([, data]) => data.who !== 'u'));
    assert.deepEqual(held, shown, listener.view);
    listener.client.destroy();
  }
  await server.terminate();
  await check(server.db);
});

/** Apply what comes, up to a change that is made for it, of the row that is first in every order (objects come last, and by their text). */
async function take(server, { client, applier }, mark) {
  await post(server, ['E', 'S'].map((name) => ({ export: name, key: 'mark', patch: { c: { zz: mark } } })));
  while (applier.rows.get('mark')?.c.zz !== mark) applier.apply(await client.next(`mark ${mark}`));
}

/* ---- if newer ---- */

test('if newer: applied only above the entity\'s seq, also inside a batch and after a delete', async (t) => {
  const server = await serverFor(t, { E: {}, L: { max_entities: 2 }, S: { scope: 'who' } }, { tombstone_seconds: 0 });
  const at = (slot, key, patch, more = {}) => ({ export: 'E', key, slot, index: 0, if: 'newer', ...(patch ? { patch } : {}), ...more });
  const counts = async (...all) => {
    const { applied, ignored, stale } = await post(server, all);
    return [applied, ignored, stale ?? 0];
  };
  assert.deepEqual(await counts(at(5, 'a', { n: 5 }), at(4, 'a', { n: 4 }), at(5, 'a', { n: 0 }), at(6, 'a', { n: 6 }), at(2, 'b', { n: 2 })), [3, 0, 2]);
  assert.deepEqual([await rowOf(server, 'a'), await rowOf(server, 'b')], [{ n: 6 }, { n: 2 }]);
  /* A stale one leaves no trace, and the seqs that are given are as if it had not come. */
  assert.deepEqual(await counts(at(3, 'a', { n: 3 }), at(1, 'a', null, { op: 'delete' }), at(6, 'a', { n: 1 }, { op: 'upsert' })), [0, 0, 3]);
  assert.equal((await post(server, m('c', {}))).seq, '6:000000000001');
  /* A delete, in the same request, in another one, and over a restart. */
  assert.deepEqual(await counts(at(8, 'a', null, { op: 'delete' }), at(7, 'a', { late: 1 })), [1, 0, 1]);
  assert.deepEqual(await counts(at(8, 'a', { late: 2 }), at(7, 'a', { late: 2 }, { op: 'upsert' })), [0, 0, 2]);
  await server.kill9();
  await server.restart();
  assert.deepEqual(await counts(at(8, 'a', { late: 3 })), [0, 0, 1]);
  assert.equal(await rowOf(server, 'a'), undefined);
  assert.deepEqual(await counts(at(9, 'a', { again: 1 }), at(8, 'a', { late: 4 })), [1, 0, 1]);
  assert.deepEqual(await rowOf(server, 'a'), { again: 1 });
  /* A delete that comes before what it deletes. */
  assert.deepEqual(await counts(at(20, 'early', null, { op: 'delete' })), [1, 0, 0]);
  assert.deepEqual(await counts(at(19, 'early', { n: 1 }), at(18, 'early', null, { op: 'delete' })), [0, 0, 2]);
  assert.deepEqual(await counts(at(21, 'early', { n: 2 })), [1, 0, 0]);
  /* Rows for somebody and for nobody. */
  for (const who of ['u', 7]) {
    const s = (slot, patch, more) => ({ ...at(slot, `s${who}`, patch, more), export: 'S' });
    assert.deepEqual(await counts(s(1, { who }), s(3, null, { op: 'delete' })), [2, 0, 0]);
    assert.deepEqual(await counts(s(2, { who: 'v' })), [0, 0, 1]);
    assert.deepEqual(await counts(s(4, { who: 'v' })), [1, 0, 0]);
  }
  /* The same log again changes nothing, though entities were evicted. */
  const log = Array.from({ length: 12 }, (_, i) => ({ export: 'L', key: `k${i % 5}`, slot: 30 + i, index: 0, if: 'newer', patch: { i } }));
  await post(server, log);
  const before = await sqlView(server.db, 'L/list');
  assert.deepEqual(await counts(...log), [0, 0, 12]);
  assert.deepEqual(await sqlView(server.db, 'L/list'), before);
  /* Without the option a late slot is applied as ever. */
  assert.deepEqual(await counts(m('a', { late: 5 }, { slot: 1, index: 0 })), [1, 0, 0]);
  /* The batch's slot counts; and what is wrong. */
  assert.equal((await post(server, JSON.stringify({ slot: 1, index: 0, mutations: [m('b', {}, { if: 'newer' })] }))).stale, 1);
  for (const [line, pattern] of [[m('a', {}, { if: 'newer' }), /needs slot and index/], [m('a', {}, { slot: 1, index: 1, if: 'older' }), /must be "newer"/]]) {
    const { status, json } = await tryPost(server, line);
    assert.equal(status, 400);
    assert.match(json.message, pattern);
  }
  const text = await http(`${server.healthUrl}/metrics`);
  assert.ok(metric(parseMetrics(text.text), 'stele_mutations_total', { result: 'stale' }) > 0);
  await server.terminate();
  await check(server.db);
});

/* ---- arrays that are cut ---- */

const numbers = (n) => Array.from({ length: n }, (_, i) => i);

test('an array that is cut is told: in the answer, in a counter, once a path in the log', async (t) => {
  const server = await serverFor(t, { E: {}, Long: { max_array_length: 200 }, All: { max_array_length: 0 } });
  const told = () => [...server.stderr.matchAll(/array-truncated export="(\w+)" path="([^"]*)" max_array_length=(\d+)/g)].map((found) => found.slice(1).join(' '));
  const ok = { applied: 1, ignored: 0, duplicate: 0 };
  const answer = async (line) => {
    const { seq, ...counts } = await post(server, line);
    return counts;
  };
  assert.deepEqual(await answer(m('a', { data: numbers(165) })), { ...ok, truncated: 1 });
  assert.deepEqual(await answer(m('a', { data: numbers(100), o: { p: numbers(99) } })), ok);
  assert.deepEqual(await answer(m('a', { o: { p: [1] } }, { append: ['o.p'] })), ok);
  assert.deepEqual(await answer(m('a', { o: { p: [1] } }, { append: ['o.p'] })), { ...ok, truncated: 1 });
  assert.deepEqual(await answer(m('a', { data: numbers(101) }, { op: 'upsert' })), { ...ok, truncated: 1 });
  assert.deepEqual(await answer(m('b', { q: [{ r: numbers(101) }] })), { ...ok, truncated: 1 });
  assert.deepEqual(await answer([m('b', { x: numbers(101), y: numbers(102) }), m('c', { n: 1 })]), { applied: 2, ignored: 0, duplicate: 0, truncated: 1 });
  assert.deepEqual(await answer({ export: 'Long', key: 'a', patch: { data: numbers(165) } }), ok);
  assert.deepEqual(await answer({ export: 'Long', key: 'a', patch: { data: numbers(201) } }), { ...ok, truncated: 1 });
  assert.deepEqual(await answer({ export: 'All', key: 'a', patch: { data: numbers(5000) } }), ok);
  assert.equal((await rowOf(server, 'a', 'Long/list')).data.length, 200);
  assert.equal((await rowOf(server, 'a', 'All/list')).data.length, 5000);
  const ingest = await Ingest.open(server);
  t.after(() => ingest.destroy());
  assert.equal((await ingest.sendText(JSON.stringify({ id: 1, mutations: [m('a', { data: numbers(300) })] }), 1)).truncated, 1);
  /* What is refused is not told. */
  assert.equal((await tryPost(server, [m('a', { never: numbers(101) }), m('a', { long: 'x'.repeat(9_000_000) })])).status, 413);
  assert.deepEqual(told(), ['E data 100', 'E o.p 100', 'E q 100', 'E x 100', 'Long data 200']);
  const text = await http(`${server.healthUrl}/metrics`);
  assert.equal(metric(parseMetrics(text.text), 'stele_mutations_truncated_total'), 7);
  /* Paths made by producers do not fill the log. */
  await post(server, Array.from({ length: 300 }, (_, i) => m('many', { [`p${i}`]: numbers(101) })));
  assert.ok(told().length <= 22, `${told().length} lines`);
  await server.terminate();
  await check(server.db);
});

test('an array length of an export that was changed makes cursors from before invalid, and check knows it', async (t) => {
  const server = await serverFor(t, { E: { max_array_length: 3 } });
  await post(server, [m('a', { list: numbers(5) }), m('b', {})]);
  const resumed = async () => {
    const client = await Client.open(server);
    const { subscribed, seq } = await client.open('E/list', cursor ? { after: cursor.seq, epoch: cursor.epoch } : {});
    client.destroy();
    cursor = { seq, epoch: subscribed.epoch };
    return subscribed.resumed;
  };
  let cursor;
  await resumed();
  for (const [length, expected] of [[3, true], [4, false], [4, true], [0, false]]) {
    await server.terminate();
    await check(server.db);
    await server.restart({ config: { exports: { E: { max_array_length: length } } } });
    assert.equal(await resumed(), expected, `${length}`);
    await post(server, m('a', { list: [1] }, { append: ['list'] }));
    cursor = undefined;
    await resumed();
  }
  assert.equal((await rowOf(server, 'a')).list.length, 5);
});

/* ---- limits that were lowered ---- */

test('what was stored under greater limits can be deleted, and made smaller', async (t) => {
  const long = 'k'.repeat(900), big = 'x'.repeat(50_000);
  const server = await serverFor(t, { E: {} });
  await post(server, [m(long, { n: 1 }), m('big', { big, more: big, list: [big] }), m('deep', { a: { b: { c: { d: 1 } } } })]);
  await server.terminate();
  await server.restart({ config: { exports: { E: {} }, max_key_bytes: 100, max_entity_bytes: 20_000, max_depth: 2 } });
  assert.equal((await tryPost(server, m(long, { n: 2 }))).status, 400);
  assert.equal((await tryPost(server, m('big', { yet: 'more' }))).status, 413);
  assert.equal((await tryPost(server, m('n'.repeat(101), {}))).status, 400);
  /* Smaller, though it is still too large; in three steps it fits. */
  await post(server, m('big', { more: 1 }));
  await post(server, m('big', undefined, { unset: ['list'] }));
  await post(server, m('big', { big: 'small', n: 1 }));
  assert.deepEqual(await rowOf(server, 'big'), { big: 'small', more: 1, n: 1 });
  await post(server, m('deep', { a: { x: 1 } }));
  assert.deepEqual(await post(server, m(long, undefined, { op: 'delete' })).then(({ applied, ignored }) => [applied, ignored]), [1, 0]);
  assert.equal((await post(server, m('l'.repeat(60_000), undefined, { op: 'delete' }))).ignored, 1);
  assert.equal((await tryPost(server, m('l'.repeat(70_000), undefined, { op: 'delete' }))).status, 400);
  assert.equal(await rowOf(server, long), undefined);
  await server.terminate();
  await check(server.db);
});

/* ---- the command ---- */

test('stele ingest passes it all on, and sums up what was stale and cut', async (t) => {
  const server = await serverFor(t, { E: {} });
  const file = join(scratch(t), 'lines');
  const all = [m('a', { x: 1, list: numbers(150) }, { slot: 5, index: 0 }), m('a', { y: 2 }, { slot: 4, index: 0, if: 'newer' }), m('a', undefined, { unset: ['x'] })];
  writeFileSync(file, all.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const { code, stdout, stderr } = await run(['ingest', '--url', server.ws, file]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /applied 2, ignored 0, duplicate 0, stale 1, truncated 1 in/);
  assert.deepEqual(Object.keys(await rowOf(server, 'a')), ['list']);
});

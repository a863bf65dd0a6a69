// docs/views.md: rows that share a seq go by key, ascending by bytes, wherever rows have an order: snapshots,
// limited ones, windows, HTTP and SQL.
//
// STELE_SEED for the order in which rows come.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { Client, clientFor } from './lib/client.js';
import { http, lines, post } from './lib/feed.js';
import { Random } from './lib/random.js';
import { check, ROOT, run, scratch, Server, sql } from './lib/server.js';

const SEED = Number(process.env.STELE_SEED ?? 1);
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const byBytes = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** What a list of these rows shows: key → [slot, index]. */
const ordered = (rows) => [...rows].sort(([a, [slot, index]], [b, [otherSlot, otherIndex]]) => otherSlot - slot || otherIndex - index || byBytes(a, b)).map(([key]) => key);

function shuffled(random, list) {
  const left = [...list];
  return list.map(() => left.splice(random.below(left.length), 1)[0]);
}

const sqlKeys = async (server, view) => (await sql(server.db, `SELECT key FROM "${view}"`)).map(({ key }) => key);

async function httpKeys(server, view, { take, skip = 0, token = '' }) {
  const answer = await http(`${server.http}/v1/views/${view}?take=${take}&skip=${skip}${token}`);
  assert.equal(answer.status, 200, answer.text);
  return answer.json.rows.map(({ key }) => key);
}

async function wireKeys(server, view, parameters, options) {
  const client = await Client.open(server, options);
  client.subscribe(view, parameters);
  const frames = await client.until((frame) => frame.complete || frame.type === 'error', `the rows of ${view}`);
  client.destroy();
  return frames.filter(({ op }) => op === 'snapshot').flatMap(({ data }) => data.map(({ key }) => key)); /* deletes go along */
}

const LISTS = ['E/list', 'E/slim', 'E/named']; /* all of the view, or the first so many */
const OTHERS = ['E/positive']; /* a window in any case, and in order of seq */

/** Every way to read these views in parts of so many rows. */
async function readEverywhere(server, expected, parts) {
  const take = expected.length + 1;
  for (const view of [...LISTS, ...OTHERS]) {
    assert.deepEqual(await sqlKeys(server, view), expected, `SQL ${view}`);
    assert.deepEqual(await httpKeys(server, view, { take }), expected, `HTTP ${view}`);
    assert.deepEqual(await wireKeys(server, view, { take }), expected, `take of ${view}`);
    for (const part of parts) {
      for (let skip = 0; skip < expected.length; skip += part) {
        const page = expected.slice(skip, skip + part);
        assert.deepEqual(await httpKeys(server, view, { take: part, skip }), page, `HTTP ${view}, ${part} from ${skip}`);
        assert.deepEqual(await wireKeys(server, view, { take: part, skip }), page, `${view}, ${part} from ${skip}`);
      }
    }
  }
  for (const view of [...LISTS, 'E/append']) {
    assert.deepEqual(await wireKeys(server, view), expected, `snapshot of ${view}`);
    for (const snapshotLimit of parts) assert.deepEqual(await wireKeys(server, view, { snapshotLimit }), expected.slice(0, snapshotLimit), `${snapshotLimit} of ${view}`);
  }
}

const configOf = (keys) => ({
  rate_limiting: 'off',
  exports: { E: { views: { slim: { fields: ['n'] }, named: { keys }, positive: { pipeline: [{ filter: { field: 'n', gte: 0 } }, { take: 10000 }] } } } },
});

/* Prefixes of each other, and some that UTF-16 would sort otherwise. */
const KEYS = ['b', 'a', 'aa', 'ab', 'A', '10', '9', 'k', 'k1', 'k10', 'k2', 'ä', '\uFFFD', '😀', 'z', '~', ' x', 'k 1'];

test(`rows that share a seq have one order in every way to read them, seed ${SEED}`, async (t) => {
  const random = new Random(SEED);
  const server = await Server.forTest(t, { config: configOf(KEYS) });
  const rows = new Map();
  const batch = async (slot, index, keys) => {
    await post(server, JSON.stringify({ slot, index, mutations: keys.map((key) => ({ export: 'E', key, patch: { n: random.below(9) } })) }));
    for (const key of keys) rows.set(key, [slot, index]);
  };
  const some = (n) => shuffled(random, KEYS).slice(0, n);
  await batch(5, 0, shuffled(random, KEYS));
  await readEverywhere(server, ordered(rows), [1, 3]);
  await batch(6, 2, some(7));
  await batch(6, 1, some(6));
  await batch(4, 9, some(5)); /* late */
  await readEverywhere(server, ordered(rows), [2, 5]);
  /* Singly, too, and some of them anew. */
  for (const key of some(6)) {
    if (random.chance(0.5)) await post(server, { export: 'E', key, op: 'delete', slot: 6, index: 2 });
    await post(server, { export: 'E', key, patch: { n: 1 }, slot: 6, index: 2 });
    rows.set(key, [6, 2]);
  }
  await readEverywhere(server, ordered(rows), [3, 4]);
  await server.kill9();
  await server.restart();
  await readEverywhere(server, ordered(rows), [7]);
  await check(server.db);
});

test('what shares a seq is more than a page', async (t) => {
  const random = new Random(SEED);
  const keys = range(5000, (i) => `r${i}`);
  const server = await Server.forTest(t, { config: configOf(keys) });
  await post(server, JSON.stringify({ slot: 5, index: 0, mutations: shuffled(random, keys).map((key) => ({ export: 'E', key, patch: { n: 1 } })) }));
  const rows = new Map(keys.map((key) => [key, [5, 0]]));
  for (const [slot, key] of [[7, 'r77'], [4, 'r4'], [7, 'r7'], [4, 'r3999']]) {
    await post(server, { export: 'E', key, patch: { n: 2 }, slot, index: 0 });
    rows.set(key, [slot, 0]);
  }
  await readEverywhere(server, ordered(rows), [1999]);
});

test('where rows are scoped, a page may end at one that is not seen', async (t) => {
  const random = new Random(SEED);
  const tokens = { writer: 'writer-0123456789abcdef', ann: 'ann-0123456789abcdef' };
  const server = await Server.forTest(t, {
    config: {
      rate_limiting: 'off',
      exports: { S: { scope: 'who' } },
      auth: { mode: 'static', tokens: [{ token: tokens.writer, scope: 'write' }, { token: tokens.ann, subject: 'ann', scope: 'read', row_scopes: ['ann'] }] },
    },
  });
  /* Of 30,000 rows 3,000 are seen: a job looks at 20,000. */
  const keys = shuffled(random, range(30000, (i) => `r${i}`));
  const seen = (key) => key.endsWith('7');
  for (let at = 0; at < keys.length; at += 5000) {
    const mutations = keys.slice(at, at + 5000).map((key) => ({ export: 'S', key, patch: { who: seen(key) ? 'ann' : 'bob' } }));
    const answer = await http(`${server.http}/v1/mutations?token=${tokens.writer}`, { method: 'POST', body: lines(JSON.stringify({ slot: 5, index: 0, mutations })), headers: { 'content-type': 'application/x-ndjson' } });
    assert.equal(answer.status, 200, answer.text);
  }
  const expected = keys.filter(seen).sort(byBytes);
  const as = { path: `/?token=${tokens.ann}` };
  for (const view of ['S/list', 'S/append']) {
    assert.deepEqual(await wireKeys(server, view, {}, as), expected, view);
    for (const snapshotLimit of [1, 2500]) assert.deepEqual(await wireKeys(server, view, { snapshotLimit }, as), expected.slice(0, snapshotLimit), `${snapshotLimit} of ${view}`);
  }
  assert.deepEqual(await wireKeys(server, 'S/list', { take: 2500 }, as), expected.slice(0, 2500));
  assert.deepEqual(await httpKeys(server, 'S/list', { take: 2500, token: `&token=${tokens.ann}` }), expected.slice(0, 2500));
});

for (const view of ['E/list', 'E/append'])
  test(`${view}: behind a limited snapshot a patch comes bare for the rows that it had, and for no other`, async (t) => {
    const server = await Server.forTest(t, { config: { exports: { E: {} } } });
    const m = (key, more) => ({ export: 'E', key, ...more });
    const all = ['f', 'c', 'a', 'e', 'b', 'd'];
    await post(server, JSON.stringify({ slot: 5, index: 0, mutations: all.map((key) => m(key, { patch: { key } })) }));
    const client = await clientFor(t, server);
    assert.deepEqual((await client.open(view, { snapshotLimit: 3 })).order, ['a', 'b', 'c']);
    await post(server, shuffled(new Random(SEED), all).map((key) => m(key, { patch: { n: 1 } })));
    const told = new Map();
    for (const key of all) {
      const { op, key: of, data } = await client.next(`a frame, beside ${key}`);
      told.set(of, `${op} ${data.key ?? 'bare'}`);
    }
    const expected = Object.fromEntries(all.map((key) => [key, key < 'd' ? 'patch bare' : `upsert ${key}`]));
    assert.deepEqual(Object.fromEntries(told), expected);
  });

test('a row that a limited snapshot left out goes without a frame', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  await post(server, JSON.stringify({ slot: 5, index: 0, mutations: ['b', 'a', 'd', 'c'].map((key) => ({ export: 'E', key, patch: { n: 1 } })) }));
  const client = await clientFor(t, server);
  assert.deepEqual((await client.open('E/list', { snapshotLimit: 2 })).order, ['a', 'b']);
  await post(server, ['c', 'd', 'b', 'a'].map((key) => ({ export: 'E', key, op: 'delete' })));
  assert.equal((await client.expect('delete')).key, 'b');
  assert.equal((await client.expect('delete')).key, 'a');
  await client.silence();
});

test('a database of before has the order from the next start on', async (t) => {
  const db = join(scratch(t), 'stele.db');
  const keys = ['c', 'a', 'd', 'b'];
  const entity = (key, id) => `(${id + 1}, 1, '${key}', 5, 0, ${id + 1}, NULL, '{"n":1,"_seq":"5:000000000000"}')`;
  const change = (key, id) => `(${id + 1}, 1, '${key}', 0, 5, 0, 1700000000000, 0, '{"n":1,"_seq":"5:000000000000"}', NULL, NULL, NULL)`;
  const script = `PRAGMA journal_mode = WAL;
    ${readFileSync(join(ROOT, 'migrations/0001_initial.sql'), 'utf8')}
    INSERT INTO meta VALUES ('epoch', '11111111-2222-4333-8444-555555555555');
    INSERT INTO export VALUES (1, 'E', 4, 0, 4, 5, 0, 1, 5, 0, 0, 0, 0);
    INSERT INTO entity VALUES ${keys.map(entity)};
    INSERT INTO change VALUES ${keys.map(change)};
    UPDATE log_state SET last_change = 4, head_slot = 5, rows = 4, bytes = ${4 * (1 + 64 + 31)};
    CREATE VIEW "E/list" AS SELECT key, printf('%d:%012d', slot, idx) AS seq, data FROM entity WHERE export = 1 ORDER BY slot DESC, idx DESC, id DESC;`;
  const made = await run([db], { program: 'sqlite3', input: script });
  assert.equal(made.code, 0, made.stderr);
  const server = await Server.forTest(t, { db, config: configOf(keys) });
  await readEverywhere(server, ['a', 'b', 'c', 'd'], [1, 3]);
  await check(server.db);
});

// max_entities: what is there depends on the mutations and their order alone. The same log in requests of
// 1, 7 and 1,000 mutations, with kill -9 in between, gives the same log and the same views. A limit that
// was lowered is reached without any mutation.
//
// STELE_SEED for the log, STELE_GROUPED for its length (default 1000).

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import test from 'node:test';
import { Client } from './lib/client.js';
import { Producer, post, postAll, tryPost } from './lib/feed.js';
import { Random } from './lib/random.js';
import { Server, check, sql, within } from './lib/server.js';

const SEED = Number(process.env.STELE_SEED ?? 1);
const LENGTH = Number(process.env.STELE_GROUPED ?? 1000);
const LIMITS = { L: 12, S: 7 };

const CONFIG = {
  commit_mutations: 1, /* so that a request is a transaction, also in a pipeline */
  entity_cache_bytes: 4000,
  max_array_length: 4,
  exports: {
    L: {
      max_entities: LIMITS.L,
      views: {
        top: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 5 }] },
        big: { pipeline: [{ filter: { field: 'n', gt: 50 } }, { sort: { by: 'n', order: 'asc' } }] },
        slim: { mode: 'list', fields: ['n'] },
      },
    },
    S: { max_entities: LIMITS.S, scope: 'who' },
    U: {},
  },
};

/** Creates, patches, appends, replacements, deletes; late slots, shared seqs and none at all. */
function makeLog(random) {
  const log = [];
  let slot = 5;
  for (let i = 0; i < LENGTH; i++) {
    const mutation = { export: random.pick(['L', 'L', 'S', 'U']), key: `k${random.below(random.chance(0.5) ? 20 : 60)}` };
    const what = random.below(10);
    if (what === 0) mutation.op = 'delete';
    else if (what === 1) mutation.op = 'upsert';
    if (what > 0) mutation.patch = { n: random.below(100), who: random.pick(['a', 'b', null]) };
    if (what > 7) Object.assign(mutation, { patch: { ...mutation.patch, list: [i] }, append: ['list'] });
    const seq = random.below(4);
    if (seq === 0) slot++;
    if (seq < 2) Object.assign(mutation, { slot, index: random.below(3) });
    if (seq === 2) Object.assign(mutation, { slot: random.below(slot), index: 0 });
    log.push(mutation);
  }
  return log;
}

/** All that a reader of the file can see, but row numbers and times. */
async function everything(db) {
  const found = {};
  const tables = {
    change: 'SELECT id, export, key, op, slot, idx, patch, append, scope, scope_left FROM change ORDER BY id',
    tombstone: 'SELECT export, key, scope, change, slot, idx FROM tombstone ORDER BY export, key, scope',
    export: 'SELECT id, name, entities, last_change, last_slot, last_idx, head_slot, head_idx FROM export',
  };
  for (const [name, statement] of Object.entries(tables)) found[name] = await sql(db, statement);
  for (const { name } of await sql(db, "SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name")) {
    if (name.endsWith('/append')) continue; /* the log again, with its times */
    found[name] = await sql(db, `SELECT * FROM "${name}"`);
  }
  return found;
}

async function feedInGroups(t, log, size, random) {
  const server = await Server.forTest(t, { config: CONFIG });
  const producer = new Producer('p', { window: 16 });
  for (let at = 0; at < log.length; at += size) producer.add(log.slice(at, at + size).map((m) => JSON.stringify(m)));
  await producer.connect(server);
  for (let kill = 0; kill < 3 && producer.queue.length > 1; kill++) {
    await producer.acknowledgement();
    await new Promise((done) => setTimeout(done, random.below(50)));
    await server.kill9();
    producer.disconnect();
    await server.restart();
    await producer.connect(server);
  }
  await producer.drain();
  await server.kill9();
  await check(server.db);
  return everything(server.db);
}

/** The keys of a limited export, least recently changed first, by a model of a few lines. */
function expectedKeys(log, name) {
  const keys = new Set();
  for (const { export: target, key, op } of log) {
    if (target !== name) continue;
    keys.delete(key);
    if (op !== 'delete') keys.add(key);
    if (keys.size > LIMITS[name]) keys.delete(keys.values().next().value);
  }
  return [...keys];
}

test(`the same log in requests of 1, 7 and 1,000 mutations: the same log, rows and views, seed ${SEED}`, async (t) => {
  const random = new Random(SEED);
  const log = makeLog(random);
  const singly = await feedInGroups(t, log, 1, random);
  for (const name of ['L', 'S'])
    assert.deepEqual(singly[`${name}/list`].map((row) => row.key).sort(), expectedKeys(log, name).sort(), name);
  for (const size of [7, 1000]) {
    const grouped = await feedInGroups(t, log, size, random);
    for (const [name, rows] of Object.entries(singly)) assert.deepEqual(grouped[name], rows, `${name}, in requests of ${size}`);
  }
});

test('a request that is refused at its end evicts nothing', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: { max_entities: 3 } }, max_entity_bytes: 1024 } });
  const m = (key, patch = {}) => ({ export: 'E', key, patch });
  await post(server, [m('a'), m('b'), m('c')]);
  for (let i = 0; i < 3; i++) {
    const answer = await tryPost(server, [m('a', { n: 1 }), m('d'), m('e'), m('b'), m('f', { long: 'x'.repeat(2000) })]);
    assert.equal(answer.status, 413, answer.text);
  }
  await post(server, m('d'));
  await post(server, [m('b', { n: 2 }), m('e')]);
  assert.deepEqual((await sql(server.db, 'SELECT key FROM "E/list" ORDER BY key')).map((row) => row.key), ['b', 'd', 'e']);
  assert.deepEqual((await sql(server.db, 'SELECT key FROM change WHERE op = 4 ORDER BY id')).map((row) => row.key), ['a', 'c']);
  await server.terminate();
  await check(server.db);
});

/* ---- a limit that was lowered ---- */

const ROWS = 6000;
const limited = (most) => ({ exports: { E: { max_entities: most, views: { last: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 3 }] } } } } });
const rows = Array.from({ length: ROWS }, (_, i) => ({ export: 'E', key: `k${i}`, patch: { n: i } }));
const newest = (most) => rows.slice(-most).map((row) => row.key).sort();
const keysOf = async (server) => (await sql(server.db, 'SELECT key FROM "E/list" ORDER BY key')).map((row) => row.key).sort();

/** What a subscriber of the list holds once it holds `most` rows. */
async function watchUntil(client, most) {
  const held = new Set();
  client.subscribe('E/list');
  for (let complete = false; !complete || held.size > most; ) {
    const frame = await client.next(`a delete, of ${held.size} rows`);
    if (frame.op === 'delete') held.delete(frame.key);
    else for (const { key } of frame.data ?? []) held.add(key);
    complete ||= Boolean(frame.complete);
  }
  return [...held].sort();
}

for (const [how, before] of [['lower', ROWS], ['new', 0]])
  test(`a ${how} max_entities is reached after the start, though nothing is fed`, async (t) => {
    const server = await Server.forTest(t, { config: limited(before) });
    await postAll(server, rows, 2000);
    await server.terminate();
    await server.restart({ config: limited(1000) });
    const client = await Client.open(server);
    t.after(() => client.destroy());
    assert.deepEqual(await watchUntil(client, 1000), newest(1000));
    assert.deepEqual(await keysOf(server), newest(1000));
    await server.terminate();
    await check(server.db);
  });

test('a lower max_entities is reached after a reload, in transactions of a bounded size', async (t) => {
  const server = await Server.forTest(t, { config: limited(0) });
  await postAll(server, rows, 2000);
  const client = await Client.open(server);
  t.after(() => client.destroy());
  for (const most of [4500, 20]) {
    assert.match(await server.reload(limited(most)), /configuration-reloaded changed="exports"/);
    assert.deepEqual(await watchUntil(client, most), newest(most));
    client.send({ type: 'unsubscribe', view: 'E/list' });
  }
  const steps = await sql(server.db, 'SELECT max(n) AS most FROM (SELECT count(*) AS n FROM change WHERE op = 4 GROUP BY at)');
  assert.ok(steps[0].most <= 2000, `${steps[0].most} in one transaction`);
  /* And lifted: what comes stays. */
  await server.reload(limited(0));
  await postAll(server, rows.slice(0, 100), 10);
  assert.equal((await keysOf(server)).length, 120);
  await within(server.terminate(), 'the stop');
  await check(server.db);
});

test('an order of many rows is made while the server is fed, and given up by another reload', async (t) => {
  const server = await Server.forTest(t, { config: limited(0) });
  await postAll(server, rows, 2000);
  await server.reload(limited(5000));
  await server.reload(limited(0));
  await server.reload(limited(100));
  /* Whatever is written meanwhile is in order, too. */
  await postAll(server, rows.slice(0, 60), 1);
  const client = await Client.open(server);
  t.after(() => client.destroy());
  const left = [...rows.slice(-40), ...rows.slice(0, 60)].map((row) => row.key).sort();
  assert.deepEqual(await watchUntil(client, 100), left);
  /* kill -9 leaves nothing behind that the next start does not see to. */
  await server.reload(limited(0));
  await postAll(server, rows, 2000);
  await server.reload(limited(200));
  await server.kill9();
  await server.restart({ config: limited(0) });
  await check(server.db);
  await server.terminate();
  await server.restart({ config: limited(50) });
  const late = await Client.open(server);
  t.after(() => late.destroy());
  assert.deepEqual(await watchUntil(late, 50), newest(50));
  await server.terminate();
  await check(server.db);
});

test('a count that is wrong is complained of twice a second, not all the time', async (t) => {
  const server = await Server.forTest(t, { config: limited(0) });
  await postAll(server, rows.slice(0, 5), 5);
  await server.terminate();
  execFileSync('sqlite3', [server.db, 'UPDATE export SET entities = 50']);
  await server.restart({ config: limited(20) });
  await server.logged(/(commit-failed[^]*){4}/);
  const failed = server.stderr.split('\n').filter((line) => line.includes('commit-failed'));
  const times = failed.map((line) => Date.parse(/\d{4}-\d\d-\d\dT[\d:.]+Z/.exec(line)[0]));
  assert.match(failed[0], /run \\?"stele check\\?"/);
  assert.ok(times[3] - times[0] >= 1400, failed.join('\n'));
});

// Replicas: servers that copy the log of changes of another one by HTTP.
//
// STELE_SEEDS seeds of the random runs (default 2), STELE_SEED the first; STELE_KILLS (default 4) ends of either server;
// STELE_ROUNDS (default 4) changes of views.

import assert from 'node:assert/strict';
import { copyFileSync, existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test from 'node:test';
import { Broker, hasBroker, logOf } from './lib/broker.js';
import { Client } from './lib/client.js';
import { EventStream } from './lib/events.js';
import { http, post, postAll, tryPost } from './lib/feed.js';
import { Gate } from './lib/gate.js';
import { Random } from './lib/random.js';
import { seedsOf } from './lib/seeds.js';
import { Server, check, eventually, run, scratch, sql, within } from './lib/server.js';
import { fillDisk, smallDisk } from './lib/small_disk.js';

const KILLS = Number(process.env.STELE_KILLS ?? 4);
const ROUNDS = Number(process.env.STELE_ROUNDS ?? 4);
const m = (key, patch = {}, more = {}) => ({ export: 'E', key, patch, ...more });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const exports = {
  E: { max_entities: 50, max_array_length: 5, null_removes: true, views: { top: { pipeline: [{ sort: { by: 'n', order: 'desc' } }] }, on: { pipeline: [{ filter: { field: 'on', eq: true } }] } } },
  Scoped: { scope: 'team' },
};

const sourceFor = (t, config = {}, options = {}) => Server.forTest(t, { config: { exports, ...config }, ...options });
const replicaOf = (t, source, { config = {}, log = {}, ...options } = {}) =>
  Server.forTest(t, { config: { exports, ...config, log: { from: source.http ?? source, ...log } }, ...options });

/** All that the file says, except where and when it is open. */
async function content(db, { log = true } = {}) {
  const names = (await sql(db, 'SELECT name FROM sql_view ORDER BY name')).map((row) => row.name);
  const tables = ['SELECT * FROM tombstone ORDER BY change', "SELECT * FROM producer WHERE name <> '@log' ORDER BY name", 'SELECT id, name, entities, last_change, head_slot, head_idx FROM export',
    'SELECT key, export, slot, idx, change, evict_order, data FROM entity ORDER BY export, key', ...(log ? ['SELECT * FROM change ORDER BY id', ...names.map((name) => `SELECT * FROM "${name}"`)] : names.filter((name) => !name.endsWith('/append')).map((name) => `SELECT * FROM "${name}"`))];
  return JSON.stringify(await Promise.all(tables.map((table) => sql(db, table))), null, 1);
}

const lastOf = async (server) => (await sql(server.db, 'SELECT last_change FROM log_state'))[0].last_change;
const nodeOf = async (server) => (await server.status()).node;
let now;
const isEqual = async (replica, source) => {
  const last = await lastOf(source);
  await eventually(async () => (now = await nodeOf(replica)).position === last && now.lag_messages === 0, () => `change ${last}: ${JSON.stringify(now)} ${replica.stderr}`, 400);
};

/** Random requests: patches, appends, removals, deletes, batches of producers, seqs of all kinds. */
function randomRequest(random, batches) {
  const n = random.below(12) + 1;
  const mutations = range(n, () => {
    const key = `k${random.below(120)}`;
    const seq = random.below(3) ? {} : { slot: random.below(1000), index: random.below(5) };
    const kind = random.below(10);
    if (kind === 0) return { export: 'E', key, op: 'delete', ...seq };
    if (kind === 1) return m(key, { n: random.below(100), t: [1, 2, 3, 4, 5, 6, 7], deep: { x: null } }, { op: 'upsert', ...seq });
    if (kind === 2) return m(key, { t: range(random.below(4), () => random.below(9)) }, { append: ['t'], ...seq });
    if (kind === 3) return m(key, { n: null, deep: { y: 1, x: null } }, seq);
    if (kind === 4) return m(key, {}, { unset: ['on', 'deep.y'], ...seq });
    if (kind === 5) return m(key, { late: 1 }, { slot: random.below(1000), index: 0, if: 'newer' });
    if (kind === 6) return { export: 'Scoped', key, patch: { team: ['red', 'blue', null][random.below(3)], n: 1 }, ...seq };
    if (kind === 7) return { export: 'Scoped', key, op: 'delete', slot: random.below(1000), index: 0, if: 'newer' };
    return m(key, { n: random.below(100), on: random.below(2) === 0, text: 'ü"\\\n' }, seq);
  });
  if (random.below(2)) return mutations;
  const name = `p${random.below(5)}`;
  batches[name] = (batches[name] ?? 0) + 1;
  return [{ producer: name, batch: batches[name], mark: `m${batches[name]}`, mutations: random.below(4) ? mutations : [] }];
}

const { seeds, first: firstSeed } = seedsOf(2);
for (const seed of range(seeds, (i) => firstSeed + i))
  test(`seed ${seed}: a replica is equal to its source, whichever of them is killed meanwhile`, async (t) => {
    const random = new Random(seed);
    const source = await sourceFor(t);
    const replica = await replicaOf(t, source, { log: { max_lag_seconds: 1 } });
    const batches = {};
    for (let kill = 0; kill < KILLS; kill++) {
      const feeding = (async () => {
        for (let i = 0; i < 60; i++) await tryPost(source, randomRequest(random, batches)).catch(() => {});
      })();
      await new Promise((done) => setTimeout(done, random.below(60)));
      const victim = kill % 2 ? source : replica;
      await victim.kill9();
      await victim.restart({ samePort: true });
      await feeding;
    }
    await post(source, [m('last', { on: true })]);
    await isEqual(replica, source);
    assert.equal(await content(replica.db), await content(source.db));
    assert.equal((await replica.get('/ready')).text, 'READY');
    assert.equal((await replica.status()).epoch, (await source.status()).epoch);
    for (const server of [replica, source]) {
      await server.terminate();
      await check(server.db);
    }
  });

test('cursors of the one work on the other, in all forms', async (t) => {
  const source = await sourceFor(t);
  const replica = await replicaOf(t, source);
  await post(source, [m('a', { n: 1 }), m('b', { n: 2 })]);
  await isEqual(replica, source);
  for (const [from, to] of [[source, replica], [replica, source]]) {
    const read = async (path) => (await http(`${from.http}${path}`)).json;
    const { seq, epoch, offset } = await read('/v1/views/E/list');
    const { cursor } = await read('/v1/views/E/append?events=1');
    const top = (await read('/v1/views/E/top')).epoch;
    await post(source, [m('c', { n: 3 })]);
    await isEqual(replica, source);
    const frames = [];
    const client = await Client.open(to, { named: { take: (frame) => frames.push(frame) } });
    t.after(() => client.destroy());
    const v2 = (id, query) => client.send({ type: 'subscribe', protocolVersion: 2, subscriptionId: id, query });
    v2('s', { view: 'E/list', after: seq, epoch });
    v2('t', { view: 'E/append', after: cursor });
    await eventually(() => frames.filter(({ op }) => op === 'subscribed').length === 2 && frames.some(({ key }) => key === 'c'), () => JSON.stringify(frames));
    assert.ok(frames.filter(({ op }) => op === 'subscribed').every(({ resumed }) => resumed !== false), JSON.stringify(frames));
    for (const query of [{ view: 'E/list', after: seq, epoch }, { view: 'E/append', after: seq }, { view: 'E/top', after: seq, epoch: top }]) {
      const v1 = await Client.open(to);
      t.after(() => v1.destroy());
      v1.send({ type: 'subscribe', ...query });
      assert.equal((await v1.expect('subscribed')).resumed, true, JSON.stringify(query));
    }
    const stream = await EventStream.open(`${to.http}/v1/views/E/list/live`, { headers: { 'last-event-id': `${seq}@${epoch}` } });
    assert.equal((await stream.next()).json.resumed, true);
    stream.close?.();
    const after = (await http(`${to.http}/v1/views/E/list?after=${seq}&epoch=${epoch}`)).json;
    assert.deepEqual([after.resumed, after.rows.some(({ key }) => key === 'c')], [true, true]);
    const past = (await http(`${to.http}/v1/views/E/list?as_of=@${offset}`)).json;
    assert.ok(past.rows.every(({ key }) => key !== 'c'));
    await post(source, [{ export: 'E', key: 'c', op: 'delete' }]);
    await isEqual(replica, source);
  }
});

test('a cursor of a view is good wherever the view means the same, if its rows can be told from the log', async (t) => {
  const top = { pipeline: [{ filter: { field: 'on', eq: true } }, { sort: { by: 'n', order: 'desc' } }, { take: 3 }] };
  const all = { pipeline: [{ sort: { by: 'n', order: 'desc' } }] };
  const configOf = (views) => ({ exports: { E: { views } } });
  const source = await sourceFor(t, configOf({ top, all }));
  const replica = await replicaOf(t, source, { config: configOf({ top: { pipeline: [{ take: 1 }] }, other: { pipeline: [{ sort: 'k' }] } }) });
  const read = async (server, view, query = '') => (await http(`${server.http}/v1/views/E/${view}?${query}`)).json;
  await post(source, range(6, (n) => m(`k${n}`, { n, on: true })));
  await isEqual(replica, source);
  const early = { top: await read(source, 'top'), all: await read(source, 'all') };
  assert.notEqual((await read(replica, 'top')).epoch, early.top.epoch);
  await post(source, [m('k5', { on: false }), m('k6', { n: 6, on: true })]);
  await isEqual(replica, source);
  await replica.terminate();
  await replica.restart({ config: { ...configOf({ other: { pipeline: [{ sort: 'k' }] }, top, all }), log: { from: source.http } } });
  await isEqual(replica, source);
  const resume = (server, view, { seq, epoch }) => read(server, view, `after=${seq}&epoch=${epoch}`);
  const after = (before, told) => {
    const shown = new Set(told.resumed ? before.rows.map(({ key }) => key) : []);
    for (const key of told.deleted ?? []) shown.delete(key);
    for (const { key } of told.rows) shown.add(key);
    return [...shown].sort();
  };
  const now = async (view) => (await read(source, view)).rows.map(({ key }) => key).sort();
  /* Built behind the cursor. */
  for (const view of ['top', 'all']) {
    const told = await resume(replica, view, early[view]);
    assert.deepEqual([told.resumed, after(early[view], told)], [true, await now(view)]);
  }
  for (const [from, to] of [[source, replica], [replica, source]])
    for (const view of ['top', 'all']) {
      const before = await read(from, view);
      for (let i = 0; i < 2; i++) {
        const told = await resume(to, view, before);
        assert.deepEqual([told.epoch, told.resumed, after(before, told)], [before.epoch, true, await now(view)]);
        await post(source, [m('k4', { on: false }), m(`new ${view} ${from === source}`, { n: 9, on: true })]);
        await isEqual(replica, source);
      }
    }
});

test('a view that is changed and changed back goes on with what the log tells, or refuses', async (t) => {
  const random = new Random(Number(process.env.STELE_SEED ?? 1));
  const on = { filter: { field: 'on', eq: true } }, sort = { sort: { by: 'n', order: 'desc' } };
  const views = { all: { pipeline: [sort] }, on: { pipeline: [on] }, top: { pipeline: [on, sort, { take: 5 }] }, part: { pipeline: [on, sort, { skip: 3 }, { take: 5 }] }, last: { pipeline: [sort, 'last'], output: 'single' }, over: { pipeline: [sort, { take: 5 }, on] } };
  const others = Object.fromEntries(Object.keys(views).map((name) => [name, { pipeline: [{ filter: { field: 'n', gt: 90 } }] }]));
  const configs = [views, others].map((views) => ({ exports: { E: { views } } }));
  const server = await Server.forTest(t, { config: configs[0] });
  const read = async (view, query = '') => (await http(`${server.http}/v1/views/E/${view}?${query}`)).json;
  const change = () => post(server, range(random.below(12) + 1, () => (random.below(5) ? m(`k${random.below(25)}`, { n: random.below(100), on: random.below(2) === 0 }) : { export: 'E', key: `k${random.below(25)}`, op: 'delete' })));
  const keysOf = (rows) => rows.map(({ key }) => key).sort();
  let resumed = 0;
  for (let i = 0; i < 6; i++) await change();
  for (let round = 0; round < ROUNDS; round++) {
    const first = new Map();
    for (const view of Object.keys(views)) first.set(view, await read(view));
    const changes = round && random.below(4);
    for (const config of [configs[1], configs[0]]) {
      await server.terminate();
      await server.restart({ config });
      if (config === configs[1]) for (let i = 0; i < changes; i++) await change();
    }
    for (const [view, { seq, epoch, rows }] of first) {
      const told = await read(view, `after=${seq}&epoch=${epoch}`);
      const now = await read(view);
      assert.equal(told.epoch, epoch);
      /* Too much may have changed to tell the difference. */
      if (now.seq === seq || view === 'over') assert.equal(told.resumed, now.seq === seq, `${view} ${seq} ${now.seq}`);
      resumed += told.resumed && now.seq !== seq;
      const shown = new Map((told.resumed ? rows : []).map(({ key, data }) => [key, data]));
      for (const key of told.deleted ?? []) shown.delete(key);
      for (const { key, data } of told.rows) shown.set(key, data);
      assert.deepEqual([...shown.keys()].sort(), keysOf(now.rows), `round ${round}, ${view}: ${JSON.stringify([rows, told, now])}`);
      for (const { key, data } of now.rows) assert.deepEqual(shown.get(key), data);
    }
  }
  assert.ok(resumed > 0);
});

test('a cursor that a replica does not have yet waits for it', async (t) => {
  const source = await sourceFor(t);
  const gate = await Gate.start(t, source.port);
  const replica = await replicaOf(t, gate.url.replace('nats:', 'http:'), { log: { max_lag_seconds: 1 } });
  await post(source, [m('a', { n: 1 })]);
  await isEqual(replica, source);
  gate.shut();
  await post(source, [m('b', { n: 2 })]);
  const { seq, epoch } = (await http(`${source.http}/v1/views/E/list`)).json;
  const client = await Client.open(replica);
  client.send({ type: 'subscribe', view: 'E/list', after: seq, epoch });
  gate.open();
  assert.equal((await client.expect('subscribed')).resumed, true);
  assert.ok((await http(`${replica.http}/v1/views/E/list`)).json.rows.some(({ key }) => key === 'b'));
  client.destroy();
});

test('the source may be a node of a log', { skip: hasBroker ? false : 'nats-server is not installed' }, async (t) => {
  const broker = await Broker.forTest(t);
  await broker.make();
  const node = await sourceFor(t, { log: logOf(broker) });
  const replica = await replicaOf(t, node);
  const random = new Random(7);
  const batches = {};
  const publish = (n) => broker.publish(range(n, () => randomRequest(random, batches)).map((request) => request.map((line) => JSON.stringify(line).replace(/,"if":"newer"/g, '')).join('\n')));
  const last = await publish(200);
  await eventually(async () => (await nodeOf(node)).position === last, 'the node has all');
  await isEqual(replica, node);
  await replica.kill9();
  const next = await publish(50);
  await replica.restart();
  await eventually(async () => (await nodeOf(node)).position === next, 'the node has all');
  await isEqual(replica, node);
  assert.equal(await content(replica.db), await content(node.db));
  assert.equal((await replica.status()).epoch, (await node.status()).epoch);
  await replica.terminate();
  await check(replica.db);
});

test('a source says who follows it, and a replica when it last heard of it', async (t) => {
  const source = await sourceFor(t);
  const replica = await replicaOf(t, source);
  await source.logged(/log-followed client="127.0.0.1" subject="[^"]*" change=0 lines=all/);
  await post(source, [m('a')]);
  await isEqual(replica, source);
  const figure = async (server, name) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec((await server.get('/metrics')).text)?.[1]);
  assert.equal(await figure(source, 'stele_log_followers'), 1);
  assert.equal(source.stderr.match(/log-followed/g).length, 1);
  await source.kill9();
  await eventually(async () => (await figure(replica, 'stele_log_heard_seconds')) > 0.5, 'it is older by and by');
  assert.ok((await nodeOf(replica)).heard_seconds > 0.5);
  await source.restart({ samePort: true });
  await eventually(async () => (await figure(replica, 'stele_log_heard_seconds')) < 0.5, 'it heard of it');
  await source.logged(/log-followed.*log-followed/s);
});

test('a replica takes no writes, and says where they go', async (t) => {
  const source = await sourceFor(t);
  const replica = await replicaOf(t, source);
  for (const answer of [await tryPost(replica, m('a')), await http(`${replica.http}/v1/producers/p`, { method: 'DELETE' })]) {
    assert.deepEqual([answer.status, answer.json.code], [501, 'replica-read-only']);
    assert.ok(answer.json.message.includes(source.http), answer.text);
  }
  const write = await replica.get('/ready/write');
  assert.equal(write.status, 503);
  await eventually(async () => (await replica.get('/ready')).status === 200, 'it has all');
});

test('it starts from a backup of its source, also from one of another replica, and follows that one', async (t) => {
  const source = await sourceFor(t, { retention_rows: 500 });
  await postAll(source, range(2000, (i) => m(`k${i % 60}`, { n: i })), 50);
  await eventually(async () => (await sql(source.db, 'SELECT floor_change FROM log_state'))[0].floor_change > 0, 'it is trimmed');
  /* Without a file the log must reach back to its beginning. */
  const refused = await Server.refused({ db: join(scratch(t), 'stele.db'), config: { exports, log: { from: source.http } } });
  assert.match(refused.stderr, /a new replica: .* was trimmed.*backup/);
  const [first, second] = [join(scratch(t), 'stele.db'), join(scratch(t), 'stele.db')];
  assert.equal((await run(['backup', '--from', source.http, first])).code, 0);
  await postAll(source, range(100, (i) => m(`k${i}`, { again: i })), 10);
  const replica = await replicaOf(t, source, { db: first, config: { retention_rows: 500 } });
  await isEqual(replica, source);
  assert.equal((await run(['backup', '--from', replica.http, second])).code, 0);
  const third = await replicaOf(t, replica, { db: second });
  await post(source, [m('new', { n: 1 })]);
  await isEqual(third, source);
  for (const server of [replica, third]) {
    assert.equal(await content(server.db, { log: false }), await content(source.db, { log: false }));
    assert.equal((await server.status()).epoch, (await source.status()).epoch);
    await server.terminate();
    await check(server.db);
  }
});

test('a log that was trimmed beyond the replica is a gap: not ready, reads go on, never a silent jump', async (t) => {
  const source = await sourceFor(t, { retention_rows: 20 });
  const replica = await replicaOf(t, source, { config: { retention_rows: 20 } });
  await post(source, [m('a', { n: 1 })]);
  await isEqual(replica, source);
  await replica.kill9();
  await postAll(source, range(300, (i) => m(`k${i % 9}`, { n: i })), 20);
  await eventually(async () => (await sql(source.db, 'SELECT floor_change FROM log_state'))[0].floor_change > 100, 'it is trimmed');
  await replica.restart({ samePort: true });
  await replica.logged(/error follow log-gap problem="[^"]*backup/);
  assert.deepEqual(await replica.get('/ready').then(({ status, text }) => [status, text]), [503, 'NOT READY: log-gap']);
  const node = await nodeOf(replica);
  assert.deepEqual([node.condition, node.position], ['log-gap', 1]);
  assert.deepEqual((await http(`${replica.http}/v1/views/E/list`)).json.rows.map(({ key }) => key), ['a']);
});

test('a source that was restored, or is another one, ends the following; its own restart does not', async (t) => {
  const source = await sourceFor(t);
  const replica = await replicaOf(t, source);
  await post(source, [m('a', { n: 1 })]);
  await isEqual(replica, source);
  const copy = join(scratch(t), 'copy.db');
  assert.equal((await run(['backup', '--from', source.http, copy])).code, 0);
  await source.terminate();
  await source.restart({ samePort: true });
  await post(source, [m('b', { n: 1 })]);
  await isEqual(replica, source);
  await source.terminate();
  copyFileSync(copy, source.db);
  await source.restart({ samePort: true });
  await post(source, [m('other', { n: 1 })]);
  await replica.logged(/error follow log-replaced problem="[^"]*has the epoch [^"]*bootstrap|error follow log-replaced problem="[^"]*cannot be followed/);
  assert.deepEqual(await replica.get('/ready').then(({ status, text }) => [status, text]), [503, 'NOT READY: log-replaced']);
  assert.deepEqual((await http(`${replica.http}/v1/views/E/list`)).json.rows.map(({ key }) => key), ['b', 'a']);
  await replica.terminate();
  const refused = await Server.refused(replica.options);
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /is no replica of .* different epochs.*bootstrap/);
});

test('a replica of a source that was restored refuses the cursors that it refuses, however the replica began', async (t) => {
  const source = await sourceFor(t);
  const { epoch } = await source.status();
  await post(source, [m('a', { n: 1 })]);
  const copy = join(scratch(t), 'copy.db');
  assert.equal((await run(['backup', '--db', source.db, copy])).code, 0);
  await post(source, [m('lost', { n: 1 })]);
  const [kept, lost] = [1, 2].map((change) => `0:${String(change).padStart(12, '0')}`);
  await source.terminate();
  copyFileSync(copy, source.db);
  await source.restart();
  for (const n of range(3, (i) => i)) await post(source, [m('new', { n })]);
  const second = join(scratch(t), 'stele.db');
  assert.equal((await run(['backup', '--from', source.http, second])).code, 0);
  for (const server of [source, await replicaOf(t, source), await replicaOf(t, source, { db: second })]) {
    if (server !== source) await isEqual(server, source);
    assert.deepEqual(await sql(server.db, 'SELECT epoch, last_change FROM former_epoch'), [{ epoch, last_change: 1 }]);
    for (const [after, more, resumed] of [[kept, {}, true], [lost, {}, false], [kept, { epoch }, true], [lost, { epoch }, false]]) {
      const client = await Client.open(server);
      t.after(() => client.destroy());
      client.send({ type: 'subscribe', view: 'E/list', after, ...more });
      assert.equal((await client.expect('subscribed')).resumed, resumed, JSON.stringify({ after, more }));
    }
  }
});

test('replicas that follow each other, or themselves, say so', async (t) => {
  const source = await sourceFor(t);
  const replica = await replicaOf(t, source);
  await post(source, [m('a', { n: 1 })]);
  await isEqual(replica, source);
  await source.terminate();
  await source.restart({ samePort: true, config: { exports, log: { from: replica.http } } });
  for (const server of [replica, source]) {
    await server.logged(/error follow log-replaced problem="[^"]*is this replica itself/);
    assert.equal((await server.get('/ready')).text, 'NOT READY: log-replaced');
  }
  await replica.terminate();
  await replica.restart({ samePort: true, config: { exports, log: { from: replica.http } } });
  await replica.logged(/error follow log-replaced problem="[^"]*is this replica itself/);
});

test('without its source it serves, starts again, and tries for ever; new files and others need it', async (t) => {
  const source = await sourceFor(t);
  const replica = await replicaOf(t, source);
  await post(source, [m('a', { n: 1 })]);
  await isEqual(replica, source);
  await source.kill9();
  await replica.logged(/warning follow log-apart/);
  assert.notEqual((await nodeOf(replica)).problem, '');
  await eventually(async () => (await replica.get('/ready')).text === 'READY, but the log cannot be reached', 'it says so');
  await replica.terminate();
  await replica.restart({ samePort: true });
  assert.deepEqual((await http(`${replica.http}/v1/views/E/list`)).json.rows.map(({ key }) => key), ['a']);
  const first = join(scratch(t), 'stele.db');
  const fresh = await Server.refused({ db: first, config: { exports, log: { from: source.http } } });
  assert.match(fresh.stderr, /is new, and its first start needs the source: /);
  assert.doesNotMatch(fresh.stderr, /reads go on/);
  assert.equal(existsSync(first), false); /* so a bootstrap may make it */
  await source.restart({ samePort: true });
  await post(source, [m('b', { n: 2 })]);
  await isEqual(replica, source);
  /* A server of its own, and a file of one, are no replicas. */
  const alone = await sourceFor(t);
  await post(alone, [m('x')]);
  await alone.terminate();
  const other = await Server.refused({ db: alone.db, config: { exports, log: { from: source.http } } });
  assert.match(other.stderr, /is no replica of/);
  await alone.restart();
  assert.doesNotMatch(alone.stderr, /epoch-parted/);
});

test('other settings that decide merging are refused; a file that is opened alone parts from the source', async (t) => {
  const source = await sourceFor(t);
  await post(source, [m('a', { n: 1 })]);
  const other = { ...exports, E: { ...exports.E, max_array_length: 6 } };
  const refused = await Server.refused({ db: join(scratch(t), 'stele.db'), config: { exports: other, log: { from: source.http } } });
  assert.match(refused.stderr, /"log.from".*other settings/);
  /* Views, limits for producers and max_entities may differ. */
  const mine = { ...exports, E: { ...exports.E, max_entities: 1, views: {} } };
  const replica = await replicaOf(t, source, { config: { exports: mine, max_entity_bytes: 1024, max_key_bytes: 8 } });
  await postAll(source, range(10, (i) => m(`a long key ${i}`, { pad: 'x'.repeat(5000) })), 5);
  await isEqual(replica, source);
  assert.equal((await http(`${replica.http}/v1/views/E/list`)).json.rows.length, 11);
  /* The source is set otherwise: the replica says so, and does not start with the old file. */
  await source.terminate();
  await source.restart({ samePort: true, config: { exports: other } });
  await post(source, [m('b', { n: 1 })]);
  await replica.logged(/error follow log-replaced problem="[^"]*other settings/);
  const { epoch } = await source.status();
  await replica.terminate();
  assert.match((await Server.refused({ ...replica.options, config: { exports: other, log: { from: source.http } } })).stderr, /was made with other settings/);
  await replica.restart({ config: { exports: mine } });
  assert.match(replica.stderr, /epoch-parted/);
  assert.notEqual((await replica.status()).epoch, epoch);
  await post(replica, [m('own')]);
});

test('while its disk is full it serves, is behind, and catches up with nothing lost', async (t) => {
  const source = await sourceFor(t, { exports: { E: {} } });
  let replica;
  const folder = smallDisk(t, 40, () => replica?.discard());
  if (!folder) return;
  const config = { exports: { E: {} }, log: { from: source.http, max_lag_seconds: 1 } };
  replica = await Server.start({ db: join(folder, 'stele.db'), config });
  await post(source, [m('a', { n: 1 })]);
  await isEqual(replica, source);
  fillDisk(folder, 0);
  await postAll(source, range(2000, (i) => m(`k${i}`, { pad: 'x'.repeat(2000) })), 100);
  await eventually(async () => (await replica.get('/ready')).status === 503, 'it is behind', 400);
  assert.equal((await http(`${replica.http}/v1/views/E/list?take=1`)).status, 200);
  const { unlinkSync } = await import('node:fs');
  unlinkSync(join(folder, 'filler'));
  await isEqual(replica, source);
  assert.equal(await content(replica.db), await content(source.db));
  await replica.terminate();
  await check(replica.db);
});

test('a network that says nothing is noticed, and a large transaction is copied whole', async (t) => {
  const source = await sourceFor(t, { exports: { E: {} }, max_request_bytes: 64 << 20 });
  const replica = await replicaOf(t, source, { config: { exports: { E: {} } } });
  const pad = 'x'.repeat(20_000);
  /* More than an answer has: its parts come one after the other. */
  await post(source, [{ mutations: range(500, (i) => m(`k${i}`, { pad })) }]);
  const seen = new Set();
  while ((await nodeOf(replica)).position < 500) seen.add((await http(`${replica.http}/v1/views/E/list?take=1`)).json.rows.length ? 1 : 0) && (await sql(replica.db, 'SELECT entities FROM export')).forEach((row) => seen.add(`e${row.entities}`));
  assert.deepEqual([...seen].filter((it) => typeof it === 'string').filter((it) => !['e0', 'e500'].includes(it)), []);
  await isEqual(replica, source);
  assert.equal(await content(replica.db), await content(source.db));
  /* A server that accepts and says nothing. */
  const silent = createServer(() => {});
  await new Promise((done) => silent.listen(0, '127.0.0.1', done));
  t.after(() => silent.close());
  const refused = await within(Server.refused({ db: join(scratch(t), 'stele.db'), config: { exports, log: { from: `http://127.0.0.1:${silent.address().port}` } } }), 'the refusal', 40_000);
  assert.match(refused.stderr, /is new, and its first start needs the source: /);
});

test('the token is read from its file; without the scope it says why, and goes on when it has it', async (t) => {
  const { writeFileSync } = await import('node:fs');
  const tokens = [{ token: 'reader-reader-reader', subject: 'r', scope: 'read write' }, { token: 'admin-admin-admin', subject: 'a', scope: 'admin' }];
  const source = await sourceFor(t, { auth: { mode: 'static', tokens } });
  const file = join(scratch(t), 'token');
  writeFileSync(file, 'admin-admin-admin\n');
  const replica = await replicaOf(t, source, { log: { token_file: file } });
  assert.equal(existsSync(replica.db), true);
  await tryPost(source, m('a'), { authorization: 'Bearer reader-reader-reader' });
  await isEqual(replica, source);
  await replica.terminate();
  writeFileSync(file, 'reader-reader-reader\n');
  await replica.restart();
  await replica.logged(/log-apart error="[^"]*refuses \(HTTP 403\)[^"]*scope/);
  writeFileSync(file, 'admin-admin-admin\n');
  await tryPost(source, m('b'), { authorization: 'Bearer reader-reader-reader' });
  await isEqual(replica, source);
});

test('a token that may read all, and is no administrator, makes a replica that says that it is no reserve', async (t) => {
  const { writeFileSync } = await import('node:fs');
  const tokens = [{ token: 'reader-reader-reader', subject: 'r', scope: 'read write' }, { token: 'narrow-narrow-narrow', subject: 'n', scope: 'read', views: ['E/*'] }];
  const source = await Server.forTest(t, { config: { exports: { E: {} }, auth: { mode: 'static', tokens } } });
  const file = join(scratch(t), 'token');
  writeFileSync(file, 'reader-reader-reader\n');
  const replica = await Server.forTest(t, { config: { exports: { E: {} }, log: { from: source.http, token_file: file } } });
  await replica.logged(/log-changes-only problem="[^"]*'admin'[^"]*" effect="[^"]*no reserve"/);
  await tryPost(source, { producer: 'p', batch: 1, mutations: [m('a', { n: 1 })] }, { authorization: 'Bearer reader-reader-reader' });
  await isEqual(replica, source);
  assert.equal((await http(`${replica.http}/v1/views/E/list`)).json.rows.length, 1);
  assert.equal((await replica.get('/ready')).text, 'READY');
  assert.deepEqual(await sql(replica.db, 'SELECT name FROM producer'), []);
  writeFileSync(file, 'narrow-narrow-narrow\n');
  await replica.terminate();
  await replica.restart();
  await replica.logged(/log-apart error="[^"]*refuses \(HTTP 403\)[^"]*limited to some views/);
  assert.deepEqual(replica.stderr.match(/log-changes-only problem="\w+ \w+/g), ['log-changes-only problem="the token', 'log-changes-only problem="behind change']);
});

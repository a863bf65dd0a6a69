// Log mode: writes through a node. Real nodes of a real nats-server; skipped where none is installed.
//
// STELE_KILLS: how often a broker's leader and a node are killed under load (default 1, of one broker alone).

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import test from 'node:test';
import { gzipSync } from 'node:zlib';
import { headers as natsHeaders } from 'nats';
import { Broker, figure, hasBroker, logOf, reaches } from './lib/broker.js';
import { clientFor } from './lib/client.js';
import { Ingest, Nack, http, post, tryPost } from './lib/feed.js';
import { filterFor } from './lib/nats_filter.js';
import { Server, check, eventually, freeze, run, sql, sqlView, within } from './lib/server.js';
import { bearer, newKey, tokenOf, unixNow } from './lib/token.js';

const skip = hasBroker ? false : 'nats-server is not installed (tools/setup test brings it)';
const m = (key, patch = {}, more = {}) => ({ export: 'E', key, patch, ...more });
const batch = (number, mutations, more = {}) => ({ producer: 'p', batch: number, mutations, ...more });

/** A node of the broker's stream, once it takes writes. */
async function node(t, broker, { config = {}, log = {}, ...options } = {}) {
  const server = await Server.forTest(t, { config: { ...config, log: logOf(broker, 'stele', log) }, ...options });
  await takes(server);
  return server;
}

const takes = (server) => eventually(async () => (await server.get('/ready/write')).text === 'READY', () => `it takes writes: ${server.stderr.slice(-2000)}`);

async function brokerWithStream(t, more = {}) {
  const broker = await Broker.forTest(t);
  await broker.make('stele', more);
  return broker;
}

const lastOf = async (broker) => (await broker.manager.streams.info('stele')).state.last_seq;
const rowOf = async (server, key) => JSON.parse((await sqlView(server.db, 'E/list')).get(key).data);
const producerOf = async (server, name = 'p') => (await http(`${server.http}/v1/producers/${name}`)).json;

/** What the nodes' files say is equal. */
async function alike(...nodes) {
  const found = [];
  for (const server of nodes) {
    await server.terminate();
    await check(server.db);
    const said = [];
    for (const what of ['"E/list" ORDER BY 1', 'producer ORDER BY name', 'idempotency_key ORDER BY owner, key', 'revoked_token ORDER BY jti']) said.push(await sql(server.db, `SELECT * FROM ${what}`));
    found.push(JSON.stringify(said));
  }
  for (const other of found.slice(1)) assert.equal(other, found[0]);
}

/** Keep others from writing to the node's file; release with .kill(). */
async function hold(t, server) {
  const shell = spawn('sqlite3', [server.db], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => shell.kill('SIGKILL'));
  shell.stdin.write(".timeout 20000\nBEGIN IMMEDIATE;\nSELECT 'held';\n");
  await once(shell.stdout, 'data');
  return shell;
}

test('a write through a node is answered when that node shows it, and others follow', { skip }, async (t) => {
  const broker = await brokerWithStream(t);
  const a = await node(t, broker);
  const b = await node(t, broker);
  for (let i = 1; i <= 20; i++) {
    const { json, status } = await tryPost(a, [m('a', { i }), m(`k${i}`)]);
    assert.deepEqual([status, json], [200, { applied: 2, ignored: 0, duplicate: 0, seq: `${i}:000000000001` }]);
    const read = (await http(`${a.http}/v1/views/E/list?key=a`)).json;
    assert.equal(read.rows[0].data.i, i, 'the node shows its own write');
  }
  /* Compressed, and lines of every kind. */
  const packed = await tryPost(b, gzipSync(`${JSON.stringify(m('a', { packed: true }))}\n${JSON.stringify(batch(1, [m('z')]))}\n`), { 'content-encoding': 'gzip' });
  assert.deepEqual([packed.status, packed.json.seq], [200, '21:000000000001']);
  /* By WebSocket, with an id of any kind, pipelined; answers in the order of the log. */
  const ingest = await Ingest.open(b);
  const ids = [1, 'ä"\\', null, [1, { x: 2 }], -0.5];
  const answers = await Promise.all(ids.map((id, i) => (ingest.sendText(JSON.stringify({ id, mutations: [m('w', { i })], traceparent: 'none' }), id))));
  assert.deepEqual(answers.map(({ ack }) => ack), ids);
  assert.deepEqual(answers.map(({ seq }) => seq), ids.map((_, i) => `${22 + i}:000000000000`));
  ingest.close();
  /* By command; what makes a message that is too large for the log goes in parts. */
  const input = Array.from({ length: 3000 }, (_, i) => JSON.stringify(m(`line${i % 10}`, { i, pad: 'x'.repeat(1000) }))).join('\n');
  const told = await run(['ingest', '--url', b.http, '-'], { input });
  assert.equal(told.code, 0, told.stderr);
  const published = await figure(b, 'stele_log_published_total');
  assert.equal((await lastOf(broker)) - 20, published);
  await reaches(a, await lastOf(broker));
  assert.equal((await rowOf(a, 'line9')).i, 2999);
  assert.deepEqual(await rowOf(a, 'w'), { ...(await rowOf(b, 'w')), i: 4 });
  assert.equal(await figure(a, 'stele_log_published_total'), 20);
  assert.equal(await figure(b, 'stele_log_writes_waiting'), 0);
  assert.equal(await figure(b, 'stele_log_writes_failed_total'), 0);
  assert.equal(await figure(b, 'stele_log_write_seconds_count'), published);
  await alike(a, b);
});

test('what a node can refuse by itself is not published', { skip }, async (t) => {
  const broker = await brokerWithStream(t, { max_msg_size: 4000 });
  const server = await node(t, broker);
  const refused = async (feed, status, what, headers) => {
    const answer = await tryPost(server, feed, headers);
    assert.equal(answer.status, status, answer.text);
    assert.match(answer.text, what);
  };
  await refused('no JSON\n', 400, /line 1/);
  await refused([m('x', {}, { slot: 1, index: 1, if: 'newer' })], 400, /means nothing in a log/);
  await refused([batch(1, [m('x')], { producer: '@log' })], 400, /@log/);
  await refused([m('x', { pad: 'x'.repeat(4000) })], 413, /makes a message of \d+ bytes, and the log takes at most 4000/);
  assert.equal(await lastOf(broker), 0);
  await post(server, [m('x', { pad: 'x'.repeat(3500) })]);
  assert.equal(await lastOf(broker), 1);
});

test('one producer writes through two nodes at once: each batch is applied once', { skip }, async (t) => {
  const broker = await brokerWithStream(t);
  const nodes = [await node(t, broker), await node(t, broker, { config: { commit_mutations: 3 } })];
  const ways = await Promise.all(nodes.map((server) => Ingest.open(server)));
  const total = 200;
  let applied = 0;
  let duplicates = 0;
  for (const ingest of ways) ingest.answers = [];
  for (let i = 1; i <= total; i++)
    for (const ingest of ways) ingest.answers.push(ingest.send(batch(i, [m('list', { n: [i] }, { append: ['n'] })])));
  for (const ingest of ways)
    for (const answer of await Promise.all(ingest.answers)) {
      applied += answer.applied;
      duplicates += answer.duplicate;
    }
  assert.deepEqual([applied, duplicates], [total, total]);
  for (const ingest of ways) ingest.close();
  for (const server of nodes) {
    await reaches(server, await lastOf(broker));
    assert.deepEqual((await rowOf(server, 'list')).n, Array.from({ length: total }, (_, i) => i + 1).slice(-100));
  }
  await alike(...nodes);
});

test('a repetition to another node is a repetition: by batch, and by Idempotency-Key', { skip }, async (t) => {
  const broker = await brokerWithStream(t);
  const nodes = [await node(t, broker), await node(t, broker)];
  const [a, b] = nodes;
  const first = await post(a, [batch(7, [m('k', { n: [1] }, { append: ['n'] })], { mark: 'here' })]);
  const again = await post(b, [batch(7, [m('k', { n: [1] }, { append: ['n'] })])]);
  assert.deepEqual(again, { applied: 0, ignored: 0, duplicate: 1, last_batch: 7, mark: 'here' });
  for (const server of nodes) {
    await reaches(server, 2);
    const { batch: last, seq } = await producerOf(server);
    assert.deepEqual([last, seq], [7, first.seq]);
  }
  const key = { 'idempotency-key': 'order-1' };
  const keyed = await tryPost(a, [m('k', { n: [2] }, { append: ['n'] })], key);
  const replayed = await tryPost(b, [m('k', { n: [2] }, { append: ['n'] })], key);
  assert.equal(keyed.headers['idempotency-replayed'], undefined);
  assert.deepEqual([replayed.status, replayed.text, replayed.headers['idempotency-replayed']], [200, keyed.text, 'true']);
  for (const server of nodes) {
    const other = await tryPost(server, [m('k', { n: [3] }, { append: ['n'] })], key);
    assert.deepEqual([other.status, other.json.code], [422, 'idempotency-key-reused']);
  }
  const last = await lastOf(broker);
  for (const server of nodes) {
    await reaches(server, last);
    assert.deepEqual((await rowOf(server, 'k')).n, [1, 2]);
  }
  await alike(a, b);
});

/* ---- refusals ---- */

const key = newKey();
const auth = { mode: 'signed', keys: [key.x], metrics: 'all', status: 'all' };
const tokenFor = (sub, more = {}) => tokenOf(key, { sub, ...more });
const admin = tokenFor('root', { scope: 'read write admin' });

test('every node refuses alike, and says so to who asked', { skip }, async (t) => {
  const broker = await brokerWithStream(t);
  const config = { auth, exports: { E: {} }, unknown_exports: 'refuse', max_entity_bytes: 2000, max_producers: 2, max_idempotency_keys: 2 };
  const nodes = [await node(t, broker, { config }), await node(t, broker, { config: { ...config, commit_mutations: 1 } })];
  const ada = bearer(tokenFor('ada "ä"')); /* a subject may hold anything */
  const bob = bearer(tokenFor('bob'));
  await tryPost(nodes[0], [batch(5, [m('k')])], ada);
  const cases = [
    ['producer-taken', [batch(9, [m('k')])], bob],
    ['out-of-order', [batch(9, [m('k')], { previous: 8 })], ada],
    ['unknown-export', [m('k', {}, { export: 'Nosuch' })], ada],
    ['too-large', [m('k', { pad: 'x'.repeat(1500), more: 'y'.repeat(600) })], ada],
    ['producer-limit-exceeded', [batch(1, [], { producer: 'q' }), batch(1, [], { producer: 'r' })], ada],
  ];
  for (const [code, feed, headers] of cases)
    for (const server of nodes) {
      const answer = await tryPost(server, feed, headers);
      assert.equal(answer.json.code, code, answer.text);
      if (code === 'out-of-order') assert.equal(answer.json.last_batch, 5);
    }
  /* Keys that are kept for a day are bounded, on every node alike. */
  for (let i = 0; i < 4; i++) {
    const answer = await tryPost(nodes[i % 2], [m('k', { i })], { ...bob, 'idempotency-key': `key-${i}` });
    assert.equal(answer.status, i < 2 ? 200 : 429, answer.text);
  }
  const last = await lastOf(broker);
  for (const server of nodes) {
    await reaches(server, last);
    assert.equal(await figure(server, 'stele_log_messages_refused_total'), cases.length * nodes.length + 2);
  }
  /* A producer is forgotten everywhere, by its own subject. */
  const forget = (server, headers) => http(`${server.http}/v1/producers/p`, { method: 'DELETE', headers });
  assert.equal((await forget(nodes[0], bob)).status, 404);
  const gone = await forget(nodes[1], ada);
  assert.deepEqual([gone.status, gone.json.batch], [200, 5]);
  assert.equal((await forget(nodes[0], ada)).status, 404);
  const again = await tryPost(nodes[0], [batch(1, [m('k', { again: true })])], bob);
  assert.equal(again.json.applied, 1);
  assert.equal((await http(`${nodes[0].http}/v1/producers/@log`, { method: 'DELETE', headers: bearer(admin) })).status, 400);
  await reaches(nodes[1], await lastOf(broker));
  await alike(...nodes);
});

test('what is sent behind a refused batch on one connection is refused, too, until that comes again', { skip }, async (t) => {
  const broker = await brokerWithStream(t);
  const config = { exports: { E: { max_array_length: 0 } }, max_entity_bytes: 2000 };
  const nodes = [await node(t, broker, { config }), await node(t, broker, { config })];
  const ingest = await Ingest.open(nodes[0]);
  const settled = async (requests) => (await Promise.allSettled(requests.map((request) => ingest.send(request)))).map(({ value, reason }) => (value ? (value.duplicate ? 'duplicate' : 'applied') : reason.answer.error.code));
  const add = (number) => batch(number, [m('list', { n: [number] }, { append: ['n'] })]);
  const large = (number) => batch(number, [m('x', { pad: 'x'.repeat(3000) })]);
  assert.deepEqual(await settled([add(1), large(2), add(3), add(4), { mutations: [m('free')] }]), ['applied', 'too-large', 'out-of-order', 'out-of-order', 'applied']);
  assert.deepEqual(await settled([add(4), add(3)]), ['out-of-order', 'out-of-order']);
  assert.deepEqual(await settled([add(2), add(3), add(4), add(4), add(1)]), ['applied', 'applied', 'applied', 'duplicate', 'duplicate']);
  /* Others with the same name do not disturb that. */
  const other = await Ingest.open(nodes[1]);
  assert.equal((await other.send(add(5))).applied, 1);
  assert.deepEqual(await settled([add(5), add(6)]), ['duplicate', 'applied']);
  other.close();
  ingest.close();
  for (const server of nodes) {
    await reaches(server, await lastOf(broker));
    assert.deepEqual((await rowOf(server, 'list')).n, [1, 2, 3, 4, 5, 6]);
  }
  await alike(...nodes);
});

/* ---- when something fails ---- */

test('a broker that does not answer: log-unavailable, and the repetition is there once', { skip }, async (t) => {
  const broker = await brokerWithStream(t);
  const server = await node(t, broker, { log: { max_write_seconds: 1 } });
  await post(server, [batch(1, [m('list', { n: [1] }, { append: ['n'] })])]);
  const second = [batch(2, [m('list', { n: [2] }, { append: ['n'] })])];
  await freeze(broker.child);
  const answer = await tryPost(server, second);
  assert.deepEqual([answer.status, answer.json.code, answer.json.retryable], [503, 'log-unavailable', true]);
  assert.match(answer.json.message, /no broker has said within 1 s that the log has the request; it may have it/);
  assert.ok(Number(answer.headers['retry-after']) > 0);
  await eventually(async () => (await server.get('/ready/write')).text === 'NOT READY: log-unavailable', 'it says so');
  assert.equal((await http(`${server.http}/v1/views/E/list`)).status, 200, 'reads go on');
  /* Then nothing is published any more, and that is said, too. */
  let unpublished;
  await eventually(async () => /nothing of the request was published/.test((unpublished = await tryPost(server, second)).text), () => `nothing was published: ${unpublished.text}`);
  assert.equal(unpublished.json.code, 'log-unavailable');
  const failed = await figure(server, 'stele_log_writes_failed_total');
  assert.ok(failed >= 2);
  await tryPost(server, second);
  assert.equal(await figure(server, 'stele_log_writes_failed_total'), failed + 1);
  broker.child.kill('SIGCONT');
  await takes(server);
  const again = await post(server, second);
  assert.equal(again.applied + again.duplicate, 1);
  assert.deepEqual((await rowOf(server, 'list')).n, [1, 2]);
  await server.logged(/warning follow log-not-writable/);
  await server.logged(/info follow log-writable/);
});

test('without its broker a node refuses what it cannot publish, and takes it when the broker is back', { skip }, async (t) => {
  const broker = await brokerWithStream(t);
  const server = await node(t, broker, { log: { max_write_seconds: 60 } });
  await broker.stop();
  await eventually(async () => (await server.get('/ready/write')).text === 'NOT READY: log-unavailable', 'it says so');
  const waiting = tryPost(server, [m('a', { waited: true })]);
  await eventually(async () => (await figure(server, 'stele_log_writes_waiting')) === 1, 'it waits');
  await broker.start();
  assert.equal((await waiting).status, 200);
  assert.equal((await rowOf(server, 'a')).waited, true);
});

test('a node that has published and cannot apply says node-behind; killed then, the repetition elsewhere is there once', { skip }, async (t) => {
  const broker = await brokerWithStream(t);
  const a = await node(t, broker, { log: { max_write_seconds: 1 } });
  const b = await node(t, broker);
  const add = (number) => [batch(number, [m('list', { n: [number] }, { append: ['n'] })])];
  await post(a, add(1));
  const shell = await hold(t, a);
  const late = await tryPost(a, add(2));
  assert.deepEqual([late.status, late.json.code, late.json.retryable], [503, 'node-behind', true], late.text);
  assert.match(late.json.message, /the log has the request as its message 2, but this node has not come to it within 1 s/);
  const lost = tryPost(a, add(3)).catch((error) => error);
  await eventually(async () => (await lastOf(broker)) === 3, 'it is published');
  await a.kill9();
  assert.ok((await lost) instanceof Error, 'no answer');
  assert.equal((await post(b, add(2))).duplicate, 1);
  assert.equal((await post(b, add(3))).duplicate, 1);
  shell.kill('SIGKILL');
  await once(shell, 'exit');
  await a.restart();
  await reaches(a, await lastOf(broker));
  for (const server of [a, b]) assert.deepEqual((await rowOf(server, 'list')).n, [1, 2, 3]);
  await alike(a, b);
});

test('a node that stops answers what it has published, or closes; it never acknowledges what is not there', { skip }, async (t) => {
  const broker = await brokerWithStream(t);
  const server = await node(t, broker);
  const ingest = await Ingest.open(server);
  const acknowledged = [];
  for (let i = 1; i <= 300; i++) ingest.send(batch(i, [m(`k${i}`)])).then(() => acknowledged.push(i), () => {});
  await eventually(() => acknowledged.length > 0, 'some are acknowledged');
  await server.terminate();
  await ingest.closed;
  const fresh = await node(t, broker);
  await reaches(fresh, await lastOf(broker));
  const rows = await sqlView(fresh.db, 'E/list');
  for (const i of acknowledged) assert.ok(rows.has(`k${i}`), `k${i} was acknowledged`);

  /* Soon, too, when its broker does not answer. */
  const stuck = await Ingest.open(fresh);
  await freeze(broker.child);
  const answer = stuck.send({ mutations: [m('stuck')] }).then(() => 'acknowledged', (error) => (error instanceof Nack ? error.answer.error.code : 'closed'));
  await eventually(async () => (await figure(fresh, 'stele_log_writes_waiting')) === 1, 'it waits');
  await fresh.terminate();
  assert.match(await answer, /^(log-unavailable|closed)$/);
  broker.child.kill('SIGCONT');
});

test('a client that leaves disturbs nothing', { skip }, async (t) => {
  const broker = await brokerWithStream(t);
  const server = await node(t, broker);
  const leaving = await Ingest.open(server);
  for (let i = 1; i <= 100; i++) leaving.send({ mutations: [m(`gone${i}`)] });
  leaving.destroy();
  for (let i = 0; i < 20; i++) assert.equal((await post(server, [m('stays', { i })])).applied, 1);
  await eventually(async () => (await figure(server, 'stele_log_writes_waiting')) === 0, 'nothing is left');
  assert.equal(await figure(server, 'stele_log_writes_bytes'), 0);
});

test('what waits for the log is bounded, and one that has most of it leaves room for others', { skip }, async (t) => {
  const broker = await brokerWithStream(t);
  const server = await node(t, broker, { config: { auth, queue_bytes: 16 << 20 }, log: { max_write_seconds: 300 } });
  await freeze(broker.child);
  const pad = 'x'.repeat(900_000);
  const answers = [];
  const flood = [];
  for (let i = 0; i < 60; i++)
    flood.push(tryPost(server, [m(`flood${i}`, { pad })], bearer(tokenFor('flood'))).then((answer) => answers.push(answer)));
  await eventually(() => answers.length > 0, 'some are refused');
  for (const answer of answers) assert.deepEqual([answer.status, answer.json.code], [503, 'queue-full'], answer.text);
  assert.ok((await figure(server, 'stele_log_writes_bytes')) <= 16 << 20);
  const others = Array.from({ length: 3 }, (_, i) => tryPost(server, [m(`other${i}`)], bearer(tokenFor(`other${i}`))));
  const early = await Promise.race([...others.map((answer) => answer.then(({ status }) => status)), new Promise((done) => setTimeout(() => done('waits'), 300))]);
  assert.equal(early, 'waits', 'others are taken in');
  broker.child.kill('SIGCONT');
  for (const answer of await Promise.all(others)) assert.equal(answer.status, 200, answer.text);
  await Promise.all(flood);
  const taken = answers.filter(({ status }) => status === 200).length;
  assert.ok(taken > 0 && taken < 60, `${taken} of 60 were taken`);
  assert.equal((await sqlView(server.db, 'E/list')).size, taken + 3);
});

test('a log that takes nothing has room for commands, counts what is kept compressed, and lets its node stop', { skip }, async (t) => {
  const broker = await brokerWithStream(t);
  const server = await node(t, broker, { config: { auth }, log: { max_write_seconds: 300 } });
  const root = bearer(admin);
  await freeze(broker.child);
  /* Many empty members and a line: it is long compressed alone. */
  const long = Buffer.concat([...Array(100_000).fill(gzipSync('')), gzipSync(JSON.stringify(m('long')))]);
  const waiting = [tryPost(server, long, { ...bearer(tokenFor('long')), 'content-encoding': 'gzip' })];
  await eventually(async () => (await figure(server, 'stele_log_writes_bytes')) >= long.length, 'it counts');
  const feeds = await Promise.all(['a', 'b', 'c'].map((name) => Ingest.open(server, { headers: bearer(tokenFor(name)) })));
  for (const feed of feeds) for (let i = 0; i < 512; i++) feed.send({ mutations: [m(`k${i}`)] }).catch(() => {});
  await eventually(async () => (await figure(server, 'stele_log_writes_waiting')) === 1024, 'no more are taken');
  waiting.push(http(`${server.http}/v1/revocations`, { method: 'POST', headers: root, body: JSON.stringify({ jti: 'stolen' }) }));
  waiting.push(http(`${server.http}/v1/producers/p`, { method: 'DELETE', headers: root }));
  await eventually(async () => (await figure(server, 'stele_log_writes_waiting')) === 1026, 'commands are');
  for (const name of ['%ff', 'x'.repeat(300)]) assert.equal((await http(`${server.http}/v1/producers/${name}`, { method: 'DELETE', headers: root })).status, 404, 'no producer has that name');
  const began = Date.now();
  await server.terminate();
  assert.ok(Date.now() - began < 60_000, 'it does not wait until their time is over');
  for (const answer of await Promise.allSettled(waiting)) assert.ok(answer.status === 'rejected' || answer.value.status === 503, JSON.stringify(answer.value));
  broker.child.kill('SIGCONT');
});

/** Sends batches to one node after the other, until each is acknowledged; it says what it got. */
async function produce(nodes, name, total, told) {
  let at = 0;
  let acknowledged = 0;
  const answers = { repeated: 0, failed: 0 };
  while (acknowledged < total) {
    const server = nodes[at++ % nodes.length];
    const ingest = await Ingest.open(server).catch(() => null);
    if (!ingest) {
      answers.failed++;
      await new Promise((done) => setTimeout(done, 100));
      continue;
    }
    let next = acknowledged + 1;
    let going = true;
    const under = new Set();
    while (going && (acknowledged < total || under.size)) {
      while (going && next <= total && under.size < 16) {
        const number = next++;
        const sent = ingest.send({ producer: name, batch: number, mutations: [{ export: 'E', key: name, patch: { n: [number] }, append: ['n'] }] }).then(
          ({ duplicate }) => {
            acknowledged = Math.max(acknowledged, number);
            answers.repeated += duplicate;
            told(acknowledged);
          },
          () => (going = false),
        );
        under.add(sent);
        sent.then(() => under.delete(sent));
      }
      await Promise.race(under);
      if (!going) answers.failed++;
    }
    ingest.destroy();
    await Promise.allSettled(under);
  }
  return answers;
}

test('brokers and nodes are killed under load: what was acknowledged is there once, on every node', { skip }, async (t) => {
  const kills = Number(process.env.STELE_KILLS ?? 1);
  const broker = await (kills > 1 ? Broker.clusterForTest(t) : Broker.forTest(t));
  await eventually(() => broker.make('stele', { num_replicas: kills > 1 ? 3 : 1 }).then(() => true, () => false), 'the stream is made');
  const config = { exports: { E: { max_array_length: 0 } } };
  const nodes = [await node(t, broker, { config, log: { max_write_seconds: 2 } }), await node(t, broker, { config, log: { max_write_seconds: 2 } })];
  const names = ['p', 'q', 'r'];
  const total = kills * 900;
  const far = Object.fromEntries(names.map((name) => [name, 0]));
  const least = () => Math.min(...Object.values(far));
  const load = Promise.all(names.map((name, i) => produce(i ? nodes : [...nodes].reverse(), name, total, (number) => (far[name] = number))));
  for (let i = 0; i < kills; i++) {
    await eventually(() => least() > (i + 0.3) * 600, () => `the load goes on: ${JSON.stringify(far)}`);
    await nodes[i % 2].kill9();
    const member = kills > 1 ? await broker.leader() : broker;
    await member.stop();
    await nodes[i % 2].restart().catch(() => nodes[i % 2].restart());
    await member.start();
  }
  const answers = await load;
  assert.ok(answers.some(({ failed }) => failed), 'some were answered with an error, or not at all');
  const last = await lastOf(broker);
  const expected = Array.from({ length: total }, (_, i) => i + 1);
  for (const server of nodes) {
    await reaches(server, last);
    for (const name of names) assert.deepEqual((await rowOf(server, name)).n, expected, name);
  }
  await alike(...nodes);
});

test('a node publishes to the subject of its stream, or to the one that is set', { skip }, async (t) => {
  const broker = await Broker.forTest(t);
  await broker.make('stele', { subjects: ['in.>'] });
  const config = { log: logOf(broker) };
  const server = await Server.forTest(t, { config });
  await eventually(async () => (await server.get('/ready/write')).text === 'NOT READY: not-implemented', 'it does not know where');
  const answer = await tryPost(server, [m('a')]);
  assert.equal(answer.status, 501);
  assert.match(answer.text, /does not know to which subject of the stream 'stele' it should publish: set log.subject/);
  await server.terminate();
  await server.restart({ config: { log: { ...config.log, subject: 'in.here' } } });
  await takes(server);
  await post(server, [m('a')]);
  const [message] = [await broker.manager.streams.getMessage('stele', { seq: 1 })];
  assert.equal(message.subject, 'in.here');
  /* The stream does not take that one. */
  await server.terminate();
  await server.restart({ config: { log: { ...config.log, subject: 'out' } } });
  await eventually(async () => (await server.get('/ready/write')).text === 'NOT READY: not-implemented', 'it says so');
  const refused = await tryPost(server, [m('b')]);
  assert.deepEqual([refused.status, refused.json.code], [501, 'not-implemented']);
  assert.match(refused.text, /'stele' does not take the subject 'out' \(log.subject\)/);
});

/** Who does not say who it is may read, and publish what `allowed` says. */
const rulesFor = (allowed) =>
  `authorization { users: [{user: root, password: root}, {user: node, password: node, permissions: {publish: {allow: ["$JS.>", "_INBOX.>"${allowed}]}, subscribe: ">"}}] }\nno_auth_user: node\n`;

test('a node that may not publish says so before anybody writes, and looks again', { skip }, async (t) => {
  const broker = await Broker.forTest(t, { rules: rulesFor('') });
  await broker.make();
  const server = await Server.forTest(t, { config: { log: logOf(broker) } });
  await eventually(async () => (await server.get('/ready/write')).text === 'NOT READY: log-forbidden', () => `it says so: ${server.stderr}`);
  assert.match(server.stderr, /log-not-writable error="the broker does not let this node publish to 'stele': allow its user [^"]*log.credentials_file"/);
  assert.equal((await server.get('/ready')).text, 'READY');
  const refused = await tryPost(server, [m('a')]);
  assert.deepEqual([refused.status, refused.json.code, refused.json.retryable], [503, 'log-forbidden', true]);
  /* The broker comes back with other rules, and then with the former ones. */
  const comesBack = async (rules) => {
    await broker.stop();
    broker.rules = rules;
    await broker.start();
  };
  await comesBack(rulesFor(', "stele"'));
  await takes(server);
  await post(server, [m('a')]);
  await comesBack(rulesFor(''));
  await eventually(async () => (await server.get('/ready/write')).text === 'NOT READY: log-forbidden', 'it looks again');
  /* Nothing was published but what was written. */
  assert.equal((await broker.manager.streams.info('stele')).state.last_seq, 1);
});

test('what meets nobody who takes it makes the node not writable, until somebody does', { skip }, async (t) => {
  const broker = await brokerWithStream(t);
  const server = await node(t, broker);
  await takes(server);
  await broker.manager.streams.update('stele', { subjects: ['elsewhere'] });
  const answer = tryPost(server, [m('a')], { 'idempotency-key': 'k' });
  assert.deepEqual([(await answer).status, (await answer).json.code], [503, 'log-unavailable']);
  assert.match((await answer).text, /no stream takes its subject, or it has no leader, so nothing of it was published/);
  await eventually(async () => /^NOT READY: /.test((await server.get('/ready/write')).text), 'it says so');
  await broker.manager.streams.update('stele', { subjects: ['stele'] });
  await takes(server);
  await post(server, [m('a')]);
});

test('a lost message is no reason not to write, if others are acknowledged; a log that takes nothing is', { skip }, async (t) => {
  const broker = await brokerWithStream(t);
  const filter = await filterFor(t, broker, (head, bytes) => bytes.includes('"lost"'));
  const server = await Server.forTest(t, { config: { log: { ...logOf(broker), nats: [filter.url], max_write_seconds: 1 } } });
  await takes(server);
  const lost = tryPost(server, [m('lost')]);
  await eventually(() => filter.dropped === 1, 'it is lost');
  await post(server, [m('a')]);
  const answer = await lost;
  assert.deepEqual([answer.status, answer.json.code], [503, 'log-unavailable']);
  assert.match(answer.text, /no broker has said within 1 s that the log has the request/);
  await post(server, [m('b')]);
  assert.doesNotMatch(server.stderr, /log-not-writable error="the broker does not/);
  assert.equal((await server.get('/ready/write')).text, 'READY');
  /* Now nothing is taken; not even what only asks whether it would be. */
  filter.drops = (head) => /^H?PUB stele /.test(head);
  await eventually(async () => {
    assert.equal((await tryPost(server, [m('c')])).json.code, 'log-unavailable');
    return /log-not-writable error="the broker does not acknowledge what it is sent"/.test(server.stderr);
  }, 'it counts as gone; what was acknowledged before may be heard of after the first of these was sent');
  await eventually(async () => (await server.get('/ready/write')).text === 'NOT READY: log-unavailable', 'it says so');
  assert.equal((await tryPost(server, [m('d')])).json.code, 'log-unavailable');
  filter.drops = () => false;
  await takes(server);
  await post(server, [m('e')]);
});

test('a message with a header that no node made is refused by all', { skip }, async (t) => {
  const broker = await brokerWithStream(t);
  const nodes = [await node(t, broker), await node(t, broker)];
  const wrong = ['{', '{}', '[]', '{"node":"0123456789abcdef","number":1,"form":"what"}', '{"node":"0123456789abcdef","number":1,"form":"lines","more":1}', '{"node":"0123456789abcdef","number":-1,"form":"lines"}', '{"node":"0123456789abcdef","number":1,"form":"revoke"}', '{"node":"0123456789abcdef","number":1,"form":"forget"}'];
  for (const value of wrong) {
    const headers = natsHeaders();
    headers.set('Stele', value);
    await broker.stream.publish('stele', JSON.stringify(m('x')), { headers });
  }
  for (const server of nodes) {
    await reaches(server, wrong.length);
    assert.equal(await figure(server, 'stele_log_messages_refused_total'), wrong.length);
  }
  await post(nodes[0], [m('y')]);
  await reaches(nodes[1], wrong.length + 1);
  await alike(...nodes);
});

test('a message of a newer version stops a node before it, for an upgrade', { skip }, async (t) => {
  const broker = await brokerWithStream(t);
  const server = await node(t, broker);
  await post(server, [m('a')]);
  const headers = natsHeaders();
  headers.set('Stele', '{"node":"0123456789abcdef","number":1,"form":"lines","version":2,"what":"is not known"}');
  await broker.stream.publish('stele', JSON.stringify(m('b')), { headers });
  await broker.publish([JSON.stringify(m('c'))]);
  await server.logged(/log-newer problem="message 2 is of version 2, and this program knows messages up to version 1: upgrade this node/);
  await eventually(async () => (await server.get('/ready')).text === 'NOT READY: log-newer', 'it says so');
  assert.equal((await server.get('/ready/write')).status, 503);
  assert.equal((await tryPost(server, [m('d')])).json.code, 'log-unavailable');
  assert.deepEqual((await http(`${server.http}/v1/views/E/list`)).json.rows.map(({ key }) => key), ['a'], 'reads go on');
  /* It is not passed over later, nor at a start. */
  await server.kill9();
  await server.restart();
  await server.logged(/log-newer problem.*log-newer problem/s);
  assert.deepEqual([await figure(server, 'stele_log_position'), await figure(server, 'stele_log_messages_refused_total')], [1, 0]);
  assert.equal((await server.get('/ready')).status, 503);
});

/* ---- revocations ---- */

test('a token that is revoked by one node is refused by all, for good', { skip }, async (t) => {
  const broker = await brokerWithStream(t);
  const config = { auth, exports: { E: {} } };
  const [a, b] = [await node(t, broker, { config }), await node(t, broker, { config })];
  const stolen = tokenFor('ada', { jti: 'stolen "ä"' });
  const client = await clientFor(t, b, { headers: bearer(stolen) });
  const ids = async (server) => (await http(`${server.http}/v1/revocations`, { headers: bearer(admin) })).json.revocations.map(({ jti }) => jti);
  const revoke = (server, body) => http(`${server.http}/v1/revocations`, { method: 'POST', headers: bearer(admin), body: JSON.stringify(body) });
  const answer = await revoke(a, { jti: 'stolen "ä"', expires_at: unixNow() + 3600 });
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(await ids(a), ['stolen "ä"']);
  const end = await within(client.closed, 'the end of the session at the other node');
  assert.deepEqual([end.code, end.reason], [1008, 'token-expired: the token has been revoked']);
  const isRefused = async (server) => (await http(`${server.http}/v1/views/E/list`, { headers: bearer(stolen) })).json.code === 'token-expired';
  await b.kill9();
  await b.restart();
  for (const server of [a, b]) {
    assert.ok(await isRefused(server));
    assert.deepEqual(await ids(server), ['stolen "ä"']);
  }
  const fresh = await node(t, broker, { config });
  assert.ok(await isRefused(fresh));
  const times = await Promise.all([a, b, fresh].map((server) => sql(server.db, 'SELECT * FROM revoked_token')));
  assert.deepEqual(times[1], times[0]);
  assert.deepEqual(times[2], times[0]);

  /* By command; and where it cannot be published, the node that was asked refuses the token all the same. */
  const file = `${a.db}.token`;
  writeFileSync(file, admin);
  const told = await run(['token', 'revoke', '--url', b.http, '--token-file', file, 'another']);
  assert.equal(told.code, 0, told.stderr);
  await reaches(a, await lastOf(broker));
  assert.deepEqual((await ids(a)).sort(), ['another', 'stolen "ä"']);
  await broker.stop();
  await a.terminate();
  await a.restart({ config: { ...config, log: logOf(broker, 'stele', { max_write_seconds: 1 }) } });
  const third = tokenFor('ada', { jti: 'third' });
  const failed = await revoke(a, { jti: 'third' });
  assert.equal(failed.json.code, 'log-unavailable', failed.text);
  assert.match(failed.json.message, /the token is refused by this node until it stops/);
  assert.equal((await http(`${a.http}/v1/views/E/list`, { headers: bearer(third) })).json.code, 'token-expired');
});

for (const [answer, told] of [['{"no":"stream"}', 'what answers is no stream: {"no":"stream"}'], ['', 'what answers is no stream, and says nothing']])
  test(`who answers in the place of the stream, by '${answer}', is told`, { skip }, async (t) => {
    const broker = await brokerWithStream(t, { no_ack: true });
    broker.connection.subscribe('stele', { callback: (error, message) => message.respond(answer) });
    await broker.connection.flush();
    const server = await Server.forTest(t, { config: { log: logOf(broker, 'stele') } });
    await server.logged(/log-not-writable error=/);
    assert.ok(server.stderr.replaceAll('\\"', '"').includes(`the log takes nothing: ${told}"`), server.stderr);
  });

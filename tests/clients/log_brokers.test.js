// Three brokers that are one cluster, and nodes of their stream: the broker that leads is killed under load, and two of
// three are gone. It takes seconds until brokers agree upon a leader. Skipped where no nats-server is installed.
//
// STELE_KILLS kills of the leader (default 1), each after STELE_KILL_SECONDS of peace (default 1); NATS_SERVER names the
// program of the brokers. One from 2.10 on writes to disk before it acknowledges.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { Broker, content, figure, hasBroker, node, reaches } from './lib/broker.js';
import { tryPost } from './lib/feed.js';
import { Server, check, eventually, scratch, sqlView } from './lib/server.js';
import { makePair } from './lib/tls.js';

const skip = hasBroker ? false : 'nats-server is not installed (tools/setup test brings it)';
const KILLS = Number(process.env.STELE_KILLS ?? 1);
const KILL_MS = 1000 * Number(process.env.STELE_KILL_SECONDS ?? 1);
const PRODUCERS = 3;
const PACE_MS = 15;

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function cluster(t) {
  const broker = await Broker.clusterForTest(t);
  await eventually(() => broker.make('stele', { num_replicas: 3 }).then(() => true, () => false), 'the cluster makes the stream');
  return broker;
}

/* ---- what was acknowledged, kept by those who publish ---- */

/* Each message has a row of its own, to whose list it appends its number. So a row says how often its message counted. */
const change = (key, batch) => ({ export: 'E', key, patch: { n: [batch] }, append: ['n'] });

/** One batch after the other, each again until it is acknowledged: its number decides of repetitions. */
async function produce(broker, load, name) {
  for (let batch = 1; load.going; batch++) {
    const body = { producer: name, batch, mutations: [change(`${name}-${batch}`, batch), change(`${name}-again-${batch}`, batch)] };
    load.acknowledgedAt = await broker.publish([body], { patient: true });
    load.sure.set(`${name}-${batch}`, batch).set(`${name}-again-${batch}`, batch);
    await sleep(PACE_MS);
  }
}

/** Each message once: what is not acknowledged may be there or not. */
async function shout(broker, load) {
  for (let number = 1; load.going; number++) {
    const key = `once-${number}`;
    const told = await broker.publish([change(key, number)]).then(() => true, () => false);
    (told ? load.sure : load.unsure).set(key, number);
    await sleep(PACE_MS);
  }
}

function begin(broker) {
  const load = { going: true, sure: new Map(), unsure: new Map(), acknowledgedAt: 0 };
  const all = [shout(broker, load), ...Array.from({ length: PRODUCERS }, (_, i) => produce(broker, load, `p${i}`))];
  load.end = async () => {
    load.going = false;
    await Promise.all(all);
  };
  return load;
}

/* ---- the checker: it knows what was acknowledged, and reads the file ---- */

async function checkState(db, { sure, unsure }) {
  const rows = await sqlView(db, 'E/list');
  const listOf = (key) => JSON.parse(rows.get(key)?.data ?? '{}').n;
  const wrong = [];
  for (const [key, number] of sure) if (JSON.stringify(listOf(key)) !== `[${number}]`) wrong.push(`${key} was acknowledged, and has ${JSON.stringify(listOf(key))}`);
  for (const [key, number] of unsure) if (rows.has(key) && JSON.stringify(listOf(key)) !== `[${number}]`) wrong.push(`${key} has ${JSON.stringify(listOf(key))}`);
  for (const key of rows.keys()) if (!sure.has(key) && !unsure.has(key)) wrong.push(`${key} was published by nobody`);
  assert.deepEqual(wrong.slice(0, 10), [], `${wrong.length} rows are wrong`);
}

/** The leader is killed under load, and a node with it; both come again. */
async function killLeaders(t, broker, nodes) {
  const load = begin(broker);
  let longest = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    await sleep(KILL_MS);
    const before = load.acknowledgedAt;
    await eventually(() => load.acknowledgedAt > before + PRODUCERS, 'the load goes on');
    const leader = await broker.leader();
    const victim = nodes[kill % nodes.length];
    await leader.stop();
    const killedAt = Date.now();
    await victim.kill9();
    const at = load.acknowledgedAt;
    await eventually(() => load.acknowledgedAt > at + PRODUCERS, 'another leads');
    await victim.restart();
    for (const server of nodes) await reaches(server, at + 1);
    longest = Math.max(longest, Date.now() - killedAt);
    await leader.start();
  }
  await load.end();
  t.diagnostic(`${KILLS} kills, ${load.sure.size} acknowledged changes, ${load.unsure.size} unsure; every node had something new after ${longest} ms at most`);
  return load;
}

/** With one broker of three: reads go on. In a run with several kills: with two again, all goes on. */
async function loseQuorum(broker, nodes, load) {
  for (const server of nodes) await eventually(async () => (await server.get('/ready')).text === 'READY', 'it has all');
  /* One that led goes on answering until it finds that nobody follows, which may take it a minute. */
  const leader = await broker.leader();
  const kept = broker.members.find((member) => member !== leader);
  const gone = broker.members.filter((member) => member !== kept);
  await Promise.all(gone.map((member) => member.stop()));
  await assert.rejects(broker.stream.publish('stele', JSON.stringify(change('unsure', 1)), { timeout: 500 }));
  load.unsure.set('unsure', 1);
  for (const server of nodes) {
    let said;
    await eventually(async () => (said = (await server.get('/ready')).text) === 'READY, but the log cannot be reached', () => `it says that the log cannot be reached, and not ${said}; its log: ${server.stderr.slice(-1000)}`);
    assert.equal((await server.get('/ready')).status, 200); /* else no node would be ready */
    assert.equal(await figure(server, 'stele_log_ok'), 0);
    await server.logged(/warning follow log-apart/);
    assert.equal((await fetch(`${server.http}/v1/views/E/list?take=1`)).status, 200);
  }
  if (KILLS < 2) return; /* brokers take their time */
  await gone[0].start();
  const again = await broker.publish([change('again', 1)], { patient: true });
  load.sure.set('again', 1);
  for (const server of nodes) {
    await reaches(server, again);
    await eventually(async () => (await figure(server, 'stele_log_ok')) === 1, 'it reads');
  }
}

test('three brokers: what was acknowledged is there once, on every node', { skip }, async (t) => {
  const broker = await cluster(t);
  const nodes = [];
  for (const commit_mutations of [1, 7, 8192]) nodes.push(await node(t, broker, { config: { commit_mutations } }));
  const load = await killLeaders(t, broker, nodes);
  const last = await broker.publish([change('last', 1)], { patient: true });
  load.sure.set('last', 1);
  for (const server of nodes) await reaches(server, last);
  await loseQuorum(broker, nodes, load);
  for (const server of nodes) {
    assert.equal(await figure(server, 'stele_log_messages_refused_total'), 0);
    await server.terminate();
    await check(server.db);
    await checkState(server.db, load);
  }
  for (const other of nodes.slice(1)) assert.equal(await content(other.db), await content(nodes[0].db));
});

test('a broker that knows nothing of the stream is passed over', { skip }, async (t) => {
  const broker = await Broker.forTest(t);
  await broker.make();
  const other = await Broker.forTest(t, { jetstream: false });
  const nats = [other.url, other.url, other.url, broker.url]; /* a node begins with any of them */
  for (let i = 0; i < 4; i++) {
    const last = await broker.publish([change(`k${i}`, 1)]);
    const server = await node(t, broker, { config: { log: { nats, stream: 'stele' } } });
    await reaches(server, last);
    await server.terminate();
  }
});

test('brokers by TLS: their certificate is verified, and so is the name', { skip }, async (t) => {
  const folder = scratch(t);
  const tls = await makePair(folder, 'broker');
  const broker = await Broker.forTest(t, { tls });
  await broker.make();
  const last = await broker.publish([change('a', 1)]);
  const log = { nats: broker.urls, stream: 'stele', ca_file: tls.certificate };
  const server = await node(t, broker, { config: { log } });
  await reaches(server, last);
  await eventually(async () => (await server.get('/ready/write')).text === 'READY', 'it takes writes');
  assert.equal((await tryPost(server, change('b', 1))).status, 200); /* the connection that publishes */
  const other = await makePair(folder, 'other');
  const misnamed = await makePair(folder, 'misnamed', { names: ['DNS:elsewhere'] });
  const posing = await Broker.forTest(t, { tls: misnamed, connect: false });
  const refused = [
    [{ nats: posing.urls, stream: 'stele', ca_file: misnamed.certificate }, /its log cannot be reached/],
    [{ ...log, ca_file: other.certificate }, /its log cannot be reached/],
    [{ nats: broker.urls, stream: 'stele' }, /its log cannot be reached/],
    [{ ...log, nats: broker.urls.map((url) => url.replace('tls', 'nats')) }, /its log cannot be reached/],
    [{ ...log, ca_file: '/nosuch.pem' }, /setting \\?"log.ca_file\\?": cannot read \/nosuch.pem/],
  ];
  await Promise.all(
    refused.map(async ([wrong, what], i) => {
      const { code, stderr } = await Server.refused({ db: join(folder, `x${i}.db`), config: { log: wrong } });
      assert.notEqual(code, 0, JSON.stringify(wrong));
      assert.match(stderr, what);
    }),
  );
});

// Log mode: nodes that follow a stream of a real nats-server. Skipped where none is installed. That nodes end alike is
// held by log_alike.test.js, several brokers by log_brokers.test.js.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, unlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test from 'node:test';
import { Broker, content, epochOf, figure, hasBroker, logOf, node, reaches } from './lib/broker.js';
import { Server, check, eventually, patience, run, scratch, sql, sqlView } from './lib/server.js';
import { fillDisk, smallDisk } from './lib/small_disk.js';

const skip = hasBroker ? false : 'nats-server is not installed (tools/setup test brings it)';
const m = (key, patch = {}, more = {}) => ({ export: 'E', key, patch, ...more });

test('a node applies the stream: seq is the place in it, the position is on disk', { skip }, async (t) => {
  const broker = await Broker.forTest(t);
  await broker.make();
  await broker.publish([m('a', { n: 1 }), `${JSON.stringify(m('a', { n: 2 }))}\n${JSON.stringify(m('b', { n: 3 }, { slot: 900, index: 7 }))}\n`]);
  const server = await node(t, broker);
  await reaches(server, 2);
  const rows = await sqlView(server.db, 'E/list');
  assert.equal(rows.get('a').seq, '2:000000000000');
  assert.equal(rows.get('b').seq, '2:000000000001'); /* its own slot counts for nothing */
  await eventually(async () => (await server.get('/ready')).text === 'READY', 'it has all');
  const { healthy, status, node: told } = await server.status();
  assert.deepEqual([healthy, status, told.condition, told.position, told.lag_messages, told.problem], [true, 'running', 'log-reading', 2, 0, '']);
  const epoch = await epochOf(server);
  await server.terminate();
  await broker.publish([{ producer: 'p', batch: 1, mutations: [m('c')] }, { producer: 'p', batch: 1, mutations: [m('c', { twice: true })] }]);
  await server.restart();
  await reaches(server, 4);
  assert.deepEqual(JSON.parse((await sqlView(server.db, 'E/list')).get('c').data), { _seq: '3:000000000000' });
  assert.equal(await epochOf(server), epoch);
  assert.equal(await figure(server, 'stele_mutations_total{result="duplicate"}'), 1);
  const listed = await (await fetch(`${server.http}/v1/producers/@log`)).json();
  assert.equal(listed.batch, 4);
  await server.terminate();
  await check(server.db);
});

test('a refused message is refused by every node, counted and logged, and its sequence is used up', { skip }, async (t) => {
  const broker = await Broker.forTest(t);
  await broker.make();
  const bad = [
    'no JSON',
    '',
    `${JSON.stringify(m('x'))}\n{"export":"E"}\n`,
    { producer: '@log', batch: 9, mutations: [m('x')] },
    { producer: 'p', batch: 5, previous: 4, mutations: [m('x')] },
    m('x', {}, { slot: 1, index: 1, if: 'newer' }),
    m('x', { pad: 'x'.repeat(3000) }),
    m('x', { pad: 'x'.repeat(1500), more: 'y'.repeat(600) }),
  ];
  const all = bad.flatMap((body, i) => [m(`k${i}`, { n: i }), body]);
  const config = { max_request_bytes: 2500, max_entity_bytes: 2000 };
  const nodes = [await node(t, broker, { config: { ...config, commit_mutations: 1 } }), await node(t, broker, { config })];
  const last = await broker.publish(all);
  for (const server of nodes) {
    await reaches(server, last);
    /* An empty body has no mutations: it is no error, as of POST. */
    assert.equal(await figure(server, 'stele_log_messages_refused_total'), bad.length - 1);
    assert.deepEqual([...(await sqlView(server.db, 'E/state')).keys()], bad.map((_, i) => `k${i}`));
    await server.logged(/warning follow log-message-refused sequence=2 code=invalid-message/);
    await server.logged(/log-message-refused sequence=10 code=out-of-order/);
    await server.logged(/log-message-refused sequence=14 code=too-large/);
    await server.logged(/log-message-refused sequence=16 code=too-large/);
  }
  await nodes[0].kill9();
  await nodes[0].restart();
  assert.equal(await figure(nodes[0], 'stele_log_position'), last);
  for (const server of nodes) await server.terminate();
  assert.equal(await content(nodes[0].db), await content(nodes[1].db));
});

test('a short message that touches many large entities is refused by every node alike', { skip }, async (t) => {
  const broker = await Broker.forTest(t);
  await broker.make();
  const MIB = 1 << 20;
  const config = { max_merge_bytes: 8 * MIB, exports: { E: {}, F: { max_entities: 12 } } };
  const whole = 'y'.repeat(MIB - 1000); /* a message may have 1 MiB */
  for (let i = 0; i < 12; i++) await broker.publish([m(`k${i}`, { pad: whole }), { export: 'F', key: `k${i}`, patch: { pad: whole } }]);
  /* What is in memory: all, nothing, and what one that has just started has. */
  const nodes = [];
  for (const entity_cache_bytes of [64 * MIB, 0, 64 * MIB]) nodes.push(await node(t, broker, { config: { ...config, entity_cache_bytes } }));
  const filled = await broker.publish([m('last')]);
  for (const server of nodes) await reaches(server, filled);
  await nodes[2].terminate();
  await nodes[2].restart();
  const all = (count, make) => Array.from({ length: count }, (_, i) => JSON.stringify(make(i))).join('\n');
  const last = await broker.publish([
    all(12, (i) => m(`k${i}`, { n: i })), /* reads 12 MiB, and writes them */
    all(5, (i) => m(`k${i}`, { n: i })), /* the fifth is the one that goes beyond 8 MiB */
    all(6, (i) => m(`k${i}`, { n: -i })),
    all(12, (i) => ({ export: 'E', key: `k${i}`, op: 'delete' })),
    all(12, (i) => ({ export: 'F', key: `new${i}`, patch: {} })), /* each evicts one */
    all(4, (i) => ({ export: 'E', key: `k${i}`, op: 'delete' })),
  ]);
  for (const server of nodes) {
    await reaches(server, last);
    const refused = [...server.stderr.matchAll(/log-message-refused sequence=(\d+) code=too-large/g)].map(([, sequence]) => Number(sequence));
    assert.deepEqual(refused, [1, 3, 4, 5].map((i) => filled + i));
    await server.terminate();
  }
  for (const other of nodes.slice(1)) assert.equal(await content(other.db), await content(nodes[0].db));
});

/* ---- whose log it is ---- */

test('a file goes with one log and its settings, and a copy with a log keeps its epoch', { skip }, async (t) => {
  const broker = await Broker.forTest(t);
  await broker.make();
  await broker.publish([m('a'), m('b')]);
  const server = await node(t, broker);
  await reaches(server, 2);
  const epoch = await epochOf(server);
  const copy = join(scratch(t), 'copy.db');
  assert.equal((await run(['backup', '--db', server.db, copy])).code, 0);
  await server.terminate();

  const other = await node(t, broker, { db: copy });
  assert.equal(await epochOf(other), epoch);
  await broker.publish([m('c')]);
  await reaches(other, 3);

  const refused = async (config, what) => {
    const { code, stderr } = await Server.refused({ db: server.db, config });
    assert.notEqual(code, 0);
    assert.match(stderr, what);
    assert.match(stderr, /Move the file away/);
  };
  const log = logOf(broker);
  for (const config of [{ exports: { E: {} } }, { max_array_length: 7 }, { unknown_exports: 'refuse' }, { max_merge_bytes: 1 << 20 }, { max_request_bytes: 4096 }, { max_producers: 5 }, { max_idempotency_keys: 7 }])
    await refused({ log, ...config }, /was made with other settings/);
  await broker.make('another');
  await refused({ log: logOf(broker, 'another') }, /follows another stream/);
  await server.restart({ config: { log, commit_mutations: 3, log_level: 'debug' } }); /* these decide nothing */
  assert.equal(await epochOf(server), epoch);
  await server.terminate();

  await broker.manager.streams.delete('stele');
  await broker.make();
  await refused({ log }, /made anew/);
  await eventually(async () => (await other.get('/ready')).text === 'NOT READY: log-replaced', 'the running node sees it');
  assert.equal((await other.get('/ready')).status, 503);
  await other.logged(/error follow log-replaced/);
  assert.equal(await figure(other, 'stele_log_ok'), 0);

  /* Without the log it goes on by itself, under another epoch, and is no node any more. */
  await server.restart({ config: {} });
  assert.notEqual(await epochOf(server), epoch);
  assert.match(server.stderr, /epoch-parted .*it followed a log before/);
  await server.terminate();
  await refused({ log }, /was not made by following a log/);
});

test('a log that begins behind the position is a gap, and so is a hole', { skip }, async (t) => {
  const broker = await Broker.forTest(t);
  await broker.make();
  await broker.publish([m('a'), m('b')]);
  const server = await node(t, broker);
  await reaches(server, 2);
  await server.terminate();
  const whole = join(scratch(t), 'whole.db');
  copyFileSync(server.db, whole);
  await broker.publish([m('c'), m('d'), m('e'), m('f')]);

  await broker.manager.streams.deleteMessage('stele', 4); /* a hole */
  await server.restart();
  await eventually(async () => (await server.get('/ready')).text === 'NOT READY: log-gap', 'it says so');
  await server.logged(/error follow log-gap problem="the stream goes on with message 5, and the next one here is 4: restore a newer backup"/);
  await reaches(server, 3);
  assert.deepEqual([...(await sqlView(server.db, 'E/state')).keys()], ['a', 'b', 'c']);
  const { healthy, status, node: told } = await server.status();
  assert.deepEqual([healthy, status, told.position], [false, 'log-gap', 3]);
  assert.match(told.problem, /goes on with message 5/);
  assert.equal((await fetch(`${server.http}/v1/views/E/list`)).status, 200); /* reads go on */

  await broker.manager.streams.purge('stele', { seq: 6 });
  const other = await node(t, broker, { db: whole });
  await eventually(async () => (await other.get('/ready')).text === 'NOT READY: log-gap', 'it says so');
  await other.logged(/log-gap problem="the stream begins with message 6, and the next one here is 3: restore a newer backup"/);
  assert.deepEqual([...(await sqlView(other.db, 'E/state')).keys()], ['a', 'b']);

  /* Told once, and retried seldom. It stays so without a broker. */
  const gaps = () => server.stderr.split('error follow log-gap').length - 1;
  const begun = () => server.stderr.split('info follow log-reading').length - 1;
  assert.equal(gaps(), 1);
  assert.ok(begun() <= 2, `it began to read ${begun()} times`);
  await broker.stop();
  await server.logged(/follow log-apart/);
  for (let i = 0; i < 10; i++) {
    assert.equal((await server.get('/ready')).text, 'NOT READY: log-gap');
    await new Promise((done) => setTimeout(done, 20));
  }
  await broker.start();

  const late = await node(t, broker); /* from the beginning, which is not there */
  await eventually(async () => (await late.get('/ready')).text === 'NOT READY: log-gap', 'it says so');
});

test('a stream whose last message was deleted is a gap for who has not got it', { skip }, async (t) => {
  const broker = await Broker.forTest(t);
  await broker.make();
  await broker.publish([m('a'), m('b'), m('c')]);
  const server = await node(t, broker);
  await reaches(server, 3);
  await broker.manager.streams.deleteMessage('stele', 3);
  const late = await node(t, broker);
  await eventually(async () => (await late.get('/ready')).text === 'NOT READY: log-gap', 'it says so');
  assert.match(late.stderr, /log-gap problem="the stream has had messages up to 3, and sends none from 3 on/);
  assert.equal(await figure(late, 'stele_log_ok'), 0);
  assert.equal(await figure(late, 'stele_log_lag_messages'), 1);
  await late.terminate();
  await late.restart();
  await eventually(async () => (await late.get('/ready')).text === 'NOT READY: log-gap', 'after a restart, too');
  assert.equal((await server.get('/ready')).text, 'READY');
});

test('a stream that drops what was read is refused; what puts it at risk is told', { skip }, async (t) => {
  const broker = await Broker.forTest(t);
  for (const retention of ['interest', 'workqueue']) {
    await broker.make(retention, { retention });
    const { code, stderr } = await Server.refused({ db: join(scratch(t), 'x.db'), config: { log: logOf(broker, retention) } });
    assert.notEqual(code, 0);
    assert.match(stderr, /drops what was read; make it with retention by limits/);
  }
  await broker.make('risky', { storage: 'memory', max_msgs_per_subject: 5 });
  const server = await Server.forTest(t, { config: { log: logOf(broker, 'risky') } });
  assert.match(server.stderr, /warning follow log-stream-risk stream="risky" problem="it keeps a limited number/);
  assert.match(server.stderr, /warning follow log-stream-risk stream="risky" problem="it is in memory/);
});

/* ---- brokers that go ---- */

test('a broker that is killed under load: nothing lost, nothing twice', { skip }, async (t) => {
  const broker = await Broker.forTest(t);
  await broker.make();
  const server = await node(t, broker);
  const total = 3000;
  const bodies = Array.from({ length: total }, (_, i) => ({ producer: 'p', batch: i + 1, mutations: [{ export: 'E', key: `k${i % 50}`, patch: { n: [i] }, append: ['n'] }] }));
  const published = (async () => {
    for (let at = 0; at < total; at += 50) await broker.publish(bodies.slice(at, at + 50), { patient: true });
  })();
  for (let i = 0; i < 4; i++) {
    await eventually(async () => (await figure(server, 'stele_log_ok')) === 1 && (await figure(server, 'stele_log_position')) > i * 500, 'it reads');
    await broker.stop();
    const { length } = server.stderr;
    await eventually(() => server.stderr.includes('follow log-apart', length), () => `it sees that the broker is gone: ${server.stderr}`, 400);
    assert.equal((await fetch(`${server.http}/v1/views/E/list`)).status, 200);
    assert.equal((await server.get('/ready')).status, 200); /* readers are served without a broker */
    await broker.start();
  }
  await published;
  const { last_seq: last } = (await broker.manager.streams.info('stele')).state;
  await reaches(server, last);
  await eventually(async () => (await figure(server, 'stele_log_lag_messages')) === 0, 'no lag');
  assert.equal(await figure(server, 'stele_log_ok'), 1);
  assert.ok((await figure(server, 'stele_log_reconnects_total')) >= 4);
  const lists = [...(await sqlView(server.db, 'E/list')).values()].map((row) => JSON.parse(row.data).n);
  /* A batch that was published twice is a repetition; one whose number came late is, too: so what is there is in order, once. */
  for (const list of lists) assert.deepEqual(list, [...new Set(list)].sort((a, b) => a - b));
  const twin = await node(t, broker);
  await reaches(twin, last);
  await server.terminate();
  await twin.terminate();
  assert.equal(await content(twin.db), await content(server.db));
});

test('without a broker a node of a log starts with what it has; a new one does not', { skip }, async (t) => {
  const broker = await Broker.forTest(t);
  await broker.make();
  await broker.publish([m('a')]);
  const server = await node(t, broker);
  await reaches(server, 1);
  const epoch = await epochOf(server);
  await server.terminate();
  await broker.stop();
  const fresh = await Server.refused({ db: join(scratch(t), 'fresh.db'), config: { log: logOf(broker) } });
  assert.match(fresh.stderr, /is new, and its log cannot be reached/);
  await server.restart();
  assert.equal(await epochOf(server), epoch);
  assert.deepEqual([...(await sqlView(server.db, 'E/list')).keys()], ['a']);
  assert.deepEqual(await server.get('/ready').then(({ status, text }) => [status, text]), [503, 'NOT READY: the log cannot be reached']);
  await broker.start();
  await broker.publish([m('b')], { patient: true });
  await reaches(server, 2);
  await eventually(async () => (await server.get('/ready')).text === 'READY', 'it is ready');
});

test('a node that cannot write is behind, says so, and goes on when it can: nothing is left out', { skip }, async (t) => {
  const broker = await Broker.forTest(t);
  await broker.make();
  const server = await node(t, broker, { config: { log: logOf(broker, 'stele', { max_lag_seconds: 1 }) } });
  await broker.publish([m('a')]);
  await reaches(server, 1);
  await eventually(async () => (await server.get('/ready')).text === 'READY', 'it has all');
  const shell = spawn('sqlite3', [server.db], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => shell.kill('SIGKILL'));
  shell.stdin.write(".timeout 20000\nBEGIN IMMEDIATE;\nSELECT 'held';\n");
  await once(shell.stdout, 'data');
  const last = await broker.publish(Array.from({ length: 300 }, (_, i) => m(`k${i}`, { i })));
  await eventually(async () => {
    const { status, text } = await server.get('/ready');
    return status === 503 && /^NOT READY: [0-9]+ messages behind the log$/.test(text);
  }, 'it is behind');
  assert.ok((await figure(server, 'stele_log_lag_seconds')) > 1);
  assert.ok((await figure(server, 'stele_log_lag_messages')) >= 300);
  await server.logged(/follow log-message-waits sequence=2 /);
  shell.kill('SIGKILL');
  await once(shell, 'exit');
  await reaches(server, last);
  await eventually(async () => (await server.get('/ready')).text === 'READY', 'it has all again');
  assert.equal(await figure(server, 'stele_log_messages_refused_total'), 0);
  const twin = await node(t, broker);
  await reaches(twin, last);
  assert.equal(await content(twin.db), await content(server.db));
});

test('a node whose disk is full is behind, and says so', { skip }, async (t) => {
  let server;
  const folder = smallDisk(t, 12, () => server?.discard());
  if (!folder) return;
  const broker = await Broker.forTest(t);
  await broker.make();
  server = await Server.start({ db: join(folder, 'stele.db'), config: { log: logOf(broker, 'stele', { max_lag_seconds: 1 }) } });
  await broker.publish([m('a')]);
  await reaches(server, 1);
  await eventually(async () => (await server.get('/ready')).text === 'READY', 'it has all');
  fillDisk(folder);
  const pad = 'x'.repeat(50_000);
  const last = await broker.publish(Array.from({ length: 200 }, (_, i) => m(`k${i}`, { pad })));
  await eventually(async () => (await server.get('/ready/write')).status === 503, 'it takes nothing');
  const more = await broker.publish([m('z')]);
  assert.equal(more, last + 1);
  await eventually(async () => {
    const { status, text } = await server.get('/ready');
    return status === 503 && text === `NOT READY: ${more - (await figure(server, 'stele_log_position'))} messages behind the log`;
  }, 'it is behind', 400);
  assert.ok((await figure(server, 'stele_log_lag_seconds')) > 1);
  unlinkSync(join(folder, 'filler'));
});

test('a node starts and stops soon, though no broker says anything', { skip }, async (t) => {
  const broker = await Broker.forTest(t);
  await broker.make();
  await broker.publish([m('a')]);
  const server = await node(t, broker);
  await reaches(server, 1);
  await server.terminate();
  const sockets = new Set();
  const mute = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const listening = createServer((socket) => sockets.add(socket.on('error', () => {})));
      listening.listen(0, '127.0.0.1');
      await once(listening, 'listening');
      return listening;
    }),
  );
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    for (const listening of mute) listening.close();
  });
  const nats = mute.map((listening) => `nats://127.0.0.1:${listening.address().port}`);
  const begun = Date.now();
  await server.restart({ config: { log: { nats, stream: 'stele' } } });
  /* One address after the other would be 16 s, and again 16 s. */
  assert.ok(Date.now() - begun < patience(10_000), `it started after ${Date.now() - begun} ms`);
  const asked = Date.now();
  await server.terminate();
  assert.ok(Date.now() - asked < patience(5_000), `it stopped after ${Date.now() - asked} ms`);
});

test("commands on a node's file leave it one", { skip }, async (t) => {
  const broker = await Broker.forTest(t);
  await broker.make();
  await broker.publish([{ producer: 'p', batch: 1, mutations: [m('a')] }]);
  const server = await node(t, broker);
  await reaches(server, 1);
  const epoch = await epochOf(server);
  await server.terminate();
  const revoked = await run(['token', 'revoke', '--db', server.db, 'jti1']);
  assert.equal(revoked.code, 0, revoked.stderr);
  assert.doesNotMatch(revoked.stderr, /epoch-parted/);
  assert.equal((await sql(server.db, 'SELECT count(*) AS n FROM revoked_token'))[0].n, 1);
  const forgotten = await run(['producers', '--db', server.db, '--forget', 'p']);
  assert.notEqual(forgotten.code, 0);
  assert.match(forgotten.stderr, /follows a log, which decides what its producers are/);
  await server.restart();
  assert.equal(await epochOf(server), epoch);
  const last = await broker.publish([{ producer: 'p', batch: 1, mutations: [m('twice')] }, m('b')]);
  await reaches(server, last);
  assert.deepEqual([...(await sqlView(server.db, 'E/list')).keys()].sort(), ['a', 'b']);
});

/* ---- settings ---- */

test('settings of the log are checked', { skip }, async (t) => {
  const broker = await Broker.forTest(t);
  const db = join(scratch(t), 'x.db');
  const refusals = [
    [{ nats: [broker.url] }, /nats and stream go together; stream is missing/],
    [{ stream: 's' }, /nats is missing/],
    [{ subject: 's' }, /nats and stream are missing/],
    [{ nats: 'http://x:1', stream: 's' }, /is no broker/],
    [{ nats: broker.url, stream: 'a.b' }, /not the name of a stream/],
    [{ nats: broker.url, stream: 's', what: 1 }, /setting \\?"log\\?" has no \\?"what/],
    [{ nats: broker.url, stream: 'nosuch' }, /there is no stream 'nosuch'/],
    [{ nats: broker.url, stream: 's', credentials_file: '/nosuch.creds' }, /setting \\?"log.credentials_file\\?": cannot read \/nosuch.creds: No such file/],
  ];
  for (const [log, what] of refusals) {
    const { code, stderr } = await Server.refused({ db, config: { log } });
    assert.notEqual(code, 0, JSON.stringify(log));
    assert.match(stderr, what);
  }
});

test('max_entities of a node is not live', { skip }, async (t) => {
  const broker = await Broker.forTest(t);
  await broker.make();
  const config = { log: logOf(broker), exports: { E: { max_entities: 5 } } };
  const server = await Server.forTest(t, { config });
  const told = await server.reload({ ...config, exports: { E: { max_entities: 2 } } });
  assert.match(told, /exports effect="needs a restart"/);
  const last = await broker.publish(Array.from({ length: 9 }, (_, i) => m(`k${i}`)));
  await reaches(server, last);
  assert.equal((await sqlView(server.db, 'E/list')).size, 5);
});

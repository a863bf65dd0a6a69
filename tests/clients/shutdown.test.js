// Starting and stopping: clean stops, refusals to start, a disk that is full.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { clientFor } from './lib/client.js';
import { Ingest, Producer, post, tryPost } from './lib/feed.js';
import { Server, check, patience, run, scratch, sql, sqlView, within } from './lib/server.js';
import { fillDisk, smallDisk } from './lib/small_disk.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const numbers = async (server) => JSON.parse((await sqlView(server.db, 'E/list')).get('k')?.data ?? '{"l":[]}').l;

/** A producer with `count` batches on their way, none waited for. */
async function underWay(server, count) {
  const producer = new Producer('p', { window: count });
  await producer.connect(server);
  for (let i = 1; i <= count; i++) {
    producer.add([`{"export":"E","key":"k","patch":{"l":[${i}]},"append":["l"]}`, ...range(50, (j) => JSON.stringify(m(`r${i}-${j}`, { pad: 'x'.repeat(100) })))]);
  }
  return producer;
}

for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`${signal}: what is queued is committed and acknowledged, clients get 1001, exit 0`, async (t) => {
    const server = await Server.forTest(t, { config: { exports: { E: {} }, max_array_length: 0 } });
    const client = await clientFor(t, server);
    await client.open('E/list');
    const producer = await underWay(server, 200);
    await producer.drain(190);
    const ingestEnd = producer.ingest.closed;
    await server.terminate(signal);
    const end = await within(client.closed, 'close frame');
    assert.equal(end.code, 1001);
    assert.ok(end.reason.length > 0 && Buffer.byteLength(end.reason) <= 123, end.reason);
    assert.equal((await within(ingestEnd, 'close of ingest')).code, 1001);
    const acknowledged = producer.acknowledged;
    const there = await numbers(server);
    assert.deepEqual(there, range(there.length, (i) => i + 1));
    assert.equal(there.length, acknowledged, 'everything that was committed was acknowledged');
    await server.restart();
    await producer.connect(server);
    await producer.drain();
    assert.deepEqual(await numbers(server), range(200, (i) => i + 1));
    producer.disconnect();
    await server.terminate();
    await check(server.db);
  });
}

test('a stop while idle is quick, and leaves one file', async (t) => {
  const server = await Server.forTest(t);
  await post(server, m('a', { n: 1 }));
  const began = Date.now();
  await server.terminate();
  assert.ok(Date.now() - began < patience(3000), `${Date.now() - began} ms`);
  assert.throws(() => readFileSync(`${server.db}-wal`), /ENOENT/, 'the write-ahead log is folded in');
  assert.equal((await sqlView(server.db, 'E/list')).size, 1);
});

test('a stop waits two seconds for a client that does not read, and tells the others', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  const reader = await clientFor(t, server);
  await reader.open('E/list');
  const client = await clientFor(t, server);
  client.subscribe('E/list');
  client.socket.pause();
  for (let i = 0; i < 40; i++) await post(server, range(50, (j) => m(`k${j}`, { i, pad: 'x'.repeat(3000) })));
  const began = Date.now();
  await server.terminate();
  t.diagnostic(`${Date.now() - began} ms`);
  assert.match(server.stderr, /left-behind clients=1 /);
  assert.ok(Date.now() - began < patience(5000), `${Date.now() - began} ms`);
  assert.equal((await within(reader.closed, 'close frame')).code, 1001);
});

/* As shells start what they put into the background. */
const deaf = ['sh', '-c', 'trap "" INT; exec "$@"', 'sh'];
for (const [signal, wrap] of [['SIGTERM'], ['SIGINT'], ['SIGINT', deaf]]) {
  const how = wrap ? ', ignored from birth,' : '';
  test(`a second ${signal}${how} ends at once by that signal, and nothing acknowledged is lost`, async (t) => {
    const config = { exports: { E: {} }, max_array_length: 0, commit_mutations: 1 };
    const server = await Server.forTest(t, { config, wrap });
    const client = await clientFor(t, server);
    client.subscribe('E/list');
    client.socket.pause();
    const producer = await underWay(server, 300);
    await producer.drain(298);
    server.child.kill(wrap ? signal : 'SIGTERM');
    await server.logged(/stopping/); /* two signals at once may arrive as one */
    server.child.kill(signal);
    const end = await within(server.ended, 'the end after two signals', 5_000);
    assert.deepEqual(end, { code: null, signal });
    assert.doesNotMatch(server.stderr, /Sanitizer|left-behind|stopped/);
    const acknowledged = producer.acknowledged;
    producer.disconnect();
    const there = await numbers(server);
    assert.ok(there.length >= acknowledged, `${acknowledged} acknowledged, ${there.length} there`);
    await server.restart();
    await producer.connect(server);
    await producer.drain();
    assert.deepEqual(await numbers(server), range(300, (i) => i + 1));
    producer.disconnect();
    await check(server.db);
  });
}

/* ---- refusals to start ---- */

async function refusedWith(options, ...patterns) {
  const { code, stdout, stderr } = await Server.refused(options);
  assert.notEqual(code, 0, 'it should not start');
  assert.equal(/stele ready/.test(stdout), false);
  assert.ok(stderr.includes(options.db), `names the file: ${stderr}`);
  for (const pattern of patterns) assert.match(stderr, pattern);
  return stderr;
}

test('a second server on the same database is refused; the first goes on', async (t) => {
  const server = await Server.forTest(t);
  await post(server, m('a', { n: 1 }));
  await refusedWith({ db: server.db }, /in use|another/i);
  assert.equal((await post(server, m('a', { n: 2 }))).applied, 1);
  await server.kill9();
  await server.restart(); /* a killed one leaves no lock behind */
  await post(server, m('a', { n: 3 }));
});

test('offline commands work beside a running server', async (t) => {
  const server = await Server.forTest(t);
  await post(server, m('a', { n: 1 }));
  await check(server.db);
  const views = await run(['views', '--db', server.db]);
  assert.equal(views.code, 0, views.stderr);
  assert.match(views.stdout, /E\/list\b.*\b1\b/);
});

test('a database from a newer program is refused and left alone', async (t) => {
  const server = await Server.forTest(t);
  await post(server, m('a', { n: 1 }));
  await server.terminate();
  execFileSync('sqlite3', [server.db, 'PRAGMA user_version=9999']);
  const before = readFileSync(server.db);
  await refusedWith({ db: server.db }, /newer/i);
  assert.deepEqual(readFileSync(server.db), before);
});

test('a file that is not a database is refused and left alone', async (t) => {
  const db = join(scratch(t), 'notes.txt');
  writeFileSync(db, 'Dear diary, '.repeat(1000));
  await refusedWith({ db }, /not a/i);
  assert.match(readFileSync(db, 'utf8'), /^Dear diary/);
});

test("another program's database is refused and left alone", async (t) => {
  const db = join(scratch(t), 'other.db');
  execFileSync('sqlite3', [db, 'CREATE TABLE recipe(name); INSERT INTO recipe VALUES(1)']);
  const before = readFileSync(db);
  await refusedWith({ db }, /stele/i);
  assert.deepEqual(readFileSync(db), before);
});

test('a folder that is missing or cannot be written is refused', async (t) => {
  const folder = scratch(t);
  writeFileSync(join(folder, 'file'), '');
  await refusedWith({ db: join(folder, 'file', 'x.db') });
  await refusedWith({ db: join(folder, 'missing', 'x.db') }, /folder|directory/i);
  await refusedWith({ db: folder }, /file|directory|folder/i);
});

test('a damaged database is refused or reported, never served as if whole', async (t) => {
  const server = await Server.forTest(t);
  await post(server, range(500, (i) => m(`k${i}`, { pad: 'x'.repeat(200) })));
  await server.terminate();
  const bytes = readFileSync(server.db);
  bytes.fill(0xaa, 4096 * 8, 4096 * 20);
  writeFileSync(server.db, bytes);
  const { code, stdout, stderr } = await run(['check', '--db', server.db]);
  assert.equal(code, 1);
  assert.match(stdout + stderr, /damaged|malformed/);
});

test('an address in use is refused with a clear error', async (t) => {
  const server = await Server.forTest(t);
  const { code, stderr } = await run(['serve', '--db', join(scratch(t), 'x.db'), '--listen', `127.0.0.1:${server.port}`, '--health', '127.0.0.1:0']);
  assert.notEqual(code, 0);
  assert.match(stderr, new RegExp(`${server.port}`));
});

test('an address that is not loopback is refused without --insecure', async (t) => {
  const { code, stderr } = await run(['serve', '--db', join(scratch(t), 'x.db'), '--listen', '0.0.0.0:0', '--health', '127.0.0.1:0'], { ms: 10_000 });
  assert.ok(code !== 0 && code !== null, `exit ${code}: it must refuse`);
  assert.match(stderr, /insecure|loopback/i);
});

/* ---- the disk ---- */

test('a full disk stops the intake with a clear state, reads go on, and it resumes by itself', async (t) => {
  let server;
  const folder = smallDisk(t, 24, () => server?.discard());
  if (!folder) return;
  server = await Server.start({ db: join(folder, 'stele.db'), config: { exports: { E: {} } } });
  fillDisk(folder, 4);
  let accepted = 0;
  let refused;
  for (let i = 0; i < 500 && !refused; i++) {
    const answer = await tryPost(server, range(20, (j) => m(`k${i}-${j}`, { pad: 'x'.repeat(2000) })));
    if (answer.status === 200) accepted += 20;
    else refused = answer;
  }
  assert.ok(refused, 'the disk never became full');
  assert.equal(refused.status, 503, refused.text);
  assert.equal(refused.json.code, 'disk-full');
  assert.equal(refused.json.retryable, true);
  assert.match(refused.headers['retry-after'] ?? '', /^[0-9]+$/);
  const ingest = await Ingest.open(server);
  await assert.rejects(ingest.send({ mutations: [m('x', { pad: 'x'.repeat(100_000) })] }), (error) => {
    assert.match(JSON.stringify(error.answer), /disk-full/);
    return true;
  });
  /* Clear state. */
  assert.equal((await server.get('/health')).status, 200);
  const ready = await server.get('/ready');
  assert.equal(ready.status, 200);
  assert.match(ready.text, /^READY, but .*disk-full/);
  const readyToWrite = await server.get('/ready/write');
  assert.equal(readyToWrite.status, 503);
  assert.match(readyToWrite.text, /^NOT READY: disk-full/);
  const status = await server.status();
  assert.equal(status.healthy, false);
  assert.match(JSON.stringify(status), /disk/);
  assert.match(server.stderr, /disk/i);
  /* Reads go on. */
  const client = await clientFor(t, server);
  assert.equal((await client.open('E/list')).rows.size, accepted);
  assert.equal((await sql(server.db, 'SELECT count(*) AS n FROM "E/list"'))[0].n, accepted);
  /* Space comes back. */
  rmSync(join(folder, 'filler'));
  const until = Date.now() + patience(30_000);
  for (;;) {
    const answer = await tryPost(server, m('after', { n: 1 }));
    if (answer.status === 200) break;
    assert.ok(Date.now() < until, `still ${answer.status} ${answer.text}`);
    await new Promise((done) => setTimeout(done, 100));
  }
  const frame = await client.expect('upsert');
  assert.equal(frame.key, 'after');
  assert.equal((await server.status()).healthy, true);
  assert.equal((await sqlView(server.db, 'E/list')).size, accepted + 1);
  await ingest.close();
  await server.terminate();
  await check(server.db);
});

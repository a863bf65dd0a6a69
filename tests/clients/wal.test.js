// The write-ahead log as its disk and other readers treat it: it is given back, and when it cannot be moved into the
// database the server says so, and takes nothing in once it has reached its limit.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import test from 'node:test';
import { Disk } from './lib/disk.js';
import { post, tryPost } from './lib/feed.js';
import { Server, check, scratch, sqlView, within } from './lib/server.js';

const MIB = 1024 * 1024;
const m = (key, patch) => ({ export: 'E', key, patch });
const walBytes = (server) => statSync(`${server.db}-wal`).size;
const count = (server, event) => server.stderr.match(new RegExp(`engine ${event} `, 'g'))?.length ?? 0;

async function until(what, holds, ms = 60_000) {
  let over = false;
  const look = (async () => {
    while (!over && !(await holds())) await new Promise((done) => setTimeout(done, 50));
  })();
  await within(look, what, ms).finally(() => (over = true));
}

/** Feeds until something is refused: what was, and the keys that were taken. */
async function feedUntilRefused(server, keys, most = 4000) {
  for (let i = 0; i < most; i++) {
    const key = `k${keys.length}`;
    const answer = await tryPost(server, [m(key, { pad: 'x'.repeat(20_000) })]);
    if (answer.status !== 200) return answer;
    keys.push(key);
  }
  throw new Error(`nothing of ${most} was refused; the log has ${walBytes(server)} bytes`);
}

async function metric(server, name) {
  const found = new RegExp(`^${name} (\\S+)$`, 'm').exec((await server.get('/metrics')).text);
  return found && Number(found[1]);
}

const allThere = async (server, keys) => assert.deepEqual([...(await sqlView(server.db, 'E/list')).keys()].sort(), [...keys].sort());

/** Somebody who reads from the database until it is told to end. */
async function reader(t, server) {
  const shell = spawn('sqlite3', ['-readonly', server.db], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => shell.kill('SIGKILL'));
  shell.stdin.write("BEGIN; SELECT 'reads', count(*) FROM log_state;\n");
  await within(once(shell.stdout, 'data'), 'the reader');
  return async () => {
    shell.stdin.end('COMMIT;\n');
    await within(once(shell, 'exit'), "the reader's end");
  };
}

for (const pages of [1, 64]) {
  test(`when the database file takes nothing and its log does, the server says so and holds the log (checkpoint_pages ${pages})`, async (t) => {
    const disk = new Disk(scratch(t));
    const server = await Server.forTest(t, { env: disk.env, config: { exports: { E: {} }, checkpoint_pages: pages, max_wal_bytes: 8 * MIB } });
    const keys = ['first'];
    await post(server, [m('first', {})]);
    assert.equal((await server.status()).healthy, true);
    disk.database = 1;
    while (walBytes(server) < 2 * MIB) {
      keys.push(`k${keys.length}`);
      await post(server, [m(keys.at(-1), { pad: 'x'.repeat(20_000) })]);
    }
    await server.logged(/checkpoints-fail /);
    const { healthy, status } = await server.status();
    assert.deepEqual([healthy, status], [false, 'checkpoints-fail']);
    assert.equal(await metric(server, 'stele_checkpoints_ok'), 0);
    assert.ok((await metric(server, 'stele_checkpoint_failures_total')) >= 3);
    assert.equal((await server.get('/health')).status, 200);
    for (const path of ['/ready', '/ready/write']) {
      const { status: code, text } = await server.get(path);
      assert.deepEqual([code, text.trim()], [200, 'READY, but checkpoints fail'], path);
    }
    /* And at the limit. */
    const refused = await feedUntilRefused(server, keys);
    assert.deepEqual([refused.status, refused.json.code, refused.json.retryable], [503, 'wal-limit-exceeded', true]);
    assert.match(refused.json.message, /max_wal_bytes \(8388608\).*the disk does not take it/);
    assert.ok(walBytes(server) < 9 * MIB, `${walBytes(server)} bytes`);
    assert.deepEqual((await server.get('/ready/write')).text.trim(), 'NOT READY: wal-limit-exceeded');
    assert.equal(await metric(server, 'stele_wal_ok'), 0);
    for (let i = 0; i < 30; i++) {
      assert.equal((await tryPost(server, [m('no', {})])).json.code, 'wal-limit-exceeded');
      await new Promise((done) => setTimeout(done, 100));
    }
    assert.deepEqual([count(server, 'intake-stopped'), count(server, 'checkpoints-fail'), count(server, 'intake-resumed')], [1, 1, 0]);
    assert.ok(count(server, 'checkpoint-failed') <= 2);
    /* By itself. */
    disk.database = 0;
    await until('intake', async () => (await server.get('/ready/write')).text.trim() === 'READY');
    assert.equal((await server.status()).healthy, true);
    assert.deepEqual([await metric(server, 'stele_wal_ok'), await metric(server, 'stele_checkpoints_ok')], [1, 1]);
    await post(server, [m('last', {})]);
    await allThere(server, [...keys, 'last']);
    await server.kill9();
    await check(server.db);
    await allThere(server, [...keys, 'last']);
  });
}

test('a reader that holds the log stops intake at its limit, and intake goes on when the reader ends', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} }, checkpoint_pages: 64, max_wal_bytes: 4 * MIB } });
  const keys = ['first'];
  await post(server, [m('first', {})]);
  const end = await reader(t, server);
  const refused = await feedUntilRefused(server, keys);
  assert.deepEqual([refused.status, refused.json.code], [503, 'wal-limit-exceeded']);
  assert.match(refused.json.message, /max_wal_bytes \(4194304\).*reading for long.*end it, or raise max_wal_bytes.*by itself/);
  assert.ok(walBytes(server) < 5 * MIB, `${walBytes(server)} bytes`);
  assert.equal((await server.get('/ready')).text.trim(), 'READY, but no mutations are taken: wal-limit-exceeded');
  await end();
  await server.logged(/intake-resumed/);
  await post(server, [m('last', {})]);
  assert.ok(walBytes(server) < MIB, `${walBytes(server)} bytes`);
  await allThere(server, [...keys, 'last']);
  assert.equal(count(server, 'intake-stopped'), 1);
});

test('readers that come and go all the time do not keep intake closed', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} }, checkpoint_pages: 16, max_wal_bytes: MIB } });
  await post(server, [m('first', {})]);
  let next = await reader(t, server);
  const keys = ['first'];
  await feedUntilRefused(server, keys);
  for (let i = 0; i < 8; i++) {
    const end = next;
    next = await reader(t, server); /* before the one before has gone */
    await end();
  }
  await server.logged(/intake-resumed/);
  await next();
  await post(server, [m('last', {})]);
});

test('an idle server gives the room of its log back, and loses nothing by it', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  const keys = [];
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 50; i++) {
      keys.push(`k${keys.length}`);
      await post(server, [m(keys.at(-1), { pad: 'x'.repeat(20_000) })]);
    }
    assert.ok(walBytes(server) > MIB);
    await until('an empty log', () => walBytes(server) === 0);
  }
  await post(server, [m('last', {})]);
  await server.kill9();
  await allThere(server, [...keys, 'last']);
  await check(server.db);
});

test('a log that was held and has grown does not keep its size under load', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} }, checkpoint_pages: 64 } });
  await post(server, [m('first', {})]);
  const end = await reader(t, server);
  while (walBytes(server) < 8 * MIB) await post(server, [m('k', { pad: 'x'.repeat(100_000) })]);
  await end();
  /* Never idle meanwhile. */
  await until('a shorter log', async () => (await post(server, [m('k', { n: 1 })]), walBytes(server) < MIB));
});

test('a log that cannot be cut stays in use', async (t) => {
  const disk = new Disk(scratch(t));
  const server = await Server.forTest(t, { env: disk.env, config: { exports: { E: {} }, checkpoint_pages: 64 } });
  disk.cuts = 1_000_000;
  const keys = [];
  for (let i = 0; i < 100; i++) {
    keys.push(`k${i}`);
    await post(server, [m(`k${i}`, { pad: 'x'.repeat(20_000) })]);
  }
  await server.logged(/checkpoint-failed/);
  await post(server, [m('after', {})]);
  await server.kill9();
  await server.restart();
  await allThere(server, [...keys, 'after']);
  disk.cuts = 0;
  await post(server, [m('last', {})]);
  await until('an empty log', () => walBytes(server) === 0);
  await server.terminate();
  await check(server.db);
  await allThere(server, [...keys, 'after', 'last']);
});

// A disk that is full, files that may not grow, a database that another program has changed: intake stops once, says
// why, and goes on when what waits has room, or not at all.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, rmdirSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { post, tryPost } from './lib/feed.js';
import { Server, check, run, sqlView } from './lib/server.js';

const MIB = 1024 * 1024;
const m = (key, patch) => ({ export: 'E', key, patch });
const count = (server, event) => server.stderr.match(new RegExp(`engine ${event} `, 'g'))?.length ?? 0;
const rest = (ms) => new Promise((done) => setTimeout(done, ms));

/** A file system of that size in a folder of its own; undefined, and the test skipped, where none can be mounted. */
function mount(t, size) {
  const folder = mkdtempSync(join(tmpdir(), 'stele-test-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'stele-test', folder], { stdio: 'pipe' });
  } catch (error) {
    rmdirSync(folder);
    t.skip(`no tmpfs can be mounted here: ${String(error.stderr ?? error).trim()}`);
    return undefined;
  }
  t.after(() => {
    execFileSync('umount', ['-l', folder]);
    rmdirSync(folder);
  });
  return folder;
}

const big = (i, size) => Array.from({ length: size / 10_000 }, (_, j) => m(`big${i}-${j}`, { pad: 'x'.repeat(10_000) }));

/** Posts requests of that size, a few a second for some seconds, as producers do that try again. */
async function insist(server, size, code, seconds) {
  const until = Date.now() + seconds * 1000;
  for (let i = 0; Date.now() < until; i++) {
    const { status, json } = await tryPost(server, big(i, size));
    assert.equal(json.code, code, JSON.stringify(json));
    assert.ok(status >= 500);
    assert.equal((await server.status()).healthy, false);
    await rest(100);
  }
}

for (const size of [400_000, 2_000_000]) {
  test(`on a full disk intake stays stopped until what waits has room (requests of ${size} bytes)`, async (t) => {
    const folder = mount(t, '24m');
    if (!folder) return;
    const server = await Server.forTest(t, { db: join(folder, 'stele.db'), config: { exports: { E: {} } } });
    await post(server, [m('first', {})]);
    const { bavail, bsize } = statfsSync(folder);
    writeFileSync(join(folder, 'filler'), Buffer.alloc(bavail * bsize - 200 * 1024));
    assert.equal((await tryPost(server, big(0, size))).json.code, 'disk-full');
    /* Room for the row of a probe, not for what waits. */
    await insist(server, size, 'disk-full', 6);
    truncateSync(join(folder, 'filler'), bavail * bsize - 300 * 1024);
    await insist(server, size, 'disk-full', 4);
    assert.deepEqual([count(server, 'intake-stopped'), count(server, 'intake-resumed')], [1, 0], server.stderr);
    rmSync(join(folder, 'filler'));
    await server.logged(/intake-resumed/);
    await post(server, big(0, size));
    assert.equal((await server.status()).healthy, true);
    assert.equal((await sqlView(server.db, 'E/list')).size, 1 + size / 10_000);
    await server.terminate();
    await check(server.db);
  });
}

test('files that may not grow beyond a limit stop intake, which goes on when the limit is raised', async (t) => {
  const server = await Server.forTest(t, { wrap: ['prlimit', `--fsize=${3 * MIB}:`], config: { exports: { E: {} } } });
  let refused;
  for (let i = 0; i < 100 && !refused; i++) {
    const answer = await tryPost(server, big(i, 200_000));
    if (answer.status !== 200) refused = answer;
  }
  assert.deepEqual([refused?.status, refused?.json.code, refused?.json.retryable], [500, 'file-limit-reached', false]);
  assert.match(refused.json.message, /ulimit -f, LimitFSIZE=/);
  await insist(server, 200_000, 'file-limit-reached', 3);
  assert.equal(count(server, 'intake-stopped'), 1);
  assert.match((await server.get('/metrics')).text, /^stele_disk_ok 0$/m);
  execFileSync('prlimit', ['--pid', String(server.pid), '--fsize=unlimited:']);
  await server.logged(/intake-resumed/);
  await post(server, big(1000, 200_000));
  await server.terminate();
  await check(server.db);
});

/* ---- a commit that can never succeed ---- */

const changes = {
  'a table is dropped': ['DROP TABLE tombstone', /table tombstone, column \w+ is not there any more/, [{ export: 'E', key: 'first', op: 'delete' }]],
  'a trigger refuses rows': ["CREATE TRIGGER mine BEFORE INSERT ON entity BEGIN SELECT RAISE(ABORT, 'no'); END", /trigger mine was not made by stele/, [m('new', {})]],
  'an index wants one row of a kind': ['CREATE UNIQUE INDEX mine ON entity (export)', /index mine was not made by stele/, [m('new', {}), m('newer', {})]],
  'a column goes': ['ALTER TABLE log_state RENAME COLUMN rows TO lines', /table log_state, column rows is not there any more/, [m('new', {})]],
};

for (const [what, [statement, says, feed]] of Object.entries(changes)) {
  test(`${what} by another program: nothing is taken in until the server is started anew`, async (t) => {
    const server = await Server.forTest(t, { config: { exports: { E: {} } } });
    await post(server, [m('first', {})]);
    const { code, stderr } = await run([server.db, statement], { program: 'sqlite3' });
    assert.equal(code, 0, stderr);
    const refused = await tryPost(server, feed);
    assert.ok(refused.status >= 500, refused.text);
    await server.logged(/intake-stopped/);
    assert.match(server.stderr, says);
    for (let i = 0; i < 3; i++) {
      const { status, json } = await tryPost(server, [m('another', {})]);
      assert.deepEqual([status, json.code, json.retryable], [500, 'database-unusable', false]);
      assert.deepEqual((await server.get('/ready/write')).text.trim(), 'NOT READY: database-unusable');
      const { healthy, disk } = await server.status();
      assert.deepEqual([healthy, disk.state], [false, 'database-unusable']);
      assert.match((await server.get('/metrics')).text, /^stele_database_ok 0$/m);
      await rest(700); /* a disk is tried once a second */
    }
    assert.deepEqual([count(server, 'intake-stopped'), count(server, 'intake-resumed')], [1, 0]);
    assert.equal((await server.get('/ready')).status, 200);
  });
}

test("a trigger that is gone again, and a start: the database is as good as it was; others' tables and views are no trouble", async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  await post(server, [m('first', {})]);
  for (const statement of [
    'CREATE TABLE mine (a UNIQUE)',
    'CREATE VIEW ours AS SELECT * FROM mine',
    "CREATE TRIGGER mine_too BEFORE INSERT ON entity BEGIN SELECT RAISE(ABORT, 'no'); END",
  ]) {
    assert.equal((await run([server.db, statement], { program: 'sqlite3' })).code, 0);
    if (!statement.includes('TRIGGER')) await post(server, [m('fine', {})]);
  }
  await tryPost(server, [m('no', {})]);
  await server.logged(/intake-stopped.*trigger mine_too/);
  await server.terminate();
  assert.equal((await run([server.db, 'DROP TRIGGER mine_too'], { program: 'sqlite3' })).code, 0);
  await server.restart();
  await post(server, [m('last', {})]);
  assert.deepEqual([...(await sqlView(server.db, 'E/list')).keys()].sort(), ['fine', 'first', 'last']);
});

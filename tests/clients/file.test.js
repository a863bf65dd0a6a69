// The database file as the operator's hands meet it: other names of it, copies put in its place, its permissions.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, copyFileSync, existsSync, linkSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { http, post, tryPost } from './lib/feed.js';
import { BINARY, Server, check, run, scratch, sql, sqlView, within } from './lib/server.js';

const m = (key, patch) => ({ export: 'E', key, patch });

/** A start that must be refused, and that leaves the files as they are. */
async function refused(db, says) {
  const { code, stdout, stderr } = await Server.refused({ db });
  assert.equal(code, 1, stdout);
  assert.match(stderr, says);
}

test('a second server on the file is refused, whatever name it comes by', async (t) => {
  const server = await Server.forTest(t);
  await post(server, [m('a', { n: 1 })]);
  rmSync(`${server.db}-lock`);
  await refused(server.db, /is in use by another server/);
  const other = join(scratch(t), 'other.db');
  linkSync(server.db, other);
  await refused(other, /hard links.*keep one name/);
  rmSync(other);
  await post(server, [m('b', { n: 1 })]);
  await server.terminate();
  linkSync(server.db, other);
  await refused(server.db, /hard links/);
  rmSync(other);
  await server.restart();
  await server.terminate();
  await check(server.db);
});

const mayMount = () => {
  try {
    execFileSync('unshare', ['--mount', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

test('a second server is refused that has the file by a bind mount', { skip: !mayMount() && 'needs the right to mount' }, async (t) => {
  const server = await Server.forTest(t);
  const mounted = join(scratch(t), 'mounted.db');
  writeFileSync(mounted, '');
  const script = 'mount --bind "$0" "$1" && exec "$2" serve --db "$1" --listen 127.0.0.1:0 --health 127.0.0.1:0';
  const { code, stderr } = await run(['--mount', 'sh', '-c', script, server.db, mounted, BINARY], { program: 'unshare', ms: 20_000 });
  assert.equal(code, 1);
  assert.match(stderr, /is in use by another server.*bind mount/);
});

test('a copy beside the write-ahead log of another database is refused, and so is no database beside one', async (t) => {
  const server = await Server.forTest(t);
  const copy = join(scratch(t), 'copy.db');
  await post(server, Array.from({ length: 100 }, (_, i) => m(`k${i}`, { n: i })));
  assert.equal((await run(['backup', '--db', server.db, copy])).code, 0);
  await post(server, Array.from({ length: 100 }, (_, i) => ({ export: 'E', key: `k${i}`, op: 'delete' })));
  await server.kill9();
  const wal = readFileSync(`${server.db}-wal`);
  const files = ['', '-wal'].map((end) => [end, readFileSync(server.db + end)]);
  copyFileSync(copy, server.db);
  await refused(server.db, /copy that no server has opened.*move .*-wal/);
  for (const command of ['check', 'backup']) {
    const { code, stderr } = await run([command, '--db', server.db, ...(command === 'backup' ? [`${copy}.2`] : [])]);
    assert.notEqual(code, 0, command);
    assert.match(stderr, /copy that no server has opened/, command);
  }
  for (const make of [() => rmSync(server.db), () => writeFileSync(server.db, '')]) {
    make();
    await refused(server.db, /Put that database back/);
  }
  assert.ok(readFileSync(`${server.db}-wal`).equals(wal), 'the write-ahead log is as it was');
  /* What belongs together starts; so does the copy by itself. */
  for (const [end, bytes] of files) writeFileSync(server.db + end, bytes);
  await server.restart();
  await server.kill9();
  for (const end of ['-wal', '-shm']) rmSync(server.db + end, { force: true });
  copyFileSync(copy, server.db);
  await server.restart();
  assert.equal((await sqlView(server.db, 'E/list')).size, 100);
});

test('an older copy of the stopped database beside the write-ahead log of a later one is refused', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} }, checkpoint_pages: 1 } });
  await post(server, [m('a', { n: 1 })]);
  await server.terminate();
  const copy = join(scratch(t), 'copy.db');
  copyFileSync(server.db, copy);
  await server.restart();
  /* Until the log has begun anew, which is when the copy does not go with it any more. */
  const salts = () => readFileSync(`${server.db}-wal`).subarray(16, 24).toString('hex');
  await post(server, [m('b', { n: 1 })]);
  for (let i = 0, before = salts(); salts() === before; i++) await post(server, [m(`c${i}`, { n: 1 })]);
  await post(server, [m('d', { n: 1 })]);
  await server.kill9();
  const files = ['', '-wal'].map((end) => [end, readFileSync(server.db + end)]);
  for (const put of [() => copyFileSync(copy, server.db), () => (copyFileSync(copy, `${server.db}.new`), renameSync(`${server.db}.new`, server.db))]) {
    put();
    await refused(server.db, /is an older copy.*move .*-wal/);
    for (const command of ['check', 'backup']) {
      const { code, stderr } = await run([command, '--db', server.db, ...(command === 'backup' ? [`${copy}.2`] : [])]);
      assert.notEqual(code, 0, command);
      assert.match(stderr, /is an older copy/, command);
    }
  }
  assert.ok(readFileSync(`${server.db}-wal`).equals(files[1][1]), 'the write-ahead log is as it was');
  /* What belongs together starts; so does the copy by itself. */
  for (const [end, bytes] of files) writeFileSync(server.db + end, bytes);
  await server.restart();
  assert.ok((await sqlView(server.db, 'E/list')).has('d'));
  await server.kill9();
  for (const end of ['-wal', '-shm']) rmSync(server.db + end, { force: true });
  copyFileSync(copy, server.db);
  await server.restart();
  assert.deepEqual([...(await sqlView(server.db, 'E/list')).keys()], ['a']);
});

test('a copy that went on elsewhere beside the write-ahead log of the original is refused, however new it is', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  await post(server, [m('a', { n: 1 })]);
  const copy = join(scratch(t), 'copy.db');
  assert.equal((await run(['backup', '--db', server.db, copy])).code, 0);
  await post(server, [m('b', { n: 1 })]);
  await server.kill9();
  const original = ['', '-wal'].map((end) => [end, readFileSync(server.db + end)]);
  const other = await Server.forTest(t, { db: copy, config: { exports: { E: {} } } });
  for (let i = 0; i < 20; i++) await post(other, [m(`c${i}`, { n: 1 })]);
  await other.terminate();
  copyFileSync(copy, server.db);
  await refused(server.db, /is a copy that went on by itself.*move .*-wal/);
  for (const end of ['-wal', '-shm']) rmSync(server.db + end, { force: true });
  await server.restart();
  assert.equal((await sqlView(server.db, 'E/list')).size, 21);
  /* The copy's own log goes with it, wherever both are put; so does what follows a copy's first start. */
  await post(server, [m('d', { n: 1 })]);
  await server.kill9();
  await server.restart();
  assert.ok((await sqlView(server.db, 'E/list')).has('d'));
  await server.kill9();
  for (const [end, bytes] of original) writeFileSync(server.db + end, bytes);
  await server.restart();
  assert.deepEqual([...(await sqlView(server.db, 'E/list')).keys()].sort(), ['a', 'b']);
});

test('a backup never takes a name that belongs to a database', async (t) => {
  const server = await Server.forTest(t);
  await post(server, [m('a', { n: 1 })]);
  const names = [...['-wal', '-shm', '-journal', '-lock'].map((end) => server.db + end), server.db];
  const linked = join(scratch(t), 'linked');
  linkSync(`${server.db}-wal`, linked);
  for (const to of [...names, linked]) {
    const there = existsSync(to) && statSync(to);
    for (const force of [[], ['--force']]) {
      const { code, stderr } = await run(['backup', '--db', server.db, to, ...force]);
      assert.equal(code, 1, to);
      assert.match(stderr, /name another file/, to);
      assert.equal(statSync(to, { throwIfNoEntry: false })?.ino, there ? there.ino : undefined, to);
    }
  }
  await server.terminate();
  for (const to of names) assert.equal((await run(['backup', '--db', server.db, to, '--force'])).code, 1, to);
  /* Nor as the name of the temporary file. */
  const partial = join(scratch(t), 'x.partial');
  copyFileSync(server.db, partial);
  const { code, stderr } = await run(['backup', '--db', partial, partial.replace('.partial', '')]);
  assert.equal(code, 1);
  assert.match(stderr, /belongs to the database itself/);
  assert.ok(statSync(partial).size > 0);
  await server.restart();
  await server.terminate();
  await check(server.db);
});

test('new files are for the owner and the group at most', async (t) => {
  const db = join(scratch(t), 'stele.db');
  const server = await Server.start({ db, wrap: ['sh', '-c', 'umask 0 && exec "$@"', 'sh'] });
  t.after(() => server.discard());
  await post(server, [m('a', { n: 1 })]);
  const mode = (end) => (statSync(db + end).mode & 0o777).toString(8);
  for (const end of ['', '-wal', '-shm', '-lock']) assert.equal(mode(end), '640', `stele.db${end}`);
  chmodSync(db, 0o666);
  assert.equal((await run(['backup', '--db', db, `${db}.copy`])).code, 0);
  assert.equal(mode('.copy'), '640');
});

/* ---- under a running server ---- */

const add = (server, key) => http(`${server.http}/v1/mutations`, { method: 'POST', body: JSON.stringify(m(key, { n: 1 })) });

/** All that was committed is in the database file itself. */
async function walIsGivenBack(server) {
  const gone = async () => {
    while (statSync(`${server.db}-wal`).size > 0) await new Promise((done) => setTimeout(done, 100));
  };
  await within(gone(), 'the write-ahead log to be given back');
}

const goes = {
  'the database is removed': [(db) => rmSync(db), /stele\.db was removed/],
  'it is moved away': [(db) => renameSync(db, `${db}.away`), /stele\.db was moved away/, (db) => renameSync(`${db}.away`, db)],
  'another file is put over it': [(db) => (copyFileSync(db, `${db}.new`), renameSync(`${db}.new`, db)), /stele\.db was replaced/],
  'an empty file is put over it': [(db) => (rmSync(db), writeFileSync(db, '')), /stele\.db was replaced/],
  'its write-ahead log is removed': [(db) => rmSync(`${db}-wal`), /stele\.db-wal was removed/],
  'its write-ahead log is replaced': [(db) => (rmSync(`${db}-wal`), writeFileSync(`${db}-wal`, 'x')), /stele\.db-wal was replaced/],
  'its shared memory is removed': [(db) => rmSync(`${db}-shm`), /stele\.db-shm was removed/],
  'its folder is moved': [(db) => renameSync(join(db, '..'), join(db, '..', '..', 'away')), /stele\.db was moved away/, (db) => renameSync(join(db, '..', '..', 'away'), join(db, '..'))],
};

for (const [what, [happen, says, undo]] of Object.entries(goes)) {
  test(`${what}: intake stops, and what was acknowledged can be saved`, async (t) => {
    const folder = scratch(t);
    mkdirSync(join(folder, 'data'));
    const server = await Server.forTest(t, { db: join(folder, 'data', 'stele.db'), config: { exports: { E: {} } } });
    const keys = [];
    for (let i = 0; i < 20; i++) keys.push((await post(server, [m(`k${i}`, { n: 1 })]), `k${i}`));
    happen(server.db);
    await server.logged(/intake-stopped/);
    assert.match(server.stderr, says);
    for (let i = 20; i < 25; i++) {
      const { status, json } = await add(server, `k${i}`);
      assert.deepEqual([status, json.code], [503, 'database-gone']);
    }
    const ready = await server.get('/ready/write');
    assert.deepEqual([ready.status, ready.text.trim()], [503, 'NOT READY: database-gone']);
    assert.match((await server.get('/metrics')).text, /^stele_database_ok 0$/m);
    assert.equal(server.stderr.match(/intake-stopped/g).length, 1);
    const commands = /save them: (cp .* saved\.db-wal);/.exec(server.stderr);
    assert.ok(commands, server.stderr);
    execFileSync('sh', ['-c', commands[1]], { cwd: folder });
    await check(join(folder, 'saved.db'));
    assert.deepEqual([...(await sqlView(join(folder, 'saved.db'), 'E/list')).keys()].sort(), keys.sort());
    if (undo) {
      undo(server.db);
      await server.logged(/intake-resumed/);
      await post(server, [m('back', { n: 1 })]);
    }
    const strange = statSync(`${server.db}-wal`, { throwIfNoEntry: false })?.size === 1;
    await server.terminate();
    if (strange) assert.equal(readFileSync(`${server.db}-wal`, 'utf8'), 'x', "another's write-ahead log is kept");
    if (undo) await check(server.db);
    /* What was saved is a database to start with. */
    const saved = await Server.forTest(t, { db: join(folder, 'saved.db') });
    await post(saved, [m('more', { n: 1 })]);
  });
}

const zero = (name, length) => {
  const file = openSync(name, 'r+');
  writeSync(file, Buffer.alloc(length), 0, length, 0);
  closeSync(file);
};

const overwrites = {
  'a backup is copied over it': (db, backup) => writeFileSync(db, readFileSync(backup)),
  'it is emptied': (db) => truncateSync(db),
  'it is cut': (db) => truncateSync(db, 8 * 4096),
  'its first page is overwritten': (db) => zero(db, 4096),
};

for (const [what, happen] of Object.entries(overwrites)) {
  test(`${what} in place: intake stops for good`, async (t) => {
    const server = await Server.forTest(t, { config: { exports: { E: {} } } });
    await post(server, Array.from({ length: 2000 }, (_, i) => m(`k${i}`, { pad: 'x'.repeat(500) })));
    const backup = `${server.db}.backup`;
    assert.equal((await run(['backup', '--db', server.db, backup])).code, 0);
    await post(server, [m('later', { n: 1 })]);
    await walIsGivenBack(server);
    happen(server.db, backup);
    /* SQLite itself may meet the damage first. */
    await Promise.all(Array.from({ length: 20 }, (_, i) => tryPost(server, Array.from({ length: 50 }, (_, j) => m(`k${100 * i + 2 * j}`, { again: i })))));
    await server.logged(/intake-stopped[^\n]*stele\.db was overwritten or cut by another program/);
    const { status, json } = await add(server, 'another');
    assert.deepEqual([status, json.code, json.retryable], [500, 'database-damaged', false]);
    assert.equal((await server.get('/ready/write')).status, 503);
    assert.match((await server.get('/metrics')).text, /^stele_database_ok 0$/m);
    await server.terminate();
  });
}

test('a VACUUM by the shell under the server makes the file smaller and is nothing to stop for', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  await post(server, [m('a', { n: 1 })]);
  const shell = async (statements) => {
    const { code, stderr } = await run(['-cmd', '.timeout 20000', server.db, statements], { program: 'sqlite3' });
    assert.equal(code, 0, stderr);
  };
  await shell('CREATE TABLE other AS WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT i, randomblob(1000) FROM n;');
  await post(server, [m('b', { n: 1 })]);
  await walIsGivenBack(server);
  const large = statSync(server.db).size;
  await shell('DROP TABLE other; VACUUM;');
  await post(server, [m('c', { n: 1 })]);
  await walIsGivenBack(server);
  assert.ok(statSync(server.db).size < large / 2);
  for (let i = 0; i < 5; i++) {
    await within(once(server.child, 'logged'), 'nothing', 300).catch(() => {}); /* the file is looked at four times a second */
    assert.equal((await add(server, `k${i}`)).status, 200);
  }
  assert.doesNotMatch(server.stderr, /intake-stopped/);
  await server.terminate();
  await check(server.db);
});

const meets = {
  'a reader': async (server) => {
    const { status, json } = await http(`${server.http}/v1/views/E/list?take=1000`);
    assert.deepEqual([status, json.code], [500, 'database-damaged']);
  },
  'the writer': async (server, keys) => {
    const answers = [];
    for (const key of keys) answers.push((await add(server, key)).json.code);
    assert.ok(answers.includes('database-damaged'), answers.join());
  },
};

for (const [who, meet] of Object.entries(meets)) {
  test(`damage that ${who} meets stops the intake for good`, async (t) => {
    const server = await Server.forTest(t, { config: { exports: { E: {} } } });
    const keys = Array.from({ length: 200 }, (_, i) => `k${i}`);
    await post(server, keys.map((key) => m(key, { pad: 'x'.repeat(500) })));
    await server.terminate();
    const leaves = await sql(server.db, "SELECT pageno FROM dbstat WHERE name = 'entity' AND pagetype = 'leaf'");
    const file = openSync(server.db, 'r+');
    for (const { pageno } of leaves.slice(3, 6)) writeSync(file, Buffer.alloc(4096), 0, 4096, (pageno - 1) * 4096);
    closeSync(file);
    await server.restart();
    await meet(server, keys);
    await server.logged(/intake-stopped.*damaged/);
    for (let i = 0; i < 3; i++) {
      const { status, json } = await add(server, 'another');
      assert.deepEqual([status, json.code, json.retryable], [500, 'database-damaged', false]);
      assert.equal((await server.get('/ready/write')).status, 503);
      const { healthy, disk } = await server.status();
      assert.deepEqual([healthy, disk.state], [false, 'database-damaged']);
      assert.match((await server.get('/metrics')).text, /^stele_database_ok 0$/m);
      await within(once(server.child, 'logged'), 'nothing', 1100).catch(() => {}); /* the disk is tried once a second */
    }
    assert.equal(server.stderr.match(/intake-stopped/g).length, 1);
    assert.doesNotMatch(server.stderr, /intake-resumed/);
    assert.equal((await server.get('/ready')).status, 200);
  });
}

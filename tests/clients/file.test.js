// The database file as the operator's hands meet it: other names of it, copies put in its place, its permissions.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, linkSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { post } from './lib/feed.js';
import { BINARY, Server, check, run, scratch, sqlView } from './lib/server.js';

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

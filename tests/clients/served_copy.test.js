// GET /v1/backup while things go wrong: stops, kills, a log and a disk that need the room, tokens that are taken back.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, statfsSync, symlinkSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { Disk } from './lib/disk.js';
import { http, post, postAll } from './lib/feed.js';
import { Server, eventually, scratch, within } from './lib/server.js';
import { fillDisk, smallDisk } from './lib/small_disk.js';

const m = (key, patch) => ({ export: 'E', key, patch });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const pad = 'x'.repeat(2000);
const exports = { E: {} };

/** A server whose disk is in the test's hand, with so many rows of 2 kB. */
async function start(t, rows, options = {}) {
  const disk = new Disk(scratch(t));
  const server = await Server.forTest(t, { config: { exports }, env: disk.env, ...options });
  await postAll(server, range(rows, (i) => m(`k${i}`, { i, pad })), 500);
  return { disk, server };
}

const left = (server, folder = dirname(server.db)) => readdirSync(folder).filter((name) => name.includes('served-copy'));

/** A client that reads the beginning of a copy, and then nothing: until `rest` is called, with the bytes in all. */
async function begin(server, token) {
  const socket = createConnection(server.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(`GET /v1/backup HTTP/1.1\r\nHost: localhost\r\n${token ? `Authorization: Bearer ${token}\r\n` : ''}\r\n`);
  await within(once(socket, 'readable'), 'the copy');
  const head = socket.read(64).toString();
  if (!head.startsWith('HTTP/1.1 200')) assert.fail(head + socket.read());
  const rest = async () => {
    let bytes = 64;
    socket.on('data', (data) => (bytes += data.length));
    await within(once(socket, 'close'), 'the end of the copy');
    return bytes;
  };
  return { socket, rest };
}

test('a server that is stopped while its disk takes nothing of a copy ends when the disk goes on', async (t) => {
  const { disk, server } = await start(t, 2000);
  disk.copy = 1;
  const answer = http(`${server.http}/v1/backup`).catch(() => null);
  await eventually(() => left(server).length, 'the copy begins');
  server.child.kill('SIGTERM');
  await server.logged(/left-behind/);
  disk.copy = 0;
  const { code } = await within(server.ended, () => `the end: ${server.stderr}`);
  assert.equal(code, 0, server.stderr);
  assert.deepEqual(left(server), []);
  await answer;
});

test('a killed server leaves nothing of a copy behind its next start, and a database behind a link has it beside its file', async (t) => {
  const folder = scratch(t);
  for (const name of ['real', 'link']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'real', 'r.db'), '');
  symlinkSync(join('..', 'real', 'r.db'), join(folder, 'link', 'l.db'));
  const { disk, server } = await start(t, 2000, { db: join(folder, 'link', 'l.db') });
  const there = () => [left(server), left(server, join(folder, 'real'))];
  disk.copy = 100;
  const answer = http(`${server.http}/v1/backup`).catch(() => null);
  await eventually(() => disk.copy === 1, 'the copy is half made');
  assert.deepEqual(there(), [[], ['r.db-served-copy.partial']]);
  await server.kill9();
  await answer;
  writeFileSync(join(folder, 'real', 'r.db-served-copy.partial-journal'), 'x');
  await server.restart();
  assert.deepEqual(there(), [[], []]);
});

test('a copy gives way before the write-ahead log, which it holds, stops the producers', async (t) => {
  const { disk, server } = await start(t, 8000);
  await server.terminate();
  await server.restart({ set: { max_wal_bytes: 4 << 20, checkpoint_pages: 100 } });
  let answer;
  disk.copy = 1;
  http(`${server.http}/v1/backup`).then((it) => (answer = it));
  for (let i = 0; !answer; i++) {
    assert.ok(i < 30, 'the copy goes on for ever');
    await post(server, range(100, (k) => m(`k${k}`, { i, pad })));
    disk.copy = 1100; /* a step is 1024 pages, of which some stay in memory */
    await eventually(() => answer || disk.copy === 1, 'a part of the copy');
  }
  assert.deepEqual([answer.status, JSON.parse(answer.text).code], [413, 'too-large']);
  assert.match(JSON.parse(answer.text).message, /write-ahead log/);
  assert.doesNotMatch(server.stderr, /intake-stopped/);
  assert.deepEqual(left(server), []);
  disk.copy = 0;
  assert.equal((await http(`${server.http}/v1/backup`)).status, 200);
});

test('a token that was taken back ends its copy', async (t) => {
  const tokens = ['one', 'two'].map((subject) => ({ token: `${subject}-admin-admin-admin`, subject, scope: 'admin write' }));
  const config = { exports, auth: { mode: 'static', tokens } };
  const server = await Server.forTest(t, { config });
  for (let i = 0; i < 10; i++) {
    const lines = range(1000, (k) => JSON.stringify(m(`k${i}-${k}`, { pad }))).join('\n');
    assert.equal((await http(`${server.http}/v1/mutations`, { method: 'POST', headers: { authorization: `Bearer ${tokens[0].token}` }, body: lines })).status, 200);
  }
  const { rest } = await begin(server, tokens[0].token);
  await server.reload({ ...config, auth: { ...config.auth, tokens: tokens.slice(1) } });
  await server.logged(/backup-broken-off .*subject="?one"? .*taken back/);
  assert.ok((await rest()) < 20e6);
  const { socket } = await begin(server, tokens[1].token);
  socket.destroy();
  await server.logged(/backup-broken-off .*subject="?two"? .*the client went/);
  const whole = await http(`${server.http}/v1/backup`, { headers: { authorization: `Bearer ${tokens[1].token}` } });
  assert.equal(whole.status, 200);
  await server.logged(/backup-sent .*subject="?two"? bytes=[0-9]{8}/);
});

test('a disk that fills up gets the room of a copy back', async (t) => {
  let server;
  const folder = smallDisk(t, 400, () => server?.discard());
  if (!folder) return;
  server = await Server.start({ db: join(folder, 'stele.db'), config: { exports }, set: { checkpoint_pages: 500 } });
  await postAll(server, range(8000, (i) => m(`k${i}`, { i, pad })), 500);
  const free = () => statfsSync(folder).bavail * statfsSync(folder).bsize;
  const { rest } = await begin(server);
  /* Again and again: a write-ahead log that starts over gives room back meanwhile. */
  await eventually(() => {
    if (/backup-broken-off .*the disk of the database needs the room/.test(server.stderr)) return true;
    if (free() > 12e6) fillDisk(folder, 10);
    return false;
  }, 'the copy gives way');
  await rest();
  await eventually(() => free() > 20e6, 'the room is free');
  await post(server, m('more', { n: 1 }));
  assert.ok(existsSync(server.db));
});

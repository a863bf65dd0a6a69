// Files of a folder (`static_files`): public also where the API takes a token, under a base path, over TLS and behind a
// proxy alike; and a file far larger than memory, to more slow readers than there is room for.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import test from 'node:test';
import { http } from './lib/feed.js';
import { Server, patience, scratch } from './lib/server.js';

function site(t) {
  const folder = join(scratch(t), 'site');
  mkdirSync(join(folder, 'sub'), { recursive: true });
  writeFileSync(join(folder, 'index.html'), '<p>front');
  writeFileSync(join(folder, 'sub/page.js'), 'export {};');
  return folder;
}

const get = async (url, init) => {
  const answer = await fetch(url, init);
  return { status: answer.status, headers: answer.headers, url: answer.url, text: await answer.text() };
};

test('files are off unless set', async (t) => {
  const server = await Server.forTest(t, {});
  const { status, text } = await get(`${server.http}/index.html`);
  assert.equal(status, 404, text);
  assert.match(text, /there is nothing here/);
});

test('files are public where the API takes a token; the answers say what a browser needs', async (t) => {
  const server = await Server.forTest(t, { config: { static_files: site(t), auth: { mode: 'static', tokens: [{ token: 'secret-token-of-some-length', subject: 'a' }] } } });
  assert.equal((await get(`${server.http}/v1/views`)).status, 401);
  const page = await get(`${server.http}/`);
  assert.equal(page.status, 200, page.text);
  assert.equal(page.text, '<p>front');
  assert.equal(page.headers.get('content-type'), 'text/html; charset=utf-8');
  assert.equal(page.headers.get('x-content-type-options'), 'nosniff');
  assert.equal(page.headers.get('cache-control'), 'no-cache');
  assert.equal((await get(`${server.http}/?hs_token=wrong`, { headers: { authorization: 'Bearer wrong' } })).status, 200);
  const again = await get(`${server.http}/`, { headers: { 'if-none-match': page.headers.get('etag') } });
  assert.equal(again.status, 304);
  /* A folder's page has relative links. */
  writeFileSync(join(server.options.config.static_files, 'sub/index.html'), '<p>sub');
  const folder = await get(`${server.http}/sub`);
  assert.equal(folder.url, `${server.http}/sub/`);
  assert.equal(folder.text, '<p>sub');
});

test('a proxy may leave its path in front', async (t) => {
  const server = await Server.forTest(t, { config: { static_files: site(t), base_path: '/a/stele' } });
  for (const front of ['', '/a/stele']) {
    assert.equal((await get(`${server.http}${front}/sub/page.js`)).text, 'export {};');
    assert.equal((await get(`${server.http}${front}/`)).text, '<p>front');
  }
});

test('a folder that is not there is an error at the start', async (t) => {
  const folder = scratch(t);
  const { code, stderr } = await Server.refused({ db: join(folder, 'stele.db'), set: { static_files: join(folder, 'none') } });
  assert.notEqual(code, 0);
  assert.match(stderr, /setting "static_files": folder .*none: .*No such file.*; name a folder that exists/);
});

test('a relative folder begins where the server was started', async (t) => {
  const { code, stderr } = await Server.refused({ db: join(scratch(t), 'stele.db'), set: { static_files: 'nowhere/at-all' } });
  assert.notEqual(code, 0);
  assert.match(stderr, /folder nowhere\/at-all: No such file/);
});

const residentKib = (server) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.child.pid}/status`, 'utf8'))[1]);
const until = async (what, holds) => {
  const end = Date.now() + patience(60_000);
  while (!(await holds())) {
    assert.ok(Date.now() < end, what);
    await new Promise((done) => setTimeout(done, 20));
  }
};

/* 64 KiB of a file are in memory for each, 64 MiB for all: so many of one address find room, and others are told. */
const ROOM = 1024;
const EXTRA = 26;

test('a file larger than memory, and more readers than there is room for, none of which reads', async (t) => {
  const folder = site(t);
  const size = 8 * 2 ** 30;
  writeFileSync(join(folder, 'huge.bin'), '');
  truncateSync(join(folder, 'huge.bin'), size);
  const server = await Server.forTest(t, { config: { static_files: folder } });
  await get(`${server.http}/`);
  const before = residentKib(server);
  const { port } = new URL(server.http);
  const readers = [];
  const open = () => {
    const socket = connect({ port, host: '127.0.0.1', highWaterMark: 1024 });
    const reader = { socket, status: 0 };
    socket.on('error', () => {});
    socket.write('GET /huge.bin HTTP/1.1\r\nHost: localhost\r\n\r\n');
    socket.once('data', (bytes) => {
      reader.status = Number(/^HTTP\/1\.1 (\d+)/.exec(bytes.toString('latin1'))?.[1]);
      socket.pause();
    });
    readers.push(reader);
  };
  t.after(() => readers.forEach(({ socket }) => socket.destroy()));
  while (readers.length < ROOM + EXTRA) {
    for (let i = 0; i < 50; i++) open(); /* fewer than may wait for a reading thread */
    await until('each has an answer', () => readers.every(({ status }) => status));
  }
  const refused = readers.filter(({ status }) => status === 503).length;
  assert.equal(refused + readers.filter(({ status }) => status === 200).length, readers.length);
  assert.equal(refused, EXTRA);
  const grown = residentKib(server) - before;
  assert.ok(grown < 200 * 1024, `${grown} KiB more in memory`);
  /* Who comes for little is served all the same, and one of the others makes room for it. */
  assert.equal((await http(`${server.http}/v1/views`)).status, 200);
  /* Those who read go on, and so can others when some have gone. */
  readers.slice(100).forEach(({ socket }) => socket.destroy());
  await until('the memory is there again', async () => (await get(`${server.http}/`)).status === 200);
  let read = 0;
  const reader = readers[50]; /* the oldest make room first */
  reader.socket.on('data', (bytes) => (read += bytes.length));
  reader.socket.resume();
  await until('it gets far more than sockets hold', () => read > 64 * 2 ** 20);
});

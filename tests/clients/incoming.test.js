// Requests that do not become whole: how much of them is kept, for how long, and for whom.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Ingest, http, tryPost } from './lib/feed.js';
import { Raw } from './lib/raw.js';
import { Server, check, within } from './lib/server.js';
import { Socket } from './lib/socket.js';
import { bearer } from './lib/token.js';

const exports = { E: {} };
const bodyOf = (key, bytes) => JSON.stringify({ export: 'E', key, patch: { text: 'x'.repeat(bytes) } });
const batchOf = (key, bytes) => JSON.stringify({ id: 1, mutations: [{ export: 'E', key, patch: { text: 'x'.repeat(bytes) } }] });

/** A POST whose body the server waits for. */
async function begin(t, server, length, headers = '') {
  const raw = new Raw(server.port);
  t.after(() => raw.tcp.destroy());
  raw.send(`POST /v1/mutations HTTP/1.1\r\nHost: localhost\r\n${headers}Expect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`);
  await raw.proceeds();
  return raw;
}

const WHOLE = /\r\n\r\n\{[^]*\}/;

/** Wait until stele_incoming_bytes, and stele_bytes_received_total, are as wanted. */
async function holds(server, wanted) {
  const look = async () => {
    for (;;) {
      const { text } = await server.get('/metrics');
      const value = (name) => Number(new RegExp(`^stele_${name} (\\d+)`, 'm').exec(text)[1]);
      if (wanted(value('incoming_bytes'), value('bytes_received_total'))) return;
      await sleep(20);
    }
  };
  await within(look(), 'stele_incoming_bytes to be right');
}

/** A frame as a client sends it, with a mask of zeros. */
const frame = (opcode, final, text) => Buffer.concat([Buffer.from([(final ? 0x80 : 0) | opcode, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);

/** The beginning of a frame: it says how long the text is, and has all but the last bytes of it. */
const beginning = (text, missing) => {
  const head = Buffer.from([0x81, 0x80 | 126, text.length >> 8, text.length & 0xff, 0, 0, 0, 0]);
  return Buffer.concat([head, Buffer.from(text.slice(0, -missing))]);
};

/** What a WebSocket is told, and how it ends. */
async function fate(socket) {
  const said = [];
  socket.on('message', (bytes) => said.push(JSON.parse(bytes)));
  const end = await within(socket.closed, 'the end of the connection');
  return { end, said };
}

test('what all clients together have not finished is bounded; one alone always fits', async (t) => {
  const server = await Server.forTest(t, { config: { exports, incoming_bytes: 65536 } });
  const body = bodyOf('held', 60_000);
  const held = await begin(t, server, body.length);
  held.send(body.slice(0, 50_000));
  await holds(server, (bytes) => bytes >= 50_000 && bytes <= 100_000);

  const other = await tryPost(server, bodyOf('other', 60_000));
  assert.deepEqual([other.status, other.json.code, other.headers['retry-after'], other.headers.connection], [503, 'queue-full', '1', 'close'], other.text);

  const feeder = await Socket.open(`${server.ws}/v1/ingest`);
  feeder.tcp.write(beginning(batchOf('feeder', 60_000), 100));
  const fed = await fate(feeder);
  assert.equal(fed.said[0].nack, null);
  assert.deepEqual([fed.said[0].error.code, fed.said[0].error.retryable, fed.end.code], ['queue-full', true, 1013]);
  assert.match(fed.end.reason, /^queue-full: /);

  const subscriber = await Socket.open(server.ws);
  subscriber.tcp.write(beginning(JSON.stringify({ type: 'subscribe', view: 'E/list', more: 'x'.repeat(60_000) }), 100));
  const told = await fate(subscriber);
  assert.deepEqual([told.said.at(-1).code, told.said.at(-1).fatal, told.end.code], ['queue-full', true, 1013]);

  /* Small ones that come in one piece are not kept, so they pass. */
  assert.equal((await tryPost(server, bodyOf('small', 10))).status, 200);
  held.send(body.slice(50_000));
  assert.equal((await held.answer(WHOLE)).status, 200);
  await holds(server, (bytes) => bytes === 0);
  assert.equal((await tryPost(server, bodyOf('large', 1_000_000))).status, 200);
  const ingest = await Ingest.open(server);
  await ingest.sendText(batchOf('large-too', 1_000_000), 1);
  await ingest.close();
  await holds(server, (bytes) => bytes === 0);
  const rows = await http(`${server.http}/v1/views`);
  assert.match(rows.text, /"rows":4/);
});

test('who goes in the middle leaves nothing behind, and the server stops in the middle of others', async (t) => {
  const server = await Server.forTest(t, { config: { exports } });
  const posts = await Promise.all(Array.from({ length: 5 }, () => begin(t, server, 1_000_000)));
  const sockets = await Promise.all(['/v1/ingest', ''].map((path) => Socket.open(`${server.ws}${path}`)));
  const fill = () => {
    for (const post of posts) post.send('x'.repeat(100_000));
    for (const socket of sockets) socket.tcp.write(frame(1, false, 'x'.repeat(100)));
  };
  fill();
  await holds(server, (bytes) => bytes >= 500_200);
  for (const one of [...posts.slice(0, 4), ...sockets]) one.tcp.destroy();
  await holds(server, (bytes) => bytes >= 100_000 && bytes < 300_000);
  await server.terminate();
  await check(server.db);
});

test('what the full queue does not take counts until it does', async (t) => {
  const server = await Server.forTest(t, { config: { exports, queue_bytes: 65536 } });
  const shell = spawn('sqlite3', [server.db], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => shell.kill('SIGKILL'));
  shell.stdin.write(".timeout 20000\nBEGIN IMMEDIATE;\nSELECT 'held';\n");
  await once(shell.stdout, 'data');
  const producers = await Promise.all(Array.from({ length: 6 }, () => Ingest.open(server)));
  const answers = producers.map((producer, i) => producer.sendText(batchOf(`k${i}`, 60_000), 1));
  await holds(server, (bytes, received) => received > 6 * 60_000 && bytes >= 60_000);
  shell.kill('SIGKILL');
  await within(Promise.allSettled(answers), 'the answers', 40_000);
  await holds(server, (bytes) => bytes === 0);
  await Promise.all(producers.map((producer) => producer.close()));
});

test('what trickles in is cut off', async (t) => {
  const server = await Server.forTest(t, { config: { exports, incoming_seconds: 1 } });
  const trickle = async (ended, send) => {
    let over = false;
    ended.then(() => (over = true));
    while (!over) {
      send();
      await sleep(100);
    }
  };
  const post = await begin(t, server, 1000);
  const gone = new Promise((done) => post.tcp.once('close', done));
  const answer = (async () => {
    while (!WHOLE.test(post.text)) await within(new Promise((done) => post.tcp.once('data', () => setImmediate(done))), '408');
    assert.match(post.text, /^HTTP\/1\.1 408 Request Timeout\r\n[^]*X-Error-Code: too-slow\r\n[^]*Connection: close\r\n/);
  })();
  const running = [trickle(gone, () => post.send('x')), answer];
  for (const path of ['/v1/ingest', '']) {
    const socket = await Socket.open(`${server.ws}${path}`);
    const end = fate(socket);
    socket.tcp.write(frame(1, false, '{'));
    running.push(trickle(end, () => socket.tcp.write(frame(0, false, 'x'))));
    running.push(end.then(({ end: { code, reason }, said }) => {
      assert.equal(code, 1008);
      assert.match(reason, /^too-slow: /);
      const error = path ? said.at(-1).error : said.at(-1);
      assert.deepEqual([error.code, error.retryable], ['too-slow', true]);
    }));
  }
  await within(Promise.all(running), 'all of them to be cut off', 40_000);
  await holds(server, (bytes) => bytes === 0);
  assert.equal((await tryPost(server, bodyOf('k', 100_000))).status, 200);
});

test('a static token counts as it is when the body is complete', async (t) => {
  const [gone, less, same] = ['gone-token-0123456789', 'less-token-0123456789', 'same-token-0123456789'];
  const config = (...tokens) => ({ exports, auth: { mode: 'static', tokens: tokens.map(([token, scope]) => ({ token, scope })) } });
  const server = await Server.forTest(t, { config: config([gone, 'write'], [less, 'write'], [same, 'read write']) });
  const body = bodyOf('k', 10);
  const posts = [];
  for (const token of [gone, less, same]) posts.push(await begin(t, server, body.length, `Authorization: ${bearer(token).Authorization}\r\n`));
  for (const post of posts) post.send(body.slice(0, 10));
  await server.reload(config([less, 'read'], [same, 'read write']));
  const wanted = [[401, 'invalid-static-token'], [403, 'scope-missing'], [200, undefined]];
  for (const [i, post] of posts.entries()) {
    post.send(body.slice(10));
    const { status, code, text } = await post.answer(WHOLE);
    assert.deepEqual([status, code], wanted[i], text);
    const rows = await http(`${server.http}/v1/views`, { headers: bearer(same) });
    assert.equal(/"rows":1/.test(rows.text), i === 2);
  }
});

test('who came without a token feeds nothing once one is needed', async (t) => {
  const server = await Server.forTest(t, { config: { exports } });
  const body = bodyOf('k', 10);
  const post = await begin(t, server, body.length);
  post.send(body.slice(0, 10));
  await server.reload({ exports, auth: { mode: 'static', tokens: ['read-token-0123456789'] } });
  post.send(body.slice(10));
  const { status, code } = await post.answer(WHOLE);
  assert.deepEqual([status, code], [401, 'token-missing']);
});

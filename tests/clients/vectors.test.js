// The vectors of tests/vectors, played to a real server over real sockets: WebSocket frames as RFC 6455
// has them, and heads of requests as RFC 9112 does. The unit tests read the same files.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import test from 'node:test';
import { ROOT, Server, within } from './lib/server.js';

const vectors = (file) => readFileSync(join(ROOT, 'tests/vectors', file), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
const fromHex = (text) => Buffer.from(text.replaceAll(' ', ''), 'hex');

/** All that a server sends until it ends the connection or `enough` is content, as {bytes, ended}. */
function played(port, { pieces, enough = () => false, thenEnd = false }) {
  return new Promise((done) => {
    let bytes = Buffer.alloc(0);
    const tcp = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    const finish = (ended) => {
      tcp.destroy();
      done({ bytes, ended });
    };
    tcp.on('data', (data) => {
      bytes = Buffer.concat([bytes, data]);
      if (enough(bytes)) finish(false);
    });
    tcp.on('end', () => finish(true));
    tcp.on('error', (error) => finish(error.code));
    (async () => {
      for (const piece of pieces) await new Promise((sent) => tcp.write(piece, () => setImmediate(sent)));
      if (thenEnd) tcp.end();
    })();
  });
}

/** Every vector, eight at a time; a failure names it. */
async function each(all, play) {
  const waiting = all.values();
  await Promise.all(Array.from({ length: 8 }, async () => {
    for (const vector of waiting) {
      try {
        await within(play(vector), 'the server');
      } catch (error) {
        throw new Error(`"${vector.name}": ${error.message}`, { cause: error });
      }
    }
  }));
}

/* ---- WebSocket ---- */

const HANDSHAKE =
  'GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n';
const FENCE = Buffer.from('fence');
const FENCE_PING = Buffer.concat([Buffer.from([0x89, 0x80 | FENCE.length, 0, 0, 0, 0]), FENCE]);

/** Frames of a server behind its handshake's answer: [{opcode, payload}]. */
function serverFrames(bytes) {
  const head = bytes.indexOf('\r\n\r\n');
  if (head < 0) return [];
  assert.match(bytes.subarray(0, head).toString(), /^HTTP\/1\.1 101 /);
  const frames = [];
  for (let at = head + 4; bytes.length - at >= 2; ) {
    assert.ok((bytes[at] & 0xf0) === 0x80 && bytes[at + 1] < 127, 'a frame that no server sends here');
    const wide = bytes[at + 1] === 126;
    const start = at + (wide ? 4 : 2);
    const length = wide ? (bytes[at + 2] << 8) | bytes[at + 3] : bytes[at + 1];
    if (bytes.length < start + length) break;
    frames.push({ opcode: bytes[at] & 15, payload: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return frames;
}

/* What the server must say: a pong for a ping, a refusal for a message, which is none of the protocol's; and the end. */
async function playFrames(port, { bytes, events, end }, split) {
  const frames = fromHex(bytes);
  const pieces = split ? [...frames].map((byte) => Buffer.of(byte)) : [frames];
  const isOpen = end === 'open';
  const messages = events.filter((event) => /^(text|binary)/.test(event));
  /* A pong may overtake the answer to a message. */
  const isAnswered = (frames) => frames.some(({ opcode, payload }) => opcode === 10 && payload.equals(FENCE)) && frames.filter(({ opcode }) => opcode === 1).length >= messages.length;
  const { bytes: heard, ended } = await played(port, {
    pieces: [HANDSHAKE, ...pieces, ...(isOpen ? [FENCE_PING] : [])],
    enough: (so_far) => isOpen && isAnswered(serverFrames(so_far)),
    thenEnd: end === 'waiting',
  });
  const said = serverFrames(heard);
  const of = (opcode) => said.filter((frame) => frame.opcode === opcode).map(({ payload }) => payload.toString('hex'));
  const payloads = (kind) => events.filter((event) => event.startsWith(kind)).map((event) => event.slice(kind.length + 1));
  assert.deepEqual(of(10), [...payloads('ping'), ...(isOpen ? [FENCE.toString('hex')] : [])], 'pongs');
  const refusals = said.filter(({ opcode }) => opcode === 1).map(({ payload }) => JSON.parse(payload).code);
  const refused = messages.map(() => 'invalid-message');
  if (isOpen) return assert.deepEqual([refusals, ended], [refused, false]);
  /* What comes in the same moment as the end may go unanswered. */
  if (end === 'fail 1009') assert.equal(refusals.pop(), 'too-large');
  assert.deepEqual(refusals, refused.slice(0, refusals.length));
  assert.equal(ended, true, 'the server ends the connection in order');
  if (end === 'waiting') return assert.deepEqual(said, []);
  const status = Number(end.split(' ')[1]);
  assert.equal(said.at(-1)?.opcode, 8, 'a close frame comes last');
  const { payload } = said.at(-1);
  assert.equal(payload.length ? payload.readUInt16BE(0) : 1005, status, payload.toString('latin1'));
}

for (const [how, split] of [['whole', false], ['byte by byte', true]]) {
  test(`frames over a socket, ${how}`, async (t) => {
    const server = await Server.forTest(t, { set: { max_message_bytes: 1024 } });
    const all = vectors('websocket/frames.jsonl');
    assert.ok(all.length > 100);
    await each(all, (vector) => playFrames(server.port, vector, split));
    await server.terminate();
  });
}

/* ---- heads of requests ---- */

const SECOND = 'GET /second/request HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';

/** Answers, one behind the other: [{status, headers, body}]. */
function answersIn(bytes) {
  const answers = [];
  for (let at = 0; ; ) {
    const end = bytes.indexOf('\r\n\r\n', at);
    if (end < 0) return answers;
    const headers = bytes.subarray(at, end).toString('latin1');
    const length = Number(/^content-length: (\d+)\r?$/im.exec(headers)?.[1] ?? 0);
    answers.push({ status: Number(headers.split(' ')[1]), headers, body: bytes.subarray(end + 4, end + 4 + length).toString() });
    at = end + 4 + length;
  }
}

/* Behind each comes a second request, in the same bytes: it is answered exactly when the first was read and keeps the
 * connection. */
async function playHead(port, { text, hex, head, error, status, content = '' }, split) {
  const bytes = Buffer.concat([hex === undefined ? Buffer.from(text) : fromHex(hex), Buffer.from(content)]);
  const goesOn = status !== 101 && status !== 100;
  const pieces = split ? [bytes.subarray(0, bytes.length >> 1), bytes.subarray(bytes.length >> 1)] : [];
  const all = split ? [...pieces, ...(goesOn ? [SECOND] : [])] : [Buffer.concat([bytes, Buffer.from(goesOn ? SECOND : '')])];
  const { bytes: heard, ended } = await played(port, { pieces: all, enough: (so_far) => !goesOn && so_far.includes('\r\n\r\n') });
  const answers = answersIn(heard);
  const [first, second, third] = answers;
  assert.equal(first?.status, status, heard.toString('latin1'));
  if (!goesOn) return;
  assert.equal(ended, true);
  assert.equal(third, undefined);
  if (error) {
    assert.match(first.headers, new RegExp(`^X-Error-Code: ${error}\\r?$`, 'm'));
    assert.match(first.headers, /^Connection: close\r?$/m);
    assert.equal(second, undefined, 'what came behind it was taken for a request');
  } else {
    assert.equal(second?.status, head.keeps ? 404 : undefined, 'the second request');
    assert.equal(/^Connection: close\r?$/m.test(first.headers), !head.keeps);
  }
}

for (const [how, split] of [['whole', false], ['in two halves', true]]) {
  test(`heads of requests over a socket, ${how}`, async (t) => {
    const server = await Server.forTest(t, { config: { allowed_hosts: ['a', 'host'], exports: { E: {} } } });
    const all = vectors('http/heads.jsonl');
    assert.ok(all.length > 80);
    await each(all, (vector) => playHead(server.port, vector, split));
    await server.terminate();
  });
}

// The error table of docs/protocol.md, and how each of its rows is looked at: by a plain WebSocket
// handshake, by plain HTTP, in a session, and by the published client.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionManager } from 'hyperstack-typescript';
import WebSocket from 'ws';
import { http } from './feed.js';
import { ROOT, patience, within } from './server.js';
import { HandshakeError, Socket } from './socket.js';

/** code → {status, retry} as docs/protocol.md says. */
export function documentedErrors() {
  const text = readFileSync(join(ROOT, 'docs/protocol.md'), 'utf8');
  const section = /^## 5\. Errors$([\s\S]*?)^## 6\./m.exec(text)[1];
  const rows = [...section.matchAll(/^\| ([a-z][a-z-]+) \| (\d{3}) \| (.+) \|$/gm)];
  return new Map(rows.map(([, code, status, retry]) => [code, { status: Number(status), retry }]));
}

const documented = documentedErrors();

/** The members that every error has, in whatever form it comes. */
export function checkFields(error, code, { retryAfter, message } = {}) {
  const tell = JSON.stringify(error);
  assert.ok(documented.has(code), `${code} is not in docs/protocol.md`);
  assert.equal(error.error, code, tell);
  assert.equal(error.code, code, tell);
  assert.ok(typeof error.message === 'string' && error.message.length > 10, tell);
  if (message) assert.match(error.message, message, tell);
  assert.equal(error.retryable, documented.get(code).retry !== 'no', tell);
  assert.ok(typeof error.suggested_action === 'string' && error.suggested_action.length > 10, tell);
  if (retryAfter !== undefined || documented.get(code).retry === 'later') {
    assert.ok(Number.isInteger(error.retry_after) && error.retry_after > 0, tell);
    if (typeof retryAfter === 'number') assert.equal(error.retry_after, retryAfter, tell);
  } else assert.equal(error.retry_after, undefined, tell);
}

/** An answer to a handshake or a request: its status, headers and body. */
export function checkAnswer({ status, headers, body }, code, expected = {}) {
  const tell = `${status} ${JSON.stringify(headers)} ${body}`;
  assert.equal(status, documented.get(code)?.status, tell);
  assert.equal(headers['content-type'], 'application/json; charset=utf-8', tell);
  assert.equal(headers['x-error-code'], code, tell);
  assert.equal(headers['cache-control'], 'no-store', tell);
  const error = JSON.parse(body);
  checkFields(error, code, expected);
  assert.ok(!('type' in error) && !('fatal' in error), tell);
  if (error.retry_after === undefined) assert.equal(headers['retry-after'], undefined, tell);
  else assert.equal(headers['retry-after'], String(error.retry_after), tell);
  if (status === 401) {
    assert.match(headers['www-authenticate'], code === 'token-missing' ? /^Bearer realm="stele"$/ : /^Bearer realm="stele", error="invalid_token"$/);
  } else assert.equal(headers['www-authenticate'], undefined, tell);
}

/** What a handshake that must be refused is answered with. */
export async function refusal(server, { path = '/', headers } = {}) {
  try {
    const socket = await Socket.open(server.ws + path, { headers });
    socket.destroy();
  } catch (error) {
    if (error instanceof HandshakeError) return error;
    throw error;
  }
  throw new Error(`the handshake with ${path} was not refused`);
}

/** The same for a request: {status, headers, body}. */
export async function answerTo(server, path, options) {
  const { status, headers, text } = await http(server.http + path, options);
  return { status, headers, body: text };
}

/** A fatal error in a session: the message, then 1008 and the reason. */
export async function checkFatal(client, code, expected = {}) {
  const error = await client.expect('error');
  checkFields(error, code, expected);
  assert.equal(error.fatal, true);
  const end = await within(client.closed, `the close for ${code}`);
  assert.equal(end.code, 1008);
  assert.ok(end.reason.startsWith(`${code}: `) && Buffer.byteLength(end.reason) <= 123, end.reason);
  return error;
}

/* Node 20 has no WebSocket of its own. */
globalThis.WebSocket ??= WebSocket;
const makeSocket = (url, init) => {
  const socket = new WebSocket(url, init);
  socket.binaryType = 'arraybuffer';
  return socket;
};

/** The published client's connection: {manager, states, issues, frames}. Nothing is hidden from it. */
export function npmClient(t, server, { auth = {}, headers, ...options } = {}) {
  const websocketFactory = (url, init) => makeSocket(url, { ...init, headers: { ...init?.headers, ...headers } });
  const manager = new ConnectionManager({
    websocketUrl: server.ws, reconnectIntervals: [20], maxReconnectAttempts: 0, auth: { websocketFactory, ...auth }, ...options,
  });
  const client = { manager, states: [], issues: [], frames: [], waiting: [] };
  const wake = () => client.waiting.splice(0).forEach((done) => done());
  manager.onStateChange((state, error) => (client.states.push(error ? `${state}: ${error}` : state), wake()));
  manager.onSocketIssue((issue) => (client.issues.push(issue), wake()));
  manager.onFrame((frame) => (client.frames.push(frame), wake()));
  client.until = async (test, what) => {
    const late = Date.now() + patience(20_000);
    while (!test(client)) {
      if (Date.now() > late) throw new Error(`${what} did not come: ${JSON.stringify({ states: client.states, issues: client.issues })}`);
      await Promise.race([new Promise((done) => client.waiting.push(done)), sleep(20)]);
    }
  };
  t.after(() => manager.disconnect());
  return client;
}

/** What it reports of a handshake that is refused. */
export async function npmReport(t, server, options) {
  const client = npmClient(t, server, options);
  try {
    await client.manager.connect();
  } catch (error) {
    return { code: error.code, states: client.states };
  }
  throw new Error('the published client got in');
}


// A raw protocol client: keeps every message with its text, holds it against the rules that hold
// for all frames, and lets a test wait for the next one.

import assert from 'node:assert/strict';
import { gunzipSync } from 'node:zlib';
import { Socket } from './socket.js';
import { within } from './server.js';

const SEQ = /^(0|[1-9][0-9]*):[0-9]{12,}$/;
const ORDER = {
  subscribed: ['op', 'view', 'mode', 'sort', 'sorts', 'take', 'skip', 'epoch', 'resumed'],
  snapshot: ['mode', 'entity', 'op', 'data', 'complete', 'seq', 'more'],
  patch: ['mode', 'entity', 'op', 'key', 'data', 'append', 'seq'],
  upsert: ['mode', 'entity', 'op', 'key', 'data', 'seq'],
  delete: ['mode', 'entity', 'op', 'key', 'data', 'seq'],
};
const strict = new TextDecoder('utf-8', { fatal: true });

/** Decode one WebSocket message: {text, json, binary, gzip, bytes}. */
export function decode(bytes, isText) {
  const gzip = !isText && bytes.length >= 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;
  const text = strict.decode(gzip ? gunzipSync(bytes) : bytes);
  return { text, json: JSON.parse(text), binary: !isText, gzip, bytes: bytes.length };
}

/** The rules of protocol.md sections 1 and 3 that hold for every message. `windows`: who fell behind
 * a window gets only the last frame of what was missed with a cursor. */
export function checkMessage(message, { windows = false } = {}) {
  const { json, text, binary, gzip } = message;
  const tell = text.slice(0, 300);
  if (!binary) {
    assert.ok(json.type === 'error' || json.type === 'pong' || typeof json.success === 'boolean', `text message: ${tell}`);
    if (json.type === 'error') {
      for (const [name, type] of [['error', 'string'], ['message', 'string'], ['code', 'string'], ['retryable', 'boolean'], ['fatal', 'boolean']]) {
        assert.equal(typeof json[name], type, `error's ${name}: ${tell}`);
      }
      assert.equal(json.error, json.code, tell);
    }
    return;
  }
  const order = ORDER[json.op];
  assert.ok(order, `binary message with op ${json.op}: ${tell}`);
  const names = Object.keys(json);
  assert.deepEqual(names, order.filter((name) => names.includes(name)), `field order: ${tell}`);
  const size = Buffer.byteLength(text);
  if (json.op === 'snapshot') {
    assert.ok(Array.isArray(json.data) && typeof json.complete === 'boolean', tell);
    assert.equal(json.seq !== undefined, json.complete && json.seq !== undefined, `seq on a batch that is not the last: ${tell}`);
    if (gzip) assert.ok(size >= 1024 && message.bytes < size, `gzip of ${size} bytes`);
  } else {
    assert.ok(!gzip, `live frame compressed: ${tell}`);
  }
  if (json.op === 'subscribed') {
    assert.equal(typeof json.view, 'string', tell);
  } else if (json.op !== 'snapshot') {
    assert.equal(typeof json.key, 'string', tell);
    assert.ok('data' in json, tell);
    if (json.op === 'delete') assert.equal(json.data, null, tell);
    else {
      assert.ok(json.data !== null && typeof json.data === 'object' && !Array.isArray(json.data), tell);
      assert.match(json.data._seq ?? '', SEQ, tell);
      /* Who is caught up in an append view gets some frames without a cursor: it must not be taken
       * back behind what it has. */
      if (json.mode !== 'append' && !windows) assert.ok(json.seq !== undefined, tell);
      if (json.op === 'patch' && json.seq !== undefined) assert.equal(json.data._seq, json.seq, `_seq of the data: ${tell}`);
    }
    if (json.append !== undefined) assert.ok(Array.isArray(json.append) && json.append.length > 0, tell);
  }
  if (json.seq !== undefined) assert.match(json.seq, SEQ, tell);
  assert.ok(['list', 'state', 'append'].includes(json.mode), tell);
}

export class Client {
  /** `named`: what takes the frames of version 2 (named.js), where the connection has subscriptions of both. */
  static async open(server, { path = '/', windows = false, named, ...options } = {}) {
    const client = new Client();
    Object.assign(client, { windows, named });
    const url = typeof server === 'string' ? server : server.ws + path;
    client.socket = await Socket.open(url, options);
    client.closed = client.socket.closed;
    client.socket.on('message', (bytes, isText, fragments) => client.#take(bytes, isText, fragments));
    client.socket.on('close', (end) => {
      client.end = end;
      client.#wake();
    });
    return client;
  }

  messages = []; /* all of them */
  read = 0; /* how many next() has given out */
  #waiting = [];

  #take(bytes, isText, fragments) {
    try {
      const message = decode(bytes, isText);
      message.fragments = fragments;
      if (this.named && message.json.protocolVersion === 2) return this.named.take(message.json), this.#wake();
      checkMessage(message, { windows: this.windows });
      this.messages.push(message);
    } catch (error) {
      this.failure ??= error;
    }
    this.#wake();
  }

  #wake() {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const done of waiting) done();
  }

  send(message) {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  subscribe(view, parameters = {}) {
    this.send({ type: 'subscribe', view, ...parameters });
  }

  /** The next message that was not yet read, whole record. */
  async record(what = 'a message') {
    while (this.messages.length <= this.read) {
      if (this.failure) throw this.failure;
      if (this.end) throw new Error(`connection closed (${this.end.code} ${this.end.reason}) while waiting for ${what}`);
      await within(new Promise((done) => this.#waiting.push(done)), () => `${what}; so far: ${this.tail()}`);
    }
    if (this.failure) throw this.failure;
    return this.messages[this.read++];
  }

  tail() {
    return this.messages.slice(-6).map((m) => m.text.slice(0, 200)).join('\n  ') || 'nothing';
  }

  /** The next message, parsed. */
  async next(what) {
    return (await this.record(what)).json;
  }

  /** The next one must have this op (or be an error: 'error'). */
  async expect(op) {
    const frame = await this.next(op);
    assert.equal(frame.op ?? frame.type, op, `expected ${op}, got ${JSON.stringify(frame).slice(0, 300)}`);
    return frame;
  }

  /** Read on until a message satisfies `test`; gives all that were read. */
  async until(test, what = 'a certain message') {
    const seen = [];
    for (;;) {
      const frame = await this.next(what);
      seen.push(frame);
      if (test(frame)) return seen;
    }
  }

  /** Subscribe and read the whole opening: {subscribed, rows (key → data), batches, seq, deletes}. */
  async open(view, parameters = {}) {
    this.subscribe(view, parameters);
    return this.opening();
  }

  async opening() {
    const subscribed = await this.expect('subscribed');
    const batches = [];
    const rows = new Map();
    const order = [];
    for (;;) {
      const frame = await this.expect('snapshot');
      batches.push(frame);
      for (const { key, data } of frame.data) {
        rows.set(key, data);
        order.push(key);
      }
      if (frame.complete) return { subscribed, rows, order, batches, seq: frame.seq };
    }
  }

  /** Nothing is on its way: everything sent before has been answered, and no message came but those
   * that are fine. */
  async silence(isFine = () => false) {
    /* The answer to a message that must be refused comes after whatever was due before it. Live
     * frames could come later still, so the fence is asked for twice. */
    for (let i = 0; i < 2; i++) {
      this.send({ type: 'subscribe', view: '\u0001fence' });
      let answer = await this.next('the fence');
      while (isFine(answer)) answer = await this.next('the fence');
      assert.equal(answer.type, 'error', `expected silence, got ${JSON.stringify(answer).slice(0, 300)}`);
      assert.notEqual(answer.code, undefined);
    }
  }

  async close() {
    this.socket.close();
    await within(this.closed, 'close');
  }

  destroy() {
    this.socket.destroy();
  }
}

/** Open a client for a test and close it at its end. */
export async function clientFor(t, server, options) {
  const client = await Client.open(server, options);
  t.after(() => client.destroy());
  return client;
}

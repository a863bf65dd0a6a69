// Producers: POST /v1/mutations, pipelined /v1/ingest, and one that delivers exactly once.

import { request } from 'node:http';
import { request as requestTls } from 'node:https';
import { askPlainly, isPlain } from './plain_http.js';
import { Socket } from './socket.js';
import { within } from './server.js';

/** An HTTP request: {status, headers, text, json}. Its connection is its own, or one of those that are `kept`
 * (`server.kept`: a server that was started with keeps: true has some). */
export async function http(url, { method = 'GET', body, headers = {}, tls, kept } = {}) {
  const asked = isPlain(url, headers) ? askPlainly(new URL(url), method, body, headers, kept) : askByNode(url, method, body, headers, tls);
  const { status, headers: told, bytes } = await within(asked, `${method} ${url}`, 60_000);
  const text = bytes.toString();
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status, headers: told, text, json };
}

function askByNode(url, method, body, headers, tls) {
  return new Promise((done, fail) => {
    const ask = (String(url).startsWith('https:') ? requestTls : request)(url, { method, headers, agent: false, ...tls }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('error', fail);
      answer.on('end', () => done({ status: answer.statusCode, headers: answer.headers, bytes: Buffer.concat(parts) }));
    });
    ask.on('error', fail);
    ask.end(body);
  });
}

/** Text, a Buffer, a plain mutation, or an array of them → NDJSON. */
export function lines(feed) {
  if (typeof feed === 'string' || Buffer.isBuffer(feed)) return feed;
  const list = Array.isArray(feed) ? feed : [feed];
  return list.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n') + '\n';
}

/** POST without judging the answer. */
export const tryPost = (server, feed, headers = {}) =>
  http(`${server.http}/v1/mutations`, {
    method: 'POST',
    body: lines(feed),
    kept: server.kept,
    headers: { 'content-type': 'application/x-ndjson', ...headers },
  });

/** POST that must be committed; its answer. */
export async function post(server, feed) {
  const answer = await tryPost(server, feed);
  if (answer.status !== 200) throw new Error(`POST /v1/mutations answered ${answer.status}: ${answer.text}`);
  return answer.json;
}

/** Many lines in requests of `size` lines, one after the other. */
export async function postAll(server, all, size = 500) {
  const total = { applied: 0, ignored: 0, duplicate: 0 };
  for (let at = 0; at < all.length; at += size) {
    const answer = await post(server, all.slice(at, at + size));
    for (const name of Object.keys(total)) total[name] += answer[name];
    total.seq = answer.seq ?? total.seq;
  }
  return total;
}

export class Nack extends Error {
  constructor(message) {
    super(`nack: ${JSON.stringify(message)}`);
    this.answer = message;
    this.retryable = message.error?.retryable ?? true;
  }
}

/** A connection to /v1/ingest; requests may be pipelined. */
export class Ingest {
  static async open(server, options = {}) {
    const url = typeof server === 'string' ? server : `${server.ws}/v1/ingest`;
    const ingest = new Ingest();
    ingest.socket = await Socket.open(url, options);
    ingest.closed = ingest.socket.closed;
    ingest.socket.on('message', (bytes) => ingest.#answer(JSON.parse(bytes)));
    ingest.socket.on('close', (end) => {
      ingest.end = end;
      for (const { fail } of ingest.waiting.values()) fail(new Error(`ingest connection closed (${end.code})`));
      ingest.waiting.clear();
    });
    return ingest;
  }

  waiting = new Map();
  others = []; /* answers without a known id */
  next = 1;

  #answer(message) {
    const id = JSON.stringify(message.ack !== undefined ? message.ack : message.nack);
    const waiter = this.waiting.get(id);
    if (!waiter) {
      this.others.push(message);
      this.socket.emit('other', message);
      return;
    }
    this.waiting.delete(id);
    if (message.ack !== undefined) waiter.done(message);
    else waiter.fail(new Nack(message));
  }

  /** Send a request (a plain object; without id it gets one); resolves with its ack. */
  send(request) {
    const whole = { id: request.id ?? this.next++, ...request };
    return this.sendText(JSON.stringify(whole), whole.id);
  }

  sendText(text, id) {
    const answer = new Promise((done, fail) => this.waiting.set(JSON.stringify(id), { done, fail }));
    answer.catch(() => {});
    if (this.end) {
      this.waiting.get(JSON.stringify(id))?.fail(new Error('ingest connection is closed'));
    } else {
      this.socket.send(text);
    }
    return answer;
  }

  /** Send something that has no usable id and wait for the answer. */
  async raw(text) {
    const answer = new Promise((done) => this.socket.once('other', done));
    this.socket.send(text);
    return within(answer, `an answer to ${String(text).slice(0, 80)}`);
  }

  close() {
    this.socket.close();
    return within(this.closed, 'the end of an ingest connection');
  }

  destroy() {
    this.socket.destroy();
  }
}

/**
 * Delivers batches in order and exactly once, over broken connections and restarts: each has the
 * producer's name and a number that grows, and what was not acknowledged is sent again.
 */
export class Producer {
  constructor(name, { window = 8 } = {}) {
    this.name = name;
    this.window = window;
    this.number = 0;
    this.queue = []; /* {number, text, sent} not yet acknowledged, in order */
    this.acknowledged = 0; /* greatest batch number acknowledged */
    this.acks = 0;
    this.duplicates = 0;
    this.changed = [];
  }

  /** Queue a batch: an array of mutations as JSON texts. Extra members of the batch as JSON text. */
  add(mutations, extra = '') {
    const number = ++this.number;
    const text =
      `{"id":${number},"producer":${JSON.stringify(this.name)},"batch":${number},${extra}` +
      `"mutations":[${mutations.join(',')}]}`;
    this.queue.push({ number, text, sent: false });
    this.#pump();
    return number;
  }

  /** (Re)connect to a server; unacknowledged batches are sent again. */
  async connect(server, options) {
    this.ingest?.destroy();
    this.ingest = null;
    const ingest = await Ingest.open(server, options);
    for (const batch of this.queue) batch.sent = false;
    this.ingest = ingest;
    ingest.closed.then(() => {
      if (this.ingest === ingest) this.ingest = null;
    });
    this.#pump();
  }

  disconnect() {
    this.ingest?.destroy();
    this.ingest = null;
  }

  #pump() {
    const ingest = this.ingest;
    if (!ingest || this.failure) return;
    for (const batch of this.queue.slice(0, this.window)) {
      if (batch.sent) continue;
      batch.sent = true;
      ingest.sendText(batch.text, batch.number).then(
        (ack) => this.#acked(batch, ack),
        (error) => this.#refused(ingest, batch, error),
      );
    }
  }

  #acked(batch, ack) {
    const at = this.queue.indexOf(batch);
    if (at > 0) {
      this.failure = new Error(`batch ${batch.number} was acknowledged before ${this.queue[0].number}`);
    }
    if (at < 0) return;
    this.queue.splice(at, 1);
    this.acknowledged = Math.max(this.acknowledged, batch.number);
    this.acks++;
    this.lastSeq = ack.seq ?? this.lastSeq;
    if (ack.duplicate) this.duplicates++;
    this.#wake();
    this.#pump();
  }

  #refused(ingest, batch, error) {
    if (ingest !== this.ingest) return; /* of an older connection: connect() sends it again */
    if (!(error instanceof Nack)) return;
    if (!error.retryable) {
      this.failure = error;
      this.#wake();
      return;
    }
    /* It and all after it are to be sent again, in order. */
    this.nacks = (this.nacks ?? 0) + 1;
    setTimeout(() => {
      if (ingest !== this.ingest) return;
      batch.sent = false;
      this.#pump();
    }, 5);
  }

  #wake() {
    const waiting = this.changed;
    this.changed = [];
    for (const done of waiting) done();
  }

  /** Wait for the next acknowledgement. */
  async acknowledgement() {
    for (const before = this.acks; this.acks === before; ) {
      if (this.failure) throw this.failure;
      await within(new Promise((done) => this.changed.push(done)), `an acknowledgement for ${this.name}`, 60_000);
    }
  }

  /** Wait until at most `left` batches are unacknowledged. */
  async drain(left = 0, ms = 60_000) {
    while (this.queue.length > left) {
      if (this.failure) throw this.failure;
      await within(new Promise((done) => this.changed.push(done)), `acknowledgement of batch ${this.queue[0].number} of ${this.name}`, ms);
    }
    if (this.failure) throw this.failure;
  }
}

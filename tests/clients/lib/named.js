// A client of version 2 of the protocol: subscriptions that it names, one store of entities for each view, and every
// rule by which the published clients end a connection. A frame that breaks one of them is an error at once.

import assert from 'node:assert/strict';
import { gunzipSync } from 'node:zlib';
import WebSocket from 'ws';
import { within } from './server.js';

const OPERATIONS = ['subscribed', 'unsubscribed', 'snapshot', 'upsert', 'patch', 'remove', 'delete'];
const QUERY = ['view', 'key', 'partition', 'filters', 'where', 'sort', 'take', 'skip', 'after', 'epoch', 'snapshotLimit'];

/** Whether a version was had already: the counters of one epoch compare. */
function isStale(version, held) {
  if (!held) return false;
  const [epoch, count] = version.split(':');
  const [heldEpoch, heldCount] = held.split(':');
  return epoch === heldEpoch && BigInt(count) <= BigInt(heldCount);
}

function merge(target, patch, append, path = []) {
  const out = { ...target };
  for (const [name, value] of Object.entries(patch)) {
    const at = [...path, name];
    const isObject = (it) => it !== null && typeof it === 'object' && !Array.isArray(it);
    if (Array.isArray(value) && Array.isArray(out[name]) && append.includes(at.join('.'))) out[name] = [...out[name], ...value];
    else if (isObject(value) && isObject(out[name])) out[name] = merge(out[name], value, append, at);
    else out[name] = value;
  }
  return out;
}

/** What a client of version 2 makes of the messages that it gets. */
export class NamedModel {
  /** `apart`: each subscription has its own entities. */
  constructor({ apart = false } = {}) {
    this.apart = apart;
    this.subscriptions = new Map();
    this.views = new Map(); /* view -> key -> {data, version} */
    this.errors = []; /* of no subscription */
    this.answers = [];
    this.old = [];
  }

  ask(message) {
    if (message.type !== 'subscribe' || typeof message.subscriptionId !== 'string') return;
    if (this.subscriptions.get(message.subscriptionId)?.live) return;
    this.subscriptions.set(message.subscriptionId, { id: message.subscriptionId, view: message.query?.view, rows: new Set(), errors: [], events: [], snapshots: 0, live: true });
  }

  entities(it) {
    const name = this.apart ? it.id : it.view;
    if (!this.views.has(name)) this.views.set(name, new Map());
    return this.views.get(name);
  }

  take(frame) {
    if (frame.op && frame.protocolVersion === undefined) return this.old.push(frame); /* of version 1 */
    if ('success' in frame) return this.answers.push(frame);
    assert.equal(frame.protocolVersion, 2);
    if (frame.type === 'error') return this.#fail(frame);
    assert.ok(OPERATIONS.includes(frame.op), `op ${frame.op}`);
    const it = this.subscriptions.get(frame.subscriptionId);
    assert.ok(it?.live, `${frame.op} for ${frame.subscriptionId}, which is unknown`);
    if (frame.op === 'subscribed') return this.#accept(it, frame);
    if (frame.op === 'unsubscribed') return (it.live = false);
    assert.ok(it.ack, `${frame.op} before subscribed`);
    assert.equal(frame.entity, it.view);
    assert.equal(frame.mode, it.ack.mode);
    if (frame.op === 'snapshot') return this.#stage(it, frame);
    this.#change(it, frame);
  }

  #fail(frame) {
    assert.equal(typeof frame.code, 'string');
    assert.equal(typeof frame.fatal, 'boolean');
    assert.equal(frame.retry_after, undefined);
    if (frame.subscriptionId === null) return this.errors.push(frame);
    const it = this.subscriptions.get(frame.subscriptionId);
    if (!it) return this.errors.push(frame);
    it.errors.push(frame);
    if (frame.code !== 'duplicate-subscription-id' && !it.ack) it.live = false;
  }

  #accept(it, frame) {
    assert.equal(it.ack, undefined, 'subscribed comes once');
    assert.equal(frame.query.view, it.view);
    for (const name of Object.keys(frame.query)) assert.ok(QUERY.includes(name), name);
    it.ack = frame;
  }

  #stage(it, frame) {
    it.staged ??= { id: frame.snapshotId, authoritative: frame.authoritative, key: frame.key, rows: [] };
    assert.ok(frame.snapshotId);
    assert.deepEqual([frame.snapshotId, frame.authoritative, frame.key], [it.staged.id, it.staged.authoritative, it.staged.key]);
    it.staged.rows.push(...frame.data);
    if (!frame.complete) return;
    if (frame.authoritative) it.rows.clear();
    for (const { key, data } of it.staged.rows) {
      this.entities(it).set(key, { data, version: data._version });
      it.rows.add(key);
    }
    it.staged = undefined;
    it.snapshots += 1;
  }

  #change(it, { op, key, data, append = [], offset, seq }) {
    const entities = this.entities(it);
    const held = entities.get(key);
    assert.notEqual(data, undefined, 'data is there, also where it is null');
    if (offset !== undefined) it.events.push({ op, key, data, offset, seq });
    if (op === 'remove') it.rows.delete(key);
    if (op === 'delete') {
      entities.delete(key);
      for (const other of this.apart ? [it] : this.subscriptions.values()) if (other.view === it.view) other.rows.delete(key);
    }
    if (op === 'remove' || op === 'delete') return;
    assert.match(data._version, /^[^:]+:[0-9]+$/);
    const stale = offset === undefined && held && isStale(data._version, held.version);
    if (op === 'patch' && !held && offset === undefined) {
      assert.ok(!this.apart, `a patch of ${key}, which was never sent whole`);
      return; /* what another subscription deleted comes whole when it is there again */
    }
    if (!stale) entities.set(key, { data: op === 'upsert' ? data : merge(held?.data ?? {}, data, append), version: data._version });
    it.rows.add(key);
  }

  rows(id) {
    const it = this.subscriptions.get(id);
    const entities = this.entities(it);
    return Object.fromEntries([...it.rows].filter((key) => entities.has(key)).sort().map((key) => [key, entities.get(key).data]));
  }
}

/** The same over a socket. */
export class NamedClient extends NamedModel {
  static async connect(t, port, { path = '/', headers, apart } = {}) {
    const client = new NamedClient({ apart });
    client.socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers });
    client.frames = [];
    client.waiting = new Set();
    client.socket.on('message', (bytes, binary) => {
      const text = (binary && bytes[0] === 0x1f ? gunzipSync(bytes) : bytes).toString();
      const frame = JSON.parse(text);
      client.frames.push({ ...frame, binary, bytes: bytes.length, compressed: binary && bytes[0] === 0x1f });
      try {
        client.take(frame);
      } catch (error) {
        client.broken ??= new Error(`${error.message}: ${text.slice(0, 300)}`);
      }
      for (const check of client.waiting) check();
    });
    client.socket.on('close', (code, reason) => {
      client.closed = { code, reason: reason.toString() };
      for (const check of client.waiting) check();
    });
    t?.after(() => client.socket.terminate());
    await within(new Promise((done, fail) => client.socket.on('open', done).on('error', fail)), 'the handshake');
    return client;
  }

  send(message) {
    if (typeof message !== 'string') this.ask(message);
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  subscribe(id, query, more = {}) {
    this.send({ type: 'subscribe', protocolVersion: 2, subscriptionId: id, query, ...more });
    return this.subscriptions.get(id);
  }

  unsubscribe(id) {
    this.send({ type: 'unsubscribe', protocolVersion: 2, subscriptionId: id });
  }

  /** Wait until `holds` gives something true, and return it. */
  until(holds, what = String(holds)) {
    let check;
    const found = new Promise((done, fail) => {
      check = () => {
        try {
          if (this.broken) throw this.broken;
          const value = holds(this);
          if (value) done(value);
        } catch (error) {
          fail(error);
        }
      };
    });
    this.waiting.add(check);
    check();
    return within(found, what).finally(() => this.waiting.delete(check));
  }

  /** Subscribe, and wait for the snapshot. */
  async open(id, query, more) {
    this.subscribe(id, query, more);
    await this.until(() => this.subscriptions.get(id).snapshots > 0 || this.subscriptions.get(id).errors.length, `the snapshot of ${id}`);
    return this.rows(id);
  }

  async refused(id, query, more) {
    this.subscribe(id, query, more);
    return this.until(() => this.subscriptions.get(id).errors.at(-1), `the refusal of ${id}`);
  }
}

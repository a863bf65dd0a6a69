// A client of version 2 of the protocol: subscriptions that it names, one store of entities for each view, and every
// rule by which the published clients end a connection. A frame that breaks one of them is an error at once.

import assert from 'node:assert/strict';
import { gunzipSync } from 'node:zlib';
import WebSocket from 'ws';
import { within } from './server.js';

const OPERATIONS = ['subscribed', 'unsubscribed', 'snapshot', 'upsert', 'patch', 'remove', 'delete'];
/* A subscription does not end because a message about it was refused. */
const OF_MESSAGES = ['malformed-message', 'invalid-subscription', 'invalid-unsubscription', 'unknown-subscription-id'];
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

/**
 * One subscription, and the store of a client of version 2: what it shows (`keys`), of which objects (`entities`, which
 * subscriptions of a view may share), and of a tape its events. The rows outlive a connection; begin() names it anew.
 */
export class NamedStore {
  constructor(view, { entities = new Map(), shared = false } = {}) {
    Object.assign(this, { view, entities, shared, keys: new Set(), cursor: undefined });
    this.forgetEvents();
  }

  /** Subscribed under this id; `quiet`: without a snapshot. */
  begin(id, { quiet = false } = {}) {
    Object.assign(this, { id, quiet, ack: undefined, staged: undefined, errors: [], snapshots: 0, live: true });
  }

  /** As if nothing had come. */
  forget() {
    this.keys.clear();
    if (!this.shared) this.entities.clear();
    this.cursor = this.epoch = undefined;
    this.forgetEvents();
  }

  forgetEvents() {
    this.events = [];
    this.whole = new Set(); /* keys of which a tape told all that they have */
    this.fromStart = undefined; /* the tape began with the log */
  }

  take(frame) {
    assert.equal(frame.protocolVersion, 2);
    if (frame.type === 'error') return this.#fail(frame);
    assert.ok(OPERATIONS.includes(frame.op), `op ${frame.op}`);
    assert.ok(this.live, `${frame.op} behind the end of the subscription`);
    if (frame.op === 'subscribed') return this.#accept(frame);
    if (frame.op === 'unsubscribed') return (this.live = false);
    assert.ok(this.ack, `${frame.op} before subscribed`);
    assert.equal(frame.entity, this.view);
    assert.equal(frame.mode, this.ack.mode);
    if (frame.op === 'snapshot') return this.#stage(frame);
    this.#change(frame);
  }

  #fail(frame) {
    assert.equal(typeof frame.code, 'string');
    assert.equal(typeof frame.fatal, 'boolean');
    assert.equal(frame.retry_after, undefined);
    this.errors.push(frame);
    if (frame.code !== 'duplicate-subscription-id' && !(this.ack && OF_MESSAGES.includes(frame.code))) this.live = false;
  }

  #accept(frame) {
    assert.equal(this.ack, undefined, 'subscribed comes once');
    assert.equal(frame.query.view, this.view);
    for (const name of Object.keys(frame.query)) assert.ok(QUERY.includes(name), name);
    this.ack = frame;
    this.ownEpoch = frame.epoch;
    if (frame.replayWindow && frame.query.after === undefined) this.fromStart = frame.replayWindow.earliest === 1;
  }

  #stage(frame) {
    this.staged ??= { id: frame.snapshotId, authoritative: frame.authoritative, key: frame.key, epoch: frame.epoch, rows: [] };
    assert.ok(frame.snapshotId);
    assert.ok(frame.seq === undefined || frame.complete, 'a cursor of a batch that is not the last');
    const { id, authoritative, key, epoch } = this.staged;
    assert.deepEqual([frame.snapshotId, frame.authoritative, frame.key, frame.epoch], [id, authoritative, key, epoch]);
    /* Rows that nobody asked for are those of other row scopes, and so are the cursors behind them. */
    const isUnasked = frame.authoritative && (this.snapshots > 0 || this.ack.resumed === true);
    if (isUnasked) assert.equal(typeof frame.epoch, 'string', 'the epoch of other rows is told');
    this.staged.rows.push(...frame.data);
    if (!frame.complete) return;
    if (frame.authoritative) this.keys.clear();
    for (const { key, data } of this.staged.rows) {
      this.entities.set(key, { data, version: data._version });
      this.keys.add(key);
    }
    this.ownEpoch = frame.epoch ?? this.ownEpoch;
    if (frame.authoritative || frame.seq !== undefined) [this.cursor, this.epoch] = [frame.seq, this.ownEpoch];
    /* An empty one behind the first says where the client has one state; it is no other snapshot. */
    if (frame.authoritative || this.snapshots === 0 || this.staged.rows.length) this.snapshots += 1;
    this.staged = undefined;
  }

  #change(frame) {
    const { op, key, data, append = [], offset, seq } = frame;
    const held = this.entities.get(key);
    assert.notEqual(data, undefined, 'data is there, also where it is null');
    if (offset !== undefined) this.#event(frame);
    else if (seq !== undefined && (this.snapshots > 0 || this.quiet)) this.cursor = seq;
    if (op === 'remove' || op === 'delete') this.keys.delete(key);
    if (op === 'delete') this.entities.delete(key);
    if (op === 'remove' || op === 'delete') return;
    assert.match(data._version, /^[^:]+:[0-9]+$/);
    const stale = offset === undefined && held && isStale(data._version, held.version);
    if (op === 'patch' && offset === undefined && !this.shared) assert.ok(this.keys.has(key), `a patch of ${key}, which was never sent whole`);
    if (op === 'patch' && !held && offset === undefined) return; /* what another subscription deleted comes whole when it is there again */
    if (!stale) this.entities.set(key, { data: op === 'upsert' ? data : merge(held?.data ?? {}, data, append), version: data._version });
    this.keys.add(key);
  }

  #event({ op, key, data, offset, seq }) {
    assert.ok(offset > (this.events.at(-1)?.offset ?? 0), `position ${offset} behind ${this.events.at(-1)?.offset}`);
    this.events.push({ op, key, data, offset, seq });
    this.cursor = `${this.ack.replayWindow.epoch}:${offset}`;
    if (op !== 'patch') this.whole.add(key);
  }

  /** All that it was to be told is told, as far as a client can know. */
  get told() {
    return this.live && this.ack !== undefined && (this.snapshots > 0 || this.quiet) && !this.staged;
  }

  /** key → object. */
  get rows() {
    return new Map([...this.keys].filter((key) => this.entities.has(key)).map((key) => [key, this.entities.get(key).data]));
  }
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
    const { type, subscriptionId: id, query } = message;
    if (type !== 'subscribe' || typeof id !== 'string' || this.subscriptions.get(id)?.live) return;
    const name = this.apart ? id : query?.view;
    if (!this.views.has(name) || this.apart) this.views.set(name, new Map());
    const it = new NamedStore(query?.view, { entities: this.views.get(name), shared: !this.apart });
    it.begin(id, { quiet: message.snapshot?.enabled === false });
    this.subscriptions.set(id, it);
  }

  take(frame) {
    if (frame.op && frame.protocolVersion === undefined) return this.old.push(frame); /* of version 1 */
    if ('success' in frame) return this.answers.push(frame);
    assert.equal(frame.protocolVersion, 2);
    const it = this.subscriptions.get(frame.subscriptionId);
    if (!it && frame.type === 'error') return this.errors.push(frame);
    assert.ok(it, `${frame.op} for ${frame.subscriptionId}, which is unknown`);
    it.take(frame);
    if (frame.op === 'delete' && !this.apart) for (const other of this.subscriptions.values()) if (other.view === it.view) other.keys.delete(frame.key);
  }

  rows(id) {
    return Object.fromEntries([...this.subscriptions.get(id).rows].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}

/** The same over a socket. */
export class NamedClient extends NamedModel {
  static async connect(t, port, { path = '/', headers, apart } = {}) {
    const client = new NamedClient({ apart });
    client.socket = new WebSocket(`${process.env.STELE_TLS ? 'wss' : 'ws'}://127.0.0.1:${port}${path}`, { headers });
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

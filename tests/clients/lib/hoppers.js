// Clients that move between the nodes of one log, each with its cursor: one kind for each way to come with one. What
// holds for all: no cursor is refused, none goes back, no row becomes older, and in the end each holds what the log made.
// Of a window a cursor may be refused for another reason: too much changed behind it (docs/views.md, "Resuming").

import assert from 'node:assert/strict';
import { gunzipSync } from 'node:zlib';
import WebSocket from 'ws';
import { Applier } from './applier.js';
import { EventStream } from './events.js';
import { compareSeq } from './model.js';
import { NamedStore } from './named.js';
import { StreamApplier } from './stream_listener.js';

/** A node that is stopped takes no handshake. */
const OPEN_MS = 1000;

/** The newest seq of each key that a client showed: it never goes back, also not over a delete. */
export class Newest {
  #of = new Map();

  see(key, seq) {
    const had = this.#of.get(key);
    if (had !== undefined && had !== seq) assert.ok(compareSeq(seq, had) > 0, `${key} goes back from ${had} to ${seq}`);
    this.#of.set(key, seq);
  }
}

export class Hopper {
  hops = 0;
  behind = 0; /* refusals because a node was behind */
  anew = 0; /* cursors of a window that were refused */
  isCalm = false; /* it stays where it is */
  #cursor;

  constructor(run, random, view, query = {}) {
    Object.assign(this, { run, random, view, query, newest: new Newest() });
  }

  get name() {
    return `${this.constructor.name} of ${this.view} ${JSON.stringify(this.query)}`;
  }

  get isWindow() {
    return this.view.endsWith('/top') || ['take', 'where', 'sort'].some((name) => name in this.query);
  }

  /** What became of its cursor. */
  resumes(resumed) {
    if (resumed !== false) return;
    assert.ok(this.isWindow, 'the cursor was refused');
    this.anew++;
  }

  /** It comes without a cursor: it was cut before the first, or before one that was to replace a refused one. What it
   * gets may be older than what it had elsewhere. */
  forgets() {
    this.#cursor = undefined;
    this.newest = new Newest();
  }

  /** It came to this cursor. */
  reach(cursor) {
    if (cursor === undefined || cursor === null) return;
    if (this.#cursor !== undefined) assert.ok(compareSeq(cursor, this.#cursor) >= 0, `the cursor goes back from ${this.#cursor} to ${cursor}`);
    this.#cursor = cursor;
  }

  async live() {
    while (!this.run.isOver) {
      const node = this.random.pick(this.run.nodes);
      this.hops++;
      try {
        await this.visit(node);
      } catch (error) {
        if (error.code === 'ERR_ASSERTION') return void (this.failure = error);
      }
      await new Promise((done) => setTimeout(done, 10));
    }
  }

  /** Go from here after a while; but for the last time. */
  leave(act) {
    let timer;
    const look = () => {
      timer = setTimeout(() => (this.isCalm && !this.run.isOver ? look() : act()), this.isCalm ? 50 : this.random.between(50, 1200));
    };
    look();
    return () => clearTimeout(timer);
  }

  fail(error) {
    this.failure ??= error;
  }

  isRefused(reason) {
    const is = /^node-behind: /.test(reason);
    this.behind += is;
    assert.ok(is || reason === '', `closed: ${reason}`);
  }
}

class SocketHopper extends Hopper {
  visit(node) {
    return new Promise((done) => {
      const socket = new WebSocket(node.ws, { handshakeTimeout: OPEN_MS });
      const stay = this.leave(() => socket.terminate());
      socket.on('open', () => this.ask((message) => socket.send(JSON.stringify(message))));
      socket.on('message', (bytes, isBinary) => {
        try {
          const text = (isBinary && bytes[0] === 0x1f ? gunzipSync(bytes) : bytes).toString();
          const frame = JSON.parse(text);
          assert.notEqual(frame.type, 'error', text);
          this.resumes(frame.resumed);
          this.take(frame);
        } catch (error) {
          this.fail(error);
          socket.terminate();
        }
      });
      socket.on('error', () => {});
      socket.on('close', (_, reason) => {
        stay();
        try {
          this.isRefused(String(reason));
        } catch (error) {
          this.fail(error);
        }
        done();
      });
    });
  }
}

/** Version 1. */
export class First extends SocketHopper {
  applier = new Applier();

  ask(send) {
    if (this.applier.seq === null) this.forgets();
    send({ type: 'subscribe', view: this.view, ...this.query, ...this.applier.parameters() });
  }

  take(frame) {
    this.applier.apply(frame);
    if (frame.key !== undefined && frame.data) this.newest.see(frame.key, frame.data._seq);
    this.reach(frame.seq);
  }

  rows() {
    return this.applier.rows;
  }
}

/** Version 2. */
export class Named extends SocketHopper {
  store = new NamedStore(this.view);
  #ids = 0;

  ask(send) {
    const { cursor, epoch } = this.store;
    const id = `s${++this.#ids}`;
    this.store.begin(id);
    send({ type: 'subscribe', protocolVersion: 2, subscriptionId: id, query: { view: this.view, ...this.query, ...(cursor !== undefined && { after: cursor, ...(epoch && { epoch }) }) } });
  }

  take(frame) {
    this.store.take(frame);
    if (!this.view.endsWith('/append')) this.reach(this.store.cursor);
    if (frame.key !== undefined && frame.data) this.newest.see(frame.key, frame.data._seq);
  }

  rows() {
    return this.store.rows;
  }

  /** Of a tape. */
  events() {
    return this.store.events.map(({ op, key, offset }) => [offset, key, op]);
  }
}

/** Server-sent events, as a browser comes again. */
export class Streamed extends Hopper {
  applier = new StreamApplier();

  async visit(node) {
    const query = new URLSearchParams(Object.entries(this.query).map(([name, value]) => [name, typeof value === 'object' ? JSON.stringify(value) : value]));
    const { lastId } = this.applier;
    if (lastId === '') this.forgets();
    const each = ({ name, id, json }, stream) => {
      try {
        if (name === 'end') return this.isRefused(json.reason);
        assert.notEqual(name, 'error', JSON.stringify(json));
        this.resumes(json.resumed);
        this.applier.apply(json);
        this.applier.note(id, json);
        this.reach(json.seq);
      } catch (error) {
        this.fail(error);
        stream.destroy();
      }
    };
    const opening = EventStream.open(`${node.http}/v1/views/${this.view}/live?${query}`, { each, headers: lastId === '' ? {} : { 'last-event-id': lastId } });
    let end;
    const leaves = new Promise((done) => (end = this.leave(done)));
    try {
      const stream = await Promise.race([opening, new Promise((_, fail) => setTimeout(fail, OPEN_MS, new Error('late')))]);
      assert.equal(stream.status, 200, stream.text);
      await Promise.race([stream.over, leaves]);
    } finally {
      end();
      void opening.then((stream) => stream.destroy?.(), () => {});
    }
  }

  rows() {
    return this.applier.rows;
  }
}

/** One request after the other. */
class Asking extends Hopper {
  async visit(node) {
    const stay = { is: true };
    const end = this.leave(() => (stay.is = false));
    try {
      while (stay.is && !this.run.isOver) await this.request(node);
    } finally {
      end();
    }
  }

  /** The body; undefined: the node is behind. */
  async get(node, path, parameters) {
    const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
    const query = new URLSearchParams(given.map(([name, value]) => [name, typeof value === 'object' ? JSON.stringify(value) : value]));
    const answer = await fetch(`${node.http}${path}?${query}`, { signal: AbortSignal.timeout(2 * OPEN_MS) });
    const body = await answer.json();
    if (answer.status === 200) return body;
    assert.deepEqual([answer.status, body.code, answer.headers.has('retry-after')], [503, 'node-behind', true], JSON.stringify(body));
    this.behind++;
    throw new Error('behind');
  }
}

/** Long polls for rows. */
export class Polling extends Asking {
  #rows = new Map();
  #at = {};

  async request(node) {
    const wait = this.#at.after && this.random.chance(0.7) ? 1 : undefined;
    const { seq, epoch, resumed, rows, deleted = [] } = await this.get(node, `/v1/views/${this.view}`, { ...this.query, ...this.#at, wait });
    assert.equal(resumed === undefined, this.#at.after === undefined);
    this.resumes(resumed);
    if (!resumed) this.#rows.clear();
    for (const key of deleted) this.#rows.delete(key);
    for (const { key, data } of rows) {
      this.newest.see(key, data._seq);
      this.#rows.set(key, data);
    }
    this.#at = { after: seq, epoch };
    this.reach(seq);
  }

  rows() {
    return this.#rows;
  }
}

/** Long polls for events. */
export class Reading extends Asking {
  #events = [];
  #after;

  async request(node) {
    const wait = this.#after && this.random.chance(0.7) ? 1 : undefined;
    const { cursor, resumed, events } = await this.get(node, `/v1/views/${this.view}`, { events: 1, take: this.random.pick([1, 7, 1000]), after: this.#after, wait });
    assert.equal(resumed, this.#after && true);
    for (const { offset, key, op } of events) {
      assert.ok(offset > (this.#events.at(-1)?.[0] ?? 0), `event ${offset} behind ${this.#events.at(-1)?.[0]}`);
      this.#events.push([offset, key, op]);
    }
    this.#after = cursor;
  }

  events() {
    return this.#events;
  }
}

/** What one node shows is what another shows of that position. */
export class Comparing extends Asking {
  async request(node) {
    const here = await this.get(node, `/v1/views/${this.view}`, this.query);
    const there = await this.get(this.random.pick(this.run.nodes), `/v1/views/${this.view}`, { ...this.query, as_of: `@${here.offset}`, epoch: here.epoch });
    assert.deepEqual(there.rows, here.rows, `at ${here.offset}`);
    assert.equal(there.epoch, here.epoch);
  }
}

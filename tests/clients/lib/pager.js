// A client that reads a view page by page (`after` and `snapshotLimit`), each on a connection of its
// own, which it cuts now and then. It begins with all rows, or at the beginning of the log.

import assert from 'node:assert/strict';
import { Applier } from './applier.js';
import { Client } from './client.js';
import { canonPlain } from './json.js';
import { NamedClient, NamedStore } from './named.js';

const BEGINNING = '0:000000000000';

export class Pager {
  cuts = 0;
  pages = 0;

  /** `run` has the server, `down` while it restarts, and turn(), a moment. */
  constructor(run, view, random) {
    Object.assign(this, { run, view, random });
    this.limit = random.pick([1, 2, 3, 7, 20]);
    this.name = `${view} by pages of ${this.limit}`;
    this.applier = new Applier();
    this.cursor = random.chance(0.5) ? BEGINNING : null;
    this.events = [];
  }

  note(text) {
    this.events.push(text.slice(0, 400));
    if (this.events.length > 400) this.events.splice(0, 200);
  }

  /** Of how many frames it is cut. */
  most() {
    return !this.calm && this.random.chance(0.2) ? this.random.below(8) : Infinity;
  }

  /** The frames of a page up to its end, and no more; null when it was cut. */
  async read(message) {
    const client = await Client.open(this.run.server, { windows: true });
    const most = this.most();
    const frames = [];
    try {
      this.note(`>> ${JSON.stringify(message)}`);
      client.send(message);
      for (;;) {
        if (frames.length >= most) {
          this.cuts++;
          this.note('-- cut');
          return null;
        }
        const frame = await client.next('a page');
        assert.notEqual(frame.type, 'error', JSON.stringify(frame));
        this.note(JSON.stringify(frame));
        frames.push(frame);
        if (frame.complete) return frames;
      }
    } finally {
      client.destroy();
    }
  }

  /** Ask for one more. True when it was the last. A page counts when it is there as a whole. */
  async page() {
    const { view, limit, cursor } = this;
    const frames = await this.read({ type: 'subscribe', view, ...(cursor === null ? {} : { after: cursor, snapshotLimit: limit, epoch: this.epoch }) });
    if (!frames) return false;
    const [subscribed] = frames;
    /* What the page goes on from may also be trimmed while it is read: then it is refused after all. */
    if (cursor !== null && frames.some(({ op, resumed }) => op === 'subscribed' && !resumed)) {
      this.cursor = null; /* it is not known any more: all rows, once */
      this.refused = true;
      return false;
    }
    if (cursor === null) this.applier.rows.clear();
    for (const frame of frames) this.applier.apply(frame);
    const end = frames.at(-1).seq;
    assert.notEqual(end, undefined, 'a page that ends without a cursor');
    this.pages++;
    this.cursor = end;
    this.epoch = subscribed.epoch;
    const rows = frames.reduce((sum, { op, data }) => sum + (op === 'snapshot' ? data.length : op !== 'subscribed'), 0);
    /* Of a short log a late seq may be unknown at once: then these are all rows. */
    const all = cursor === null && this.refused;
    this.refused = false;
    return all || (cursor !== null && (end === cursor || rows < limit));
  }

  /** Pages as long as the run lasts. */
  async live() {
    while (!this.stopped) {
      await this.run.turn();
      if (this.calm || this.run.down || !this.run.server?.running) continue;
      this.reading = this.page().catch((error) => {
        if (error.code === 'ERR_ASSERTION') this.failure ??= error;
      });
      await this.reading;
    }
  }

  /** To the end of what there is, now that nothing is fed, in so many pages at most. */
  async finish(most) {
    this.calm = true;
    await this.reading;
    for (let pages = 0; !(await this.page()); pages++) assert.ok(pages < most, `${pages} pages, and no end`);
  }

  held() {
    return this.applier.rows;
  }

  /** What differs from the expected rows (key → text), or null. */
  difference(expected) {
    const found = [];
    const rows = this.held();
    for (const [key, want] of expected) {
      const has = rows.has(key) ? canonPlain(rows.get(key)) : 'nothing';
      if (has !== want) found.push(`  ${key}: has      ${has}\n  expected ${want}`);
    }
    for (const key of rows.keys()) if (!expected.has(key)) found.push(`  ${key}: is held, but is not there`);
    return found.length ? found.join('\n') : null;
  }

  /** What it holds at the end is what is expected; then it goes on. */
  async agrees(expected, most) {
    try {
      if (this.failure) throw this.failure;
      await this.finish(most);
      assert.equal(this.difference(expected), null);
    } catch (error) {
      throw new Error(`${this.name}: ${error.message}\nthe last frames:\n${this.events.slice(-40).join('\n')}`);
    }
  }
}

const ID = 'page';

/** The same in version 2, of a view that is no tape. */
export class NamedPager extends Pager {
  constructor(run, view, random) {
    super(run, view, random);
    this.name = `version 2: ${this.name}`;
    this.store = new NamedStore(view);
  }

  held() {
    return new Map([...this.store.rows].map(([key, { _version, ...row }]) => [key, row]));
  }

  /** Subscribe, and take frames up to a cursor behind all rows; false when it was cut. */
  async ask(query, frames) {
    const client = await NamedClient.connect(undefined, this.run.server.port);
    const most = this.most();
    const isWhole = () => frames.at(-1)?.complete === true && frames.at(-1).seq !== undefined;
    const isOver = () => frames.length >= most || isWhole();
    client.take = (frame) => {
      if (isOver()) return;
      this.note(JSON.stringify(frame));
      frames.push(frame);
      this.store.take(frame);
    };
    try {
      this.store.begin(ID);
      this.note(`>> ${JSON.stringify(query)}`);
      client.socket.send(JSON.stringify({ type: 'subscribe', protocolVersion: 2, subscriptionId: ID, query }));
      await client.until(() => isOver() || client.closed, 'a page');
    } finally {
      client.socket.terminate();
    }
    return isWhole();
  }

  async page() {
    const { view, limit, cursor, epoch } = this;
    const { store } = this;
    const frames = [];
    if (!(await this.ask({ view, ...(cursor === null ? {} : { after: cursor, snapshotLimit: limit, ...(epoch && { epoch }) }) }, frames))) {
      this.cuts++;
      this.note('-- cut');
      return false;
    }
    /* What the page goes on from may also be trimmed while it is read: then it is refused after all. */
    if (cursor !== null && frames.some(({ authoritative, resumed }) => authoritative || resumed === false)) {
      this.cursor = null;
      this.refused = true;
      store.forget();
      return false;
    }
    this.pages++;
    this.cursor = store.cursor;
    this.epoch = store.epoch;
    const rows = frames.reduce((sum, { op, data }) => sum + (op === 'snapshot' ? data.length : 0), 0);
    const all = cursor === null && this.refused;
    this.refused = false;
    return all || (cursor !== null && (this.cursor === cursor || rows < limit));
  }
}

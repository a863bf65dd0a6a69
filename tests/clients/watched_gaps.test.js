// Windows and clients without a cursor, by force: a log that is shorter than what comes between a
// crash and a client's return, kill -9 within a moment of a change, several in a row, some while
// the server starts. Whoever comes back holds exactly what somebody new is sent. Some speak version 2 or get
// server-sent events; these keep their rows, too, and go on from a cursor, or from none.
//
// STELE_SEEDS seeds (default 8) from STELE_SEED (default 1) on, STELE_JOBS (2) at a time.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { Applier } from './lib/applier.js';
import { Client } from './lib/client.js';
import { EventStream } from './lib/events.js';
import { http, lines } from './lib/feed.js';
import { NamedClient, NamedStore } from './lib/named.js';
import { Random } from './lib/random.js';
import { playSeeds, seedsOf, wanted } from './lib/seeds.js';
import { Server, patience, sql, within } from './lib/server.js';
import { StreamApplier, livePath } from './lib/stream_listener.js';

const OPTIONS = seedsOf(8);
const WRITER = 'writer-0123456789abcdef';
const tokenOf = (name) => `token-${name}-0123456789abcdef`;
const TOKENS = { nobody: {}, ann: { row_scopes: ['ann'] }, both: { row_scopes: ['ann', 'bob'] } };
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));

const VIEWS = {
  by: { pipeline: [{ sort: 'n' }] },
  top: { pipeline: [{ sort: 'n' }, { take: 6 }] },
  over: { source: 'E/top', pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 3 }] },
  even: { pipeline: [{ filter: { field: 'even', eq: true } }] },
  calm: { pipeline: [{ sort: 'n' }, { take: 4 }], coalesce_ms: 30 },
  slow: { pipeline: [{ sort: 'n' }, { take: 4 }], coalesce_ms: 300 },
  hidden: { pipeline: [{ sort: 'n' }, { take: 4 }], keys: range(12, (i) => `k${i}`) },
  soon: { pipeline: [{ filter: { field: 'until', gt: 'now()' } }, { sort: 'n' }, { take: 5 }] },
};
/* What a start may find instead; nobody of the test watches it. */
const REDEFINED = [{ pipeline: [{ sort: 'n' }, { take: 2 }] }, { pipeline: [{ filter: { field: 'even', eq: true } }, { sort: { by: 'n', order: 'desc' } }] }];
const ASKED = [
  ['by', { take: 3 }], ['by', { take: 3, skip: 2 }], ['list', { take: 3 }], ['top', {}], ['top', { skip: 2 }], ['over', {}], ['by', { take: 3, filters: { even: true } }],
  ['list', { filters: { even: true } }], ['append', { filters: { even: true } }], ['by', { key: 'k1' }], ['even', {}], ['even', { take: 2 }], ['calm', {}], ['slow', {}], ['slow', { take: 2 }], ['slow', { skip: 1, take: 1 }], ['hidden', {}], ['soon', {}],
];

const configOf = (other) => {
  const tokens = Object.entries(TOKENS).map(([name, more]) => ({ token: tokenOf(name), subject: name, scope: 'read', ...more }));
  const views = other ? { ...VIEWS, other } : VIEWS;
  return { exports: { E: { views }, S: { scope: 'who', views } }, auth: { mode: 'static', tokens: [{ token: WRITER, scope: 'write' }, ...tokens] } };
};

/** Somebody who keeps rows over connections, and no cursor. */
class Watcher {
  constructor(run, random) {
    const [view, parameters] = random.pick(ASKED);
    const scoped = random.chance(0.4);
    Object.assign(this, { run, view: `${scoped ? 'S' : 'E'}/${view}`, parameters, token: scoped ? random.pick(Object.keys(TOKENS)) : 'nobody' });
    this.name = `${this.view} ${JSON.stringify(parameters)} as ${this.token}`;
    this.applier = new Applier({ resume: false });
    this.cuts = 0;
  }

  /** Takes rows from now on; resolves with the complete snapshot. */
  async come() {
    const client = await Client.open(this.run.server, { path: `/?token=${tokenOf(this.token)}`, windows: true });
    this.client = client;
    client.subscribe(this.view, this.parameters);
    for (let complete = false; !complete; ) {
      const frame = await client.next(`the snapshot of ${this.name}`);
      assert.notEqual(frame.type, 'error', JSON.stringify(frame));
      this.applier.apply(frame);
      complete = frame.op === 'snapshot' && frame.complete;
    }
  }

  /** What was received by the end of the connection is applied, too. */
  async part() {
    const { client } = this;
    if (!client) return;
    this.client = undefined;
    if (!client.end) client.destroy();
    await client.closed;
    if (client.failure) throw client.failure;
    for (const { json } of client.messages.slice(client.read)) this.applier.apply(json);
    this.cuts++;
  }

  async check() {
    const stranger = new Watcher(this.run, new Random(1));
    Object.assign(stranger, { view: this.view, parameters: this.parameters, token: this.token, name: this.name });
    await stranger.come();
    await this.come();
    const held = ({ applier }) => [...applier.rows.keys()].sort();
    /* What is gone may come behind a snapshot that goes on from a cursor. */
    const agree = () => JSON.stringify(held(this)) === JSON.stringify(held(stranger));
    for (const until = Date.now() + patience(10_000); this.resumes && !agree() && Date.now() < until; ) await pause(5);
    for (const one of [this, stranger]) await one.part();
    assert.deepEqual(held(this), held(stranger), this.name);
  }
}

/** One of version 2: its rows stay until a snapshot replaces them. */
class NamedWatcher extends Watcher {
  constructor(run, random) {
    super(run, random);
    this.resumes = random.chance(0.5);
    this.name += ` by version 2${this.resumes ? ' with its cursor' : ''}`;
    this.store = new NamedStore(this.view);
    this.applier = { get rows() { return this.store.rows; }, store: this.store };
  }

  async come() {
    const { store } = this;
    const client = await NamedClient.connect(undefined, this.run.server.port, { path: `/?token=${tokenOf(this.token)}` });
    const after = this.resumes && store.cursor !== undefined ? { after: store.cursor, epoch: store.epoch } : {};
    this.client = client;
    store.begin('s');
    client.subscriptions.set('s', store);
    client.send(JSON.stringify({ type: 'subscribe', protocolVersion: 2, subscriptionId: 's', query: { view: this.view, ...this.parameters, ...after } }));
    await client.until(() => store.told, `the snapshot of ${this.name}`);
  }

  async part() {
    const { client } = this;
    this.client = undefined;
    if (!client) return;
    client.socket.terminate();
    await client.until(() => client.closed, 'the end of the connection');
    this.cuts++;
  }
}

/** One of server-sent events: it sends the last id again, as a browser does. */
class StreamWatcher extends Watcher {
  constructor(run, random) {
    super(run, random);
    this.name += ' over SSE';
    this.applier = new StreamApplier();
  }

  async come() {
    const { filters, ...parameters } = this.parameters;
    const path = livePath({ view: this.view, ...parameters, filters: filters && JSON.stringify(filters) }, tokenOf(this.token));
    const headers = this.applier.lastId ? { 'last-event-id': this.applier.lastId } : {};
    let done;
    const told = new Promise((resolve) => (done = resolve));
    const each = ({ name, id, json }) => {
      if (name === 'end') return;
      this.applier.apply(json);
      this.applier.note(id, json);
      if (json.complete) done();
    };
    this.client = await EventStream.open(this.run.server.http + path, { headers, each });
    assert.equal(this.client.status, 200, this.client.text);
    await within(told, `the snapshot of ${this.name}`);
  }

  async part() {
    const { client } = this;
    this.client = undefined;
    if (!client) return;
    client.destroy();
    await client.over;
    this.cuts++;
  }
}

function watcherOf(run, random) {
  const Kind = random.pick([Watcher, Watcher, NamedWatcher, StreamWatcher]);
  const made = new Kind(run, random);
  return made.view.endsWith('/append') && made instanceof NamedWatcher ? watcherOf(run, random) : made; /* that is a tape */
}

class Run {
  constructor(seed, folder) {
    this.seed = seed;
    this.random = new Random(seed);
    this.db = join(folder, `gap-${seed}.db`);
    const all = range(9, () => watcherOf(this, this.random));
    this.listeners = wanted(all);
    this.slot = 1;
  }

  retention() {
    const r = this.random;
    const rows = r.between(1, 60);
    return r.pick([{ retention_rows: rows }, { retention_rows: rows }, { retention_bytes: rows * 120 }, { retention_rows: rows, retention_seconds: 1 }]);
  }

  mutation() {
    const r = this.random;
    const where = { export: r.pick(['E', 'E', 'S']), key: `k${r.below(30)}`, slot: this.slot++, index: 0 };
    if (r.chance(0.25)) return { ...where, op: 'delete' };
    const patch = { n: r.below(40), even: r.chance(0.5) };
    if (where.export === 'S' && r.chance(0.7)) patch.who = r.pick(['ann', 'bob', 'carl', null]);
    patch.until = Math.floor(Date.now() / 1000) + r.pick([-5, 1, 2, 500, 500]);
    return { ...where, patch };
  }

  async feed(count) {
    const body = lines(range(count, () => this.mutation()));
    const answer = await http(`${this.server.http}/v1/mutations?token=${WRITER}`, { method: 'POST', body, headers: { 'content-type': 'application/x-ndjson' } });
    assert.equal(answer.status, 200, answer.text);
  }

  /** Many of them, a few a request, so that the log is trimmed between. */
  async churn(most) {
    for (let left = this.random.below(most + 1); left > 0; ) {
      const count = Math.min(left, this.random.between(1, 12));
      await this.feed(count);
      left -= count;
    }
  }

  async settle() {
    const behind = "SELECT l.last_change > coalesce((SELECT value FROM meta WHERE name = 'watched_change'), -1) AS waits FROM log_state AS l";
    for (const until = Date.now() + patience(60_000); (await sql(this.db, behind))[0].waits; await pause(20)) assert.ok(Date.now() < until, 'what was watched is not noted');
  }

  /* Everybody has what was on its way when the server ended. */
  async end() {
    if (this.random.chance(0.85)) await this.server.kill9();
    else await this.server.terminate();
    for (const watcher of this.listeners) await watcher.part();
  }

  /** A start that is killed somewhere on its way, or a moment after it. */
  async startInVain() {
    const starting = this.server.restart().catch(() => {});
    await pause(this.random.below(40));
    await this.server.kill9();
    await starting;
  }

  async round() {
    const r = this.random;
    for (const watcher of this.listeners) {
      if (!watcher.client && r.chance(0.6)) await watcher.come();
      else if (r.chance(0.2)) await watcher.part();
    }
    await this.churn(20);
    if (r.chance(0.5) && this.listeners.some(({ client }) => client)) await this.settle();
    if (r.chance(0.3)) await this.churn(70);
    for (let i = r.between(1, 3); i > 0; i--) await this.feed(r.between(1, 3));
    await pause(r.chance(0.3) ? r.between(150, 450) : r.below(150)); /* of some views little is shown meanwhile */
    await this.end();
    while (r.chance(0.3)) await this.startInVain();
    if (r.chance(0.3)) this.server.options.config = configOf(r.pick([undefined, ...REDEFINED]));
    await this.server.restart();
    await this.churn(r.pick([0, 5, 80]));
  }

  async play() {
    const r = this.random;
    this.server = await Server.start({ db: this.db, config: configOf(REDEFINED[0]), set: this.retention() });
    await this.feed(40);
    for (let i = r.between(1, 4); i > 0; i--) await this.round();
    await this.churn(80);
    await pause(r.chance(0.3) ? 1100 : 0); /* what time moves, moves again */
    for (const watcher of this.listeners) await watcher.check();
  }
}

test('rows without a cursor go, though the log is shorter than what came since a crash', { timeout: patience(3600_000) }, (t) =>
  playSeeds(t, OPTIONS, 'watched_gaps.test.js', (seed, folder) => new Run(seed, folder)));

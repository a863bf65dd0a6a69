// Row scoping, by force: the model test of windows.test.js with tokens and with rows whose scope
// changes, over windows, plain lists, single keys and streams of events, with cut-offs, restarts,
// kill -9, and clients that come back with another token or get one in band. No frame may ever
// show a row, or name a key, that its client may not see; and at each quiet point every client
// holds exactly what an independent model says that its token sees. Each client speaks version 1, version 2
// with some subscriptions on a connection, or gets server-sent events.
//
// STELE_SEEDS seeds (default 10) from STELE_SEED (default 1) on, STELE_JOBS (2) at a time.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { Applier } from './lib/applier.js';
import { checkMessage } from './lib/client.js';
import { Producer, http } from './lib/feed.js';
import { openFresh } from './lib/fresh.js';
import { canonDouble, canonPlain, parse } from './lib/json.js';
import { RowListener } from './lib/listener.js';
import { Model, project } from './lib/model.js';
import { NamedListener, NamedMember, gather } from './lib/named_listener.js';
import { Random } from './lib/random.js';
import { PATHS, ScopedFeed, anySpec, members, sees, seesPlain, tokenText, tokensOf } from './lib/row_random.js';
import { playSeeds, seedsOf, wanted } from './lib/seeds.js';
import { Server, check, sql } from './lib/server.js';
import { livePath, streaming } from './lib/stream_listener.js';
import { Definitions } from './lib/window_random.js';
import { windowOf } from './lib/window_model.js';

const OPTIONS = seedsOf(10);
const KEYS = ['"a"', '"b"', '"c"', '"d"', '"e"', '"f"', '"g"', '"h"', '"é/:*"', '"😀"', '7', '70'];
const WRITER = 'token-writer-0123456789abcdef';

/* ---- who listens ---- */

/** Nothing in the message is of a row that this client may not see. */
function checkSafe(client, { spec, keyed }, { text, json: frame }) {
  const { path, feed } = client.run;
  const { scopes } = client;
  const tell = () => `token ${client.token} (${JSON.stringify(scopes)}) was shown what it may not see: ${text.slice(0, 600)}`;
  if (frame.op === 'subscribed' || frame.op === 'unsubscribed') return;
  const scoped = frame.entity.startsWith('A/');
  const row = (data) => {
    if (!scoped) return;
    assert.ok(seesPlain(scopes, path, data), tell());
    assert.ok(feed.seqSeen(scopes, data._seq), tell());
  };
  const named = (key) => {
    if (!scoped || key === spec.key || keyed) return;
    assert.ok(feed.everSeen([...client.saw], key), `names a key that was never seen: ${tell()}`);
  };
  if (frame.op === 'snapshot') {
    for (const { key, data } of frame.data) {
      row(data);
      named(key);
    }
    return;
  }
  named(frame.key);
  if (frame.data !== null) row(frame.data);
}

class ScopedListener extends RowListener {
  constructor(run, spec, behaviour, random) {
    super(run, random);
    const { isWindow, ...sent } = spec;
    Object.assign(this, { behaviour, isWindow, spec: sent });
    this.sent = { ...sent, ...behaviour.sent };
    this.partial = behaviour.sent !== undefined;
    this.projected = run.definitions.of(sent.view).fields !== undefined;
    this.keyed = run.definitions.of(sent.view).keyField !== undefined;
    this.token = random.below(run.tokens.length);
    this.applier = new Applier({ resume: behaviour.resume, forget: !behaviour.resume && !behaviour.keeps });
    this.name = `${members(this.sent)} token ${this.token} ${Object.keys(behaviour).join(' ')}`;
    this.refreshed = 0;
  }

  get scopes() {
    return this.run.tokens[this.token];
  }

  get opened() {
    return this.state === 'live' && this.refreshing === null;
  }

  /** The token of the next connection. */
  drawToken() {
    const r = this.random;
    if (this.behaviour.wanders && !this.calm && r.chance(0.5)) this.token = r.below(this.run.tokens.length);
    this.saw = new Set(this.scopes); /* of all tokens of this connection */
    /* Without a cursor nobody can tell what another token saw, where that was not told in time. */
    if (this.moving) this.applier.rows.clear();
    this.moving = this.unannounced = false;
    this.refreshing = null;
    this.note(`-- token ${this.token}: ${JSON.stringify(this.scopes)}`);
  }

  address() {
    this.drawToken();
    return `/?token=${tokenText(this.token)}`;
  }

  asking() {
    this.drawToken();
    this.state = 'asked';
  }

  path() {
    return livePath(this.sent, tokenText(this.token));
  }

  closed() {
    this.state = 'closed';
  }

  heard(socket, message) {
    checkMessage(message, { windows: true });
    if (message.json.type === 'error') throw new assert.AssertionError({ message: `error frame: ${message.text}` });
    if (typeof message.json.success === 'boolean') this.becomes(message.json);
    if (message.binary) checkSafe(this, this, message);
    if (message.json.op === 'subscribed') this.renewing = this.unannounced = false;
    if (message.binary && !this.renewing) this.take(message);
    else if (message.binary && this.behaviour.keeps) this.passOver(message);
  }

  restless(socket) {
    const r = this.random;
    /* Else it could not tell what each `subscribed` answers. */
    const moving = this.moving || this.unannounced || this.refreshing !== null;
    if (!this.renewing && !moving && this.state !== 'asked') {
      if (r.chance(0.03)) this.renew(socket);
      else if (this.behaviour.refreshes && r.chance(0.06)) this.refresh(socket);
    }
    this.dawdle(socket);
  }

  subscribe(socket, partition) {
    const parts = [members(this.sent)];
    for (const [name, value] of Object.entries({ ...this.applier.parameters(), partition })) {
      if (value !== undefined && value !== null) parts.push(`"${name}":${JSON.stringify(value)}`);
    }
    const text = `{"type":"subscribe",${parts.join(',')}}`;
    this.note(`>> ${text}`);
    this.state = 'asked';
    socket.send(text);
  }

  /* What was on its way when it asked anew counts as told, so who keeps its rows takes it in. */
  passOver({ text, json: frame }) {
    this.note(`(before) ${text}`);
    this.applier.apply(frame);
  }

  renew(socket) {
    this.renewing = true;
    if (this.random.chance(0.5)) socket.send(JSON.stringify({ type: 'unsubscribe', view: this.spec.view, key: this.spec.key }));
    this.subscribe(socket, String(++this.renewed));
  }

  refresh(socket) {
    this.refreshing = this.random.below(this.run.tokens.length);
    for (const scope of this.run.tokens[this.refreshing]) this.saw.add(scope);
    this.note(`>> refresh to token ${this.refreshing}`);
    socket.send(JSON.stringify({ type: 'refresh_auth', token: tokenText(this.refreshing) }));
  }

  /* What comes behind the answer is for the new token alone. */
  becomes({ success }) {
    assert.ok(success, 'a good token was refused in band');
    this.note(`-- is token ${this.refreshing}: ${JSON.stringify(this.run.tokens[this.refreshing])}`);
    const differs = String(this.scopes) !== String(this.run.tokens[this.refreshing]);
    this.unannounced = differs && this.spec.view.startsWith('A/'); /* a `subscribed` is on its way */
    this.moving = differs && this.behaviour.keeps;
    this.token = this.refreshing;
    this.refreshing = null;
    this.refreshed++;
  }

  take({ text, json: frame }) {
    this.note(text);
    const { applier, spec } = this;
    if (frame.op === 'subscribed') {
      assert.equal(frame.view, spec.view);
      this.state = this.sent.withSnapshot === false && frame.resumed !== true ? 'live' : 'opening';
      if (this.behaviour.keeps) delete frame.resumed; /* it does not know that */
      applier.apply(frame);
      /* What it holds is of no cursor until the snapshot is complete. */
      if (this.behaviour.resume && frame.resumed !== true && this.sent.withSnapshot !== false) {
        applier.rows.clear();
        applier.seq = null;
      }
      if (this.sent.withSnapshot === false) this.state = 'live';
      return;
    }
    assert.ok(this.state === 'opening' || this.state === 'live', `a frame before subscribed: ${text.slice(0, 200)}`);
    assert.equal(frame.entity, spec.view);
    if (this.isWindow) {
      assert.notEqual(frame.op, 'patch', `a patch in a window: ${text.slice(0, 200)}`);
      if (this.state === 'live' && !this.partial) this.changesSomething(frame, text);
    }
    if (frame.op === 'patch' && frame.mode !== 'append') assert.ok(applier.rows.has(frame.key), `a patch of what it never had: ${text.slice(0, 200)}`);
    if (frame.op === 'snapshot' && frame.complete) {
      if (this.state === 'opening') this.moving = false;
      this.state = 'live';
    }
    applier.apply(frame);
  }
}

class StreamScopedListener extends streaming(ScopedListener) {}

class NamedScopedMember extends NamedMember {
  constructor(run, { isWindow, ...spec }, { resume, sent }) {
    const { fields, keyField } = run.definitions.of(spec.view);
    const { withSnapshot, ...more } = sent ?? {};
    super(spec.view, members({ ...spec, ...more }), {
      resume, quiet: withSnapshot === false, partial: sent !== undefined, isWindow, counts: isWindow, projected: fields !== undefined, keyedByField: keyField !== undefined, scoped: spec.view.startsWith('A/'), spec,
    });
  }

  get keyed() {
    return this.keyedByField;
  }

  get scopes() {
    return this.connection.scopes;
  }

  get token() {
    return this.connection.token;
  }

  get opened() {
    return super.opened && this.connection.refreshing === null;
  }

  /* A filter of a tape looks at patches, so rows do not come of it. */
  difference(expected) {
    return this.isTape && this.spec.filters ? null : super.difference(expected);
  }
}

/** Its subscriptions have one token, which another connection, or a refresh, may change. */
class NamedScopedListener extends NamedListener {
  constructor(run, subscriptions, random) {
    super(run, subscriptions, random);
    this.token = random.below(run.tokens.length);
    this.refreshed = 0;
    this.name += ` token ${this.token}`;
  }

  get scopes() {
    return this.run.tokens[this.token];
  }

  address() {
    const r = this.random;
    if (!this.calm && r.chance(0.3)) this.token = r.below(this.run.tokens.length);
    this.saw = new Set(this.scopes);
    this.refreshing = null;
    this.note(`-- token ${this.token}: ${JSON.stringify(this.scopes)}`);
    return `/?token=${tokenText(this.token)}`;
  }

  heard(socket, message) {
    const { json, binary } = message;
    if (typeof json.success === 'boolean') {
      assert.ok(json.success, 'a good token was refused in band');
      this.token = this.refreshing;
      this.refreshing = null;
      this.refreshed++;
      /* The epoch of `subscribed` may be of the token of before. */
      for (const { store } of this.subscriptions) store.moved = true;
      this.note(`-- is token ${this.token}: ${JSON.stringify(this.scopes)}`);
      return;
    }
    const at = this.ids.get(json.subscriptionId);
    if (binary && at) checkSafe(this, at.member, message);
    super.heard(socket, message);
  }

  restless(socket) {
    if (this.refreshing === null && this.random.chance(0.03)) {
      this.refreshing = this.random.below(this.run.tokens.length);
      for (const scope of this.run.tokens[this.refreshing]) this.saw.add(scope);
      this.note(`>> refresh to token ${this.refreshing}`);
      socket.send(JSON.stringify({ type: 'refresh_auth', token: tokenText(this.refreshing) }));
    }
    super.restless(socket);
  }
}

/** One that is asked for this, by a protocol that can say it. */
function listenerOf(run, spec, behaviour, random) {
  const protocol = behaviour.keeps ? 'websocket' : random.pick(['websocket', 'named', 'stream']);
  if (protocol === 'named') return new NamedScopedMember(run, spec, behaviour);
  const byStream = protocol === 'stream' && livePath({ ...spec, ...behaviour.sent }) !== undefined;
  /* A stream has no other way to another token. */
  return byStream ? new StreamScopedListener(run, spec, { ...behaviour, wanders: behaviour.wanders || behaviour.refreshes }, random) : new ScopedListener(run, spec, behaviour, random);
}

function listeners(run, r) {
  const made = [];
  const add = (spec, behaviour) => made.push(listenerOf(run, spec, behaviour, r.fork(made.length)));
  run.specs = [];
  for (let i = r.between(6, 11); i > 0; i--) {
    const spec = anySpec(r, run.definitions, KEYS);
    run.specs.push(spec);
    add(spec, { resume: true });
    if (r.chance(0.5)) add(spec, { resume: true, wanders: true });
    if (r.chance(0.5)) add(spec, { resume: true, refreshes: true });
    if (r.chance(0.3)) add(spec, { resume: false, wanders: true, refreshes: true });
    /* As the published clients, which know of no epoch and keep their rows. */
    if (run.steady && r.chance(0.5)) add(spec, { resume: false, keeps: true });
    if (run.steady && r.chance(0.5)) add(spec, { resume: false, keeps: true, refreshes: true });
    if (spec.view !== 'A/append' && r.chance(0.15)) add(spec, { resume: false, sent: { snapshotLimit: r.pick([1, 3]) } });
    if (spec.view !== 'A/append' && r.chance(0.15)) add(spec, { resume: false, refreshes: true, sent: { withSnapshot: false } });
  }
  const isNamed = (one) => one instanceof NamedMember;
  const connections = gather(made.filter(isNamed), r, (members_, i) => new NamedScopedListener(run, members_, r.fork(100 + i)));
  return wanted([...made.filter((one) => !isNamed(one)), ...connections]);
}

/* ---- one seed ---- */

class Run {
  constructor(seed, folder) {
    this.seed = seed;
    this.random = new Random(seed);
    this.folder = folder;
  }

  turn() {
    return new Promise((done) => setTimeout(done, 5));
  }

  config() {
    const r = this.random;
    const { A, B } = this.definitions.config();
    const settings = {
      retention_rows: r.chance(0.4) ? r.between(3, 60) : 1_000_000,
      ring_bytes: r.pick([0, 4096, 67108864]),
      channel_bytes: r.pick([65536, 67108864]),
      entity_cache_bytes: r.pick([0, 20000, 67108864]),
      commit_mutations: r.pick([1, 16, 8192]),
      readers: r.pick([1, 2]),
      auth: {
        mode: 'static',
        tokens: [
          { token: WRITER, scope: 'write', subject: 'writer' },
          ...this.tokens.map((scopes, i) => ({ token: tokenText(i), scope: 'read', subject: 'reader', row_scopes: scopes })),
        ],
      },
    };
    const path = this.path.includes('.') && r.chance(0.5) ? this.path.split('.') : this.path;
    const most = this.evicts ? `"max_entities":${this.evicts},` : '';
    const scoped = A.replace(/^\{/, `{"scope":${JSON.stringify(path)},${most}`);
    return `${JSON.stringify(settings).slice(0, -1)},"exports":{"A":${scoped},"B":{"views":{${B}}}}}`;
  }

  producerUrl() {
    return `${this.server.ws}/v1/ingest?token=${WRITER}`;
  }

  async play() {
    this.steady = this.random.chance(0.3);
    this.path = this.random.pick(PATHS);
    this.tokens = tokensOf(this.random);
    this.definitions = new Definitions(this.random.fork(3), false);
    this.evicts = this.random.chance(0.25) ? this.random.between(3, 8) : 0;
    this.server = await Server.start({ db: join(this.folder, `${this.seed}.db`), config: this.config() });
    this.model = new Model({ exports: { A: {}, B: {} } });
    this.feed = new ScopedFeed(this.random.fork(1), this.model, this.path, KEYS, this.evicts > 0);
    this.producer = new Producer('p', { window: this.random.pick([1, 4, 32]) });
    await this.producer.connect(this.producerUrl());
    this.listeners = listeners(this, this.random.fork(2));
    const lives = this.listeners.map((l) => l.live());
    try {
      const phases = this.random.between(2, 4);
      for (let phase = 0; phase < phases; phase++) {
        await this.feedFor(this.random.between(15, 60));
        await this.quiet();
        if (phase < phases - 1) for (const listener of this.listeners) listener.calm = false;
      }
    } finally {
      for (const listener of this.listeners) listener.stop();
      this.producer.disconnect();
      await Promise.all(lives);
    }
    await this.server.terminate();
    await check(this.server.db);
  }

  async feedFor(batches) {
    const r = this.random;
    const { producer } = this;
    for (let i = 0; i < batches; i++) {
      producer.add(...this.feed.batch());
      if (r.chance(0.4)) await this.turn();
      if (r.chance(0.05)) await producer.drain(r.below(3));
      if (!this.steady && r.chance(0.03)) await this.restart();
    }
    await producer.drain();
  }

  async restart() {
    this.down = true;
    const kind = this.random.pick(['kill9', 'kill9', 'terminate']);
    for (const listener of this.listeners) listener.note(`== ${kind}`);
    await this.server[kind]();
    this.producer.disconnect();
    await this.server.restart();
    this.down = false;
    await this.producer.connect(this.producerUrl());
  }

  /* Which entities were evicted by then depends on how they were grouped into commits; each of them is
   * as the model has it. */
  async bases() {
    const all = this.model.rows('A');
    if (!this.evicts) return new Map([['A', all], ['B', this.model.rows('B')]]);
    const kept = await sql(this.server.db, 'SELECT key FROM "A/list"');
    assert.equal(kept.length, Math.min(this.evicts, all.size), `A holds ${kept.length} of at most ${this.evicts}`);
    return new Map([['A', new Map(kept.map(({ key }) => [key, all.get(key)]))], ['B', this.model.rows('B')]]);
  }

  /** key → text, in order, of what this token sees of a subscription. A view's own cuts are over all
   * rows; what a subscription asks for is of those that it sees. */
  expected(spec, scopes, bases) {
    const { definitions, path } = this;
    const view = definitions.of(spec.view);
    const derived = definitions.derived.get(spec.view);
    const scoped = spec.view.startsWith('A/');
    const rows = definitions.rows(spec.view, bases, 0).filter(({ entity }) => !scoped || sees(scopes, path, entity));
    const limit = derived && spec.key === undefined ? 100 : Infinity;
    const [filters, where, sort] = [spec.filters, spec.where, spec.sort].map((text) => text && parse(text));
    const shown = windowOf(rows, { ...spec, filters, where, sort, keyField: view.keyField, take: spec.take ?? limit }, 0);
    return new Map(shown.map(({ key, entity }) => [key, canonDouble(project(entity, view.fields))]));
  }

  async quiet() {
    const bases = await this.bases();
    for (const listener of this.listeners) listener.calm = true;
    await this.sqlAgrees(bases);
    await this.allAgree(bases);
    await this.freshAgree(bases);
    await new Promise((done) => setTimeout(done, 15));
    await this.allAgree(bases);
  }

  async sqlAgrees(bases) {
    const rows = await sql(this.server.db, 'SELECT key, data FROM "A/list"');
    assert.equal(rows.length, bases.get('A').size);
    for (const { key, data } of rows) assert.equal(canonDouble(parse(data)), canonDouble(bases.get('A').get(key)));
  }

  async allAgree(bases) {
    for (const listener of this.listeners.flatMap((l) => l.members)) await this.agrees(listener, bases);
  }

  async agrees(listener, bases) {
    const more = `${this.definitions.describe(listener.spec.view)}\nscope: ${this.path}\n${this.server.options.config}`;
    const difference = () => listener.difference(this.expected(listener.spec, listener.scopes, bases));
    await listener.agreed(difference, () => listener.opened, `stele-rows-${this.seed}.log`, more);
  }

  /** Who comes now gets its rows in the view's order; so does who asks over HTTP. */
  async freshAgree(bases) {
    for (const { isWindow: _, ...spec } of this.specs) {
      const token = this.random.below(this.tokens.length);
      const want = [...this.expected(spec, this.tokens[token], bases)].map(([key, text]) => `${key} ${text}`);
      const fresh = await openFresh(this.random, this.server, spec, tokenText(token));
      const has = fresh.rows().map(([key, row]) => `${key} ${canonPlain(row)}`);
      fresh.close();
      assert.deepEqual(has, want, `a fresh snapshot of ${members(spec)} for token ${token}`);
      const query = [`token=${tokenText(token)}`, 'take=100'];
      if (spec.take) query[1] = `take=${spec.take}`;
      if (spec.skip) query.push(`skip=${spec.skip}`);
      if (spec.key !== undefined) query.push(`key=${encodeURIComponent(spec.key)}`);
      for (const name of ['where', 'sort']) if (spec[name]) query.push(`${name}=${encodeURIComponent(spec[name])}`);
      if (spec.filters || !/list|v[0-9]/.test(spec.view) || this.definitions.of(spec.view).output === 'keyed' || this.definitions.of(spec.view).output === 'single') continue;
      const url = `${this.server.http}/v1/views/${spec.view.split('/').map(encodeURIComponent).join('/')}?${query.join('&')}`;
      const answer = await http(url);
      assert.equal(answer.status, 200, `${url}: ${answer.text}`);
      const read = answer.json.rows.map(({ key, data }) => `${key} ${canonPlain(data)}`);
      assert.deepEqual(read, want, url);
    }
  }
}

test(`nobody is shown what it may not see, for ${OPTIONS.seeds} seeds from ${OPTIONS.first} on`, (t) =>
  playSeeds(t, OPTIONS, 'rows.test.js', (seed, folder) => new Run(seed, folder), ['refreshed']));

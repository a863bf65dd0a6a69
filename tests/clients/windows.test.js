// Views and windows, by force: random pipelines over random data, random windows and filters,
// cut-offs, restarts and kill -9, a clock that is wrong now and then. At each quiet point what every
// client holds, what SQL and HTTP show and what an independent model (lib/window_model.js) says are
// one, and no client that was live was ever sent a frame that changed nothing. Each client speaks version 1,
// version 2 with some windows on a connection, or gets server-sent events.
//
// STELE_SEEDS seeds (default 10) from STELE_SEED (default 1) on, STELE_JOBS (2) at a time. A failure
// names its seed; STELE_SEED=n STELE_SEEDS=1 runs that one alone, STELE_WITHOUT=<pattern> without
// the listeners of that name, STELE_TIMED=1 with definitions that ask for the time in every seed.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { Applier } from './lib/applier.js';
import { Client } from './lib/client.js';
import { Clock } from './lib/clock.js';
import { Producer, http, post } from './lib/feed.js';
import { openFresh } from './lib/fresh.js';
import { canon, canonDouble, canonPlain, parse, print } from './lib/json.js';
import { RowListener } from './lib/listener.js';
import { Model, project } from './lib/model.js';
import { NamedListener, NamedMember, gather } from './lib/named_listener.js';
import { Random } from './lib/random.js';
import { playSeeds, seedsOf, wanted } from './lib/seeds.js';
import { Server, check, patience, sql } from './lib/server.js';
import { livePath, streaming } from './lib/stream_listener.js';
import { Definitions, Feed, members, specOf } from './lib/window_random.js';

const OPTIONS = seedsOf(10);
const FIRST = OPTIONS.first;

/* ---- who listens ---- */

class WindowListener extends RowListener {
  constructor(run, spec, behaviour, random) {
    super(run, random);
    this.spec = spec;
    this.isWindow = true;
    this.sent = { ...spec, ...behaviour.sent };
    this.partial = behaviour.sent !== undefined;
    this.asFrames = behaviour.asFrames === true; /* what it missed comes as frames, perhaps some more */
    this.projected = run.definitions.of(spec.view).fields !== undefined;
    this.applier = new Applier({ resume: behaviour.resume, forget: !behaviour.resume && !behaviour.keeps });
    this.name = `${members(this.sent)} ${behaviour.asFrames ? 'resumes by frames' : behaviour.resume ? 'resumes' : behaviour.keeps ? 'keeps' : 'begins anew'}`;
    this.liveFrames = 0;
    this.detour = false; /* it may hold rows of another part of the view */
    this.awaited = 0; /* `subscribed` frames that are to come */
  }

  isOpen() {
    return this.connected && this.state !== 'asked' && this.awaited === 0;
  }

  get opened() {
    return this.state === 'live' && this.isOpen();
  }

  path() {
    return livePath(this.sent);
  }

  asking() {
    this.forgetOnArrival();
    this.opens = true;
    this.state = 'asked';
    this.awaited++;
  }

  subscribe(socket, partition) {
    const parts = [members(this.sent)];
    if (partition === undefined) this.forgetOnArrival();
    const cursor = this.applier.parameters();
    if (this.asFrames && cursor.after !== undefined) cursor.withSnapshot = false;
    this.opens = cursor.withSnapshot !== false && this.sent.withSnapshot !== false;
    for (const [name, value] of Object.entries({ ...cursor, partition })) {
      if (value !== undefined && value !== null) parts.push(`"${name}":${JSON.stringify(value)}`);
    }
    const text = `{"type":"subscribe",${parts.join(',')}}`;
    this.note(`>> ${text}`);
    if (partition === undefined || this.renewing) this.state = 'asked';
    this.awaited++;
    socket.send(text);
  }

  /* A new connection knows nothing of the detour, and of a window without a cursor only what the database keeps. */
  forgetOnArrival() {
    const { applier, run } = this;
    const kept = !applier.resume || applier.seq !== null || run.steady || run.retained;
    if (this.detour || !kept) applier.drop();
    this.detour = false;
    this.awaited = 0;
  }

  /** Subscribe again on the same connection: after unsubscribe, or in place of the old one. */
  renew(socket) {
    const r = this.random;
    const leave = () => r.chance(0.5) && socket.send(JSON.stringify({ type: 'unsubscribe', view: this.spec.view, key: this.spec.key }));
    leave();
    /* By way of another part of the view: its rows are to be gone again. */
    if (this.sent.take !== undefined && !this.partial && !this.asFrames && r.chance(0.5)) {
      const { view, key } = this.spec;
      socket.send(JSON.stringify({ type: 'subscribe', view, key, take: r.between(1, 4), skip: r.below(4), partition: `detour ${++this.renewed}` }));
      leave();
      this.detour = true;
      this.awaited++;
    }
    const { forget, resume, rows, seq } = this.applier;
    /* Who passes over what is on its way needs a cursor that is older, or has no rows: for the server takes
     * it as told. */
    this.renewing = forget || rows.size === 0 || (resume && seq !== null && !this.detour);
    this.subscribe(socket, String(++this.renewed));
  }

  take({ text, json: frame }) {
    const { applier, spec } = this;
    if (frame.op === 'subscribed') {
      assert.equal(frame.view, spec.view);
      this.awaited--;
      if (!frame.resumed) applier.seq = null; /* a cursor is good for the window that it came with */
      this.state = this.opens ? 'opening' : 'live';
      applier.apply(frame);
      /* Who wants no snapshot gets none. */
      if (this.asFrames && frame.resumed === false) this.renew(this.socket);
      return;
    }
    assert.ok(this.state === 'opening' || this.state === 'live', `a frame before subscribed: ${text.slice(0, 200)}`);
    assert.equal(frame.entity, spec.view);
    assert.notEqual(frame.op, 'patch', `a patch in a window: ${text.slice(0, 200)}`);
    if (spec.key !== undefined && frame.op !== 'snapshot') assert.equal(frame.key, spec.key);
    if (this.state === 'live' && !this.partial && !this.asFrames) {
      this.liveFrames++;
      this.changesSomething(frame, text);
    }
    if (frame.op === 'snapshot' && frame.complete) {
      this.state = 'live';
      this.detour = this.detour && this.awaited > 0;
    }
    applier.apply(frame);
  }
}

class StreamWindowListener extends streaming(WindowListener) {}

class NamedWindowMember extends NamedMember {
  constructor(run, spec, { resume, asFrames, sent }) {
    const { fields, keyField } = run.definitions.of(spec.view);
    const { withSnapshot, ...more } = sent ?? {};
    super(spec.view, members({ ...spec, ...more }), {
      resume, asFrames, quiet: withSnapshot === false, partial: sent !== undefined, isWindow: true, counts: true, projected: fields !== undefined, keyedByField: keyField !== undefined, spec,
    });
  }
}

/** One that is asked for this, by a protocol that can say it. */
function listenerOf(run, spec, behaviour, random) {
  const protocol = behaviour.keeps ? 'websocket' : random.pick(['websocket', 'named', 'stream']);
  if (protocol === 'named') return new NamedWindowMember(run, spec, behaviour);
  const byStream = protocol === 'stream' && !behaviour.asFrames && livePath({ ...spec, ...behaviour.sent }) !== undefined;
  return new (byStream ? StreamWindowListener : WindowListener)(run, spec, behaviour, random);
}

/** Another part of what an earlier one asked for, now and then: the server finds the rows of both together. */
function otherPage(r, specs) {
  const pages = specs.filter((spec) => spec.take !== undefined && spec.key === undefined && (spec.filters ?? spec.where ?? spec.sort));
  return pages.length > 0 && r.chance(0.4) ? { ...r.pick(pages), take: r.pick([1, 2, 4, 7]), skip: r.pick([0, 1, 3]) } : undefined;
}

function listeners(run, r) {
  const made = [];
  const add = (spec, behaviour) => made.push(listenerOf(run, spec, behaviour, r.fork(made.length)));
  run.specs = [];
  for (let i = r.between(5, 10); i > 0; i--) {
    const spec = otherPage(r, run.specs) ?? specOf(r, run.definitions);
    run.specs.push(spec);
    add(spec, { resume: true });
    if (r.chance(0.4)) add(spec, { resume: true });
    if (r.chance(0.3)) add(spec, { resume: true, asFrames: true });
    if (r.chance(0.3)) add(spec, { resume: false });
    /* As the published clients: it keeps its rows and asks without a cursor, also after a restart. What
     * happened just before a crash is told from the log, as far as that is kept. */
    if ((run.steady || run.retained) && r.chance(0.6)) add(spec, { resume: false, keeps: true });
    if (r.chance(0.15)) add(spec, { resume: false, sent: { snapshotLimit: r.pick([1, 3]) } });
    if (r.chance(0.15)) add(spec, { resume: false, sent: { withSnapshot: false } });
  }
  const isNamed = (one) => one instanceof NamedMember;
  const connections = gather(made.filter(isNamed), r, (members_, i) => new NamedListener(run, members_, r.fork(100 + i)));
  return wanted([...made.filter((one) => !isNamed(one)), ...connections]);
}

/* ---- one seed ---- */

/*
 * A clock that is wrong now and then: by far, so that it is not believed, or by less than a minute, so that
 * it is followed. Where it was set for good (Run.settle) is believed, for the server saw it so for a quarter
 * of an hour; all else is shorter.
 */
class WrongClock extends Clock {
  passed = 0; /* seconds that the test let pass */
  settled = 0; /* ahead, for good */
  off = 0;

  constructor(folder, name, random) {
    super(folder, name);
    this.random = random;
    this.isFar = random.chance(0.7);
  }

  setOff(seconds) {
    this.off = seconds;
    this.set(this.passed + this.settled + seconds, this.passed);
  }

  settle() {
    [this.settled, this.off] = [this.settled + this.off, 0];
  }

  err() {
    this.setOff(this.random.pick(this.isFar ? [0, 0, -3000, 3000, -86_400, 86_400, 172_800] : [0, 0, 5, 45]));
  }

  pass(seconds) {
    this.passed += seconds;
    this.setOff(this.off);
  }

  /** Milliseconds since 1970, as the server has to take them. */
  believed() {
    return Date.now() + (this.passed + this.settled + (this.isFar ? 0 : this.off)) * 1000;
  }
}

class Run {
  constructor(seed, folder) {
    this.seed = seed;
    this.random = new Random(seed);
    this.folder = folder;
  }

  turn() {
    return new Promise((done) => setTimeout(done, 5));
  }

  /* As text, because numbers in definitions are to be what they are written as. */
  config() {
    const r = this.random;
    this.maxEntities = r.between(2, 9);
    const { A, B } = this.definitions.config();
    this.aged = r.chance(0.2); /* the log goes by age, when time passed */
    this.retained = !this.aged && r.chance(0.6);
    const settings = {
      retention_rows: this.retained || this.aged ? 1_000_000 : r.between(3, 60),
      retention_seconds: this.aged ? 60 : 0,
      tombstone_seconds: 3_000_000, /* more than a run lets pass */
      ring_bytes: r.pick([0, 4096, 67108864]),
      channel_bytes: r.pick([65536, 67108864]),
      max_window_rows: r.pick([16, 10000]),
      entity_cache_bytes: r.pick([0, 20000, 67108864]),
      commit_mutations: r.pick([1, 16, 8192]),
      checkpoint_pages: r.pick([1, 16384]),
      readers: r.pick([1, 2]),
      synchronous: r.pick(['full', 'normal']),
    };
    return `${JSON.stringify(settings).slice(0, -1)},"exports":{"A":${A},"B":{"max_entities":${this.maxEntities},"views":{${B}}}}}`;
  }

  async play() {
    this.timed = this.random.chance(0.2) || Boolean(process.env.STELE_TIMED);
    this.steady = this.random.chance(0.25);
    this.definitions = new Definitions(this.random.fork(3), this.timed);
    this.clock = this.random.chance(0.5) ? new WrongClock(this.folder, `${this.seed}.clock`, this.random.fork(4)) : undefined;
    this.server = await Server.start({ db: join(this.folder, `${this.seed}.db`), config: this.config(), env: this.clock?.env });
    this.model = new Model({ exports: { A: {}, B: {} } });
    this.feed = new Feed(this.random.fork(1), this.model, this.timed, () => this.now());
    this.producer = new Producer('p', { window: this.random.pick([1, 4, 32]) });
    await this.producer.connect(this.server);
    this.listeners = listeners(this, this.random.fork(2));
    const lives = this.listeners.map((l) => l.live());
    try {
      const phases = this.random.between(2, 4);
      for (let phase = 0; phase < phases; phase++) {
        await this.feedFor(this.random.between(15, 60));
        await this.quiet();
        await this.unfed();
        await this.stepByStep(this.random.between(3, 8));
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
      if (r.chance(0.3)) await this.turn();
      if (r.chance(0.05)) await producer.drain(r.below(3));
      if (r.chance(0.03)) {
        producer.disconnect();
        await producer.connect(this.server);
      }
      if (r.chance(0.1)) this.clock?.err();
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
    if (this.clock) {
      if (this.random.chance(0.3)) this.clock.err();
      this.clock.pass(this.random.pick([0, 0, 100]));
    }
    await this.server.restart();
    this.down = false;
    await this.producer.connect(this.server);
  }

  /** The clock is set, and stays so. */
  async settle() {
    const { clock, producer } = this;
    clock.setOff(this.random.pick([-3000, 3000, -86_400, 86_400]));
    await this.feedSome(); /* the server sees it */
    producer.disconnect();
    clock.pass(901);
    await producer.connect(this.server);
    await this.feedSome();
    clock.settle();
  }

  async feedSome() {
    this.producer.add(...this.feed.batch(1));
    await this.producer.drain();
  }

  /** The clock goes wrong, and the server may be gone for a while, while nothing is fed. */
  async unfed() {
    const r = this.random;
    for (let i = r.below(3); i > 0; i--) {
      if (r.chance(0.7)) this.clock?.err();
      if (this.clock?.isFar && r.chance(0.3)) await this.settle();
      if (!this.steady && r.chance(0.5)) await this.restart();
      await this.quiet();
    }
  }

  /** Export → entities, now that nothing is fed. Which entities of B are evicted depends on what
   * shared a transaction, so B is what SQL says; only the number is given. */
  async bases() {
    const read = async (name) => new Map((await sql(this.server, `SELECT key, data FROM "${name}/list"`)).map(({ key, data }) => [key, parse(data)]));
    const [a, b] = [await read('A'), await read('B')];
    const want = this.model.rows('A');
    for (const key of new Set([...a.keys(), ...want.keys()])) {
      const [has, should] = [a, want].map((rows) => (rows.has(key) ? canon(rows.get(key)) : 'nothing'));
      assert.equal(has, should, `SQL and the model differ in A/list: ${key}`);
    }
    assert.ok(b.size <= this.maxEntities, `B holds ${b.size} of at most ${this.maxEntities}`);
    return new Map([['A', want], ['B', b]]);
  }

  now() {
    return Math.floor((this.clock?.believed() ?? Date.now()) / 1000);
  }

  /** key → text, in order, of what a client with this spec must hold. */
  expected(spec, bases) {
    const { fields } = this.definitions.of(spec.view);
    return new Map(this.definitions.window(spec, bases, this.now()).map(({ key, entity }) => [key, canonDouble(project(entity, fields))]));
  }

  async quiet() {
    const bases = await this.bases();
    for (const listener of this.listeners) listener.calm = true;
    await this.sqlAgrees(bases);
    await this.allAgree(bases);
    await this.freshAgree(bases);
    await this.pagesAgree(bases);
    /* Once more, so that a frame too many would have come. */
    await new Promise((done) => setTimeout(done, 15));
    await this.allAgree(bases);
  }

  /** All that hold rows. */
  held() {
    return this.listeners.flatMap((listener) => listener.members);
  }

  async allAgree(bases) {
    for (const listener of this.held()) await this.agrees(listener, bases);
  }

  async agrees(listener, bases) {
    const { view } = listener.spec;
    const more = `${this.definitions.describe(view)}\n${this.server.options.config}`;
    const difference = () => listener.difference(this.expected(listener.spec, bases));
    await listener.agreed(difference, () => listener.opened, `stele-windows-${this.seed}.log`, more);
  }

  /** Who comes now gets the rows in the view's order; of what time alone has changed, perhaps the
   * rows of a moment ago and then what came of them. */
  async freshAgree(bases) {
    for (const spec of this.specs) {
      const timed = this.definitions.timedWindow(spec);
      const fresh = await openFresh(this.random, this.server, spec);
      const rows = () => fresh.rows().map(([key, row]) => `${key} ${canonPlain(row)}`);
      const want = () => [...this.expected(spec, bases)].map(([key, text]) => `${key} ${text}`);
      const text = (list) => JSON.stringify(timed ? list.sort() : list);
      const until = Date.now() + patience(20_000);
      let [has, should] = [rows(), want()]; /* of one moment: what is expected changes by the second */
      while (timed && text(has) !== text(should) && Date.now() < until) {
        await this.turn();
        [has, should] = [rows(), want()];
      }
      fresh.close();
      if (text(has) !== text(should)) {
        throw new Error(`a fresh snapshot of ${members(spec)}\n${this.definitions.describe(spec.view)}\nhas:\n  ${has.join('\n  ')}\nexpected:\n  ${should.join('\n  ')}`);
      }
    }
  }

  /** Who asks by HTTP gets the same rows. A filter there is for a scalar. */
  async pagesAgree(bases) {
    for (const spec of this.specs) {
      const query = new URLSearchParams();
      for (const name of ['key', 'take', 'skip']) if (spec[name] !== undefined) query.append(name, spec[name]);
      const filters = [...(spec.filters ? parse(spec.filters) : [])];
      if (filters.some(([, value]) => Array.isArray(value) || value instanceof Map)) continue;
      for (const name of ['where', 'sort']) if (spec[name] !== undefined) query.append(name, spec[name]);
      for (const [path, value] of filters) query.append('filter', `${path}:${print(value)}`);
      const url = `${this.server.http}/v1/views/${spec.view}?${query}`;
      const until = Date.now() + patience(20_000);
      for (;;) {
        const { status, text } = await http(url);
        if (status !== 200) throw new Error(`${url}: ${status} ${text}`);
        const has = JSON.parse(text).rows.map(({ key, data }) => `${key} ${canonPlain(data)}`);
        const want = [...this.expected(spec, bases)].map(([key, row]) => `${key} ${row}`);
        if (JSON.stringify(has) === JSON.stringify(want)) break;
        if (!this.definitions.timedWindow(spec) || Date.now() > until) {
          throw new Error(`HTTP: ${url}\n${this.definitions.describe(spec.view)}\nhas:\n  ${has.join('\n  ')}\nexpected:\n  ${want.join('\n  ')}`);
        }
        await this.turn();
      }
    }
  }

  /** Each derived view as SQL: its rows in order, its rank from 1 on. */
  async sqlAgrees(bases) {
    for (const [id, { fields }] of this.definitions.derived) {
      const until = Date.now() + patience(20_000);
      for (;;) {
        const has = (await sql(this.server, `SELECT rank, key, data FROM "${id}"`)).map(({ rank, key, data }) => `${rank} ${key} ${canon(parse(data))}`);
        const want = this.definitions.rows(id, bases, this.now()).map(({ key, entity }, i) => `${i + 1} ${key} ${canon(project(entity, fields))}`);
        if (JSON.stringify(has) === JSON.stringify(want)) break;
        if (!this.definitions.timedView(id) || Date.now() > until) {
          throw new Error(`SQL's ${id}\n${this.definitions.describe(id)}\nhas:\n  ${has.join('\n  ')}\nexpected:\n  ${want.join('\n  ')}`);
        }
        await this.turn();
      }
    }
  }

  /** One mutation at a time: exactly the rows that came, changed or left are sent. */
  async stepByStep(count) {
    let before = await this.bases();
    for (let i = 0; i < count; i++) {
      /* Who was cut off may see what changes in its next snapshot. */
      const counted = this.held().filter((l) => l.connected && !l.partial && !l.asFrames && !this.definitions.timedWindow(l.spec));
      /* The model changes its rows in place. */
      before = new Map([...before].map(([name, rows]) => [name, new Map(rows)]));
      const had = counted.map((l) => ({ frames: l.liveFrames, cuts: l.cuts, rows: this.expected(l.spec, before) }));
      const [mutations, extra] = this.feed.batch(1);
      this.producer.add(mutations, extra);
      await this.producer.drain();
      const bases = await this.bases();
      await this.allAgree(bases);
      counted.forEach((listener, j) => {
        if (listener.cuts !== had[j].cuts) return;
        const rows = this.expected(listener.spec, bases);
        const left = [...had[j].rows.keys()].filter((key) => !rows.has(key)).length;
        const fresh = [...rows].filter(([key, text]) => had[j].rows.get(key) !== text).length;
        const sent = listener.liveFrames - had[j].frames;
        assert.ok(listener.projected || sent === left + fresh, `${listener.name}: ${sent} frames instead of ${left + fresh} after ${mutations[0]}\n${(listener.connection ?? listener).events.slice(-6).join('\n')}`);
      });
      before = bases;
    }
  }
}

test(`windows are what the model says, for ${OPTIONS.seeds} seeds from ${FIRST} on`, (t) =>
  playSeeds(t, OPTIONS, 'windows.test.js', (seed, folder) => new Run(seed, folder), ['liveFrames']));

/* ---- one client that does not read ---- */

/* What is not read fills the kernel's buffers (some megabytes) and then the window's channel. */
test('who falls behind a window gets what it lacks and nothing else', async (t) => {
  const views = '{"keyed":{"pipeline":[{"sort":"n"}],"output":{"keyed_by":"g"}},"sorted":{"pipeline":[{"sort":"n"}]}}';
  const config = `{"channel_bytes":65536,"exports":{"A":{"views":${views}}}}`;
  const server = await Server.forTest(t, { config });
  const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
  const pad = 'x'.repeat(60_000);
  const mutate = (r) => JSON.stringify({ export: 'A', key: r.pick(keys), patch: { n: r.below(10), g: r.pick(['p', 'q']), pad } });
  await post(server, keys.map((key, n) => ({ export: 'A', key, patch: { n, g: 'p' } })));
  const specs = [
    { view: 'A/sorted', take: 2 }, { view: 'A/sorted', take: 1, skip: 1 }, { view: 'A/sorted', take: 3, filters: '{"g":"p"}' },
    { view: 'A/list', take: 2 }, { view: 'A/list', filters: '{"g":"q"}' }, { view: 'A/keyed', key: 'p' },
  ];
  const behindOnes = await Promise.all(specs.map(async (spec) => {
    const client = await Client.open(server, { windows: true });
    t.after(() => client.destroy());
    client.send(`{"type":"subscribe",${members(spec)}}`);
    const applier = new Applier();
    for (const frame of await client.until((f) => f.op === 'snapshot' && f.complete)) applier.apply(frame);
    return { spec, client, applier };
  }));
  const truth = async (spec) => {
    const client = await Client.open(server, { windows: true });
    client.send(`{"type":"subscribe",${members(spec)}}`);
    const applier = new Applier();
    for (const frame of await client.until((f) => f.op === 'snapshot' && f.complete)) applier.apply(frame);
    client.destroy();
    return new Map([...applier.rows].map(([key, row]) => [key, canonPlain(row)]));
  };
  const r = new Random(FIRST);
  const caughtUp = async () => Number(/^stele_catch_ups_total (\d+)$/m.exec((await server.get('/metrics')).text)?.[1]);
  /* The system takes megabytes for who does not read, and a server that has little time shows several
   * changes as one: as many as it takes, then. */
  for (let round = 0, changes = 260; round < 3; ) {
    const before = await caughtUp();
    for (const { client } of behindOnes) client.socket.pause();
    for (let i = 0; i < changes; i++) await post(server, mutate(r));
    /* The last state has no row that was there before. */
    await post(server, keys.map((key, i) => ({ export: 'A', key, patch: { n: i + round, g: 'pq'[i % 2] } })));
    for (const { client } of behindOnes) client.socket.resume();
    for (const { spec, client, applier } of behindOnes) {
      const want = await truth(spec);
      const agrees = () => applier.rows.size === want.size && [...want].every(([key, text]) => applier.rows.has(key) && canonPlain(applier.rows.get(key)) === text);
      while (!agrees()) {
        const frame = await client.next(`the rows of ${members(spec)}`);
        const held = applier.rows.get(frame.key);
        if (frame.op === 'delete') assert.ok(held !== undefined, `a delete of what it never had: ${frame.key}`);
        else if (held !== undefined) assert.notEqual(canonPlain(frame.data), canonPlain(held), `an upsert of ${frame.key} that changes nothing`);
        applier.apply(frame);
      }
      await client.silence();
    }
    if ((await caughtUp()) > before) round++;
    else changes *= 2;
    assert.ok(changes < 10_000, 'nobody falls behind');
  }
});

/* ---- time ---- */

test('who comes later is not shown what time has taken away, however long the view coalesces', async (t) => {
  const views = '{"valid":{"pipeline":[{"filter":{"field":"until","gt":{"now":true}}},{"sort":"until"}],"coalesce_ms":3600000}}';
  const server = await Server.forTest(t, { config: `{"exports":{"A":{"views":${views}}}}` });
  const until = Math.floor(Date.now() / 1000) + 2;
  await post(server, [{ export: 'A', key: 'soon', patch: { until } }, { export: 'A', key: 'later', patch: { until: until + 100_000 } }]);
  const rows = async () => {
    const client = await Client.open(server);
    client.send('{"type":"subscribe","view":"A/valid"}');
    const applier = new Applier();
    for (const frame of await client.until((f) => f.op === 'snapshot' && f.complete)) applier.apply(frame);
    return { client, keys: [...applier.rows.keys()] };
  };
  /* It stays, and so does the snapshot that was made for it. */
  const { client } = await rows();
  t.after(() => client.destroy());
  while ((await sql(server, 'SELECT key FROM "A/valid"')).length > 1) await new Promise((done) => setTimeout(done, 20));
  /* The subscribers' side hears of it a moment after SQL shows it. */
  const patient = Date.now() + patience(10_000);
  for (let keys = []; keys.join() !== 'later'; ) {
    const fresh = await rows();
    fresh.client.destroy();
    keys = fresh.keys;
    assert.ok(Date.now() < patient, `still shown: ${keys}`);
  }
});

/* ---- what a mutation costs ---- */

test('a mutation outside a window sends nothing to it, one inside that row and at most one that left', async (t) => {
  const views = '{"sorted":{"pipeline":[{"sort":{"by":"n","order":"desc"}}]},"best":{"source":"A/sorted","pipeline":[{"take":3}]}}';
  const server = await Server.forTest(t, { config: `{"exports":{"A":{"views":${views}}}}` });
  const rows = new Map();
  const r = new Random(FIRST);
  const change = (key) => rows.set(key, { n: r.below(1000), even: r.chance(0.5), pad: 'x'.repeat(r.below(300)) });
  for (let i = 0; i < 40; i++) change(`k${i}`);
  const mutation = (key) => ({ export: 'A', key, patch: rows.get(key) });
  await post(server, [...rows.keys()].map(mutation));
  const seqs = [...rows.keys()]; /* oldest change first */
  const sorted = () => [...rows.keys()].sort((a, b) => rows.get(b).n - rows.get(a).n || (a < b ? -1 : 1));
  const specs = [
    [{ view: 'A/sorted', take: 3 }, () => sorted().slice(0, 3)],
    [{ view: 'A/sorted', take: 4, skip: 5 }, () => sorted().slice(5, 9)],
    [{ view: 'A/sorted', take: 2, filters: '{"even":true}' }, () => sorted().filter((key) => rows.get(key).even).slice(0, 2)],
    [{ view: 'A/best', skip: 1 }, () => sorted().slice(1, 3)],
    [{ view: 'A/list', take: 2, skip: 3 }, () => [...seqs].reverse().slice(3, 5)],
    [{ view: 'A/list', filters: '{"even":false}', take: 3 }, () => [...seqs].reverse().filter((key) => !rows.get(key).even).slice(0, 3)],
  ];
  const open = async (spec) => {
    const client = await Client.open(server);
    t.after(() => client.destroy());
    client.send(`{"type":"subscribe",${members(spec)}}`);
    await client.until((frame) => frame.op === 'snapshot' && frame.complete);
    return client;
  };
  const watched = await Promise.all(specs.map(async ([spec, shown]) => ({ spec, shown, client: await open(spec) })));
  /* It sees every change, in the same look as the others. */
  const watcher = await open({ view: 'A/sorted', take: 1000 });
  let outside = 0;
  for (let i = 0; i < 120; i++) {
    const before = watched.map(({ shown }) => shown());
    const key = `k${r.below(40)}`;
    change(key);
    seqs.push(...seqs.splice(seqs.indexOf(key), 1));
    await post(server, mutation(key));
    await watcher.until((frame) => frame.op === 'upsert' && frame.key === key);
    for (const [at, { spec, shown, client }] of watched.entries()) {
      const after = shown();
      const left = before[at].filter((k) => !after.includes(k));
      const fresh = after.filter((k) => k === key || !before[at].includes(k));
      const first = client.read;
      while (client.read < first + left.length + fresh.length) await client.next(`what changed in ${members(spec)}`);
      await client.silence();
      const frames = client.messages.slice(first).filter(({ binary }) => binary);
      assert.deepEqual(frames.map(({ json }) => `${json.op} ${json.key}`).sort(), [...left.map((k) => `delete ${k}`), ...fresh.map((k) => `upsert ${k}`)].sort(), members(spec));
      assert.ok(left.length <= 1 && fresh.length <= 2);
      const most = fresh.reduce((sum, k) => sum + JSON.stringify(rows.get(k)).length + 150, left.length * 150);
      assert.ok(frames.reduce((sum, { bytes }) => sum + bytes, 0) <= most, `${members(spec)} took more than its rows`);
      outside += frames.length === 0;
    }
  }
  assert.ok(outside > 200, `${outside} times nothing`);
});

// The promise of cursors, by force: random mutations, random cut-offs, restarts and kill -9; in the
// end every client holds exactly what SQL and the model hold. Clients apply frames as the npm
// client does (lib/applier.js, proven equal in npm_client.test.js). Some read page by page (lib/pager.js), over
// a log in which many changes share a seq. Each client speaks version 1, version 2 with some subscriptions on a
// connection (lib/named_listener.js), or gets server-sent events (lib/stream_listener.js).
//
// STELE_SEEDS seeds (default 12) from STELE_SEED (default 1) on, STELE_JOBS (2) at a time. A failure
// names its seed; STELE_SEED=n STELE_SEEDS=1 runs that one alone, STELE_WITHOUT=<pattern> without the
// listeners of that name.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { Applier } from './lib/applier.js';
import { Producer } from './lib/feed.js';
import { canon, canonDouble, canonPlain, parse } from './lib/json.js';
import { Listener, differenceOf } from './lib/listener.js';
import { Model, expectRows, project } from './lib/model.js';
import { NamedListener, NamedMember, gather } from './lib/named_listener.js';
import { NamedPager, Pager } from './lib/pager.js';
import { Random } from './lib/random.js';
import { Seqs } from './lib/random_seq.js';
import { playSeeds, seedsOf, wanted } from './lib/seeds.js';
import { Server, check, sql, sqlState } from './lib/server.js';
import { livePath, streaming } from './lib/stream_listener.js';
import { list, passes, pipeline, windowOf } from './lib/window_model.js';
import { members } from './lib/window_random.js';

const OPTIONS = seedsOf(12);

const VIEWS = {
  A: {
    slim: { mode: 'list', fields: ['n', 'o.x', 'l', 'o.deep.l'] },
    tape: { mode: 'append', fields: ['o', 'wide'], keys: ['a', 'b', 'c'] },
    few: { mode: 'list', keys: ['b', 'd', '7'] },
    one: { mode: 'state', fields: ['o.deep', 'l'] },
    largest: { pipeline: [{ sort: { by: 'n', order: 'desc' } }] },
    wide: { source: 'A/largest', pipeline: [{ filter: { exists: 'wide' } }, { take: 3 }] },
  },
  B: {},
  L: {}, /* with max_entities */
};
const KEYS = ['a', 'b', 'c', 'd', '"é/:*"', '7', '[1,2]'];

/* ---- what is fed ---- */

class Feed extends Seqs {
  constructor(random, model) {
    super(random);
    this.model = model;
    this.counter = 0;
  }

  value(depth) {
    const r = this.random;
    switch (r.below(depth > 0 ? 9 : 6)) {
      case 0: return String(++this.counter);
      case 1: return '0.1';
      case 2: return r.pick(['18446744073709551615', '-9007199254740993', '1.50', '2e3', '-0']);
      case 3: return JSON.stringify(r.pick(['', 'é', 'a"b\\c', '😀', '\u0000\n']));
      case 4: return r.pick(['null', 'true', 'false']);
      case 5: return this.elements(depth);
      case 6: return this.elements(depth);
      default: return this.object(depth - 1);
    }
  }

  elements(depth) {
    const n = this.random.pick([0, 1, 1, 2, 3, 6]);
    return `[${Array.from({ length: n }, () => (depth > 0 && this.random.chance(0.2) ? this.value(depth - 1) : String(++this.counter))).join(',')}]`;
  }

  object(depth) {
    const names = ['x', 'y', 'l', 'deep', 'a.b'].filter(() => this.random.chance(0.4));
    return `{${names.map((n) => `${JSON.stringify(n)}:${n === 'l' && this.random.chance(0.8) ? this.elements(0) : this.value(depth)}`).join(',')}}`;
  }

  patch() {
    const r = this.random;
    const parts = [];
    if (r.chance(0.5)) parts.push(`"n":${++this.counter}`);
    if (r.chance(0.5)) parts.push(`"l":${r.chance(0.9) ? this.elements(0) : this.value(1)}`);
    if (r.chance(0.5)) parts.push(`"o":${r.chance(0.9) ? this.object(2) : this.value(1)}`);
    if (r.chance(0.2)) parts.push(`"wide":${r.pick(['18446744073709551615', '9007199254740992', '5'])}`);
    if (r.chance(0.1)) parts.push('"_seq":"mine"');
    if (r.chance(0.03)) parts.push(`"pad":"${'x'.repeat(r.between(500, 6000))}"`);
    return `{${parts.join(',')}}`;
  }

  mutation(seq) {
    const r = this.random;
    const name = r.pick(['A', 'A', 'A', 'B', 'L', 'Nobody']);
    const head = `"export":"${name}","key":${this.key()}`;
    const tail = seq ?? '';
    const kind = r.next();
    /* No deletes in L: whether one is ignored would depend on what was evicted before. */
    if (kind < 0.1 && name !== 'L') return `{${head},"op":"delete"${tail}}`;
    if (kind < 0.17) return `{${head},"op":"upsert","patch":${this.patch()}${tail}}`;
    const paths = ['l', 'o.l', 'o.deep.l', 'o.a.b', 'missing', 'n'].filter(() => r.chance(0.5));
    return `{${head},"patch":${this.patch()}${paths.length ? `,"append":${JSON.stringify(paths)}` : ''}${tail}}`;
  }

  key() {
    const key = this.random.pick(KEYS);
    return key.startsWith('"') || key.startsWith('[') || key === '7' ? key : `"${key}"`;
  }

  /** A batch for the producer, applied to the model: [mutations, extra]. */
  batch() {
    const r = this.random;
    const shared = r.chance(0.3);
    const n = r.pick([1, 1, 2, 3, 5, 12]);
    const extra = shared ? `${this.seq().slice(1)},`.replace(/^,$/, '') : '';
    const mutations = Array.from({ length: n }, () => this.mutation(shared ? '' : this.seq()));
    this.model.feed(`{${extra}"mutations":[${mutations.join(',')}]}`);
    return [mutations, extra];
  }
}

/* ---- who listens ---- */

/** What a client of any protocol is asked for, and what it is to hold. */
function wishOf({ view, key, snapshotLimit, withSnapshot, take, skip, filters, resume }) {
  const [exportName, sub] = view.split('/');
  const definition = VIEWS[exportName]?.[sub] ?? {};
  const partial = snapshotLimit !== undefined || withSnapshot === false;
  const isWindow = Boolean(definition.pipeline ?? take ?? skip ?? filters);
  const window = { take, skip, filters };
  const name = [view, key, isWindow ? JSON.stringify(window) : undefined, partial ? `limit ${snapshotLimit ?? 'no snapshot'}` : resume ? 'resumes' : 'forgets'].filter((x) => x !== undefined).join(' ');
  return { view, key, snapshotLimit, withSnapshot, exportName, definition, partial, isWindow, window, name };
}

const textsOf = ({ filters, ...others }) => ({ ...others, filters: filters && JSON.stringify(filters) });

class ViewListener extends Listener {
  constructor(run, options, random) {
    super(run, random);
    Object.assign(this, wishOf(options), { options });
    this.applier = new Applier({ resume: options.resume, forget: this.partial });
  }

  isOpen() {
    return this.opened;
  }

  asking() {
    this.opened = false;
  }

  path() {
    return livePath(textsOf(this.options));
  }

  subscribe(socket, more = {}) {
    /* What a window showed in the moment before a crash is told without a cursor as far as the log is kept. */
    const { applier, run } = this;
    if (more.partition === undefined && this.isWindow && applier.seq === null && !run.retained) applier.drop();
    const message = { type: 'subscribe', view: this.view, ...this.window, ...this.applier.parameters(), ...more };
    if (this.key !== undefined) message.key = this.key;
    if (this.snapshotLimit !== undefined) message.snapshotLimit = this.snapshotLimit;
    if (this.withSnapshot === false) message.withSnapshot = false;
    this.note(`>> ${JSON.stringify(message)}`);
    this.asking();
    socket.send(JSON.stringify(message));
  }

  /** Subscribe again on the same connection: after unsubscribe, or in place of the old one. */
  renew(socket) {
    const r = this.random;
    this.renewing = true;
    if (r.chance(0.3)) socket.send('{"type":"ping"}');
    if (r.chance(0.5)) socket.send(JSON.stringify({ type: 'unsubscribe', view: this.view, key: this.key }));
    this.subscribe(socket, { partition: String(++this.renewed) });
  }

  take({ text, json: frame }) {
    const { applier } = this;
    if (frame.op === 'subscribed') {
      assert.equal(frame.view, this.view);
      this.opened = true;
    } else {
      assert.ok(this.opened, `a frame before subscribed: ${text.slice(0, 200)}`);
      assert.equal(frame.entity, this.view);
      if (this.key !== undefined && frame.op !== 'snapshot') assert.equal(frame.key, this.key);
      /* Whole entities: no patch for a key that the client does not hold, but for the creation in
       * an append view. */
      if (frame.op === 'patch') assert.ok(!this.isWindow, `a patch in a window: ${text.slice(0, 300)}`);
      if (frame.op === 'patch' && frame.mode !== 'append') {
        assert.ok(applier.rows.has(frame.key), `a patch for a key that was never sent whole: ${text.slice(0, 300)}`);
      }
    }
    applier.apply(frame);
  }

  /** What differs from the expected rows, or null. */
  difference(expected) {
    return differenceOf(this.applier.rows, ofKey(expected, this.key), this.partial);
  }
}

const ofKey = (rows, wanted) => (wanted === undefined ? rows : new Map([...rows].filter(([key]) => key === wanted)));

class StreamViewListener extends streaming(ViewListener) {}

class NamedViewMember extends NamedMember {
  constructor(options) {
    const wish = wishOf(options);
    const isTape = wish.definition.mode === 'append' || options.view.endsWith('/append');
    const { snapshotLimit, withSnapshot, ...query } = options;
    if (!isTape && snapshotLimit !== undefined) query.snapshotLimit = snapshotLimit;
    const projected = wish.definition.fields !== undefined;
    super(options.view, members(textsOf(query)), { resume: options.resume, quiet: withSnapshot === false, ...wish, isTape, projected });
    this.isTape = isTape;
  }

  difference(expected) {
    return super.difference(ofKey(expected, this.key));
  }

  /** What differs from the log: the events that it must have had since its first one. `log` is what SQL says. */
  missed(log) {
    const { events } = this.store;
    const { fields, keys } = this.definition;
    const { filters } = this.window;
    const first = this.store.fromStart ? 1 : events[0]?.offset ?? Infinity;
    const wants = ({ change, key, data }) => change >= first && (this.key ?? key) === key && (!keys || keys.includes(key)) &&
      (!filters || (data !== null && passes(parse(JSON.stringify(filters)), project(parse(data), fields))));
    const told = new Map(events.map((event) => [event.offset, event]));
    const wanted = log.filter(wants);
    for (const { change, key, op, seq } of wanted) {
      const { key: has, op: as, seq: at } = told.get(change) ?? {};
      const fits = has === key && at === seq && OPERATIONS[op].includes(as);
      if (!fits) return `  ${op} ${key} at ${change}, ${seq}: was told as ${as} ${has}, ${at}`;
    }
    const kept = new Set(wanted.map(({ change }) => change));
    const more = events.find(({ offset }) => offset >= (log[0]?.change ?? Infinity) && !kept.has(offset));
    return more ? `  ${JSON.stringify(more)}: is not in the log` : null;
  }
}

/* Of the log, and how a tape tells it. */
const OPERATIONS = { create: ['patch', 'upsert'], patch: ['patch'], upsert: ['upsert'], delete: ['delete'], evict: ['delete'] };

function listeners(run, random) {
  const all = [
    { view: 'A/list', resume: true }, { view: 'A/list', resume: false }, { view: 'A/append', resume: true },
    { view: 'A/append', resume: false }, { view: 'B/list', resume: true }, { view: 'B/append', resume: true },
    { view: 'A/list', key: 'a', resume: true }, { view: 'A/append', key: 'b', resume: true }, { view: 'A/state', key: 'c', resume: true },
    { view: 'A/state', key: 'a', resume: false }, { view: 'A/slim', resume: true }, { view: 'A/tape', resume: true },
    { view: 'A/tape', key: 'b', resume: true }, { view: 'A/few', resume: true }, { view: 'A/few', resume: false },
    { view: 'A/one', key: 'a', resume: true }, { view: 'A/slim', resume: false, key: 'a' }, { view: 'L/list', resume: true },
    { view: 'L/append', resume: true }, { view: 'L/list', resume: false }, { view: 'A/list', snapshotLimit: 2, resume: false },
    { view: 'A/append', snapshotLimit: 1, resume: false }, { view: 'A/list', withSnapshot: false, resume: false },
    { view: 'L/list', withSnapshot: false, resume: false }, { view: 'B/append', withSnapshot: false, resume: false },
    { view: 'A/list', take: 2, resume: true }, { view: 'A/list', take: 2, skip: 1, resume: true }, { view: 'A/slim', skip: 2, resume: true },
    { view: 'A/list', filters: { wide: 5 }, resume: true }, { view: 'A/few', take: 1, resume: true }, { view: 'B/list', filters: { 'o.l': [] }, take: 2, resume: true },
    { view: 'L/list', take: 1, resume: true }, { view: 'A/largest', resume: true }, { view: 'A/largest', take: 2, skip: 1, resume: true },
    { view: 'A/largest', filters: { wide: 5 }, take: 1, resume: true }, { view: 'A/wide', resume: true }, { view: 'A/largest', key: 'a', resume: true },
    { view: 'A/list', key: 'é/:*', resume: true }, { view: 'A/append', key: '0102', resume: true }, { view: 'A/slim', snapshotLimit: 3, resume: false },
  ];
  const count = random.between(8, 16);
  const chosen = [];
  while (chosen.length < count) chosen.push(...all.splice(random.below(all.length), 1));
  const made = [];
  const named = [];
  for (const [i, options] of chosen.entries()) {
    const own = random.fork(i);
    const protocol = own.pick(['websocket', 'named', 'named', livePath(textsOf(options)) ? 'stream' : 'websocket']);
    if (protocol === 'named') named.push(new NamedViewMember(options));
    else made.push(new (protocol === 'stream' ? StreamViewListener : ViewListener)(run, options, own));
  }
  const connections = gather(named, random, (members_, i) => new NamedListener(run, members_, random.fork(100 + i)));
  return wanted([...made, ...connections]);
}

/* The rows of a view of an export, in its order. */
function rowsOf(entities, exportName, { keys, pipeline: steps, source }) {
  const [name, sub] = (source ?? exportName).split('/');
  const rows = sub ? rowsOf(entities, name, VIEWS[name][sub]) : list(entities).filter(({ key }) => !keys || keys.includes(key));
  return steps ? pipeline(rows, parse(JSON.stringify(steps)), 0) : rows;
}

/* ---- one seed ---- */

class Run {
  constructor(seed, folder) {
    this.seed = seed;
    this.random = new Random(seed);
    this.folder = folder;
    this.waiting = [];
  }

  turn() {
    return new Promise((done) => setTimeout(done, 5));
  }

  config() {
    const r = this.random;
    this.maxArray = r.pick([3, 5, 100]);
    this.maxEntities = r.between(2, 4);
    this.retained = r.chance(0.6);
    return {
      max_array_length: this.maxArray,
      retention_rows: this.retained ? 1_000_000 : r.between(3, 60),
      ring_bytes: r.pick([0, 4096, 65536, 67108864]),
      channel_bytes: r.pick([65536, 67108864]),
      snapshot_cache_bytes: r.pick([0, 67108864]),
      entity_cache_bytes: r.pick([0, 20000, 67108864]),
      commit_mutations: r.pick([1, 16, 8192]),
      checkpoint_pages: r.pick([1, 16384]),
      readers: r.pick([1, 2]),
      synchronous: r.pick(['full', 'normal']),
      exports: { A: { views: VIEWS.A }, B: {}, L: { max_entities: this.maxEntities } },
    };
  }

  async play() {
    const config = this.config();
    this.server = await Server.start({ db: join(this.folder, `${this.seed}.db`), config });
    const model = new Model({ maxArray: this.maxArray, exports: { A: {}, B: {}, L: {} } });
    this.model = model;
    const feed = new Feed(this.random.fork(1), model);
    const producer = new Producer('p', { window: this.random.pick([1, 4, 32]) });
    this.producer = producer;
    await producer.connect(this.server);
    this.listeners = listeners(this, this.random.fork(2));
    const pages = this.random.fork(3);
    this.pagers = ['A/list', 'A/append', 'A/slim', 'A/tape', 'A/few', 'B/list', 'B/append', 'L/list', 'L/append'].filter(() => pages.chance(0.4)).map((view) => {
      const own = pages.fork(1), isTape = view.endsWith('/append') || view.endsWith('/tape');
      return new (!isTape && own.chance(0.6) ? NamedPager : Pager)(this, view, own);
    });
    const lives = [...this.listeners, ...this.pagers].map((l) => l.live());
    try {
      const phases = this.random.between(2, 4);
      for (let phase = 0; phase < phases; phase++) {
        await this.feedFor(feed, producer, this.random.between(20, 90));
        await this.quiet(phase === phases - 1);
      }
    } finally {
      for (const listener of this.listeners) listener.stop();
      for (const pager of this.pagers) pager.stopped = true;
      producer.disconnect();
      await Promise.all(lives);
    }
    await this.server.terminate();
    await check(this.server.db);
  }

  async feedFor(feed, producer, batches) {
    const r = this.random;
    for (let i = 0; i < batches; i++) {
      producer.add(...feed.batch());
      if (r.chance(0.3)) await this.turn();
      if (r.chance(0.05)) await producer.drain(r.below(3));
      if (r.chance(0.03)) {
        producer.disconnect();
        await producer.connect(this.server);
      }
      if (r.chance(0.025)) await this.restart(producer);
    }
    await producer.drain();
  }

  async restart(producer) {
    this.down = true;
    const kind = this.random.pick(['kill9', 'kill9', 'terminate']);
    for (const listener of this.listeners) listener.note(`== ${kind}`);
    await this.server[kind]();
    producer.disconnect();
    await this.server.restart();
    this.down = false;
    await producer.connect(this.server);
  }

  /** Wait until everybody agrees; fail with what differs. */
  async quiet(last) {
    this.logs = {}; /* export → what SQL says of its log, now that nothing is fed */
    const expected = new Map(); /* of a view, and of a listener that sees a window of one */
    let evicting;
    const members_ = this.listeners.flatMap((l) => l.members);
    for (const view of new Set([...members_, ...this.pagers].map((l) => l.view).concat('A/list', 'B/list', 'L/list'))) {
      const [name, sub] = view.split('/');
      const rows = await sqlState(this.server, view);
      const definition = VIEWS[name][sub] ?? {};
      const parsed = new Map([...rows].map(([key, row]) => [key, parse(row.data)]));
      if (name === 'L') {
        /* Which entities are evicted depends on what shared a transaction: only the number is given. */
        assert.ok(rows.size <= this.maxEntities, `${view} holds ${rows.size} of at most ${this.maxEntities}`);
      } else {
        const want = definition.pipeline
          ? new Map(rowsOf(this.model.rows(name), name, definition).map(({ key, entity }) => [key, canon(entity)]))
          : expectRows(this.model, name, definition);
        const differs = [];
        for (const key of new Set([...want.keys(), ...parsed.keys()])) {
          const has = parsed.has(key) ? canon(parsed.get(key)) : 'nothing';
          if (has !== (want.get(key) ?? 'nothing')) differs.push(`  ${key}: SQL   ${has}\n  ${' '.repeat(key.length)}  model ${want.get(key) ?? 'nothing'}`);
        }
        if (differs.length) throw new Error(`SQL and the model differ in ${view}:\n${differs.join('\n')}`);
      }
      expected.set(view, new Map([...parsed].map(([key, data]) => [key, canonDouble(data)])));
      if (view === 'L/list') evicting = parsed;
    }
    for (const listener of members_.filter((l) => l.isWindow)) {
      const { exportName, definition, window, key } = listener;
      const rows = rowsOf(exportName === 'L' ? evicting : this.model.rows(exportName), exportName, definition);
      const shown = windowOf(rows, { ...window, key, filters: window.filters && parse(JSON.stringify(window.filters)) });
      expected.set(listener, new Map(shown.map(({ key: k, entity }) => [k, canonDouble(project(entity, definition.fields))])));
    }
    for (const listener of this.listeners) listener.calm = true;
    for (let round = 0; round < 2; round++) {
      for (const listener of members_) await this.agrees(listener, expected.get(listener) ?? expected.get(listener.view));
      /* Then once more, so that a frame too many would have come. */
      if (round === 0) await new Promise((done) => setTimeout(done, 15));
    }
    for (const pager of this.pagers) await pager.agrees(expected.get(pager.view), 2 * this.model.log.length + 20);
    if (!last) for (const one of [...this.listeners, ...this.pagers]) one.calm = false;
  }

  /* A partial client's rows are right at any moment that it is caught up; it gets its time too. */
  async agrees(listener, expected) {
    const { isTape, window } = listener;
    const difference = () => (isTape && (window.filters || !expected) ? null : listener.difference(expected));
    await listener.agreed(difference, () => listener.opened, `stele-convergence-${this.seed}.log`);
    if (isTape) await this.tapeAgrees(listener);
  }

  /** A tape has each event of the log, in its order, once. */
  async tapeAgrees(member) {
    const name = member.exportName;
    this.logs[name] ??= await sql(this.server, `SELECT change, key, op, seq, data FROM "${name}/append" ORDER BY change`);
    const log = this.logs[name];
    await member.agreed(() => member.missed(log), () => true, `stele-convergence-${this.seed}.log`);
  }
}

test(`clients converge for ${OPTIONS.seeds} seeds from ${OPTIONS.first} on`, (t) =>
  playSeeds(t, OPTIONS, 'convergence.test.js', (seed, folder) => new Run(seed, folder)));

// Several subscriptions of one view on one connection, by force: all of it, a part, windows, filters,
// and keys of it, which come, are replaced and end while rows change, beside cuts and kill -9. At each
// quiet point a store as the published clients have it (one for each view, whoever the frames came for)
// holds what the subscriptions show together (lib/shared_store.js), and each change comes once. After a cut
// some clients resume what they know a cursor of (lib/cursors.js). Beside them the connection has subscriptions of
// version 2, which know nothing of those of version 1, and others follow the view on connections of their own, by any
// protocol; each of these shows what it would show alone.
//
// STELE_SEEDS seeds (default 12) from STELE_SEED (default 1) on, STELE_JOBS (2) at a time. A failure
// names its seed; STELE_SEED=n STELE_SEEDS=1 runs that one alone.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { Applier } from './lib/applier.js';
import { Client } from './lib/client.js';
import { Cursors } from './lib/cursors.js';
import { post } from './lib/feed.js';
import { openFresh } from './lib/fresh.js';
import { NamedModel } from './lib/named.js';
import { Random } from './lib/random.js';
import { playSeeds, seedsOf } from './lib/seeds.js';
import { Server, patience } from './lib/server.js';
import { DEFINITIONS, FENCE, add, del, isPartial, settle, shownBy, wantedOf } from './lib/shared_store.js';

const OPTIONS = seedsOf(12);

const KEYS = ['a', 'b', 'c "quoted" \u00fc', 'd\\', 'e', 'f'];
const MANY = Array.from({ length: 40 }, (_, i) => `m${i}`);

/** What is asked of a view as a whole, and of a key of it. */
const wholes = (view, r) => {
  const filters = { g: r.below(3) };
  const plain = view === 'T/list' || view === 'T/append';
  const partial = plain ? [{ snapshotLimit: r.between(1, 3) }, { withSnapshot: false }] : [];
  if (view === 'T/append') return [{}, {}, { filters }, { filters }, ...partial];
  return [{}, {}, { take: r.between(1, 4), skip: r.below(3) }, { take: r.between(1, 4) }, { filters }, { filters, take: r.between(1, 3) }, ...partial];
};
const ofKey = (view, r) => (view === 'T/append' ? [{}, { filters: { g: r.below(3) } }] : [{}, { filters: { g: r.below(3) } }, { filters: { g: r.below(3) } }, { take: 1 }]);

class Run {
  cuts = 0;
  resumed = 0;

  constructor(seed, folder) {
    this.seed = seed;
    this.listeners = [this];
    this.random = new Random(seed);
    this.folder = folder;
    this.rows = new Map(); /* the newest change last */
    this.keyed = new Map(); /* key → parameters */
    this.orphans = new Set(); /* keys that the client may hold though nobody shows them */
    this.elements = 0;
    this.steps = 0;
    this.applier = new Applier();
    this.cursors = new Cursors();
    this.log = [];
    this.recent = []; /* frames since the last step began */
    this.asked = new Map(); /* of version 2: id → parameters */
    this.others = []; /* {parameters, rows(), close()} */
    this.names = 0;
    this.beside = 0;
  }

  /* ---- beside it ---- */

  async connect() {
    this.named = new NamedModel({ apart: true });
    this.client = await Client.open(this.server, { windows: true, named: this.named });
    const asked = [...this.asked.values()];
    this.asked.clear();
    for (const parameters of asked) this.ask(parameters);
  }

  ask(parameters) {
    const id = `n${this.names++}`;
    const message = { type: 'subscribe', protocolVersion: 2, subscriptionId: id, query: { view: this.view, ...parameters } };
    this.asked.set(id, parameters);
    this.named.ask(message);
    this.log.push(`>> ${JSON.stringify(message)}`);
    this.client.send(message);
  }

  /* Of an append view version 2 tells events, which a filter leaves some of. */
  drawBeside() {
    const all = [...wholes(this.view, this.random), ...ofKey(this.view, this.random).map((more) => ({ key: this.random.pick(KEYS), ...more }))];
    return this.random.pick(all.filter((one) => !isPartial(this.view, one) && !(this.view === 'T/append' && one.filters)));
  }

  async changeBeside() {
    const r = this.random;
    if (r.chance(0.3)) this.ask(this.drawBeside());
    const [id] = r.chance(0.2) ? this.asked.keys() : [];
    if (id) {
      this.asked.delete(id);
      this.client.send({ type: 'unsubscribe', protocolVersion: 2, subscriptionId: id });
    }
    if (r.chance(0.2)) {
      const parameters = this.drawBeside();
      const { filters, ...more } = parameters;
      const spec = { view: this.view, ...more, filters: filters && JSON.stringify(filters) };
      this.others.push({ parameters, ...(await openFresh(r, this.server, spec)) });
    }
    if (r.chance(0.1)) this.others.shift()?.close();
  }

  /** What those beside it show and should not, or the other way round. */
  differencesBeside() {
    const found = [];
    const compare = (what, parameters, rows) => {
      const want = new Map(shownBy(this.view, parameters, this.rows).map((key) => [key, this.rows.get(key)]));
      const has = new Map(rows.map(([key, { _seq, _version, ...row }]) => [key, row]));
      try {
        assert.deepEqual(has, want);
      } catch (error) {
        found.push(`${what} ${JSON.stringify(parameters)}: ${error.message}`);
      }
    };
    for (const [id, parameters] of this.asked) {
      const store = this.named.subscriptions.get(id);
      if (store.errors.length) throw new Error(JSON.stringify(store.errors));
      if (store.told) compare(id, parameters, [...store.rows]);
      else found.push(`${id} was not told all`);
    }
    for (const { parameters, rows } of this.others) compare('another connection', parameters, rows());
    return found;
  }

  async checkBeside() {
    const until = Date.now() + patience(20_000);
    for (let found; (found = this.differencesBeside()).length; await new Promise((done) => setTimeout(done, 5))) {
      if (this.client.failure) throw this.client.failure;
      if (Date.now() > until) throw new Error(`${this.view}: ${found.join('\n')}\nthe last frames:\n${this.log.slice(-30).join('\n')}`);
    }
    this.beside += this.asked.size + this.others.length;
  }

  mutation(key = this.random.pick(KEYS)) {
    const r = this.random;
    const old = this.rows.get(key);
    this.rows.delete(key);
    if (old && r.chance(0.15)) return del(key);
    const more = {};
    if (r.chance(0.4)) more.g = r.below(3);
    if (r.chance(0.3)) more.n = r.below(6);
    const n = this.elements++;
    this.rows.set(key, { ...old, ...more, list: [...(old?.list ?? []), n].slice(-100) });
    return add(key, n, more);
  }

  async mutate() {
    for (let i = this.random.between(1, 6); i > 0; i--) {
      await post(this.server, Array.from({ length: this.random.between(1, 4) }, () => this.mutation()));
    }
  }

  subscriptions() {
    return [...(this.whole ? [this.whole] : []), ...[...this.keyed].map(([key, more]) => ({ key, ...more }))];
  }

  /** What the client has and should not, or should have and has not. */
  differences() {
    const wanted = wantedOf(this.view, this.subscriptions(), this.rows);
    const found = [];
    for (const key of new Set([...KEYS, ...this.applier.rows.keys()])) {
      const is = this.applier.rows.get(key);
      const want = wanted(key);
      if (want !== true && (!is || this.orphans.has(key))) continue;
      const should = want === false ? undefined : this.rows.get(key);
      const { _seq, ...row } = is ?? {};
      try {
        assert.deepEqual(is && row, should);
      } catch {
        found.push(`${key}: has ${JSON.stringify(is)}, should have ${JSON.stringify(should)}`);
      }
    }
    return found;
  }

  take(frame) {
    this.log.push(JSON.stringify(frame).slice(0, 300));
    this.recent.push(frame);
    if (frame.type === 'error') {
      if (frame.view !== FENCE) throw new Error(JSON.stringify(frame));
      return;
    }
    this.cursors.note(frame, this.whole, this.keyed);
    /* It does not say which of several was refused, so the rows stay, as in the published clients. */
    if (frame.op === 'subscribed' && frame.resumed === false) {
      if (frame.epoch !== undefined) this.applier.epoch = frame.epoch;
      return;
    }
    this.applier.apply(frame);
    if (frame.op !== 'subscribed' || !frame.resumed) return;
    this.resumed++;
    if (this.strict) this.orphans = this.strict;
  }

  async check() {
    const what = () => `${JSON.stringify(this.view)} ${JSON.stringify(this.subscriptions())}\n${this.differences().join('\n')}\nthe last frames:\n${this.log.slice(-30).join('\n')}`;
    try {
      while (this.differences().length) this.take(await this.client.next('what all show'));
      for (const frame of await settle(this.client)) this.take(frame);
      while (this.differences().length) this.take(await this.client.next('what all show, again'));
    } catch (error) {
      throw new Error(`${error.message}\n${what()}`);
    }
    await this.checkBeside();
    const wanted = wantedOf(this.view, this.subscriptions(), this.rows);
    for (const key of [...this.orphans]) if (wanted(key) === true || !this.applier.rows.has(key)) this.orphans.delete(key);
  }

  /** One change, now that nothing is on its way: the client is told of it once. */
  async step() {
    const before = wantedOf(this.view, this.subscriptions(), this.rows);
    const key = this.random.pick(KEYS);
    const shown = before(key);
    const begin = this.log.length;
    this.recent = [];
    const mutation = this.mutation(key);
    await post(this.server, [mutation]);
    await this.check();
    const after = wantedOf(this.view, this.subscriptions(), this.rows)(key);
    const told = this.recent.filter((frame) => frame.type !== 'error' && frame.key === key);
    /* Of a list that is sent in part something older may still be on its way. */
    const news = told.filter(({ op, data }) => (op === 'delete' ? shown === true : data.list.at(-1) === mutation.patch?.list[0]));
    const complain = (why) => assert.fail(`${why} after ${JSON.stringify(mutation)}: ${JSON.stringify(this.view)} ${JSON.stringify(this.subscriptions())}\n${this.log.slice(begin - 12).join('\n')}`);
    if (news.length > 1) complain('a change came twice');
    if (news.length === 0 && (shown === true || after === true)) complain('a change did not come');
    this.steps++;
  }

  subscribe(parameters) {
    this.log.push(`>> ${JSON.stringify(parameters)}`);
    this.client.subscribe(this.view, { ...parameters, partition: String(this.elements++) });
  }

  unsubscribe(key) {
    this.strict = undefined;
    this.log.push(`>> unsubscribe ${key}`);
    this.client.send({ type: 'unsubscribe', view: this.view, key });
    this.orphan();
  }

  /** What somebody showed until now may stay. */
  orphan() {
    for (const key of [...KEYS, ...this.applier.rows.keys()]) this.orphans.add(key);
  }

  /** One that shows the view as a whole begins, and takes away what nobody shows any more. */
  chooseWhole() {
    this.whole = this.random.pick(wholes(this.view, this.random));
    this.strict = undefined;
    this.cursors.begin(undefined);
    this.subscribe(this.whole);
    if (isPartial(this.view, this.whole)) this.orphan();
    else this.orphans = new Set(this.forgotten);
  }

  toggle() {
    const r = this.random;
    const key = r.pick(KEYS);
    const old = this.keyed.get(key);
    if (old && r.chance(0.6)) {
      this.keyed.delete(key);
      this.unsubscribe(key);
      return;
    }
    if (old) this.orphan(); /* what the old one showed goes, but not what others did */
    this.strict = undefined;
    this.cursors.begin(key);
    this.keyed.set(key, r.pick(ofKey(this.view, r)));
    this.subscribe({ key, ...this.keyed.get(key) });
  }

  /** Many that end: more than a connection remembers one by one. */
  browse() {
    for (const key of this.random.chance(0.5) ? KEYS : MANY) {
      if (this.keyed.has(key)) continue;
      this.subscribe({ key, ...this.random.pick(ofKey(this.view, this.random)) });
      this.unsubscribe(key);
    }
  }

  /** A connection that is lost, perhaps with the server. The client keeps its rows, or not. */
  async cut(kill) {
    this.log.push(kill ? '== kill' : '== cut');
    this.client.destroy();
    this.cuts++;
    if (kill) {
      for (const { close } of this.others.splice(0)) close();
      await this.server.kill9();
      await this.server.restart();
    }
    const orphans = new Set([...this.orphans, ...this.forgotten]);
    this.orphan();
    if (this.random.chance(0.3)) {
      this.applier.drop();
      this.orphans.clear();
      this.cursors.forget();
    }
    this.forgotten = new Set(this.orphans);
    await this.connect();
    const resumes = this.random.chance(0.6);
    const all = this.subscriptions();
    if (this.random.chance(0.5)) all.reverse();
    this.strict = undefined;
    for (const one of all) {
      const after = resumes && !isPartial(this.view, one) ? this.cursors.of(one.key, this.keyed) : undefined;
      if (after === undefined) this.cursors.begin(one.key);
      /* One that is alone, and goes on from its cursor, is told all that is gone since. */
      else if (all.length === 1 && one.key === undefined) this.strict = orphans;
      this.subscribe({ ...one, ...(after === undefined ? {} : { after, epoch: this.applier.epoch }) });
    }
  }

  async play() {
    const r = this.random;
    this.view = r.pick(['T/list', 'T/list', 'T/append', 'T/by', 'T/top']);
    this.forgotten = new Set();
    const set = { ring_bytes: r.pick([0, 4096, 64 << 20]), channel_bytes: r.pick([65536, 64 << 20]), readers: r.pick([1, 2]) };
    this.server = await Server.start({ db: join(this.folder, `${this.seed}.db`), config: { exports: DEFINITIONS }, set, keeps: true });
    await post(this.server, [...KEYS, ...MANY].map((key, i) => add(key, -1, { n: MANY.includes(key) ? 50 + i : 3 })));
    for (const key of MANY) await post(this.server, [del(key)]);
    for (const key of KEYS) this.rows.set(key, { n: 3, list: [-1] });
    await this.connect();
    for (let step = 0; step < 25; step++) {
      const writing = this.mutate();
      if (!this.whole || r.chance(0.25)) this.chooseWhole();
      else if (r.chance(0.1)) {
        this.whole = undefined;
        this.unsubscribe();
      }
      for (let i = r.below(3); i > 0; i--) this.toggle();
      if (r.chance(0.05)) this.browse();
      await this.changeBeside();
      await writing;
      await this.mutate();
      if (r.chance(0.06)) await this.cut(r.chance(0.4));
      if (r.chance(0.6)) {
        await this.check();
        for (let i = r.below(4); i > 0; i--) await this.step();
      }
    }
    await this.check();
    for (const { close } of this.others) close();
    this.client.destroy();
  }
}

test('what the client holds is what its subscriptions show, by force', async (t) => {
  await playSeeds(t, OPTIONS, 'shared_store.test.js', (seed, folder) => new Run(seed, folder), ['steps', 'resumed', 'beside']);
});

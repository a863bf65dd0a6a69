// Two subscriptions of one view on one connection, held against a store as the published clients
// have it: one for each view, whoever the frames came for.
//
// STELE_SEEDS seeds (default 12) from STELE_SEED (default 1) on, STELE_JOBS (2) at a time. A failure
// names its seed; STELE_SEED=n STELE_SEEDS=1 runs that one alone.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { Applier } from './lib/applier.js';
import { Client, clientFor } from './lib/client.js';
import { post } from './lib/feed.js';
import { Random } from './lib/random.js';
import { playSeeds, seedsOf } from './lib/seeds.js';
import { Server } from './lib/server.js';

const OPTIONS = seedsOf(12);
const FENCE = 'T/\u0001fence';

const add = (key, n, more = {}) => ({ export: 'T', key, patch: { list: [n], ...more }, append: ['list'] });
const del = (key) => ({ export: 'T', key, op: 'delete' });

/** All frames until nothing more is on its way. */
async function settle(client) {
  const frames = [];
  for (let i = 0; i < 3; i++) {
    client.subscribe(FENCE);
    frames.push(...(await client.until((frame) => frame.type === 'error', 'the fence')).slice(0, -1));
  }
  return frames;
}

/* ---- one by one ---- */

const unkeyed = [{}, { take: 5 }, { take: 1 }, { filters: { g: 1 } }, { snapshotLimit: 1 }, { withSnapshot: false }];

for (const name of ['list', 'append']) {
  for (const parameters of unkeyed.filter((more) => name === 'list' || !more.take)) {
    for (const order of ['all first', 'key first', 'at once']) {
      test(`a change comes once: T/${name} ${JSON.stringify(parameters)} and a key, ${order}`, async (t) => {
        const server = await Server.forTest(t);
        const client = await clientFor(t, server);
        const applier = new Applier();
        const view = `T/${name}`;
        await post(server, [add('k1', 0, { g: 1 }), add('k2', 0, { g: 1 })]);
        const both = [parameters, { key: 'k1' }];
        if (order === 'key first') both.reverse();
        for (const one of both) {
          client.subscribe(view, one);
          if (order !== 'at once') for (const frame of await settle(client)) applier.apply(frame);
        }
        /* What is pulled for a window comes when it was looked at: wait for both. */
        while (applier.rows.get('k1') === undefined) applier.apply(await client.next('the row'));
        for (const frame of await settle(client)) applier.apply(frame);
        for (let n = 1; n < 4; n++) {
          await post(server, [add('k1', n)]);
          const of = [];
          while (applier.rows.get('k1').list.length <= n) {
            const frame = await client.next(`element ${n}`);
            of.push(frame);
            applier.apply(frame);
          }
          await post(server, [add('k2', n)]); /* what follows of k1 comes before this, or not at all */
          await post(server, [{ export: 'Other', key: 'o', patch: {} }]);
          for (const frame of await settle(client)) {
            of.push(frame);
            applier.apply(frame);
          }
          if (order !== 'at once') assert.equal(of.filter(({ key }) => key === 'k1').length, 1, JSON.stringify(of));
          assert.deepEqual(applier.rows.get('k1').list, [...Array(n + 1).keys()]);
        }
      });
    }
  }
}

for (const [what, parameters, leave] of [
  ['a filter that it no longer passes', { filters: { g: 1 } }, [add('k1', 1, { g: 2 })]],
  ['a window that it left', { take: 1 }, [add('k2', 1, { g: 2 })]],
]) {
  test(`a row that a subscription to its key shows stays: ${what}`, async (t) => {
    const server = await Server.forTest(t);
    const client = await clientFor(t, server);
    const applier = new Applier();
    await post(server, [add('k1', 0, { g: 1 })]);
    client.subscribe('T/list', parameters);
    client.subscribe('T/list', { key: 'k1' });
    client.subscribe('T/list', { key: 'k9' });
    for (let complete = 0; complete < 3; ) {
      const frame = await client.next('three snapshots');
      applier.apply(frame);
      complete += frame.complete === true;
    }
    await post(server, leave);
    await post(server, [add('k9', 0, { g: 1 })]);
    while (!applier.rows.has('k9')) applier.apply(await client.next('k9'));
    await post(server, [add('k1', 7)]);
    const seen = await client.until(({ key, data }) => key === 'k1' && data?.list?.at(-1) === 7, 'the last element');
    for (const frame of [...seen, ...(await settle(client))]) applier.apply(frame);
    const frames = client.messages.map(({ json }) => json);
    assert.equal(frames.find(({ op, key }) => op === 'delete' && key === 'k1'), undefined);
    const elements = parameters.filters ? [0, 1, 7] : [0, 7];
    assert.deepEqual(applier.rows.get('k1').list, elements);
    await post(server, [del('k1')]);
    let deletes = 0;
    while (applier.rows.has('k1')) {
      const frame = await client.next('the delete');
      deletes += frame.op === 'delete' && frame.key === 'k1';
      applier.apply(frame);
    }
    for (const frame of await settle(client)) deletes += frame.op === 'delete' && frame.key === 'k1';
    assert.equal(deletes, 1);
  });
}

for (const order of ['all first', 'key first']) {
  test(`a filter of a key takes no row that a list shows: ${order}`, async (t) => {
    const server = await Server.forTest(t);
    const client = await clientFor(t, server);
    const both = [{}, { key: 'k1', filters: { g: 1 } }];
    if (order === 'key first') both.reverse();
    await post(server, [add('k1', 0, { g: 1 })]);
    for (const one of both) await client.open('T/list', one);
    await client.open('T/list', { key: 'k9', filters: { g: 1 } });
    const frames = [];
    const goesOn = async () => {
      await post(server, [add('k9', 0, { g: 1 })]); /* told by the list and by its filter */
      const told = { k9: 0 };
      frames.push(...(await client.until(({ key }) => (told[key] = (told[key] ?? 0) + 1) && told.k9 === 2, 'k9 twice')));
      frames.push(...(await settle(client)));
    };
    await post(server, [add('k1', 1, { g: 2 })]);
    await goesOn();
    assert.equal(frames.filter(({ op }) => op === 'delete').length, 0, JSON.stringify(frames));
    await post(server, [del('k1')]);
    await goesOn();
    assert.deepEqual(frames.filter(({ op }) => op === 'delete').map(({ key }) => key), ['k1']);
    /* Alone again it tells what leaves it. */
    await post(server, [add('k1', 2, { g: 1 })]);
    let told = 0;
    await client.until(({ key }) => key === 'k1' && ++told === 2, 'k1 by both');
    client.send({ type: 'unsubscribe', view: 'T/list' });
    await settle(client);
    await post(server, [add('k1', 3, { g: 2 })]);
    await client.until(({ op, key }) => op === 'delete' && key === 'k1', 'the delete of the filter');
  });
}

/* ---- by force ---- */

const KEYS = ['a', 'b', 'c "quoted" \u00fc', 'd\\', 'e'];

class Run {
  listeners = [];

  constructor(seed, folder) {
    this.seed = seed;
    this.random = new Random(seed);
    this.folder = folder;
    this.rows = new Map(); /* the newest change last */
    this.keyed = new Set();
    this.ignored = new Set(); /* rows that nobody shows any more, and nobody took away */
    this.elements = 0;
    this.applier = new Applier();
  }

  mutation() {
    const r = this.random;
    const key = r.pick(KEYS);
    const old = this.rows.get(key);
    this.rows.delete(key);
    if (old && r.chance(0.15)) return del(key);
    const more = r.chance(0.4) ? { g: r.below(3) } : {};
    const n = this.elements++;
    this.rows.set(key, { ...old, ...more, list: [...(old?.list ?? []), n].slice(-100) });
    return add(key, n, more);
  }

  async mutate() {
    for (let i = this.random.between(1, 6); i > 0; i--) {
      await post(this.server, Array.from({ length: this.random.between(1, 4) }, () => this.mutation()));
    }
  }

  shown() {
    const newest = [...this.rows].reverse();
    const { take, skip = 0, filters } = this.other ?? { take: 0 };
    const rows = newest.filter(([, row]) => !filters || row.g === filters.g).slice(skip, take === undefined ? undefined : skip + take);
    return new Map([...rows, ...newest.filter(([key]) => this.keyed.has(key))]);
  }

  /** What the client has and should not, or should have and has not. */
  differences() {
    const shown = this.shown();
    const found = [];
    for (const key of KEYS) {
      const [is, wanted] = [this.applier.rows.get(key), shown.get(key)];
      if (!wanted && this.ignored.has(key)) continue;
      const { _seq, ...row } = is ?? {};
      try {
        assert.deepEqual(is && row, wanted);
      } catch {
        found.push(`${key}: has ${JSON.stringify(is)}, should have ${JSON.stringify(wanted)}`);
      }
    }
    return found;
  }

  take(frame) {
    this.log.push(JSON.stringify(frame).slice(0, 300));
    if (frame.type !== 'error') this.applier.apply(frame);
    else if (frame.view !== FENCE) throw new Error(JSON.stringify(frame));
  }

  async check() {
    const what = () => `${JSON.stringify(this.view)} ${JSON.stringify(this.other)} and ${JSON.stringify([...this.keyed])}:\n${this.differences().join('\n')}\nthe last frames:\n${this.log.slice(-25).join('\n')}`;
    try {
      while (this.differences().length) this.take(await this.client.next('what both show'));
      for (const frame of await settle(this.client)) this.take(frame);
      while (this.differences().length) this.take(await this.client.next('what both show, again'));
    } catch (error) {
      throw new Error(`${error.message}\n${what()}`);
    }
    for (const key of this.shown().keys()) this.ignored.delete(key);
  }

  subscribe(parameters) {
    this.log.push(`>> ${JSON.stringify(parameters)}`);
    this.client.subscribe(this.view, { ...parameters, partition: String(this.elements++) });
  }

  chooseOther() {
    const r = this.random;
    const filters = { g: r.below(3) };
    const kinds = this.view === 'T/append' ? [{}, { filters }] : [{}, {}, { take: r.between(1, 4), skip: r.below(3) }, { take: r.between(1, 4) }, { filters }];
    /* Of rows that neither shows some stay until then. */
    for (const key of KEYS) if (!this.shown().has(key)) this.ignored.add(key);
    this.other = r.pick(kinds);
    this.subscribe(this.other);
  }

  toggle() {
    const key = this.random.pick(KEYS);
    if (this.keyed.delete(key)) {
      this.log.push(`>> unsubscribe ${key}`);
      this.client.send({ type: 'unsubscribe', view: this.view, key });
      this.ignored.add(key);
    } else {
      this.keyed.add(key);
      this.subscribe({ key });
    }
  }

  async play() {
    const r = this.random;
    this.view = r.pick(['T/list', 'T/list', 'T/append']);
    this.server = await Server.start({ db: join(this.folder, `${this.seed}.db`), set: { ring_bytes: r.pick([0, 4096, 64 << 20]) } });
    this.log = [];
    await post(this.server, KEYS.map((key) => add(key, -1)));
    for (const key of KEYS) this.rows.set(key, { list: [-1] });
    this.client = await Client.open(this.server, { windows: true });
    for (let step = 0; step < 25; step++) {
      const writing = this.mutate();
      if (!this.other || r.chance(0.25)) this.chooseOther();
      for (let i = r.below(3); i > 0; i--) this.toggle();
      await writing;
      await this.mutate();
      if (r.chance(0.6)) await this.check();
    }
    await this.check();
    this.client.destroy();
  }
}

test('what the client holds is what its subscriptions show, by force', async (t) => {
  await playSeeds(t, OPTIONS, 'two_subscriptions.test.js', (seed, folder) => new Run(seed, folder));
});

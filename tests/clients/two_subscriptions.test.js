// Two subscriptions of one view on one connection, held against a store as the published clients
// have it: one for each view, whoever the frames came for.
// shared_store.test.js does the same by force.

import assert from 'node:assert/strict';
import test from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { Applier } from './lib/applier.js';
import { clientFor } from './lib/client.js';
import { post } from './lib/feed.js';
import { Server } from './lib/server.js';
import { DEFINITIONS, ONE_READER, add, del, isPartial, settle, wantedOf } from './lib/shared_store.js';
import { bearer, newKey, tokenOf } from './lib/token.js';

/* ---- one by one ---- */

const unkeyed = [{}, { take: 5 }, { take: 1 }, { filters: { g: 1 } }, { snapshotLimit: 1 }, { withSnapshot: false }];

for (const name of ['list', 'append']) {
  for (const parameters of unkeyed.filter((more) => name === 'list' || !more.take)) {
    for (const order of ['all first', 'key first', 'at once']) {
      test(`a change comes once: T/${name} ${JSON.stringify(parameters)} and a key, ${order}`, async (t) => {
        const server = await Server.forTest(t, { config: ONE_READER, keeps: true });
        const client = await clientFor(t, server);
        const applier = new Applier();
        const view = `T/${name}`;
        await post(server, [add('k1', 0, { g: 1 }), add('k2', 0, { g: 1 })]);
        const both = [parameters, { key: 'k1' }];
        if (order === 'key first') both.reverse();
        for (const one of both) {
          client.subscribe(view, one);
          if (order !== 'at once') for (const frame of await settle(client, server)) applier.apply(frame);
        }
        /* What is pulled for a window comes when it was looked at: wait for both. */
        while (applier.rows.get('k1') === undefined) applier.apply(await client.next('the row'));
        for (const frame of await settle(client, server)) applier.apply(frame);
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
          for (const frame of await settle(client, server)) {
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

/* ---- a key that does not show its row at all times ---- */

const CONFIG = { ...ONE_READER, exports: DEFINITIONS };
const wholes = { 'T/list': [{}, { take: 5 }, { take: 1 }, { take: 1, skip: 1 }, { filters: { g: 1 } }, { filters: { g: 1 }, take: 2 }, { snapshotLimit: 1 }, { withSnapshot: false }], 'T/append': [{}, { filters: { g: 1 } }], 'T/by': [{}, { take: 1 }, { filters: { g: 1 } }], 'T/top': [{}, { take: 1, skip: 1 }, { filters: { g: 2 } }] };
const ofKey = { 'T/list': [{ filters: { g: 1 } }, { filters: { g: 2 } }, { take: 1 }, { take: 1, skip: 1 }], 'T/append': [{ filters: { g: 1 } }, { filters: { g: 2 } }], 'T/by': [{}, { filters: { g: 2 } }], 'T/top': [{}, { filters: { g: 1 } }] };

const STEPS = [add('k1', 1), add('k1', 2, { g: 2 }), add('k2', 3, { n: 0 }), add('k1', 4, { g: 1, n: 0 }), add('k3', 5, { n: 0 }), add('k4', 6, { n: 0 }), add('k1', 7), add('k1', 8, { g: 2, n: 9 }), del('k1'), add('k1', 9, { g: 1, n: 1 }), add('k1', 10, { g: 3 }), add('k1', 11, { n: 0 }), del('k1')];
const NAMES = ['k1', 'k2', 'k3', 'k4'];

/** Two subscriptions of a view, the rows that the server has, and what the client makes of its frames. */
class Pair {
  rows = new Map();
  applier = new Applier();
  changed = new Set(); /* keys that changed since both were there */

  constructor(server, client, view, subscriptions) {
    Object.assign(this, { server, client, view, subscriptions });
  }

  /** Of a list that is sent in part: what changed since. */
  wanted(key) {
    const wanted = wantedOf(this.view, this.subscriptions, this.rows)(key);
    return wanted ?? (wanted === undefined && this.changed.has(key));
  }

  differs() {
    return NAMES.some((key) => {
      const { _seq, ...is } = this.applier.rows.get(key) ?? {};
      if (!this.wanted(key)) return _seq !== undefined && wantedOf(this.view, this.subscriptions, this.rows)(key) === false;
      return !isDeepStrictEqual(is, this.rows.get(key));
    });
  }

  async read(what) {
    const frame = await this.client.next(what);
    this.applier.apply(frame);
    return frame;
  }

  async agree(what) {
    const frames = [];
    for (let i = 0; i < 2; i++) {
      while (this.differs()) frames.push(await this.read(what));
      for (const frame of await settle(this.client, this.server)) {
        this.applier.apply(frame);
        frames.push(frame);
      }
    }
    return frames;
  }

  async post(mutation) {
    await post(this.server, [mutation]);
    const { key, op, patch } = mutation;
    const old = this.rows.get(key);
    this.rows.delete(key);
    if (op !== 'delete') this.rows.set(key, { ...old, ...patch, list: [...(old?.list ?? []), ...patch.list] });
    this.changed.add(key);
  }

  async open(order) {
    const all = order === 'key first' ? [...this.subscriptions].reverse() : this.subscriptions;
    for (const one of all) {
      this.client.subscribe(this.view, one);
      if (order === 'at once') continue;
      while ((await this.read('subscribed')).op !== 'subscribed');
      while (one.withSnapshot !== false && !(await this.read('a snapshot')).complete);
    }
    let subscribed = order === 'at once' ? 0 : 2;
    while (subscribed < 2) subscribed += (await this.read('subscribed')).op === 'subscribed';
    this.changed.clear();
  }

  /** One mutation: of its row the client is told once, if anything. */
  async step(mutation) {
    const list = JSON.stringify(this.applier.rows.get(mutation.key)?.list);
    const before = this.wanted(mutation.key);
    await this.post(mutation);
    const frames = await this.agree(`what both show after ${JSON.stringify(mutation)}`);
    const news = frames.filter(({ key, op, data }) => key === mutation.key && (op !== 'upsert' || JSON.stringify(data.list) !== list));
    assert.equal(news.length, before || this.wanted(mutation.key) ? 1 : 0, `${JSON.stringify(mutation)}: ${JSON.stringify(frames)}`);
  }
}

for (const view of Object.keys(wholes))
  for (const whole of wholes[view])
    for (const more of ofKey[view])
      test(`a change comes once: ${view} ${JSON.stringify(whole)} and a key with ${JSON.stringify(more)}`, async (t) => {
        const server = await Server.forTest(t, { config: CONFIG, keeps: true });
        for (const order of ['key last', 'key first', 'at once']) {
          const pair = new Pair(server, await clientFor(t, server, { windows: true }), view, [whole, { key: 'k1', ...more }]);
          for (const key of NAMES) await pair.post(del(key));
          for (const mutation of [add('k3', -3, { g: 2, n: 3 }), add('k2', -2, { g: 1, n: 2 }), add('k1', -1, { g: 1, n: 1 })]) await pair.post(mutation);
          await pair.open(order);
          await pair.post(add('k1', 0));
          await pair.agree(`the first change, ${order}`);
          for (const mutation of STEPS) await pair.step(mutation);
          /* Without the other the key shows its row as it always did. */
          await pair.post(add('k1', 20, { g: more.filters?.g ?? 1, n: 0 }));
          await pair.agree('the row again');
          pair.subscriptions.shift();
          pair.client.send({ type: 'unsubscribe', view });
          for (const frame of await settle(pair.client, pair.server)) pair.applier.apply(frame);
          if (more.skip) continue;
          for (const mutation of [add('k1', 21), add('k1', 22, { n: -1 }), add('k1', 23, more.filters ? { g: 7 } : {})]) {
            await pair.post(mutation);
            const shown = wantedOf(view, pair.subscriptions, pair.rows)('k1');
            while (shown ? pair.applier.rows.get('k1')?.list.at(-1) !== mutation.patch.list[0] : pair.applier.rows.has('k1')) await pair.read(`k1 alone, after ${JSON.stringify(mutation)}`);
            assert.deepEqual(pair.applier.rows.get('k1')?.list, shown ? pair.rows.get('k1').list : undefined);
          }
        }
      });

test('a row of more than a fragment comes once', async (t) => {
  const server = await Server.forTest(t);
  const client = await clientFor(t, server, { windows: true });
  const applier = new Applier();
  const large = (n) => ({ ...add('k1', n, { g: 1, text: `${n}`.repeat(200_000) }) });
  await post(server, [large(0)]);
  for (const one of [{}, { key: 'k1', filters: { g: 1 } }]) {
    client.subscribe('T/list', one);
    for (const frame of await client.until(({ complete }) => complete)) applier.apply(frame);
  }
  for (let n = 1; n < 5; n++) {
    await post(server, [large(n)]);
    const frames = [];
    while (applier.rows.get('k1').list.at(-1) !== n) {
      frames.push(await client.next(`element ${n}`));
      applier.apply(frames.at(-1));
    }
    frames.push(...(await settle(client)));
    assert.equal(frames.filter(({ key, data }) => key === 'k1' && data.list.at(-1) === n).length, 1);
    assert.deepEqual(applier.rows.get('k1').list, [...Array(n + 1).keys()]);
  }
});

/* ---- many that ended ---- */

/* More than a connection remembers one by one: by number, by the bytes of their keys, by views. */
for (const [what, count, of] of [
  ['20 keys', 20, (i) => ({ key: `k${i}` })],
  ['100 keys', 100, (i) => ({ key: `k${i}` })],
  ['30 long keys', 30, (i) => ({ key: `${'long '.repeat(200)}${i}` })],
  ['100 filters of keys', 100, (i) => ({ key: `k${i}`, filters: { g: 1 } })],
  ['400 windows', 400, (i) => ({ key: `k${i}`, take: 1 })],
])
  test(`a window takes away what ${what} showed`, async (t) => {
    const server = await Server.forTest(t, { set: { max_subscriptions: 1000 } });
    const client = await clientFor(t, server, { windows: true });
    const applier = new Applier();
    await post(server, Array.from({ length: count }, (_, i) => add(of(i).key, i, { g: 1 })));
    for (let i = 0; i < count; i++) {
      client.subscribe('T/list', of(i));
      for (const frame of await client.until(({ complete }) => complete)) applier.apply(frame);
    }
    for (let i = 0; i < count; i++) client.send({ type: 'unsubscribe', view: 'T/list', key: of(i).key });
    assert.equal(applier.rows.size, count);
    client.subscribe('T/list', { take: 2 });
    for (const frame of await client.until(({ complete }) => complete)) applier.apply(frame);
    for (const frame of await settle(client)) applier.apply(frame);
    assert.deepEqual([...applier.rows.keys()].sort(), [of(count - 1).key, of(count - 2).key].sort());
  });

test('a window takes away what was shown of it, however many views came since', async (t) => {
  const server = await Server.forTest(t);
  const client = await clientFor(t, server, { windows: true });
  const applier = new Applier();
  const views = Array.from({ length: 90 }, (_, i) => `V${i}`);
  await post(server, views.flatMap((name) => [{ export: name, key: 'old', patch: {} }, { export: name, key: 'new', patch: {} }]));
  for (const name of views) {
    await client.open(`${name}/list`);
    client.send({ type: 'unsubscribe', view: `${name}/list` });
  }
  for (const name of views) {
    applier.rows = new Map([['old', {}], ['new', {}]]);
    client.subscribe(`${name}/list`, { take: 1 });
    for (const frame of await client.until(({ complete }) => complete)) applier.apply(frame);
    assert.deepEqual([...applier.rows.keys()], ['new'], name);
  }
});

test('a row that a window showed goes also when a list that is sent in part replaces it', async (t) => {
  const server = await Server.forTest(t);
  for (const partial of [{ withSnapshot: false }, { snapshotLimit: 1 }]) {
    const client = await clientFor(t, server, { windows: true });
    const applier = new Applier();
    await post(server, ['k1', 'k2', 'k3'].map((key) => add(key, 0)));
    client.subscribe('T/list', { take: 5 });
    for (const frame of await client.until(({ complete }) => complete)) applier.apply(frame);
    client.subscribe('T/list', partial);
    await client.until(({ op }) => op === 'subscribed');
    for (const frame of await settle(client)) applier.apply(frame);
    await post(server, [del('k1')]);
    while (applier.rows.has('k1')) applier.apply(await client.next('the delete of k1'));
    client.destroy();
  }
});

/* ---- a key with a cursor, and all of the view beside it ---- */

for (const restarts of [false, true]) {
  test(`no event comes twice to a key that resumes while all of the view opens${restarts ? ', after a restart' : ''}`, async (t) => {
    const server = await Server.forTest(t, { set: { readers: 1 } });
    const first = await clientFor(t, server);
    await post(server, [add('k1', 0)]);
    first.subscribe('T/append', { key: 'k1' });
    const [{ epoch }] = await first.until(({ op }) => op === 'subscribed');
    const { seq } = (await first.until(({ complete }) => complete)).at(-1);
    first.destroy();
    for (let n = 1; n < 4; n++) await post(server, [add('k1', n)]);
    if (restarts) {
      await server.kill9();
      await server.restart();
    }
    for (const parameters of [{}, { filters: { g: 1 } }, { withSnapshot: false }]) {
      const client = await clientFor(t, server);
      const applier = new Applier();
      applier.rows.set('k1', { list: [0] });
      client.subscribe('T/append', { key: 'k1', after: seq, epoch });
      client.subscribe('T/append', parameters);
      for (let complete = 0, wanted = parameters.withSnapshot === false ? 1 : 2; complete < wanted; ) {
        const frame = await client.next('both');
        applier.apply(frame);
        complete += frame.complete === true;
      }
      for (const frame of await settle(client)) applier.apply(frame);
      await post(server, [add('k2', 0), add('k1', 4)]);
      const list = () => applier.rows.get('k1').list;
      while (list().at(-1) !== 4) applier.apply(await client.next('the last element'));
      for (const frame of await settle(client)) applier.apply(frame);
      assert.deepEqual(list().slice(0, 5), [0, 1, 2, 3, 4], JSON.stringify(parameters));
      client.destroy();
      await post(server, [del('k1'), add('k1', 0), add('k1', 1), add('k1', 2), add('k1', 3)]);
    }
  });
}

/* ---- a key that is refused ---- */

for (const parameters of [{}, { filters: { g: 1 } }, { take: 1 }]) {
  test(`nothing of a row is lost when its key ${JSON.stringify(parameters)} is refused by the row limit`, async (t) => {
    const key = newKey();
    const server = await Server.forTest(t, { config: { exports: DEFINITIONS, max_snapshot_rows: 1000, auth: { mode: 'signed', keys: [key.x] } } });
    const feed = async (n) => {
      const body = JSON.stringify(add('k1', n, { g: 1 }));
      const fed = await fetch(`${server.http}/v1/mutations`, { method: 'POST', headers: bearer(tokenOf(key)), body });
      assert.equal(fed.status, 200, await fed.text());
    };
    const client = await clientFor(t, server, { windows: true, headers: bearer(tokenOf(key, { limits: { max_snapshot_rows: 0 } })) });
    const applier = new Applier();
    let refused = 0;
    const take = (frame) => {
      if (frame.type !== 'error') applier.apply(frame);
      else if (frame.code === 'snapshot-limit-exceeded') refused++;
    };
    await feed(0);
    client.subscribe('T/list', { withSnapshot: false });
    await client.until(({ op }) => op === 'subscribed');
    let feeding = true;
    const writing = (async () => {
      for (let n = 1; n < 90; n++) await feed(n);
      feeding = false;
    })();
    for (let asked = 0; feeding || asked < 20; asked++) {
      const before = refused;
      client.subscribe('T/list', { ...parameters, key: 'k1', partition: String(asked) });
      while (refused === before) take(await client.next('the refusal'));
    }
    await writing;
    const wanted = [...Array(90).keys()];
    while (applier.rows.get('k1')?.list.at(-1) !== 89) take(await client.next('the last element'));
    for (const frame of await settle(client)) take(frame);
    assert.deepEqual(applier.rows.get('k1').list, wanted);
  });
}

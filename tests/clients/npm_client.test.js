// The published clients, unmodified, against the real server: hyperstack-typescript 0.6.9 and what
// hyperstack-react 0.6.9 adds. What their stores hold in the end is what SQL says.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import test from 'node:test';
import { EntityStore, FrameProcessor, HyperStack, MemoryAdapter } from 'hyperstack-typescript';
import WebSocket from 'ws';
import { Applier } from './lib/applier.js';
import { clientFor } from './lib/client.js';
import { post, postAll } from './lib/feed.js';
import { canon, canonDouble, canonPlain, parse } from './lib/json.js';
import { Model, expectRows } from './lib/model.js';
import { Random } from './lib/random.js';
import { ROOT, Server, check, patience, sqlState, sqlView } from './lib/server.js';

/* Node 20 has no WebSocket of its own. A browser hands binary messages out as Blobs; most tests
 * take ArrayBuffers, one the Blobs. */
let binaryType = 'arraybuffer';
globalThis.WebSocket = class extends WebSocket {
  constructor(url) {
    super(url);
    this.binaryType = binaryType;
  }
};

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));

const stackOf = (...names) => ({
  name: names.join(),
  views: Object.fromEntries(
    names.map((name) => [
      name,
      {
        list: { mode: 'list', view: `${name}/list` },
        state: { mode: 'state', view: `${name}/state` },
        append: { mode: 'list', view: `${name}/append` },
      },
    ]),
  ),
});

async function connect(t, server, names, options = {}) {
  const client = await HyperStack.connect(stackOf(...names), {
    url: server.ws, maxEntriesPerView: null, reconnectIntervals: [20, 20, 40, 80, 160, 320], maxReconnectAttempts: 100, ...options,
  });
  const problems = [];
  client.onConnectionStateChange((state, error) => error && problems.push(`${state}: ${error}`));
  client.problems = problems;
  t.after(() => client.disconnect());
  return client;
}

const subscribe = (client, view, more = {}) => client.getSubscriptionRegistry().subscribe({ view, ...more });

/** key → sorted text of what the client's store holds. */
function held(client, view) {
  const { store } = client;
  return new Map(store.keys(view).map((key) => [key, canonPlain(store.get(view, key))]));
}

async function sqlRows(server, view) {
  return new Map([...(await sqlState(server.db, view))].map(([key, row]) => [key, canonDouble(parse(row.data))]));
}

function difference(has, want) {
  for (const [key, text] of want) if (has.get(key) !== text) return `${key}: has ${has.get(key)}, expected ${text}`;
  for (const key of has.keys()) if (!want.has(key)) return `${key}: is held, but is not there`;
  return null;
}

/** Wait until the client's store holds exactly these rows. */
async function holds(client, view, want) {
  const until = Date.now() + patience(20_000);
  for (;;) {
    const differs = difference(held(client, view), want);
    if (!differs) return;
    assert.ok(Date.now() < until, `${view}: ${differs}; ${client.problems.join('; ')}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

const agree = async (client, server, view) => holds(client, view, await sqlRows(server, view));

test('list, state and append subscriptions end as SQL says', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  await post(server, [m('a', { n: 1, l: [1], o: { x: 1 } }), m('b', { n: 1 })]);
  const client = await connect(t, server, ['E']);
  for (const view of ['E/list', 'E/append']) subscribe(client, view);
  subscribe(client, 'E/state', { key: 'a' });
  await agree(client, server, 'E/list');
  await post(server, [
    m('a', { l: [2, 3], o: { y: null } }, { append: ['l'] }), m('c', { wide: 1, deep: { l: [1] } }),
    m('c', { deep: { l: [2] } }, { append: ['deep.l'] }), { export: 'E', key: 'b', op: 'delete' },
    m('a', { n: 0.1 }), m('d', {}, { op: 'upsert' }),
  ]);
  await post(server, '{"export":"E","key":"c","patch":{"wide":18446744073709551615,"f":1.50}}');
  await agree(client, server, 'E/list');
  await agree(client, server, 'E/append');
  const a = (await sqlRows(server, 'E/state')).get('a');
  await holds(client, 'E/state', new Map([['a', a]]));
  assert.equal(client.store.get('E/list', 'c').wide, '18446744073709551615');
  assert.deepEqual(client.problems, []);
});

test('the typed views stream entities and updates', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  const client = await connect(t, server, ['E']);
  const updates = client.views.E.list.watch()[Symbol.asyncIterator]();
  const entities = client.views.E.state.use('a')[Symbol.asyncIterator]();
  await post(server, m('a', { n: 1 }));
  assert.deepEqual((({ type, key }) => [type, key])((await updates.next()).value), ['upsert', 'a']);
  assert.equal((await entities.next()).value.n, 1);
  await post(server, m('a', { m: 2 }));
  assert.deepEqual((({ type, key, data }) => [type, key, data.m])((await updates.next()).value), ['patch', 'a', 2]);
  assert.deepEqual((({ n, m: two }) => [n, two])((await entities.next()).value), [1, 2]);
  await post(server, { export: 'E', key: 'a', op: 'delete' });
  assert.equal((await updates.next()).value.type, 'delete');
  assert.deepEqual(await client.views.E.list.get(), []);
  await updates.return();
  await entities.return();
});

test('compressed snapshots of many batches, as ArrayBuffer and as a browser\'s Blob', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  await postAll(server, range(730, (i) => m(`k${i}`, { i, pad: 'é'.repeat(i % 90), tenth: 0.1 })));
  for (const type of ['arraybuffer', 'blob']) {
    binaryType = type;
    const client = await connect(t, server, ['E']);
    binaryType = 'arraybuffer';
    subscribe(client, 'E/list');
    await agree(client, server, 'E/list');
    assert.deepEqual(client.problems, [], type);
    const seqs = client.store.getAll('E/list').map((row) => row._seq);
    assert.deepEqual(seqs, [...seqs].sort().reverse(), 'sorted by _seq, newest first');
  }
});

test('the client sends its whole window: withSnapshot, after, snapshotLimit', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  await post(server, range(10, (i) => m(`k${i}`, { i }, { slot: 5, index: i })));
  const newest = await connect(t, server, ['E']);
  subscribe(newest, 'E/list', { snapshotLimit: 3 });
  const before = await sqlRows(server, 'E/list');
  await holds(newest, 'E/list', new Map([...before].filter(([key]) => ['k7', 'k8', 'k9'].includes(key))));
  await post(server, m('k0', { x: 1 }));
  const all = await sqlRows(server, 'E/list');
  await holds(newest, 'E/list', new Map([...all].filter(([key]) => ['k0', 'k7', 'k8', 'k9'].includes(key))));
  const after = await connect(t, server, ['E']);
  subscribe(after, 'E/list', { after: '5:000000000006' });
  await holds(after, 'E/list', new Map([...all].filter(([key]) => ['k0', 'k7', 'k8', 'k9'].includes(key))));
  const none = await connect(t, server, ['E']);
  let subscribed;
  const told = new Promise((done) => (subscribed = done));
  none.onFrame((frame) => frame.op === 'subscribed' && subscribed());
  subscribe(none, 'E/list', { withSnapshot: false });
  await told;
  await post(server, m('k1', { x: 2 }));
  await holds(none, 'E/list', new Map([['k1', (await sqlRows(server, 'E/list')).get('k1')]]));
});

test('an unknown view and an unusable parameter reach onSocketIssue with their code', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  const client = await connect(t, server, ['E']);
  const issues = [];
  let wake = () => {};
  client.onSocketIssue((issue) => {
    issues.push(issue);
    wake();
  });
  const issue = async (n) => {
    while (issues.length < n) await new Promise((done) => (wake = done));
    return issues[n - 1];
  };
  subscribe(client, 'Nope/list');
  const first = await issue(1);
  assert.equal(first.error, 'view-not-found');
  assert.match(first.message, /Nope\/list/);
  assert.deepEqual([first.retryable, first.fatal], [false, false]);
  subscribe(client, 'E/append', { take: 5 });
  assert.equal((await issue(2)).error, 'invalid-parameter');
  assert.equal(client.isConnected(), true);
  await post(server, m('a', { n: 1 }));
  subscribe(client, 'E/state', { key: 'a' });
  await holds(client, 'E/state', new Map([['a', (await sqlRows(server, 'E/state')).get('a')]]));
  assert.deepEqual(client.problems, []);
});

for (const end of ['terminate', 'kill9']) {
  test(`the client reconnects across a restart (${end}) and loses what was deleted meanwhile`, async (t) => {
    const server = await Server.forTest(t, { config: { exports: { E: {} } } });
    await post(server, range(60, (i) => m(`k${i}`, { l: [i] })));
    const client = await connect(t, server, ['E']);
    for (const view of ['E/list', 'E/append']) subscribe(client, view);
    subscribe(client, 'E/state', { key: 'k5' });
    await agree(client, server, 'E/list');
    await server[end]();
    await server.restart({ samePort: true });
    /* Before it is back: changes, deletes, appends that it will see in the snapshot only. */
    await post(server, [
      { export: 'E', key: 'k1', op: 'delete' }, { export: 'E', key: 'k5', op: 'delete' }, m('k2', { l: [100] }, { append: ['l'] }),
      { export: 'E', key: 'k3', op: 'delete' }, m('k3', { back: true }), m('new', { n: 1 }),
    ]);
    await agree(client, server, 'E/list');
    await agree(client, server, 'E/append');
    await holds(client, 'E/state', new Map());
    await post(server, m('k2', { l: [101] }, { append: ['l'] }));
    await agree(client, server, 'E/list');
    await agree(client, server, 'E/append');
  });
}

const derived = {
  exports: {
    E: {
      views: {
        top: { pipeline: [{ sort: { by: 'v', order: 'desc' } }, { take: 10 }] },
        names: { pipeline: [{ filter: { exists: 'name' } }, { sort: { by: 'name' } }] },
        best: { pipeline: [{ max_by: 'v' }], output: 'single' },
      },
    },
  },
};

for (const end of ['none', 'terminate', 'kill9']) {
  test(`derived views: the sorted store is in SQL's order (restart: ${end})`, async (t) => {
    const server = await Server.forTest(t, { config: derived });
    const row = (i) => m(`k${i}`, { v: (i * 7919) % 31, name: `n${(i * 31) % 17}`, i });
    await post(server, range(40, row));
    const client = await connect(t, server, ['E']);
    for (const view of ['E/top', 'E/names']) subscribe(client, view);
    subscribe(client, 'E/best');
    const inOrder = async (view) => {
      await agree(client, server, view);
      const sql = [...(await sqlState(server.db, view)).keys()];
      const rows = client.store.getAll(view);
      const keyOf = new Map(client.store.keys(view).map((key) => [client.store.get(view, key), key]));
      /* The client knows no tie-break, so the sort values are compared. */
      const field = view === 'E/top' ? 'v' : 'name';
      assert.deepEqual(rows.map((r) => r[field]), sql.map((key) => client.store.get(view, key)[field]), view);
      assert.equal(new Set(rows.map((r) => keyOf.get(r))).size, sql.length);
    };
    await inOrder('E/top');
    await inOrder('E/names');
    if (end !== 'none') {
      await server[end]();
      await server.restart({ samePort: true });
    }
    await post(server, [m('k3', { v: 100 }), m('k4', { v: null }), { export: 'E', key: 'k5', op: 'delete' }, m('new', { v: 50, name: 'a' })]);
    await post(server, range(20, (i) => m(`k${i * 2}`, { v: 90 - i })));
    /* After a restart the client asks anew, without a cursor, and still holds what it had. */
    await inOrder('E/top');
    await agree(client, server, 'E/best');
    await inOrder('E/names');
    assert.deepEqual(client.problems.filter(() => end === 'none'), []);
  });
}

test('unsubscribe and subscribe again', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  await post(server, m('a', { n: 1 }));
  const client = await connect(t, server, ['E']);
  const leave = subscribe(client, 'E/list');
  await agree(client, server, 'E/list');
  leave();
  await post(server, [m('a', { n: 2 }), m('b', { n: 1 })]);
  subscribe(client, 'E/list');
  await agree(client, server, 'E/list');
});

test('all 5,121 quake mutations: live store, fresh snapshot, SQL and the model agree, before and after kill -9', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { Quake: {}, Network: {} } } });
  const lines = readFileSync(join(ROOT, 'tests/data/quakes.ndjson'), 'utf8').trim().split('\n');
  assert.equal(lines.length, 5121);
  const model = new Model();
  for (const line of lines) model.feed(line);
  const views = ['Quake/list', 'Network/list', 'Network/append'];
  const live = await connect(t, server, ['Quake', 'Network']);
  for (const view of views) subscribe(live, view);
  const answer = await postAll(server, lines, 37);
  assert.deepEqual([answer.applied, answer.ignored, answer.duplicate], [5121, 0, 0]);

  const sqlIsModel = async () => {
    for (const name of ['Quake', 'Network']) {
      const rows = await sqlView(server.db, `${name}/list`);
      assert.equal(difference(new Map([...rows].map(([key, row]) => [key, canon(parse(row.data))])), expectRows(model, name)), null, name);
    }
  };
  const fresh = async () => {
    const client = await connect(t, server, ['Quake', 'Network']);
    for (const view of views) subscribe(client, view);
    for (const view of views) await agree(client, server, view);
    assert.deepEqual(client.problems, []);
    client.disconnect();
  };
  await sqlIsModel();
  for (const view of views) await agree(live, server, view);
  assert.deepEqual(live.problems, []);
  await fresh();
  await server.kill9();
  await sqlIsModel();
  await server.restart({ samePort: true });
  await sqlIsModel();
  await fresh();
  for (const view of views) await agree(live, server, view);
  await check(server.db);
  t.diagnostic(`${model.rows('Quake').size} quakes, ${model.rows('Network').size} networks`);
});

test('our applier does exactly what FrameProcessor and EntityStore do', () => {
  const random = new Random(Number(process.env.STELE_SEED ?? 1));
  const value = (depth) => {
    const kind = random.below(depth > 0 ? 7 : 5);
    if (kind === 0) return null;
    if (kind === 1) return random.below(100);
    if (kind === 2) return random.pick(['', 'x', 'é']);
    if (kind <= 4) return range(random.below(4), () => (depth > 0 && random.chance(0.3) ? value(depth - 1) : random.below(100)));
    return Object.fromEntries(['x', 'y', 'l', 'a.b', ''].filter(() => random.chance(0.5)).map((name) => [name, value(depth - 1)]));
  };
  const object = () => Object.fromEntries(['n', 'l', 'o', 'a.b'].filter(() => random.chance(0.6)).map((name) => [name, value(3)]));
  for (let round = 0; round < 50; round++) {
    const memory = new MemoryAdapter();
    const processor = new FrameProcessor(memory, { maxEntriesPerView: null });
    const store = new EntityStore({ maxEntriesPerView: null });
    const applier = new Applier();
    for (let i = 0; i < 60; i++) {
      const key = random.pick(['a', 'b', 'c']);
      const op = random.pick(['patch', 'patch', 'patch', 'upsert', 'delete', 'snapshot', 'create']);
      const frame = { mode: 'list', entity: 'E/list', op };
      if (op === 'snapshot') Object.assign(frame, { data: ['a', 'b'].filter(() => random.chance(0.5)).map((k) => ({ key: k, data: object() })), complete: true });
      else Object.assign(frame, { key, data: op === 'delete' ? null : object() });
      if (op === 'patch' && random.chance(0.7)) frame.append = ['l', 'o.l', 'o.x', 'a.b', 'o.y.l', ''].filter(() => random.chance(0.6));
      for (const target of [processor, store]) target.handleFrame(structuredClone(frame));
      applier.apply(structuredClone(frame));
      const rows = (get, keys) => JSON.stringify([...keys].sort().map((k) => [k, get(k)]));
      const ours = rows((k) => applier.rows.get(k), applier.rows.keys());
      assert.equal(ours, rows((k) => memory.get('E/list', k), memory.keys('E/list')));
      assert.equal(ours, rows((k) => store.get('E/list', k), store.keys('E/list')));
    }
  }
});

/* ---- hyperstack-react (its main file is CommonJS under an ES name, so its module is named) ---- */

test("react: the ZustandAdapter's store ends as SQL says, over a restart", async (t) => {
  const { ZustandAdapter } = await import('hyperstack-react/dist/index.esm.js');
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  await post(server, range(70, (i) => m(`k${i}`, { l: [i] })));
  const client = await connect(t, server, ['E'], { storage: new ZustandAdapter() });
  subscribe(client, 'E/list');
  await agree(client, server, 'E/list');
  await server.kill9();
  await server.restart({ samePort: true });
  await post(server, [{ export: 'E', key: 'k1', op: 'delete' }, m('k2', { l: [3] }, { append: ['l'] })]);
  await agree(client, server, 'E/list');
});

test('react: useHyperstack renders list and state views live', async (t) => {
  const require = createRequire(import.meta.url);
  const React = require('react');
  const { act, create } = require('react-test-renderer');
  const { HyperstackProvider, useHyperstack } = await import('hyperstack-react/dist/index.esm.js');
  globalThis.IS_REACT_ACT_ENVIRONMENT = true;
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  await post(server, [m('a', { n: 1 }), m('b', { n: 1 })]);
  const stack = { ...stackOf('E'), url: server.ws };
  let shown;
  function App() {
    const { views, isConnected } = useHyperstack(stack);
    const list = views.E.list.use();
    const state = views.E.state.use({ id: 'a' });
    shown = { isConnected, list, state };
    return null;
  }
  let root;
  await act(async () => {
    root = create(React.createElement(HyperstackProvider, { reconnectIntervals: [20], maxReconnectAttempts: 100 }, React.createElement(App)));
  });
  t.after(() => act(async () => root.unmount()));
  const until = async (test, what) => {
    const end = Date.now() + patience(20_000);
    while (!test()) {
      assert.ok(Date.now() < end, `${what}: ${JSON.stringify(shown)}`);
      await act(async () => new Promise((done) => setTimeout(done, 10)));
    }
  };
  await until(() => shown.list.data?.length === 2 && shown.state.data?.n === 1 && !shown.list.isLoading && !shown.state.isLoading, 'first rows');
  await act(async () => post(server, [m('a', { n: 2 }), m('c', { n: 3 }), { export: 'E', key: 'b', op: 'delete' }]));
  await until(() => shown.state.data?.n === 2 && shown.list.data?.length === 2, 'changes');
  assert.deepEqual(shown.list.data.map((row) => row.n).sort(), [2, 3]);
});

test('the raw client of these tests sees the same as the published one', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  await post(server, range(120, (i) => m(`k${i}`, { i })));
  const npm = await connect(t, server, ['E']);
  subscribe(npm, 'E/list');
  const raw = await clientFor(t, server);
  const { rows } = await raw.open('E/list');
  await holds(npm, 'E/list', new Map([...rows].map(([key, data]) => [key, canonPlain(data)])));
});

// protocol.md section 4: cursors, the promise.

import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Applier } from './lib/applier.js';
import { Client, clientFor } from './lib/client.js';
import { http, post } from './lib/feed.js';
import { Server, patience } from './lib/server.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const del = (key, more = {}) => ({ export: 'E', key, op: 'delete', ...more });
const at = (slot, index = 0) => ({ slot, index });
const seqOf = (slot, index = 0) => `${slot}:${String(index).padStart(12, '0')}`;
const serverFor = (t, { exports = { E: {} }, ...config } = {}) => Server.forTest(t, { config: { exports, ...config } });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));

/** The opening of a subscription to its last batch: {subscribed, frames, rows, seq}. */
async function resume(server, view, parameters) {
  const client = await Client.open(server);
  client.subscribe(view, parameters);
  const subscribed = await client.expect('subscribed');
  const frames = [];
  const rows = new Map();
  let seq;
  const take = (frame) => {
    frames.push(frame);
    if (frame.op === 'snapshot') for (const row of frame.data) rows.set(row.key, row.data);
    seq = frame.seq ?? seq;
  };
  for (let frame = {}; !frame.complete; ) take((frame = await client.next('the opening')));
  /* And a little further, so that a frame too many would be seen. */
  for (let fences = 0; fences < 2; fences++) {
    client.send({ type: 'subscribe', view: '\u0001fence' });
    for (let frame; (frame = await client.next('the fence')).type !== 'error'; ) take(frame);
  }
  client.destroy();
  return { subscribed, frames, rows, seq };
}

test('a list resumes with the rows that changed since the cursor, at their present state', async (t) => {
  const server = await serverFor(t);
  await post(server, range(5, (i) => m(`k${i}`, { i })));
  const client = await clientFor(t, server);
  const { seq } = await client.open('E/list');
  client.destroy();
  await post(server, [m('k1', { x: 1 }), m('k3', { x: 1 }), m('k1', { x: 2 }), m('new', { x: 3 })]);
  const { subscribed, rows, seq: next, frames } = await resume(server, 'E/list', { after: seq });
  assert.equal(subscribed.resumed, true);
  assert.deepEqual([...rows.keys()].sort(), ['k1', 'k3', 'new']);
  assert.deepEqual([rows.get('k1').x, rows.get('k1').i], [2, 1]);
  assert.ok(frames.every((f) => f.op === 'snapshot'));
  const last = await resume(server, 'E/list', { after: next });
  assert.equal(last.subscribed.resumed, true);
  assert.deepEqual([...last.rows.keys()], [], 'nothing after the head');
});

test('every frame carries a cursor that resumes just behind it', async (t) => {
  const server = await serverFor(t);
  const client = await clientFor(t, server);
  await client.open('E/list');
  await post(server, range(6, (i) => m(`k${i}`, { i })));
  const cursors = [];
  for (let i = 0; i < 6; i++) cursors.push((await client.next()).seq);
  for (let i = 0; i < 6; i++) {
    const { rows } = await resume(server, 'E/list', { after: cursors[i] });
    assert.deepEqual([...rows.keys()].sort(), range(5 - i, (j) => `k${i + 1 + j}`), cursors[i]);
  }
});

test('an append view replays every change since the cursor, one patch frame each', async (t) => {
  const server = await serverFor(t);
  await post(server, m('a', { l: [0] }));
  const client = await clientFor(t, server);
  const { seq } = await client.open('E/append');
  client.destroy();
  await post(server, range(7, (i) => m(i % 2 ? 'a' : 'b', { l: [i + 1], n: i }, { append: ['l'] })));
  const { subscribed, frames } = await resume(server, 'E/append', { after: seq });
  assert.equal(subscribed.resumed, true);
  const patches = frames.filter((f) => f.op !== 'snapshot');
  assert.ok(frames.every((f) => f.op !== 'snapshot' || f.data.length === 0), 'no rows, but changes');
  assert.deepEqual(patches.map((f) => [f.op, f.key, f.data.n]), range(7, (i) => ['patch', i % 2 ? 'a' : 'b', i]));
  assert.deepEqual(patches[1].append, ['l']);
  const keyed = await resume(server, 'E/append', { after: seq, key: 'a' });
  assert.deepEqual(keyed.frames.filter((f) => f.op !== 'snapshot').map((f) => f.data.n), [1, 3, 5]);
});

test('an append replay has deletes and replacements in their place', async (t) => {
  const server = await serverFor(t);
  await post(server, m('a', { n: 0 }));
  const client = await clientFor(t, server);
  const { seq, rows } = await client.open('E/append');
  client.destroy();
  await post(server, [m('a', { n: 1 }), del('a'), m('a', { z: 2 }), { export: 'E', key: 'a', op: 'upsert', patch: { y: 3 } }, m('b', { n: 1 }), del('b')]);
  const { frames } = await resume(server, 'E/append', { after: seq });
  const applier = new Applier();
  applier.rows = rows;
  for (const frame of frames) applier.apply(frame);
  assert.deepEqual([...applier.rows.keys()], ['a']);
  assert.deepEqual(Object.keys(applier.rows.get('a')).sort(), ['_seq', 'y']);
  assert.equal(frames.filter((f) => f.op !== 'snapshot').length, 6);
});

test('a late arrival with a lower slot is not lost', async (t) => {
  const server = await serverFor(t);
  await post(server, [m('a', { n: 1 }, at(100)), m('b', { n: 1 }, at(200))]);
  const client = await clientFor(t, server);
  const { seq } = await client.open('E/list');
  assert.equal(seq, seqOf(200));
  client.destroy();
  await post(server, [m('late', { n: 1 }, at(50)), m('a', { n: 2 }, at(60))]);
  for (const view of ['E/list', 'E/append']) {
    const { subscribed, rows, frames } = await resume(server, view, { after: seq });
    assert.equal(subscribed.resumed, true, view);
    const applier = new Applier();
    for (const frame of frames) applier.apply(frame);
    assert.deepEqual([...applier.rows.keys()].sort(), ['a', 'late'], view);
    assert.equal(view === 'E/list' ? rows.get('a').n : applier.rows.get('a').n, 2);
  }
});

test('a late arrival itself is a cursor: what was committed after it follows', async (t) => {
  const server = await serverFor(t);
  const client = await clientFor(t, server);
  await client.open('E/list');
  await post(server, m('a', { n: 1 }, at(100)));
  await post(server, m('late', { n: 1 }, at(50)));
  await client.next();
  const cursor = (await client.next()).seq;
  assert.equal(cursor, seqOf(50));
  await post(server, [m('later', { n: 1 }, at(40)), m('b', { n: 1 }, at(110))]);
  const { rows } = await resume(server, 'E/list', { after: cursor });
  assert.deepEqual([...rows.keys()].sort(), ['b', 'later']);
});

test('changes that share the seq of the cursor are sent again, harmlessly', async (t) => {
  const server = await serverFor(t);
  await post(server, [m('a', { l: [1] }), m('b', { l: [1] }), m('c', { l: [1] })]);
  for (const view of ['E/list', 'E/append']) {
    for (let cut = 1; cut <= 4; cut++) {
      const slot = cut + (view === 'E/list' ? 10 : 20);
      const client = await clientFor(t, server);
      const { rows } = await client.open(view);
      const applier = new Applier();
      applier.rows = rows;
      await post(server, {
        ...at(slot),
        mutations: [
          m('a', { l: [2] }, { append: ['l'] }), m('b', { l: [2] }, { append: ['l'] }),
          m('a', { l: [3] }, { append: ['l'] }), m('c', { l: [2] }, { append: ['l'] }),
        ],
      });
      for (let i = 0; i < cut; i++) applier.apply(await client.next());
      assert.equal(applier.seq, seqOf(slot));
      client.destroy();
      await post(server, m('a', { l: [4] }, { append: ['l'] }));
      const { subscribed, frames } = await resume(server, view, { after: applier.seq });
      assert.equal(subscribed.resumed, true);
      for (const frame of frames) applier.apply(frame);
      const fresh = await resume(server, view, {});
      assert.deepEqual(Object.fromEntries([...applier.rows].sort()), Object.fromEntries([...fresh.rows].sort()), `${view}, cut after ${cut}`);
    }
  }
});

test('a seq that is not in the log, but not older than its floor: everything greater', async (t) => {
  const server = await serverFor(t);
  await post(server, [m('a', {}, at(10)), m('b', {}, at(20)), m('c', {}, at(30))]);
  for (const view of ['E/list', 'E/append']) {
    const { subscribed, frames } = await resume(server, view, { after: seqOf(15, 5) });
    assert.equal(subscribed.resumed, true, view);
    const applier = new Applier();
    for (const frame of frames) applier.apply(frame);
    assert.deepEqual([...applier.rows.keys()].sort(), ['b', 'c'], view);
  }
});

test('a cursor need not be padded', async (t) => {
  const server = await serverFor(t);
  await post(server, [m('a', {}, at(10, 3)), m('b', {}, at(10, 4))]);
  const { rows, subscribed } = await resume(server, 'E/list', { after: '10:3' });
  assert.equal(subscribed.resumed, true);
  assert.deepEqual([...rows.keys()], ['b']);
});

test('a seq newer than the head: resumed false and a full snapshot', async (t) => {
  const server = await serverFor(t);
  await post(server, [m('a', {}, at(10)), m('b', {}, at(20))]);
  for (const view of ['E/list', 'E/append']) {
    const { subscribed, rows } = await resume(server, view, { after: seqOf(21) });
    assert.equal(subscribed.resumed, false);
    assert.deepEqual([...rows.keys()].sort(), ['a', 'b']);
  }
});

test('another epoch: resumed false and a full snapshot; the same: resumed true', async (t) => {
  const server = await serverFor(t);
  await post(server, [m('a', {}, at(10)), m('b', {}, at(20))]);
  const { subscribed: first } = await resume(server, 'E/list', {});
  for (const view of ['E/list', 'E/append']) {
    const same = await resume(server, view, { after: seqOf(20), epoch: first.epoch });
    assert.equal(same.subscribed.resumed, true);
    assert.equal(same.rows.size, 0);
    const other = await resume(server, view, { after: seqOf(20), epoch: 'c0ffee00-0000-4000-8000-000000000000' });
    assert.equal(other.subscribed.resumed, false);
    assert.deepEqual([...other.rows.keys()].sort(), ['a', 'b']);
  }
});

test('a seq older than the floor: resumed false and a full snapshot', async (t) => {
  const server = await serverFor(t, { retention_rows: 10 });
  await post(server, m('first', {}));
  const client = await clientFor(t, server);
  const { seq } = await client.open('E/list');
  client.destroy();
  for (const view of ['E/list', 'E/append']) {
    const until = Date.now() + patience(20_000);
    for (let round = 0; ; round++) {
      await post(server, range(20, (i) => m(`k${i}`, { round })));
      const { subscribed, rows } = await resume(server, view, { after: seq });
      if (subscribed.resumed === false) {
        assert.equal(rows.size, 21);
        break;
      }
      assert.ok(Date.now() < until, 'the log was not trimmed');
    }
  }
});

test('state ignores after', async (t) => {
  const server = await serverFor(t);
  await post(server, [m('a', { n: 1 }, at(10)), m('b', {}, at(20))]);
  const { rows } = await resume(server, 'E/state', { key: 'a', after: seqOf(20) });
  assert.equal(rows.get('a').n, 1);
});

test('an entity deleted since the cursor comes as a delete', async (t) => {
  const server = await serverFor(t);
  await post(server, [m('a', {}), m('b', {}), m('c', {})]);
  const client = await clientFor(t, server);
  const { seq, rows } = await client.open('E/list');
  client.destroy();
  await post(server, [del('a'), del('b'), m('b', { again: 1 })]);
  for (const view of ['E/list', 'E/append']) {
    const { subscribed, frames } = await resume(server, view, { after: seq });
    assert.equal(subscribed.resumed, true);
    assert.ok(frames.some((f) => f.op === 'delete' && f.key === 'a'), JSON.stringify(frames));
    const applier = new Applier();
    applier.rows = new Map(rows);
    for (const frame of frames) applier.apply(frame);
    assert.deepEqual([...applier.rows.keys()].sort(), ['b', 'c']);
    assert.equal(applier.rows.get('b').again, 1);
    if (view === 'E/list') assert.ok(frames.every((f) => f.op !== 'delete' || f.seq === undefined), 'a catch-up delete has no seq');
  }
});

test('a fresh snapshot tells recent deletes, also after a restart', async (t) => {
  const server = await serverFor(t);
  await post(server, [m('a', {}), m('b', {}), m('c', {}), m('d', {})]);
  await post(server, [del('a'), del('b'), m('b', { again: 1 })]);
  for (let life = 0; life < 3; life++) {
    for (const [view, more] of [['E/list'], ['E/append'], ['E/state', { key: 'a' }], ['E/list', { key: 'a' }]]) {
      const { frames, rows } = await resume(server, view, more ?? {});
      assert.deepEqual(frames.filter((f) => f.op === 'delete').map((f) => f.key), ['a'], `${view} ${JSON.stringify(more)}`);
      if (!more) assert.deepEqual([...rows.keys()].sort(), ['b', 'c', 'd']);
    }
    const { frames } = await resume(server, 'E/list', { key: 'c' });
    assert.deepEqual(frames.filter((f) => f.op === 'delete'), []);
    await (life === 0 ? server.terminate() : server.kill9());
    await server.restart();
  }
});

test('after with snapshotLimit: the first N by ascending seq', async (t) => {
  const server = await serverFor(t);
  await post(server, range(10, (i) => m(`k${i}`, { i }, at(i + 1))));
  const client = await clientFor(t, server);
  const first = await client.open('E/list', { after: seqOf(3), snapshotLimit: 4 });
  assert.equal(first.subscribed.resumed, true);
  assert.deepEqual(first.order, ['k3', 'k4', 'k5', 'k6']);
  await post(server, m('k9', { i: 99 }, at(50)));
  const whole = await client.expect('upsert');
  assert.deepEqual([whole.key, whole.data.i], ['k9', 99]);
  await post(server, m('k3', { i: 33 }, at(51)));
  assert.equal((await client.expect('patch')).key, 'k3');
});

test('pages by after and snapshotLimit reach every row', async (t) => {
  const server = await serverFor(t);
  await post(server, range(23, (i) => m(`k${i}`, { i }, at(i + 1))));
  const seen = [];
  let after = seqOf(0);
  for (let page = 0; page < 20; page++) {
    const { rows, seq } = await resume(server, 'E/list', { after, snapshotLimit: 5 });
    seen.push(...rows.keys());
    if (rows.size < 5) break;
    after = [...rows.values()].map((r) => r._seq).at(-1);
    assert.ok(seq === undefined || typeof seq === 'string');
  }
  assert.deepEqual(seen, range(23, (i) => `k${i}`));
});

test('the cursor survives a clean restart and kill -9', async (t) => {
  const server = await serverFor(t);
  await post(server, range(5, (i) => m(`k${i}`, { l: [i] })));
  const client = await clientFor(t, server);
  let { seq, subscribed: { epoch } } = await client.open('E/list');
  for (const end of ['terminate', 'kill9', 'kill9']) {
    await post(server, [m('k1', { end }), del('k2'), m('k2', { back: end })]);
    await server[end]();
    await server.restart();
    const { subscribed, rows, seq: next } = await resume(server, 'E/list', { after: seq, epoch });
    assert.equal(subscribed.resumed, true);
    assert.equal(subscribed.epoch, epoch);
    assert.deepEqual([...rows.keys()].sort(), ['k1', 'k2']);
    assert.equal(rows.get('k2').back, end);
    const replay = await resume(server, 'E/append', { after: seq, epoch });
    assert.deepEqual(replay.frames.filter((f) => f.op !== 'snapshot').map((f) => `${f.op} ${f.key}`), ['patch k1', 'delete k2', 'patch k2']);
    seq = next;
  }
});

test('a client that lags behind the ring is caught up with whole entities', async (t) => {
  const server = await serverFor(t, { ring_bytes: 65536, channel_bytes: 65536 });
  await post(server, range(50, (i) => m(`k${i}`, { l: [0], pad: 'x'.repeat(500) })));
  const appliers = [];
  for (const view of ['E/list', 'E/append']) {
    const client = await clientFor(t, server);
    const applier = new Applier();
    const { rows } = await client.open(view);
    applier.rows = rows;
    client.socket.pause();
    appliers.push({ view, client, applier });
  }
  /* More than the sockets' buffers and the ring hold. */
  for (let round = 1; round <= 60; round++) {
    await post(server, range(200, (i) => m(`k${i % 50}`, { l: [round], pad: 'y'.repeat(900) }, { append: ['l'] })));
  }
  await post(server, [m('fence', { done: true })]);
  for (const { view, client, applier } of appliers) {
    client.socket.resume();
    let frames = 0;
    while (!applier.rows.get('fence')) {
      applier.apply(await client.next('the fence'));
      frames++;
    }
    const { rows } = await resume(server, view, {});
    assert.equal(applier.rows.size, 51, view);
    for (const [key, data] of rows) assert.deepEqual(applier.rows.get(key), data, `${view} ${key}`);
    if (view === 'E/list') assert.ok(frames < 12_000, `a laggard is conflated: ${frames} frames for 12,000 changes`);
    await client.silence();
  }
});

test('a cursor from before a view showed what it does now is refused', async (t) => {
  const sorted = (take) => ({ pipeline: [{ sort: 'i' }, { take }] });
  const config = (slim, take) => ({ exports: { E: { views: { slim: { fields: slim }, top: sorted(take), all: { pipeline: [{ sort: 'i' }] } } } } });
  const server = await Server.forTest(t, { config: config(['i'], 2) });
  await post(server, range(5, (i) => m(`k${i}`, { i, x: i })));
  const views = ['E/slim', 'E/top', 'E/all', 'E/list'];
  const seqs = {};
  for (const view of views) seqs[view] = (await resume(server, view, {})).seq;
  await post(server, m('k1', { y: 1 }));
  const resumed = async () => {
    const found = {};
    for (const view of views) found[view] = (await resume(server, view, { after: seqs[view] })).subscribed.resumed;
    return found;
  };
  assert.deepEqual(await resumed(), { 'E/slim': true, 'E/top': true, 'E/all': true, 'E/list': true });
  await server.terminate();
  await server.restart();
  assert.deepEqual(await resumed(), { 'E/slim': true, 'E/top': true, 'E/all': true, 'E/list': true }, 'the same configuration');
  await server.terminate();
  await server.restart({ config: config(['i', 'x'], 3) });
  assert.deepEqual(await resumed(), { 'E/slim': false, 'E/top': false, 'E/all': true, 'E/list': true });
  const { subscribed, rows } = await resume(server, 'E/top', { after: seqs['E/top'] });
  assert.equal(subscribed.resumed, false);
  assert.deepEqual([...rows.keys()], ['k0', 'k1', 'k2']);
});

/* ---- a client that may never have had all ---- */

for (const [what, parameters] of [['withSnapshot false', { withSnapshot: false }], ['a snapshotLimit', { snapshotLimit: 2 }]]) {
  test(`after a partial resume with ${what}, what goes is deleted and what may lack comes whole`, async (t) => {
    const server = await serverFor(t);
    for (const [n, view] of ['E/list', 'E/append'].entries()) {
      const [held, lacked, kept] = [`held${n}`, `lacked${n}`, `kept${n}`];
      await post(server, [held, lacked, kept].map((key) => m(key, { l: [0], whole: true })));
      const { seq, rows } = await resume(server, view, {});
      const applier = new Applier();
      for (const key of [held, kept]) applier.rows.set(key, rows.get(key)); /* it never had the other */
      await post(server, m(lacked, { l: [1] }, { append: ['l'] }));
      const again = await clientFor(t, server);
      again.subscribe(view, { after: seq, ...parameters });
      assert.equal((await again.expect('subscribed')).resumed, true);
      for (let frame = {}; frame.key !== lacked && frame.data?.[0]?.key !== lacked; ) applier.apply((frame = await again.next('the row that it lacked')));
      assert.deepEqual([applier.rows.get(lacked).whole, applier.rows.get(lacked).l], [true, [0, 1]], `${view}: not whole`);
      await post(server, [del(held), m(lacked, { l: [2] }, { append: ['l'] }), m(kept, { l: [3] }, { append: ['l'] })]);
      await post(server, m(`fence${n}`, {}));
      for (let frame = {}; frame.key !== `fence${n}`; ) applier.apply((frame = await again.next('the fence')));
      assert.deepEqual([...applier.rows.keys()].filter((key) => key.endsWith(n)).sort(), [`fence${n}`, kept, lacked], `${view}: a ghost`);
      assert.deepEqual([applier.rows.get(lacked).l, applier.rows.get(kept).l, applier.rows.get(kept).whole], [[0, 1, 2], [0, 3], true], view);
      again.destroy();
      await post(server, [del(kept), del(lacked)]);
    }
  });
}

test('after a partial resume, what is evicted is deleted too', async (t) => {
  const server = await serverFor(t, { exports: { E: { max_entities: 2 } } });
  await post(server, [m('a', {}), m('b', {})]);
  for (const parameters of [{ withSnapshot: false }, { snapshotLimit: 1 }]) {
    const { seq, rows } = await resume(server, 'E/list', {});
    const client = await clientFor(t, server);
    client.subscribe('E/list', { after: seq, ...parameters });
    await client.expect('subscribed');
    /* The change that made it evict something shares its seq: both may come again. */
    if (parameters.snapshotLimit) await client.until((f) => f.complete);
    else if (rows.has('newundefined')) await client.until((f) => f.op === 'upsert');
    await post(server, m(`new${parameters.snapshotLimit}`, {}));
    const frames = [await client.next('a frame'), await client.next('a frame')];
    assert.deepEqual(frames.map((f) => `${f.op} ${f.key}`).sort(), [`delete ${[...rows.keys()].at(-1)}`, `upsert new${parameters.snapshotLimit}`]);
  }
});

test('a partial replay of an append view tells events of what was made since, and what was there before whole', async (t) => {
  const server = await serverFor(t);
  await post(server, [m('old', { l: [0] }), m('gone', { l: [0] })]);
  const client = await clientFor(t, server);
  const { seq } = await client.open('E/append');
  client.destroy();
  const more = { append: ['l'] };
  await post(server, [m('new', { l: [1] }), m('new', { l: [2] }, more), m('old', { l: [3] }, more), m('gone', { l: [4] }, more), m('new', { l: [5] }, more), m('old', { l: [6] }, more), del('gone'), m('gone', { l: [7] })]);
  const { frames, seq: end } = await resume(server, 'E/append', { after: seq, snapshotLimit: 100 });
  const tell = frames.filter((f) => f.op !== 'snapshot').map((f) => `${f.op} ${f.key} ${JSON.stringify(f.data?.l)}${f.append ? ' +' : ''}`);
  assert.deepEqual(tell, ['patch new [1]', 'patch new [2] +', 'upsert old [0,3,6]', 'upsert gone [7]', 'patch new [5] +', 'delete gone undefined', 'patch gone [7]']);
  assert.equal(frames.at(-1).seq, end);
});

const PARTIAL = [{ withSnapshot: false }, { snapshotLimit: 1 }, { withSnapshot: false, key: 'k2' }];

for (const parameters of PARTIAL) {
  test(`a key comes whole before its first patch, also under filters: ${JSON.stringify(parameters)}`, async (t) => {
    const server = await serverFor(t);
    await post(server, ['k1', 'k2', 'k3'].map((key) => m(key, { on: true, old: 1, l: [0] })));
    await post(server, m('k3', {}));
    const ask = async () => {
      const client = await clientFor(t, server);
      client.subscribe('E/append', { filters: { on: true }, ...parameters });
      await client.until((f) => (parameters.withSnapshot === false ? f.op === 'subscribed' : f.complete));
      return client;
    };
    const next = async (client, n) => (await client.until((f) => f.data?.n === n)).at(-1);
    /* Where nothing tells that it began, it may begin behind the first changes. */
    let n = 0;
    const untilPatched = async (clients) => {
      for (let ops = []; ops.length === 0 || ops.includes('upsert'); ) {
        assert.ok(++n < 100, 'some never get a patch');
        await post(server, m('k2', { n, l: [n] }, { append: ['l'] }));
        ops = [];
        for (const client of clients) {
          const frame = await next(client, n);
          ops.push(frame.op);
          if (frame.op === 'upsert') assert.deepEqual([frame.data.old, frame.data.l], [1, range(n + 1, (i) => i)]);
          if (client.seen === undefined) assert.equal(frame.op, 'upsert');
          client.seen = n;
        }
      }
    };
    const first = await ask();
    await untilPatched([first]);
    await untilPatched([first, await ask()]);
  });
}

test('who begins in part under filters, at any time, ends with what there is', async (t) => {
  const server = await serverFor(t);
  await post(server, range(8, (i) => m(`k${i}`, { on: true, old: i, l: [] })));
  const held = [];
  for (let n = 0; n < 120; n++) {
    if (n % 6 === 0) {
      const client = await clientFor(t, server);
      const applier = new Applier();
      client.subscribe('E/append', { filters: { on: true }, ...PARTIAL[(n / 6) % 2] });
      held.push({ client, applier });
    }
    const lines = range(1 + (n % 4), (i) => m(`k${(n * 5 + i * 3) % 8}`, { n, l: [n] }, { append: ['l'] }));
    await post(server, n % 7 === 3 ? [...lines, m(`k${n % 8}`, { on: false }), m(`k${n % 8}`, { on: true })] : lines);
  }
  await post(server, m('last', { on: true }));
  const rows = new Map((await http(`${server.http}/v1/views/E/list?take=100`)).json.rows.map(({ key, data }) => [key, data]));
  for (const { client, applier } of held) {
    for (const frame of await client.until((f) => f.key === 'last' || f.data?.some?.((row) => row.key === 'last'))) applier.apply(frame);
    for (const [key, data] of applier.rows) assert.deepEqual(data, rows.get(key), key);
  }
});

/* ---- seqs that several changes share ---- */

const SHARED_LOGS = {
  'one batch': [[5, ['k0', 'k1']]],
  'a batch larger than the limit': [[5, range(12, (i) => `k${i}`)]],
  'batches one after the other': range(6, (n) => [n + 1, range(4, (i) => `k${n}${i}`)]),
  'one seq again and again': [[5, ['a']], [6, ['b']], [5, ['c']], [7, ['d']], [5, ['e', 'f']], [8, ['g']]],
  'two seqs by turns': range(9, (n) => [5 + (n % 2), [`k${n}`]]),
  'a seq that ends the log shared': [[1, ['a']], [2, ['b']], [3, ['c', 'd', 'e']]],
  'the same keys in each batch': range(5, (n) => [n + 1, ['x', 'y', 'z']]),
};

for (const [what, log] of Object.entries(SHARED_LOGS)) {
  test(`pages make progress and miss nothing: ${what}`, async (t) => {
    const server = await serverFor(t, { max_snapshot_rows: 5 });
    await post(server, { export: 'E', key: 'first', patch: { l: [0] }, slot: 0, index: 1 });
    for (const [slot, keys] of log) {
      await post(server, { ...at(slot), mutations: keys.map((key) => m(key, { l: [slot] }, { append: ['l'] })) });
    }
    const whole = new Map();
    for (const key of new Set(log.flatMap(([, keys]) => keys))) whole.set(key, log.flatMap(([slot, keys]) => keys.filter((k) => k === key).map(() => slot)));
    for (const view of ['E/list', 'E/append']) {
      for (const limit of [1, 2, 5]) {
        const applier = new Applier();
        const asked = new Set();
        let after = seqOf(0, 1);
        for (let pages = 0; ; pages++) {
          assert.ok(pages < 40 && !asked.has(after), `${view} by ${limit}: no progress behind ${after}`);
          asked.add(after);
          const { subscribed, frames } = await resume(server, view, { after, snapshotLimit: limit });
          assert.equal(subscribed.resumed, true, `${view} by ${limit}`);
          const end = frames.findIndex((f) => f.complete);
          for (const frame of frames.slice(0, end + 1)) applier.apply(frame);
          if (frames[end].seq === after) break;
          after = frames[end].seq;
        }
        assert.deepEqual(Object.fromEntries([...applier.rows].map(([key, row]) => [key, row.l]).sort()), Object.fromEntries([...whole].sort()), `${view} by ${limit}`);
      }
    }
  });
}

/* ---- cursors of the same server are good ---- */

test('the cursor of an export that held nothing is good for all that came, also with a late 0:0', async (t) => {
  const views = { sorted: { pipeline: [{ sort: 'n' }] }, slim: { fields: ['n'] } };
  const server = await serverFor(t, { exports: { E: { views }, Other: {} } });
  await post(server, { export: 'Other', key: 'o', patch: {} });
  const names = ['E/list', 'E/append', 'E/slim', 'E/sorted'];
  for (const view of names) {
    const first = await resume(server, view, {});
    assert.equal(first.seq, seqOf(0));
    assert.equal((await resume(server, view, { after: first.seq })).subscribed.resumed, true, `${view}, still empty`);
  }
  await post(server, [m('x', { n: 1 }, at(1)), m('y', { n: 2 }, at(0))]);
  for (const view of names) {
    const { subscribed, frames } = await resume(server, view, { after: seqOf(0) });
    assert.equal(subscribed.resumed, true, view);
    const applier = new Applier();
    for (const frame of frames) applier.apply(frame);
    assert.deepEqual([...applier.rows.keys()].sort(), ['x', 'y'], view);
    assert.equal(JSON.parse((await http(`${server.http}/v1/views/${view}?after=${seqOf(0)}`)).text).rows.length, 2);
  }
});

test('a view that is new at this start takes the cursors that it gives', async (t) => {
  const server = await serverFor(t);
  await post(server, [m('a', { n: 1 }), m('b', { n: 2 })]);
  await server.terminate();
  const views = { sorted: { pipeline: [{ sort: 'n' }, { take: 1 }] }, slim: { fields: ['n'] } };
  await server.restart({ config: { exports: { E: { views } } } });
  for (const view of ['E/sorted', 'E/slim']) {
    const { seq } = await resume(server, view, {});
    assert.equal((await resume(server, view, { after: seq })).subscribed.resumed, true, view);
    assert.equal(JSON.parse((await http(`${server.http}/v1/views/${view}?after=${seq}`)).text).resumed, true, view);
  }
});

/* What a view shows before and after a start, and whether clients tell the two by the epoch alone: nothing is
 * fed to its export in between. */
const REDEFINED = {
  'another cut': [{ pipeline: [{ sort: 'n' }, { take: 1 }] }, { pipeline: [{ sort: 'n' }, { take: 2 }] }],
  'another order': [{ pipeline: [{ sort: 'n' }] }, { pipeline: [{ sort: { by: 'n', order: 'desc' } }] }],
  'a filter by time': [{ pipeline: [{ filter: { field: 'n', lt: { now: true } } }] }, { pipeline: [{ filter: { field: 'n', gt: 1 } }] }],
  'other fields': [{ fields: ['n'] }, { fields: ['m'] }],
  'other keys': [{ keys: ['a', 'b'] }, { keys: ['b', 'c'] }],
  'derived now': [{ fields: ['n'] }, { pipeline: [{ sort: 'n' }, { take: 2 }] }],
};
/* Nothing notes what time does to the rows of such a view while it is not there. */
const isTimed = (view) => JSON.stringify(view).includes('now');
const LOGS = {
  'an export that was fed last': [['E', 'a', 1], ['E', 'b', 2], ['E', 'c', 3]],
  'a quiet export beside one that is fed': [['E', 'a', 1], ['E', 'b', 2], ['E', 'c', 3], ['Other', 'x', 4], ['Other', 'y', 5]],
  'rows that share a seq': [['E', 'a', 1], ['E', 'b', 2], ['E', 'c', 2], ['Other', 'x', 3]],
  'an empty export': [['Other', 'x', 1]],
};

for (const [what, [before, after]] of Object.entries(REDEFINED)) {
  for (const [where, log] of Object.entries(LOGS)) {
    test(`a view redefined at this start takes the cursors that it gives, and no older ones: ${what}, ${where}`, async (t) => {
      const configOf = (view) => ({ exports: { E: { views: { v: view } }, Other: {} } });
      const server = await Server.forTest(t, { config: configOf(before) });
      for (const [name, key, slot] of log) await post(server, { ...m(key, { n: slot, m: slot }, at(slot)), export: name });
      const held = [];
      const give = async () => {
        const { seq, subscribed } = await resume(server, 'E/v', {});
        return { after: seq, epoch: subscribed.epoch };
      };
      const takes = async ({ after: seq, epoch }, resumed, why) => {
        for (const partial of [{}, { withSnapshot: false }]) {
          const client = await Client.open(server, { windows: true });
          client.subscribe('E/v', { after: seq, epoch, ...partial });
          assert.equal((await client.expect('subscribed')).resumed, resumed, `${why} ${JSON.stringify(partial)}`);
          client.destroy();
        }
        const { text } = await http(`${server.http}/v1/views/E/v?after=${seq}&epoch=${epoch}`);
        assert.equal(JSON.parse(text).resumed, resumed, `${why}, by HTTP`);
      };
      /* There, and back again: the first definition's cursors of then are older, too. */
      for (const view of [before, after, before, after]) {
        await server.terminate();
        await server.restart({ config: configOf(view) });
        for (const cursor of held) if (cursor.view !== view || isTimed(view)) await takes(cursor, false, 'of a definition before');
        const cursor = await give();
        await takes(cursor, true, 'of this definition');
        await server.kill9();
        await server.restart({ config: configOf(view) });
        await takes(cursor, true, 'of this definition, before a crash');
        held.push({ ...cursor, view });
      }
    });
  }
}

test('a state view says whether the cursor was good', async (t) => {
  const server = await serverFor(t);
  await post(server, [m('a', { n: 1 }, at(10)), m('b', {}, at(20)), m('c', {}, at(30))]);
  const { subscribed: { epoch } } = await resume(server, 'E/state', { key: 'a' });
  const ask = async (more) => {
    const { subscribed, rows } = await resume(server, 'E/state', { key: 'a', ...more });
    assert.equal(rows.get('a').n, 1, JSON.stringify(more));
    return subscribed.resumed;
  };
  assert.equal(await ask({}), undefined);
  assert.equal(await ask({ after: seqOf(20), epoch }), true);
  assert.equal(await ask({ after: seqOf(99), epoch }), false, 'beyond the head');
  assert.equal(await ask({ after: seqOf(20), epoch: 'c0ffee00-0000-4000-8000-000000000000' }), false);
  const client = await clientFor(t, server);
  client.subscribe('E/state', { key: 'a', after: 'nonsense' });
  assert.equal((await client.expect('error')).code, 'invalid-parameter');
  const get = async (query) => JSON.parse((await http(`${server.http}/v1/views/E/state?key=a&${query}`)).text);
  assert.deepEqual(await get(`after=${seqOf(20)}`).then((r) => [r.resumed, r.rows.length, r.deleted]), [true, 0, []]);
  assert.deepEqual(await get(`after=${seqOf(99)}`).then((r) => [r.resumed, r.rows.length, r.deleted]), [false, 1, []]);
  await post(server, [del('a')]);
  assert.deepEqual(await get(`after=${seqOf(20)}`).then((r) => [r.resumed, r.rows.length, r.deleted]), [true, 0, ['a']]);
  const { frames } = await resume(server, 'E/state', { key: 'a', after: seqOf(20), epoch });
  assert.deepEqual(frames.map((f) => `${f.op} ${f.key ?? f.data.length}`), ['delete a', 'snapshot 0']);
});

test('the cursor of the newest trimmed change is good, and one of a quiet export while others are trimmed', async (t) => {
  const views = { sorted: { pipeline: [{ sort: 'n' }, { take: 40 }] }, recent: { pipeline: [{ filter: { field: 'n', lt: { now: true } } }, { sort: 'n' }] } };
  const server = await serverFor(t, { exports: { E: { views }, Quiet: { views } }, retention_rows: 10 });
  await post(server, [{ export: 'Quiet', key: 'q', patch: { n: 1 } }]);
  const quiet = {};
  for (const view of ['Quiet/list', 'Quiet/sorted', 'Quiet/recent']) quiet[view] = (await resume(server, view, {})).seq;
  const seqs = [];
  for (let i = 0; i < 40; i++) seqs.push((await post(server, m(`k${i}`, { n: i }))).seq);
  const floor = Number((await http(`${server.healthUrl}/metrics`)).text.match(/^stele_log_floor_change (\d+)/m)[1]);
  assert.ok(floor > 5, 'the log was trimmed');
  /* Change n + 2 has seq number n. */
  for (const view of ['E/list', 'E/append', 'E/sorted']) {
    assert.equal((await resume(server, view, { after: seqs[floor - 2] })).subscribed.resumed, true, `${view}: the newest trimmed`);
    assert.equal((await resume(server, view, { after: seqs[floor - 3] })).subscribed.resumed, false, `${view}: the one before`);
  }
  for (const [view, after] of Object.entries(quiet)) {
    assert.equal((await resume(server, view, { after })).subscribed.resumed, true, view);
  }
  await post(server, [{ export: 'Quiet', key: 'r', patch: { n: 2 } }]);
  for (const [view, after] of Object.entries(quiet)) {
    const { subscribed, rows } = await resume(server, view, { after });
    assert.deepEqual([subscribed.resumed, rows.has('r')], [true, true], view);
  }
});

/** Late arrivals in a log of 10 rows, in which so many changes of the greatest seqs are kept. */
async function lateLog(t, kept, late) {
  const views = { sorted: { pipeline: [{ sort: 'n' }] } };
  const server = await serverFor(t, { exports: { E: { views } }, retention_rows: 10 });
  const add = (n) => ({ export: 'E', key: 'tape', patch: { list: [n], n }, append: ['list'] });
  for (let i = 0; i < 60; i++) await post(server, { ...add(i), ...at(100 + i) });
  /* The first of them has a seq that is later than what was trimmed until then. */
  for (let i = 0; i < late; i++) await post(server, { ...add(60 + i), ...at(i === 0 ? 157 : 10 + i, 1) });
  const until = Date.now() + patience(20_000);
  const floor = async () => Number((await http(`${server.healthUrl}/metrics`)).text.match(/^stele_log_floor_change (\d+)/m)[1]);
  /* Change n has slot 99 + n, up to the sixtieth. */
  while ((await floor()) < 60 + late - 10) {
    assert.ok(Date.now() < until, 'the log was not trimmed');
    await delay(20);
  }
  assert.equal((await floor()) < 60, kept);
  return { server, add };
}

for (const [what, kept, late] of [
  ['the greatest is kept', true, 3],
  ['the greatest was the last to be trimmed', false, 10],
]) {
  test(`a snapshot behind late arrivals has a cursor that is good: ${what}`, async (t) => {
    const { server, add } = await lateLog(t, kept, late);
    const views = ['E/list', 'E/append', 'E/sorted'];
    const held = new Map();
    for (const view of views) {
      for (const parameters of view === 'E/append' ? [{}] : [{}, { take: 2 }]) {
        const { seq, rows, subscribed } = await resume(server, view, parameters);
        const again = await resume(server, view, { ...parameters, after: seq, epoch: subscribed.epoch });
        assert.deepEqual([again.subscribed.resumed, again.seq], [true, seq], `${view} ${JSON.stringify(parameters)}`);
        held.set(`${view} ${JSON.stringify(parameters)}`, { view, parameters, seq, rows, epoch: subscribed.epoch });
      }
    }
    if (!kept) return; /* what is trimmed next lies behind that cursor */
    const count = 60 + late;
    await post(server, { ...add(count), ...at(50) }); /* late as well */
    await post(server, { ...add(count + 1), ...at(300) });
    for (const [name, { view, parameters, seq, rows, epoch }] of held) {
      const client = await clientFor(t, server);
      const applier = new Applier();
      applier.rows = new Map(rows);
      client.subscribe(view, { ...parameters, after: seq, epoch });
      for (const frame of await client.until((frame) => frame.complete === true, name)) applier.apply(frame);
      assert.equal(applier.resumed, true, name);
      assert.deepEqual(applier.rows.get('tape').list, range(count + 2, (i) => i), name);
      client.destroy();
    }
  });
}

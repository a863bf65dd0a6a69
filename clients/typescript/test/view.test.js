// A view by itself: what it shows, keeps and tells of the frames that it takes, one after the other.

import assert from 'node:assert/strict';
import test from 'node:test';
import { View } from '../dist/view.js';
import { tell } from '../dist/wire.js';
import { range } from './lib.js';

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const EPOCH = 'e-1';
const data = (n, more = {}) => ({ n, ...more, _seq: `0:${n}`, _version: `v:${n}` });
const subscribed = (more = {}) => ({ op: 'subscribed', mode: 'list', sort: { field: ['n'], order: 'asc' }, epoch: EPOCH, ...more });
const snapshot = (rows, more = {}) => ({ op: 'snapshot', snapshotId: 's', authoritative: true, data: rows.map(([key, row]) => ({ key, data: row })), complete: true, seq: '1', ...more });
const upsert = (key, row, seq) => ({ op: 'upsert', key, data: row, seq });

/** A view whose storage is a map that counts, and what it has told. */
async function viewOf({ kept = new Map(), ...home } = {}) {
  const storage = {
    get: async (key) => structuredClone(kept.get(key)),
    update: async (key, change) => {
      const value = change(kept.get(key));
      kept.set(key, structuredClone(value));
      return value;
    },
    delete: async (key) => void kept.delete(key),
  };
  const view = new View({ view: 'E/list' }, 'id', { open() {}, close() {}, storage, maxRows: 1000, maxKeptRows: 1000, lingerMs: 1e6, ...home });
  const told = [];
  view.subscribe((state, changed) => told.push({ ...state, changed: [...changed].sort() }));
  await view.loaded;
  return { view, kept, told };
}

test('a state that was shown is never changed, and a row that did not change stays the same object', async () => {
  const { view } = await viewOf();
  view.take(subscribed());
  view.take(snapshot([['a', data(1, { o: { l: [1] } })], ['b', data(2)]]));
  await pause(5);
  const first = view.state;
  const was = JSON.stringify(first);
  view.take({ op: 'patch', key: 'a', data: { o: { l: [2] }, m: 1, _seq: '0:3', _version: 'v:3' }, append: ['o.l'], seq: '3' });
  view.take(upsert('c', data(4), '4'));
  await pause(5);
  assert.deepEqual(view.get('a').o, { l: [1, 2] });
  assert.equal(JSON.stringify(first), was);
  assert.equal(view.get('b'), first.rows[1]);
  view.take(subscribed({ resumed: false }));
  view.take(snapshot([['b', data(2)], ['c', data(5)]], { seq: '5' }));
  await pause(5);
  assert.equal(view.get('b'), first.rows[1], 'nor does a snapshot make another of it');
  assert.deepEqual(view.state.keys, ['b', 'c']);
});

test('a delete between the batches of a snapshot takes away what was there, and shows with all of it', async () => {
  const { view, told } = await viewOf();
  view.take(subscribed());
  view.take(snapshot([['a', data(1)], ['b', data(2)]], { seq: '2' }));
  await pause(5);
  view.take(subscribed({ resumed: true }));
  view.take(snapshot([['c', data(3)], ['d', data(4)]], { authoritative: false, complete: false }));
  view.take({ op: 'delete', key: 'a', data: null });
  view.take({ op: 'delete', key: 'd', data: null });
  await pause(60);
  assert.deepEqual(view.state.keys, ['a', 'b'], 'it is not complete yet');
  view.take(snapshot([['e', data(5)]], { authoritative: false, seq: '5' }));
  await pause(5);
  assert.deepEqual(view.state.keys, ['b', 'c', 'e']);
  assert.deepEqual(told.at(-1).changed.filter((key) => key !== 'd'), ['a', 'c', 'e']);
});

test('without a word about it a snapshot adds to the rows of a subscription that resumed', async () => {
  const { view } = await viewOf();
  view.take(subscribed());
  view.take(snapshot([['a', data(1)]]));
  for (const [resumed, keys] of [[true, ['a', 'b']], [false, ['b']]]) {
    view.take(subscribed({ resumed }));
    view.take(snapshot([['b', data(2)]], { authoritative: undefined }));
    await pause(5);
    assert.deepEqual(view.state.keys, keys, `resumed: ${resumed}`);
  }
});

test('what is kept are rows and the cursor that they are of, also in the middle of a change', async () => {
  const { view, kept } = await viewOf();
  view.take(subscribed());
  view.take(snapshot([['a', data(1)]], { seq: '1' }));
  await pause(5);
  view.take(upsert('a', data(2), '2'));
  view.take(upsert('b', data(3), '2')); /* of the same change, which goes on */
  view.close();
  await view.flush();
  assert.deepEqual([kept.get('id').cursor, kept.get('id').rows.map(({ key, data: { n } }) => [key, n])], [{ after: '1', epoch: EPOCH }, [['a', 1]]]);
});

test('what is shown is kept soon, without being asked to', async () => {
  const { view, kept } = await viewOf();
  view.take(subscribed());
  view.take(snapshot([['a', data(1)]]));
  await pause(1500);
  assert.deepEqual(kept.get('id')?.rows.map(({ key }) => key), ['a']);
});

test('what was kept is shown as it was; then listeners hear only of what changed', async () => {
  const first = await viewOf();
  first.view.take(subscribed());
  first.view.take(snapshot(range(5, (i) => [`k${i}`, data(9 - i)]), { more: true, seq: '9' }));
  await first.view.flush();
  const { view, told } = await viewOf({ kept: first.kept });
  assert.deepEqual([view.state.status, view.state.more, view.state.keys], ['stale', true, ['k4', 'k3', 'k2', 'k1', 'k0']]);
  assert.deepEqual(view.request(), { view: 'E/list', after: '9', epoch: EPOCH });
  view.take(subscribed({ resumed: true }));
  view.take(snapshot([['k1', data(20)]], { authoritative: false, seq: '20' }));
  await pause(5);
  assert.deepEqual([told.at(-1).changed, told.at(-1).keys], [['k1'], ['k4', 'k3', 'k2', 'k0', 'k1']]);
});

test('whether there is more is as the newest snapshot says', async () => {
  const { view } = await viewOf();
  view.take(subscribed());
  view.take(snapshot([['a', data(1)]], { more: true }));
  await pause(5);
  assert.equal(view.state.more, true);
  view.take(snapshot([], { authoritative: false, seq: '2' }));
  await pause(5);
  assert.equal(view.state.more, true, 'one that adds says nothing of it');
  view.take(subscribed());
  view.take(snapshot([['a', data(1)]], { seq: '3' }));
  await pause(5);
  assert.equal(view.state.more, undefined);
});

test('changes that come without a pause are shown all the same, also when the clock of the page jumps back', async (t) => {
  const { view, told } = await viewOf();
  view.take(subscribed());
  view.take(snapshot([['a', data(1)]]));
  await pause(5);
  const before = told.length;
  /* No timer has its turn, and a millisecond goes by with each frame. */
  const { performance } = globalThis;
  let now = performance.now();
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1e12 });
  Object.defineProperty(globalThis, 'performance', { value: { now: () => now }, configurable: true });
  t.after(() => Object.defineProperty(globalThis, 'performance', { value: performance, configurable: true }));
  for (let i = 2; i < 400; i++, now++) {
    view.take(upsert('a', data(i), String(i)));
    t.mock.timers.setTime(1e12 + (i < 200 ? i : i - 3_600_000));
  }
  const states = told.slice(before).map(({ rows: [{ n }] }) => n);
  assert.ok(states.length >= 6 && states.length <= 8, `${states}`);
  assert.ok(states.some((n) => n > 300), 'behind the jump, too');
});

test('a snapshot without a cursor is shown with what belongs to it, or when nothing follows', async () => {
  const { view, told } = await viewOf();
  view.take(subscribed());
  view.take(snapshot([['a', data(1)], ['b', data(2)]], { seq: undefined }));
  await pause(5);
  view.take({ op: 'delete', key: 'a', data: null });
  view.take(snapshot([], { authoritative: false, seq: '3' }));
  await pause(5);
  assert.deepEqual(told.map(({ keys }) => keys.join()), ['b']);
  view.take(subscribed());
  view.take(snapshot([['c', data(4)]], { seq: undefined }));
  await pause(200);
  assert.deepEqual([view.state.status, view.state.keys], ['live', ['c']]);
});

test('a listener that throws is alone with it', (t) => {
  const thrown = [];
  const { queueMicrotask } = globalThis;
  t.after(() => (globalThis.queueMicrotask = queueMicrotask));
  globalThis.queueMicrotask = (act) => thrown.push(act);
  const heard = [];
  tell([() => { throw new Error('mine'); }, (what) => heard.push(what)], 5);
  assert.deepEqual(heard, [5]);
  assert.throws(thrown[0], /mine/);
});

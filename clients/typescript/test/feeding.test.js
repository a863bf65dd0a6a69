// Batches of `apply` count exactly once, and no promise of one resolves before the server has it, whatever the storage or
// the way to the server does.

import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { fileStorage } from '../dist/node.js';
import { clientOf, CONFIG, equals, range, scratch, Server, table, within } from './lib.js';

const add = (i) => ({ export: 'E', key: 'log', patch: { list: [i] }, append: ['list'] });
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** What the server has of add(0), add(1), …: each of `wanted` once, in this order. */
async function hasLog(server, wanted) {
  const [found] = await table(server, 'E/list', `key = 'log'`);
  assert.deepEqual(found?.[1].list, wanted);
}

/** A way to the server: shut until `open`; it counts requests, and `answer` may give another answer than the server's. */
function gate() {
  const way = { isOpen: false, requests: 0, answer: null, tokens: [] };
  way.fetch = async (url, options) => {
    way.requests++;
    way.tokens.push(options.headers?.authorization);
    if (!way.isOpen) throw new TypeError('there is no way to the server');
    return (await way.answer?.()) ?? fetch(url, options);
  };
  way.tried = (n = way.requests + 1) => within((async () => { while (way.requests < n) await pause(5); })(), `request ${n}`);
  return way;
}

async function startWith(t, storage, options = {}) {
  const server = await Server.forTest(t, { config: CONFIG });
  const way = gate();
  return { server, way, client: clientOf(t, server, { storage, fetch: way.fetch, ...options }) };
}

/** The promise is not settled yet. */
async function waits(promise, what) {
  assert.equal(await Promise.race([promise.then(() => 'resolved', (error) => `rejected: ${error.code}`), pause(50).then(() => 'waits')]), 'waits', what);
}

test('storage that is cleared while batches wait for the server: they are sent, once, in their order', async (t) => {
  const folder = scratch(t);
  const { server, way, client } = await startWith(t, fileStorage(folder));
  const first = await Promise.all(range(3, (i) => client.enqueue(add(i))));
  await way.tried();
  for (const file of await readdir(folder)) await rm(join(folder, file));
  const last = await client.enqueue(add(3));
  for (const { done } of [...first, last]) await waits(done, 'nothing is acknowledged yet');
  way.isOpen = true;
  const acks = await within(Promise.all([...first, last].map(({ done }) => done)), 'the acknowledgements');
  assert.deepEqual(acks.map(({ applied }) => applied), [1, 1, 1, 1]);
  await hasLog(server, [0, 1, 2, 3]);
  assert.equal(client.status.pending, 0);
});

test('storage of two tabs that is cleared while batches of both wait: each counts once, and none overtakes another', async (t) => {
  const folder = scratch(t);
  const storage = fileStorage(folder);
  const { server, way, client } = await startWith(t, storage);
  const other = clientOf(t, server, { storage, fetch: way.fetch });
  const all = [];
  for (let i = 0; i < 8; i++) all.push(await (i % 2 ? other : client).enqueue(add(i)));
  await way.tried(4);
  for (const file of await readdir(folder)) await rm(join(folder, file));
  all.push(await other.enqueue(add(8)), await client.enqueue(add(9)));
  way.isOpen = true;
  await within(Promise.all(all.map(({ done }) => done)), 'the acknowledgements');
  await hasLog(server, range(10, (i) => i));
});

test('storage of two tabs that is cleared, where one has seen less: what it puts back goes before what the other adds to it', async (t) => {
  const folder = scratch(t);
  const storage = fileStorage(folder);
  const { server, way, client } = await startWith(t, storage);
  let cut;
  way.isOpen = true;
  way.answer = () => new Promise((_, fail) => (cut = fail)); /* it waits for an answer, and does not look at what is kept */
  const shut = gate();
  const other = clientOf(t, server, { storage, fetch: shut.fetch });
  const all = [await client.enqueue(add(0)), await client.enqueue(add(1))];
  await way.tried(1);
  all.push(await other.enqueue(add(2)), await other.enqueue(add(3)));
  await shut.tried();
  for (const file of await readdir(folder)) await rm(join(folder, file));
  all.push(await client.enqueue(add(4)), await other.enqueue(add(5)));
  way.answer = null;
  shut.isOpen = true;
  cut(new TypeError('cut'));
  await within(Promise.all(all.map(({ done }) => done)), 'the acknowledgements');
  await hasLog(server, range(6, (i) => i));
});

test('storage that is cleared between an answer and the next batch: each batch has a number of its own', async (t) => {
  const folder = scratch(t);
  const { server, way, client } = await startWith(t, fileStorage(folder));
  way.isOpen = true;
  let clear = true;
  way.answer = async () => {
    if (!clear) return;
    clear = false;
    for (const file of await readdir(folder)) await rm(join(folder, file));
  };
  const all = await Promise.all(range(4, (i) => client.enqueue(add(i))));
  await within(Promise.all(all.map(({ done }) => done)), 'the acknowledgements');
  await hasLog(server, [0, 1, 2, 3]);
});

test('storage that can neither be written nor read any more while batches wait: they are sent from memory', async (t) => {
  const good = fileStorage(scratch(t));
  let isGone = false;
  const unless = (act) => (...what) => (isGone ? Promise.reject(new Error('the disk is gone')) : act(...what));
  const { server, way, client } = await startWith(t, { get: unless(good.get), update: unless(good.update), delete: unless(good.delete) });
  const first = await Promise.all(range(2, (i) => client.enqueue(add(i))));
  await way.tried();
  isGone = true;
  const last = await client.enqueue(add(2));
  for (const { done } of [...first, last]) await waits(done, 'nothing is acknowledged yet');
  way.isOpen = true;
  await within(Promise.all([...first, last].map(({ done }) => done)), 'the acknowledgements');
  await hasLog(server, [0, 1, 2]);
  assert.equal(client.status.storage, 'memory');
});

test('storage that is gone while nothing is added: what waits is sent all the same', async (t) => {
  const good = fileStorage(scratch(t));
  let isGone = false;
  const unless = (act) => (...what) => (isGone ? Promise.reject(new Error('the disk is gone')) : act(...what));
  const { server, way, client } = await startWith(t, { get: unless(good.get), update: unless(good.update), delete: unless(good.delete) });
  const all = await Promise.all(range(3, (i) => client.enqueue(add(i))));
  await way.tried();
  isGone = true;
  way.isOpen = true;
  await within(Promise.all(all.map(({ done }) => done)), 'the acknowledgements');
  await hasLog(server, [0, 1, 2]);
});

test('rows that cannot be kept while a batch is being kept: the batch counts once', async (t) => {
  const good = fileStorage(scratch(t));
  let isFull = false;
  const storage = {
    ...good,
    /* Rows do not fit any more; a batch still does, a moment later. */
    update: async (key, change) => {
      if (isFull && key !== 'feed') throw new Error('it is full');
      if (isFull) await pause(100);
      return good.update(key, change);
    },
  };
  const { server, way, client } = await startWith(t, storage);
  way.isOpen = true;
  const view = client.view({ view: 'E/list' });
  await equals(server, view, 'E/list');
  await client.apply(add(0));
  await equals(server, view, 'E/list');
  isFull = true;
  await Promise.all([client.apply(add(1)), client.flush()]);
  assert.equal(client.status.storage, 'memory');
  await client.apply(add(2));
  await hasLog(server, [0, 1, 2]);
});

test('storage that keeps a batch, and then says that it did not: the batch counts once', async (t) => {
  const good = fileStorage(scratch(t));
  const storage = {
    ...good,
    update: async (key, change) => {
      await good.update(key, change);
      throw new Error('whether it is on disk is not known');
    },
  };
  const { server, way, client } = await startWith(t, storage);
  way.isOpen = true;
  await client.apply(add(0));
  await client.apply(add(1));
  await hasLog(server, [0, 1]);
});

test('storage whose answers take their time, each another one: no batch is acknowledged that the server does not have', async (t) => {
  const good = fileStorage(scratch(t));
  const slow = (act) => async (...what) => {
    const found = await act(...what);
    await pause(Math.random() * 60);
    return found;
  };
  const { server, way, client } = await startWith(t, { get: slow(good.get), update: slow(good.update), delete: slow(good.delete) });
  way.isOpen = true;
  const acks = [];
  for (let i = 0; i < 40; i++) {
    acks.push(client.apply(add(i)).then(({ applied }) => assert.equal(applied, 1, `batch ${i} is acknowledged by the server`)));
    await pause(Math.random() * 30);
  }
  await within(Promise.all(acks), 'the acknowledgements');
  await hasLog(server, range(40, (i) => i));
});

test('a way to the server that answers by itself: a page of a portal is no acknowledgement', async (t) => {
  const { server, way, client } = await startWith(t, fileStorage(scratch(t)));
  way.isOpen = true;
  const answers = [
    () => new Response('<p>Please log in', { status: 200, headers: { 'content-type': 'text/html' } }),
    () => Response.json({ ok: true }),
    () => new Response(null, { status: 204 }),
    () => new Response('[1]', { status: 200 }),
    () => new Response('null', { status: 200 }),
    () => new Response('<p>Moved', { status: 307 }),
  ];
  way.answer = () => answers.shift()?.();
  assert.equal((await within(client.apply(add(0)), 'the acknowledgement')).applied, 1);
  assert.equal(answers.length, 0);
  await hasLog(server, [0]);
});

for (const status of [401, 403]) {
  test(`a token that is refused with ${status}: the next attempt has another one`, async (t) => {
    let n = 0;
    const { way, client } = await startWith(t, 'memory', { token: () => `token-${++n}` });
    way.isOpen = true;
    way.answer = () => (way.requests === 1 ? Response.json({ code: 'no', message: 'no' }, { status }) : Response.json({ applied: 1 }));
    await within(client.apply(add(0)), 'the acknowledgement');
    assert.equal(way.tokens.length, 2);
    assert.notEqual(way.tokens[0], way.tokens[1]);
  });
}

test('a batch that is refused for good says so, and the status remembers it', async (t) => {
  const { way, client } = await startWith(t, 'memory');
  way.isOpen = true;
  const refused = (error) => error.code === 'invalid-message' && error.retryable === false;
  await assert.rejects(client.apply({ export: 'E', key: 'k', patch: 5 }), refused);
  assert.equal(client.status.feedError?.code, 'invalid-message');
  await client.apply(add(0));
  assert.equal(client.status.feedError?.code, 'invalid-message', 'the newest that was refused');
  way.isOpen = false;
  const { done } = await client.enqueue(add(1));
  await way.tried();
  await within((async () => { while (client.status.feedError?.code !== 'connection-failed') await pause(5); })(), 'why none can be sent');
  way.isOpen = true;
  await done;
  assert.equal(client.status.feedError?.code, 'invalid-message');
});

test('a batch is what it was when it was given, whatever becomes of the object', async (t) => {
  const { server, way, client } = await startWith(t, 'memory');
  way.isOpen = true;
  for (const i of [0, 1]) {
    const mutation = add(i);
    const applied = client.apply(mutation);
    mutation.patch.list[0] = 'later';
    await applied;
  }
  await hasLog(server, [0, 1]);
});

test('what waits is bounded', async (t) => {
  const { way, client } = await startWith(t, 'memory');
  const large = { export: 'F', key: 'k', patch: { text: 'x'.repeat(1 << 20) } };
  const all = [];
  await assert.rejects(async () => { for (let i = 0; i < 20; i++) all.push(await client.enqueue(large)); }, (error) => error.code === 'feed-full' && error.retryable);
  assert.equal(all.length, 15);
  assert.equal((await client.enqueue(add(0))).batch, 16, 'a small one still fits');
  way.answer = () => Response.json({ applied: 1 });
  way.isOpen = true;
  await all.at(-1).done;
  await client.apply(large);
});

test('a batch that another tab sent: its answer is told, be it a refusal', async (t) => {
  const storage = fileStorage(scratch(t));
  const { server, way, client } = await startWith(t, storage);
  let cut;
  way.answer = () => new Promise((_, fail) => (cut = fail)); /* this tab gets no answer */
  way.isOpen = true;
  const bad = await client.enqueue({ export: 'E', key: 'k', patch: 5 });
  const good = await client.enqueue(add(0));
  await way.tried(1);
  const other = clientOf(t, server, { storage });
  assert.equal((await other.apply(add(1))).batch, 3);
  way.answer = null;
  cut(new TypeError('cut'));
  await assert.rejects(within(bad.done, 'the refusal'), (error) => error.code === 'invalid-message' && !error.retryable);
  assert.equal((await good.done).duplicate, 1);
  assert.equal((await client.apply(add(2))).batch, 4);
  await hasLog(server, [0, 1, 2]);
});

test('a client that is closed: who waits is told, nothing is written any more, and the next client sends what is left', async (t) => {
  const good = fileStorage(scratch(t));
  let writing = 0;
  let isSlow = false;
  const storage = {
    ...good,
    update: async (key, change) => {
      writing++;
      if (isSlow) await pause(150);
      return good.update(key, change).finally(() => writing--);
    },
  };
  const { server, way, client } = await startWith(t, storage);
  way.isOpen = true;
  await client.apply(add(0));
  let answered = () => {};
  const isAnswered = new Promise((done) => (answered = done));
  way.answer = async () => {
    isSlow = true;
    setTimeout(answered, 20);
  };
  const first = await client.enqueue(add(1));
  const second = await client.enqueue(add(2));
  await isAnswered;
  await client.close();
  assert.equal(writing, 0);
  isSlow = false;
  const outcomes = await within(Promise.all([first, second].map(({ done }) => done.then(() => 'applied', ({ code }) => code))), 'a word to who waits');
  for (const outcome of outcomes) assert.ok(['applied', 'closed'].includes(outcome), outcome);
  const next = clientOf(t, server, { storage });
  assert.equal((await next.apply(add(3))).applied, 1);
  await hasLog(server, [0, 1, 2, 3]);
});

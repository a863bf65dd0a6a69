// The client against the real server: what it shows is what SQL has, whatever happens to the connection or the server.

import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { fileStorage } from '../dist/node.js';
import { prune } from '../dist/upkeep.js';
import { clientOf, CONFIG, del, equals, post, postAll, range, row, scratch, Server, shown, table, until } from './lib.js';

test('several windows of one view over one socket, each as SQL has it, and each in its order', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(130, (i) => row(i)));
  const client = clientOf(t, server);
  const all = client.view({ view: 'E/list' });
  const top = client.view({ view: 'E/top' });
  const page = client.view({ view: 'E/list', where: { field: 'g', eq: 1 }, sort: [{ by: 'text' }], take: 5, skip: 2 });
  const one = client.view({ view: 'E/state', key: 'k7' });
  const check = async () => {
    await equals(server, all, 'E/list');
    await equals(server, top, 'E/top');
    await equals(server, page, 'E/list', `json_extract(data, '$.g') = 1`, `json_extract(data, '$.text'), key`, (rows) => rows.slice(2, 7));
    await equals(server, one, 'E/list', `key = 'k7'`);
  };
  await check();
  assert.equal(page.state.more, true);
  await post(server, [row(7, { text: 'changed', deep: { a: 1 } }), del(129), del(1), row(200), row(4, { g: 2 }), row(2, { g: 1, text: 'a' })]);
  await check();
  await post(server, [{ export: 'E', key: 'k7', patch: { deep: { b: [1] } } }, { export: 'E', key: 'k7', patch: { deep: { b: [2] } }, append: ['deep.b'] }]);
  await check();
  assert.deepEqual(one.get('k7').deep, { a: 1, b: [1, 2] });
  assert.equal((await server.status()).clients.connected ?? 1, 1, 'one connection');
});

test('equal queries share a view; a view without listeners ends', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await post(server, [row(1)]);
  const client = clientOf(t, server, { lingerMs: 30 });
  const view = client.view({ view: 'E/list', take: 3, skip: undefined });
  assert.equal(client.view({ take: 3, view: 'E/list' }), view);
  const long = { view: 'E/list', where: { all: [{ field: 'n', gte: 1 }, { field: 'g', eq: { now: true } }] }, sort: ['n', { by: 'g', order: 'desc' }], filters: { a: 1, b: 2 } };
  const same = { filters: { b: 2, a: 1 }, sort: ['n', { order: 'desc', by: 'g' }], where: { all: [{ gte: 1, field: 'n' }, { eq: { now: true }, field: 'g' }] }, view: 'E/list' };
  assert.equal(client.view(same), client.view(long), 'in whatever order members are written');
  const others = [{ ...long, sort: long.sort.toReversed() }, { ...long, where: { all: long.where.all.toReversed() } }, { ...long, take: 3 }, { ...long, filters: { a: 1 } }, { ...long, view: 'E/top' }];
  assert.equal(new Set([long, ...others].map((query) => client.view(query))).size, 6, 'lists are in their order');
  await until(view, ({ status }) => status === 'live');
  await new Promise((done) => setTimeout(done, 1300)); /* until() goes on listening for a second */
  assert.equal(view.state.status, 'stale');
  assert.notEqual(client.view({ take: 3, view: 'E/list' }), view);
  await equals(server, view, 'E/list'); /* and begins again for who still has it */
});

test('listeners hear of a batch once, and never of a part of it', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(400, (i) => row(i)));
  const client = clientOf(t, server);
  const window = client.view({ view: 'E/list', sort: ['n'], take: 50 });
  const states = [];
  window.subscribe((state) => state.rows.length && states.push(state.rows.map(({ n }) => n).join()));
  await until(window, ({ status }) => status === 'live');
  /* Each batch moves all 50 rows out, and others in. */
  for (let i = 0; i < 5; i++) await post(server, range(50, (j) => row(i * 50 + j, { n: 1000 + i * 50 + j })));
  await equals(server, window, 'E/list', undefined, `json_extract(data, '$.n'), key`, (rows) => rows.slice(0, 50));
  const whole = range(6, (i) => range(50, (j) => i * 50 + j).join());
  for (const state of states) assert.ok(whole.includes(state), `a part of a batch was shown: ${state}`);
});

test('kill -9, with deletes while away: the same connection of the page goes on', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(60, (i) => row(i)));
  const client = clientOf(t, server);
  const views = [[client.view({ view: 'E/list' }), 'E/list'], [client.view({ view: 'E/top' }), 'E/top']];
  for (const [view, name] of views) await equals(server, view, name);
  for (let round = 0; round < 3; round++) {
    await server.kill9();
    await until(views[0][0], ({ status }) => status === 'stale');
    assert.ok(views[0][0].state.rows.length >= 50, 'what was there stays');
    await server.restart({ samePort: true });
    await post(server, [del(59 - round), row(round, { text: `round ${round}` }), row(100 + round)]);
    for (const [view, name] of views) await equals(server, view, name);
  }
  assert.equal(client.status.error, null);
});

test('a second process begins with the rows of the first, before a byte of the server; then they are brought up to date', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(60, (i) => row(i)));
  const folder = scratch(t);
  const first = clientOf(t, server, { storage: fileStorage(folder) });
  const query = { view: 'E/list' };
  await equals(server, first.view(query), 'E/list');
  await first.close();
  await post(server, [del(3), row(4, { text: 'while away' })]);
  await server.terminate();
  const second = clientOf(t, server, { storage: fileStorage(folder) });
  const view = second.view(query);
  const kept = await until(view, ({ rows }) => rows.length > 0);
  assert.deepEqual([kept.status, kept.rows.length], ['stale', 60]);
  await server.restart({ samePort: true });
  await equals(server, view, 'E/list');
  assert.equal(view.state.rows.length, 59);
});

test('a cursor of another database, or of one restored from a backup, is refused, and the rows are replaced', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(20, (i) => row(i)));
  const folder = scratch(t);
  const first = clientOf(t, server, { storage: fileStorage(folder) });
  await equals(server, first.view({ view: 'E/list' }), 'E/list');
  await first.close();
  const other = await Server.forTest(t, { config: CONFIG });
  await postAll(other, range(30, (i) => row(i, { text: 'another' })));
  /* The address decides what is kept together: here it is the same one with another database behind it. */
  const port = server.port;
  await server.terminate();
  await other.terminate();
  await other.restart({ samePort: false });
  await other.terminate();
  other.options = { ...other.options, listen: `127.0.0.1:${port}` };
  const moved = await Server.start({ ...other.options, listen: `127.0.0.1:${port}` });
  t.after(() => moved.discard());
  const second = clientOf(t, moved, { storage: fileStorage(folder) });
  const view = second.view({ view: 'E/list' });
  assert.equal((await until(view, ({ rows }) => rows.length > 0)).rows.length, 20);
  await equals(moved, view, 'E/list');
  assert.equal(view.state.rows.length, 30);
});

test('a tape: events in their order, each once, over a restart of the server', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await post(server, [row(1), row(2)]);
  const client = clientOf(t, server);
  const tape = client.view({ view: 'E/append' });
  await until(tape, ({ events }) => events.length === 2);
  await server.kill9();
  await server.restart({ samePort: true });
  await post(server, [row(3), del(1)]);
  const { events } = await until(tape, ({ events }) => events.length === 4);
  assert.deepEqual(events.map(({ op, key }) => [op, key]), [['patch', 'k1'], ['patch', 'k2'], ['patch', 'k3'], ['delete', 'k1']]);
});

test('what cannot be shown says why, and ends', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(30, (i) => row(i)));
  const client = clientOf(t, server, { maxRows: 20 });
  const none = await until(client.view({ view: 'E/nothing' }), ({ status }) => status === 'ended');
  assert.equal(none.error.code, 'subscription-rejected');
  const long = await until(client.view({ view: 'E/list' }), ({ status }) => status === 'ended');
  assert.deepEqual([long.error.code, long.rows.length], ['too-many-rows', 0]);
  await equals(server, client.view({ view: 'E/top' }), 'E/top'); /* the others go on */
});

test('server-sent events where no WebSocket opens', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(60, (i) => row(i)));
  class Blocked {
    constructor() {
      setTimeout(() => this.onclose?.({ code: 1006, reason: '' }));
    }
    close() {}
  }
  const client = clientOf(t, server, { WebSocket: Blocked });
  const all = client.view({ view: 'E/list' });
  const page = client.view({ view: 'E/list', filters: { g: 1 }, sort: [{ by: 'n', order: 'desc' }], take: 4 });
  const check = async () => {
    await equals(server, all, 'E/list');
    await equals(server, page, 'E/list', `json_extract(data, '$.g') = 1`, `json_extract(data, '$.n') DESC`, (rows) => rows.slice(0, 4));
  };
  await check();
  assert.equal(client.status.transport, 'sse');
  await post(server, [del(58), row(55, { text: 'x' }), row(61)]);
  await check();
  await server.kill9();
  await server.restart({ samePort: true });
  await post(server, [del(55), row(64)]);
  await check();
});

test('texts with what other places take for the end of a line, over both ways', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  const feed = (n) => post(server, ['\u2028', '\u2029', '\u0085', '\u000b', '\u000c', '\u001c'].map((end) => ({ export: 'E', key: `k${end}${end}k`, patch: { n, [`m${end}m`]: `a${end}data: b${end}` } })));
  await feed(1);
  class Blocked {
    constructor() {
      setTimeout(() => this.onclose?.({ code: 1006, reason: '' }));
    }
    close() {}
  }
  for (const [i, options] of [{}, { WebSocket: Blocked }].entries()) {
    const client = clientOf(t, server, options);
    const view = client.view({ view: 'E/list' });
    await equals(server, view, 'E/list');
    await feed(i + 2);
    await equals(server, view, 'E/list');
    assert.deepEqual([view.state.rows.length, client.status.transport], [6, i ? 'sse' : 'websocket']);
  }
});

test('feeding: exactly once over cuts, and over a crash of the process; what is refused is told, and does not block', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  const folder = scratch(t);
  const first = clientOf(t, server, { storage: fileStorage(folder) });
  assert.equal((await first.apply(row(1))).applied, 1);
  await assert.rejects(first.apply({ export: 'E', key: 'k', patch: 5 }), (error) => error.code === 'invalid-message' || error.code === 'invalid-parameter');
  const add = (i) => ({ export: 'E', key: 'log', patch: { list: [i] }, append: ['list'] });
  for (let i = 0; i < 10; i++) void first.enqueue(add(i)).then(({ done }) => done.catch(() => {}));
  const last = first.apply(add(10));
  await server.kill9();
  await server.restart({ samePort: true });
  assert.equal((await last).batch, 13);
  assert.equal(first.status.pending, 0);
  /* A crash: what is kept is sent by the next process, and by two at once. */
  await server.kill9();
  const { batch, done } = await first.enqueue(add(11));
  done.catch(() => {});
  await first.close();
  const second = clientOf(t, server, { storage: fileStorage(folder) });
  await server.restart({ samePort: true });
  assert.equal((await second.apply(add(12))).batch, batch + 1);
  const [[, log]] = await table(server, 'E/list', `key = 'log'`);
  assert.deepEqual(log.list, range(13, (i) => i));
});

test('storage that fails later: memory from then on, the status says so, and batches have another producer', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(20, (i) => row(i)));
  const good = fileStorage(scratch(t));
  let isFull = false;
  const storage = { ...good, update: (key, change) => (isFull ? Promise.reject(new Error('it is full')) : good.update(key, change)) };
  const client = clientOf(t, server, { storage });
  const view = client.view({ view: 'E/list' });
  await equals(server, view, 'E/list');
  await client.apply(row(30));
  assert.equal(client.status.storage, 'durable');
  isFull = true;
  await client.apply(row(31));
  assert.deepEqual([client.status.storage, client.status.storageError.code], ['memory', 'storage-failed']);
  await equals(server, view, 'E/list');
  const { producers } = await (await fetch(`${server.http}/v1/producers`)).json();
  assert.deepEqual(producers.map(({ batch }) => batch), [1, 1]);
  assert.deepEqual(shown(view.state).length, 22);
});

test('what is kept is bounded, and forgotten when it is to be; batches that wait stay', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(20, (i) => row(i)));
  const folder = scratch(t);
  const storage = () => fileStorage(folder);
  const queries = [{ view: 'E/list', take: 5 }, { view: 'E/list', filters: { g: 1 } }, { view: 'E/list' }];
  const keptRows = async (client) => {
    const views = queries.map((query) => client.view(query));
    await Promise.all(views.map(({ loaded }) => loaded));
    return views.map(({ state }) => state.rows.length);
  };

  const first = clientOf(t, server, { storage: storage(), maxKeptRows: 10 });
  await Promise.all(queries.map((query) => until(first.view(query), ({ status }) => status === 'live')));
  await first.close();
  await server.kill9();
  const second = clientOf(t, server, { storage: storage() });
  assert.deepEqual(await keptRows(second), [5, 7, 0], 'the view of 20 rows is not kept');
  void (await second.enqueue(row(21))).done.catch(() => {});
  await second.forget();
  await second.close();
  const third = clientOf(t, server, { storage: storage() });
  assert.deepEqual(await keptRows(third), [0, 0, 0]);
  await server.restart({ samePort: true });
  await equals(server, third.view({ view: 'E/list' }), 'E/list');
  await until(third.view({ view: 'E/list' }), ({ rows }) => rows.length === 21, 'the batch of the second client');
  assert.equal((await third.apply(row(22))).batch, 2); /* behind it */
});

test('views that were not used for long are forgotten, and the oldest beyond a number', async (t) => {
  const folder = scratch(t);
  const storage = { ...fileStorage(folder), isDurable: () => true, failure: () => null };
  const day = 86_400_000;
  const used = { now: Date.now(), yesterday: Date.now() - day, month: Date.now() - 31 * day, shown: Date.now() - 40 * day, older: Date.now() - 2 * day };
  for (const id of Object.keys(used)) await storage.update(id, () => ({ rows: [] }));
  await storage.update('views', () => used);
  await prune(storage, new Map([['shown', null]]), { maxKeptViews: 2 });
  assert.deepEqual(Object.keys(await storage.get('views')).toSorted(), ['now', 'shown', 'yesterday']);
  for (const id of Object.keys(used)) assert.equal((await storage.get(id)) !== undefined, ['now', 'shown', 'yesterday'].includes(id), id);
});

test('storage that is cleared while a batch is on its way: no number comes twice', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  const folder = scratch(t);
  let answered = () => {};
  const posted = async (...request) => {
    const response = await fetch(...request);
    await answered();
    return response;
  };
  const client = clientOf(t, server, { storage: fileStorage(folder), fetch: posted });
  assert.equal((await client.apply(row(1))).batch, 1);
  answered = async () => {
    answered = () => {};
    await Promise.all((await readdir(folder)).map((file) => rm(join(folder, file))));
  };
  assert.equal((await client.apply(row(2))).batch, 2);
  assert.equal((await client.apply(row(3))).applied, 1);
  const { producers } = await (await fetch(`${server.http}/v1/producers`)).json();
  assert.deepEqual(producers.map(({ batch }) => batch).toSorted(), [1, 2], 'the page is another producer now');
});

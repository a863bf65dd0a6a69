// The connection by itself: when the client tries again, asks for a token, probes, and falls back to streams. Sockets,
// streams and time are the test's own, so minutes pass at once.

import assert from 'node:assert/strict';
import test from 'node:test';
import { SteleClient } from '../dist/index.js';
/* Loaded already, so that they take no time. */
import '../dist/feed.js';
import '../dist/sse.js';

const EPOCH = 'e-1';
const BACKOFF = { first: 10, most: 1000 };

/** Promises settle. */
async function settle() {
  for (let i = 0; i < 50; i++) await new Promise((done) => setImmediate(done));
}

/** Sockets that the test opens, answers and closes; the newest is `last`. */
function sockets() {
  const all = [];
  class Socket {
    sent = [];
    isClosed = false;
    answers = true; /* probes */
    constructor(url) {
      this.url = url;
      all.push(this);
    }
    send(text) {
      const message = JSON.parse(text);
      this.sent.push(message);
      if (this.answers && message.subscriptionId === 'probe') setImmediate(() => this.say({ type: 'error', subscriptionId: 'probe', code: 'unknown-subscription-id' }));
    }
    close() {
      this.isClosed = true;
    }
    async open() {
      this.onopen();
      await settle();
      return this;
    }
    say(frame) {
      this.onmessage({ data: JSON.stringify(frame) });
    }
    end(code = 1006, reason = '') {
      this.onclose({ code, reason });
    }
    /** The subscriptions that were asked for. */
    get asked() {
      return this.sent.filter(({ type }) => type === 'subscribe');
    }
    get probes() {
      return this.sent.filter(({ type, subscriptionId }) => type === 'unsubscribe' && subscriptionId === 'probe').length;
    }
    /** Answer the newest subscription with these rows. */
    show(...keys) {
      const { subscriptionId } = this.asked.at(-1);
      this.say({ op: 'subscribed', subscriptionId, mode: 'list', epoch: EPOCH });
      this.say({ op: 'snapshot', subscriptionId, snapshotId: 's', authoritative: true, complete: true, seq: '1', data: keys.map((key) => ({ key, data: { key } })) });
    }
  }
  return { Socket, all, get last() { return all.at(-1); } };
}

/** Time stands still, but for what the test lets pass. */
function clock(t) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000_000_000 });
  t.mock.method(performance, 'now', () => Date.now());
  const pass = async (seconds) => {
    await settle();
    t.mock.timers.tick(seconds * 1000);
    await settle();
  };
  return { pass, now: () => Date.now() / 1000 };
}

/** A client of such sockets; its view is listened to. */
async function start(t, options = {}) {
  const time = clock(t);
  const net = sockets();
  const client = new SteleClient({ url: 'ws://server.example', storage: 'memory', WebSocket: net.Socket, backoff: BACKOFF, lingerMs: 1e6, ...options });
  const view = client.view({ view: 'E/list' });
  view.subscribe(() => {});
  await time.pass(0);
  t.after(() => void client.close());
  return { ...time, net, client, view };
}

test('attempts go on for ever, each pause longer than the one before, up to the longest, and never as long as another', async (t) => {
  const { net, pass, now, client } = await start(t, { transport: 'websocket', backoff: { first: 1, most: 8 } });
  const pauses = [];
  for (let i = 0; i < 40; i++) {
    const before = net.all.length;
    net.last.end();
    const at = now();
    for (let j = 0; j < 200 && net.all.length === before; j++) await pass(0.1);
    assert.equal(net.all.length, before + 1, `attempt ${i}`);
    pauses.push(now() - at);
    assert.notEqual(client.status.error, null);
  }
  const bound = (i) => Math.min(8, 2 ** i);
  pauses.forEach((pause, i) => assert.ok(pause >= bound(i) / 2 - 0.11 && pause <= bound(i) + 0.11, `pause ${i}: ${pause}`));
  assert.ok(new Set(pauses.slice(5)).size > 5, `they differ: ${pauses}`);
});

test('after a word of the server the pauses are short again', async (t) => {
  const { net, pass, client } = await start(t, { transport: 'websocket' });
  for (let i = 0; i < 4; i++) {
    net.last.end();
    await pass(200);
  }
  const before = net.all.length;
  (await net.last.open()).show('a');
  await pass(1);
  assert.equal(client.status.connection, 'open');
  net.last.end();
  await pass(BACKOFF.first + 0.1);
  assert.equal(net.all.length, before + 1);
});

test('a pause that the server asks for is kept, by a connection and by a subscription', async (t) => {
  const { net, pass } = await start(t, { transport: 'websocket', backoff: { first: 1, most: 1 } });
  (await net.last.open()).say({ type: 'error', code: 'too-many-connections', retryable: true, retryAfter: 60, fatal: true });
  await settle();
  net.last.end(1013, 'too-many-connections: later');
  await pass(59);
  assert.equal(net.all.length, 1);
  await pass(3);
  assert.equal(net.all.length, 2);
  const { last } = net;
  await last.open();
  await pass(0);
  last.say({ type: 'error', subscriptionId: last.asked.at(-1).subscriptionId, code: 'too-many-exports', retryable: true, retryAfter: 60 });
  await pass(59);
  assert.equal(last.asked.length, 1);
  await pass(3);
  assert.equal(last.asked.length, 2);
});

test('a server that does not answer the handshake, or falls silent, is left', async (t) => {
  const { net, pass, client } = await start(t, { transport: 'websocket' });
  await pass(9);
  assert.equal(net.last.isClosed, false);
  await pass(2);
  assert.deepEqual([net.last.isClosed, client.status.error.code], [true, 'connection-timeout']);
  await pass(20);
  const { last } = net;
  (await last.open()).show('a');
  last.answers = false;
  await pass(24);
  assert.equal(last.probes, 0);
  await pass(2);
  assert.equal(last.probes, 1);
  last.say({ type: 'error', subscriptionId: 'probe', code: 'unknown-subscription-id', retryable: false });
  await pass(24);
  assert.deepEqual([last.isClosed, client.status.error], [false, null], 'it answered');
  await pass(2);
  assert.equal(last.probes, 2);
  await pass(11);
  assert.deepEqual([last.isClosed, client.status.error?.code], [true, 'connection-timeout']);
  await pass(20);
  assert.notEqual(net.last, last);
  last.show('too late');
  await pass(1);
  assert.deepEqual(client.view({ view: 'E/list' }).state.keys, ['a'], 'what a connection says after its end is nothing');
});

test('why the server closed is told', async (t) => {
  const { net, pass, client } = await start(t, { transport: 'websocket' });
  (await net.last.open()).end(1008, 'read-scope-missing: the token may not read: at\u2028all');
  await pass(0);
  assert.deepEqual([client.status.error.code, client.status.error.message], ['read-scope-missing', 'the token may not read: at\u2028all']);
  await pass(20);
  (await net.last.open()).end(1001, 'bye');
  await pass(0);
  assert.deepEqual([client.status.error.code, client.status.error.message], ['connection-lost', 'code 1001']);
});

test('the page wakes: at once where the client waits, and with a short probe where it is connected', async (t) => {
  const page = new EventTarget();
  const document = Object.assign(new EventTarget(), { hidden: false });
  const { addEventListener } = globalThis;
  globalThis.addEventListener = page.addEventListener.bind(page);
  globalThis.document = document;
  t.after(() => {
    globalThis.addEventListener = addEventListener;
    delete globalThis.document;
  });
  const { net, pass, client, view } = await start(t, { transport: 'websocket' });
  for (const wake of [() => page.dispatchEvent(new Event('online')), () => document.dispatchEvent(new Event('visibilitychange'))]) {
    const before = net.all.length;
    net.last.end();
    await pass(0.1);
    assert.equal(net.all.length, before);
    wake();
    await pass(0);
    assert.equal(net.all.length, before + 1);
    (await net.last.open()).show('a');
    await pass(1);
    const { last } = net;
    last.answers = false;
    wake();
    await pass(0);
    assert.equal(last.probes, 1);
    await pass(3.1);
    assert.equal(last.isClosed, true, 'nothing came');
    await pass(1000);
    (await net.last.open()).show('a');
    await pass(1);
  }
  document.hidden = true;
  const { probes } = net.last;
  let flushed = 0;
  view.flush = async () => void flushed++;
  document.dispatchEvent(new Event('visibilitychange'));
  await pass(0);
  assert.deepEqual([net.last.probes, flushed], [probes, 1], 'a page that is hidden keeps what it shows');
  document.hidden = false;
  await client.close();
  const { length } = net.all;
  page.dispatchEvent(new Event('online'));
  await pass(2000);
  assert.equal(net.all.length, length, 'a closed client hears no more of the page');
});

test('a token is asked for before each attempt and goes into the first message; one that ran out is replaced at once', async (t) => {
  let n = 0;
  const { net, pass, client } = await start(t, { transport: 'websocket', token: () => `t${++n}` });
  const first = () => [net.last.url, net.last.sent[0]];
  await net.last.open();
  assert.deepEqual(first(), ['ws://server.example/?auth=message', { type: 'auth', token: 't1' }]);
  assert.equal(client.status.connection, 'connecting', 'whether the token is good is not known yet');
  net.last.say({ success: true });
  net.last.show('a');
  await pass(1);
  net.last.say({ type: 'error', code: 'token-expired', retryable: true, fatal: true });
  await settle();
  net.last.end(1008, 'token-expired: it ran out');
  await pass(0.01);
  assert.equal(net.all.length, 2, 'at once');
  await net.last.open();
  assert.deepEqual(first()[1], { type: 'auth', token: 't2' });
  net.last.end(1008, 'token-expired: it ran out, too');
  await pass(1);
  assert.equal(net.all.length, 2, 'not at once again and again');
  await pass(10);
  assert.equal(net.all.length, 3);
});

test('a token is replaced before it runs out; where that fails, again', async (t) => {
  let n = 0;
  let fails = false;
  const { net, pass, client, now } = await start(t, {
    transport: 'websocket',
    token: () => {
      if (fails) throw new Error('the issuer is away');
      return `t${++n}`;
    },
  });
  const refreshes = () => net.last.sent.filter(({ type }) => type === 'refresh_auth').map(({ token }) => token);
  (await net.last.open()).say({ success: true, expiresAt: now() + 100 });
  await pass(69);
  assert.deepEqual(refreshes(), []);
  await pass(22);
  assert.deepEqual(refreshes(), ['t2']);
  net.last.say({ success: false, error: 'token-invalid-signature' });
  await pass(1);
  assert.equal(client.status.error.code, 'token-invalid-signature');
  await pass(5);
  assert.deepEqual(refreshes(), ['t2', 't3'], 'a refused one');
  net.last.say({ success: true, expiresAt: now() + 100 });
  fails = true;
  await pass(91);
  assert.deepEqual([refreshes().length, client.status.error?.code], [2, 'token-unavailable']);
  fails = false;
  await pass(5.1);
  assert.deepEqual(refreshes(), ['t2', 't3', 't4'], 'one that could not be had');
  net.last.say({ success: true, expiresAt: now() - 100 });
  await pass(1000);
  assert.equal(refreshes().length, 3, 'by a clock that is wrong none is asked for');
});

/** Answers of fetch that the test writes into; `last` is the newest. */
function streams() {
  const all = [];
  const fetch = (url, { headers, signal }) =>
    new Promise((done, fail) => {
      const stream = { url: String(url), headers, signal, isAborted: false };
      signal.addEventListener('abort', () => {
        stream.isAborted = true;
        fail(signal.reason);
      });
      stream.refuse = (status, body) => done(Response.json(body, { status }));
      stream.open = () => {
        const body = new ReadableStream({ start: (controller) => (stream.controller = controller) });
        done(new Response(body, { headers: { 'content-type': 'text/event-stream' } }));
        return stream;
      };
      stream.bytes = (bytes) => stream.controller.enqueue(bytes);
      stream.say = (frame) => stream.bytes(new TextEncoder().encode(`event: x\ndata: ${JSON.stringify(frame)}\n\n`));
      stream.show = (...keys) => {
        stream.say({ op: 'subscribed', mode: 'list', sort: { field: ['key'], order: 'asc' } });
        stream.say({ op: 'snapshot', snapshotId: 's', complete: true, data: keys.map((key) => ({ key, data: { key } })) });
      };
      all.push(stream);
    });
  return { fetch, all, get last() { return all.at(-1); } };
}

/** A client whose sockets do not open, with its first stream. */
async function startStreams(t, options = {}) {
  const web = streams();
  const started = await start(t, { fetch: web.fetch, backoff: { first: 1, most: 1 }, ...options });
  for (let i = 0; i < 2 && !web.all.length; i++) {
    started.net.last?.end();
    await started.pass(1.1);
  }
  await started.pass(0.2);
  assert.equal(web.all.length, 1);
  return { ...started, web };
}

test('an event ends where the server ends it, whatever its text holds', async (t) => {
  const { web, pass, client, view } = await startStreams(t);
  const keys = ['\u2028', '\u2029', '\u0085', '\u000b', '\u000c', '\u001c'].flatMap((end) => [`${end}a`, `a${end}data: b`, `c${end}`, `${end}${end}`]);
  web.last.open().show(...keys);
  await pass(1);
  assert.deepEqual([client.status.connection, view.state.status], ['open', 'live']);
  assert.deepEqual(view.state.rows.map(({ key }) => key).sort(), [...keys].sort());
  assert.deepEqual([...view.state.keys].sort(), [...keys].sort());
});

test('streams where sockets fail to open twice; every other attempt is a socket; after five minutes, too', async (t) => {
  const { net, web, pass, client } = await startStreams(t);
  assert.equal(net.all.length, 2);
  web.last.open().show('a');
  await pass(1);
  assert.deepEqual([client.status.transport, client.status.connection], ['sse', 'open']);
  await pass(290);
  assert.equal(web.last.isAborted, false);
  await pass(20);
  assert.equal(web.last.isAborted, true);
  await pass(1.1);
  assert.equal(net.all.length, 3, 'a WebSocket is tried again');
  net.last.end();
  await pass(2);
  assert.deepEqual([net.all.length, web.all.length], [3, 2], 'and fails again');
  web.last.refuse(503, { code: 'not-ready', message: 'later', retryable: true });
  await pass(2);
  assert.equal(net.all.length, 4);
  (await net.last.open()).show('b');
  await pass(1);
  assert.equal(client.status.transport, 'websocket');
  for (let i = 0; i < 8; i++) {
    assert.deepEqual([net.all.length, web.all.length], [4 + i, 2], 'where sockets did open, a server that is away means little');
    net.last.end();
    await pass(2);
  }
});

test('of several servers each is tried, from the first on and round, before streams are; and why a stream ended is told', async (t) => {
  const web = streams();
  const { net, pass, client } = await start(t, { url: ['http://a.example', 'ws://b.example/stele', 'ws://c.example/'], fetch: web.fetch, backoff: { first: 1, most: 1 } });
  for (let i = 0; i < 4; i++) {
    assert.deepEqual([net.all.length, web.all.length], [i + 1, 0]);
    net.last.end();
    await pass(1.1);
  }
  await pass(0.2);
  assert.deepEqual(net.all.map(({ url }) => url), ['ws://a.example/', 'ws://b.example/stele/', 'ws://c.example/', 'ws://a.example/']);
  assert.match(web.last.url, /^http:\/\/a\.example\/v1\/views\//);
  web.last.open().say({ status: 1013, reason: 'node-behind: this node has the log up to message 2' });
  await pass(0.1);
  assert.equal(client.status.error.code, 'node-behind');
});

test('a batch goes to the server of the connection, and from one that cannot take it to the next', async (t) => {
  const urls = [];
  const { net, pass, client } = await start(t, {
    url: ['ws://a.example', 'ws://b.example'], transport: 'websocket', backoff: { first: 1, most: 1 },
    fetch: (url) => {
      urls.push(String(url));
      const isTaken = urls.length > 2;
      return Promise.resolve(Response.json(isTaken ? { applied: 1 } : { code: 'log-unavailable' }, { status: isTaken ? 200 : 503 }));
    },
  });
  net.last.end();
  await pass(1.1);
  (await net.last.open()).show('a');
  const { done } = await client.enqueue({ export: 'E', key: 'k', patch: {} });
  for (let i = 0; i < 3; i++) await pass(1.1);
  assert.equal((await done).applied, 1);
  assert.deepEqual(urls, ['b', 'a', 'b'].map((name) => `http://${name}.example/v1/mutations`));
});

for (const [what, code, retry] of [['connection', 'too-many-connections', 3600], ['feed', 'queue-full', 3600]]) {
  test(`a server that asks to be left is left, by a ${what}; where all ask, the first of them is waited for`, async (t) => {
    const posts = [];
    const waits = [retry, 0, 60, 0];
    const { net, pass, client } = await start(t, {
      url: ['ws://a.example', 'ws://b.example', 'ws://a.example/'], transport: 'websocket', backoff: { first: 1, most: 1 },
      fetch: (url) => {
        posts.push(new URL(url).host[0]);
        return Promise.resolve(Response.json({ code, retry_after: waits[posts.length - 1] }, { status: 503 }));
      },
    });
    if (what === 'feed') void (await client.enqueue({ export: 'E', key: 'k', patch: {} })).done.catch(() => {});
    await pass(0);
    for (let i = 0; i < 3; i++) {
      if (what === 'connection') {
        net.last.onopen();
        net.last.say({ type: 'error', code, retryable: true, retryAfter: waits[i], fatal: true });
        await settle();
        net.last.end(1013, `${code}: later`);
      }
      await pass(1.1);
    }
    const asked = () => (what === 'feed' ? posts : net.all.map(({ url }) => new URL(url).host[0])).slice(0, 4).join('');
    assert.equal(asked(), 'abb');
    await pass(50);
    assert.equal(asked(), 'abb');
    await pass(12);
    assert.equal(asked(), 'abbb');
  });
}

for (const names of ['ab', 'abcd']) {
  for (const works of names) {
    test(`where WebSockets are blocked, streams of the one server that works are found: ${works} of ${names}`, async (t) => {
      const { net, pass, client } = await start(t, {
        url: [...names].map((name) => `ws://${name}.example`), backoff: { first: 1, most: 1 },
        fetch: (url) => (new URL(url).host[0] === works ? Promise.resolve(new Response(new ReadableStream({}))) : Promise.reject(new Error('down'))),
      });
      for (let i = 0; i < 4 * names.length; i++) {
        net.last.end();
        await pass(1.1);
        if (client.status.transport === 'sse' && client.status.connection === 'connecting') return;
      }
      assert.fail('it was not found');
    });
  }
}

test('a batch that hangs at a server that stopped goes to the next as soon as the connection notices', async (t) => {
  const posts = [];
  const { net, pass, now, client } = await start(t, {
    url: ['ws://a.example', 'ws://b.example'], transport: 'websocket', backoff: { first: 1, most: 1 },
    fetch: (url, { signal }) => {
      posts.push([new URL(url).host[0], Math.floor(now() - begun)]);
      if (posts.length > 1) return Promise.resolve(Response.json({ applied: 1 }));
      return new Promise((_, fail) => signal.addEventListener('abort', () => fail(signal.reason)));
    },
  });
  (await net.last.open()).show('a');
  await pass(0.1);
  net.last.answers = false;
  const begun = now();
  const { done } = await client.enqueue({ export: 'E', key: 'k', patch: {} });
  for (let i = 0; i < 40; i++) await pass(1);
  assert.equal(posts.map(([name]) => name).join(''), 'ab');
  assert.ok(posts[1][1] < 40, `${posts}`);
  assert.equal((await done).applied, 1);
});

/** As much of IndexedDB as the client takes: name → key → value. */
function databases(t) {
  const all = new Map();
  const soon = (result) => {
    const request = { result };
    setImmediate(() => request.onsuccess?.());
    return request;
  };
  const transaction = (kept) => {
    const made = { objectStore: () => ({ get: (key) => soon(kept.get(key)), put: (value, key) => kept.set(key, value), delete: (key) => kept.delete(key) }) };
    setTimeout(() => made.oncomplete(), 20);
    return made;
  };
  globalThis.indexedDB = {
    open(name) {
      if (!all.has(name)) all.set(name, new Map());
      return soon({ transaction: () => transaction(all.get(name)) });
    },
  };
  t.after(() => delete globalThis.indexedDB);
  return all;
}

test('what is kept is that of the list in any order: a batch that waits there is sent; `store` names it', async (t) => {
  const all = databases(t);
  const { Socket } = sockets();
  const client = (options, answer) => new SteleClient({ WebSocket: Socket, fetch: answer, ...options });
  const urls = ['ws://b.example', 'ws://a.example'];
  const one = client({ url: urls }, () => Promise.reject(new Error('down')));
  void (await one.enqueue({ export: 'E', key: 'k', patch: {} })).done.catch(() => {});
  await one.close();
  const sent = new Promise((done) => {
    const other = client({ url: urls.toReversed() }, async (_, { body }) => done(JSON.parse(body).batch) ?? Response.json({ applied: 1 }));
    t.after(() => other.close());
  });
  assert.equal(await Promise.race([sent, new Promise((done) => setTimeout(done, 2000, 'nothing'))]), 1);
  await client({ url: 'ws://a.example', user: 'ann' }).close();
  await client({ url: urls, store: 'quakes' }).close();
  assert.deepEqual([...all.keys()], ['stele ws://a.example/,ws://b.example/ ', 'stele ws://a.example/ ann', 'stele quakes ']);
});

test('a list without a URL is refused, and an object URL is one', async () => {
  const { Socket, all } = sockets();
  assert.throws(() => new SteleClient({ url: [], storage: 'memory', WebSocket: Socket }), TypeError);
  const client = new SteleClient({ url: new URL('http://a.example/x'), storage: 'memory', WebSocket: Socket });
  await settle();
  assert.equal(all[0].url, 'ws://a.example/x/');
  await client.close();
});

test('a stream asks for what the query says', async (t) => {
  const { web, client, pass } = await startStreams(t, { token: () => 'a token' });
  const query = { view: 'E/my list', filters: { a: 'x:y', 'b.c': 5, d: null }, where: { field: 'n', gte: 1 }, sort: ['n', { by: 'm', order: 'desc' }], take: 3, skip: 1, key: 'k&1' };
  client.view(query);
  await pass(0);
  const { pathname, searchParams } = new URL(web.last.url);
  assert.equal(pathname, '/v1/views/E/my%20list/live');
  assert.deepEqual(searchParams.getAll('filter').toSorted(), ['a:"x:y"', 'b.c:5', 'd:null']);
  assert.deepEqual(JSON.parse(searchParams.get('where')), query.where);
  assert.deepEqual(JSON.parse(searchParams.get('sort')), query.sort);
  assert.deepEqual(['take', 'skip', 'key'].map((name) => searchParams.get(name)), ['3', '1', 'k&1']);
  assert.equal(web.last.headers.authorization, 'Bearer a token');
  assert.ok(!web.last.url.includes('token'));
});

test('events of a stream may be cut anywhere, also in a character', async (t) => {
  const { web, view, pass } = await startStreams(t);
  web.last.open();
  const text = `: a comment\n\nid: 1\ndata: ${JSON.stringify({ op: 'subscribed', mode: 'list' })}\n\ndata: ${JSON.stringify({ op: 'snapshot', snapshotId: 's', complete: true, data: [{ key: 'é🎉', data: { text: 'ﬁ🎉' } }] })}\n\n`;
  for (const byte of new TextEncoder().encode(text)) web.last.bytes(Uint8Array.of(byte));
  await pass(1);
  assert.deepEqual([view.state.status, view.state.keys, view.state.rows], ['live', ['é🎉'], [{ text: 'ﬁ🎉' }]]);
});

test('a view that a stream cannot show says so, and the others go on', async (t) => {
  const { web, client, view, pass } = await startStreams(t);
  web.last.open().show('a');
  await pass(1);
  const tape = client.view({ view: 'E/append' });
  const refused = client.view({ view: 'E/nothing' });
  await pass(0);
  web.last.refuse(404, { code: 'view-not-found', message: 'there is none', retryable: false });
  await pass(1);
  assert.deepEqual([tape.state.error?.code, refused.state.error?.code, refused.state.status], ['transport-limit', 'view-not-found', 'ended']);
  const more = ['b', 'c', 'd', 'e', 'f'].map((key) => client.view({ view: 'E/list', key }));
  await pass(1);
  assert.deepEqual(more.map(({ state }) => state.error?.code), [undefined, undefined, undefined, undefined, 'transport-limit']);
  assert.equal(view.state.status, 'live');
  const { length } = web.all;
  more[0].close();
  await pass(1);
  assert.equal(web.all[length - 4].isAborted, true, 'a view that ends ends its stream');
  await pass(40);
  assert.equal(web.all.length, length + 1, 'and the one without one gets its place');
});

for (const [how, end] of [
  ['ends', (stream) => stream.controller.close()],
  ['breaks', (stream) => stream.controller.error(new TypeError('network error'))],
  ['has a fatal error', (stream) => stream.say({ type: 'error', code: 'token-expired', message: 'over', fatal: true, retryable: true })],
]) {
  test(`a stream that ${how} is begun again, and its view is stale until then`, async (t) => {
    const { net, web, view, pass } = await startStreams(t);
    web.last.open().show('a');
    await pass(1);
    end(web.last);
    await pass(0);
    assert.deepEqual([view.state.status, view.state.keys], ['stale', ['a']]);
    await pass(1.2);
    assert.equal(net.all.length, 3, 'by a connection of its own');
    net.last.end();
    await pass(1.2);
    assert.equal(web.all.length, 2);
    web.last.open().show('b');
    await pass(1);
    assert.deepEqual([view.state.status, view.state.keys], ['live', ['b']]);
  });
}

for (const status of [401, 403]) {
  test(`a stream that is refused with ${status}: another token is asked for, the view has not ended`, async (t) => {
    let n = 0;
    const { net, web, view, pass } = await startStreams(t, { token: () => `t${++n}` });
    const { authorization } = web.last.headers;
    web.last.refuse(status, { code: 'token-expired', message: 'over', retryable: false });
    await pass(0);
    assert.notEqual(view.state.status, 'ended');
    await pass(1.2);
    net.last.end();
    await pass(1.2);
    assert.notEqual(web.last.headers.authorization, authorization);
  });
}

test('a new token begins the streams anew', async (t) => {
  let n = 0;
  const { net, web, client, pass } = await startStreams(t, { token: () => `t${++n}` });
  web.last.open().show('a');
  await pass(1);
  const { last } = web;
  await client.refresh();
  await pass(1.2);
  assert.equal(last.isAborted, true);
  net.last.end();
  await pass(1.2);
  assert.notEqual(web.last.headers.authorization, last.headers.authorization);
});

/** A client whose batches go to `answers`, one after the other. */
async function startFeeding(t, answers, options = {}) {
  const posts = [];
  const started = await start(t, {
    backoff: { first: 1, most: 1 },
    ...options,
    fetch: (_, { signal, body }) => {
      posts.push({ at: Date.now() / 1000, body });
      const answer = answers[Math.min(posts.length, answers.length) - 1];
      if (answer) return Promise.resolve(Response.json(answer.body, { status: answer.status }));
      return new Promise((_, fail) => signal.addEventListener('abort', () => fail(signal.reason)));
    },
  });
  const { client, pass } = started;
  const { done } = await client.enqueue({ export: 'E', key: 'k', patch: {} });
  await pass(0);
  return { ...started, posts, done };
}

const APPLIED = { status: 200, body: { applied: 1 } };

test('a batch comes again not before the server wants it', async (t) => {
  const { posts, pass, done } = await startFeeding(t, [{ status: 503, body: { code: 'queue-full', retry_after: 60 } }, APPLIED]);
  await pass(59);
  assert.equal(posts.length, 1);
  await pass(3);
  assert.equal(posts.length, 2);
  assert.equal((await done).applied, 1);
});

test('a batch that gets no answer within a minute comes again', async (t) => {
  const { posts, pass, done } = await startFeeding(t, [null, APPLIED]);
  await pass(58);
  assert.equal(posts.length, 1);
  await pass(3);
  await pass(2);
  assert.equal(posts.length, 2);
  assert.deepEqual(posts[0].body, posts[1].body);
  await done;
});

test('a batch comes again at once when the page wakes', async (t) => {
  const page = new EventTarget();
  const { addEventListener } = globalThis;
  globalThis.addEventListener = page.addEventListener.bind(page);
  t.after(() => (globalThis.addEventListener = addEventListener));
  const { posts, pass, done } = await startFeeding(t, [{ status: 503, body: {} }, APPLIED], { backoff: { first: 500, most: 500 } });
  await pass(10);
  assert.equal(posts.length, 1);
  page.dispatchEvent(new Event('online'));
  await pass(0);
  assert.equal(posts.length, 2);
  await done;
});

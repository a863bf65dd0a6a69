// A client that says who it is in its first message: what it gets, what a refusal looks like, and that
// strangers who never say anything cost little.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import test, { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Browser, browserProgram } from './lib/browser.js';
import { checkFields, refusal } from './lib/error_table.js';
import { http, tryPost } from './lib/feed.js';
import { Server, patience, within } from './lib/server.js';
import { Socket } from './lib/socket.js';
import { bearer, forged, newKey, tokenOf, unixNow } from './lib/token.js';

const key = newKey();
const TOKEN = '0123456789abcdef-static';
const signed = { mode: 'signed', keys: [key.x], tokens: [{ token: TOKEN, scope: 'read write', subject: 'robot' }] };
const serverFor = (t, more = {}, auth = signed) => Server.forTest(t, { config: { exports: { E: {} }, auth, ...more } });

/** A connection that waits to be told who it is: {say, next (a message), closed}. */
async function stranger(t, server, { path = '/?auth=message', ...options } = {}) {
  const socket = await Socket.open(server.ws + path, options);
  t.after(() => socket.destroy());
  const messages = [];
  const waiting = [];
  socket.on('message', (bytes, isText) => {
    const message = { ...JSON.parse(bytes.toString()), isText };
    if (waiting.length) waiting.shift()(message);
    else messages.push(message);
  });
  return {
    socket, closed: socket.closed, messages,
    say: (value) => socket.send(typeof value === 'string' ? value : JSON.stringify(value)),
    next: () => within(messages.length ? Promise.resolve(messages.shift()) : new Promise((done) => waiting.push(done)), 'a message'),
  };
}
const auth = (token) => ({ type: 'auth', token });

async function expectRefused(client, code, status = 1008) {
  const error = await client.next();
  checkFields(error, code);
  assert.deepEqual([error.type, error.fatal, error.isText], ['error', true, true]);
  const end = await within(client.closed, 'the close frame');
  assert.equal(end.code, status);
  assert.ok(end.reason.startsWith(`${code}: `), end.reason);
}

const activeOf = async (server) => {
  const { text } = await http(`${server.healthUrl}/metrics`, { headers: bearer(tokenOf(key, { scope: 'admin' })) });
  return Number(/^stele_connections_active (\d+)$/m.exec(text)[1]);
};

test('a token in the first message is as good as one in the header', async (t) => {
  const server = await serverFor(t);
  assert.equal((await tryPost(server, { export: 'E', key: 'k', patch: { a: 1 } }, bearer(TOKEN))).status, 200);
  for (const token of [tokenOf(key, { exp: unixNow() + 600 }), TOKEN]) {
    const client = await stranger(t, server);
    client.say(auth(token));
    const welcome = await client.next();
    assert.equal(welcome.success, true);
    assert.equal(welcome.isText, true);
    assert.equal(typeof welcome.expiresAt, token === TOKEN ? 'undefined' : 'number');
    client.say({ type: 'subscribe', view: 'E/list' });
    assert.equal((await client.next()).op, 'subscribed');
    assert.equal((await client.next()).data[0].key, 'k');
    client.say({ type: 'refresh_auth', token });
    assert.equal((await client.next()).success, true);
  }
  await server.logged(/handshake-accepted[^\n]*kind=subscriber[^\n]*subject="?user/);
  assert.ok(!server.stderr.includes(TOKEN));
});

test('what is sent behind the first message, without waiting, is for who it is then', async (t) => {
  const server = await serverFor(t);
  const client = await stranger(t, server);
  client.say(auth(tokenOf(key)));
  client.say({ type: 'subscribe', view: 'E/list' });
  client.say({ type: 'auth', token: 'again' });
  assert.equal((await client.next()).success, true);
  const rest = [await client.next(), await client.next(), await client.next()];
  assert.deepEqual(rest.map(({ op, code }) => op ?? code).sort(), ['invalid-message', 'snapshot', 'subscribed']);
});

test('a long message may follow, though the first must be short', async (t) => {
  const server = await serverFor(t, { max_message_bytes: 200_000 });
  const client = await stranger(t, server);
  client.say(auth(tokenOf(key)));
  client.say({ type: 'subscribe', view: 'E/list', pad: 'x'.repeat(100_000) });
  assert.equal((await client.next()).success, true);
  assert.equal((await client.next()).op, 'subscribed');
  const long = await stranger(t, server);
  long.say({ type: 'auth', token: 'x'.repeat(100_000) });
  await expectRefused(long, 'too-large', 1009);
});

test('producers may say it, too', async (t) => {
  const server = await serverFor(t);
  const feeder = await stranger(t, server, { path: '/v1/ingest?auth=message' });
  feeder.say(auth(tokenOf(key)));
  feeder.say({ id: 1, mutations: [{ export: 'E', key: 'k', patch: { a: 1 } }] });
  assert.equal((await feeder.next()).success, true);
  assert.equal((await feeder.next()).ack, 1);
  const reader = await stranger(t, server, { path: '/v1/ingest?auth=message' });
  reader.say(auth(tokenOf(key, { scope: 'read' })));
  const nack = await reader.next();
  assert.equal(nack.nack, null);
  assert.equal(nack.error.code ?? nack.code, 'scope-missing');
  assert.equal((await reader.closed).code, 1008);
});

test('each refusal names its code, and closes', async (t) => {
  const server = await serverFor(t, { allowed_origins: ['https://app.example'] });
  const cases = [
    [auth(tokenOf(newKey())), 'token-key-not-found'],
    [auth(forged(key)), 'token-invalid-signature'],
    [auth(tokenOf(key, { exp: unixNow() - 1 })), 'token-expired'],
    [auth(tokenOf(key, { sub: undefined })), 'token-missing-claim'],
    [auth(tokenOf(key, { origin: 'https://other.example' })), 'origin-mismatch'],
    [auth('nonsense'), 'token-invalid-format'],
    [auth(''), 'token-invalid-format'],
    [auth('a\u0000b'), 'token-invalid-format'],
    [{ type: 'auth' }, 'token-missing'],
    [{ type: 'auth', token: 7 }, 'token-missing'],
    [{ type: 'auth', token: null }, 'token-missing'],
    [{ type: 'subscribe', view: 'E/list' }, 'token-missing'],
    [{ type: 'refresh_auth', token: tokenOf(key) }, 'token-missing'],
    ['{"type":"auth","token":"a"', 'invalid-message'],
    ['[]', 'invalid-message'],
    ['', 'invalid-message'],
  ];
  for (const [message, code] of cases) {
    const client = await stranger(t, server, { headers: { Origin: 'https://app.example' } });
    client.say(message);
    client.say({ type: 'subscribe', view: 'E/list' }); /* is not heard any more */
    await expectRefused(client, code);
    assert.equal(client.messages.length, 0);
  }
  assert.ok((server.stderr.match(/handshake-denied[^\n]*origin="?https:\/\/app\.example/g) ?? []).length > 10);
  /* What the request itself says is judged before, as ever. */
  assert.equal((await refusal(server, { path: '/?auth=message', headers: { Origin: 'https://evil.example' } })).status, 403);
  assert.equal((await refusal(server, { path: `/?auth=message&token=${forged(key)}`, headers: { Origin: 'https://app.example' } })).headers['x-error-code'], 'token-invalid-signature');
  assert.equal((await refusal(server)).headers['x-error-code'], 'token-missing');
  assert.equal((await refusal(server, { path: '/?auth=other' })).headers['x-error-code'], 'token-missing');
});

test('a binary message, and one in many pieces', async (t) => {
  const server = await serverFor(t);
  const binary = await stranger(t, server);
  binary.socket.sendBinary(Buffer.from(JSON.stringify(auth(tokenOf(key)))));
  await expectRefused(binary, 'invalid-message');
  const pieces = await stranger(t, server);
  const text = JSON.stringify(auth(tokenOf(key)));
  pieces.socket.sendFragments([text.slice(0, 5), text.slice(5, 100), text.slice(100)]);
  assert.equal((await pieces.next()).success, true);
});

test('a limit that the token sets is told in the same way', async (t) => {
  const server = await serverFor(t);
  const token = tokenOf(key, { limits: { max_connections: 1 } });
  const one = await stranger(t, server);
  one.say(auth(token));
  assert.equal((await one.next()).success, true);
  const two = await stranger(t, server);
  two.say(auth(token));
  await expectRefused(two, 'connection-limit-exceeded');
});

test('without authentication any first message of this kind will do', async (t) => {
  const server = await serverFor(t, {}, { mode: 'none' });
  const client = await stranger(t, server);
  client.say(auth('whatever'));
  assert.equal((await client.next()).success, true);
  client.say({ type: 'subscribe', view: 'E/list' });
  assert.equal((await client.next()).op, 'subscribed');
});

test('nothing within five seconds is refused, and so is what drips in', async (t) => {
  const server = await serverFor(t);
  const [silent, dripping] = [await stranger(t, server), await stranger(t, server)];
  const start = performance.now();
  const text = JSON.stringify(auth(tokenOf(key)));
  dripping.socket.sendFragments([text.slice(0, 5)], { more: true });
  const drip = setInterval(() => dripping.socket.sendFragments(['x'.repeat(500)], { continues: true, more: true }), 300);
  t.after(() => clearInterval(drip));
  await expectRefused(silent, 'token-missing');
  assert.ok(performance.now() - start > 4_500);
  clearInterval(drip);
  await expectRefused(dripping, 'token-missing');
});

test('of one address, 64 may wait; those let in do not count', async (t) => {
  const server = await serverFor(t, { rate_limiting: 'off' });
  const waiting = [];
  for (let i = 0; i < 64; i++) waiting.push(await stranger(t, server));
  const answer = await refusal(server, { path: '/?auth=message' });
  assert.equal(answer.status, 429);
  assert.equal(answer.headers['x-error-code'], 'connection-limit-exceeded');
  waiting[0].say(auth(tokenOf(key)));
  assert.equal((await waiting[0].next()).success, true);
  await stranger(t, server);
  assert.equal((await refusal(server, { path: '/?auth=message' })).status, 429);
  /* A client with its token in the header has nothing to do with it. */
  const other = await Socket.open(server.ws, { headers: { Authorization: `Bearer ${TOKEN}` } });
  other.destroy();
});

test('who keeps coming with bad tokens learns nothing more, and a good one passes', async (t) => {
  const server = await serverFor(t, { rate_limiting: 'on', rate_handshakes_per_ip: '5/1h', trusted_proxies: '127.0.0.1' });
  const attempt = async (token, address) => {
    const client = await stranger(t, server, { headers: { 'X-Forwarded-For': address } });
    client.say(auth(token));
    return client;
  };
  for (let i = 0; i < 5; i++) await expectRefused(await attempt(forged(key), '10.0.0.1'), 'token-invalid-signature');
  await expectRefused(await attempt(forged(key), '10.0.0.1'), 'rate-limit-exceeded');
  await expectRefused(await attempt(forged(key), '10.0.0.2'), 'token-invalid-signature');
  for (const address of ['10.0.0.1', '10.0.0.2']) assert.equal((await (await attempt(tokenOf(key), address)).next()).success, true);
});

test('a flood from many addresses: who waits longest gives way, and who means it comes in', async (t) => {
  const server = await serverFor(t, { rate_limiting: 'off', trusted_proxies: '127.0.0.1' });
  const flood = [];
  for (let i = 0; i < 1100; i++) {
    const socket = await Socket.open(`${server.ws}/?auth=message`, { headers: { 'X-Forwarded-For': `10.0.${i >> 5}.1` } });
    flood.push(socket);
    if (i % 100 === 50) {
      const client = await stranger(t, server, { headers: { 'X-Forwarded-For': '192.0.2.1' } });
      client.say(auth(tokenOf(key)));
      assert.equal((await client.next()).success, true);
      client.socket.destroy();
    }
  }
  const ends = flood.slice(0, 20).map((socket) => socket.closed);
  for (const end of await within(Promise.all(ends), 'the first ones to go')) assert.ok([1008, 1006].includes(end.code));
  for (const socket of flood) socket.destroy();
  for (const until = Date.now() + patience(20_000); (await activeOf(server)) > 0;) {
    assert.ok(Date.now() < until, 'connections stay');
    await sleep(50);
  }
  assert.ok(server.running);
});

test('those who wait go when the server stops', async (t) => {
  const server = await serverFor(t);
  const client = await stranger(t, server);
  await server.terminate();
  assert.equal((await client.closed).code, 1001);
});

let browser; /* closed when its tabs are */
after(() => browser?.close());

test('a page in a browser sees why it was refused', { skip: browserProgram() ? false : 'no chromium is installed (tools/setup test brings it)' }, async (t) => {
  const site = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<!doctype html><title>page</title>'));
  await new Promise((done) => site.listen(0, '127.0.0.1', done));
  t.after(() => {
    site.closeAllConnections();
    site.close();
  });
  const server = await serverFor(t);
  browser = new Browser(browserProgram());
  const tab = await browser.open(t, `http://127.0.0.1:${site.address().port}/`);
  await tab.until('document.title', (title) => title === 'page', 'the page is there');
  const ask = (path, token) => tab.evaluate(`new Promise((done) => {
    const seen = [];
    const socket = new WebSocket(${JSON.stringify(server.ws + path)});
    socket.onopen = () => socket.send(JSON.stringify({ type: 'auth', token: ${JSON.stringify(token)} }));
    socket.onmessage = ({ data }) => { seen.push(data); if (JSON.parse(data).success) socket.close(1000); };
    socket.onclose = ({ code, reason }) => done({ seen, code, reason });
  })`);
  const refused = await ask('/?auth=message', tokenOf(key, { exp: unixNow() - 1 }));
  assert.equal(JSON.parse(refused.seen[0]).code, 'token-expired');
  assert.equal(refused.code, 1008);
  assert.match(refused.reason, /^token-expired: /);
  const good = await ask('/?auth=message', tokenOf(key));
  assert.equal(JSON.parse(good.seen[0]).success, true);
  assert.equal(good.code, 1000);
  /* A refused handshake tells it nothing, which is why. */
  const blind = await ask('/', tokenOf(key));
  assert.deepEqual([blind.seen, blind.code, blind.reason], [[], 1006, '']);
});

/* ---- clients of version 2 ---- */

test('a client of version 2 is refused, and told of later errors, in the form of version 2', async (t) => {
  const server = await serverFor(t);
  const second = (error, code) => {
    assert.deepEqual([error.type, error.protocolVersion, error.subscriptionId, error.code, error.isText], ['error', 2, null, code, true]);
    assert.equal(typeof error.suggestedAction, 'string');
    assert.ok(!('suggested_action' in error), 'a member of version 1');
  };
  for (const [message, code] of [
    [{ ...auth(forged(key)), protocolVersion: 2 }, 'token-invalid-signature'],
    [{ type: 'subscribe', protocolVersion: 2, subscriptionId: 's', query: { view: 'E/list' } }, 'token-missing'],
  ]) {
    const client = await stranger(t, server);
    client.say(message);
    const error = await client.next();
    second(error, code);
    assert.equal(error.fatal, true);
    const end = await within(client.closed, 'the close frame');
    assert.deepEqual([end.code, end.reason.split(':')[0]], [1008, code]);
  }
  const client = await stranger(t, server);
  client.say({ ...auth(TOKEN), protocolVersion: 2 });
  assert.equal((await client.next()).success, true);
  client.say('no JSON');
  second(await client.next(), 'malformed-message');
  const other = await stranger(t, server);
  other.say(auth(TOKEN));
  assert.equal((await other.next()).success, true);
  other.say('no JSON');
  assert.equal((await other.next()).code, 'invalid-message');
});

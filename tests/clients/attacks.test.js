// What somebody tries who wants more than the server gives: by the bytes of a request, and by its pace.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import test from 'node:test';
import { http } from './lib/feed.js';
import { Raw, ask } from './lib/raw.js';
import { Server, within } from './lib/server.js';
import { bearer, newKey, tokenOf, unixNow } from './lib/token.js';

const READER = 'reader-token-0123456789';
const ADMIN = 'admin-token-0123456789ab';
const UPGRADE = 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n';

test('a line break in a query makes no header', async (t) => {
  const server = await Server.forTest(t, {
    config: {
      allowed_origins: ['https://app.example'], trusted_proxies: '127.0.0.1', proxy_header: 'Forwarded',
      auth: { mode: 'static', tokens: [READER] },
    },
  });
  /* As a proxy passes it on: the query as the client wrote it, the header of its own behind it. */
  const handshake = (path) => ask(server.port, `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${UPGRADE}Forwarded: for=192.0.2.1\r\n\r\n`);
  assert.equal((await handshake(`/?token=${READER}`)).status, 101);
  await server.logged(/handshake-accepted client=192\.0\.2\.1 /);
  for (const path of [
    `/?token=${READER}%0aForwarded:for=198.51.100.9;x=`, `/?token=${READER}%0d%0aForwarded:for=198.51.100.9;x=`,
    `/?token=${READER}%0aOrigin:https://app.example`, `/?x=1%0aAuthorization:Bearer%20${READER}`, `/%0aForwarded:for=198.51.100.9`,
    `/?token=${READER}%0d%0a%0d%0a`, `/?token=${READER}%0d`,
  ]) {
    const { status, text } = await handshake(path);
    assert.equal(status, 401, `${path}: ${text}`);
  }
  /* Nor does one hide the request behind it. */
  for (const [port, path] of [[server.healthPort, '/health?%0aContent-Length:100'], [server.port, `/v1/views?x=%0aContent-Length:100`]]) {
    const raw = new Raw(port);
    raw.send(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\nGET /second HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    const { text } = await raw.answer(/^HTTP[^]*HTTP\/1\.1 404/);
    assert.match(text, /HTTP\/1\.1 404/);
  }
  assert.doesNotMatch(server.stderr, /198\.51\.100\.9/);
});

test('more connections than there is room for are closed, and harm nobody', async (t) => {
  const server = await Server.forTest(t, { config: { max_connections: 10 }, wrap: ['sh', '-c', 'ulimit -n 8192 && exec "$0" "$@"'] });
  const held = [];
  t.after(() => held.forEach((tcp) => tcp.destroy()));
  const refused = async () => Number(/^stele_connections_refused_total (\d+)/m.exec((await server.get('/metrics')).text)[1]);
  for (let i = 0; i < 8 && (i < 7 || (await refused()) === 0); i++) {
    await Promise.all(Array.from({ length: 200 }, () => within(new Promise((done) => {
      const tcp = connect(server.port, '127.0.0.1', done);
      tcp.on('error', done);
      held.push(tcp);
    }), 'a connection')));
  }
  assert.ok((await refused()) > 0, 'there was room for all of them');
  assert.equal((await server.get('/health')).text, 'OK');
  assert.match(server.stderr, /too-many-connections/);
  held.splice(0).forEach((tcp) => tcp.destroy());
  const handshake = () => ask(server.port, `GET / HTTP/1.1\r\nHost: localhost\r\n${UPGRADE}\r\n`);
  const opened = async () => {
    while ((await handshake()).status !== 101) await new Promise((done) => setTimeout(done, 50));
  };
  await within(opened(), 'a handshake after the others have gone');
  await server.terminate();
});

for (const [what, claims, meanwhile] of [
  ['runs out', { exp: unixNow() + 2 }, () => within(new Promise((done) => setTimeout(done, 2500)), 'the end')],
  ['is revoked', { jti: 'stolen' }, (server) => http(`${server.http}/v1/revocations`, { method: 'POST', headers: bearer(ADMIN), body: '{"jti":"stolen"}' })],
]) {
  test(`a token that ${what} before the body is complete feeds nothing`, async (t) => {
    const key = newKey();
    const server = await Server.forTest(t, { config: { auth: { mode: 'signed', keys: [key.x], tokens: [{ token: ADMIN, scope: 'admin' }, READER] } } });
    const body = JSON.stringify({ export: 'E', key: 'k', patch: { n: 1 } });
    const exp = claims.exp ? { exp: unixNow() + 2 } : {};
    const raw = new Raw(server.port);
    raw.send(`POST /v1/mutations HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${tokenOf(key, { ...claims, ...exp })}\r\nExpect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`);
    await raw.proceeds();
    raw.send(body.slice(0, 5));
    await meanwhile(server);
    raw.send(body.slice(5));
    const { status, code, text } = await raw.answer(/\r\n\r\n\{[^]*\}/);
    assert.deepEqual([status, code], [401, 'token-expired'], text);
    const rows = await http(`${server.http}/v1/views`, { headers: bearer(READER) });
    assert.doesNotMatch(rows.text, /"rows":[1-9]/);
    assert.doesNotMatch(server.stderr, /eyJ/);
  });
}

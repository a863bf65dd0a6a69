// Who is not meant to come in: pages of the web through a developer's browser, names that point
// elsewhere; and what proxies in front do to paths.

import assert from 'node:assert/strict';
import test from 'node:test';
import { ask } from './lib/raw.js';
import { Server } from './lib/server.js';

const UPGRADE = 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n';
const get = (port, path, headers) => ask(port, `GET ${path} HTTP/1.1\r\n${headers}\r\n`);
const TOKEN = 'token-0123456789abcdef';

/** What each of a server's doors says to these headers: [status, code] of both ports and a handshake. */
async function doors(server, headers, path = '') {
  const answers = [
    await get(server.port, `${path}/v1/views`, headers),
    await get(server.healthPort, '/metrics', headers),
    await get(server.healthPort, '/health', headers),
    await get(server.port, `${path}/`, headers + UPGRADE),
    await ask(server.port, `POST ${path}/v1/mutations HTTP/1.1\r\n${headers}Content-Length: 0\r\n\r\n`),
  ];
  return answers.map(({ status, code }) => (code ? `${status} ${code}` : String(status)));
}
const OPEN = ['200', '200', '200', '101', '200'];
const all = (answer) => Array(5).fill(answer);

test('pages of other sites do not reach a server without authentication on this machine', async (t) => {
  const server = await Server.forTest(t, {});
  const local = `Host: 127.0.0.1:${server.port}\r\n`;
  for (const origin of ['http://localhost:3000', 'https://localhost', 'http://127.0.0.1:5173', 'http://[::1]:80', 'http://app.localhost', 'http://LOCALHOST:1'])
    assert.deepEqual(await doors(server, `${local}Origin: ${origin}\r\n`), OPEN, origin);
  for (const origin of ['https://evil.example', 'null', 'http://localhost.evil.example', 'http://127.0.0.1.evil.example', 'http://evillocalhost', 'file://', 'http://128.0.0.1', 'x'])
    assert.deepEqual(await doors(server, `${local}Origin: ${origin}\r\n`), all('403 origin-mismatch'), origin);
  const preflight = await ask(server.port, `OPTIONS /v1/mutations HTTP/1.1\r\n${local}Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n`);
  assert.equal(preflight.status, 403);
  assert.match(preflight.text, /^X-Content-Type-Options: nosniff\r$/m);
  assert.match(preflight.text, /^Cross-Origin-Resource-Policy: same-origin\r$/m);
});

test('a name that somebody lets point to this machine is not its name', async (t) => {
  const server = await Server.forTest(t, { config: { allowed_hosts: ['stele.internal', '192.0.2.1'] } });
  for (const host of ['localhost', 'LocalHost:8877', 'localhost.', 'a.localhost:1', '127.0.0.1', '127.9.8.7:80', '[::1]:8877', 'stele.internal', 'STELE.internal:1', '192.0.2.1:80'])
    assert.deepEqual(await doors(server, `Host: ${host}\r\n`), OPEN, host);
  for (const host of ['evil.example', 'evil.example:8877', 'localhost.evil.example', '127.0.0.1.evil.example', '192.0.2.2', 'stele.internal.evil', '[::2]', ''])
    assert.deepEqual(await doors(server, `Host: ${host}\r\n`), all('403 host-not-allowed'), host);
  assert.equal((await ask(server.healthPort, 'GET /health HTTP/1.0\r\n\r\n')).status, 200);
  /* A target that names a host names it in place of Host. */
  for (const [target, host, status] of [['http://evil.example', 'localhost', 403], ['http://localhost:1', 'evil.example', 200], ['http://[::1]', '[::1]', 200]])
    assert.equal((await get(server.port, `${target}/v1/views`, `Host: ${host}\r\n`)).status, status, target);
});

test('with authentication only allowed_hosts and allowed_origins judge, where they are set', async (t) => {
  const auth = { mode: 'static', tokens: [{ token: TOKEN, scope: 'read write admin' }] };
  const server = await Server.forTest(t, { config: { auth } });
  const bearer = `Authorization: Bearer ${TOKEN}\r\n`;
  assert.deepEqual(await doors(server, `Host: any.example\r\nOrigin: https://any.example\r\n${bearer}`), OPEN);
  await server.reload({ auth, allowed_hosts: 'stele.example.com, other.example' });
  assert.deepEqual(await doors(server, `Host: other.example:443\r\nOrigin: https://any.example\r\n${bearer}`), OPEN);
  assert.deepEqual(await doors(server, `Host: any.example\r\n${bearer}`), all('403 host-not-allowed'));
  assert.deepEqual(await doors(server, `Host: localhost\r\n${bearer}`), all('403 host-not-allowed'));
});

test('a proxy may leave its path in front, or take it off', async (t) => {
  const server = await Server.forTest(t, { config: { base_path: '/a/stele', exports: { E: {} } } });
  const host = 'Host: localhost\r\n';
  assert.deepEqual(await doors(server, host), OPEN);
  assert.deepEqual(await doors(server, host, '/a/stele'), OPEN);
  assert.equal((await get(server.port, '/a/stelex/v1/views', host)).status, 404);
  assert.match((await get(server.port, '/v1/views', host)).text, /"url":"\/a\/stele\/v1\/views\/E\/list"/);
  /* The producers' path is theirs with a slash at its end, too. */
  for (const path of ['/v1/ingest', '/v1/ingest/', '/a/stele/v1/ingest/'])
    assert.equal((await get(server.port, path, host + UPGRADE)).status, 101);
  await server.logged(/handshake-accepted [^\n]*kind=ingest[^\n]*\n[^]*kind=ingest[^\n]*\n[^]*kind=ingest/);
});

test('a path is one path: an escaped slash belongs to a name or is refused', async (t) => {
  const server = await Server.forTest(t, { config: { base_path: '/a/stele', exports: { E: {} } } });
  const host = 'Host: localhost\r\n';
  for (const base of ['', '/a/stele']) {
    for (const path of ['/v1/views/E%2Flist', '/v1/views/E%2flist?take=1', '/v1/views/%45/list'])
      assert.equal((await get(server.port, base + path, host)).status, 200, base + path);
    for (const path of ['/v1%2Fviews', '/v1/views%2FE/list', '/v1%2fproducers', '/v1/revocations%2F', '%2Fv1/views', '/%2Fv1/views', '/v1/producers%2Fp'])
      assert.equal((await get(server.port, base + path, host)).status, 400, base + path);
    for (const path of ['/v1%2Fingest', '/v1/ingest%2F']) assert.equal((await get(server.port, base + path, host + UPGRADE)).status, 400, base + path);
  }
  for (const path of ['/a%2Fstele/v1/views', '/a/stele%2Fv1/views', '/a%2Fstele', '/a/stele%2F'])
    assert.equal((await get(server.port, path, host)).status, 400, path);
  assert.equal((await get(server.healthPort, '/ready%2Fwrite', host)).status, 400);
});

test('handshakes that are not in order are refused with the reason', async (t) => {
  const server = await Server.forTest(t, {});
  const host = 'Host: localhost\r\n';
  const shake = (first, headers) => ask(server.port, `${first}\r\n${host}${headers}\r\n`);
  const key = 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n';
  const both = 'Upgrade: websocket\r\nConnection: Upgrade\r\n';
  for (const [what, first, headers, status] of [
    ['good', 'GET / HTTP/1.1', `${both}${key}Sec-WebSocket-Version: 13\r\n`, 101],
    ['a subprotocol that is not ours', 'GET / HTTP/1.1', `${both}${key}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, v2\r\n`, 101],
    ['old version', 'GET / HTTP/1.1', `${both}${key}Sec-WebSocket-Version: 8\r\n`, 426],
    ['no version', 'GET / HTTP/1.1', `${both}${key}`, 426],
    ['POST', 'POST / HTTP/1.1', `${both}${key}Sec-WebSocket-Version: 13\r\nContent-Length: 0\r\n`, 400],
    ['HTTP/1.0', 'GET / HTTP/1.0', `${both}${key}Sec-WebSocket-Version: 13\r\n`, 400],
    ['no Connection', 'GET / HTTP/1.1', `Upgrade: websocket\r\n${key}Sec-WebSocket-Version: 13\r\n`, 400],
    ['no key', 'GET / HTTP/1.1', `${both}Sec-WebSocket-Version: 13\r\n`, 400],
    ['short key', 'GET / HTTP/1.1', `${both}Sec-WebSocket-Key: AAAA\r\nSec-WebSocket-Version: 13\r\n`, 400],
    ['key with stray bits', 'GET / HTTP/1.1', `${both}Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAB==\r\nSec-WebSocket-Version: 13\r\n`, 400],
    ['two keys', 'GET / HTTP/1.1', `${both}${key}${key}Sec-WebSocket-Version: 13\r\n`, 400],
    ['another upgrade', 'GET /v1/views HTTP/1.1', 'Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\n', 200],
    ['an upgrade to TLS', 'GET /v1/views HTTP/1.1', 'Upgrade: TLS/1.0\r\nConnection: Upgrade\r\n', 200],
  ]) {
    const answer = await shake(first, headers);
    assert.equal(answer.status, status, `${what}: ${answer.text}`);
    if (status === 426) assert.match(answer.text, /^Sec-WebSocket-Version: 13\r$/m);
    if (status >= 400) assert.match(answer.text, /^Connection: close\r$/m);
  }
});

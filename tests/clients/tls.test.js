// TLS in the server itself: what it speaks, that nothing is lost or held up under it, and that a
// certificate is exchanged beneath live connections.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect as connectTcp } from 'node:net';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { connect as connectTls } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { HyperStack } from 'hyperstack-typescript';
import WebSocket from 'ws';
import { Applier } from './lib/applier.js';
import { Client } from './lib/client.js';
import { Ingest, http } from './lib/feed.js';
import { Server, eventually, patience, run, scratch, sqlView, within } from './lib/server.js';
import { makeChain, makePair } from './lib/tls.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));

/** A server with a certificate, and what its clients need to trust it. */
async function secure(t, options = {}) {
  const folder = scratch(t);
  const pair = options.pair ?? (await makePair(folder, 'own', options));
  const server = await Server.forTest(t, { db: join(folder, 'stele.db'), ...options, set: { ...pair.settings, ...options.set } });
  return { folder, pair, server, tls: { ca: pair.pem } };
}

/** A finished handshake: {protocol, cipher, alpn, peer (the certificate's CN)}; rejects without one. */
function handshake(server, options) {
  return within(
    new Promise((done, fail) => {
      const socket = connectTls({ host: '127.0.0.1', port: Number(server.port), ...options }, () => {
        done({ protocol: socket.getProtocol(), cipher: socket.getCipher().name, alpn: socket.alpnProtocol, peer: socket.getPeerCertificate().subject.CN });
        socket.destroy();
      });
      socket.on('error', fail);
    }),
    'a TLS handshake',
  );
}

test('the clients, HTTP and the commands work as without it', async (t) => {
  const { server, pair, tls } = await secure(t);
  assert.match(server.ready, /^wss:\/\/127\.0\.0\.1:\d+ health http:/);
  const answer = await http(`${server.http}/v1/mutations`, { method: 'POST', body: JSON.stringify(m('a', { n: 1 })), tls });
  assert.equal(answer.status, 200, answer.text);
  const lines = range(3000, (i) => JSON.stringify(m(`k${i}`, { n: i, pad: 'x'.repeat(100) }))).join('\n');
  const fed = await run(['ingest', '--url', server.ws, '--ca', pair.certificate], { input: lines });
  assert.equal(fed.code, 0, fed.stderr);
  const client = await Client.open(server, { tls });
  t.after(() => client.destroy());
  const { rows } = await client.open('E/list');
  assert.equal(rows.size, 3001);
  await run(['ingest', '--url', server.http, '--ca', pair.certificate], { input: JSON.stringify(m('a', { n: 2 })) });
  assert.equal((await client.expect('patch')).data.n, 2);
  const seen = await run(['subscribe', '--url', server.ws, '--ca', pair.certificate, '--key', 'a', '--count', '2', 'E/list']);
  assert.match(seen.stdout, /"op":"snapshot".*"n":2/);
  const view = await http(`${server.http}/v1/views/E/list?take=3`, { tls });
  assert.equal(view.status, 200, view.text);
});

test('a request that waits goes when its client does, in order or not, and whatever it sent ahead', async (t) => {
  const { server, tls } = await secure(t, { set: { max_connections: 2 } });
  const fed = await http(`${server.http}/v1/mutations`, { method: 'POST', body: JSON.stringify(m('a', { n: 1 })), tls });
  const path = (wait) => `/v1/views/E/list?wait=${wait}&after=${fed.json.seq}`;
  const probe = async () => (await http(server.http + path(1), { tls })).status;
  const request = `GET ${path(60)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
  for (const [leave, ahead] of [['end', ''], ['destroy', ''], ['end', 'GET /v1/views HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'], ['destroy', 'GET /v1/views HTTP']]) {
    const sockets = range(2, () => connectTls({ host: '127.0.0.1', port: Number(server.port), ...tls }).on('error', () => {}));
    t.after(() => sockets.forEach((socket) => socket.destroy()));
    for (const socket of sockets) socket.write(request + ahead);
    while ((await probe()) !== 429);
    for (const socket of sockets) socket[leave]();
    await eventually(async () => (await probe()) !== 429, `they are gone: ${leave}, ${ahead}`, 300);
  }
});

test('a client that sends ahead of an answer for which it waits gets both answers under TLS', async (t) => {
  const { server, tls } = await secure(t);
  const fed = await http(`${server.http}/v1/mutations`, { method: 'POST', body: JSON.stringify(m('a', { n: 1 })), tls });
  const socket = connectTls({ host: '127.0.0.1', port: Number(server.port), ...tls });
  t.after(() => socket.destroy());
  let text = '';
  const both = new Promise((done) => {
    socket.setEncoding('utf8').on('data', (part) => {
      text += part;
      if (text.includes('"views":[') && text.includes('E/state')) done();
    });
  });
  socket.write(`GET /v1/views/E/list?wait=60&after=${fed.json.seq} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
  socket.write('GET /v1/views HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  while (!/^stele_subscriptions_active 1$/m.test((await server.get('/metrics')).text));
  await http(`${server.http}/v1/mutations`, { method: 'POST', body: JSON.stringify(m('b', { n: 1 })), tls });
  await within(both, 'both answers');
  assert.match(text, /"rows":\[[^\]]*"key":"b"/);
});

test('the published client', async (t) => {
  const { server, tls } = await secure(t);
  globalThis.WebSocket = class extends WebSocket {
    constructor(url) {
      super(url, tls);
      this.binaryType = 'arraybuffer';
    }
  };
  const feed = await Ingest.open(server, { tls });
  await feed.send({ mutations: range(700, (i) => m(`k${i}`, { i, pad: 'y'.repeat(80) })) });
  const stack = { name: 's', views: { E: { list: { mode: 'list', view: 'E/list' } } } };
  const client = await HyperStack.connect(stack, { url: server.ws, maxEntriesPerView: null });
  t.after(() => client.disconnect());
  client.getSubscriptionRegistry().subscribe({ view: 'E/list' });
  await feed.send({ mutations: [m('k0', { i: -1 }), { export: 'E', key: 'k1', op: 'delete' }] });
  const until = Date.now() + patience(20_000);
  for (;;) {
    const keys = client.store.keys('E/list');
    if (keys.length === 699 && client.store.get('E/list', 'k0').i === -1) break;
    assert.ok(Date.now() < until, `the store holds ${keys.length} rows`);
    await new Promise((done) => setTimeout(done, 5));
  }
  feed.destroy();
});

test('TLS 1.2 and 1.3 with good ciphers, and HTTP/1.1 whatever is offered', async (t) => {
  const { server, tls } = await secure(t);
  const newest = await handshake(server, { ...tls, ALPNProtocols: ['h2', 'http/1.1'] });
  assert.equal(newest.protocol, 'TLSv1.3');
  assert.equal(newest.alpn, 'http/1.1');
  const older = await handshake(server, { ...tls, maxVersion: 'TLSv1.2' });
  assert.match(older.cipher, /^ECDHE-.*(GCM|CHACHA20)/);
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' };
  await assert.rejects(handshake(server, { ...tls, ...old }), /protocol version|handshake|no protocols|unsupported/i);
  for (const ciphers of ['AES128-SHA', 'AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-SHA256', 'ECDHE-ECDSA-AES128-SHA'])
    await assert.rejects(handshake(server, { ...tls, maxVersion: 'TLSv1.2', ciphers }), /handshake failure/i, ciphers);
});

test('without TLS nobody comes in; health is plain unless it is told otherwise', async (t) => {
  const { server, tls } = await secure(t);
  assert.equal((await http(`http://127.0.0.1:${server.port}/v1/views`)).status, 400); /* it is told why */
  assert.equal((await server.get('/ready')).text, 'READY');
  await assert.rejects(http(`https://127.0.0.1:${server.healthPort}/ready`, { tls }));
  const other = await secure(t, { set: { health_tls: true } });
  assert.match(other.server.ready, /health https:/);
  assert.equal((await http(`${other.server.healthUrl}/ready`, { tls: other.tls })).text, 'READY');
  assert.equal((await http(`http://127.0.0.1:${other.server.healthPort}/ready`)).status, 400);
  await other.server.terminate();
  await server.terminate();
});

test('a chain leads to its authority', async (t) => {
  const chain = await makeChain(scratch(t), 'chain');
  const { server, tls } = await secure(t, { pair: chain });
  assert.equal((await handshake(server, tls)).peer, 'chain own');
  const seen = await run(['subscribe', '--url', `wss://localhost:${server.port}`, '--ca', chain.authority, '--count', '1', 'No/none']);
  assert.match(seen.stderr, /view-not-found/);
});

test('a new certificate, of another kind, beneath live connections', async (t) => {
  const folder = scratch(t);
  const first = await makePair(folder, 'first');
  const second = await makePair(folder, 'second', { kind: 'rsa' });
  const third = await makePair(folder, 'third', { kind: 'ed25519' });
  const files = { tls_certificate: join(folder, 'live.pem'), tls_key: join(folder, 'live.key') };
  const place = ({ certificate, key }) => {
    copyFileSync(certificate, files.tls_certificate);
    copyFileSync(key, files.tls_key);
  };
  place(first);
  const { server } = await secure(t, { pair: { settings: files, pem: first.pem } });
  const client = await Client.open(server, { tls: { ca: first.pem } });
  t.after(() => client.destroy());
  const feed = await Ingest.open(server, { tls: { ca: first.pem } });
  await feed.send({ mutations: [m('a', { n: 0 })] });
  await client.open('E/list');

  let n = 0;
  const both = async () => {
    await feed.send({ mutations: [m('a', { n: ++n })] });
    assert.equal((await client.expect('patch')).data.n, n);
  };
  for (const [pair, name] of [[second, 'second'], [third, 'third'], [first, 'first']]) {
    place(pair);
    await both();
    assert.match(await server.reload(), new RegExp(`tls certificate subject="CN=${name} `));
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'])
      assert.equal((await handshake(server, { ca: pair.pem, maxVersion })).peer, name);
    await both();
  }

  /* A bad pair changes nothing. */
  copyFileSync(second.certificate, files.tls_certificate);
  assert.match(await server.reload(), /configuration-refused .*tls_key.*live\.key: is not the key of the certificate/);
  writeFileSync(files.tls_certificate, 'nothing');
  assert.match(await server.reload(), /configuration-refused .*tls_certificate.*live\.pem: holds no certificate/);
  assert.equal((await handshake(server, { ca: first.pem })).peer, 'first');
  await both();
  feed.destroy();
});

test('what is wrong with the files is said at the start', async (t) => {
  const folder = scratch(t);
  const pair = await makePair(folder, 'a');
  const other = await makePair(folder, 'b');
  const db = join(folder, 'stele.db');
  const refused = async (set, pattern) => {
    const { code, stderr } = await Server.refused({ db, set });
    assert.equal(code, 1);
    assert.match(stderr, pattern);
  };
  await refused({ tls_key: pair.key }, /"tls_key" needs "tls_certificate" beside it/);
  await refused({ ...pair.settings, tls_certificate: join(folder, 'none') }, /tls_certificate.*none: cannot be opened: No such file/);
  await refused({ ...pair.settings, tls_key: other.key }, /tls_key.*b\.key: is not the key of the certificate/);
  await refused({ ...pair.settings, tls_key: pair.certificate }, /tls_key.*holds no private key/);
  await refused({ health_tls: true }, /"health_tls" needs a certificate/);
  const locked = join(folder, 'locked.key');
  await run(['pkey', '-in', pair.key, '-aes128', '-passout', 'pass:secret', '-out', locked], { program: 'openssl' });
  await refused({ ...pair.settings, tls_key: locked }, /tls_key.*is locked with a passphrase/);
  for (const kind of ['short', 'bitcoin']) {
    const { settings } = await makePair(folder, kind, { kind });
    await refused(settings, /tls_certificate.*no client could connect with it/);
    const { code, stderr } = await run(['serve', '--check-config', '--db', db, '--set', `tls_certificate=${settings.tls_certificate}`, '--set', `tls_key=${settings.tls_key}`]);
    assert.notEqual(code, 0);
    assert.match(stderr, /no client could connect/);
  }
  for (const extension of ['extendedKeyUsage=clientAuth', 'keyUsage=critical,keyCertSign']) {
    const { settings } = await makePair(folder, 'purpose', { extensions: [extension] });
    await refused(settings, /tls_certificate.*no client could connect with it.*not for TLS servers/);
  }
  for (const extension of ['extendedKeyUsage=clientAuth,serverAuth', 'keyUsage=digitalSignature']) {
    const { settings, pem } = await makePair(folder, 'purpose', { extensions: [extension] });
    const server = await Server.forTest(t, { set: settings });
    assert.equal((await handshake(server, { ca: pem })).peer, 'purpose', extension);
  }
  const soon = await secure(t, { days: 2 });
  await soon.server.logged(/warning tls certificate .*expires soon/);
});

test('a client trusts only whom it was told to, and the right name', async (t) => {
  const { server, pair, folder } = await secure(t, { names: ['DNS:localhost'] });
  const other = await makePair(folder, 'other');
  const subscribe = (...args) => run(['subscribe', ...args, 'E/none']);
  const unknown = await subscribe('--url', `wss://localhost:${server.port}`);
  assert.match(unknown.stderr, /certificate is not trusted: .*self-signed.*--ca/);
  assert.equal(unknown.code, 1);
  assert.match((await subscribe('--url', `wss://localhost:${server.port}`, '--ca', other.certificate)).stderr, /not trusted/);
  assert.match((await subscribe('--url', `wss://127.0.0.1:${server.port}`, '--ca', pair.certificate)).stderr, /IP address mismatch/);
  assert.match((await subscribe('--url', `wss://localhost:${server.port}`, '--ca', join(folder, 'none'))).stderr, /none: cannot be opened/);
  assert.match((await subscribe('--url', `wss://localhost:${server.port}`, '--ca', pair.certificate)).stderr, /view-not-found/);
});

test('a token goes along as a header, read anew from its file for each connection', async (t) => {
  const seen = [];
  const recorder = createServer((request, answer) => {
    seen.push(request.headers.authorization);
    answer.writeHead(503, { 'X-Error-Code': 'shutting-down' }).end();
  });
  recorder.on('upgrade', (request, socket) => {
    seen.push(request.headers.authorization);
    if (seen.length === 1) writeFileSync(file, 'second\n');
    socket.end('HTTP/1.1 503 Service Unavailable\r\nX-Error-Code: shutting-down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
  });
  recorder.listen(0, '127.0.0.1');
  await once(recorder, 'listening');
  t.after(() => recorder.close());
  const file = join(scratch(t), 'token');
  writeFileSync(file, 'first\n');
  const url = `ws://127.0.0.1:${recorder.address().port}`;
  const { code, stderr } = await run(['subscribe', '--url', url, '--token-file', file, '--follow', '--patience', '1', 'E/list']);
  assert.equal(code, 1);
  assert.match(stderr, /HTTP status 503: shutting-down/);
  assert.deepEqual(seen.slice(0, 2), ['Bearer first', 'Bearer second']);
  seen.length = 0;
  await run(['ingest', '--url', url, '--patience', '0'], { input: '{}', env: { STELE_TOKEN: 'third' } });
  assert.deepEqual(seen, ['Bearer third']);
  writeFileSync(file, 'two words');
  assert.match((await run(['subscribe', '--url', url, '--token-file', file, 'E/list'])).stderr, /more than one token/);
  assert.match((await run(['subscribe', '--url', 'ws://192.0.2.1.invalid:1', 'E/list'], { env: { STELE_TOKEN: 'x' } })).stderr, /token is sent unencrypted/);
});

/* What TLS has decoded already must be read when reading goes on, though the socket has nothing new. */
test('large requests over one connection, paused and resumed by a full queue', async (t) => {
  const { server, tls } = await secure(t, { set: { queue_bytes: 300_000 } });
  const feed = await Ingest.open(server, { tls });
  const answers = range(150, (i) =>
    feed.send({ producer: 'p', batch: i + 1, mutations: range(20, (j) => m(`k${i}-${j}`, { pad: 'z'.repeat(1000 + ((i * 37 + j) % 4000)) })) }),
  );
  const acks = await within(Promise.all(answers), 'the answers to all requests', 60_000);
  assert.equal(acks.reduce((sum, ack) => sum + ack.applied, 0), 3000);
  assert.equal((await sqlView(server.db, 'E/list')).size, 3000);
  const body = range(1500, (i) => JSON.stringify(m(`p${i}`, { pad: 'q'.repeat(4000) }))).join('\n');
  const answer = await http(`${server.http}/v1/mutations`, { method: 'POST', body: body.slice(0, body.lastIndexOf('\n', 250_000)), tls });
  assert.equal(answer.status, 200, answer.text);
  feed.destroy();
});

test('who does not read is served when it does, from bytes that a record was cut off in', async (t) => {
  const { server, tls } = await secure(t);
  const client = await Client.open(server, { tls });
  t.after(() => client.destroy());
  const feed = await Ingest.open(server, { tls });
  await feed.send({ mutations: [m('k0', { n: 0 })] });
  await client.open('E/list');
  client.socket.pause();
  const applier = new Applier();
  for (let round = 0; round < 40; round++)
    await feed.send({ mutations: range(200, (i) => m(`k${i}`, { n: round, pad: String(round).padStart(700, 'p') })) });
  client.socket.resume();
  const until = Date.now() + patience(30_000);
  while (applier.rows.get('k199')?.n !== 39) {
    assert.ok(Date.now() < until, 'the last round was not seen');
    applier.apply(await client.next('a frame'));
  }
  const rows = await sqlView(server.db, 'E/list');
  for (const [key, row] of rows) if (applier.rows.has(key)) assert.deepEqual(applier.rows.get(key), JSON.parse(row.data), key);
  feed.destroy();
});

test('who begins a handshake and does not go on is cut off, and disturbs nobody', async (t) => {
  const { server, tls } = await secure(t);
  const began = Date.now();
  const idle = range(50, () => connectTcp({ host: '127.0.0.1', port: Number(server.port) }));
  idle.forEach((socket, i) => i % 2 && socket.write(Buffer.from([0x16, 0x03, 0x01, 0x02])));
  const closed = idle.map((socket) => once(socket.resume(), 'close'));
  idle.forEach((socket) => socket.on('error', () => {}));
  assert.equal((await handshake(server, tls)).protocol, 'TLSv1.3');
  await within(Promise.all(closed), 'the end of those that do not go on', 60_000);
  assert.ok(Date.now() - began > 5_000, 'not before their time');
  assert.equal((await handshake(server, tls)).protocol, 'TLSv1.3');
  await server.terminate();
});

/** Another test file, with every server of it speaking TLS. */
async function overTls(t, file, env) {
  const folder = join(scratch(t), 'tls');
  mkdirSync(folder);
  const pair = await makePair(folder, 'own');
  copyFileSync(pair.certificate, join(folder, 'certificate.pem'));
  copyFileSync(pair.key, join(folder, 'key.pem'));
  const child = spawn(process.execPath, ['--test-reporter=tap', file], {
    cwd: dirname(fileURLToPath(import.meta.url)), /* where the packages are */
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_TEST_CONTEXT: '', STELE_TLS: folder, NODE_EXTRA_CA_CERTS: join(folder, 'certificate.pem'), ...env },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text));
  const [code] = await within(once(child, 'exit'), `the end of ${file}`, 300_000);
  assert.equal(code, 0, said.slice(-5000));
  assert.match(said, /^# pass [1-9]/m, said.slice(-2000));
}

test('clients that are cut off anywhere converge over TLS, too', (t) => overTls(t, 'convergence.test.js', { STELE_SEEDS: '4', STELE_SEED: '901' }));

test('subscribers that never read cost as little over TLS', (t) =>
  overTls(t, 'slow.test.js', { STELE_STALLED: '60', STELE_FEED: '20000', STELE_ROUNDS: '4' }));

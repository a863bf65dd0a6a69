// Texts that say what to do: names that were misspelt, the wrong port, the wrong scheme, limits of the process.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import test from 'node:test';
import { clientFor } from './lib/client.js';
import { http, post, tryPost } from './lib/feed.js';
import { ask } from './lib/raw.js';
import { BINARY, Server, run, scratch } from './lib/server.js';

const TOKEN = 'token-0123456789abcdef';
const read = (server, view, headers = {}) => http(`${server.http}/v1/views/${view}`, { headers });

test('a view that is not there: the nearest of those that one may see is named', async (t) => {
  const config = { exports: { Quake: { views: { strongest: { pipeline: [{ sort: { by: 'mag' } }] } } }, Secret: {} } };
  const server = await Server.forTest(t, { config });
  for (const [given, meant] of [['Quake/lst', 'Quake/list'], ['quake/list', 'Quake/list'], ['Quake/strongst', 'Quake/strongest'], ['Qake/append', 'Quake/append'], ['Secret/List', 'Secret/list']]) {
    const { status, json } = await read(server, given);
    assert.deepEqual([status, json.code], [404, 'view-not-found'], given);
    assert.match(json.message, new RegExp(`did you mean '${meant}'`), given);
  }
  assert.doesNotMatch((await read(server, 'Completely/other')).json.message, /did you mean/);
  const client = await clientFor(t, server);
  client.subscribe('Quake/stat');
  assert.match((await client.expect('error')).message, /did you mean 'Quake\/state'/);
});

test('what a token does not show is never named', async (t) => {
  const tokens = [{ token: TOKEN, scope: 'read', views: ['Open/list'] }];
  const server = await Server.forTest(t, { config: { exports: { Secret: {}, Open: {} }, auth: { mode: 'static', tokens } } });
  const authorization = `Bearer ${TOKEN}`;
  const messages = [];
  for (const view of ['Secret/lis', 'Secret/list']) messages.push((await read(server, view, { authorization })).json.message.replace(view, 'X'));
  assert.equal(messages[0], messages[1]);
  assert.doesNotMatch(messages.join(), /did you mean/);
  assert.match((await read(server, 'Open/lst', { authorization })).json.message, /did you mean 'Open\/list'/);
});

test('an open server names the view of that export, a closed one the export', async (t) => {
  const open = await Server.forTest(t);
  assert.match((await read(open, 'E/lits')).json.message, /did you mean 'E\/list'/);
  const closed = await Server.forTest(t, { config: { exports: { Quake: {}, Network: {} }, unknown_exports: 'refuse' } });
  for (const [given, meant] of [['Quak', 'Quake'], ['network', 'Network']]) {
    const { json } = await tryPost(closed, { export: given, key: 'a', patch: {} });
    assert.equal(json.code, 'unknown-export');
    assert.match(json.message, new RegExp(`did you mean '${meant}'`));
  }
  assert.doesNotMatch((await tryPost(closed, { export: 'Weather', key: 'a', patch: {} })).json.message, /did you mean/);
});

test('help of a command, and options under the names that people try', async (t) => {
  for (const [words, same] of [[['serve'], ['serve', '--help']], [['token', 'sign'], ['token', 'sign', '--help']], [['token'], ['token', '--help']], [['version'], ['version', '--help']], [['completion'], ['completion', '--help']], [[], ['--help']]]) {
    const [help, direct] = [await run(['help', ...words]), await run(same)];
    assert.deepEqual([help.code, help.stdout, help.stderr], [0, direct.stdout, direct.stderr], words.join(' '));
    assert.ok(help.stdout.startsWith('usage: stele'), help.stdout);
  }
  const says = async (args, pattern) => {
    const { code, stderr } = await run(args);
    assert.equal(code, 2, args.join(' '));
    assert.match(stderr, pattern);
  };
  await says(['help', 'srve'], /did you mean "serve"/);
  await says(['help', 'token', 'sgn'], /did you mean "sign"/);
  await says(['help', 'serve', 'more'], /"more" is one argument too many/);
  await says(['serve', '--port', '1'], /did you mean --listen/);
  await says(['ingest', '--database', 'x'], /did you mean --url/);
  assert.match((await run(['ingest', 'ws://127.0.0.1:1'])).stderr, /is it the server\? Then say --url/);
  await says(['subscribe', '--token=x', 'E/list'], /did you mean --token-file/);
  await says(['serve', '--helth', 'x'], /did you mean --health/);
  /* As the setting is called. */
  const db = join(scratch(t), 'stele.db');
  const server = await Server.forTest(t, { db });
  await post(server, { export: 'E', key: 'a', patch: {} });
  await server.terminate();
  for (const option of [['--database', db], [`--database=${db}`]]) assert.equal((await run(['check', ...option])).code, 0);
});

test('whoever asks the wrong one of two ports is told the right one', async (t) => {
  const server = await Server.forTest(t);
  for (const path of ['/health', '/healthz', '/ready', '/ready/write', '/status', '/metrics']) {
    const { status, text } = await ask(server.port, `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    assert.equal(status, 404);
    assert.match(text, new RegExp(`${path} is on the health port, ${server.healthPort}`));
  }
  for (const path of ['/v1/mutations', '/v1/ingest', '/v1/revocations', '/v1/nothing']) /* what is read for the inspector is here, too */
    assert.match((await ask(server.healthPort, `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)).text, new RegExp(`the API is on port ${server.port}`), path);
  const upgrade = 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n';
  assert.match((await ask(server.healthPort, `GET / HTTP/1.1\r\nHost: localhost\r\n${upgrade}\r\n`)).text, new RegExp(`connect to port ${server.port}`));
  const { code, stderr } = await run(['subscribe', '--url', `ws://127.0.0.1:${server.healthPort}`, 'E/list']);
  assert.equal(code, 1);
  assert.match(stderr, /perhaps the health port/);
  const alone = await Server.forTest(t, { health: '127.0.0.1:0' });
  assert.doesNotMatch((await ask(alone.port, 'GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n')).text, /health port/);
});

test('HTTP at a port of TLS, and TLS at one without', { skip: process.env.STELE_TLS && 'is about plain ports' }, async (t) => {
  const folder = scratch(t);
  const files = { certificate: join(folder, 'c.pem'), key: join(folder, 'k.pem') };
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ed25519', '-nodes', '-days', '30', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', files.key, '-out', files.certificate], { stdio: 'ignore' });
  const secure = await Server.forTest(t, { set: { tls_certificate: files.certificate, tls_key: files.key } });
  for (const line of ['GET /v1/views HTTP/1.1', 'POST /v1/mutations HTTP/1.1', 'OPTIONS / HTTP/1.1']) {
    const { status, code, text } = await ask(secure.port, `${line}\r\nHost: localhost\r\n\r\n`);
    assert.deepEqual([status, code], [400, 'invalid-message'], line);
    assert.match(text, /this port speaks TLS: use https:\/\/ or wss:\/\//);
  }
  await secure.logged(/handshake-failed.*HTTP without TLS came to a port of TLS/);
  const trusted = await new Promise((done, fail) => {
    const asked = request(`https://localhost:${secure.port}/v1/views`, { ca: readFileSync(files.certificate), agent: false, family: 4 }, (answer) => (answer.resume(), done(answer.statusCode)));
    asked.on('error', fail).end();
  });
  assert.equal(trusted, 200);
  const wrong = await run(['subscribe', '--url', `ws://localhost:${secure.port}`, 'E/list']);
  assert.match(wrong.stderr, /one that speaks TLS: wss:\/\//);
  const plain = await Server.forTest(t);
  const other = await run(['subscribe', '--url', `wss://localhost:${plain.port}`, 'E/list']);
  assert.equal(other.code, 1);
  assert.match(other.stderr, /perhaps a port without TLS: ws:\/\//);
  await plain.logged(/tls-without-certificate.*set tls_certificate/);
});

test('lines that curl -d has joined are told as such', async (t) => {
  const server = await Server.forTest(t);
  const lines = ['a', 'b', 'c'].map((key) => JSON.stringify({ export: 'E', key, patch: {} }));
  const file = join(scratch(t), 'feed');
  writeFileSync(file, `${lines.join('\n')}\n`);
  const curl = async (option) => (await run(['-s', option, `@${file}`, `${server.http}/v1/mutations`], { program: 'curl' })).stdout;
  assert.match(await curl('-d'), /use --data-binary @FILE/);
  assert.match(await curl('--data-binary'), /"applied":3/);
  writeFileSync(file, `${lines[0]}\n`);
  assert.match(await curl('-d'), /"applied":1/);
  assert.doesNotMatch((await tryPost(server, lines.join(''))).text, /curl/);
});

test('an address of IPv6 stands in brackets, also where nobody listens', async () => {
  const { code, stderr } = await run(['subscribe', '--url', 'ws://[::1]:1', 'E/list']);
  assert.equal(code, 1);
  assert.match(stderr, /no connection to ws:\/\/\[::1\]:1\//);
});

test('too few descriptors, and files that may not grow, are told with the remedy', async (t) => {
  const db = join(scratch(t), 'stele.db');
  const few = await run(['--nofile=12', BINARY, 'serve', '--db', db, '--listen', '127.0.0.1:0', '--health', ''], { program: 'prlimit', ms: 20_000 });
  assert.notEqual(few.code, 0);
  assert.match(few.stderr, /ulimit -n|LimitNOFILE/);
  const server = await Server.forTest(t);
  await post(server, Array.from({ length: 100 }, (_, i) => ({ export: 'E', key: `k${i}`, patch: { pad: 'x'.repeat(1000) } })));
  const small = await run(['--fsize=20000', BINARY, 'backup', '--db', server.db, `${server.db}.copy`], { program: 'prlimit' });
  assert.equal(small.code, 1);
  assert.match(small.stderr, /ulimit -f, LimitFSIZE=/);
});

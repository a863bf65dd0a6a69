// The ordinary requests, by the clients that come with languages, as they are: what they send without
// being asked (offers of HTTP/2, Expect, chunks, kept connections) must not stand in their way. A
// language that is not installed is skipped.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { Proxy } from './lib/proxy.js';
import { ask } from './lib/raw.js';
import { Server, run, sqlView } from './lib/server.js';

const FOREIGN = join(dirname(fileURLToPath(import.meta.url)), 'foreign');
const LIMIT = 1 << 20;

/** What each request is answered with, whoever asks; the names are those that the programs print. */
const EXPECTED = {
  health: [200, /^OK$/], ready: [200], 'ready/write': [200], metrics: [200, /stele_/],
  views: [200, /"E\/list"/], length: [200, /"applied":1/], chunked: [200, /"applied":1/], expect: [200, /"applied":1/], gzip: [200, /"applied":1/],
  rows: [200, /"key":"gzip"/], head: [200], options: [405, /GET or HEAD/], missing: [404, /"error"/], bad: [400, /"error"/], empty: [200],
  'length-0': [200, /"E\/list"/], 'too-large': [413, /"error"/], again: [200], websocket: [101, /"complete":true/],
};
const ALL = Object.keys(EXPECTED).filter((name) => !['length-0', 'websocket'].includes(name));

const installed = (program, ...args) => spawnSync(program, args).status === 0;
/* Debian's Python has Debian's packages, whatever else is called python3. -I: `requests` is not the
   script beside it. */
const PYTHON = '/usr/bin/python3';
const has = (name) => installed(PYTHON, '-c', `import ${name}`);
/* Asked for a POST without a body, curl names no length, which a POST needs. */
const curl = { program: 'sh', args: [join(FOREIGN, 'requests.sh')], also: ['length-0'], differs: { empty: [411] } };
const clients = [
  { ...curl, name: 'curl', is: installed('curl', '--version') },
  { ...curl, name: 'curl --http2', more: ['--http2'], is: installed('curl', '--http2', '--version') },
  { ...curl, name: 'curl --http1.0', more: ['--http1.0'], is: installed('curl', '--version'), without: ['chunked'], reuses: false },
  { name: 'Python', program: 'python3', args: [join(FOREIGN, 'requests.py')], is: installed('python3', '--version'), also: ['length-0'] },
  { name: 'requests', program: PYTHON, args: ['-I', join(FOREIGN, 'pip_requests.py')], is: has('requests'), also: ['length-0'] },
  { name: 'aiohttp', program: PYTHON, args: ['-I', join(FOREIGN, 'pip_aiohttp.py')], is: has('aiohttp'), also: ['websocket'] },
  { name: 'Node', program: process.execPath, args: [join(FOREIGN, 'requests.mjs')], is: true, also: ['length-0'] },
  { name: 'Go', program: 'go', args: ['run', '-gcflags=all=-N -l', join(FOREIGN, 'requests.go')], is: installed('go', 'version') },
  { name: 'the JDK', program: 'java', args: [join(FOREIGN, 'Requests.java')], is: installed('javac', '-version'), also: ['websocket'] },
];

for (const { name, program, args, more = [], is, also = [], without = [], differs = {}, reuses = true } of clients) {
  test(`the ordinary requests of ${name}`, { skip: is ? false : `${name} is not installed` }, async (t) => {
    const server = await Server.forTest(t, { config: { exports: { E: {} } }, set: { max_request_bytes: LIMIT } });
    const proxy = await Proxy.start(t, server.port); /* counts connections */
    const url = proxy.ws.replace('ws', 'http');
    const { code, stdout, stderr } = await run([...args, url, server.healthUrl, ...more], { program, ms: 240_000 });
    const answers = stdout.trim().split('\n').map((line) => line.split('\t'));
    assert.equal(code, 0, `${stdout}${stderr}`);
    for (const [what, status, body] of answers) {
      const [wanted, like = /(?:)/] = differs[what] ?? EXPECTED[what];
      assert.equal(status, String(wanted), `${what}: ${body}`);
      if (name.startsWith('curl') && what === 'head') continue; /* it prints the head as a body */
      assert.match(body, like, what);
    }
    const expected = [...ALL, ...also].filter((each) => !without.includes(each));
    assert.deepEqual(new Set(answers.map(([what]) => what)), new Set(expected));
    assert.equal(answers.filter(([what]) => what === 'again').length, 50);
    if (reuses) assert.ok(proxy.connections < 50, `${proxy.connections} connections: none was used again`);
    const rows = await sqlView(server.db, 'E/list');
    assert.deepEqual([...rows.keys()].sort(), ['chunked', 'expect', 'gzip', 'length'].filter((each) => !without.includes(each)).sort());
    assert.equal(JSON.parse(rows.get('gzip').data).pad.length, 50_000);
    await server.terminate();
  });
}

test('a producer and a subscriber by websockets', { skip: has('websockets') ? false : 'websockets is not installed' }, async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  const { code, stdout, stderr } = await run(['-I', join(FOREIGN, 'pip_websockets.py'), server.http], { program: PYTHON, ms: 240_000 });
  assert.equal(code, 0, `${stdout}${stderr}`);
  const expected = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${i}`, i]));
  assert.deepEqual(JSON.parse(stdout), expected);
  assert.equal((await sqlView(server.db, 'E/list')).size, 200);
  await server.terminate();
});

test('HTTP/2 without asking is refused at once, with the version that is spoken', { skip: installed('curl', '--http2-prior-knowledge', '--version') ? false : 'curl is not installed' }, async (t) => {
  const server = await Server.forTest(t, {});
  const { code, stderr } = await run(['--silent', '--show-error', '--noproxy', '*', '--max-time', '20', '--http2-prior-knowledge', `${server.http}/v1/views`], { program: 'curl' });
  assert.ok(code !== 0 && code !== 28, `curl ended with ${code}: ${stderr}`); /* 28: after all its time */
  const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0';
  const { status, text } = await ask(server.port, preface);
  assert.equal(status, 505);
  assert.match(text, /^Connection: close\r$[^]*HTTP\/1\.1/m);
});

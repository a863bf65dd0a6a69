// What a terminal would act on does not reach it, whoever said it: a stranger in place of the server, or rows, in every
// command that prints what a server or a file has.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import test from 'node:test';
import { post } from './lib/feed.js';
import { BINARY, Server, eventually, run, scratch } from './lib/server.js';
import { Terminal } from './lib/terminal.js';

const EVIL = '\u001b[2J\u001b]0;evil\u0007|\u009b31m|\u202eback\u2028';
const ACTED_ON = /[\u0000-\u0009\u000b\u000c\u000e-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;
/** JSON with C1 and bidi characters as they are; the others have their escapes. */
const evilOf = (value) => JSON.stringify(value).replaceAll('EVIL', JSON.stringify(EVIL).slice(1, -1));

/** All that a command prints on a terminal, stdout and stderr. */
async function shown(t, args) {
  let text = '';
  const terminal = new Terminal(t, BINARY, args, { columns: 400 });
  terminal.screen.put = (more) => (text += more);
  await terminal.ended;
  return text;
}

async function holds(t, args, isThere) {
  const text = await shown(t, args);
  assert.match(text, isThere, args.join(' '));
  assert.doesNotMatch(text, ACTED_ON, `${args.join(' ')}: ${JSON.stringify(text)}`);
}

async function stranger(t, status, answer) {
  const server = createServer((request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
    response.end(answer(new URL(request.url, 'http://x').pathname));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}`;
}

const COMMANDS = [['get', 'E/list'], ['views'], ['producers'], ['producers', 'p'], ['check'], ['check', 'E'], ['history', 'E', 'k'], ['history', 'E', 'k', '--as-of', '@1'], ['explain', 'E/list', 'k'], ['events', 'E/append'], ['top', '--once'], ['ready']];

test('the words of a server that refuses', async (t) => {
  const url = await stranger(t, 500, () => evilOf({ code: 'codeEVIL', message: 'the messageEVIL', retryable: false }));
  for (const args of COMMANDS.filter(([name]) => name !== 'top')) await holds(t, [...args, '--url', url], /answered 500.*the message/);
  await holds(t, ['top', '--once', '--url', url], /the message|stele: /);
  const busy = await stranger(t, 503, () => `not ready${EVIL}`);
  await holds(t, ['ready', '--url', busy], /not ready/);
  await holds(t, ['subscribe', 'E/list', '--url', url.replace('http', 'ws')], /./);
  for (const args of COMMANDS) assert.doesNotMatch((await run([...args, '--url', url])).stderr, ACTED_ON, 'where stderr is a file, too');
});

test('the answers of a server that lies', async (t) => {
  const seq = '0:000000000001', sum = `${'0'.repeat(63)}\u009b`;
  const event = { offset: 'EVIL', time: 1, op: 'opEVIL', key: 'kEVIL', data: { n: 'EVIL' }, seq: 'EVIL', diff: [{ path: ['aEVIL'], added: ['EVIL'], dropped: 'EVIL' }, { path: [], from: 'EVIL', to: 1 }] };
  const answers = {
    '/v1/views': { views: [{ id: 'E\u001b[2JEVIL/list', mode: 'listEVIL', rows: 1, sort: { field: ['EVIL'], order: 'desc' } }] },
    '/v1/views/E/list': { view: 'E/list', mode: 'list', epoch: 'e', offset: 1, seq, rows: [{ key: 'kEVIL', data: { EVIL: 'EVIL' } }] },
    '/v1/views/E/append': { events: [event], cursor: 'e:1', more: false },
    '/v1/history': { events: [event], cursor: 'e:1', more: false },
    '/v1/producers': { producers: [{ name: 'pEVIL', batch: 1, seq: 'EVIL', mark: 'EVIL', time: 1 }], more: false },
    '/v1/producers/p': { name: 'pEVIL', batch: 1, seq: 'EVIL', mark: 'EVIL', time: 1 },
    '/v1/explain': { in: true, view: 'EVIL', key: 'EVIL', position: 'EVIL', steps: [{ step: 'stepEVIL', holds: true, why: 'EVIL' }, { step: 'cut', skip: 'EVIL', take: 'EVIL', rank: 'EVIL' }, { step: 'row', change: 'EVIL', seq: 'EVIL' }], since: { known: true, by: 'EVIL', op: 'EVIL', seq: 'EVIL', change: 1 } },
    '/v1/checksum': { mode: 'list', epoch: 'e', seq, rows: -7, sum, order: sum },
    '/v1/status': { clients: [] },
    '/ready': `ready${EVIL}`,
  };
  const url = await stranger(t, 200, (path) => (typeof answers[path] === 'string' ? answers[path] : evilOf(answers[path] ?? {})));
  for (const args of COMMANDS) await holds(t, [...args, '--url', url], /./);
  for (const args of [['get', 'E/list', '--json'], ['get', 'E/list', '--csv'], ['explain', 'E/list', 'k', '--json'], ['history', 'E', 'k', '--json'], ['history', 'E', 'k', '--as-of', '@1', '--json'], ['history', 'E', '--as-of', '@1'], ['check', '--json'], ['top', '--once', '--json']])
    await holds(t, [...args, '--url', url], /./);
  /* No sum is printed that is none. */
  for (const wrong of [{ rows: -7, sum: '0'.repeat(64) }, { rows: 7, sum }, { rows: 7, sum: '0'.repeat(63) }, { rows: 7, sum: '0'.repeat(64), order: sum }]) {
    const other = await stranger(t, 200, () => JSON.stringify({ mode: 'list', epoch: 'e', seq, ...wrong }));
    const { code, stdout, stderr } = await run(['check', 'E', '--url', other]);
    assert.deepEqual([code, stdout], [2, ''], stderr);
    assert.match(stderr, /answered without sums/);
  }
  assert.ok((await run(['events', 'E/append', '--url', url])).stdout.includes('\u009b31m'), 'where stdout is a file, JSON is as it was');
});

test('rows of a server, and of a file', async (t) => {
  const server = await Server.forTest(t, {});
  const m = (key, text) => ({ export: 'E', key, patch: { text, [`m${EVIL}`]: [text] } });
  await post(server, [m(`k${EVIL}`, EVIL), m('other', EVIL)]);
  const file = `${scratch(t)}/copy.db`;
  assert.equal((await run(['backup', '--db', server.db, file])).code, 0);
  assert.equal((await run([file, `UPDATE entity SET data = '{"n":1}'`], { program: 'sqlite3' })).code, 0);
  const url = ['--url', server.http], both = [...url, '--db', file], key = `k${EVIL}`;
  for (const args of [['events', 'E/append', ...url], ['check', 'E', '--json', ...both], ['check', 'E', ...both], ['check', '--db', file], ['history', 'E', key, ...url], ['history', 'E', key, '--db', file],
    ['history', 'E', key, '--json', ...url], ['history', 'E', '--as-of', '@1', ...url], ['explain', 'E/list', key, ...url], ['explain', 'E/list', key, '--json', ...url], ['get', 'E/list', '--key', key, '--json', ...url],
    ['subscribe', 'E/list', '--count', '2', '--url', server.ws]])
    await holds(t, args, /k/);
  await eventually(async () => (await run(['check', 'E', '--json', ...both])).stdout.includes('\u009b31m'), 'where stdout is a file, JSON is as it was');
});

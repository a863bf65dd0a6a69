// `stele subscribe` with --take, --skip, --filter, and --table on a terminal.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import test from 'node:test';
import { post } from './lib/feed.js';
import { Proxy } from './lib/proxy.js';
import { BINARY, Server, run } from './lib/server.js';
import { Terminal } from './lib/terminal.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const frames = (stdout) => stdout.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line));
const BEST = { exports: { E: { views: { best: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 5 }] } } } } };
const CONTROL_C = '\x03';

/** The keys of the first snapshot that a subscription prints. */
async function snapshot(t, args) {
  const child = spawn(BINARY, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const keys = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const frame = JSON.parse(line);
    if (frame.op === 'snapshot') keys.push(...frame.data.map((row) => row.key));
    if (frame.complete) break;
  }
  child.kill('SIGKILL');
  return keys;
}

/** The keys that a table shows, from above, behind their marks. */
const shown = (text) => text.split('\n').slice(2).map((line) => line.slice(3).split(' ')[0]);

/** Ctrl-C; the program must end well, with the cursor back and the picture still there. */
async function leave(terminal) {
  const rows = (text) => text.split('\n').slice(1, 3).map((line) => line.slice(3)); /* the rest may be on its way, and marks go */
  const before = rows(terminal.screen.text());
  terminal.type(CONTROL_C);
  assert.equal(await terminal.ended, 0);
  assert.ok(terminal.screen.cursor, 'the cursor is shown again');
  assert.ok(!terminal.screen.wrapped && !terminal.screen.scrolled, 'nothing wrapped or scrolled');
  assert.deepEqual(rows(terminal.screen.text()), before);
}

test('--take, --skip and --filter make a window', async (t) => {
  const server = await Server.forTest(t);
  await post(server, range(30, (i) => m(`k${i}`, { n: i, odd: i % 2 === 1, name: `x=${i % 3}` })));
  for (const [args, ...expected] of [
    [['--take', '3'], 'k29', 'k28', 'k27'],
    [['--take', '2', '--skip', '4'], 'k25', 'k24'],
    [['--take', '2', '--filter', 'odd=true'], 'k29', 'k27'],
    [['--take', '2', '--filter', 'odd=true', '--filter', 'name=x=0'], 'k27', 'k21'],
    [['--filter', 'n=7'], 'k7'],
    [['--filter', 'n="7"']],
  ]) {
    assert.deepEqual(await snapshot(t, ['subscribe', 'E/list', '--url', server.ws, ...args]), expected, args.join(' '));
  }
});

test('wrong use of them says how it is right', async () => {
  for (const [args, says] of [
    [['--take', '0'], /--take/], [['--skip', '-1'], /--skip/], [['--filter', 'n'], /--filter.*PATH=VALUE/], [['--filter', '=1'], /PATH=VALUE/],
    [['--filter', ''], /PATH=VALUE/], [['--tables'], /--table/], [['--columns'], /--columns/],
  ]) {
    const { code, stdout, stderr } = await run(['subscribe', 'E/list', ...args], { ms: 10_000 });
    assert.equal(code, 2, `${args}: ${stderr}`);
    assert.match(stderr, says);
    assert.equal(stdout, '');
  }
  const help = (await run(['subscribe', '--help'])).stdout;
  for (const word of ['--take', '--skip', '--filter', '--table', '--columns']) assert.ok(help.includes(word), word);
});

test('what the server refuses is told, with or without a table', async (t) => {
  const server = await Server.forTest(t);
  await post(server, m('k', { n: 1 }));
  const plain = await run(['subscribe', 'E/append', '--url', server.ws, '--take', '2'], { ms: 10_000 });
  assert.equal(plain.code, 1);
  assert.match(plain.stderr, /take/);
  const terminal = new Terminal(t, BINARY, ['subscribe', 'E/append', '--url', server.ws, '--take', '2', '--table']);
  assert.equal(await terminal.ended, 1);
  assert.ok(terminal.screen.cursor);
  assert.match(terminal.screen.text(), /stele: 'take' is not for view 'E\/append'/);
});

test('--table without a terminal prints JSON lines', async (t) => {
  const server = await Server.forTest(t);
  await post(server, m('k', { n: 1 }));
  const { code, stdout } = await run(['subscribe', 'E/list', '--url', server.ws, '--count', '2', '--table']);
  assert.equal(code, 0);
  assert.deepEqual(frames(stdout).map((frame) => frame.op), ['subscribed', 'snapshot']);
  const dumb = new Terminal(t, BINARY, ['subscribe', 'E/list', '--url', server.ws, '--count', '1', '--table'], { env: { TERM: 'dumb' }, columns: 400 });
  assert.equal(await dumb.ended, 0);
  assert.equal(JSON.parse(dumb.screen.text()).op, 'subscribed');
});

test('a table keeps the order of a derived view while rows come, change and go', async (t) => {
  const server = await Server.forTest(t, { config: BEST });
  await post(server, [...range(7, (i) => m(`k${i}`, { n: i, name: `row ${i}` })), m('tie', { n: 6, name: 'as k6' })]);
  const terminal = new Terminal(t, BINARY, ['subscribe', 'E/best', '--url', server.ws, '--table'], { columns: 50, rows: 12 });
  const first = await terminal.until((text) => shown(text).length === 5, 'five rows');
  assert.match(first.split('\n')[0], /^E\/best {2}5 rows {2}connected \d+s$/);
  assert.deepEqual(first.split('\n').slice(1), ['   key  n  name', '   k6   6  row 6', '   tie  6  as k6', '   k5   5  row 5', '   k4   4  row 4', '   k3   3  row 3']);
  assert.ok(!terminal.screen.cursor, 'the cursor is hidden');
  await post(server, m('k0', { n: 5.5 }));
  await terminal.until((text) => shown(text).join() === 'k6,tie,k0,k5,k4', 'k0 at its place');
  await post(server, [m('k6', { n: null }), m('wide', { n: '9007199254740993' })]);
  await terminal.until((text) => shown(text).join() === 'wide,tie,k0,k5,k4', 'without k6');
  await post(server, [{ export: 'E', key: 'tie', op: 'delete' }, m('text', { n: 'strings come first in this direction' })]);
  const last = await terminal.until((text) => shown(text).join() === 'text,wide,k0,k5,k4', 'the last state');
  assert.ok(last.split('\n').every((line) => line.length <= 50), last);
  await leave(terminal);
});

test('a list is a table too, with chosen columns, in the room that there is', async (t) => {
  const server = await Server.forTest(t);
  await post(server, range(40, (i) => m(`k${i}`, { n: i, geo: { lat: i / 2, lon: -i }, tags: ['a'], name: `a long name of a row, number ${i}` })));
  const terminal = new Terminal(t, BINARY, ['subscribe', 'E/list', '--url', server.ws, '--table', '--columns', 'geo.lat,name'], { columns: 33, rows: 8 });
  const text = await terminal.until((all) => all.includes('k39'), 'the rows');
  assert.deepEqual(text.split('\n'), [
    'E/list  the first 5 of 40 rows  …', '   key  geo.lat  name', '   k39     19.5  a long name of …', '   k38       19  a long name of …',
    '   k37     18.5  a long name of …', '   k36       18  a long name of …', '   k35     17.5  a long name of …',
  ]);
  await post(server, m('k0', { geo: { lat: 99 } }));
  await terminal.until((all) => shown(all)[0] === 'k0' && all.includes(' 99 '), 'the change on top');
  await leave(terminal);
});

test('a table goes on over a cut, and says what is the matter meanwhile', async (t) => {
  const server = await Server.forTest(t, { config: BEST });
  const proxy = await Proxy.start(t, server.port);
  await post(server, range(8, (i) => m(`k${i}`, { n: i })));
  const terminal = new Terminal(t, BINARY, ['subscribe', 'E/best', '--url', proxy.ws, '--table', '--follow'], { columns: 90 });
  await terminal.until((text) => shown(text).join() === 'k7,k6,k5,k4,k3', 'the rows');
  await server.terminate();
  await terminal.until((text) => /reconnecting \d+s: (the connection was lost|no connection)/.test(text.split('\n')[0]), 'words in the title');
  await server.restart({ samePort: true });
  await post(server, [m('k0', { n: 70 }), { export: 'E', key: 'k6', op: 'delete' }]);
  const text = await terminal.until((all) => shown(all).join() === 'k0,k7,k5,k4,k3', 'what changed meanwhile');
  assert.match(text.split('\n')[0], /^E\/best {2}5 rows {2}connected \d+s$/);
  await leave(terminal);
});

test('without --follow a table ends with the connection, and says why', async (t) => {
  const server = await Server.forTest(t);
  await post(server, m('k', { n: 1 }));
  const terminal = new Terminal(t, BINARY, ['subscribe', 'E/list', '--url', server.ws, '--table'], { columns: 120 });
  await terminal.until((text) => shown(text).join() === 'k', 'the row');
  await server.kill9();
  assert.equal(await terminal.ended, 1);
  assert.ok(terminal.screen.cursor);
  assert.match(terminal.screen.text(), /stele: the connection was lost/);
});

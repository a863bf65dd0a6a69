// `stele subscribe --table` on a terminal: keys, the selection, marks of changes, times, the state of the connection.

import assert from 'node:assert/strict';
import test from 'node:test';
import { post } from './lib/feed.js';
import { BINARY, Server, run } from './lib/server.js';
import { Terminal } from './lib/terminal.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const key = (i) => `k${String(i).padStart(3, '0')}`;
const SORTED = { exports: { E: { views: { by: { pipeline: [{ sort: { by: 'n' } }] } } } } };
const KEYS = { up: '\x1b[A', down: '\x1b[B', right: '\x1b[C', left: '\x1b[D', home: '\x1b[H', end: '\x1b[F', pageUp: '\x1b[5~', pageDown: '\x1b[6~', escape: '\x1b' };
const title = (text) => text.split('\n')[0];
const rows = (text) => text.split('\n').slice(2);
const shown = (text) => rows(text).map((line) => line.slice(3).split(' ')[0]);
/** The key of the selected row, with its place on the screen. */
const selected = (text) => {
  const at = rows(text).findIndex((line) => line[0] === '>');
  return at < 0 ? undefined : `${shown(text)[at]}@${at}`;
};
const mark = (text, name) => rows(text)[shown(text).indexOf(name)]?.[1];

function open(t, server, args = [], { env, ...options } = {}) {
  return new Terminal(t, BINARY, ['subscribe', 'E/by', '--url', server.ws, '--table', ...args], { columns: 80, rows: 13, env: { NO_COLOR: '', ...env }, ...options });
}

async function quit(terminal) {
  terminal.type('q');
  assert.equal(await terminal.ended, 0);
  assert.ok(terminal.screen.cursor && !terminal.screen.wrapped && !terminal.screen.scrolled, 'the cursor is back, nothing wrapped, nothing scrolled');
}

async function press(terminal, name, expected) {
  terminal.type(KEYS[name]);
  await terminal.until((text) => selected(text) === expected, `${name} selects ${expected}`);
}

test('arrows, pages, home and end select a row, escape goes back, q leaves', async (t) => {
  const server = await Server.forTest(t, { config: SORTED });
  await post(server, range(35, (i) => m(key(i), { n: i })));
  const terminal = open(t, server);
  await terminal.until((text) => shown(text).join() === range(10, key).join(), 'ten rows');
  assert.match(title(terminal.screen.text()), /the first 10 of 35 rows/);
  assert.equal(selected(terminal.screen.text()), undefined);
  await press(terminal, 'down', `${key(0)}@0`);
  await press(terminal, 'down', `${key(1)}@1`);
  await press(terminal, 'pageDown', `${key(11)}@1`);
  assert.match(title(terminal.screen.text()), /rows 11-20 of 35/);
  await press(terminal, 'up', `${key(10)}@0`);
  await press(terminal, 'up', `${key(9)}@0`);
  await press(terminal, 'end', `${key(34)}@9`);
  assert.equal(terminal.screen.look(key(34)), '7', 'it is reversed');
  await press(terminal, 'down', `${key(34)}@9`);
  await press(terminal, 'pageUp', `${key(24)}@9`);
  await press(terminal, 'home', `${key(0)}@0`);
  await press(terminal, 'up', `${key(0)}@0`);
  terminal.type('\x1b[1;5A\x1bOB\x1b[200~\x1b[99;99Z'); /* with Ctrl; of application mode; unknown ones, whose letters are no keys */
  await terminal.until((text) => selected(text) === `${key(1)}@1`, 'one down');
  terminal.type('\x1b'); /* in pieces, as over a slow line */
  terminal.type('[');
  terminal.type('B');
  await terminal.until((text) => selected(text) === `${key(2)}@2`, 'another one down');
  await press(terminal, 'escape', undefined);
  await quit(terminal);
});

test('the selected row stays where it is while others come and go, and one that goes leaves its place', async (t) => {
  const server = await Server.forTest(t, { config: SORTED });
  await post(server, range(30, (i) => m(key(i), { n: i })));
  const terminal = open(t, server);
  await terminal.until((text) => shown(text).length === 10, 'rows');
  await press(terminal, 'pageDown', `${key(10)}@0`);
  for (let i = 0; i < 3; i++) await press(terminal, 'down', `${key(11 + i)}@${1 + i}`);
  await post(server, range(5, (i) => m(`new${i}`, { n: -1 - i })));
  await terminal.until((text) => title(text).includes(' of 35 '), 'five more');
  assert.equal(selected(terminal.screen.text()), `${key(13)}@3`);
  assert.deepEqual(shown(terminal.screen.text()), range(10, (i) => key(10 + i)));
  await post(server, [m(key(13), { n: 20.5 })]);
  await terminal.until((text) => shown(text)[3] === key(13) && shown(text)[2] === key(20), 'it moved, and the picture with it');
  await post(server, [{ export: 'E', key: key(13), op: 'delete' }]);
  await terminal.until((text) => selected(text) === `${key(21)}@3`, 'the next one takes its place');
  await post(server, range(30, (i) => ({ export: 'E', key: key(i), op: 'delete' })));
  await terminal.until((text) => selected(text) === 'new0@4', 'what is left');
  await post(server, range(5, (i) => ({ export: 'E', key: `new${i}`, op: 'delete' })));
  await terminal.until((text) => title(text).includes(' 0 rows'), 'nothing is left');
  for (const name of Object.keys(KEYS)) terminal.type(KEYS[name]);
  await post(server, [m('again', { n: 1 })]);
  await terminal.until((text) => shown(text).join() === 'again', 'a row again');
  await quit(terminal);
});

test('what has just come or changed is marked for a while, cell by cell', async (t) => {
  const server = await Server.forTest(t, { config: SORTED });
  await post(server, range(3, (i) => m(key(i), { n: i, name: `name${i}`, other: `other${i}` })));
  for (const [env, changed, came] of [[{}, '1,33', '1,32'], [{ NO_COLOR: '1' }, '1', '1']]) {
    const terminal = open(t, server, [], { env });
    const first = await terminal.until((text) => shown(text).length >= 3, 'rows');
    assert.ok(rows(first).every((line) => line.startsWith('   ')), 'a snapshot is no change');
    const word = `word${Object.keys(env).length}`, fresh = `fresh${Object.keys(env).length}`;
    await post(server, [m(key(1), { name: word }), m(fresh, { n: 9, name: 'x' })]);
    await terminal.until((text) => mark(text, key(1)) === '*' && mark(text, fresh) === '+', 'marks');
    assert.deepEqual([terminal.screen.look(word), terminal.screen.look('other1'), terminal.screen.look(fresh)], [changed, '', came]);
    await terminal.until((text) => rows(text).every((line) => line.startsWith('   ')), 'the marks go again');
    assert.equal(terminal.screen.look(word), '');
    await quit(terminal);
  }
});

test('left and right show columns that do not fit', async (t) => {
  const server = await Server.forTest(t, { config: SORTED });
  await post(server, range(3, (i) => m(key(i), { n: i, ...Object.fromEntries(range(12, (c) => [`column${c}`, `value${c}`])) })));
  const terminal = open(t, server, [], { columns: 43 });
  await terminal.until((text) => text.includes('value0'), 'the first columns');
  assert.match(title(terminal.screen.text()), /columns 1-4 of 13/);
  for (let c = 2; !terminal.screen.text().includes('value11'); c++) {
    terminal.type(KEYS.right);
    await terminal.until((text) => title(text).includes(`columns ${c}-`), `column ${c}`);
  }
  assert.deepEqual(shown(terminal.screen.text()), range(3, key), 'the key stays');
  for (let i = 0; i < 30; i++) terminal.type(KEYS.right);
  for (let i = 0; i < 30; i++) terminal.type(KEYS.left);
  await terminal.until((text) => text.includes('value0') && / n /.test(text), 'the first ones again');
  await quit(terminal);
});

test('--time shows numbers and texts as times of this machine', async (t) => {
  const server = await Server.forTest(t, { config: SORTED });
  await post(server, [
    m('s', { n: 0, at: 1517939100 }), m('ms', { n: 1, at: 1517939100250 }), m('iso', { n: 2, at: '2018-02-06T17:45:00Z' }), m('zone', { n: 3, at: '2018-02-06 20:45:00.5+03:00' }), m('old', { n: 4, at: -1 }),
    m('text', { n: 5, at: 'soon' }), m('bare', { n: 6, at: '2018-02-06T17:45:00' }), m('none', { n: 7, at: null }), m('huge', { n: 8, at: 1e300 }), m('no', { n: 9, at: '2018-02-31T00:00:00Z' }),
  ]);
  const terminal = open(t, server, ['--time', 'at', '--columns', 'n'], { env: { TZ: 'XXX-2' } });
  await terminal.until((text) => shown(text).length === 10, 'rows');
  assert.deepEqual(rows(terminal.screen.text()).map((line) => line.slice(3).split(/ {2,}/)[2]), [
    '2018-02-06 19:45:00', '2018-02-06 19:45:00.250', '2018-02-06 19:45:00', '2018-02-06 19:45:00.500', '1970-01-01 01:59:59', 'soon', '2018-02-06T17:45:00', undefined, '1e+300', '2018-02-31T00:00:00Z',
  ]);
  await quit(terminal);
  for (const args of [['--time', ''], ['--time', 'a,b']]) {
    const { code, stderr } = await run(['subscribe', 'E/by', ...args]);
    assert.deepEqual([code, /--time/.test(stderr)], [2, true], stderr);
  }
});

test('a server that is killed and comes back: the state, the reason, the rows and the selection', async (t) => {
  const server = await Server.forTest(t, { config: SORTED });
  await post(server, range(20, (i) => m(key(i), { n: i })));
  const terminal = open(t, server, ['--follow'], { columns: 100 });
  await terminal.until((text) => shown(text).length === 10 && / {2}connected \d+s$/.test(title(text)), 'rows, and the state');
  await press(terminal, 'down', `${key(0)}@0`);
  await press(terminal, 'down', `${key(1)}@1`);
  await server.kill9();
  await terminal.until((text) => /reconnecting \d+s: (the connection was lost|no connection)/.test(title(text)), 'the loss, and its reason');
  await terminal.until((text) => /reconnecting [1-9]\d*s: /.test(title(text)), 'how long ago');
  terminal.type(KEYS.down); /* keys do what they do */
  await terminal.until((text) => selected(text) === `${key(2)}@2`, 'another row');
  await server.restart({ samePort: true });
  await post(server, [m(key(2), { word: 'meanwhile' })]);
  await terminal.until((text) => text.includes('meanwhile') && / {2}connected \d+s$/.test(title(text)), 'the change, and the state');
  assert.equal(selected(terminal.screen.text()), `${key(2)}@2`);
  assert.equal(mark(terminal.screen.text(), key(3)), ' ');
  await server.kill9();
  await terminal.until((text) => /reconnecting/.test(title(text)), 'away again');
  await quit(terminal);
});

test('before there is a server the table says what it tries', async (t) => {
  const terminal = new Terminal(t, BINARY, ['subscribe', 'E/list', '--url', 'ws://127.0.0.1:1', '--table', '--follow', '--patience', '60'], { columns: 100 });
  await terminal.until((text) => /0 rows {2}connecting \d+s: no connection/.test(title(text)), 'what is the matter');
  await quit(terminal);
});

test('rows, keys and a view that are hostile stay text', async (t) => {
  const evil = '\u001b[31m\u001b]0;x\u0007\u009b2J\u202e';
  const server = await Server.forTest(t, { config: SORTED });
  await post(server, range(3, (i) => m(`${evil}${i}`, { n: i, name: `${evil}x\n${i}`, [`${evil}member`]: 1 })));
  const terminal = open(t, server, ['--time', `${evil}member`], { columns: 120 });
  const text = await terminal.until((all) => rows(all).length === 3, 'rows'); /* the screen fails at what it does not know */
  assert.doesNotMatch(text, /[\u0080-\u009f\u202a-\u202e]/);
  await press(terminal, 'down', selected(terminal.screen.text()) ?? `${shown(text)[0]}@0`);
  await quit(terminal);
});

test('Ctrl-Z gives the terminal back, and the table comes again with the program', async (t) => {
  const server = await Server.forTest(t, { config: SORTED });
  await post(server, range(3, (i) => m(key(i), { n: i })));
  for (const command of [['subscribe', 'E/by', '--url', server.ws, '--table'], ['top', '--url', server.healthUrl]]) {
    const script = 'set -m; "$@"; echo "it stopped"; read line; fg >/dev/null; echo "it ended with $?"; stty -a | tr " " "\n" | grep -x -e "-*icanon;*" -e "-*echo;*"';
    const terminal = new Terminal(t, '/bin/sh', ['-c', script, 'sh', BINARY, ...command], { env: { PS1: '' } });
    const there = (text) => text.includes(key(2)) || /^clients \d/m.test(text);
    await terminal.until((text) => there(text), 'the picture');
    terminal.type('\x1a');
    await terminal.until((text) => text.includes('it stopped'), 'the shell again');
    assert.ok(terminal.screen.cursor, 'the cursor is shown');
    terminal.type('\n');
    await terminal.until((text) => there(text) && !text.includes('it stopped'), 'the picture again, on a clear screen');
    assert.ok(!terminal.screen.cursor);
    terminal.type('q');
    const text = await terminal.until((all) => /it ended with 0[^]*echo/.test(all), 'the end');
    assert.match(text, /^icanon$/m);
    assert.match(text, /^echo$/m);
  }
});

test('small and odd terminals', async (t) => {
  const server = await Server.forTest(t, { config: SORTED });
  await post(server, range(5, (i) => m(key(i), { n: i, name: 'x'.repeat(50) })));
  for (const [columns, lines] of [[1, 3], [5, 4], [10, 3], [12, 5], [300, 4]]) {
    const terminal = open(t, server, [], { columns, rows: lines });
    await terminal.until((text) => text.length > 0, 'a picture');
    for (const name of Object.keys(KEYS)) terminal.type(KEYS[name]);
    await post(server, [m(key(1), { name: `y${columns}` })]);
    await quit(terminal);
  }
});

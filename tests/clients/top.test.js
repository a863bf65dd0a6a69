// `stele top`: on a terminal, printed once, and as JSON.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import test from 'node:test';
import { clientFor } from './lib/client.js';
import { http, post } from './lib/feed.js';
import { BINARY, Server, eventually, run } from './lib/server.js';
import { Terminal } from './lib/terminal.js';

const ADMIN = 'admin-0123456789abcdef', FEEDER = 'feeder-0123456789abcdef';
const auth = { mode: 'static', tokens: [{ token: ADMIN, subject: 'root', scope: 'admin' }, { token: FEEDER, subject: 'shop', scope: 'read write' }] };
const CONTROL_C = '\x03';
const m = (key, n) => ({ export: 'E', key, patch: { n } });

/** What a picture shows: its lines of clients and of windows, as words. */
function tables(text) {
  const lines = text.split('\n');
  const from = (heading) => {
    const at = lines.findIndex((line) => line.trimStart().startsWith(heading));
    assert.ok(at > 0, `${heading} in\n${text}`);
    const end = lines.findIndex((line, i) => i > at && !line.trim());
    return lines.slice(at + 1, end < 0 ? undefined : end).map((line) => line.trim().split(/ +/));
  };
  return { clients: from('CLIENT'), windows: text.includes('WINDOW') ? from('WINDOW') : [] };
}

async function busy(t, options) {
  const server = await Server.forTest(t, options);
  await post(server, Array.from({ length: 20 }, (_, i) => m(`k${i}`, i)));
  const one = await clientFor(t, server), two = await clientFor(t, server);
  await one.open('E/list');
  await two.open('E/list', { take: 3, where: { field: 'n', gte: 2 } });
  return { server, one, two };
}

test('a terminal of 80 by 24 shows figures, clients and windows, and q ends it', async (t) => {
  const { server, one } = await busy(t);
  const terminal = new Terminal(t, BINARY, ['top', '--url', server.healthUrl, '--interval', '1']);
  const first = await terminal.until((text) => text.includes('WINDOW') && /^ +1 E\/list/m.test(text), 'the picture');
  assert.match(first, /^stele \S+ +healthy +up /);
  assert.match(first, /^clients 2 +subscriptions 2 .*windows 1 +members 1$/m);
  const { clients, windows } = tables(first);
  assert.deepEqual(clients.map(([id, address, subject, protocol, count, lag]) => [id, address, subject, protocol, count, lag]).sort(), [['1', '127.0.0.1', 'anonymous', '1', '1', '0'], ['2', '127.0.0.1', 'anonymous', '1', '1', '0']]);
  assert.deepEqual(windows.map((words) => words.slice(0, 4)), [['1', 'E/list', '3', 'of']]);
  const feeding = (async () => {
    for (let n = 0; !terminal.done; n++) {
      await post(server, [m('k1', n)]);
      await new Promise((done) => setTimeout(done, 20));
    }
  })();
  await terminal.until((text) => /^fed [1-9][\d.]*\/s .* commits [1-9][\d.]*\/s of [\d.]+ ms$/m.test(text), 'rates');
  await terminal.until((text) => Number(tables(text).windows[0]?.at(-1)) > 0, 'the window costs something');
  terminal.done = true;
  await feeding;
  one.destroy();
  await terminal.until((text) => /^clients 1 /m.test(text), 'a client is gone');
  terminal.type('x');
  terminal.type('q');
  assert.equal(await terminal.ended, 0);
  assert.ok(terminal.screen.cursor && !terminal.screen.wrapped && !terminal.screen.scrolled, 'nothing wrapped, nothing scrolled, the cursor is back');
});

test('a small terminal gets what fits, and Ctrl-C ends it', async (t) => {
  const { server } = await busy(t);
  for (const [columns, rows] of [[40, 8], [20, 4], [132, 50]]) {
    const terminal = new Terminal(t, BINARY, ['top', '--url', server.healthUrl], { columns, rows });
    await terminal.until((text) => text.includes('stele'), 'the picture');
    await terminal.until((text) => rows < 8 || text.includes('CLIENT'), 'the clients');
    terminal.type(CONTROL_C);
    assert.equal(await terminal.ended, 0);
    assert.ok(terminal.screen.cursor && !terminal.screen.wrapped && !terminal.screen.scrolled, `${columns} by ${rows}`);
  }
});

test('when the server goes, the picture says so and goes on when it is back', async (t) => {
  const { server } = await busy(t);
  const terminal = new Terminal(t, BINARY, ['top', '--url', server.healthUrl, '--interval', '1'], { columns: 200 });
  await terminal.until((text) => /^clients 2 /m.test(text), 'the picture');
  await server.kill9();
  await terminal.until((text) => /no server answers/.test(text.split('\n')[0]), 'the loss');
  await server.restart({ samePort: true });
  await terminal.until((text) => /^clients 0 /m.test(text) && !/no server/.test(text), 'the server again');
  terminal.type('q');
  assert.equal(await terminal.ended, 0);
});

test('where there is no terminal one picture is printed, who is behind first', async (t) => {
  const { server, one } = await busy(t);
  const slow = await clientFor(t, server);
  await slow.open('E/append');
  slow.socket.pause();
  const find = async () => (await http(`${server.healthUrl}/v1/clients`)).json.clients.at(-1);
  await eventually(async () => {
    await post(server, Array.from({ length: 10 }, () => ({ export: 'E', key: 'big', patch: { big: 'x'.repeat(300_000) } })));
    return (await find()).lag.changes > 20;
  }, 'a client is behind');
  await one.until(({ key }) => key === 'big');
  const { code, stdout, stderr } = await run(['top', '--url', server.healthUrl, '--interval', '1']);
  assert.deepEqual([code, stderr], [0, '']);
  assert.equal(stdout.match(/^stele /gm).length, 1);
  const [first] = tables(stdout).clients;
  assert.equal(first[0], String((await find()).id), stdout);
  assert.ok(Number(first[5]) > 20 || first[5].endsWith('k'), stdout);
});

test('--json has figures, rates, clients and windows, one line for each interval', async (t) => {
  const { server } = await busy(t);
  const { code, stdout } = await run(['top', '--url', server.healthUrl, '--interval', '1', '--once', '--json']);
  assert.equal(code, 0);
  const only = JSON.parse(stdout);
  assert.equal(stdout.trim().split('\n').length, 1);
  assert.deepEqual([only.healthy, only.status, only.clients.length, only.windows.length], [true, 'running', 2, 1]);
  assert.equal(only.figures.stele_connections_active, 2);
  assert.ok(only.rates.stele_mutations_total >= 0);
  assert.deepEqual(only.clients.map(({ id }) => id).sort(), (await http(`${server.healthUrl}/v1/clients`)).json.clients.map(({ id }) => id));
  const child = spawn(BINARY, ['top', '--url', server.healthUrl, '--interval', '1', '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  let lines = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    assert.equal(JSON.parse(line).clients.length, 2);
    if (++lines === 3) break;
  }
  child.kill('SIGINT');
  const code2 = await new Promise((done) => child.on('exit', done));
  assert.equal(code2, 0);
});

test('it needs the scope admin, and says what is wrong', async (t) => {
  const server = await Server.forTest(t, { config: { auth } });
  const top = (args, env = {}) => run(['top', '--interval', '1', '--once', ...args], { env });
  const good = await top(['--url', server.healthUrl], { STELE_TOKEN: ADMIN });
  assert.equal(good.code, 0, good.stderr);
  const poor = await top(['--url', server.healthUrl], { STELE_TOKEN: FEEDER });
  assert.equal(poor.code, 1);
  assert.match(poor.stderr, /scope-missing/);
  const none = await top(['--url', server.healthUrl]);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /token-missing/);
  const main = await top(['--url', server.http], { STELE_TOKEN: ADMIN });
  assert.equal(main.code, 1);
  assert.match(main.stderr, /health/);
  assert.equal((await top(['--interval', '0'])).code, 2);
});

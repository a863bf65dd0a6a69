// SIGHUP: the configuration is read again beneath live connections. What is live holds, what is not is
// named, what is wrong changes nothing. That each setting is one or the other: server_reload_test.c.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { Client } from './lib/client.js';
import { http, post, tryPost } from './lib/feed.js';
import { BINARY, Server, check, scratch, within } from './lib/server.js';

const m = (key, patch) => ({ export: 'E', key, patch });
const exports = { E: {} };

test('live settings hold for what comes, others are named, connections stay', async (t) => {
  const server = await Server.forTest(t, { config: { exports, max_subscriptions: 2 } });
  const client = await Client.open(server);
  t.after(() => client.destroy());
  await post(server, m('a', { n: 1 }));
  await client.open('E/list');
  await client.open('E/state', { key: 'a' });
  client.subscribe('E/append');
  assert.equal((await client.next()).code, 'subscription-limit-exceeded');

  const said = await server.reload({ exports: { E: { max_entities: 5, scope: 'who' } }, max_subscriptions: 3, retention_rows: 7, readers: 3 });
  for (const name of ['retention_rows', 'readers', 'exports'])
    assert.match(said, new RegExp(`warning config ${name} effect="needs a restart"`));
  assert.match(said, /audit configuration-reloaded changed="max_subscriptions"/);
  await client.open('E/append');

  /* The same again tells what still waits for a restart, and changes nothing. */
  assert.match(await server.reload(), /config readers effect="needs a restart"[^]*configuration-reloaded changed=""/);
  assert.equal(client.end, undefined);
  await post(server, m('a', { n: 2 }));
  await client.until((frame) => frame.data?.n === 2);

  /* Less than there are already: those stay. */
  await server.reload({ exports, max_subscriptions: 1, max_message_bytes: 1024, max_connections: 1 });
  await post(server, m('a', { n: 3 }));
  await client.until((frame) => frame.data?.n === 3);
  await assert.rejects(Client.open(server), /429/);
  await server.terminate();
  await check(server.db);
});

test('what is wrong changes nothing, and says what it is', async (t) => {
  const server = await Server.forTest(t, { config: { exports, max_subscriptions: 1, log_level: 'info' } });
  const wrong = [
    ['{', /configuration-refused .*config\.json/],
    [{ exports, max_subscriptions: 2, max_depth: 0 }, /configuration-refused .*max_depth.*cannot be 0/],
    [{ exports, max_subscription: 2 }, /configuration-refused .*did you mean/],
    [{ exports, max_subscriptions: 2, stacks: ['/no/such/file'] }, /configuration-refused .*\/no\/such\/file/],
    [{ exports: { E: { views: { v: { pipeline: [{ nonsense: 1 }] } } } }, max_subscriptions: 2 }, /configuration-refused/],
    [{ exports, max_subscriptions: 2, tls_certificate: '/no/such/file', tls_key: '/no/such/file' }, /configuration-refused .*tls_certificate/],
    [{ exports, max_subscriptions: 2, auth: { mode: 'static' } }, /configuration-refused .*auth/],
  ];
  for (const [config, pattern] of wrong) assert.match(await server.reload(config), pattern);
  const client = await Client.open(server);
  t.after(() => client.destroy());
  await post(server, m('a', { n: 1 }));
  await client.open('E/list');
  client.subscribe('E/append');
  assert.equal((await client.next()).code, 'subscription-limit-exceeded');
  assert.match(await server.reload({ exports, max_subscriptions: 2 }), /configuration-reloaded changed="max_subscriptions"/);
  await client.open('E/append');
});

test('tokens come and go; who came with one that is gone, goes', async (t) => {
  const auth = (...tokens) => ({ exports, auth: { mode: 'static', tokens: tokens.map((token) => ({ token, scope: 'read write' })) } });
  const [first, second] = ['first-token-0123456789', 'second-token-0123456789'];
  const server = await Server.forTest(t, { config: auth(first) });
  const bearer = (token) => ({ authorization: `Bearer ${token}` });
  assert.equal((await tryPost(server, m('a', { n: 1 }), bearer(first))).status, 200);
  assert.equal((await tryPost(server, m('a', { n: 1 }), bearer(second))).status, 401);
  const client = await Client.open(server, { headers: bearer(first) });
  t.after(() => client.destroy());
  await client.open('E/list');
  const said = await server.reload(auth(first, second));
  assert.match(said, /configuration-reloaded changed="auth\.tokens"/);
  assert.doesNotMatch(said, /token-0123456789/);
  assert.equal((await tryPost(server, m('a', { n: 2 }), bearer(second))).status, 200);
  await client.until((frame) => frame.data?.n === 2);
  await server.reload(auth(second));
  assert.equal((await client.closed).code, 1008);
  assert.equal((await tryPost(server, m('a', { n: 1 }), bearer(first))).status, 401);
});

test('the command line and the environment stay over and under the file', async (t) => {
  const server = await Server.forTest(t, {
    config: { exports, max_message_bytes: 2048 }, set: { max_subscriptions: 1 }, env: { ARETE_WS_CLIENT_TIMEOUT_SECS: '77' },
  });
  const said = await server.reload({ exports, max_subscriptions: 5, client_timeout_seconds: 300 });
  assert.match(said, /changed="max_message_bytes client_timeout_seconds"/);
  assert.match(await server.reload({ exports }), /changed="client_timeout_seconds"/);
  /* A rate is one setting, whatever form it is written in. */
  const older = { rate_snapshots_per_connection_seconds: 120, rate_snapshots_per_connection: 7, rate_snapshots_per_connection_burst: 1 };
  assert.match(await server.reload({ exports, rate_snapshots_per_connection: '7+1/2m' }), /changed="rate_snapshots_per_connection"/);
  assert.match(await server.reload({ exports, ...older }), /changed=""/);
});

test('authentication cannot be taken away where other machines can reach the server', async (t) => {
  const file = join(scratch(t), 'config.json');
  const write = (listen, auth) => writeFileSync(file, JSON.stringify({ exports, listen, health: '127.0.0.1:0', auth }));
  write('0.0.0.0:0', { mode: 'static', tokens: ['a-token-0123456789'] });
  const child = spawn(BINARY, ['serve', '--db', join(scratch(t), 'stele.db'), '--config', file]);
  t.after(() => child.kill('SIGKILL'));
  const said = { stdout: '', stderr: '' };
  const wait = async (name, pattern) => {
    while (!pattern.test(said[name])) await within(once(child[name], 'data'), () => `${pattern} in ${said[name]}`);
  };
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (said[name] += text));
  await wait('stdout', /ready: .*\n/);
  const [, port] = /ready: ws:\/\/0\.0\.0\.0:(\d+)/.exec(said.stdout);
  /* The second is fine by itself, but the server listens where it did. */
  for (const listen of ['0.0.0.0:0', '127.0.0.1:0']) {
    said.stderr = '';
    write(listen, { mode: 'none' });
    child.kill('SIGHUP');
    await wait('stderr', /configuration-(refused|reloaded) .*\n/);
    assert.match(said.stderr, /configuration-refused .*0\.0\.0\.0:0 can be reached from other machines/, listen);
    assert.equal((await http(`http://127.0.0.1:${port}/v1/views`)).status, 401, listen);
  }
});

test('log settings change at once', async (t) => {
  const server = await Server.forTest(t, { config: { exports } });
  assert.match(await server.reload({ exports, log_format: 'json' }), /"event":"configuration-reloaded"/);
  await server.reload({ exports, log_level: 'debug' });
  await post(server, m('a', { n: 1 }));
  const debug = server.stderr.length;
  await server.reload({ exports, log_levels: 'server=debug' });
  assert.match(server.stderr.slice(debug), /configuration-reloaded changed="log_level log_levels"/);
  await server.terminate();
  assert.match(server.stderr.slice(debug), /debug server state/);
});

test('many signals at once, and one while it stops', async (t) => {
  const folder = scratch(t);
  const db = join(folder, 'stele.db');
  const server = await Server.forTest(t, { db, config: { exports } });
  for (let i = 0; i < 50; i++) {
    writeFileSync(`${db}.config.json`, JSON.stringify({ exports, max_subscriptions: 10 + i }));
    server.child.kill('SIGHUP');
    if (i % 10 === 0) await post(server, m('a', { n: i }));
  }
  await server.reload();
  server.child.kill('SIGHUP');
  await server.terminate();
  await check(db);
});

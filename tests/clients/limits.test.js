// docs/limits.md with the whole program: names of the environment, the numbers of a server that is
// on the internet, guessed tokens, and feeding. The edges are in tests/unit/access_limits_test.c, the
// errors in auth.test.js.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { clientFor } from './lib/client.js';
import { answerTo, checkAnswer, checkFatal, checkFields, refusal } from './lib/error_table.js';
import { http, post } from './lib/feed.js';
import { Server, run, scratch } from './lib/server.js';
import { HandshakeError, Socket } from './lib/socket.js';
import { bearer } from './lib/token.js';

const STATIC = 'static-token-0123456789';
const auth = { mode: 'static', tokens: [{ token: STATIC, scope: 'read write admin' }] };
/* The rates of the protocol, but in so long a time that none is forgotten during a test. */
const LONG = Object.fromEntries(
  ['HANDSHAKE_PER_IP', 'CONNECTIONS_PER_SUBJECT', 'CONNECTIONS_PER_METERING_KEY', 'SUBSCRIPTIONS_PER_CONNECTION', 'MESSAGES_PER_CONNECTION', 'SNAPSHOTS_PER_CONNECTION']
    .map((name) => [`ARETE_RATE_LIMIT_${name}_WINDOW_SECS`, '86400']),
);
const ON = { ARETE_RATE_LIMITING_ENABLED: 'true', ...LONG };

/** How many handshakes are answered like that before one is answered otherwise: its answer. */
async function knock(server, options, expected) {
  for (let count = 0; ; count++) {
    let status = 101;
    let answer;
    try {
      (await Socket.open(`${server.ws}/`, options)).destroy();
    } catch (error) {
      if (!(error instanceof HandshakeError)) throw error;
      answer = error;
      status = error.status;
    }
    if (status !== expected) return { count, answer };
    assert.ok(count < 1000, 'there is no end');
  }
}

test('the numbers of the protocol hold where there is authentication, also for this machine', async (t) => {
  const server = await Server.forTest(t, { config: { auth, exports: { E: {} } }, env: { ARETE_RATE_LIMITING_ENABLED: undefined, ...LONG } });
  const subject = await knock(server, { headers: bearer(STATIC) }, 101);
  assert.equal(subject.count, 35);
  checkAnswer(subject.answer, 'rate-limit-exceeded', { retryAfter: true, message: /this address: 30 in 86400 seconds and a burst of 5 are/ });
  const address = await knock(server, {}, 401); /* those with a good token were not counted among these */
  assert.equal(address.count, 70);
  checkAnswer(address.answer, 'rate-limit-exceeded', { retryAfter: true, message: /from this address: 60 in 86400 seconds and a burst of 10 are/ });
});

test('within a connection, too', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } }, env: ON });
  const client = await clientFor(t, server);
  const tooMuch = async (send) => {
    for (let count = 0; ; count++) {
      send(count);
      const answer = await client.expect('error');
      if (answer.code === 'rate-limit-exceeded') return { count, answer };
      assert.equal(answer.code, 'view-not-found');
    }
  };
  const subscribes = await tooMuch(() => client.subscribe('E/none'));
  assert.equal(subscribes.count, 130);
  checkFields(subscribes.answer, 'rate-limit-exceeded', { retryAfter: true });
  const other = await clientFor(t, server);
  for (let i = 0; i < 35; i++) await other.open('E/list', { key: `k${i}` });
  other.subscribe('E/list', { key: 'k35' });
  checkFields(await other.expect('error'), 'rate-limit-exceeded', { message: /30 snapshots in 86400 seconds and a burst of 5$/ });
  for (let i = 36; i < 1098; i++) other.send({ type: 'ping' });
  await other.silence(); /* by two messages that are answered */
  other.send({ type: 'ping' });
  await checkFatal(other, 'rate-limit-exceeded', { retryAfter: true, message: /1000 messages/ });
});

test('a value of the environment that cannot be read is an error at start', async (t) => {
  for (const [name, value] of [['ARETE_RATE_LIMIT_HANDSHAKE_PER_IP_MAX', 'many'], ['ARETE_RATE_LIMITING_ENABLED', '1'], ['ARETE_WS_MAX_CONNECTIONS_PER_IP', '-1']]) {
    const { code, stderr } = await Server.refused({ db: join(scratch(t), 'stele.db'), env: { [name]: value } });
    assert.notEqual(code, 0);
    assert.ok(stderr.includes(name) && stderr.includes(value), stderr);
  }
  const server = await Server.forTest(t, { env: { ARETE_WS_MESSAGE_QUEUE_SIZE: '512', ARETE_WS_MAX_CONNECTIONS_PER_IP: '1' } });
  assert.match(server.stderr, /ARETE_WS_MESSAGE_QUEUE_SIZE effect=none/);
  await clientFor(t, server);
  checkAnswer(await refusal(server), 'connection-limit-exceeded', { message: /address/ });
});

test('who guesses tokens is told to wait, and a good token passes all the same', async (t) => {
  const server = await Server.forTest(t, { config: { auth, exports: { E: {} } }, env: ON });
  for (let i = 0; i < 100; i++) assert.equal((await answerTo(server, '/v1/views', { headers: bearer(STATIC) })).status, 200);
  for (let i = 0; i < 70; i++) {
    const guess = await answerTo(i % 2 ? server : { http: server.healthUrl }, i % 2 ? '/v1/views' : '/metrics', { headers: bearer(`guessed-token-${i}-0123456789`) });
    checkAnswer(guess, 'invalid-static-token');
  }
  const bad = bearer('guessed-token-0123456789');
  checkAnswer(await answerTo(server, '/v1/views', { headers: bad }), 'rate-limit-exceeded', { retryAfter: true, message: /bad tokens/ });
  for (let i = 0; i < 70; i++) checkAnswer(await refusal(server, { headers: bad }), 'rate-limit-exceeded', { retryAfter: true });
  assert.equal((await answerTo(server, '/v1/views', { headers: bearer(STATIC) })).status, 200);
  await clientFor(t, server, { headers: bearer(STATIC) });
});

test('feeding is not rated: `stele ingest` sends thousands of messages', async (t) => {
  const server = await Server.forTest(t, { env: ON });
  const lines = Array.from({ length: 5000 }, (_, i) => JSON.stringify({ export: 'E', key: i % 50, patch: { i } })).join('\n');
  const { code, stderr } = await run(['ingest', '--url', server.ws, '--batch', '1', '-'], { input: `${lines}\n` });
  assert.equal(code, 0, stderr);
  const view = await http(`${server.http}/v1/views/E/list?key=49`);
  assert.equal(view.json.rows[0].data.i, 4999);
});

test('what was turned away is counted by what turned it away', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} }, max_connections_per_ip: 1, max_subscriptions: 1 } });
  const client = await clientFor(t, server);
  await refusal(server);
  await refusal(server);
  await client.open('E/list');
  client.subscribe('E/append');
  await client.expect('error');
  const { text } = await server.get('/metrics');
  assert.match(text, /^stele_limit_denials_total\{limit="connections_per_ip"\} 2$/m);
  assert.match(text, /^stele_limit_denials_total\{limit="subscriptions"\} 1$/m);
  assert.match(server.stderr, /audit limit-exceeded client=127\.0\.0\.1 .*limit=connections_per_ip code=connection-limit-exceeded/);
});

test('limits change with the configuration, for who is here and who comes', async (t) => {
  const config = { exports: { E: {} }, max_connections_per_ip: 1, max_subscriptions: 1 };
  const server = await Server.forTest(t, { config });
  const client = await clientFor(t, server);
  await client.open('E/list');
  checkAnswer(await refusal(server), 'connection-limit-exceeded');
  const said = await server.reload({ ...config, max_connections_per_ip: 2, max_subscriptions: 2, max_snapshot_rows: 1 });
  assert.match(said, /configuration-reloaded changed="max_connections_per_ip max_subscriptions max_snapshot_rows"/);
  await clientFor(t, server);
  checkAnswer(await refusal(server), 'connection-limit-exceeded', { message: /may have 2/ });
  await client.open('E/append');
  client.subscribe('E/list', { key: 'a' });
  checkFields(await client.expect('error'), 'subscription-limit-exceeded');
  await post(server, [{ export: 'E', key: 'a', patch: {} }, { export: 'E', key: 'b', patch: {} }]);
  checkAnswer(await answerTo(server, '/v1/views/E/list'), 'snapshot-limit-exceeded');
});

// Every error about a subscription names it: by the view and the key that the client gave.

import assert from 'node:assert/strict';
import test from 'node:test';
import { clientFor } from './lib/client.js';
import { checkFields } from './lib/error_table.js';
import { Server } from './lib/server.js';
import { bearer, newKey, tokenOf } from './lib/token.js';

const key = newKey();
const WIDE = 'é'.repeat(3000);
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));

/** The next error, whatever else comes before it. */
const nextError = async (client, what) => (await client.until((frame) => frame.type === 'error', what)).at(-1);

function checkNames(error, code, view, name, what) {
  checkFields(error, code);
  assert.deepEqual([error.view, error.key], [view, name], what);
  assert.equal(error.fatal, false);
  const names = Object.keys(error);
  assert.deepEqual(names.slice(-1 - (view !== undefined) - (name !== undefined)), [...(view === undefined ? [] : ['view']), ...(name === undefined ? [] : ['key']), 'fatal'], what);
}

/* ---- when it is asked for ---- */

test('a refused subscription is named, also where its message is wrong', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  const client = await clientFor(t, server);
  const cases = [
    [{ view: 'No/list' }, 'view-not-found', 'No/list'],
    [{ view: 'No/list', key: '' }, 'view-not-found', 'No/list', ''],
    [{ view: 'No/\u0007"list', key: 'a"\u0000'.slice(0, 2) }, 'view-not-found', 'No/\u0007"list', 'a"'],
    [{ view: 'E/state' }, 'invalid-parameter', 'E/state'],
    [{ view: 'E/append', key: 'k', take: 3 }, 'invalid-parameter', 'E/append', 'k'],
    [{ view: 'E/list', key: 'k', after: 'x' }, 'invalid-parameter', 'E/list', 'k'],
    /* These are no usable messages at all. */
    [{ view: 'E/list', key: 'k', take: 'x' }, 'invalid-parameter', 'E/list', 'k'],
    [{ view: 'E/list', key: 7 }, 'invalid-parameter', 'E/list'],
    [{ view: 'E/list', filters: [] }, 'invalid-parameter', 'E/list'],
    [{ view: 7, key: 'k' }, 'invalid-parameter'],
    [{ key: 'k' }, 'invalid-parameter'],
    [{ view: `${'v'.repeat(1000)}/list` }, 'view-not-found', 'v'.repeat(512)],
    [{ view: 'E/list', key: WIDE }, 'invalid-parameter', 'E/list', 'é'.repeat(128)],
    [{ view: 'E/list', key: `x${WIDE}` }, 'invalid-parameter', 'E/list', `x${'é'.repeat(127)}`],
  ];
  for (const [message, code, view, name] of cases) {
    client.send({ type: 'subscribe', ...message });
    checkNames(await nextError(client), code, view, name, JSON.stringify(message).slice(0, 100));
  }
  for (const text of ['{"type":"subscribe"', '[]', '{"type":"dance"}']) {
    client.send(text);
    checkNames(await nextError(client), 'invalid-message', undefined, undefined, text);
  }
});

test('a hundred widgets know which of them were refused', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} }, max_subscriptions: 35 } });
  const client = await clientFor(t, server);
  for (let i = 0; i < 100; i++) client.subscribe('E/state', { key: `widget${i}` });
  const refused = new Set();
  while (refused.size < 65) {
    const error = await nextError(client);
    checkNames(error, 'subscription-limit-exceeded', 'E/state', error.key);
    refused.add(error.key);
  }
  assert.deepEqual(refused, new Set(range(65, (i) => `widget${i + 35}`)));
});

/* ---- limits of a token, and rates ---- */

test('what rates, row limits and windows refuse is named', async (t) => {
  const server = await Server.forTest(t, {
    config: { exports: { E: { views: { top: { pipeline: [{ sort: 'n' }] } } } }, max_snapshot_rows: 5, max_windows: 1, auth: { mode: 'signed', keys: [key.x] } },
  });
  const headers = bearer(tokenOf(key));
  const fed = await fetch(`${server.http}/v1/mutations`, { method: 'POST', headers, body: range(20, (i) => JSON.stringify({ export: 'E', key: `k${i}`, patch: { n: i } })).join('\n') });
  assert.equal(fed.status, 200, await fed.text());
  const client = await clientFor(t, server, { headers });
  client.subscribe('E/list');
  checkNames(await nextError(client), 'snapshot-limit-exceeded', 'E/list', undefined);
  client.subscribe('E/append');
  checkNames(await nextError(client), 'snapshot-limit-exceeded', 'E/append', undefined);
  client.subscribe('E/list', { key: 'k3', after: '0:000000000001' });
  await client.until((frame) => frame.complete);
  client.subscribe('E/top');
  checkNames(await nextError(client), 'snapshot-limit-exceeded', 'E/top', undefined);
  client.subscribe('E/top', { take: 2 });
  await client.until((frame) => frame.complete);
  client.subscribe('E/top', { key: 'k3' });
  checkNames(await nextError(client), 'subscription-limit-exceeded', 'E/top', 'k3');
  const rated = await Server.forTest(t, { config: { exports: { E: {} }, rate_limiting: 'on', rate_subscriptions_per_connection: 1, rate_subscriptions_per_connection_burst: 0 } });
  const other = await clientFor(t, rated);
  other.subscribe('E/list');
  other.subscribe('E/list', { key: 'k' });
  checkNames(await nextError(other), 'rate-limit-exceeded', 'E/list', 'k');
});

/* ---- later ---- */

test('a subscription that a new token ends is named', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {}, F: {} }, auth: { mode: 'signed', keys: [key.x] } } });
  const client = await clientFor(t, server, { headers: bearer(tokenOf(key)) });
  await client.open('E/list', { key: 'k' });
  await client.open('E/list', { take: 2 });
  await client.open('E/state', { key: 'k' });
  await client.open('F/list');
  client.send({ type: 'refresh_auth', token: tokenOf(key, { views: ['F/*'] }) });
  const ended = [];
  for (let i = 0; i < 3; i++) ended.push(await nextError(client));
  for (const error of ended) checkNames(error, 'view-not-found', error.view, error.key);
  assert.deepEqual(ended.map((error) => `${error.view}:${error.key}`).sort(), ['E/list:k', 'E/list:undefined', 'E/state:k']);
});

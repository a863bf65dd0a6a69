// The published client for Rust (crate arete-a4-sdk), version 2 of the protocol, as it is: foreign/named_sdk_rust, which
// `tools/test --only sdk_rust` builds. It ends its connection for ever over anything that it does not expect.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { PythonSdk as Sdk } from './lib/python_sdk.js';
import { ROOT, Server } from './lib/server.js';

const PROGRAM = process.env.STELE_SDK_RUST ?? join(ROOT, 'build/rust/debug/named_sdk_rust');
const skip = existsSync(PROGRAM) ? false : 'the client for Rust is not built; tools/test --only sdk_rust does it';
const CONFIG = { exports: { Quake: { views: { strongest: { pipeline: [{ sort: { by: 'mag', order: 'desc' } }] } } } } };
const quake = (key, mag, more = {}) => ({ export: 'Quake', key, patch: { id: key, mag, ...more } });
const ids = (rows) => rows.map((row) => row.id);

async function feed(server, ...mutations) {
  const response = await fetch(`http://127.0.0.1:${server.port}/v1/mutations`, { method: 'POST', body: mutations.map((each) => JSON.stringify(each)).join('\n') });
  assert.equal(response.status, 200, await response.text());
}

test('get, windows, a tape over kill -9, and leaving in the midst of changes', { skip }, async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await feed(server, quake('a', 1, { type: 'x' }), quake('b', 6), quake('c', 3, { type: 'x' }), quake('d', 2));
  const sdk = Sdk.start(t, PROGRAM, [`ws://127.0.0.1:${server.port}/`]);
  assert.deepEqual(ids(await sdk.do('get', { view: 'Quake/list' })), ['d', 'c', 'b', 'a']);
  assert.deepEqual(ids(await sdk.do('get', { view: 'Quake/strongest', take: 2, skip: 1 })), ['c', 'd']);
  assert.deepEqual(ids(await sdk.do('get', { view: 'Quake/list', filters: { type: 'x' } })), ['c', 'a']);
  assert.equal((await sdk.do('state', { key: 'c' })).mag, 3);
  assert.ok((await sdk.ask('get', { view: 'Quake/none' })).error, 'an unknown view is no rows');
  await sdk.until(() => sdk.told.some((each) => each.issue?.includes('subscription-rejected')), 'why');
  await sdk.do('watch', { name: 'first', view: 'Quake/strongest', take: 2 });
  await sdk.do('watch', { name: 'next', view: 'Quake/strongest', take: 2, skip: 2 });
  await sdk.do('watch', { name: 'tape', view: 'Quake/append' });
  await sdk.until(() => sdk.of('first').length >= 2 && sdk.of('next').length >= 2 && sdk.of('tape').length === 4, 'what there is');
  await feed(server, quake('a', 9), { export: 'Quake', key: 'b', op: 'delete' });
  await sdk.until(() => sdk.of('first').some((each) => each.key === 'b' && each.op === 'delete') && sdk.of('next').some((each) => each.key === 'a' && each.op === 'remove'), 'what left');
  await sdk.until(() => sdk.of('tape').length === 6, 'events');
  await server.kill9();
  await server.restart({ samePort: true });
  for (let i = 0; i < 20; i++) await feed(server, quake('c', i));
  await sdk.until(() => sdk.of('tape').length >= 26, 'events of after the restart');
  assert.deepEqual(sdk.of('tape').slice(6).map((each) => each.data.mag), Array.from({ length: 20 }, (_, i) => i));
  await sdk.do('watch', { name: 'list', view: 'Quake/list' });
  await sdk.until(() => sdk.of('list').length >= 3, 'the list');
  assert.match(await sdk.do('connection'), /Connected/);
});

// A byte order mark in front of UTF-8, as some editors and shells write it, changes nothing: in what
// producers send, in the configuration, and in every file that it names.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { Ingest, http, tryPost } from './lib/feed.js';
import { Server, run, scratch, sqlView } from './lib/server.js';

const BOM = '\ufeff';
const TOKEN = 'a-static-token-0123456789';
const line = (key) => JSON.stringify({ export: 'E', key, patch: { n: 1 } });
const keys = async (server) => [...(await sqlView(server.db, 'E/list')).keys()].sort();

test('in front of lines, of a batch and of a message', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  for (const body of [`${BOM}${line('a')}\n`, `${BOM}\n${line('b')}`, `${line('c')}\n${BOM}${line('d')}\r\n`, `${BOM}${JSON.stringify({ mutations: [JSON.parse(line('e'))] })}`, BOM]) {
    const answer = await tryPost(server, body);
    assert.equal(answer.status, 200, answer.text);
  }
  const ingest = await Ingest.open(server);
  t.after(() => ingest.close());
  assert.equal((await ingest.sendText(`${BOM}{"id":1,"mutations":[${line('f')}]}`, 1)).applied, 1);
  assert.deepEqual(await keys(server), ['a', 'b', 'c', 'd', 'e', 'f']);
  for (const wrong of [`{"export":"E",${BOM}"key":"x","patch":{}}`, `${BOM}${BOM}${line('x')}`]) assert.equal((await tryPost(server, wrong)).status, 400);
  const key = JSON.parse(line('x'));
  key.key = `${BOM}k`;
  assert.equal((await tryPost(server, JSON.stringify(key))).status, 200, 'within a text it is a character');
  assert.ok((await keys(server)).includes(`${BOM}k`));
});

test('in the input of stele ingest, from a file and from a pipe', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  const file = join(scratch(t), 'feed.ndjson');
  writeFileSync(file, `${BOM}${line('a')}\n${line('b')}\n`);
  const fed = await run(['ingest', '--url', server.ws, file]);
  assert.deepEqual([fed.code, /applied 2/.test(fed.stdout)], [0, true], fed.stderr);
  const piped = await run(['ingest', '--url', server.ws, '-'], { input: `${BOM}${JSON.stringify({ mutations: [JSON.parse(line('c'))] })}\n${BOM}${line('d')}\n` });
  assert.equal(piped.code, 0, piped.stderr);
  assert.deepEqual(await keys(server), ['a', 'b', 'c', 'd']);
});

test('in the configuration, stack files, tokens and keys', async (t) => {
  const folder = scratch(t), path = (name) => join(folder, name);
  const made = await run(['token', 'keygen', path('key')]);
  assert.equal(made.code, 0, made.stderr);
  const { stdout: jwks } = await run(['token', 'jwks', path('key')]);
  writeFileSync(path('token'), `${BOM}${TOKEN}\r\n`);
  writeFileSync(path('jwks.json'), BOM + jwks);
  writeFileSync(path('stack.json'), `${BOM}${JSON.stringify({ entities: [{ state_name: 'E' }] })}`);
  writeFileSync(path('config.json'), BOM + JSON.stringify({ stacks: [path('stack.json')], auth: { mode: 'signed', jwks_file: path('jwks.json'), tokens: [{ file: path('token'), scope: 'write' }] } }));
  const server = await Server.forTest(t, { args: ['--config', path('config.json')] });
  const answer = await http(`${server.http}/v1/mutations`, { method: 'POST', body: line('a'), headers: { authorization: `Bearer ${TOKEN}` } });
  assert.equal(answer.status, 200, answer.text);
  const ingest = await run(['ingest', '--url', server.ws, '--token-file', path('token'), '-'], { input: line('b') });
  assert.equal(ingest.code, 0, ingest.stderr);
  writeFileSync(path('bom.key'), BOM + readFileSync(path('key'), 'utf8'));
  const signed = await run(['token', 'sign', '--key-file', path('bom.key'), '--subject', 's', '--scope', 'write']);
  assert.equal(signed.code, 0, signed.stderr);
  const by = await http(`${server.http}/v1/mutations`, { method: 'POST', body: line('c'), headers: { authorization: `Bearer ${signed.stdout.trim()}` } });
  assert.equal(by.status, 200, by.text);
  assert.deepEqual(await keys(server), ['a', 'b', 'c']);
});

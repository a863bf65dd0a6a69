// Compressed bodies of mutations: as plain ones, within the same bounds.

import assert from 'node:assert/strict';
import test from 'node:test';
import { gzipSync } from 'node:zlib';
import { http } from './lib/feed.js';
import { Server } from './lib/server.js';

const line = (key, n) => `${JSON.stringify({ export: 'E', key, patch: { n } })}\n`;
const post = (server, body, headers = {}) => http(`${server.http}/v1/mutations`, { method: 'POST', headers: { 'Content-Encoding': 'gzip', ...headers }, body });

test('a compressed body is taken as the plain one', async (t) => {
  const server = await Server.forTest(t, {});
  const many = Array.from({ length: 1000 }, (_, i) => line(`k${i}`, i)).join('');
  const answer = await post(server, gzipSync(many));
  assert.deepEqual([answer.status, answer.json.applied], [200, 1000], answer.text);
  assert.equal((await post(server, gzipSync(line('a', 1)), { 'Content-Encoding': 'x-gzip' })).status, 200);
  /* A key stands for what was meant, however it was sent. */
  const key = { 'Idempotency-Key': 'once' };
  assert.equal((await post(server, gzipSync(line('b', 1)), key)).json.applied, 1);
  const again = await post(server, line('b', 1), { ...key, 'Content-Encoding': 'identity' });
  assert.deepEqual([again.status, again.headers['idempotency-replayed']], [200, 'true'], again.text);
});

test('what is damaged, holds too much or is compressed otherwise is refused, and nothing of it applied', async (t) => {
  const server = await Server.forTest(t, { config: { max_request_bytes: 65536, exports: { E: {} } } });
  const good = gzipSync(line('a', 1));
  for (const [what, body, headers, status, code] of [
    ['cut', good.subarray(0, good.length - 3), {}, 400, 'invalid-message'],
    ['not compressed', line('a', 1), {}, 400, 'invalid-message'],
    ['more behind it', Buffer.concat([good, Buffer.from('x')]), {}, 400, 'invalid-message'],
    ['empty', '', {}, 400, 'invalid-message'],
    ['a bomb', gzipSync(line('a', 1) + ' '.repeat(50_000_000)), {}, 413, 'too-large'],
    ['a bad line', gzipSync(`${line('a', 1)}nonsense\n`), {}, 400, 'invalid-message'],
    ['another encoding', good, { 'Content-Encoding': 'br' }, 415, 'unsupported-encoding'],
    ['two of them', good, { 'Content-Encoding': 'gzip, gzip' }, 415, 'unsupported-encoding'],
  ]) {
    const answer = await post(server, body, headers);
    assert.deepEqual([answer.status, answer.json.code], [status, code], `${what}: ${answer.text}`);
  }
  assert.deepEqual((await http(`${server.http}/v1/views/E/list`)).json.rows, []);
});

// Where things are kept, by itself: files, and memory behind a storage that fails.

import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { fileStorage } from '../dist/node.js';
import { makeStorage } from '../dist/storage.js';
import { range, scratch } from './lib.js';

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

test('a file keeps its value until the next one is whole; updates come one after the other', async (t) => {
  const folder = scratch(t);
  const storage = fileStorage(folder);
  await storage.update('a', () => ({ n: 0 }));
  const circle = {};
  circle.self = circle;
  await assert.rejects(storage.update('a', () => circle));
  await assert.rejects(storage.update('a', () => { throw new Error('no'); }), /no/);
  assert.deepEqual(await storage.get('a'), { n: 0 });
  await Promise.all(range(30, () => storage.update('a', ({ n }) => ({ n: n + 1 }))));
  assert.deepEqual(await fileStorage(folder).get('a'), { n: 30 });
  await storage.update('__proto__', () => 1);
  assert.deepEqual([await storage.get('b'), await storage.get('__proto__')], [undefined, 1]);
  await storage.delete('a');
  await storage.delete('a');
  assert.equal(await storage.get('a'), undefined);
});

test('a file that cannot be read is a failure, not nothing', async (t) => {
  const folder = scratch(t);
  const storage = fileStorage(folder);
  await storage.update('a', () => 1);
  for (const file of await readdir(folder)) await writeFile(join(folder, file), '{"half');
  await assert.rejects(storage.get('a'));
});

/** A storage that fails where `fails` says so, in front of a map. */
function failing() {
  const values = new Map();
  const it = { fails: new Set(), changes: 0 };
  const unless = (name, key) => it.fails.has(name) || it.fails.has(`${name} ${key}`) ? Promise.reject(new Error(`${name} fails`)) : pause(5);
  it.storage = {
    get: (key) => unless('get', key).then(() => values.get(key)),
    update: (key, change) => unless('update', key).then(() => {
      it.changes++;
      const value = change(values.get(key));
      values.set(key, value);
      return value;
    }),
    delete: (key) => unless('delete', key).then(() => void values.delete(key)),
  };
  return it;
}

test('after a failure values are kept in memory, in front of what can still be read', async () => {
  const below = failing();
  let failures = 0;
  const storage = makeStorage(below.storage, 'name', () => failures++);
  for (const key of ['a', 'b', 'c']) await storage.update(key, () => 1);
  assert.deepEqual([storage.isDurable(), storage.failure()], [true, null]);
  below.fails.add('update').add('delete');
  assert.equal(await storage.update('a', (n) => n + 1), 2);
  assert.deepEqual([storage.isDurable(), storage.failure().code, failures], [false, 'storage-failed', 1]);
  assert.deepEqual([await storage.get('a'), await storage.get('b')], [2, 1]);
  await storage.delete('b');
  assert.equal(await storage.get('b'), undefined, 'what is deleted does not come back');
  assert.equal(await storage.update('b', (n = 10) => n), 10);
  below.fails.clear();
  assert.deepEqual([await storage.get('a'), await storage.get('b'), await storage.get('c')], [2, 10, 1], 'memory goes before it');
  below.fails.add('get');
  assert.equal(await storage.get('d'), undefined);
});

test('a change that was made while another one failed is not made again', async () => {
  const below = failing();
  const storage = makeStorage(below.storage, 'name', () => {});
  below.fails.add('update large');
  const results = await Promise.all([storage.update('large', () => 1), storage.update('small', (n = 0) => n + 1)]);
  assert.deepEqual([results, below.changes, await storage.get('small')], [[1, 1], 1, 1]);
});

test('two changes of memory at a time both count', async () => {
  const storage = makeStorage('memory', 'name', () => assert.fail('memory does not fail'));
  await Promise.all(range(20, () => storage.update('a', (n = 0) => n + 1)));
  assert.deepEqual([await storage.get('a'), storage.isDurable(), storage.failure()], [20, false, null]);
});

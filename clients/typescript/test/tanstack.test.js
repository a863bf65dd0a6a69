// A collection of TanStack DB has what the view has.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createCollection } from '@tanstack/db';
import { steleCollectionOptions } from '../dist/tanstack.js';
import { fileStorage } from '../dist/node.js';
import { clientOf, CONFIG, del, ends, equals, post, range, row, scratch, Server, table, within } from './lib.js';

test('rows come, change and go, also over a kill', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await post(server, range(15, (i) => row(i)));
  const client = clientOf(t, server);
  const collection = createCollection(steleCollectionOptions({ client, query: { view: 'E/top' } }));
  t.after(() => collection.cleanup());
  await within(collection.preload(), 'the collection is ready');
  const sorted = (rows) => JSON.stringify(rows.sort(([a], [b]) => (a < b ? -1 : 1)));
  const check = async () => {
    const wanted = sorted((await table(server, 'E/top')).map(([key, data]) => [key, { ...data, _key: key }]));
    const look = async () => {
      while (sorted(collection.toArray.map((each) => [each._key, { ...each }])) !== wanted) await new Promise((done) => setTimeout(done, 10));
    };
    await within(look(), () => `${wanted}; it has ${sorted(collection.toArray.map((each) => [each._key, each]))}`);
  };
  await check();
  await post(server, [del(14), row(13, { text: 'changed' }), row(20)]);
  await check();
  await server.kill9();
  await server.restart({ samePort: true });
  await post(server, [del(20), row(21)]);
  await check();
  assert.equal(collection.size, 10);
});

test('it is ready with the first state, which may be of kept rows, or with the refusal of the server; it ends with its users', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await post(server, range(3, (i) => row(i)));
  const storage = fileStorage(scratch(t));
  const first = clientOf(t, server, { storage });
  await equals(server, first.view({ view: 'E/list' }), 'E/list');
  await first.close();
  await server.kill9();
  const client = clientOf(t, server, { storage, lingerMs: 50 });
  const collectionOf = (view) => createCollection(steleCollectionOptions({ client, query: { view }, id: view }));
  const kept = collectionOf('E/list');
  await within(kept.preload(), 'the kept rows');
  assert.equal(kept.size, 3);
  const [top, none] = ['E/top', 'E/nothing'].map(collectionOf);
  for (const collection of [top, none]) void collection.preload();
  await new Promise((done) => setTimeout(done, 100));
  assert.deepEqual([top.status, none.status], ['loading', 'loading'], 'there is nothing yet');
  await server.restart({ samePort: true });
  for (const collection of [top, none]) await within(collection.preload(), 'something of the server');
  assert.deepEqual([top.size, none.size, client.view({ view: 'E/nothing' }).state.status], [3, 0, 'ended']);
  const view = client.view({ view: 'E/top' });
  await top.cleanup();
  await ends(view);
});

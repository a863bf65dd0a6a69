// A collection of TanStack DB has what the view has.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createCollection } from '@tanstack/db';
import { steleCollectionOptions } from '../dist/tanstack.js';
import { clientOf, CONFIG, del, post, range, row, Server, table, within } from './lib.js';

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

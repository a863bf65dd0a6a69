// What runtimes.test.js runs in each runtime: smoke.js URL FOLDER. It prints what it saw, as JSON.

import { SteleClient } from '../dist/index.js';
import { fileStorage, tellingWebSocket } from '../dist/node.js';

const [url, folder] = process.argv.slice(2);
const WebSocket = globalThis.WebSocket ?? tellingWebSocket((await import('ws')).default);
const query = { view: 'E/list', where: { field: 'n', gte: 1 }, sort: [{ by: 'n', order: 'desc' }] };

/** The first state of the view that is so. */
const state = (view, status) =>
  new Promise((done) => {
    const look = () => view.state.status === status && done(view.state);
    view.subscribe(look);
    look();
  });

async function once(status) {
  const client = new SteleClient({ url, WebSocket, storage: fileStorage(folder) });
  const view = client.view(query);
  const first = await state(view, status);
  const { rows } = await state(view, 'live');
  const said = [first.rows.length, rows.map(({ text }) => text)];
  const { applied } = await client.apply({ export: 'E', key: 'k2', patch: { text: `changed in ${status}` } });
  await client.close();
  return [...said, applied, client.status.storage];
}

console.log(JSON.stringify([await once('live'), await once('stale')]));
process.exit();

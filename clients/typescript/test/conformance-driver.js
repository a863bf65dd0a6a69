// The driver of the conformance kit (clients/conformance) for this client: commands on stdin, answers on stdout.

import { createInterface } from 'node:readline';
import WebSocket from 'ws';
import { SteleClient } from '../dist/index.js';
import { fileStorage, tellingWebSocket } from '../dist/node.js';

let client;
let token;
const views = new Map();

const errorCode = (error) => error?.code ?? null;

/** Where the connection stood when the command was asked for, everything that came before is shown. */
const shown = () => new Promise((done) => setTimeout(done, 60));

const commands = {
  hello: () => ({ name: 'stele-client (TypeScript)', can: ['durable', 'feed', 'refresh', 'urls'] }),

  open(command) {
    token = command.token;
    client = new SteleClient({
      url: command.urls ?? command.url,
      storage: fileStorage(command.storage),
      WebSocket: tellingWebSocket(WebSocket),
      ...(command.token !== undefined && { token: () => token }),
      backoff: command.backoff,
      lingerMs: 1e9,
      transport: 'websocket',
    });
  },

  token: (command) => {
    token = command.token;
  },

  refresh: () => client.refresh(),

  subscribe({ name, query }) {
    const view = client.view(query);
    views.set(name, { view, stop: view.subscribe(() => {}) });
  },

  async unsubscribe({ name }) {
    const { view, stop } = views.get(name);
    views.delete(name);
    stop();
    await view.forget();
  },

  async rows({ name }) {
    await shown();
    const { query, state } = views.get(name).view;
    if (query.view.endsWith('/append')) return { events: state.events };
    return { rows: state.rows.map((data, i) => ({ key: state.keys[i], data })) };
  },

  status() {
    const { connection, error, pending, feedError } = client.status;
    const states = [...views].map(([name, { view: { state } }]) => [name, { state: state.status, error: errorCode(state.status === 'ended' ? state.error : null) }]);
    return { connection, error: errorCode(error), views: Object.fromEntries(states), pending, feedError: errorCode(feedError) };
  },

  apply: async ({ mutations }) => ({ batch: (await client.enqueue(mutations)).batch }),

  flush: () => client.flush(),

  async close() {
    await client.close();
    views.clear();
  },
};

async function answer(line) {
  const { id, do: name, ...command } = JSON.parse(line);
  try {
    if (!Object.hasOwn(commands, name)) throw new Error(`there is no command ${name}`);
    return { id, ok: true, ...(await commands[name](command)) };
  } catch (error) {
    return { id, ok: false, error: String(error?.stack ?? error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim()) process.stdout.write(`${JSON.stringify(await answer(line))}\n`);
}
process.exit();

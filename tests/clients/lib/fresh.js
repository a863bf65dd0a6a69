// Somebody who comes now, by any protocol: the rows that it is sent, in their order.

import { Applier } from './applier.js';
import { Client } from './client.js';
import { EventStream } from './events.js';
import { NamedClient } from './named.js';
import { within } from './server.js';
import { StreamApplier, livePath } from './stream_listener.js';
import { members } from './window_random.js';

const bare = ([key, { _version, ...row }]) => [key, row];

const PROTOCOLS = {
  async websocket(server, spec, path) {
    const client = await Client.open(server, { windows: true, path });
    const applier = new Applier();
    client.send(`{"type":"subscribe",${members(spec)}}`);
    for (const frame of await client.until((f) => (f.op === 'snapshot' && f.complete) || f.type === 'error')) applier.apply(frame);
    const rows = () => {
      for (; client.read < client.messages.length; client.read++) applier.apply(client.messages[client.read].json);
      return [...applier.rows];
    };
    return { rows, close: () => client.destroy() };
  },

  async named(server, spec, path) {
    const client = await NamedClient.connect(undefined, server.port, { path, apart: true });
    client.ask({ type: 'subscribe', subscriptionId: 's', query: { view: spec.view } });
    client.send(`{"type":"subscribe","protocolVersion":2,"subscriptionId":"s","query":{${members(spec)}}}`);
    const store = client.subscriptions.get('s');
    await client.until(() => store.told || store.errors.length, `the rows of ${members(spec)}`);
    if (store.errors.length) throw new Error(JSON.stringify(store.errors[0]));
    return { rows: () => [...store.rows].map(bare), close: () => client.socket.terminate() };
  },

  async stream(server, spec, path, token) {
    const applier = new StreamApplier();
    let done, stream;
    const told = new Promise((resolve) => (done = resolve));
    const each = ({ name, json }) => {
      if (name === 'end') return;
      applier.apply(json);
      if (json.complete) done();
    };
    stream = await EventStream.open(server.http + livePath(spec, token), { each });
    if (stream.status !== 200) throw new Error(`${stream.status} ${stream.text}`);
    await within(told, `the rows of ${members(spec)} by a stream`);
    return { rows: () => [...applier.rows], close: () => stream.destroy() };
  },
};

/** By a protocol of chance: {rows() → [key, row] as they are now, close()}. `spec` has JSON texts, as members() takes it. */
export function openFresh(random, server, spec, token) {
  const isTape = spec.view.endsWith('/append');
  const can = ['websocket', ...(isTape ? [] : ['named']), ...(livePath(spec) === undefined ? [] : ['stream'])];
  const path = token === undefined ? '/' : `/?token=${token}`;
  return PROTOCOLS[random.pick(can)](server, spec, path, token);
}

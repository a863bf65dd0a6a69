// Between a node and its broker: drops the messages that it is told to.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { pipeline } from 'node:stream';

/** What a client sends, as whole commands: {head, bytes}, those of messages with what belongs to them. */
function* commandsOf(state, part) {
  state.rest = Buffer.concat([state.rest, part]);
  for (;;) {
    const end = state.rest.indexOf('\r\n');
    if (end < 0) return;
    const head = state.rest.subarray(0, end).toString();
    const size = /^H?PUB /.test(head) ? end + 2 + Number(head.split(' ').at(-1)) + 2 : end + 2;
    if (state.rest.length < size) return;
    yield { head, bytes: state.rest.subarray(0, size) };
    state.rest = state.rest.subarray(size);
  }
}

/** A way to the broker; `drops(head, bytes)` says which commands never arrive. Its address is `url`. */
export async function filterFor(t, broker, drops) {
  const filter = { drops, dropped: 0 };
  const sockets = new Set();
  const server = createServer((client) => {
    const upstream = connect(broker.port, '127.0.0.1');
    const state = { rest: Buffer.alloc(0) };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => (client.destroy(), upstream.destroy()));
    }
    client.on('data', (part) => {
      for (const { head, bytes } of commandsOf(state, part)) {
        if (filter.drops(head, bytes)) filter.dropped++;
        else upstream.write(Buffer.from(bytes));
      }
    });
    pipeline(upstream, client, () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  filter.url = `nats://127.0.0.1:${server.address().port}`;
  return filter;
}

// A gate in front of a broker: while it is shut, who is behind it has no connection, and gets none.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export class Gate {
  #open = new Set();
  #isShut = false;

  /** One that ends with the test `t`. */
  static async start(t, port) {
    const gate = new Gate();
    const server = createServer((client) => gate.#accept(client, port));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    gate.url = `nats://127.0.0.1:${server.address().port}`;
    t.after(() => {
      gate.shut();
      server.close();
    });
    return gate;
  }

  #accept(client, port) {
    if (this.#isShut) return client.destroy();
    const broker = connect({ host: '127.0.0.1', port });
    const end = () => {
      client.destroy();
      broker.destroy();
      this.#open.delete(end);
    };
    this.#open.add(end);
    for (const side of [client, broker]) side.on('error', end).on('close', end);
    client.pipe(broker).pipe(client);
  }

  shut() {
    this.#isShut = true;
    for (const end of [...this.#open]) end();
  }

  open() {
    this.#isShut = false;
  }
}

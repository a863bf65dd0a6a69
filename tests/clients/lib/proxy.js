// A TCP proxy in the test's process: connections can be cut after so many bytes, and the target
// can change between them. `passing`, if it is there, sees what the server says.

import { connect, createServer } from 'node:net';
import { once } from 'node:events';

export class Proxy {
  /** cuts: for each connection in turn, bytes from the client after which it is torn (or Infinity). */
  static async start(t, port, cuts = []) {
    const proxy = new Proxy();
    proxy.port = port;
    proxy.cuts = cuts;
    proxy.connections = 0;
    proxy.open = new Set();
    proxy.server = createServer((client) => proxy.#accept(client));
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    proxy.ws = `ws://127.0.0.1:${proxy.server.address().port}`;
    t.after(() => {
      proxy.cut();
      proxy.server.close();
    });
    return proxy;
  }

  #accept(client) {
    let left = this.cuts[this.connections++] ?? Infinity;
    const server = connect({ host: '127.0.0.1', port: this.port });
    const end = () => {
      client.destroy();
      server.destroy();
      this.open.delete(end);
    };
    this.open.add(end);
    client.on('data', (data) => {
      if (data.length >= left) {
        server.write(data.subarray(0, left), () => end());
        left = 0;
        return;
      }
      left -= data.length;
      if (!server.write(data)) {
        client.pause();
        server.once('drain', () => client.resume());
      }
    });
    server.on('data', (data) => {
      this.passing?.(data);
      if (!client.write(data)) {
        server.pause();
        client.once('drain', () => server.resume());
      }
    });
    for (const side of [client, server]) side.on('error', () => {});
    client.on('close', end);
    /* What the server said last gets through, also to a client that is still sending. */
    server.on('close', () => {
      client.end();
      client.resume();
    });
  }

  /** Tear all connections there are. */
  cut() {
    for (const end of [...this.open]) end();
  }
}

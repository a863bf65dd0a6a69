// An HTTP endpoint for usage events: a real server that keeps what it is sent, and misbehaves as told.

import { createServer } from 'node:http';
import { once } from 'node:events';
import { within } from './server.js';

const quiet = () => {};

/** `behave` (may be changed at any time): 'ok', 'hang', 'reset', {status, headers}, {late: ms} (then ok), or a function of the
 * parsed body that gives one of these. With 'ok' the events count as taken, and 204 is answered. */
export class Endpoint {
  static async forTest(t, options = {}) {
    const endpoint = new Endpoint(options);
    await endpoint.open();
    t.after(() => endpoint.close());
    return endpoint;
  }

  constructor({ behave = 'ok', token, create = (handle) => createServer(handle), scheme = 'http' } = {}) {
    Object.assign(this, { behave, token, create, scheme });
  }

  posts = []; /* every request: {events, answer, at} */
  taken = new Map(); /* event_id → event, of those that were answered with 2xx */
  repeated = 0; /* events that were taken more than once */
  #waiting = [];

  async open(port = 0) {
    this.server = this.create((request, response) => this.#handle(request, response));
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = this.server.address().port;
    this.url = `${this.scheme}://127.0.0.1:${this.port}/usage`;
  }

  async close() {
    this.server.closeAllConnections();
    this.server.close();
  }

  async #handle(request, response) {
    response.on('error', quiet);
    const chunks = [];
    request.on('error', quiet);
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return;
    }
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    const answer = typeof this.behave === 'function' ? this.behave(body, this) : this.behave;
    this.posts.push({
      method: request.method,
      path: request.url,
      headers: request.headers,
      events: body.events,
      size: Object.keys(body).length,
      answer,
      at: performance.now(),
    });
    if (answer === 'ok') this.#take(body.events, response);
    else if (answer.late) setTimeout(() => this.#take(body.events, response), answer.late);
    else if (answer === 'reset') request.socket.resetAndDestroy();
    else if (answer !== 'hang') response.writeHead(answer.status, answer.headers).end('no');
    this.#wake();
  }

  #take(events, response) {
    for (const event of events) {
      if (this.taken.has(event.event_id)) this.repeated++;
      this.taken.set(event.event_id, event);
    }
    response.writeHead(204).end();
    this.#wake();
  }

  #wake() {
    for (const done of this.#waiting.splice(0)) done();
  }

  /** Taken events as told: the inner objects, of one type or all. */
  events(type) {
    const all = [...this.taken.values()].map(({ event }) => event);
    return type ? all.filter((event) => event.type === type) : all;
  }

  /** Sums over all taken events of a type, and of a view: {events, rows, messages, bytes}. */
  sums(type, view) {
    const sum = { events: 0, rows: 0, messages: 0, bytes: 0 };
    for (const event of this.events(type)) {
      if (view && event.view_id !== view) continue;
      sum.events++;
      for (const name of ['rows', 'messages', 'bytes']) sum[name] += event[name] ?? 0;
    }
    return sum;
  }

  /** Wait until `test()` holds, looking after every request. */
  async until(test, what, ms = 60_000) {
    while (!test()) {
      await within(
        new Promise((done) => this.#waiting.push(done)),
        () => `${what}; ${this.posts.length} posts, taken: ${JSON.stringify(this.events()).slice(-600)}`,
        ms,
      );
    }
  }
}

// An OpenTelemetry collector: a real HTTP server that keeps what it is sent, misbehaves as told, and reads it by the
// published protobuf definitions (foreign/otlp_decode.py).

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PYTHON, PythonSdk } from './python_sdk.js';
import { within } from './server.js';

const HERE = dirname(dirname(fileURLToPath(import.meta.url)));
/** Why it cannot read; false: it can. */
export const missing = existsSync(join(HERE, 'node_modules/.python/.installed')) ? false : 'opentelemetry-proto is not installed; tests/clients/run.sh --install does it where there is python3 with venv';

const quiet = () => {};

/**
 * `behave` (may be changed at any time): 'ok', 'hang', 'reset', {status, headers, body}, or a function of the request
 * ({path, headers, body}) that gives one of these.
 */
export class Collector {
  static async forTest(t, options = {}) {
    const collector = new Collector(options);
    await collector.open();
    t.after(() => collector.close());
    collector.reader = PythonSdk.start(t, PYTHON, ['-I', join(HERE, 'foreign/otlp_decode.py')]);
    return collector;
  }

  constructor({ behave = 'ok' } = {}) {
    this.behave = behave;
  }

  posts = []; /* every request: {method, path, headers, body, answer, at} */
  #waiting = [];

  async open(port = 0) {
    this.server = createServer((request, response) => this.#handle(request, response));
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = this.server.address().port;
    this.url = `http://127.0.0.1:${this.port}`;
  }

  async close() {
    this.server.closeAllConnections();
    this.server.close();
  }

  async #handle(request, response) {
    const chunks = [];
    request.on('error', quiet);
    response.on('error', quiet);
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return;
    }
    const post = { method: request.method, path: request.url, headers: request.headers, body: Buffer.concat(chunks).toString(), at: performance.now() };
    const answer = typeof this.behave === 'function' ? this.behave(post, this) : this.behave;
    post.answer = answer;
    this.posts.push(post);
    if (answer === 'ok') response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    else if (answer === 'reset') request.socket.resetAndDestroy();
    else if (answer !== 'hang') response.writeHead(answer.status, answer.headers).end(answer.body ?? '');
    for (const done of this.#waiting.splice(0)) done();
  }

  of(kind) {
    return this.posts.filter(({ path }) => path === `/v1/${kind}`);
  }

  /** Wait until `test()` gives something, looking after every request; that. */
  async until(test, what, ms = 60_000) {
    for (;;) {
      const found = await test();
      if (found) return found;
      await within(new Promise((done) => this.#waiting.push(done)), () => `${what}; ${this.posts.length} posts: ${this.posts.map(({ path, answer }) => `${path} ${JSON.stringify(answer)}`).slice(-10)}`, ms);
    }
  }

  /** A request's content as protobuf has it. */
  read(post) {
    post.read ??= this.reader.do(post.path.endsWith('traces') ? 'traces' : 'metrics', { body: post.body });
    return post.read;
  }

  /** All spans that were taken: as protobuf's JSON has them, with `attributes` as an object, and the resource's. */
  async spans() {
    const all = [];
    for (const post of this.posts.filter(({ path, answer }) => path.endsWith('traces') && answer === 'ok')) {
      const { resourceSpans } = await this.read(post);
      assert.equal(resourceSpans.length, 1);
      for (const { resource, scopeSpans } of resourceSpans)
        for (const { scope, spans } of scopeSpans)
          for (const span of spans)
            all.push({ ...span, attributes: plain(span.attributes), resource: plain(resource.attributes), scope, start: BigInt(span.startTimeUnixNano), end: BigInt(span.endTimeUnixNano) });
    }
    return all;
  }

  /** Wait for spans, until `test` of all of them gives something; that. */
  untilSpans(test, what) {
    return this.until(async () => test(await this.spans()), what);
  }

  /** The metrics of a request: name → the metric, and `resource`. */
  async metrics(post) {
    const { resourceMetrics } = await this.read(post);
    assert.equal(resourceMetrics.length, 1);
    const metrics = new Map(resourceMetrics[0].scopeMetrics.flatMap((each) => each.metrics).map((each) => [each.name, each]));
    return { metrics, resource: plain(resourceMetrics[0].resource.attributes) };
  }
}

/** [{key, value: {stringValue}}] → {key: value}; integers become numbers. */
export function plain(attributes = []) {
  const object = {};
  for (const { key, value } of attributes) {
    assert.ok(!(key in object), `${key} twice`);
    object[key] = 'intValue' in value ? Number(value.intValue) : value.stringValue ?? value;
  }
  return object;
}

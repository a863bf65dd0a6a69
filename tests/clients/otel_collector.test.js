// OpenTelemetry at the receiver of the published Collector, as it is: foreign/otel_collector, which
// `tools/test --only otel_collector` builds. telemetry.test.js has all that can be seen without it.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test from 'node:test';
import { plain } from './lib/collector.js';
import { post, tryPost } from './lib/feed.js';
import { parse } from './lib/prometheus.js';
import { PythonSdk as Program } from './lib/python_sdk.js';
import { ROOT, Server } from './lib/server.js';

const PROGRAM = process.env.STELE_OTEL_COLLECTOR ?? join(ROOT, 'build/go/otel_collector');
const skip = existsSync(PROGRAM) ? false : 'the OpenTelemetry Collector is not built; tools/test --only otel_collector does it';

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** All that the Collector was given of that kind: traces or metrics. */
const taken = (collector, kind) => collector.told.filter((each) => each.kind === kind).map(({ data }) => data);
const spansOf = (collector) => taken(collector, 'traces').flatMap(({ resourceSpans }) => resourceSpans).flatMap(({ scopeSpans }) => scopeSpans).flatMap(({ spans }) => spans);

test('the Collector takes traces and metrics', { skip }, async (t) => {
  const address = `127.0.0.1:${await freePort()}`;
  const collector = Program.start(t, PROGRAM, [address]);
  await collector.until(() => taken(collector, 'ready').length, 'that it listens');
  const server = await Server.forTest(t, { config: { exports: { E: {} } }, env: { OTEL_EXPORTER_OTLP_ENDPOINT: `http://${address}`, OTEL_METRIC_EXPORT_INTERVAL: '100' } });
  const [traceId, spanId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')];
  const answer = await tryPost(server, `${JSON.stringify({ export: 'E', key: 'a', patch: { n: 1 } })}\n`, { traceparent: `00-${traceId}-${spanId}-01` });
  assert.equal(answer.status, 200, answer.text);
  const spans = await collector.until(() => {
    const mine = spansOf(collector).filter((span) => span.traceId === traceId);
    return mine.length >= 5 && mine;
  }, 'the spans of the request');
  const [root, ...parts] = spans;
  assert.deepEqual([root.name, root.parentSpanId, root.kind], ['POST /v1/mutations', spanId, 2]);
  assert.equal(plain(root.attributes)['stele.mutations.applied'], 1);
  assert.deepEqual(parts.map(({ name }) => name), ['decode', 'queue', 'commit', 'publish']);
  for (const part of parts) {
    assert.equal(part.parentSpanId, root.spanId);
    assert.ok(BigInt(part.startTimeUnixNano) >= BigInt(root.startTimeUnixNano) && BigInt(part.endTimeUnixNano) <= BigInt(root.endTimeUnixNano), part.name);
  }
  const [{ resourceMetrics }] = await collector.until(() => taken(collector, 'metrics').length && taken(collector, 'metrics'), 'metrics');
  assert.equal(plain(resourceMetrics[0].resource.attributes)['service.name'], 'stele');
  const names = resourceMetrics[0].scopeMetrics.flatMap(({ metrics }) => metrics).map(({ name }) => name);
  assert.deepEqual(names.sort(), [...parse((await server.get('/metrics')).text).keys()].sort());
  await post(server, { export: 'E', key: 'b', patch: { n: 2 } });
  await server.terminate();
  await collector.until(() => spansOf(collector).filter(({ name }) => name === 'POST /v1/mutations').length === 2, 'what was left at the stop');
  assert.ok(!/export-failed|partial-success/.test(server.stderr), server.stderr);
});

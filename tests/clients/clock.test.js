// The wall clock is wrong for a while: nothing goes by age that would not have gone, and once it is
// right again everything is as if it had always been. See docs/durability.md, "When the clock is wrong".

import assert from 'node:assert/strict';
import test from 'node:test';
import { Client } from './lib/client.js';
import { Clock } from './lib/clock.js';
import { http, post } from './lib/feed.js';
import { Server, run, scratch, sql } from './lib/server.js';
import { bearer, newKey, tokenOf } from './lib/token.js';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const count = async (server, table) => (await sql(server.db, `SELECT count(*) AS n FROM ${table}`))[0].n;
const keys = async (server, view) => (await sql(server.db, `SELECT key FROM "${view}" ORDER BY key`)).map((row) => row.key);

/** A right clock that also runs on at a word; only the wall clock can be off. */
class Time extends Clock {
  passed = 0;

  /** The wall clock is off by so many seconds from now on; 0: it is right again. */
  setOff(seconds) {
    this.set(this.passed + seconds, this.passed);
  }

  /* What waits for a moment in the kernel still wakes by the machine's clock: give the server something to do. */
  pass(seconds) {
    const off = this.wall - this.passed;
    this.passed += seconds;
    this.setOff(off);
  }

  /** Milliseconds since 1970, by a right clock there. */
  right() {
    return Date.now() + this.passed * 1000;
  }
}

async function serve(t, options = {}) {
  const clock = new Time(scratch(t));
  const server = await Server.forTest(t, { ...options, env: { ...clock.env, ...options.env } });
  return { clock, server };
}

/** `stele check` finds nothing, by the clock that the server had. */
async function clean(server, clock) {
  const { code, stdout, stderr } = await run(['check', '--db', server.db], { env: clock.env });
  assert.equal(code, 0, stdout + stderr);
}

/** The writer has looked at what is due: it does along with a commit, when a second passed since the last time. */
async function sweep(server, clock, key = 'sweep') {
  for (let i = 0; i < 2; i++) {
    clock.pass(2);
    await post(server, [m(key, { i })]);
  }
}

/** The clock is off until the function ends. */
async function excursion(server, clock, seconds, during) {
  const before = server.stderr.match(/clock-returned/g)?.length ?? 0;
  clock.setOff(seconds);
  await server.logged(/clock-parted/);
  await during?.();
  clock.setOff(0);
  await post(server, [m('sweep', { back: true })]);
  while ((server.stderr.match(/clock-returned/g)?.length ?? 0) === before) await server.logged(/clock-returned/);
}

for (const [name, off] of [['ahead', 2 * DAY], ['behind', -2 * DAY]]) {
  test(`a clock that is two days ${name} removes nothing, and says so once`, async (t) => {
    const { clock, server } = await serve(t);
    await post(server, range(200, (i) => m(`k${i}`, { i })));
    await post(server, [{ export: 'E', key: 'k0', op: 'delete' }]);
    await excursion(server, clock, off, () => sweep(server, clock));
    await sweep(server, clock);
    assert.ok((await count(server, 'change')) > 200);
    assert.equal(await count(server, 'tombstone'), 1);
    assert.equal(server.stderr.match(/clock-parted/g).length, 1);
    /* What was stored meanwhile has the right time. */
    const [{ least, most }] = await sql(server.db, 'SELECT min(at) AS least, max(at) AS most FROM change');
    assert.ok(least > clock.right() - 10 * MINUTE * 1000 && most <= clock.right(), `${least} ${most} ${clock.right()}`);
    await server.terminate();
    await clean(server, clock);
  });
}

test('what was fed while the clock was ahead goes by age like everything else', async (t) => {
  const { clock, server } = await serve(t, { set: { retention_seconds: 100, tombstone_seconds: 100 } });
  await excursion(server, clock, 2 * DAY, async () => {
    await post(server, range(20, (i) => m(`k${i}`, { i })));
    await post(server, [{ export: 'E', key: 'k0', op: 'delete' }]);
  });
  clock.pass(200);
  await sweep(server, clock);
  await sweep(server, clock);
  assert.ok((await count(server, 'change')) < 10);
  assert.equal(await count(server, 'tombstone'), 0);
});

const timed = {
  exports: { E: { views: { valid: { pipeline: [{ filter: { field: 'until', gt: { now: true } } }] } } } },
};

for (const [name, restart] of [
  ['', null],
  [', over an orderly restart', (server) => server.terminate()],
  [', over a kill -9', (server) => server.kill9()],
]) {
  test(`views with now() are right after the clock was half an hour ahead${name}`, async (t) => {
    const { clock, server } = await serve(t, { config: timed });
    const now = Math.floor(clock.right() / 1000);
    await post(server, [m('gone', { until: now - 1 }), m('soon', { until: now + 10 * MINUTE }), m('later', { until: now + HOUR })]);
    await excursion(server, clock, 30 * MINUTE, async () => {
      await sweep(server, clock);
      if (!restart) return;
      await restart(server);
      await server.restart();
      await sweep(server, clock);
    });
    await sweep(server, clock);
    assert.deepEqual(await keys(server, 'E/valid'), ['later', 'soon']);
    clock.pass(15 * MINUTE);
    await sweep(server, clock);
    assert.deepEqual(await keys(server, 'E/valid'), ['later']);
    await server.terminate();
    await clean(server, clock);
  });
}

test('views with now() go back, too, when the clock that is believed goes back', async (t) => {
  const { clock, server } = await serve(t, { config: timed });
  const now = Math.floor(clock.right() / 1000);
  await post(server, [m('soon', { until: now + 90 * MINUTE }), m('later', { until: now + 4 * HOUR })]);
  clock.setOff(2 * HOUR);
  await server.logged(/clock-parted/);
  clock.pass(16 * MINUTE);
  await server.logged(/clock-settled/); /* nothing told that it was wrong */
  await sweep(server, clock);
  assert.deepEqual(await keys(server, 'E/valid'), ['later']);
  clock.setOff(0);
  await sweep(server, clock);
  await server.logged(/clock-parted[^]*clock-parted/);
  clock.pass(16 * MINUTE);
  await sweep(server, clock);
  await server.logged(/clock-settled[^]*clock-settled/);
  await sweep(server, clock);
  assert.deepEqual(await keys(server, 'E/valid'), ['later', 'soon']);
  await server.terminate();
  await clean(server, clock);
});

test('a clock that was set for good stays believed over a kill -9, also while nothing is fed', async (t) => {
  const { clock, server } = await serve(t, { config: timed });
  const now = Math.floor(clock.right() / 1000);
  await post(server, [m('soon', { until: now + 90 * MINUTE }), m('later', { until: now + 4 * HOUR })]);
  clock.setOff(2 * HOUR);
  await server.logged(/clock-parted/);
  clock.pass(16 * MINUTE);
  await server.logged(/clock-settled/);
  const shown = async () => (await keys(server, 'E/valid')).join();
  const saved = async () => Number((await sql(server.db, "SELECT value FROM meta WHERE name = 'clock'"))[0].value.split(' ')[0]);
  for (const until = Date.now() + 20_000; (await shown()) !== 'later' || (await saved()) < clock.right() + HOUR * 1000; ) {
    assert.ok(Date.now() < until, `${await shown()}, saved ${await saved()}, right ${clock.right()}`);
    await new Promise((done) => setTimeout(done, 50));
  }
  await server.kill9();
  await server.restart();
  await sweep(server, clock);
  assert.deepEqual(await keys(server, 'E/valid'), ['later']);
  assert.equal(server.stderr.match(/clock-parted/g).length, 1);
});

test('a clock that was set right is believed after a quarter of an hour', async (t) => {
  const { clock, server } = await serve(t, { set: { retention_seconds: HOUR } });
  await post(server, range(50, (i) => m(`k${i}`, { i })));
  clock.setOff(2 * HOUR);
  await server.logged(/clock-parted/);
  await sweep(server, clock);
  assert.ok((await count(server, 'change')) > 50);
  clock.pass(16 * MINUTE);
  await server.logged(/clock-settled/);
  await sweep(server, clock);
  await sweep(server, clock);
  assert.ok((await count(server, 'change')) < 10);
});

const key = newKey();
const admin = tokenOf(key, { sub: 'root', scope: 'admin', jti: 'admin-1', exp: Math.floor(Date.now() / 1000) + 30 * DAY });

async function codeAtTheDoor(server, token) {
  try {
    (await Client.open(server, { headers: bearer(token) })).destroy();
    return null;
  } catch (error) {
    return error.headers?.['x-error-code'] ?? String(error);
  }
}

test('a revoked token stays revoked when the clock was hours or weeks ahead', async (t) => {
  const { clock, server } = await serve(t, { config: { auth: { mode: 'signed', keys: [key.x] }, exports: { E: {} } } });
  const token = tokenOf(key, { jti: 'stolen' });
  const exp = Math.floor(Date.now() / 1000) + HOUR;
  const body = JSON.stringify({ jti: 'stolen', expires_at: exp });
  assert.equal((await http(`${server.http}/v1/revocations`, { method: 'POST', headers: bearer(admin), body })).status, 200);
  for (const off of [3 * HOUR, 21 * DAY]) {
    clock.setOff(off);
    await server.logged(/clock-parted/);
    /* Every minute what ran out is looked for, and at a start. */
    clock.pass(61);
    assert.equal((await server.get('/health')).status, 200);
    await server.terminate();
    await server.restart();
    clock.setOff(0);
    assert.equal(await codeAtTheDoor(server, token), 'token-expired');
    assert.equal(await count(server, 'revoked_token'), 1);
  }
});

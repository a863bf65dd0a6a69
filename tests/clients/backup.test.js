// `stele backup`: beside a server at work, killed in between, on a full disk; and what a server that
// is started on the copy makes of cursors.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import test from 'node:test';
import { clientFor } from './lib/client.js';
import { Producer, http, post, postAll } from './lib/feed.js';
import { BINARY, Server, check, run, scratch, sql, sqlView, within } from './lib/server.js';
import { fillDisk, smallDisk } from './lib/small_disk.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const pad = 'x'.repeat(2000);

const tryBackup = (db, to, ...more) => run(['backup', '--db', db, to, ...more]);

/** A backup that must succeed: the change that it is of. */
async function backup(db, to, ...more) {
  const { code, stdout, stderr } = await tryBackup(db, to, ...more);
  assert.equal(code, 0, stderr);
  const said = /: ([0-9]+) bytes, as of change ([0-9]+), seq (\S+?)(, checked)?\n/.exec(stdout);
  assert.ok(said, stdout);
  assert.equal(Number(said[1]), statSync(to).size);
  return Number(said[2]);
}

/** A file that is whole, alone and of that change. */
async function isCopy(to, change) {
  for (const ending of ['-wal', '-shm', '-journal', '.partial']) assert.ok(!existsSync(to + ending), to + ending);
  await check(to);
  const [log] = await sql(to, 'SELECT last_change, rows FROM log_state');
  assert.equal(log.last_change, change);
}

/** A database of some 120 MB, so that a copy takes long enough to be met half made. */
async function large(t) {
  const server = await Server.forTest(t, { config: { exports: { E: {} } } });
  await postAll(server, range(15_000, (i) => m(`k${i}`, { n: i, pad })), 1000);
  return server;
}

/** Start a backup and stop it (SIGSTOP) when a part of the copy is there. */
async function halfway(db, to, ...more) {
  const stood = existsSync(to);
  for (let i = 0; i < 50; i++) {
    const child = spawn(BINARY, ['backup', '--db', db, to, '--force', ...more], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.text = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (child.text += text));
    const ended = once(child, 'close');
    child.ended = ended;
    while (child.exitCode === null) {
      if ((statSync(`${to}.partial`, { throwIfNoEntry: false })?.size ?? 0) > 4_000_000) {
        child.kill('SIGSTOP');
        break;
      }
      await new Promise((done) => setImmediate(done));
    }
    const state = () => execFileSync('ps', ['-o', 'stat=', '-p', String(child.pid)], { encoding: 'utf8' });
    if (child.exitCode === null && state().startsWith('T') && existsSync(`${to}.partial`)) return child;
    child.kill('SIGCONT');
    await ended; /* it was quicker: once more */
    if (child.exitCode !== 0) assert.fail(child.text);
    if (!stood) rmSync(to);
  }
  return assert.fail('no backup could be met half made');
}

test('a database is copied beside its server and without one; what stands in the way is told', async (t) => {
  const server = await Server.forTest(t);
  const folder = scratch(t);
  const to = join(folder, 'copy.db');
  await post(server, [m('a', { n: 1 }), m('b', { n: 18446744073709551615n.toString() })]);
  chmodSync(server.db, 0o600);
  await isCopy(to, (await backup(server.db, to), 2));
  assert.equal(statSync(to).mode & 0o777, 0o600, 'the permissions are those of the database');
  assert.deepEqual(await sqlView(to, 'E/list'), await sqlView(server.db, 'E/list'));
  const refused = async (says, ...args) => {
    const { code, stdout, stderr } = await tryBackup(...args);
    assert.equal(code, 1, stdout);
    assert.match(stderr, says);
  };
  await refused(/copy\.db exists already.*--force/, server.db, to);
  await refused(/is the database itself/, server.db, server.db, '--force');
  await refused(/there is no database/, join(folder, 'none.db'), join(folder, 'x.db'));
  await refused(/cannot create .*no-folder/, server.db, join(folder, 'no-folder', 'x.db'));
  await refused(/no file/, server.db, folder, '--force');
  writeFileSync(join(folder, 'stale.db-wal'), 'x');
  await refused(/stale\.db-wal is there/, server.db, join(folder, 'stale.db'));
  assert.deepEqual(readdirSync(folder).sort(), ['copy.db', 'stale.db-wal'], 'refusals leave nothing');
  for (const args of [['backup', to], ['backup', '--db', server.db], ['backup', '--db', server.db, to, 'more']]) {
    assert.equal((await run(args)).code, 2, args.join(' '));
  }
  /* With --force it is replaced, unless a server has it. */
  await post(server, m('c', {}));
  assert.equal(await backup(server.db, to, '--force'), 3);
  const other = await Server.forTest(t, { db: to });
  await refused(/copy\.db-wal is there|in use by a server/, server.db, to, '--force');
  await other.terminate();
  await server.terminate();
  assert.equal(await backup(server.db, to, '--force'), 3);
  await isCopy(to, 3);
});

test('copies made while a server is fed at full speed are each whole, of one state, and have what was acknowledged', async (t) => {
  const server = await Server.forTest(t, {
    config: { exports: { E: { views: { top: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 5 }] } } } } },
    set: { checkpoint_pages: 500, retention_rows: 20_000 },
  });
  const folder = scratch(t);
  const producer = new Producer('p', { window: 16 });
  await producer.connect(server);
  let batch = 0;
  let stop = false;
  const feeding = (async () => {
    while (!stop) {
      batch++;
      /* Each batch gives the two keys the same number, so that no state between batches has two. */
      const twins = ['left', 'right'].map((key) => JSON.stringify(m(key, { n: batch })));
      producer.add([...twins, ...range(50, (i) => JSON.stringify(m(`k${(batch * 7 + i) % 3000}`, { n: batch, pad })))]);
      await producer.drain(12);
    }
    await producer.drain();
  })();
  while (producer.acks < 50) await producer.acknowledgement();
  let last = 0;
  for (let i = 0; i < 5; i++) {
    const to = join(folder, `copy${i}.db`);
    const acknowledged = producer.acknowledged;
    const change = await backup(server.db, to);
    assert.ok(change > last, 'the server went on');
    last = change;
    await isCopy(to, change);
    const rows = await sqlView(to, 'E/list');
    const [left, right] = ['left', 'right'].map((key) => JSON.parse(rows.get(key).data).n);
    assert.equal(left, right, 'no half of a batch');
    assert.ok(left >= acknowledged, `acknowledged were ${acknowledged}, the copy has ${left}`);
    const [{ batch: committed }] = await sql(to, "SELECT batch FROM producer WHERE name = 'p'");
    assert.equal(committed, left);
  }
  stop = true;
  await within(feeding, 'the end of feeding', 60_000);
  /* The log of the server is not pinned: it is moved and begins anew, if not in the first rounds,
   * where others keep the checkpoint from a processor. A pinned one grows by as much in each. */
  const grown = [];
  const most = 40 * 500 * 2000;
  do {
    const before = statSync(`${server.db}-wal`).size;
    for (let i = 0; i < 40; i++) await postAll(server, range(500, (j) => m(`k${j}`, { pad, i })));
    grown.push(statSync(`${server.db}-wal`).size - before);
    assert.ok(grown.length < 6, `the write-ahead log grew by ${grown}`);
  } while (grown.at(-1) >= most);
  await check(server.db);
});

test('kill -9 of the backup leaves no copy, and the next one is good; kill -9 of the server disturbs no backup', async (t) => {
  const server = await large(t);
  const to = join(scratch(t), 'copy.db');
  const first = await halfway(server.db, to);
  assert.ok(!existsSync(to), 'not under its name before it is whole');
  /* Meanwhile a second one is refused, and the server serves. */
  const second = await tryBackup(server.db, to);
  assert.equal(second.code, 1);
  assert.match(second.stderr, /another backup is writing/);
  await post(server, m('meanwhile', {}));
  first.kill('SIGKILL');
  await first.ended;
  assert.ok(!existsSync(to));
  assert.ok(existsSync(`${to}.partial`));
  const change = await backup(server.db, to);
  assert.equal(change, 15_001);
  await isCopy(to, change);
  const third = await halfway(server.db, to);
  await post(server, m('late', {}));
  await server.kill9();
  third.kill('SIGCONT');
  const [code] = await third.ended;
  assert.equal(code, 0, third.text);
  await isCopy(to, 15_001);
  await server.restart();
  assert.equal((await sqlView(server.db, 'E/list')).size, 15_002);
});

test('an interrupted backup, and one that lets the log grow too far, leave nothing', async (t) => {
  const server = await large(t);
  const folder = scratch(t);
  const to = join(folder, 'copy.db');
  const stopped = await halfway(server.db, to);
  stopped.kill('SIGINT');
  stopped.kill('SIGCONT');
  assert.equal((await stopped.ended)[0], 1);
  assert.match(stopped.text, /interrupted/);
  assert.deepEqual(readdirSync(folder), []);
  const slow = await halfway(server.db, to, '--wal-limit', '1');
  const wal = statSync(`${server.db}-wal`).size;
  /* What is in the log was moved, or will be written over: so much that it must grow. */
  for (let i = 0; i < 200 && statSync(`${server.db}-wal`).size - wal < 4 << 20; i++) {
    await postAll(server, range(2000, (j) => m(`k${j}`, { pad, i })), 1000);
  }
  slow.kill('SIGCONT');
  assert.equal((await slow.ended)[0], 1, slow.text);
  assert.match(slow.text, /write-ahead log of .* grew by .*--wal-limit/);
  assert.deepEqual(readdirSync(folder), []);
});

test('a full disk is told clearly, before and while copying, and leaves no half file', async (t) => {
  const folder = smallDisk(t, 200);
  if (!folder) return;
  const server = await large(t);
  const to = join(folder, 'copy.db');
  const fill = () => fillDisk(folder);
  const half = await halfway(server.db, to);
  fill();
  half.kill('SIGCONT');
  assert.equal((await half.ended)[0], 1, half.text);
  assert.match(half.text, /no room for a copy as .*copy\.db: nothing is left/);
  assert.deepEqual(readdirSync(folder), ['filler']);
  const refused = await tryBackup(server.db, to);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /it takes [0-9]+ bytes, there are/);
  assert.deepEqual(readdirSync(folder), ['filler']);
  await post(server, m('after', {}));
});

/* ---- a server on the copy ---- */

test('clients resume on a copy with cursors from before it, and only with those, also when it went on', async (t) => {
  const config = { exports: { E: { views: { top: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 3 }] } } } } };
  const original = await Server.forTest(t, { config });
  await post(original, range(10, (i) => ({ ...m(`k${i}`, { n: i }), slot: 10, index: 2 * i })));
  const early = await clientFor(t, original);
  const { subscribed, seq: before } = await early.open('E/list');
  await post(original, m('k1', { n: 100 }));
  const to = join(scratch(t), 'copy.db');
  await backup(original.db, to);
  /* What only the original has: a change behind the copy, and one that came late, with a low seq. */
  await post(original, [m('k2', { n: 200 }), { ...m('k3', { n: 300 }), slot: 10, index: 5 }]);
  const late = await clientFor(t, original);
  const { seq: behind } = await late.open('E/list');
  assert.equal(behind, '10:000000000005', 'older than the head of the copy, and yet from behind it');
  const newer = '10:000000000020';
  const old = subscribed.epoch;
  await original.kill9();

  const copy = await Server.forTest(t, { db: to, config });
  const resume = async (server, view, after, epoch) => {
    const client = await clientFor(t, server);
    client.subscribe(view, { after, epoch });
    const answer = await client.expect('subscribed');
    const rows = new Map();
    for (;;) {
      const frame = await client.next();
      for (const { key, data } of frame.data ?? []) rows.set(key, data.n);
      if (frame.op === 'snapshot' && frame.complete) {
        client.destroy();
        return { resumed: answer.resumed, epoch: answer.epoch, rows: Object.fromEntries(rows) };
      }
    }
  };
  const all = { k0: 0, k1: 100, k2: 2, k3: 3, k4: 4, k5: 5, k6: 6, k7: 7, k8: 8, k9: 9 };
  const good = await resume(copy, 'E/list', before, old);
  assert.deepEqual([good.resumed, good.rows], [true, { k1: 100 }], 'exactly what it lacks');
  assert.notEqual(good.epoch, old, 'a copy has an epoch of its own');
  for (const cursor of [behind, newer]) {
    const beyond = await resume(copy, 'E/list', cursor, old);
    assert.deepEqual([beyond.resumed, beyond.rows], [false, all], cursor);
  }
  /* The copy goes its own way, past all that the original ever gave out. */
  await post(copy, range(10, () => m('k9', { n: 900 })));
  all.k9 = 900;
  for (const cursor of [behind, newer]) {
    const parted = await resume(copy, 'E/list', cursor, old);
    assert.deepEqual([parted.resumed, parted.rows], [false, all], `${cursor}: both have it, of different changes`);
  }
  const still = await resume(copy, 'E/list', before, old);
  assert.deepEqual([still.resumed, still.rows], [true, { k1: 100, k9: 900 }]);
  const top = await resume(copy, 'E/top', behind, old);
  assert.equal(top.resumed, false);
  const asked = async (after, epoch) =>
    (await http(`${copy.http}/v1/views/E/list?after=${encodeURIComponent(after)}&epoch=${epoch}`)).json.resumed;
  assert.deepEqual([await asked(before, old), await asked(behind, old), await asked(before, good.epoch)], [true, false, true]);
  assert.equal(await asked(before, '00000000-0000-0000-0000-000000000000'), false);
  /* A restart makes no further epoch; a copy of the copy does, and knows both. */
  await copy.kill9();
  await copy.restart();
  const again = await resume(copy, 'E/list', before, old);
  assert.deepEqual([again.resumed, again.epoch], [true, good.epoch]);
  const second = join(scratch(t), 'second.db');
  await backup(copy.db, second);
  const third = await Server.forTest(t, { db: second, config });
  assert.equal((await resume(third, 'E/list', before, old)).resumed, true);
  assert.equal((await resume(third, 'E/list', behind, old)).resumed, false);
  const newest = await resume(third, 'E/list', before, good.epoch);
  assert.equal(newest.resumed, true);
  assert.notEqual(newest.epoch, good.epoch);
  await third.terminate();
  await check(second);
});

/** What a client that comes back with a cursor, and maybe an epoch, is told. */
async function resumes(server, after, epoch) {
  const query = epoch ? `&epoch=${epoch}` : '';
  return (await http(`${server.http}/v1/views/E/list?after=${encodeURIComponent(after)}${query}`)).json.resumed;
}

const headOf = async (server) => (await http(`${server.http}/v1/views/E/list`)).json.seq;

test('a copy gets an epoch of its own whatever made it', async (t) => {
  const original = await Server.forTest(t);
  await post(original, [m('a', {}), m('b', {})]);
  const folder = scratch(t);
  const { epoch } = await original.status();
  await original.terminate();
  const make = {
    'the shell': (to) => execFileSync('sqlite3', [original.db, `.backup '${to}'`]),
    'the shell, marked by hand': (to) => {
      execFileSync('sqlite3', [original.db, `.backup '${to}'`]);
      execFileSync('sqlite3', [to, "INSERT OR REPLACE INTO meta VALUES ('copied', '1')"]);
    },
    'cp -a': (to) => execFileSync('cp', ['-a', original.db, to]),
    'cp with its lock file': (to) => ['', '-lock'].forEach((end) => execFileSync('cp', ['-a', original.db + end, to + end])),
    'cp --reflink': (to) => execFileSync('cp', ['--reflink=auto', original.db, to]),
    tar: (to) => execFileSync('sh', ['-c', `tar -C "${dirname(original.db)}" -c ${basename(original.db)} | tar -x -C "${folder}" && mv "${join(folder, basename(original.db))}" "${to}"`]),
  };
  for (const [name, copy] of Object.entries(make)) {
    const to = join(folder, `${name}.db`);
    copy(to);
    const server = await Server.forTest(t, { db: to });
    const own = (await server.status()).epoch;
    assert.notEqual(own, epoch, name);
    assert.match(server.stderr, /epoch-parted/, name);
    await server.terminate();
    assert.deepEqual(await sql(to, 'SELECT epoch, last_change FROM former_epoch'), [{ epoch, last_change: 2 }], name);
    await server.restart();
    assert.equal((await server.status()).epoch, own, name);
    await server.terminate();
    await check(to);
  }
  /* The original was nowhere else. */
  await original.restart();
  assert.equal((await original.status()).epoch, epoch);
});

test('restarts and moves keep the epoch', async (t) => {
  const server = await Server.forTest(t);
  const { epoch } = await server.status();
  const own = async () => assert.equal((await server.status()).epoch, epoch);
  await post(server, m('a', {}));
  await server.kill9();
  await server.restart();
  await own();
  await post(server, m('b', {}));
  await server.terminate();
  execFileSync('sqlite3', [server.db, 'VACUUM']); /* by hand, on the way */
  execFileSync('touch', [server.db]);
  await server.restart();
  await own();
  await server.terminate();
  rmSync(`${server.db}-lock`);
  await server.restart();
  await own();
  await server.terminate();
  const to = `${server.db}.moved`;
  renameSync(server.db, to);
  const moved = await Server.forTest(t, { db: to });
  assert.equal((await moved.status()).epoch, epoch);
});

/* How an older state of the files comes back into their place. `state` is a folder with all of them. */
const putBack = {
  'cp onto the file': (db, state) => {
    for (const end of ['-wal', '-shm']) rmSync(db + end, { force: true });
    for (const end of ['', '-wal']) if (existsSync(join(state, `stele.db${end}`))) execFileSync('cp', [join(state, `stele.db${end}`), db + end]);
  },
  'a new file': (db, state) => {
    for (const end of ['', '-wal', '-shm']) rmSync(db + end, { force: true });
    for (const end of ['', '-wal']) if (existsSync(join(state, `stele.db${end}`))) execFileSync('cp', [join(state, `stele.db${end}`), db + end]);
  },
  'the whole folder': (db, state) => {
    for (const end of ['', '-wal', '-shm', '-lock']) rmSync(db + end, { force: true });
    execFileSync('sh', ['-c', `cp -a "${state}"/. "${dirname(db)}"/`]);
  },
};

for (const [way, put] of Object.entries(putBack)) {
  for (const running of [false, true]) {
    for (const [ending, end] of [['stop', (server) => server.terminate()], ['kill -9', (server) => server.kill9()]]) {
      test(`${way}: what was copied ${running ? 'beside' : 'without'} a server comes back after ${ending} as a copy`, async (t) => {
        const folder = scratch(t);
        const server = await Server.forTest(t, { db: join(folder, 'stele.db') });
        await post(server, range(5, (i) => m(`k${i}`, { n: i })));
        const { epoch } = await server.status();
        const early = await headOf(server);
        const state = join(scratch(t), 'state');
        if (!running) await server.terminate();
        execFileSync('cp', ['-a', folder, state]);
        if (!running) await server.restart();
        await post(server, range(5, (i) => m(`gone${i}`, { n: i })));
        const late = await headOf(server);
        await end(server);
        put(server.db, state);
        await server.restart();
        const own = (await server.status()).epoch;
        assert.notEqual(own, epoch);
        /* It goes its own way, past all that clients may hold. */
        await post(server, range(9, (i) => m(`k${i}`, { n: 100 + i })));
        for (const sent of [epoch, undefined]) {
          assert.equal(await resumes(server, early, sent), true, `up to the copy, epoch ${sent}`);
          assert.equal(await resumes(server, late, sent), false, `behind it, epoch ${sent}`);
        }
        assert.equal(await resumes(server, await headOf(server), own), true);
        const v1 = await clientFor(t, server);
        v1.subscribe('E/list', { after: late });
        assert.equal((await v1.expect('subscribed')).resumed, false);
        await server.terminate();
        await check(server.db);
        await server.restart();
        assert.equal((await server.status()).epoch, own);
      });
    }
  }
}

test('a volume that was brought back to a running server is a copy when the machine was started since', async (t) => {
  const server = await Server.forTest(t);
  await post(server, m('a', {}));
  const { epoch } = await server.status();
  await server.kill9();
  const note = (await sql(server.db, "SELECT value FROM meta WHERE name = 'running'"))[0]?.value;
  assert.match(note, /^[0-9a-f-]{36}$/);
  execFileSync('sqlite3', [server.db, "UPDATE meta SET value = '00000000-0000-0000-0000-000000000000' WHERE name = 'running'"]);
  await server.restart();
  assert.notEqual((await server.status()).epoch, epoch);
  await server.terminate();
  assert.deepEqual(await sql(server.db, "SELECT value FROM meta WHERE name = 'running'"), []);
});

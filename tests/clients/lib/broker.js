// A real nats-server with JetStream in a folder and on a port of its own, a publisher, and what nodes of its stream have.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RetentionPolicy, StorageType, connect } from 'nats';
import { claimPort } from './ports.js';
import { Server, eventually, scratch, sql, within } from './server.js';

/* It is in /usr/sbin, which is not in everybody's path. */
const PROGRAM = [process.env.NATS_SERVER ?? 'nats-server', '/usr/sbin/nats-server'].find((program) => spawnSync(program, ['--version']).status === 0);
export const hasBroker = PROGRAM !== undefined;
/* From 2.10 on it can write to disk before it acknowledges. */
const [, major, minor] = (hasBroker && /v(\d+)\.(\d+)/.exec(spawnSync(PROGRAM, ['--version']).stdout)) || [];
const SYNCS = Number(major) > 2 || Number(minor) >= 10;

const alive = new Set();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

const text = (body) => (typeof body === 'string' ? body : JSON.stringify(body));

export class Broker {
  /** One that ends with the test `t`. */
  static async forTest(t, { jetstream = true, tls, rules, connect: connects = true } = {}) {
    const broker = Object.assign(new Broker(), { jetstream, tls, rules });
    broker.folder = scratch(t);
    broker.port = claimPort();
    broker.urls = [broker.url];
    await broker.start();
    t.after(() => broker.end());
    if (connects) await broker.connect();
    return broker;
  }

  /** Three that are one cluster: the first, which has the connection of all, and them as `members`. */
  static async clusterForTest(t) {
    const members = ['a', 'b', 'c'].map((name) => Object.assign(new Broker(), { name, folder: scratch(t), port: claimPort(), route: claimPort() }));
    const routes = members.map((member) => `nats://127.0.0.1:${member.route}`);
    for (const member of members) {
      member.more = ['-n', member.name, '--cluster_name', 'c', '--cluster', routes[members.indexOf(member)], '--routes', routes.join(',')];
      member.urls = members.map((each) => each.url);
      t.after(() => member.end());
    }
    await Promise.all(members.map((member) => member.start()));
    await members[0].connect();
    return Object.assign(members[0], { members });
  }

  get url() {
    return this.tls ? `tls://localhost:${this.port}` : `nats://127.0.0.1:${this.port}`;
  }

  async start() {
    const file = join(this.folder, 'broker.conf');
    writeFileSync(file, this.jetstream === false ? '' : `jetstream { store_dir: "${this.folder}/js"${SYNCS ? ', sync_interval: always' : ''} }\n${this.tls ? `tls { cert_file: "${this.tls.certificate}", key_file: "${this.tls.key}" }\n` : ''}${this.rules ?? ''}`);
    this.child = spawn(PROGRAM, [...(this.more ?? []), '-c', file, '-a', '127.0.0.1', '-p', String(this.port)], { stdio: ['ignore', 'ignore', 'pipe'] });
    alive.add(this.child);
    this.log = '';
    this.child.stderr.setEncoding('utf8').on('data', (part) => (this.log = (this.log + part).slice(-20_000)));
    this.ended = once(this.child, 'exit');
    this.ended.then(() => alive.delete(this.child));
    await eventually(() => /Server is ready/.test(this.log), () => `the broker is ready: ${this.log}`);
  }

  async connect() {
    this.connection = await connect({ servers: this.urls, maxReconnectAttempts: -1, reconnectTimeWait: 50, tls: this.tls && { ca: this.tls.pem }, ...(this.rules && { user: 'root', pass: 'root' }) });
    this.manager = await this.connection.jetstreamManager({ checkAPI: false });
    this.stream = this.connection.jetstream();
  }

  async stop(signal = 'SIGKILL') {
    this.child.kill(signal);
    await within(this.ended, 'the end of the broker');
  }

  async end() {
    if (this.connection) await this.connection.close().catch(() => {});
    if (this.child && this.child.exitCode === null && this.child.signalCode === null) await this.stop();
  }

  /** Make the stream `name`, with the subject of the same name. */
  make(name = 'stele', more = {}) {
    return this.manager.streams.add({ name, subjects: [name], storage: StorageType.File, retention: RetentionPolicy.Limits, ...more });
  }

  /** Of a cluster: the one that leads the stream, once there is one. */
  async leader(name = 'stele') {
    let leader;
    await eventually(async () => {
      const info = await this.manager.streams.info(name).catch(() => null);
      leader = this.members.find((member) => member.name === info?.cluster?.leader);
      return leader;
    }, 'the stream has a leader');
    return leader;
  }

  /** Publish bodies in order; the sequence of the last. Again when the broker was away meanwhile, so some may come twice. */
  async publish(bodies, { name = 'stele', patient = false } = {}) {
    let last;
    for (let at = 0; at < bodies.length; at += 200) {
      const some = bodies.slice(at, at + 200);
      for (;;) {
        try {
          const acks = await Promise.all(some.map((body) => this.stream.publish(name, text(body), { timeout: 3000 })));
          last = acks.at(-1).seq;
          break;
        } catch (error) {
          if (!patient) throw error;
          await new Promise((done) => setTimeout(done, 100));
        }
      }
    }
    return last;
  }
}

/** The setting "log" of a node of that stream. */
export const logOf = (broker, name = 'stele', more = {}) => ({ nats: broker.urls, stream: name, ...more });

/** A figure of the node. */
export async function figure(server, name) {
  const found = new RegExp(`^${name} (\\S+)$`, 'm').exec((await server.get('/metrics')).text);
  return found ? Number(found[1]) : undefined;
}

/** Wait until all up to that sequence is done with. */
export const reaches = (server, sequence) =>
  eventually(async () => (await figure(server, 'stele_log_position')) >= sequence, () => `message ${sequence} is done with; the log of the node: ${server.stderr.slice(-2000)}`);

/** A node of the broker's stream. */
export const node = (t, broker, { config = {}, ...options } = {}) => Server.forTest(t, { config: { log: logOf(broker), ...config }, ...options });

export const epochOf = async (server) => (await server.status()).epoch;

/** All that the file says of what the log did, as text: SQL views, producers, keys of requests, revoked tokens. */
export async function content(db) {
  const names = (await sql(db, 'SELECT name FROM sql_view ORDER BY name')).map((row) => row.name);
  const views = {};
  for (const name of names) views[name] = await sql(db, `SELECT * FROM "${name}"`);
  const producers = await sql(db, 'SELECT * FROM producer ORDER BY name');
  const keys = await sql(db, 'SELECT owner, key, hex(body), answer, at FROM idempotency_key ORDER BY owner, key');
  const revoked = await sql(db, 'SELECT * FROM revoked_token ORDER BY jti');
  return JSON.stringify({ views, producers, keys, revoked }, null, 1);
}

// Starts the real binary and knows its life: ready line, kill -9, a clean stop, a restart.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Kept } from './plain_http.js';
import { claimPort } from './ports.js';

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
export const BINARY = resolve(process.env.STELE_BINARY ?? join(ROOT, 'build/release/stele'));

/* Time-outs are generous and never waited for when things go right; a sanitizer build gets more. */
export const patience = (ms) => ms * Number(process.env.STELE_PATIENCE ?? 1);

/** A promise with a time-out that says what was waited for. */
export function within(promise, what, ms = 20_000) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      const text = typeof what === 'function' ? what() : what;
      reject(new Error(`timed out after ${patience(ms)} ms: ${text}`));
    }, patience(ms));
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const alive = new Set();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

/** Stop a program (SIGSTOP). Its threads do not run any more when this returns. */
export async function freeze({ pid }) {
  process.kill(pid, 'SIGSTOP');
  const stands = (thread) => /\) T /.test(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8'));
  await eventually(() => readdirSync(`/proc/${pid}/task`).every(stands), `${pid} stands still`);
}

/** Wait for a fact that no event tells of. */
export async function eventually(test, what, times = 1200) {
  for (let i = 0; i < times; i++) {
    if (await test()) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  assert.fail(`never: ${typeof what === 'function' ? what() : what}`);
}

/** A new folder that is removed when the test `t` ends. */
export function scratch(t) {
  const folder = mkdtempSync(join(process.env.STELE_TMP ?? tmpdir(), 'stele-test-'));
  t?.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/* The shell waits for a transaction of the server, in which views may be made behind an answer. */
const shellWaits = ['-cmd', '.timeout 20000'];

/** Run the binary to its end: {code, signal, stdout, stderr}. `input` goes to its stdin. */
export function run(args, { input, env, cwd, ms = 60_000, program = BINARY } = {}) {
  return new Promise((done, fail) => {
    const child = execFile(
      program,
      program === 'sqlite3' ? [...shellWaits, ...args] : args,
      { env: { ...process.env, ...env }, cwd, timeout: patience(ms), killSignal: 'SIGKILL', maxBuffer: 1 << 30 },
      (error, stdout, stderr) => {
        if (error && typeof error.code === 'string') return fail(error); /* not started */
        done({ code: error ? (child.exitCode ?? null) : 0, signal: child.signalCode, stdout, stderr });
      },
    );
    child.stdin.on('error', () => {});
    child.stdin.end(input ?? '');
  });
}

/* What a test does in a second, a client of the world may do in a minute: rate windows hold where a
 * test says so, with `env` or a setting. */
const UNHURRIED = { ARETE_RATE_LIMITING_ENABLED: 'false' };

/* No row has such a line: newlines in JSON are escaped. */
const FENCE = '----';

/** The sqlite3 shell with a file, for many questions: to start one for each costs several times what it answers. */
class Shell {
  #told = '';
  #stderr = '';
  #asked = []; /* who waits, in order */

  constructor(file) {
    this.child = spawn('sqlite3', [...shellWaits, '-bail', '-json', '-readonly', file], { stdio: 'pipe' });
    alive.add(this.child);
    this.ended = once(this.child, 'close').then(() => {
      alive.delete(this.child);
      this.isOver = true;
      for (const { fail } of this.#asked.splice(0)) fail(new Error(`sqlite3: ${this.#stderr}`));
    });
    this.child.stdin.on('error', () => {});
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.#stderr += text));
    this.child.stdout.setEncoding('utf8').on('data', (text) => this.#take(text));
  }

  rows(statement) {
    return within(
      new Promise((done, fail) => {
        if (this.isOver) return fail(new Error(`sqlite3: ${this.#stderr}`));
        this.#asked.push({ done, fail });
        this.child.stdin.write(`${statement};\n.print ${FENCE}\n`);
      }),
      statement,
      60_000,
    );
  }

  #take(text) {
    this.#told += text;
    if (!this.#told.endsWith(`${FENCE}\n`)) return;
    const answers = this.#told.split(new RegExp(`^${FENCE}\n`, 'm'));
    this.#told = answers.pop();
    for (const rows of answers) this.#asked.shift().done(rows === '' ? [] : JSON.parse(rows));
  }

  end() {
    this.child.stdin.end();
    return within(this.ended, 'the end of sqlite3');
  }
}

export class Server {
  /**
   * Start `stele serve`. options: db (file), config (object, written to a file beside the database),
   * set ({name: value}), listen, health, args (more), env, wrap (a command in front that becomes the
   * server itself, as an array; or STELE_WRAP, e.g. "strace -D -f -ff -o /tmp/trace"), keeps (requests of lib/feed.js
   * share connections).
   */
  static async start(options) {
    const server = new Server(options);
    for (;;) {
      try {
        await server.#launch(options.listen ?? `127.0.0.1:${claimPort()}`, options.health ?? `127.0.0.1:${claimPort()}`);
        return server;
      } catch (error) {
        /* A program that claims none may have one of them: others are tried. */
        if ((options.listen && options.health) || !/cannot listen on .*Address already in use/.test(error.message)) throw error;
      }
    }
  }

  /** Start one that is expected to refuse: {code, stdout, stderr}. */
  static async refused(options) {
    return run(Server.#args(options, '127.0.0.1:0', '127.0.0.1:0'), { env: options.env, ms: 20_000 });
  }

  /** As start, in a folder of its own, stopped and removed when the test ends. */
  static async forTest(t, options = {}) {
    const db = options.db ?? join(scratch(t), 'stele.db');
    const server = await Server.start({ ...options, db });
    t.after(() => server.discard());
    return server;
  }

  constructor(options) {
    this.options = options;
    this.db = options.db;
    this.stderr = '';
    this.stdout = '';
  }

  static #args(options, listen, health) {
    const args = ['serve', '--db', options.db, '--listen', listen, '--health', health];
    if (options.config) {
      const file = `${options.db}.config.json`;
      writeFileSync(file, typeof options.config === 'string' ? options.config : JSON.stringify(options.config));
      args.push('--config', file);
    }
    if (process.env.STELE_TLS) {
      /* Any test may be run over TLS: certificate.pem and key.pem are there, and NODE_EXTRA_CA_CERTS names the first. */
      for (const part of ['certificate', 'key']) args.push('--set', `tls_${part}=${process.env.STELE_TLS}/${part}.pem`);
    }
    for (const [name, value] of Object.entries(options.set ?? {})) args.push('--set', `${name}=${value}`);
    return [...args, ...(options.args ?? [])];
  }

  async #launch(listen, health) {
    this.kept = this.options.keeps && new Kept();
    const wrap = this.options.wrap ?? (process.env.STELE_WRAP ? process.env.STELE_WRAP.split(' ') : []);
    const [program, ...front] = [...wrap, BINARY];
    this.child = spawn(program, [...front, ...Server.#args(this.options, listen, health)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...UNHURRIED, ...process.env, ...this.options.env },
    });
    alive.add(this.child);
    this.ended = once(this.child, 'exit').then(([code, signal]) => {
      alive.delete(this.child);
      return { code, signal };
    });
    const child = this.child;
    child.stderr.setEncoding('utf8').on('data', (text) => {
      this.stderr = (this.stderr + text).slice(-200_000);
      child.emit('logged');
    });
    let out = '';
    const ready = new Promise((done, fail) => {
      child.on('error', fail);
      child.stdout.setEncoding('utf8').on('data', (text) => {
        out += text;
        this.stdout += text;
        const line = /^stele ready: (.*)$/m.exec(out);
        if (line && out.includes('\n', line.index)) done(line[1]);
      });
      this.ended.then(({ code, signal }) =>
        fail(new Error(`stele serve ended (${signal ?? code}) before it was ready:\n${this.stderr}`)),
      );
    });
    const line = await within(ready, () => `the ready line of ${BINARY}; stderr: ${this.stderr}`, 30_000);
    this.ready = line;
    const found = /^(wss?:\/\/(\S+):(\d+))\/? health (https?:\/\/\S+:(\d+))\/? db (.*)$/.exec(line);
    if (!found) throw new Error(`unexpected ready line: ${line}`);
    [, this.ws, this.host, this.port, this.healthUrl, this.healthPort, this.readyDb] = found;
    this.http = this.ws.replace('ws', 'http');
  }

  get pid() {
    return this.child.pid;
  }

  get running() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Wait until the server has logged something like `pattern`. */
  async logged(pattern) {
    while (!pattern.test(this.stderr)) await within(once(this.child, 'logged'), () => `${pattern} in the log: ${this.stderr}`);
  }

  /** Write another configuration (or none) and have it read: what the server logged about it. */
  async reload(config) {
    if (config !== undefined) writeFileSync(`${this.db}.config.json`, typeof config === 'string' ? config : JSON.stringify(config));
    const over = /configuration-(?:reloaded|refused)/g;
    const before = this.stderr.match(over)?.length ?? 0;
    const at = this.stderr.length;
    this.child.kill('SIGHUP');
    while ((this.stderr.match(over)?.length ?? 0) === before) await within(once(this.child, 'logged'), () => `a reload in the log: ${this.stderr}`);
    return this.stderr.slice(at);
  }

  /** What sql() asks of a server. */
  sql(statement) {
    this.shell ??= new Shell(this.db);
    return this.shell.rows(statement);
  }

  async #endShell() {
    const { shell } = this;
    this.shell = undefined;
    await shell?.end();
  }

  async kill9() {
    this.child.kill('SIGKILL'); /* at once: what is under way is what a test wants cut */
    await this.#endShell();
    await within(this.ended, 'the end after SIGKILL');
  }

  /** A clean stop; throws unless it ends with exit 0. */
  async terminate(signal = 'SIGTERM') {
    await this.#endShell();
    this.kept?.check();
    this.child.kill(signal);
    const { code, signal: by } = await within(this.ended, () => `the end after ${signal}; stderr: ${this.stderr}`, 30_000);
    if (code !== 0) throw new Error(`stele ended with ${by ?? code} after ${signal}:\n${this.stderr}`);
  }

  /** Start again on the same database, on the same ports or others. */
  async restart({ samePort = false, set, config } = {}) {
    if (this.running) throw new Error('still running');
    if (set) this.options = { ...this.options, set: { ...this.options.set, ...set } };
    if (config) this.options = { ...this.options, config };
    await this.#launch(
      samePort ? `127.0.0.1:${this.port}` : '127.0.0.1:0',
      samePort ? `127.0.0.1:${this.healthPort}` : '127.0.0.1:0',
    );
  }

  async discard() {
    if (this.running) await this.kill9();
  }

  /** Resident memory in bytes. */
  memory() {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)[1]) * 1024;
  }

  async get(path) {
    const response = await fetch(this.healthUrl + path, { headers: { connection: 'close' } });
    return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
  }

  async status() {
    return JSON.parse((await this.get('/status')).text);
  }
}

/** Rows of a SQL statement by the sqlite3 shell, as a user would ask. `where`: a file; or a server, for many statements:
 * one shell has them all, until the server is stopped or killed. */
export async function sql(where, statement) {
  return where instanceof Server ? where.sql(statement) : sqlOfFile(where, statement);
}

async function sqlOfFile(file, statement) {
  const { code, stdout, stderr } = await run(['-json', '-readonly', file, statement], { program: 'sqlite3' });
  if (code !== 0) throw new Error(`sqlite3: ${stderr}`);
  return stdout.trim() === '' ? [] : JSON.parse(stdout);
}

/** Rows of a view by its SQL name: key → {seq, data (text)}. `where`: a file, or a server. */
export async function sqlView(where, view) {
  const rows = await sql(where, `SELECT key, seq, data FROM "${view}"`);
  return new Map(rows.map((row) => [row.key, row]));
}

/** What a client of the view must hold. SQL's "<export>/append" is the tape, so "/list" says it. */
export const sqlState = (where, view) => sqlView(where, view.replace(/\/append$/, '/list'));

/** `stele check` on the database; throws with its list unless it is clean. */
export async function check(db) {
  const { code, stdout, stderr } = await run(['check', '--db', db]);
  if (code !== 0) throw new Error(`stele check: exit ${code}\n${stdout}${stderr}`);
}

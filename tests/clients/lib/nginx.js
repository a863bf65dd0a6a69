// nginx in front of a server, as docs/operations.md has it: a process of its own, in a folder of its
// own, with short times where a test would wait.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { patience, scratch, within } from './server.js';

/* It is in /usr/sbin, which is not in everybody's path. */
const PROGRAM = ['nginx', '/usr/sbin/nginx'].find((program) => spawnSync(program, ['-v']).status === 0);
export const hasNginx = PROGRAM !== undefined;

const alive = new Set();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGTERM');
});

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

export class Nginx {
  /** options: upstream (lines), server (lines), location (path, "/"), pass (what follows the
   * upstream's name), forwarded (X-Forwarded-For), buffering, more (lines in the location) */
  static async forTest(t, target, options = {}) {
    const nginx = new Nginx();
    nginx.folder = scratch(t);
    mkdirSync(join(nginx.folder, 'logs'));
    t.after(() => nginx.stop());
    /* Somebody else may take the port before nginx does. */
    for (let left = 5; !(await nginx.#start(target, options)); left--)
      if (left === 0) throw new Error(`nginx does not start: ${nginx.stderr}`);
    return nginx;
  }

  async #start(target, options) {
    this.port = await freePort();
    this.http = `http://127.0.0.1:${this.port}`;
    this.ws = `ws://127.0.0.1:${this.port}`;
    this.configure(target, options);
    this.child = spawn(PROGRAM, ['-p', this.folder, '-c', join(this.folder, 'nginx.conf'), '-g', 'daemon off;'], { stdio: ['ignore', 'ignore', 'pipe'] });
    alive.add(this.child);
    this.stderr = '';
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.stderr += text));
    this.ended = once(this.child, 'exit');
    return this.#listens();
  }

  configure(target, { upstream = 'keepalive 32;', server = '', location = '/', pass = '', forwarded = '$remote_addr', buffering = 'off', more = '' } = {}) {
    const folder = this.folder;
    writeFileSync(
      join(folder, 'nginx.conf'),
      `pid ${folder}/nginx.pid;
worker_processes 1;
worker_shutdown_timeout 2s;
error_log stderr notice;
${process.getuid() === 0 ? 'user root;' : ''}
events { worker_connections 1024; }
http {
    access_log ${folder}/logs/access.log;
    client_body_temp_path ${folder}/body;
    proxy_temp_path ${folder}/proxy;
    fastcgi_temp_path ${folder}/fastcgi;
    uwsgi_temp_path ${folder}/uwsgi;
    scgi_temp_path ${folder}/scgi;
    map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
    upstream stele { server 127.0.0.1:${target}; ${upstream} }
    server {
        listen 127.0.0.1:${this.port};
        ${server}
        location ${location} {
            proxy_pass http://stele${pass};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For "${forwarded}";
            proxy_buffering ${buffering};
            client_max_body_size 8m;
            ${more}
        }
    }
}
`,
    );
  }

  /* Until it takes connections; false: it ended. */
  async #listens() {
    const end = Date.now() + patience(20_000);
    for (;;) {
      const tcp = connect(this.port, '127.0.0.1');
      const up = await new Promise((done) => tcp.once('connect', () => done(true)).once('error', () => done(false)));
      tcp.destroy();
      if (this.child.exitCode !== null) return false;
      if (up) return true;
      if (Date.now() > end) throw new Error(`nginx does not listen: ${this.stderr}`);
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  /** Read the configuration again: the old workers stop taking connections, and end. Resolves when a new worker has begun. */
  async reload() {
    const before = this.stderr.length;
    this.child.kill('SIGHUP');
    while (!/start worker process \d+/.test(this.stderr.slice(before))) {
      await within(once(this.child.stderr, 'data'), () => `a reload of nginx: ${this.stderr.slice(before)}`);
    }
  }

  async stop() {
    if (!this.child) return;
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGTERM');
    await this.ended;
    alive.delete(this.child);
  }
}

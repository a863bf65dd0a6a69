// HTTP/1.1 for a test that asks thousands of times, at a fifth of what Node's client costs: each request on a
// connection of its own, or on one that is kept. What is not plain is left to Node's.

import { connect } from 'node:net';

const OURS = new Set(['connection', 'content-length', 'expect', 'host', 'te', 'transfer-encoding', 'upgrade']);

/** Whether askPlainly() can send this. */
export const isPlain = (url, headers) =>
  String(url).startsWith('http:') && Object.entries(headers).every(([name, value]) => !OURS.has(name.toLowerCase()) && typeof value === 'string' && /^[\t\x20-\x7e]*$/.test(value));

/** {status, headers, bytes}. `kept`: on one of these connections, else on its own. */
export async function askPlainly(url, method, body, headers, kept) {
  const bytes = body === undefined ? Buffer.alloc(0) : Buffer.from(body);
  const { host, pathname, search } = url;
  let head = `${method} ${pathname}${search} HTTP/1.1\r\n`;
  for (const [name, value] of Object.entries(headers)) head += `${name}: ${value}\r\n`;
  head += `Host: ${host}\r\n`;
  if (!kept) head += 'Connection: close\r\n';
  if (bytes.length > 0 || ['POST', 'PUT', 'PATCH'].includes(method)) head += `Content-Length: ${bytes.length}\r\n`;
  const connection = kept?.take(url) ?? new Connection(url);
  const answer = await connection.ask(`${head}\r\n`, bytes, method);
  if (kept && answer.headers.connection !== 'close') kept.give(url, connection);
  else connection.tcp.destroy();
  return answer;
}

/** Connections that wait for the next request; those that the server closes are not among them. A request that finds
 * its connection broken fails, as any other: it is not sent again. */
export class Kept {
  #idle = new Map(); /* host → connections */

  take({ host }) {
    this.check();
    return this.#idle.get(host)?.pop();
  }

  /** Throws if something came that nobody had asked for. */
  check() {
    if (this.stray) throw this.stray;
  }

  give({ host }, connection) {
    const idle = this.#idle.get(host) ?? [];
    this.#idle.set(host, idle);
    idle.push(connection);
    connection.left = () => idle.includes(connection) && idle.splice(idle.indexOf(connection), 1);
    connection.strays = (error) => (this.stray ??= error);
    if (connection.isOver) connection.left();
  }
}

class Connection {
  isOver = false;

  constructor({ hostname, port }) {
    this.tcp = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 80), noDelay: true });
    this.tcp.on('data', (data) => this.#take(data));
    this.tcp.on('end', () => {
      if (this.answer?.end()) this.#answered();
      this.#end();
    });
    this.tcp.on('error', (error) => this.#end(error));
    this.tcp.on('close', () => this.#end());
  }

  ask(head, body, method) {
    this.answer = new Answer(method);
    return new Promise((done, fail) => {
      this.waiter = { done, fail };
      if (body.length > 0 && body.length < 10_000) this.tcp.write(Buffer.concat([Buffer.from(head, 'latin1'), body]));
      else {
        this.tcp.write(head, 'latin1');
        if (body.length > 0) this.tcp.write(body);
      }
    });
  }

  #take(data) {
    try {
      if (!this.answer) {
        const error = new Error(`nobody asked for this: ${data.latin1Slice(0, 200)}`);
        this.strays?.(error);
        throw error;
      }
      if (this.answer.take(data)) this.#answered();
    } catch (error) {
      this.#end(error);
      this.tcp.destroy();
    }
  }

  #answered() {
    this.waiter.done(this.answer);
    this.answer = this.waiter = undefined;
  }

  #end(error) {
    this.isOver = true;
    this.left?.();
    this.waiter?.fail(error ?? Object.assign(new Error(this.answer.status ? 'aborted' : 'socket hang up'), { code: 'ECONNRESET' }));
    this.answer = this.waiter = undefined;
  }
}

class Answer {
  status = 0;
  headers = {};
  bytes = Buffer.alloc(0);
  #come = []; /* and not read yet */
  #size = 0;
  #wanted = 1; /* so many bytes take it further */
  #left; /* all that came and is not read yet */
  #chunks = [];
  #isChunked = false;

  constructor(method) {
    this.method = method;
  }

  /** Whether it is whole with this. */
  take(data) {
    this.#come.push(data);
    this.#size += data.length;
    if (this.#size < this.#wanted) return false;
    this.#left = Buffer.concat(this.#come);
    const isWhole = (this.status > 0 || this.#readHead()) && (this.#isChunked ? this.#readChunks() : this.#readBody());
    this.#come = [this.#left];
    this.#size = this.#left.length;
    return isWhole;
  }

  /** Whether it is whole when nothing more comes. */
  end() {
    return this.#wanted === Infinity && this.#whole(Buffer.concat(this.#come));
  }

  #whole(bytes) {
    this.bytes = bytes;
    return true;
  }

  #readHead() {
    const end = this.#left.indexOf('\r\n\r\n');
    if (end < 0) return false;
    const [first, ...lines] = this.#left.latin1Slice(0, end).split('\r\n');
    this.#left = this.#left.subarray(end + 4);
    const status = Number(/^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first)?.[1]);
    if (!status) throw new Error(`no answer of HTTP: ${first}`);
    if (status < 200) return this.#readHead();
    for (const line of lines) {
      const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
      if (name === undefined) throw new Error(`no header: ${line}`);
      const key = name.toLowerCase();
      this.headers[key] = this.headers[key] === undefined ? value : `${this.headers[key]}, ${value}`;
    }
    this.status = status;
    this.#wanted = Infinity;
    const { 'content-length': length, 'transfer-encoding': encoding } = this.headers;
    if (this.method === 'HEAD' || status === 204 || status === 304) this.#wanted = 0;
    else if (encoding !== undefined) this.#isChunked = true;
    else if (length !== undefined) this.#wanted = lengthOf(length, 10);
    return true;
  }

  #readBody() {
    if (this.#left.length < this.#wanted) return false;
    if (this.#left.length > this.#wanted) throw new Error(`more than the ${this.#wanted} bytes of the body came`);
    return this.#whole(this.#left);
  }

  #readChunks() {
    for (;;) {
      const end = this.#left.indexOf('\r\n');
      const length = end < 0 ? 0 : lengthOf(this.#left.latin1Slice(0, end), 16);
      const next = end + 2 + length + 2;
      this.#wanted = end < 0 ? this.#left.length + 1 : next;
      if (this.#left.length < this.#wanted) return false;
      if (this.#left.latin1Slice(next - 2, next) !== '\r\n') throw new Error('a chunk does not end where it says');
      if (length === 0 && this.#left.length > next) throw new Error('something came behind the last chunk');
      if (length === 0) return this.#whole(Buffer.concat(this.#chunks));
      this.#chunks.push(this.#left.subarray(end + 2, end + 2 + length));
      this.#left = this.#left.subarray(next);
    }
  }
}

function lengthOf(text, base) {
  if (!(base === 16 ? /^[0-9a-f]+$/i : /^[0-9]+$/).test(text)) throw new Error(`no length: ${text}`);
  return Number.parseInt(text, base);
}

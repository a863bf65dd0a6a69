// A WebSocket client of our own (RFC 6455, no extensions): it can be cut after any number of
// bytes, can stop reading, and refuses what a server must not send.

import { createHash, randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { within } from './server.js';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const strict = new TextDecoder('utf-8', { fatal: true });

export class HandshakeError extends Error {
  constructor(status, headers, body) {
    super(`handshake answered ${status}: ${body}`);
    Object.assign(this, { status, headers, body });
  }
}

/** Events: 'message' (Buffer, isText, fragments), 'pong' (Buffer), 'close' ({code, reason, clean}). */
export class Socket extends EventEmitter {
  /** options: cutAfter (bytes from the server after which the connection is torn), headers, from (the
   * address that it comes from); of wss:, tls. */
  static open(url, options = {}) {
    const socket = new Socket(url, options);
    return within(socket.#opened, `WebSocket handshake with ${url}`);
  }

  #opened;
  #settle;
  #buffer = Buffer.alloc(0);
  #open = false;
  #message = []; /* fragments of the message that is arriving */
  #messageText = false;
  #closeFrame = null;
  #sentClose = false;

  constructor(url, { cutAfter = Infinity, headers = {}, from, tls = {} }) {
    super();
    const { protocol, hostname, port, pathname, search } = new URL(url);
    const key = randomBytes(16).toString('base64');
    this.accept = createHash('sha1').update(key + GUID).digest('base64');
    this.received = 0;
    this.cutAfter = cutAfter;
    this.closed = new Promise((done) => this.once('close', done));
    this.#opened = new Promise((done, fail) => (this.#settle = { done, fail }));
    this.#opened.catch(() => {});
    const where = { host: hostname, port: Number(port), noDelay: true, localAddress: from };
    this.tcp = protocol === 'wss:' ? connectTls({ ...where, ...tls }) : connect(where);
    const more = Object.entries(headers).map(([n, v]) => `${n}: ${v}\r\n`).join('');
    this.tcp.write(
      `GET ${pathname}${search} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\n` +
        `Connection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n${more}\r\n`,
    );
    this.tcp.on('data', (data) => this.#data(data));
    this.tcp.on('error', (error) => (this.tcpError = error));
    this.tcp.on('end', () => this.#ended());
    this.tcp.on('close', () => {
      this.#ended();
      const end = this.#closeFrame ?? { code: 1006, reason: '' };
      this.emit('close', { ...end, clean: this.#closeFrame !== null });
    });
  }

  #ended() {
    if (this.#open) return;
    const [head, body = ''] = this.#buffer.toString().split('\r\n\r\n');
    const status = Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1] ?? 0);
    if (status) this.#settle.fail(new HandshakeError(status, parseHeaders(head), body));
    else this.#settle.fail(this.tcpError ?? new Error('connection closed during the handshake'));
  }

  #data(data) {
    if (this.received + data.length >= this.cutAfter) {
      data = data.subarray(0, this.cutAfter - this.received);
      this.received = this.cutAfter;
      this.#feed(data);
      this.destroy();
      return;
    }
    this.received += data.length;
    this.#feed(data);
  }

  #feed(data) {
    this.#buffer = this.#buffer.length ? Buffer.concat([this.#buffer, data]) : data;
    if (!this.#open) {
      const end = this.#buffer.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = this.#buffer.subarray(0, end).toString();
      if (!head.startsWith('HTTP/1.1 101')) {
        const length = Number(parseHeaders(head)['content-length'] ?? Infinity);
        if (this.#buffer.length >= end + 4 + length) this.tcp.destroy();
        return;
      }
      if (parseHeaders(head)['sec-websocket-accept'] !== this.accept) {
        this.#settle.fail(new Error('wrong Sec-WebSocket-Accept'));
        this.destroy();
        return;
      }
      this.#buffer = this.#buffer.subarray(end + 4);
      this.#open = true;
      this.#settle.done(this);
      /* Whoever opens us attaches handlers first: what came along waits for the next tick. */
      setImmediate(() => this.#frames());
      return;
    }
    this.#frames();
  }

  #violation(what) {
    this.violation = new Error(`the server broke RFC 6455: ${what}`);
    this.destroy();
    this.emit('violation', this.violation);
    throw this.violation;
  }

  #frames() {
    let at = 0;
    const buffer = this.#buffer;
    while (buffer.length - at >= 2) {
      const first = buffer[at];
      const fin = (first & 0x80) !== 0;
      const opcode = first & 0x0f;
      if (first & 0x70) this.#violation(`reserved bits in 0x${first.toString(16)}`);
      if (buffer[at + 1] & 0x80) this.#violation('masked frame');
      let length = buffer[at + 1] & 0x7f;
      let start = at + 2;
      if (length === 126) {
        if (buffer.length - at < 4) break;
        length = buffer.readUInt16BE(at + 2);
        start = at + 4;
        if (length < 126) this.#violation('length not in its shortest form');
      } else if (length === 127) {
        if (buffer.length - at < 10) break;
        length = Number(buffer.readBigUInt64BE(at + 2));
        start = at + 10;
        if (length < 65536) this.#violation('length not in its shortest form');
      }
      if (buffer.length - start < length) break;
      const payload = buffer.subarray(start, start + length);
      at = start + length;
      this.#frame(fin, opcode, payload);
    }
    this.#buffer = buffer.subarray(at);
  }

  #frame(fin, opcode, payload) {
    if (opcode >= 8) {
      if (!fin || payload.length > 125) this.#violation('bad control frame');
      if (opcode === 8) {
        const code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
        this.#closeFrame = { code, reason: strict.decode(payload.subarray(2)) };
        if (!this.#sentClose) this.close(code === 1005 ? 1000 : code);
        this.tcp.end();
      } else if (opcode === 9) this.#send(10, payload);
      else if (opcode === 10) this.emit('pong', payload);
      else this.#violation(`opcode ${opcode}`);
      return;
    }
    if (opcode === 0 ? this.#message.length === 0 : opcode > 2 || this.#message.length > 0) {
      this.#violation(`opcode ${opcode} in the wrong place`);
    }
    if (opcode !== 0) this.#messageText = opcode === 1;
    this.#message.push(payload);
    if (!fin) return;
    const parts = this.#message;
    this.#message = [];
    const whole = parts.length === 1 ? parts[0] : Buffer.concat(parts);
    this.emit('message', whole, this.#messageText, parts.length);
  }

  #send(opcode, payload, final = true) {
    if (this.tcp.destroyed || this.tcp.writableEnded) return false;
    const n = payload.length;
    const head = n < 126 ? 2 : n < 65536 ? 4 : 10;
    const out = Buffer.allocUnsafe(head + 4 + n);
    out[0] = (final ? 0x80 : 0) | opcode;
    out[1] = 0x80 | (n < 126 ? n : n < 65536 ? 126 : 127);
    if (head === 4) out.writeUInt16BE(n, 2);
    else if (head === 10) out.writeBigUInt64BE(BigInt(n), 2);
    const mask = randomBytes(4);
    mask.copy(out, head);
    for (let i = 0; i < n; i++) out[head + 4 + i] = payload[i] ^ mask[i & 3];
    return this.tcp.write(out);
  }

  send(text) {
    return this.#send(1, Buffer.from(text));
  }

  /** A text in fragments; `continues`: they go on with one that was left open; `more`: it is left open. */
  sendFragments(parts, { continues = false, more = false } = {}) {
    for (const [i, part] of parts.entries()) this.#send(i || continues ? 0 : 1, Buffer.from(part), i === parts.length - 1 && !more);
  }

  sendBinary(bytes) {
    return this.#send(2, bytes);
  }

  ping(bytes = Buffer.alloc(0)) {
    return this.#send(9, bytes);
  }

  close(code = 1000, reason = '') {
    this.#sentClose = true;
    const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
    payload.writeUInt16BE(code, 0);
    payload.write(reason, 2);
    this.#send(8, payload);
  }

  /** Tear the connection, as a broken network does. */
  destroy() {
    this.tcp.destroy();
  }

  pause() {
    this.tcp.pause();
  }

  resume() {
    this.tcp.resume();
  }
}

export function parseHeaders(head) {
  const headers = {};
  for (const line of head.split('\r\n').slice(1)) {
    const colon = line.indexOf(':');
    if (colon > 0) headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return headers;
}

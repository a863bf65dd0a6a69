// Server-sent events, where WebSockets do not come through: a stream for each view, which tells version 1.

import { after } from './backoff.js';
import { SteleError } from './types.js';
import { errorOf, errorOfClose, type Frame } from './wire.js';
import { overHttp, parametersOf, type Listener, type OpenTransport, type Transport } from './transport.js';

/** Browsers open six connections to a host over HTTP/1.1; one is left for the rest of the page. */
const STREAMS = 5;
const LONGEST = 64 << 20;
/** So long streams go on until a WebSocket is tried again. */
const STREAMS_MS = 300_000;

export const sseTransport =
  (fetcher: typeof fetch = (...request) => fetch(...request)): OpenTransport =>
  (url, token, listener) => new SseTransport(fetcher, url, token, listener);

class SseTransport implements Transport {
  #streams = new Map<string, AbortController>();
  #isClosed = false;

  constructor(
    private readonly fetcher: typeof fetch,
    private readonly url: string,
    private token: string | undefined,
    private readonly listener: Listener,
  ) {
    queueMicrotask(() => this.#isClosed || this.listener.opened());
    after(STREAMS_MS, () => this.#end(new SteleError('connection-renewed', 'a WebSocket is tried again')));
  }

  subscribe(id: string, query: object): void {
    const { view } = query as { view: string };
    if (/\/append$/.test(view)) this.#refuse(id, `"${view}" has events, which only a WebSocket brings`);
    else if (this.#streams.size >= STREAMS) this.#refuse(id, `without a WebSocket no more than ${STREAMS} views are open at a time`);
    else void this.#read(id, view, parametersOf(query as Record<string, unknown>));
  }

  unsubscribe(id: string): void {
    this.#streams.get(id)?.abort();
    this.#streams.delete(id);
  }

  refresh(token: string): void {
    this.token = token;
    this.#end(new SteleError('token-refreshed', 'the streams begin again with the new token'));
  }

  probe(): void {}

  close(): void {
    this.#isClosed = true;
    for (const stream of this.#streams.values()) stream.abort();
    this.#streams.clear();
  }

  #refuse(id: string, message: string): void {
    queueMicrotask(() => this.#isClosed || this.listener.frame({ type: 'error', subscriptionId: id, code: 'transport-limit', message, retryAfter: 30 }));
  }

  #fail(id: string, error: SteleError): void {
    if (this.#streams.delete(id)) this.#end(error);
  }

  #end(error: SteleError): void {
    if (this.#isClosed) return;
    this.close();
    this.listener.closed(error);
  }

  async #read(id: string, view: string, parameters: URLSearchParams): Promise<void> {
    const stream = new AbortController();
    this.#streams.set(id, stream);
    try {
      const path = view.split('/').map(encodeURIComponent).join('/');
      const address = overHttp(this.url, `v1/views/${path}/live?${parameters}`);
      const headers: Record<string, string> = { accept: 'text/event-stream' };
      if (this.token !== undefined) headers.authorization = `Bearer ${this.token}`;
      const { fetcher } = this;
      const response = await fetcher(address, { headers, signal: stream.signal, cache: 'no-store' });
      if (!response.ok || !response.body) return this.#answered(id, response.status, await response.json().catch(() => ({})));
      await this.#events(id, response.body);
      this.#fail(id, new SteleError('connection-lost', 'the stream ended'));
    } catch (error) {
      this.#fail(id, new SteleError('connection-failed', `the server cannot be reached: ${error}`));
    }
  }

  /** What concerns the token or the server ends all streams; what concerns the query, this one. */
  #answered(id: string, status: number, body: Frame & { retry_after?: number }): void {
    const error = errorOf({ code: `http-${status}`, ...body, retryAfter: body.retry_after! });
    if (error.retryable || status === 401 || status === 403) return this.#fail(id, error);
    if (this.#streams.delete(id)) this.listener.frame({ ...body, type: 'error', subscriptionId: id, code: error.code });
  }

  async #events(id: string, body: ReadableStream<Uint8Array>): Promise<void> {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true });
      const events = text.split('\n\n');
      text = events.pop()!;
      if (text.length > LONGEST) throw new Error('an event is too long');
      for (const event of events) this.#event(id, event);
    }
  }

  #event(id: string, event: string): void {
    /* Neither . nor ^ and $ with /m: they take U+2028 and U+2029 for the end of a line, which JSON may hold. */
    const data = event.split('\n').find((line) => line.startsWith('data:'))?.slice(5);
    if (!data || !this.#streams.has(id)) return;
    const frame: Frame & { status?: number; reason?: string } = JSON.parse(data);
    if (frame.op || frame.type) this.listener.frame({ ...frame, subscriptionId: id });
    if (frame.fatal) this.#fail(id, errorOf(frame));
    if (frame.reason !== undefined) this.#fail(id, errorOfClose(frame.status!, frame.reason));
  }
}

// Batches that are applied exactly once, over cuts and over crashes of the page.
//
// A batch is kept, with its producer and its number, before it is sent, and until it is acknowledged. All tabs of a page
// share one producer: a number is given in the transaction that keeps the batch, and every tab sends all that is kept, in
// order. So no number can be sent before the one below it, and what two tabs send counts once, because the server knows
// the number.
//
// Numbers that only memory knows must not be of a producer whose numbers are kept, so without durable storage each page
// is a producer of its own. So is a page that finds its storage cleared: what it saw waiting there, it puts back, and sends
// again what may have been sent; the server knows those numbers.

import { after, Backoff } from './backoff.js';
import type { SteleClient } from './client.js';
import { FEED, type CarefulStorage } from './storage.js';
import { overHttp } from './transport.js';
import { SteleError, type Ack, type ClientStatus } from './types.js';

interface Pending {
  producer: string;
  batch: number;
  body: string;
}

interface Kept {
  producer: string;
  isDurable: boolean;
  next: number;
  pending: Pending[];
  /** The newest batches that were given up, for the tabs that wait for them. */
  refused: { producer: string; batch: number; code: string; message: string }[];
}

export interface Applied {
  batch: number;
  done: Promise<Ack>;
}

/** So long the server may take for an answer, and `close` for a request that has begun. */
const ANSWER_MS = 60_000;
const CLOSE_MS = 1000;
const MOST_PENDING = 10_000;
const MOST_BYTES = 16 << 20;
const KEPT_REFUSALS = 20;

/** Answers that are about who asks, or about the moment, and not about the batch. */
const AGAIN = new Set([401, 403, 404, 407, 408, 409, 425, 429]);

function newName(): string {
  return `page-${Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

interface Waiter extends Pending {
  /** The storage has said so. */
  isKept?: boolean;
  done: (ack: Ack) => void;
  fail: (error: SteleError) => void;
}

export class Feed {
  #waiting: Waiter[] = [];
  #sending: Promise<void> | undefined;
  #post = new AbortController();
  #hasMore = false;
  #isClosed = false;
  #wake: () => void = () => {};
  #known: Kept | undefined; /* as this page saw it last */
  #error: SteleError | null = null; /* why none can be sent */
  #refusal: SteleError | null = null; /* the newest that was refused for good */

  constructor(
    private readonly storage: CarefulStorage,
    private readonly client: SteleClient,
    /** The token of now; or a new one, when that was refused. */
    private readonly token: (isRefused: boolean) => Promise<string | undefined>,
    private readonly changed: (change: Partial<ClientStatus>) => void,
    private readonly backoff: Backoff,
  ) {
    this.#watch();
    this.#send(); /* what an earlier page left */
  }

  /** `text`: a list of mutations. Resolves when the batch is kept; `done` when the server has it on disk. */
  async add(text: string): Promise<Applied> {
    const waiter = {} as Waiter;
    const done = new Promise<Ack>((done, fail) => Object.assign(waiter, { done, fail }));
    done.catch(() => {}); /* the status says it, too */
    let isFull = false;
    this.#known = await this.storage.update(FEED, (old): Kept => {
      const kept = this.#whole(old as Kept | undefined);
      if (kept.pending.some(({ body }) => body === waiter.body)) return kept; /* by an update that was said to have failed */
      const bytes = kept.pending.reduce((sum, { body }) => sum + body.length, text.length);
      isFull = kept.pending.length >= MOST_PENDING || bytes > MOST_BYTES;
      if (isFull) return kept;
      const { producer, next: batch } = kept;
      const added = { producer, batch, body: `{"producer":${JSON.stringify(producer)},"batch":${batch},"mutations":${text}}` };
      this.#take(waiter);
      this.#waiting.push(Object.assign(waiter, added));
      return { ...kept, next: batch + 1, pending: [...kept.pending, added] };
    });
    if (isFull) throw new SteleError('feed-full', 'too much waits for the server already: wait for earlier batches', true);
    waiter.isKept = true;
    this.#send();
    return { batch: waiter.batch, done };
  }

  /** There may be a way to the server again. */
  wake(): void {
    this.#wake();
  }

  /** Resolves when nothing more is written to the storage. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wake();
    this.#post.abort();
    for (const { fail } of this.#waiting.splice(0)) fail(new SteleError('closed', 'the client was closed; the batch is kept, and is sent when the page opens again'));
    await Promise.race([this.#sending, new Promise<void>((done) => after(CLOSE_MS, done))]);
  }

  /** Where the connection goes on because its server does not answer, what waits for that server does so, too. */
  #watch(): void {
    const { client } = this;
    let { url } = client.backoff;
    client.onStatus(({ connection, error }) => {
      if (connection === 'connecting') ({ url } = client.backoff);
      if (connection !== 'waiting' || error?.code !== 'connection-timeout' || url === client.backoff.url) return;
      if (url === this.backoff.url) this.#post.abort();
      ({ url } = client.backoff); /* once */
    });
  }

  #send(): void {
    this.#hasMore = true;
    this.#sending ??= this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    while (this.#hasMore && !this.#isClosed) {
      this.#hasMore = false;
      const waiting = this.#keptWaiting();
      let kept = (await this.storage.get(FEED)) as Kept | undefined;
      if (this.#known?.pending.length && kept?.producer !== this.#known.producer) kept = await this.storage.update(FEED, (old) => this.#whole(old as Kept | undefined));
      this.#known = kept;
      if (kept) this.#settle(kept, waiting);
      const first = kept?.pending[0];
      if (!first) continue;
      this.#hasMore = true;
      if (!(await this.#deliver(first)) && !this.#isClosed) await this.#rest();
    }
    this.#sending = undefined;
  }

  #pause = 0;

  /** True when it is dealt with. */
  async #deliver(first: Pending): Promise<boolean> {
    let answer: { status: number; body: any };
    try {
      answer = await this.#ask(first.body);
    } catch (error) {
      return !this.#isClosed && this.#retry(new SteleError('connection-failed', `the server cannot be reached: ${error}`));
    }
    const { status, body } = answer;
    const isDone = status === 200 && typeof body?.applied === 'number'; /* a portal may answer, too */
    const isRefused = status >= 400 && status < 500 && !AGAIN.has(status);
    const error = new SteleError(body?.code ?? `http-${status}`, body?.message ?? '', !isRefused, body?.retry_after);
    if (!isDone && !isRefused) return this.#retry(error);
    this.backoff.reset();
    this.#error = null;
    if (isRefused) this.#refusal = error;
    const waiting = this.#keptWaiting();
    const waiter = this.#take(first);
    const kept = (this.#known = await this.storage.update(FEED, (old) => without(this.#whole(old as Kept | undefined), first, isDone ? null : error)));
    if (isDone) waiter?.done({ ...body, batch: first.batch });
    else waiter?.fail(error);
    this.#settle(kept, waiting);
    return true;
  }

  #isRefused = false;
  #followed = ''; /* the newest server of an open connection, where the feed has gone */

  async #ask(body: string): Promise<{ status: number; body: any }> {
    const token = await this.token(this.#isRefused);
    const { status, backoff } = this.client;
    if (status.connection === 'open' && backoff.url !== this.#followed) this.#begin((this.#followed = backoff.url));
    const post = (this.#post = new AbortController());
    if (this.#isClosed) post.abort();
    after(ANSWER_MS, () => post.abort());
    const response = await (this.client.options.fetch ?? globalThis.fetch)(overHttp(this.backoff.url, 'v1/mutations'), {
      method: 'POST', body, signal: post.signal, ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
    });
    this.#isRefused = response.status === 401 || response.status === 403;
    return { status: response.status, body: await response.json().catch(() => undefined) };
  }

  /** At this server, if that has not asked to be left. */
  #begin(at: string): void {
    const { turns } = this.backoff;
    const place = turns.findIndex(([url]) => url === at);
    if (turns[place]![1] <= performance.now() / 1000) turns.unshift(...turns.splice(place, 1));
  }

  /** Then by another server, if there is one that has not asked to wait. */
  #retry(error: SteleError): false {
    this.#error = error;
    this.#pause = this.backoff.leave(error.retryAfter);
    this.#tell();
    return false;
  }

  #rest(): Promise<void> {
    return new Promise((done) => {
      const timer = setTimeout(done, this.#pause);
      this.#wake = () => {
        clearTimeout(timer);
        done();
      };
    });
  }

  #pending = 0;

  #take({ producer, batch }: { producer: string; batch: number }): Waiter | undefined {
    const at = this.#waiting.findIndex((it) => it.producer === producer && it.batch === batch);
    return at < 0 ? undefined : this.#waiting.splice(at, 1)[0];
  }

  /** Those whose batch is in all that the storage says from now on, until it is dealt with. */
  #keptWaiting(): Waiter[] {
    return this.#waiting.filter(({ isKept }) => isKept);
  }

  /** Who waits for a batch that another tab sent, or gave up, is told. */
  #settle(kept: Kept, waiting: Waiter[]): void {
    const names = new Set(kept.pending.map(({ producer, batch }) => `${batch} ${producer}`));
    for (const waiter of waiting) {
      const { producer, batch, done, fail } = waiter;
      if (names.has(`${batch} ${producer}`) || !this.#take(waiter)) continue;
      const refused = kept.refused.find((it) => it.producer === producer && it.batch === batch);
      if (refused) fail(new SteleError(refused.code, refused.message, false));
      else done({ batch, duplicate: 1 });
    }
    this.#pending = kept.pending.length;
    this.#tell();
  }

  #tell(): void {
    this.changed({ pending: this.#pending, feedError: this.#error ?? this.#refusal });
  }

  /** What is kept; of a storage that was cleared, with what this page saw there. Numbers of a producer stay in order. */
  #whole(old: Kept | undefined): Kept {
    const isDurable = this.storage.isDurable();
    const kept: Kept = old?.isDurable === isDurable ? old : { refused: [], pending: [], ...old, producer: newName(), isDurable, next: 1 };
    if (!this.#known || this.#known.producer === old?.producer) return kept;
    const lost = this.#known.pending.filter(({ body }) => !kept.pending.some((it) => it.body === body));
    const isNew = ({ producer }: Pending): number => +(producer === kept.producer);
    return { ...kept, pending: [...lost, ...kept.pending].sort((a, b) => isNew(a) - isNew(b) || a.batch - b.batch) };
  }
}

function without(kept: Kept, { producer, batch }: Pending, error: SteleError | null): Kept {
  const pending = kept.pending.filter((it) => it.producer !== producer || it.batch !== batch);
  const refused = error ? [...kept.refused, { producer, batch, code: error.code, message: error.message }].slice(-KEPT_REFUSALS) : kept.refused;
  return { ...kept, pending, refused };
}

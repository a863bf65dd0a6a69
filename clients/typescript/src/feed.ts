// Batches that are applied exactly once, over cuts and over crashes of the page.
//
// A batch is kept, with its producer and its number, before it is sent, and until it is acknowledged. All tabs of a page
// share one producer: a number is given in the transaction that keeps the batch, and every tab sends all that is kept, in
// order. So no number can be sent before the one below it, and what two tabs send counts once, because the server knows
// the number.
//
// Numbers that only memory knows must not be of a producer whose numbers are kept, so without durable storage each page
// is a producer of its own.

import { after, Backoff } from './backoff.js';
import { FEED, type CarefulStorage } from './storage.js';
import { overHttp } from './transport.js';
import { SteleError, type Ack, type Mutation } from './types.js';

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

export interface FeedHome {
  readonly url: URL;
  readonly fetch: typeof fetch | undefined;
  /** The token of now; or a new one, when that was refused. */
  token(isRefused: boolean): Promise<string | undefined>;
  changed(pending: number, error: SteleError | null): void;
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

interface Waiter {
  batch: number;
  producer: string;
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
  #error: SteleError | null = null;

  constructor(
    private readonly storage: CarefulStorage,
    private readonly home: FeedHome,
    private readonly backoff: Backoff,
  ) {
    this.#send(); /* what an earlier page left */
  }

  /** Resolves when the batch is kept; `done` when the server has it on disk. */
  async add(mutations: Mutation[]): Promise<Applied> {
    const text = JSON.stringify(mutations); /* as they are now */
    let added: Pending | undefined;
    await this.storage.update(FEED, (old): Kept => {
      const isDurable = this.storage.isDurable();
      let kept = (old as Kept | undefined) ?? { producer: newName(), isDurable, next: 1, pending: [], refused: [] };
      if (kept.isDurable !== isDurable) kept = { ...kept, producer: newName(), isDurable, next: 1 };
      added = undefined;
      const bytes = kept.pending.reduce((sum, { body }) => sum + body.length, text.length);
      if (kept.pending.length >= MOST_PENDING || bytes > MOST_BYTES) return kept;
      const { producer, next: batch } = kept;
      added = { producer, batch, body: `{"producer":${JSON.stringify(producer)},"batch":${batch},"mutations":${text}}` };
      return { ...kept, next: batch + 1, pending: [...kept.pending, added] };
    });
    if (!added) throw new SteleError('feed-full', 'too much waits for the server already: wait for earlier batches', true);
    const { producer, batch } = added;
    const done = new Promise<Ack>((done, fail) => this.#waiting.push({ producer, batch, done, fail }));
    done.catch(() => {}); /* the status says it, too */
    this.#send();
    return { batch, done };
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

  #send(): void {
    this.#hasMore = true;
    this.#sending ??= this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    while (this.#hasMore && !this.#isClosed) {
      this.#hasMore = false;
      const kept = (await this.storage.get(FEED)) as Kept | undefined;
      if (kept) this.#settle(kept);
      const first = kept?.pending[0];
      if (!first) continue;
      this.#hasMore = true;
      if (!(await this.#deliver(first)) && !this.#isClosed) await this.#rest();
    }
    this.#sending = undefined;
  }

  #retryAfter = 0;

  /** True when it is dealt with. */
  async #deliver(first: Pending): Promise<boolean> {
    let answer: { status: number; body: any };
    try {
      answer = await this.#ask(first.body);
    } catch (error) {
      return !this.#isClosed && this.#retry(new SteleError('connection-failed', `the server cannot be reached: ${error}`));
    }
    const { status, body } = answer;
    const error = new SteleError(body?.code ?? `http-${status}`, body?.message ?? '', true, body?.retry_after);
    if (status >= 500 || AGAIN.has(status)) return this.#retry(error);
    this.backoff.reset();
    if (status !== 200) this.#error = error;
    else if (this.#error?.retryable) this.#error = null;
    const waiter = this.#take(first);
    const kept = await this.storage.update(FEED, (old) => without(old as Kept | undefined, first, status === 200 ? null : error));
    if (status === 200) waiter?.done({ ...body, batch: first.batch });
    else waiter?.fail(this.#error as SteleError);
    this.#settle(kept);
    return true;
  }

  #isRefused = false;

  async #ask(body: string): Promise<{ status: number; body: any }> {
    const token = await this.home.token(this.#isRefused);
    const post = (this.#post = new AbortController());
    if (this.#isClosed) post.abort();
    after(ANSWER_MS, () => post.abort());
    const response = await (this.home.fetch ?? globalThis.fetch)(overHttp(this.home.url, 'v1/mutations'), {
      method: 'POST', body, signal: post.signal, ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
    });
    this.#isRefused = response.status === 401;
    return { status: response.status, body: await response.json().catch(() => undefined) };
  }

  #retry(error: SteleError): false {
    this.#error = error;
    this.#retryAfter = error.retryAfter ?? 0;
    this.home.changed(this.#pending, error);
    return false;
  }

  #rest(): Promise<void> {
    return new Promise((done) => {
      const timer = setTimeout(done, this.backoff.next(this.#retryAfter));
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

  /** Who waits for a batch that another tab sent, or gave up, is told. */
  #settle(kept: Kept): void {
    const names = new Set(kept.pending.map(({ producer, batch }) => `${batch} ${producer}`));
    for (const waiter of [...this.#waiting]) {
      const { producer, batch, done, fail } = waiter;
      if (names.has(`${batch} ${producer}`)) continue;
      this.#take(waiter);
      const refused = kept.refused.find((it) => it.producer === producer && it.batch === batch);
      if (refused) fail(new SteleError(refused.code, refused.message, false));
      else done({ batch, duplicate: 1 });
    }
    this.#pending = kept.pending.length;
    this.home.changed(this.#pending, this.#error);
  }
}

/** Somebody may have cleared the storage meanwhile: then the numbers go on. */
function without(old: Kept | undefined, { producer, batch }: Pending, error: SteleError | null): Kept {
  const kept = old ?? { producer, isDurable: true, next: batch + 1, pending: [], refused: [] };
  const pending = kept.pending.filter((it) => it.producer !== producer || it.batch !== batch);
  const refused = error ? [...kept.refused, { producer, batch, code: error.code, message: error.message }].slice(-KEPT_REFUSALS) : kept.refused;
  return { ...kept, pending, refused };
}

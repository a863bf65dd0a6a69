// A client: one connection, any number of views over it, and the feed beside it.

import { after, Backoff } from './backoff.js';
import type { Applied, Feed } from './feed.js';
import { canonical } from './query.js';
import { socketTransport } from './socket.js';
import { FEED, INDEX, makeStorage, type CarefulStorage } from './storage.js';
import { SteleError, type Ack, type ClientStatus, type Mutation, type Options, type Query, type TypedQuery } from './types.js';
import type { Transport } from './transport.js';
import { View, type Home } from './view.js';
import { errorOf, tell, withChange, type Frame } from './wire.js';

const DAY_MS = 86_400_000;
const WAKE_PROBE_MS = 3000;
const PRUNE_MS = 60_000;
const TOKEN_AGAIN_MS = 5000;
/** So often in a row WebSockets may fail to open, where one did, before streams are tried. */
const CHANCES = 8;

/** After these a subscription begins again without its cursor. */
const CURSOR_CODES = /^cursor-|^invalid-cursor|-rescoped$/;

export class SteleClient {
  status: ClientStatus = {
    connection: 'connecting', transport: 'websocket', error: null, pending: 0, feedError: null,
  } as ClientStatus; /* of the storage #noteStorage tells */

  readonly #urls: string[];
  readonly #storage: CarefulStorage;
  /** For the parts of this package. */
  readonly backoff: Backoff;
  readonly #home: Home;
  readonly #listeners = new Set<(status: ClientStatus) => void>();
  readonly #page = new AbortController();
  #feed: Promise<Feed> | undefined;

  #views = new Map<string, View>();
  #open = new Map<View, string | undefined>(); /* the id of its subscription on this connection */
  #byId = new Map<string, View>();
  #nextId = 1;

  #transport: Transport | undefined; /* once messages may be sent */
  #made: Transport | undefined; /* the newest, opened or not */
  #attempt = 0;
  #chances: number; /* of WebSockets; at first one at each server, and another */
  #token: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined; /* the next attempt, or the next token */

  constructor(readonly options: Options) {
    const urls = [options.url].flat().map((text) => {
      const url = new URL(`${text}`.replace(/^http/i, 'ws'));
      url.pathname = url.pathname.replace(/\/?$/, '/');
      return url.href;
    });
    if (!urls[0]) throw new TypeError('url: []');
    this.#urls = [...new Set(urls)];
    this.#chances = urls.length + 1;
    this.backoff = new Backoff(options.backoff, this.#urls);
    const storage = (this.#storage = makeStorage(options.storage ?? 'auto', `stele ${options.store ?? [...this.#urls].sort()} ${options.user ?? ''}`, () => this.#noteStorage()));
    this.#noteStorage();
    this.#home = {
      maxRows: 100_000, maxKeptRows: 10_000, lingerMs: 5000, ...options,
      storage,
      open: (view) => this.#openView(view),
      close: (view) => this.#closeView(view),
    };
    this.#listen();
    void this.#connect();
    void storage.get(FEED).then((kept: any) => {
      if (kept?.pending.length) void this.#feeding(); /* an earlier page left them */
    });
    after(PRUNE_MS, () => this.#page.signal.aborted || void import('./upkeep.js').then(({ prune }) => prune(storage, this.#views, options)));
  }

  // ---- for users ----

  /** The view of a query. Equal queries have one. It goes on while somebody subscribes to it, and a little longer. */
  view<T = any>(query: TypedQuery<T>): View<T> {
    const id = canonical(query);
    let view = this.#views.get(id);
    if (!view) {
      view = new View(JSON.parse(id) as Query, id, this.#home);
      this.#openView(view);
    }
    return view;
  }

  /** Have mutations applied, all or none, exactly once. Resolves when they are on the server's disk. */
  async apply(mutations: Mutation | Mutation[]): Promise<Ack> {
    return (await this.enqueue(mutations)).done;
  }

  /** The same; resolves as soon as they are kept here, with their number. `done` resolves as `apply` does. */
  async enqueue(mutations: Mutation | Mutation[]): Promise<Applied> {
    const text = JSON.stringify([mutations].flat()); /* as they are now */
    return (await this.#feeding()).add(text);
  }

  onStatus(listener: (status: ClientStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ask for a token now, and tell the server. */
  async refresh(): Promise<void> {
    const token = await this.#askToken();
    if (token !== undefined) this.#transport?.refresh(token);
  }

  /** Resolves when all that is shown is kept. */
  async flush(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((view) => view.flush()));
  }

  /** End the connection. What was shown stays kept. */
  async close(): Promise<void> {
    this.#attempt++;
    clearTimeout(this.#timer);
    this.#page.abort();
    this.#made?.close();
    await this.#feed?.then((feed) => feed.close());
    await this.flush();
    for (const view of this.#open.keys()) view.close();
    this.#set({ connection: 'closed' });
  }

  /** Forget all rows that are kept, such as when a user logs out. Batches that wait stay. */
  async forget(): Promise<void> {
    await (await import('./upkeep.js')).forget(this.#storage, this.#open);
  }

  // ---- status ----

  #set(change: Partial<ClientStatus>): void {
    const next = withChange(this.status, change);
    if (next !== this.status) tell(this.#listeners, (this.status = next));
  }

  #noteStorage(): void {
    const storage = this.#storage;
    this.#set({ storage: storage.isDurable() ? 'durable' : 'memory', storageError: storage.failure() });
  }

  /** What most pages do not need is loaded by those that do. */
  #feeding(): Promise<Feed> {
    return (this.#feed ??= import('./feed.js').then(
      ({ Feed }) => new Feed(this.#storage, this, async (isRefused) => (isRefused ? undefined : this.#token) ?? this.#askToken(), (change) => this.#set(change), new Backoff(this.options.backoff, this.#urls)),
    ));
  }

  // ---- the connection ----

  async #askToken(): Promise<string | undefined> {
    return (this.#token = await this.options.token?.());
  }

  async #connect(): Promise<void> {
    clearTimeout(this.#timer);
    const attempt = ++this.#attempt;
    this.#set({ connection: 'connecting' });
    try {
      const token = await this.#askToken();
      const isSocket = this.#takesSocket();
      const open = isSocket ? socketTransport(this.options.WebSocket ?? globalThis.WebSocket) : (await import('./sse.js')).sseTransport(this.options.fetch);
      if (attempt !== this.#attempt) return;
      this.#set({ transport: isSocket ? 'websocket' : 'sse' });
      /* Streams count as open when the first of them is. */
      if (isSocket) this.#chances--;
      this.#made = open(this.backoff.url, token, {
        opened: () => {
          this.#transport = this.#made;
          if (isSocket) {
            this.#chances = CHANCES;
            if (token === undefined) this.#isOpen();
          }
          for (const view of this.#open.keys()) void view.loaded.then(() => this.#subscribe(view));
        },
        frame: (frame) => this.#take(frame),
        closed: (error) => this.#closed(error),
      });
    } catch (error) {
      if (attempt === this.#attempt) this.#closed(new SteleError('connection-failed', String(error)));
    }
  }

  /** Streams, when WebSockets failed to open, and every other time only. */
  #takesSocket(): boolean {
    const { transport, WebSocket = globalThis.WebSocket } = this.options;
    return transport === 'websocket' || (transport !== 'sse' && !!WebSocket && (this.#chances > 0 || this.status.transport === 'sse'));
  }

  #isOpen(): void {
    this.#set({ connection: 'open', error: null });
  }

  #closed(error: SteleError): void {
    /* A token that ran out is replaced at once, unless that was just done. */
    const isAtOnce = this.status.connection === 'open' && error.code.startsWith('token-');
    this.#attempt++;
    /* A stream is tried where a WebSocket failed: so each server has its turn with both. */
    const pause = this.status.transport === 'sse' || this.#takesSocket() ? this.backoff.leave(error.retryAfter) : this.backoff.next();
    if (isAtOnce) this.backoff.reset();
    this.#transport = undefined;
    clearTimeout(this.#timer);
    this.#byId.clear();
    for (const view of this.#open.keys()) {
      this.#open.set(view, undefined);
      view.lost(error);
    }
    this.#set({ connection: 'waiting', error });
    this.#timer = setTimeout(() => void this.#connect(), isAtOnce ? 0 : pause);
  }

  #take(frame: Frame): void {
    const view = this.#byId.get(frame.subscriptionId ?? '');
    if (frame.success === false) this.#refreshIn(TOKEN_AGAIN_MS);
    if (frame.success === false || frame.type === 'error') {
      const error = errorOf(frame);
      if (view) this.#refused(view, error);
      else this.#set({ error });
      return;
    }
    this.backoff.reset();
    this.#isOpen();
    /* What is over by this clock already is over when the server says so: the clock is wrong. */
    const left = frame.expiresAt! * 1000 - Date.now();
    if (left > 0) this.#refreshIn(left * (0.7 + Math.random() / 5));
    if (!view?.isEnded) view?.take(frame);
  }

  #refreshIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = after(Math.min(DAY_MS, Math.max(1000, ms)), () => {
      this.refresh().catch((error) => {
        this.#set({ error: new SteleError('token-unavailable', String(error)) });
        this.#refreshIn(TOKEN_AGAIN_MS);
      });
    });
  }

  // ---- views ----

  #openView(view: View): void {
    if (!this.#views.has(view.id)) this.#views.set(view.id, view);
    this.#open.set(view, undefined);
    void view.loaded.then(() => {
      this.#subscribe(view);
      void this.#storage.update(INDEX, (old) => ({ ...(old as object), [view.id]: Date.now() }));
    });
  }

  #closeView(view: View): void {
    const id = this.#open.get(view);
    this.#open.delete(view);
    if (this.#views.get(view.id) === view) this.#views.delete(view.id);
    if (id && this.#byId.delete(id)) this.#transport?.unsubscribe(id);
  }

  #subscribe(view: View): void {
    if (!this.#transport || !this.#open.has(view) || this.#open.get(view) || view.isEnded) return;
    const id = `s${this.#nextId++}`;
    this.#open.set(view, id);
    this.#byId.set(id, view);
    this.#transport.subscribe(id, view.request());
  }

  #refused(view: View, error: SteleError): void {
    const attempt = this.#attempt;
    this.#byId.delete(this.#open.get(view)!);
    this.#open.set(view, undefined);
    if (CURSOR_CODES.test(error.code)) {
      view.forgetCursor();
      this.#subscribe(view);
    } else if (error.retryable) {
      view.lost(error);
      setTimeout(() => attempt === this.#attempt && this.#subscribe(view), this.backoff.next(error.retryAfter));
    } else {
      view.end(error);
    }
  }

  // ---- the page ----

  #listen(): void {
    const { document } = globalThis; /* there is none in workers and in Node */
    const { signal } = this.#page;
    const wake = (): void => {
      void this.#feed?.then((feed) => feed.wake());
      if (this.status.connection === 'waiting') void this.#connect();
      else this.#transport?.probe(WAKE_PROBE_MS);
    };
    globalThis.addEventListener?.('online', wake, { signal });
    document?.addEventListener('visibilitychange', () => (document.hidden ? void this.flush() : wake()), { signal });
  }
}

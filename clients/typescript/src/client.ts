// A client: one connection, any number of views over it, and the feed beside it.

import { after, Backoff } from './backoff.js';
import type { Applied, Feed } from './feed.js';
import { canonical } from './query.js';
import { socketTransport } from './socket.js';
import { FEED, makeStorage, type CarefulStorage } from './storage.js';
import { SteleError, type Ack, type ClientStatus, type Mutation, type Options, type Query, type TypedQuery } from './types.js';
import type { Transport } from './transport.js';
import { View, type Home } from './view.js';
import { errorOf, tell, type Frame } from './wire.js';

/** The key of when each view was used last. */
const INDEX = 'views';
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
    connection: 'connecting', transport: 'websocket', error: null, storage: 'durable', storageError: null, pending: 0, feedError: null,
  };

  readonly #urls: URL[];
  #at = 0; /* the server whose turn it is, round and round */
  readonly #storage: CarefulStorage;
  readonly #backoff: Backoff;
  readonly #home: Home;
  readonly #listeners = new Set<(status: ClientStatus) => void>();
  readonly #page = new AbortController();
  #feed: Promise<Feed> | undefined;

  #views = new Map<string, View>();
  #open = new Map<View, string | undefined>(); /* the id of its subscription on this connection */
  #byId = new Map<string, View>();
  #nextId = 1;

  #transport: Transport | undefined; /* once messages may be sent */
  #stop = (): void => {}; /* ends the connection, opened or not */
  #attempt = 0;
  #chances: number; /* of WebSockets; at first one at each server, and another */
  #token: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined; /* the next attempt, or the next token */

  constructor(private readonly options: Options) {
    this.#urls = [options.url].flat().map((text) => {
      const url = new URL(text.replace(/^http/i, 'ws'));
      url.pathname = url.pathname.replace(/\/?$/, '/');
      return url;
    });
    this.#chances = this.#urls.length + 1;
    this.#backoff = new Backoff(options.backoff);
    const storage = (this.#storage = makeStorage(options.storage ?? 'auto', `stele ${this.url()} ${options.user ?? ''}`, () => this.#noteStorage()));
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
    after(PRUNE_MS, () => this.#page.signal.aborted || void import('./upkeep.js').then(({ prune }) => prune(storage, INDEX, (id) => this.#views.has(id), options)));
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
    await this.#feed?.then((feed) => feed.close());
    await this.flush();
    for (const view of this.#open.keys()) view.close();
    this.#stop();
    this.#set({ connection: 'closed' });
  }

  /** Forget all rows that are kept, such as when a user logs out. Batches that wait stay. */
  async forget(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((view) => view.forget()));
    await (await import('./upkeep.js')).forget(this.#storage, INDEX);
  }

  // ---- status ----

  #set(change: Partial<ClientStatus>): void {
    const next = { ...this.status, ...change };
    if (Object.entries(change).every(([name, value]) => this.status[name as keyof ClientStatus] === value)) return;
    this.status = next;
    tell(this.#listeners, next);
  }

  #noteStorage(): void {
    const storage = this.#storage;
    this.#set({ storage: storage.isDurable() ? 'durable' : 'memory', storageError: storage.failure() });
  }

  /** What most pages do not need is loaded by those that do. */
  #feeding(): Promise<Feed> {
    return (this.#feed ??= import('./feed.js').then(
      ({ Feed }) =>
        new Feed(
          this.#storage,
          {
            url: (further) => this.url(further),
            fetch: this.options.fetch,
            token: async (isRefused) => (isRefused ? undefined : this.#token) ?? this.#askToken(),
            changed: (pending, feedError) => this.#set({ pending, feedError }),
          },
          new Backoff(this.options.backoff),
        ),
    ));
  }

  // ---- the connection ----

  /** The server whose turn it is, or one further down the list. */
  private url(further = 0): URL {
    return this.#urls[(this.#at + further) % this.#urls.length]!;
  }

  async #askToken(): Promise<string | undefined> {
    return (this.#token = await this.options.token?.());
  }

  async #connect(): Promise<void> {
    clearTimeout(this.#timer);
    const attempt = ++this.#attempt;
    const ifCurrent =
      <A extends unknown[]>(act: (...args: A) => void) =>
      (...args: A): void => {
        if (attempt === this.#attempt) act(...args);
      };
    const closed = ifCurrent((error: SteleError) => this.#closed(error));
    this.#set({ connection: 'connecting' });
    try {
      const token = await this.#askToken();
      const socketClass = this.options.WebSocket ?? globalThis.WebSocket;
      const transport = this.#choose(socketClass);
      const open = transport === 'sse' ? (await import('./sse.js')).sseTransport(this.options.fetch) : socketTransport(socketClass);
      if (attempt !== this.#attempt) return;
      this.#set({ transport });
      /* Streams count as open when the first of them is. */
      if (transport === 'websocket') this.#chances--;
      const made = open(this.url(), token, {
        opened: ifCurrent(() => {
          this.#transport = made;
          if (transport === 'websocket') {
            this.#chances = CHANCES;
            if (token === undefined) this.#isOpen();
          }
          for (const view of this.#open.keys()) void view.loaded.then(() => this.#subscribe(view));
        }),
        frame: ifCurrent((frame) => this.#take(frame)),
        closed,
      });
      this.#stop = () => made.close();
    } catch (error) {
      closed(new SteleError('connection-failed', String(error)));
    }
  }

  /** Streams, when WebSockets failed to open, and every other time only. */
  #choose(socketClass: unknown): 'websocket' | 'sse' {
    const { transport = 'auto' } = this.options;
    if (transport !== 'auto') return transport;
    return socketClass && (this.#chances > 0 || this.status.transport === 'sse') ? 'websocket' : 'sse';
  }

  #isOpen(): void {
    this.#set({ connection: 'open', error: null });
  }

  #closed(error: SteleError): void {
    /* A token that ran out is replaced at once, unless that was just done. */
    const isAtOnce = this.status.connection === 'open' && error.code.startsWith('token-');
    this.#attempt++;
    this.#at++;
    this.#transport = undefined;
    clearTimeout(this.#timer);
    this.#byId.clear();
    for (const view of this.#open.keys()) {
      this.#open.set(view, undefined);
      view.lost(error);
    }
    this.#set({ connection: 'waiting', error });
    this.#timer = setTimeout(() => void this.#connect(), isAtOnce ? 0 : this.#backoff.next(this.#urls[1] ? 0 : error.retryAfter)); /* another has not asked for that */
  }

  #take(frame: Frame): void {
    const view = this.#byId.get(frame.subscriptionId ?? '');
    if (frame.success === false) {
      this.#set({ error: errorOf(frame) });
      this.#refreshIn(TOKEN_AGAIN_MS);
    } else if (frame.type !== 'error') {
      this.#backoff.reset();
      this.#isOpen();
      /* What is over by this clock already is over when the server says so: the clock is wrong. */
      const left = frame.expiresAt! * 1000 - Date.now();
      if (left > 0) this.#refreshIn(left * (0.7 + Math.random() / 5));
      if (!view?.isEnded) view?.take(frame);
    } else if (view) {
      this.#refused(view, errorOf(frame));
    } else {
      this.#set({ error: errorOf(frame) });
    }
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
      setTimeout(() => attempt === this.#attempt && this.#subscribe(view), this.#backoff.next(error.retryAfter));
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

// What the parts of the client and their users say to each other.

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** A dotted path, or one with its direction. */
export type SortKey = string | { by: string; order?: 'asc' | 'desc' };

/** What a comparison may compare a field with. */
export type Operand = Json | { now: true } | { field: string };

export type Predicate =
  | { all: Predicate[] }
  | { any: Predicate[] }
  | { not: Predicate }
  | { exists: string }
  | ({ field: string } & { [comparison in 'eq' | 'ne' | 'gt' | 'gte' | 'lt' | 'lte' | 'in' | 'prefix' | 'contains']?: Operand });

/** A part of a view; docs/views.md of stele has the language. */
export interface Query {
  view: string;
  key?: string;
  filters?: Record<string, Json>;
  where?: Predicate;
  sort?: SortKey[];
  take?: number;
  skip?: number;
}

/** A query that knows the type of its rows. */
export interface TypedQuery<T> extends Query {
  readonly rowType?: T;
}

/** Every row also has the position of its last change. */
export type Row<T> = T & { readonly _seq?: string };

/** A change of an append view. */
export interface TapeEvent<T = Json> {
  op: 'patch' | 'upsert' | 'delete' | 'remove';
  key: string;
  data: T | null;
  append?: string[] | undefined;
  offset: number;
}

/**
 * loading: nothing is there yet. stale: rows of an earlier time (kept over a reload, or the connection is lost).
 * live: exactly what the server has. ended: the server refused the query; `error` says why.
 */
export type ViewStatus = 'loading' | 'stale' | 'live' | 'ended';

/** What a view shows at a moment; never changed, only replaced. */
export interface ViewState<T> {
  readonly status: ViewStatus;
  readonly rows: readonly Row<T>[];
  /** The keys of the rows, in the same order. */
  readonly keys: readonly string[];
  /** Of append views: their newest events. */
  readonly events: readonly TapeEvent<T>[];
  /** Whether there are rows behind the window, as of its last snapshot. */
  readonly more?: boolean | undefined;
  /** Why it ended, or why it is not live. */
  readonly error: SteleError | null;
}

export interface ClientStatus {
  readonly connection: 'connecting' | 'open' | 'waiting' | 'closed';
  readonly transport: 'websocket' | 'sse';
  /** The newest failure of the connection; null while it is open. */
  readonly error: SteleError | null;
  /** Where rows are kept, and why in memory if that was not wished. */
  readonly storage: 'durable' | 'memory';
  readonly storageError: SteleError | null;
  /** Batches of `apply` that the server has not acknowledged. */
  readonly pending: number;
  /** The newest batch that the server refused for good, or why none can be sent. */
  readonly feedError: SteleError | null;
}

export interface Mutation {
  export: string;
  key: Json;
  op?: 'patch' | 'upsert' | 'delete';
  patch?: Record<string, unknown>;
  append?: string[];
  unset?: string[];
  if?: 'newer';
  slot?: number;
  index?: number;
}

/** The server's answer to a batch. */
export interface Ack {
  batch: number;
  applied?: number;
  ignored?: number;
  stale?: number;
  truncated?: number;
  /** 1: an earlier sending of this batch was applied already, by this page or another one. */
  duplicate?: number;
  seq?: string;
}

/**
 * Keeps values by key. `update` is a read and a write that no other update of that key comes between, in whatever tab
 * or process; it resolves when the value is durable.
 */
export interface Storage {
  get(key: string): Promise<unknown>;
  update<V>(key: string, change: (old: unknown) => V): Promise<V>;
  delete(key: string): Promise<void>;
}

export class SteleError extends Error {
  constructor(
    readonly code: string,
    message?: string,
    readonly retryable = true,
    /** Seconds. */
    readonly retryAfter?: number | undefined,
  ) {
    super(message);
    this.name = 'SteleError';
  }
}

export interface Options {
  /**
   * ws://host:port or wss://host, with the server's base path if it has one. Or several, of nodes of one log: the client
   * goes on to the next when a connection ends, or cannot be made.
   */
  url: string | URL | readonly (string | URL)[];
  /** Asked before each connection, and before a token runs out. It never stands in a URL. */
  token?: () => string | Promise<string>;
  /** Where rows are kept: "auto" is IndexedDB, or memory where there is none. */
  storage?: 'auto' | 'memory' | Storage;
  /** The name of what is kept, where the list of `url` may change (the list, in any order). */
  store?: string;
  /** Keeps the rows of several users of one page apart: their id. */
  user?: string;
  /** More rows end a view, with the code too-many-rows (100,000). */
  maxRows?: number;
  /** Views of more rows are not kept over a reload (10,000). */
  maxKeptRows?: number;
  /** Views are forgotten that were not used for so many days (30), and those beyond the number of `maxKeptViews` (50). */
  keepDays?: number;
  maxKeptViews?: number;
  /** A view without listeners goes on for so many milliseconds (5,000). */
  lingerMs?: number;
  /** Seconds of the first and the longest pause between attempts to connect (0.25 and 30). */
  backoff?: { first?: number; most?: number };
  /** For Node 20 and 21, which have no WebSocket: that of the package "ws". */
  WebSocket?: unknown;
  fetch?: typeof fetch;
  /** "auto": server-sent events where WebSockets do not come through. */
  transport?: 'auto' | 'websocket' | 'sse';
}

// What carries frames: a WebSocket, or a stream of server-sent events for each view.

import type { SteleError } from './types.js';
import type { Frame } from './wire.js';

export interface Listener {
  /** Messages may be sent. */
  opened(): void;
  frame(frame: Frame): void;
  /** Told once, also when it never opened. */
  closed(error: SteleError): void;
}

export interface Transport {
  subscribe(id: string, query: object): void;
  unsubscribe(id: string): void;
  refresh(token: string): void;
  /** Whether it still works: else it closes soon. */
  probe(ms: number): void;
  close(): void;
}

/** The address of a path by HTTP, from that of the WebSocket. */
export function overHttp(base: string, path: string): URL {
  const url = new URL(path, base);
  url.protocol = url.protocol.replace('ws', 'http');
  return url;
}

/** Texts of GET are JSON where they are no plain text. */
export function parametersOf(query: Record<string, unknown>): URLSearchParams {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (name === 'view' || value === undefined) continue;
    if (name === 'filters') for (const [path, text] of Object.entries(value as object)) parameters.append('filter', `${path}:${JSON.stringify(text)}`);
    else parameters.set(name, typeof value === 'object' ? JSON.stringify(value) : String(value));
  }
  return parameters;
}

export type OpenTransport = (url: string, token: string | undefined, listener: Listener) => Transport;

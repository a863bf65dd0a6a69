// Views in React components.

import { createContext, createElement, useCallback, useContext, useMemo, useRef, useSyncExternalStore, type ReactElement, type ReactNode } from 'react';
import type { SteleClient } from './client.js';
import { canonical } from './query.js';
import type { ClientStatus, Row, TypedQuery, ViewState } from './types.js';
import type { View } from './view.js';

const Context = createContext<SteleClient | null>(null);

export function SteleProvider({ client, children }: { client: SteleClient; children?: ReactNode }): ReactElement {
  return createElement(Context.Provider, { value: client }, children);
}

/** The client of the provider above. */
export function useClient(): SteleClient {
  const client = useContext(Context);
  if (!client) throw new Error('there is no <SteleProvider client={…}> above this component');
  return client;
}

/** What a server renders, and the browser at first. */
const NOTHING: ViewState<any> = { status: 'loading', rows: [], keys: [], events: [], error: null };

export interface UseViewOptions {
  /** Suspend until there are rows, kept ones or new ones, or an error. */
  suspense?: boolean;
}

/** Equal queries are one view, also in a render that React throws away: it goes on for a while without listeners. */
function useQuery<T>(query: TypedQuery<T>): { view: View<T>; state: ViewState<T> } {
  const client = useClient();
  const id = canonical(query);
  const view = useMemo(() => client.view<T>(JSON.parse(id) as TypedQuery<T>), [client, id]);
  const subscribe = useCallback((listener: () => void) => view.subscribe(listener), [view]);
  const state = useSyncExternalStore(subscribe, () => view.state, () => NOTHING as ViewState<T>);
  return { view, state };
}

/** Rows, status and error of a view; the component renders again with each new state. */
export function useView<T = any>(query: TypedQuery<T>, { suspense = false }: UseViewOptions = {}): ViewState<T> {
  const client = useClient();
  /* Before any hook of this view: a render that suspends keeps nothing but what the client keeps. */
  const first = client.view<T>(query);
  const waits = suspense && first.state.status === 'loading' && !first.state.error && typeof window !== 'undefined';
  if (waits) throw arrival(first);
  return useQuery(query).state;
}

/** Resolves with the first state that is more than "loading". */
function arrival(view: View<any>): Promise<void> {
  return new Promise((done) => {
    const stop = view.subscribe(({ status, error }) => {
      if (status === 'loading' && !error) return;
      done();
      setTimeout(stop); /* the component listens by then, or the view lingers */
    });
  });
}

/** One row of a view that shows it by its key: `undefined` while it is not there. It renders again when that row changes. */
export function useRow<T = any>(view: string, key: string): { row: Row<T> | undefined } & Pick<ViewState<T>, 'status' | 'error'> {
  const { state } = useQuery<T>({ view, key });
  const row = state.rows[0];
  const { status, error } = state;
  return useMemo(() => ({ row, status, error }), [row, status, error]);
}

/** How the connection is, where rows are kept, and what waits to be sent. */
export function useStatus(): ClientStatus {
  const client = useClient();
  const subscribe = useCallback((listener: () => void) => client.onStatus(listener), [client]);
  const server = useRef(client.status);
  return useSyncExternalStore(subscribe, () => client.status, () => server.current);
}

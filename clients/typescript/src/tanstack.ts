// A view as a TanStack DB collection.

import type { CollectionConfig } from '@tanstack/db';
import type { SteleClient } from './client.js';
import type { Row, TypedQuery, ViewState } from './types.js';

/** A row of the collection: its key in the view stands in `_key`. */
export type Keyed<T> = Row<T> & { readonly _key: string };

export interface SteleCollectionOptions<T> {
  client: SteleClient;
  query: TypedQuery<T>;
  id?: string;
}

/**
 * Options for `createCollection`. The collection has the rows of the view, in whole states, and is ready with the first,
 * which may be of kept rows. It is ready without rows when the server refuses the query: `client.view(query).state.error`
 * says why. To change rows, use `client.apply`.
 */
export function steleCollectionOptions<T extends object>({ client, query, id }: SteleCollectionOptions<T>): CollectionConfig<Keyed<T>, string> {
  return {
    ...(id !== undefined && { id }),
    getKey: (row) => row._key,
    sync: {
      rowUpdateMode: 'full',
      sync: ({ begin, write, commit, markReady }) => {
        const view = client.view<T>(query);
        let had = new Map<string, Row<T>>();
        const valueOf = (key: string, row: Row<T>): Keyed<T> => ({ ...row, _key: key });
        const take = ({ status, error, keys, rows }: ViewState<T>): void => {
          if (status === 'loading' && !error) return;
          const now = new Map(keys.map((key, i) => [key, rows[i]!]));
          begin();
          for (const [key, row] of had) if (!now.has(key)) write({ type: 'delete', value: valueOf(key, row) });
          for (const [key, row] of now) {
            if (had.get(key) !== row) write({ type: had.has(key) ? 'update' : 'insert', value: valueOf(key, row) });
          }
          commit();
          had = now;
          if (status !== 'loading') markReady();
        };
        const stop = view.subscribe(take);
        take(view.state);
        return stop;
      },
    },
  };
}

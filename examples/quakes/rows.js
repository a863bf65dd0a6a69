// A view of stele in a Map that stays as the server has it: by server-sent events, without a library.

/** How long to wait after a refusal; a broken connection the browser itself opens again. */
const AGAIN_MS = 2000;

/** Put what a patch sets into a row: objects merge, everything else replaces. */
function merge(row, patch, appended, path = '') {
  for (const [name, value] of Object.entries(patch)) {
    const at = path ? `${path}.${name}` : name;
    const before = row[name];
    if (appended.includes(at) && Array.isArray(before)) row[name] = before.concat(value);
    else if (isObject(value) && isObject(before)) merge(before, value, appended, at);
    else row[name] = value;
  }
}

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Follow a view. `url`: of the view, such as "v1/views/Quake/list"; `query`: its parameters.
 * Returns the rows by key. `changed(rows, key)` is called for each row that came, changed or went,
 * and `told(state)` with "live", or why there is nothing new at present.
 */
export function follow(url, query, changed, told) {
  const rows = new Map();
  let cursor; /* what the browser would send again; needed when a refusal has ended its source */

  const drop = (key) => rows.delete(key) && changed(rows, key);
  const apply = {
    /* What came before is of no use unless the server goes on behind it. */
    subscribed: ({ resumed }) => resumed || [...rows.keys()].forEach(drop),
    snapshot: ({ data, complete }) => {
      for (const { key, data: row } of data) {
        rows.set(key, row);
        changed(rows, key);
      }
      if (complete) told('live');
    },
    upsert: ({ key, data }) => {
      rows.set(key, data);
      changed(rows, key);
    },
    patch: ({ key, data, append = [] }) => {
      const row = rows.get(key) ?? {};
      merge(row, data, append);
      rows.set(key, row);
      changed(rows, key);
    },
    delete: ({ key }) => drop(key),
    error: ({ message }) => told(message),
    end: ({ reason }) => told(reason || 'the server ended the stream'),
  };

  function open() {
    const parameters = new URLSearchParams(query);
    if (cursor) {
      const [after, epoch] = cursor.split('@');
      parameters.set('after', after);
      parameters.set('epoch', epoch);
    }
    const source = new EventSource(`${url}/live?${parameters}`);
    for (const [name, take] of Object.entries(apply)) {
      source.addEventListener(name, (event) => {
        if (event.data === undefined) return; /* the browser's own "error" */
        if (event.lastEventId) cursor = event.lastEventId;
        take(JSON.parse(event.data));
      });
    }
    source.onerror = (event) => {
      if (event.data !== undefined) return;
      told('reconnecting');
      if (source.readyState === EventSource.CLOSED) setTimeout(open, AGAIN_MS * (0.5 + Math.random()));
    };
  }
  open();
  return rows;
}

// A page of orders with React and stele-client: the rows are there at once after a reload, and then brought up to date.

import { useMemo, useState, useSyncExternalStore } from 'react';
import { createRoot } from 'react-dom/client';
import { SteleClient } from 'stele-client';

const client = new SteleClient({ url: location.origin.replace(/^http/, 'ws') });

/** The state of a view: { status, rows, error, … }. It is replaced at each change. */
function useView(query) {
  const view = useMemo(() => client.view(query), [JSON.stringify(query)]);
  return useSyncExternalStore((listener) => view.subscribe(listener), () => view.state);
}

function Orders() {
  const [least, setLeast] = useState(0);
  const { status, rows, error } = useView({ view: 'Order/list', where: { field: 'total', gte: least }, sort: [{ by: 'total', order: 'desc' }], take: 10 });
  return (
    <>
      <h1>Orders <small>{error ? error.message : status}</small></h1>
      <label>at least <input type="number" value={least} onChange={(event) => setLeast(Number(event.target.value))} /></label>
      <ol>{rows.map(({ customer, total }) => <li key={customer}>{customer}: {total}</li>)}</ol>
    </>
  );
}

createRoot(document.getElementById('root')).render(<Orders />);

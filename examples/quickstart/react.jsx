// A page of orders with React and stele-client: the rows are there at once after a reload, and then brought up to date.

import { useState } from 'react';
import { createRoot } from 'react-dom/client';
import { SteleClient } from 'stele-client';
import { SteleProvider, useView } from 'stele-client/react';

const client = new SteleClient({ url: location.origin });

function Orders() {
  const [least, setLeast] = useState(0);
  const { status, keys, rows, error } = useView({ view: 'Order/list', where: { field: 'total', gte: least }, sort: [{ by: 'total', order: 'desc' }], take: 10 });
  return (
    <>
      <h1>Orders <small>{error ? error.message : status}</small></h1>
      <label>at least <input type="number" value={least} onChange={(event) => setLeast(Number(event.target.value))} /></label>
      <ol>{rows.map(({ customer, total }, i) => <li key={keys[i]}>{customer}: {total}</li>)}</ol>
    </>
  );
}

createRoot(document.getElementById('root')).render(<SteleProvider client={client}><Orders /></SteleProvider>);

// Draws two views of the same export: all rows as dots by longitude and latitude, the strongest as a table.

import { follow } from './rows.js';

const SVG = 'http://www.w3.org/2000/svg';
const element = (id) => document.getElementById(id);

// ---- the map ----

for (let degrees = -150; degrees < 180; degrees += 30) drawLine(degrees, -90, degrees, 90);
for (let degrees = -60; degrees < 90; degrees += 30) drawLine(-180, degrees, 180, degrees);

function drawLine(x1, y1, x2, y2) {
  const line = document.createElementNS(SVG, 'line');
  for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) line.setAttribute(name, value);
  element('grid').append(line);
}

const dots = new Map(); /* key → circle */

function drawDot(key, quake) {
  let dot = dots.get(key);
  if (!quake?.geo) {
    dot?.remove();
    dots.delete(key);
    return;
  }
  if (!dot) {
    dot = document.createElementNS(SVG, 'circle');
    dot.append(document.createElementNS(SVG, 'title'));
    dots.set(key, dot);
    element('dots').append(dot);
  }
  dot.setAttribute('cx', quake.geo.lon);
  dot.setAttribute('cy', -quake.geo.lat);
  dot.setAttribute('r', 0.5 + 1.45 ** Math.max(quake.mag ?? 0, 0) / 3);
  dot.setAttribute('class', `${quake.status}${isLive ? ' fresh' : ''}`);
  dot.firstChild.textContent = `${quake.mag ?? '?'} ${quake.place}`;
}

// ---- the table ----

const utc = (ms) => new Date(ms).toISOString().slice(0, 16).replace('T', ' ');

/* The server chooses the rows; a page puts them in the order that it asked for. Ties go by key. */
function drawTable(rows) {
  const strongest = [...rows].sort(([keyA, a], [keyB, b]) => b.mag - a.mag || (keyA < keyB ? -1 : 1));
  element('strongest').replaceChildren(
    ...strongest.map(([, quake]) => {
      const line = document.createElement('tr');
      for (const text of [quake.mag.toFixed(1), quake.place, utc(quake.time), quake.status]) line.insertCell().textContent = text;
      return line;
    }),
  );
}

// ---- the views ----

/* Many changes in a moment are drawn once. */
function soon(draw) {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      draw();
    });
  };
}

let isLive = false;
let changes = 0;
const drawNumbers = soon(() => {
  element('count').textContent = quakes.size;
  element('changes').textContent = changes;
});

function tell(state) {
  isLive = state === 'live';
  element('state').textContent = state;
  element('state').classList.toggle('live', isLive);
}

const quakes = follow(
  'v1/views/Quake/list', {},
  (rows, key) => {
    drawDot(key, rows.get(key));
    changes += isLive;
    drawNumbers();
  },
  tell,
);

const sort = JSON.stringify([{ by: 'mag', order: 'desc' }]);
const strongest = follow('v1/views/Quake/list', { sort, take: 12 }, soon(() => drawTable(strongest)), () => {});

// The frame of the page: which screen is shown, whether the server is well, and the token.

import { h, put, say } from './dom.js';
import { PERIOD, ask, hasToken, isAboutToken, known, lookNow, lookOn, repeat, setToken, watch } from './data.js';
import { diagnose } from './problems.js';
import { showOverview } from './overview.js';
import { showRow } from './row.js';
import { showView } from './view.js';
import { showClients, showConfiguration, showProducers, showStorage } from './screens.js';

const element = (id) => document.getElementById(id);

/* name in the address → [title, show, in the navigation] */
const SCREENS = {
  '': ['Overview', showOverview, true],
  view: ['View', showView],
  row: ['Row', showRow],
  clients: ['Clients', showClients, true],
  producers: ['Producers', showProducers, true],
  storage: ['Storage', showStorage, true],
  config: ['Configuration', showConfiguration, true],
};

// ---- screens ----

/**
 * What a screen does with an answer: ask for the path (a function gives it; none: not now) every `every` ms, or once (0), and put what
 * `draw` makes of a new answer into the box. A refusal is put there, too. Returns a function that asks at once.
 */
const follower = (signal) => (box, path, draw, { every = PERIOD } = {}) => {
  let tag;
  let ended = false;
  const read = async () => {
    const asked = !ended && path();
    if (!asked) return;
    try {
      const answer = await ask(asked, { tag, signal });
      if (signal.aborted) return;
      tag = answer.tag;
      const drawn = answer.body && draw(answer.body);
      if (drawn) put(box, drawn);
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === undefined) throw error; /* a fault of the page */
      tag = undefined;
      ended = error.status !== 0 && error.status < 500 && error.status !== 429; /* it would be refused again */
      put(box, needToken(error));
    }
  };
  if (every) repeat(read, every, signal);
  else read();
  return () => {
    ended = false;
    read();
  };
};

let leave = new AbortController();

/** "#/view/Quake%2Flist?skip=25" → ['view', ['Quake/list'], URLSearchParams] */
function readAddress() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?', 2);
  const [name, ...names] = path.split('/').map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  return [Object.hasOwn(SCREENS, name) ? name : '', names, new URLSearchParams(query)];
}

function show(focus) {
  leave.abort();
  leave = new AbortController();
  const [name, names, query] = readAddress();
  const [title, build] = SCREENS[name];
  const heading = h('h1', { tabindex: -1 }, names.join(' › ') || title);
  const main = element('main');
  document.title = `${names.at(-1) ?? title} – stele inspector`;
  for (const link of element('nav').children) {
    if (link.getAttribute('href') === `#/${name}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  main.replaceChildren(heading);
  build({ main, names, query, signal: leave.signal, follow: follower(leave.signal), needToken });
  if (focus) heading.focus();
}

element('nav').append(...Object.entries(SCREENS).filter(([, [, , listed]]) => listed).map(([name, [title]]) => h('a', { href: `#/${name}` }, title)));
addEventListener('hashchange', () => show(true));
element('skip').onclick = () => element('main').focus();

// ---- the token ----

const dialog = element('ask');

function openDialog(why) {
  say(element('ask-why'), why);
  element('ask-forget').hidden = !hasToken();
  if (!dialog.open) dialog.showModal();
}

/** A screen was refused: why, and a way to give another token. */
const needToken = (error) => [
  h('p', { class: 'warn' }, error.message),
  isAboutToken(error) && h('button', { type: 'button', onclick: () => openDialog(error.message) }, 'Give a token'),
];

function take(token) {
  setToken(token);
  element('ask-token').value = '';
  dialog.close();
  lookNow();
  show();
}

element('token').addEventListener('click', () => openDialog(hasToken() ? 'This tab has a token.' : 'This tab has none.'));
element('ask-close').addEventListener('click', () => dialog.close());
element('ask-forget').addEventListener('click', () => take(''));
element('ask-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const token = element('ask-token').value.trim();
  if (token) take(token);
});

// ---- the state ----

function drawState() {
  const state = element('state');
  const bad = diagnose().filter(({ level }) => level === 'bad').length;
  say(state, known.trouble ? 'no answer' : bad ? `${bad} ${bad === 1 ? 'problem' : 'problems'}` : known.status.healthy ? 'well' : 'not well');
  state.className = `state ${known.trouble || bad || !known.status.healthy ? 'bad' : 'good'}`;
}

const forEver = new AbortController().signal;
watch(drawState, forEver);
await lookNow(); /* screens go by what the status tells of views */
show();
lookOn(forEver);

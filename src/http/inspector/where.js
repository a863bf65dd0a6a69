// The search field: a predicate as JSON, or "mag >= 5 and status = reviewed", as the JSON of `where`.

const TOKEN = /\s*(?:([(),])|(!=|<=|>=|=|<|>)|"((?:[^"\\]|\\.)*)"|([^\s()=!<>,"]+))/y;
const COMPARE = { '=': 'eq', '!=': 'ne', '<': 'lt', '<=': 'lte', '>': 'gt', '>=': 'gte', in: 'in', prefix: 'prefix', contains: 'contains' };

function tokens(text) {
  const found = [];
  TOKEN.lastIndex = 0;
  while (text.slice(TOKEN.lastIndex).trim()) {
    const at = TOKEN.lastIndex;
    const [, mark, sign, quoted, word] = TOKEN.exec(text) ?? [];
    const said = mark ?? sign ?? word;
    if (quoted !== undefined) found.push({ value: JSON.parse(`"${quoted}"`) });
    else if (said !== undefined) found.push({ said });
    else throw new Error(`cannot read “${text.slice(at).trim().slice(0, 20)}”; put texts with spaces or signs in double quotes`);
  }
  return found;
}

/** The predicate of a text, or undefined for an empty one. Throws with what is wrong. */
export function readWhere(text) {
  if (!text.trim()) return undefined;
  if (text.trim().startsWith('{')) return JSON.parse(text);
  const list = tokens(text);
  let at = 0;
  const next = () => list[at++] ?? {};
  const is = (...words) => words.includes(list[at]?.said);
  const need = (word) => {
    if (next().said !== word) throw new Error(`“${word}” is missing`);
  };

  function value() {
    const { value: quoted, said } = next();
    if (quoted !== undefined) return quoted;
    if (said === undefined || '(),'.includes(said)) throw new Error('a value is missing');
    if (said === 'now') return { now: true };
    try {
      return JSON.parse(said);
    } catch {
      return said;
    }
  }

  function values() {
    const all = [];
    need('(');
    while (!is(')')) {
      all.push(value());
      if (is(',')) at++;
      else break;
    }
    need(')');
    return all;
  }

  function part() {
    if (is('not')) {
      at++;
      return { not: part() };
    }
    if (is('(')) {
      at++;
      const inner = any();
      need(')');
      return inner;
    }
    const { said, value: quoted } = next();
    const field = quoted !== undefined ? [quoted] : said;
    if (field === undefined || Object.hasOwn(COMPARE, field)) throw new Error('the name of a field is missing');
    if (is('exists')) {
      at++;
      return { exists: field };
    }
    const sign = next().said;
    if (!Object.hasOwn(COMPARE, sign)) throw new Error(`behind “${field}” one of = != < <= > >= in prefix contains exists is missing`);
    return { field, [COMPARE[sign]]: sign === 'in' ? values() : value() };
  }

  function chain(word, kind, inner) {
    const parts = [inner()];
    while (is(word)) {
      at++;
      parts.push(inner());
    }
    return parts.length > 1 ? { [kind]: parts } : parts[0];
  }

  const all = () => chain('and', 'all', part);
  function any() {
    return chain('or', 'any', all);
  }
  const predicate = any();
  if (at < list.length) throw new Error(`“${json(list[at])}” is not expected there; join conditions with and, or`);
  return predicate;
}

const json = ({ said, value }) => said ?? JSON.stringify(value);

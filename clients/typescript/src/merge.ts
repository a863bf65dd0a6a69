// A patch merged into a row: a new object, which shares with the old one what did not change.

type Fields = Record<string, unknown>;

export const isObject = (value: unknown): value is Fields => Object(value) === value && !Array.isArray(value);

/** From entries, so that "__proto__" is a name like any other. */
export function merge(target: Fields, patch: Fields, append: readonly string[], path = ''): Fields {
  const merged = Object.entries(patch).map(([name, value]) => {
    const old = Object.hasOwn(target, name) ? target[name] : undefined;
    const at = path ? `${path}.${name}` : name;
    if (isObject(value) && isObject(old)) return [name, merge(old, value, append, at)];
    return [name, Array.isArray(value) && Array.isArray(old) && append.includes(at) ? [...old, ...value] : value];
  });
  return Object.fromEntries([...Object.entries(target), ...merged]);
}

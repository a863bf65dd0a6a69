// Equal queries have one text, in whatever order their members are written.

const inOrder = (_name: string, value: unknown): unknown =>
  Object(value) === value && !Array.isArray(value) ? Object.fromEntries(Object.entries(value as object).sort()) : value;

export const canonical = (query: object): string => JSON.stringify(query, inOrder);

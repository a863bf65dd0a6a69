// Equal queries have one text, in whatever order their members are written.

import { isObject } from './merge.js';

const inOrder = (_name: string, value: unknown): unknown => (isObject(value) ? Object.fromEntries(Object.entries(value).sort()) : value);

export const canonical = (query: object): string => JSON.stringify(query, inOrder);

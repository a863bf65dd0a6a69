export { SteleClient } from './client.js';
export { View } from './view.js';
export type { Applied } from './feed.js';
export {
  SteleError, type Ack, type ClientStatus, type Json, type Mutation, type Operand, type Options, type Predicate, type Query, type Row, type SortKey,
  type Storage, type TapeEvent, type TypedQuery, type ViewState, type ViewStatus,
} from './types.js';

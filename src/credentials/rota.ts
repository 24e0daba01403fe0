import type { CredentialId } from '../store/keys.ts';
import type { Memory } from './memory.ts';
import { lookAtMany } from './sweep.ts';

/**
 * Looks at remembered authorizers in turn. What is due is found by the index; this finds what Redis has
 * lost without anybody asking: a record, a key for readers, the entry of the index itself.
 */
export interface Rota {
  /** The next ones, or all of them when Redis may have lost anything. */
  next(): Promise<void>;
  /** Redis was away: the next time means all. */
  restart(): void;
}

/** Authorizers in one round: up to 1,000 are seen within a minute, and 100,000 cost no more. */
const AT_A_TIME = 250;

export function createRota(memory: Memory, look: (id: CredentialId) => Promise<unknown>): Rota {
  const kind = 'authorizer_access_token';
  let waiting: string[] = [];
  let all = false;
  return {
    async next() {
      if (all || waiting.length === 0) waiting = memory.subjects(kind);
      const count = all ? waiting.length : AT_A_TIME;
      all = false;
      const ids = waiting.splice(0, count).map((subject) => ({ kind, subject }) as const);
      await lookAtMany(ids, look);
    },
    restart() {
      all = true;
    },
  };
}

import { peekMany, type Peek } from '../store/credentials/peek-many.ts';
import type { CredentialId } from '../store/redis/keys.ts';
import type { Store } from '../store/redis/store.ts';
import type { LocalCopies, CopiedRecord } from './local-copy.ts';
import { ensureMany } from './refresh-due.ts';

/**
 * Looks at remembered authorizers in turn. What is due is found by the index; this finds what Redis has
 * lost without anybody asking: a record, a key for readers, the entry of the index itself. Most are as
 * they were, which a few fields tell; only the others are read in full.
 */
export interface CopyVerifier {
  /** The next ones, or all of them when Redis may have lost anything. */
  next(): Promise<void>;
  /** Redis was away: the next time means all. */
  restart(): void;
  /** Of those that are remembered, some were not seen since Redis may have lost them. */
  isRestoring(): boolean;
}

/** Authorizers in one round: up to 1,000 are seen within a minute, and 100,000 cost no more. */
const AT_A_TIME = 250;

export function createCopyVerifier(
  store: Store,
  memory: LocalCopies,
  ensure: (id: CredentialId) => Promise<unknown>,
): CopyVerifier {
  const kind = 'authorizer_access_token';
  let waiting: string[] = [];
  let all = false;
  let restoring = false;
  // A function, because it changes while a round is awaited.
  const lostAgain = () => all;
  async function ensureChanged(subjects: readonly string[]): Promise<void> {
    const ids = subjects.map((subject) => ({ kind, subject }) as const);
    const peeks = await peekMany(store, ids);
    const changed = ids.filter((id, index) => {
      const known = memory.recall(id);
      const glance = peeks[index];
      if (known === undefined || glance === undefined || !isAsItWas(known, glance)) return true;
      return memory.rotationOf(id) !== undefined;
    });
    await ensureMany(changed, ensure);
  }
  return {
    async next() {
      const everybody = all;
      if (everybody || waiting.length === 0) waiting = memory.subjects(kind);
      let left = everybody ? waiting.length : Math.min(AT_A_TIME, waiting.length);
      all = false;
      try {
        while (left > 0) {
          const some = waiting.splice(0, Math.min(AT_A_TIME, left));
          left -= some.length;
          await ensureChanged(some);
        }
        // Unless Redis was away once more meanwhile.
        if (everybody && !lostAgain()) restoring = false;
      } catch (error) {
        // Redis is away once more: what was not seen is still to be seen.
        all ||= everybody;
        throw error;
      }
    },
    restart() {
      all = true;
      restoring = memory.subjects(kind).length > 0;
    },
    isRestoring: () => restoring,
  };
}

/** Nothing that is remembered is missing, and nothing newer is there to be remembered. */
function isAsItWas(known: CopiedRecord, peek: Peek): boolean {
  if (known.seq !== peek.seq || known.authEpoch !== peek.authEpoch) return false;
  if (known.value !== peek.value || known.storedExpiresAt !== peek.expiresAt) return false;
  if ((known.refreshToken ?? known.unreadableRefreshToken) !== undefined) {
    return peek.hasRefreshToken && peek.mirror === known.value && peek.plannedAt !== undefined;
  }
  return !peek.hasRefreshToken && peek.mirror === undefined;
}

import type { Clock } from '../lib/clock.ts';
import type { CredentialId, CredentialKindName } from '../store/redis/keys.ts';
import type { CredentialRecord } from '../store/credentials/record.ts';
import type { StoreTime } from '../store/redis/time.ts';

/**
 * What this process last saw of each credential: to serve while Redis is away, and to give back what
 * Redis has lost.
 */
export interface LocalCopies {
  /**
   * Keeps a record, and returns it with an expiry that the monotonic clock agrees with: Redis's
   * clock may have been set back since the value was first seen, which would prolong its life.
   */
  remember(id: CredentialId, record: CredentialRecord): CredentialRecord;
  recall(id: CredentialId): CopiedRecord | undefined;
  /** As it was read, without what the monotonic clock has to say: for comparing, at each read. */
  lastRead(id: CredentialId): CredentialRecord | undefined;
  /** WeChat has put the refresh token `fresh` in the place of `used`; Redis may not know yet. */
  rotate(id: CredentialId, used: string | undefined, fresh: string | undefined): void;
  rotationOf(id: CredentialId): Rotation | undefined;
  /** Redis has the fresh one, or one of another authorization. */
  endRotation(id: CredentialId): void;
  /** The subjects of which something of this kind is remembered. */
  subjects(kind: CredentialKindName): string[];
}

/** Refresh tokens that WeChat does not take any more, and the one that it has put in their place. */
export interface Rotation {
  used: ReadonlySet<string>;
  fresh: string;
}

export interface CopiedRecord extends CredentialRecord {
  /** The expiry as Redis had it, before the monotonic clock had its say. */
  storedExpiresAt: number;
}

interface Remembered {
  record: CredentialRecord;
  /** Monotonic ms at which the value ends. */
  endsAt: number;
}

/** Milliseconds by which two clocks may differ before it is more than rounding and a slow network. */
const TOLERANCE_MS = 5_000;

export function createLocalCopies(clock: Clock, time: StoreTime): LocalCopies {
  const remembered = new Map<string, Remembered>();
  const rotations = new Map<string, Rotation>();
  return {
    remember(id, record) {
      const { value, refreshToken, unreadableRefreshToken, revokedAt } = record;
      const something = value ?? refreshToken ?? unreadableRefreshToken ?? revokedAt;
      if (something === undefined) return record;
      const key = keyOf(id);
      const known = remembered.get(key);
      const leftMs = record.expiresAt - record.readAt;
      const sameValue =
        known?.record.committedOp === record.committedOp &&
        known?.record.expiresAt === record.expiresAt;
      const knownLeftMs = sameValue ? known.endsAt - clock.monotonic() : leftMs;
      const setBack = leftMs > knownLeftMs + TOLERANCE_MS;
      const endsAt = clock.monotonic() + (setBack ? knownLeftMs : leftMs);
      remembered.set(key, { record, endsAt });
      return setBack ? { ...record, expiresAt: record.readAt + knownLeftMs } : record;
    },
    recall(id) {
      const known = remembered.get(keyOf(id));
      if (known === undefined) return undefined;
      // Counted by the monotonic clock alone: Redis, whose clock it was, may be away.
      const now = time.now();
      const storedExpiresAt = known.record.expiresAt;
      const endsAt = Math.floor(now + known.endsAt - clock.monotonic());
      const expiresAt = differ(endsAt, storedExpiresAt)
        ? Math.min(endsAt, storedExpiresAt)
        : storedExpiresAt;
      return { ...known.record, storedExpiresAt, expiresAt };
    },
    lastRead: (id) => remembered.get(keyOf(id))?.record,
    rotate(id, used, fresh) {
      if (used === undefined || fresh === undefined || used === fresh) return;
      const before = rotations.get(keyOf(id));
      const earlier = before?.fresh === used ? before.used : [];
      rotations.set(keyOf(id), { used: new Set([...earlier, used]), fresh });
    },
    // There is hardly ever one, and every read asks.
    rotationOf: (id) => (rotations.size === 0 ? undefined : rotations.get(keyOf(id))),
    endRotation: (id) => void rotations.delete(keyOf(id)),
    subjects(kind) {
      const start = `${kind}:`;
      const keys = [...remembered.keys()].filter((key) => key.startsWith(start));
      return keys.map((key) => key.slice(start.length));
    },
  };
}

/** Whether two moments, epoch ms, are further apart than clocks are inexact. */
export function differ(one: number, other: number): boolean {
  return Math.abs(one - other) > TOLERANCE_MS;
}

function keyOf({ kind, subject }: CredentialId): string {
  return `${kind}:${subject}`;
}

import type { Credential, Rejection } from './credential.ts';
import type { Wanted } from './keeper-api.ts';

/** The values that this process knows, and until when it believes what it knows. Times in milliseconds. */

export interface Entry {
  credential: Credential;
  /** Number of the request whose answer it is. */
  order: number;
  checkedAt: number;
  /** Until then it is handed out without asking. */
  askAgainAt: number;
  livesUntil: number;
  /** Until then a report of this value cannot help. */
  quietUntil: number;
}

/** A question to wxkeeper: its number, and when it was asked. */
export interface Question {
  order: number;
  askedAt: number;
}

export interface Memory {
  /** One that can be used, however old. */
  live(of: Wanted): Entry | undefined;
  /** One that can be used without asking. */
  recent(of: Wanted): Entry | undefined;
  ask(): Question;
  /** @returns what holds now: of answers that cross each other, the newer value */
  keep(of: Wanted, credential: Credential, question: Question): Entry;
  forget(of: Wanted): void;
  /** wxkeeper has said that it is still this one. */
  confirm(entry: Entry, question: Question): void;
  /** wxkeeper could not say: it is not asked for a while. */
  pause(entry: Entry, retryAfterSeconds: number | undefined): void;
  /** Nor told for so long that this value is dead. */
  hush(of: Wanted, seq: number, seconds: number): void;
  /** What came, or would come, of a report, as far as that is known: it is not needed, or was just in vain. */
  outcome(of: Wanted, seq: number): Rejection | undefined;
  /** For a caller, with the life that is left. */
  view(entry: Entry): Credential;
}

/** A value may be replaced, and die, long before its end. */
const MAX_AGE_MS = 60_000;
/** wxkeeper replaces most values within their last quarter of an hour. */
const NEAR_END_MS = 900_000;
const MAX_AGE_NEAR_END_MS = 5_000;
/** It has to last until the call that it is for has arrived. */
const LAST_MOMENT_MS = 10_000;
export const PAUSE_SECONDS = 5;
const MAX_PAUSE_SECONDS = 60;

export function createMemory({ now, maxKept }: { now: () => number; maxKept: number }): Memory {
  /** The one used longest ago first. */
  const entries = new Map<string, Entry>();
  let questions = 0;

  const isLive = (entry: Entry) => now() < entry.livesUntil - LAST_MOMENT_MS;
  const put = (key: string, entry: Entry) => {
    entries.delete(key);
    entries.set(key, entry);
    if (entries.size > maxKept) entries.delete(entries.keys().next().value ?? '');
  };
  const memory: Memory = {
    live(of) {
      const entry = entries.get(keyOf(of));
      return entry !== undefined && isLive(entry) ? entry : undefined;
    },
    recent(of) {
      const entry = memory.live(of);
      // A clock that was set back does not know how old anything is.
      if (entry === undefined || now() < entry.checkedAt || now() >= entry.askAgainAt) return;
      put(keyOf(of), entry);
      return entry;
    },
    ask: () => ({ order: (questions += 1), askedAt: now() }),
    keep(of, credential, question) {
      const known = entries.get(keyOf(of));
      const isOlder = known !== undefined && known.order > question.order;
      if (isOlder && credential.seq <= known.credential.seq) return known;
      const quietUntil = known?.credential.seq === credential.seq ? known.quietUntil : 0;
      // From the moment of the question: when the answer was made is not known.
      const livesUntil = question.askedAt + credential.expiresInSeconds * 1000;
      const { order } = question;
      const entry = { credential, order, livesUntil, quietUntil, checkedAt: 0, askAgainAt: 0 };
      memory.confirm(entry, question);
      put(keyOf(of), entry);
      return entry;
    },
    forget: (of) => void entries.delete(keyOf(of)),
    confirm(entry, { askedAt }) {
      const isNearEnd = entry.livesUntil - askedAt <= NEAR_END_MS;
      entry.checkedAt = askedAt;
      entry.askAgainAt = askedAt + (isNearEnd ? MAX_AGE_NEAR_END_MS : MAX_AGE_MS);
    },
    pause(entry, retryAfterSeconds = PAUSE_SECONDS) {
      const seconds = Math.min(MAX_PAUSE_SECONDS, Math.max(PAUSE_SECONDS, retryAfterSeconds));
      entry.checkedAt = now();
      entry.askAgainAt = now() + seconds * 1000;
    },
    hush(of, seq, seconds) {
      const entry = entries.get(keyOf(of));
      if (entry?.credential.seq === seq) entry.quietUntil = now() + seconds * 1000;
    },
    outcome(of, seq) {
      const entry = memory.live(of);
      return entry && outcomeOf(entry.quietUntil - now(), memory.view(entry), seq);
    },
    view: ({ credential, livesUntil }) => ({
      ...credential,
      expiresInSeconds: Math.max(0, Math.floor((livesUntil - now()) / 1000)),
    }),
  };
  return memory;
}

/** @param quietMs left */
function outcomeOf(quietMs: number, credential: Credential, seq: number): Rejection | undefined {
  if (credential.seq > seq) {
    return { outcome: 'already_newer', credential, retryAfterSeconds: undefined };
  }
  if (credential.seq !== seq || quietMs <= 0) return undefined;
  return { outcome: 'throttled', credential, retryAfterSeconds: Math.ceil(quietMs / 1000) };
}

function keyOf({ kind, subject }: Wanted): string {
  return `${kind}/${subject}`;
}

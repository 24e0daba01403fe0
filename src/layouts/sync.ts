import { hash } from 'node:crypto';
import type { Log } from '../lib/log.ts';
import { KeeperError } from '../lib/errors.ts';
import { refusalIn } from '../store/layouts/connect.ts';
import {
  lookAtPublished,
  putPublished,
  readSources,
  type FoundKey,
  type Held,
  type PublishedSource,
} from '../store/layouts/published.ts';
import type { CredentialId } from '../store/redis/keys.ts';
import type { Store } from '../store/redis/store.ts';
import { readTicket } from '../store/tickets/ticket.ts';
import {
  expectedIn,
  isLifeOff,
  namesFor,
  placeholderTicket,
  type Expected,
  type ExpectedKey,
  type TicketText,
} from './expected.ts';
import type { KnownKeys, LayoutTarget } from './target.ts';

/**
 * Brings the keys of some credentials to what belongs there. In this order: what is there, then what belongs
 * there, then the change, which is made only if the key still holds what was found. So nothing older than
 * what is stored is ever the last to be written, whoever writes at the same time.
 */

export interface SyncContext {
  store: Store;
  log: Log;
  /** An application has taken a single-use value out of its key. */
  onTaken: (id: CredentialId, value: string) => void;
}

/** What was done. */
export interface Synced {
  /** Keys that belong there. */
  keys: number;
  /** Keys that were written, those that were deleted before or overwritten among them. */
  published: number;
  restored: number;
  overwritten: number;
  /** The last that was overwritten. */
  last: { subject: string; kind: string } | undefined;
}

/** The Redis of a layout cannot be used. */
export class LayoutError extends Error {
  override name = 'LayoutError';
  readonly word: string;
  readonly words: string;

  constructor({ word, words }: { word: string; words: string }, cause: unknown) {
    super(`a layout cannot be published: ${word}`, { cause });
    this.word = word;
    this.words = words;
  }
}

/** Somebody else wrote at the same moment: looked at once more, so often. */
const MOST_TRIES = 4;

/** @throws LayoutError, KeeperError `store_unavailable` */
export async function syncMany(
  context: SyncContext,
  target: LayoutTarget,
  ids: readonly CredentialId[],
): Promise<Synced> {
  const done: Synced = { keys: 0, published: 0, restored: 0, overwritten: 0, last: undefined };
  let left = ids;
  for (let tries = 0; left.length > 0 && tries < MOST_TRIES; tries += 1) {
    left = await syncOnce(context, target, left, done);
  }
  return done;
}

/** @returns those that somebody else was writing to */
async function syncOnce(
  context: SyncContext,
  target: LayoutTarget,
  ids: readonly CredentialId[],
  done: Synced,
): Promise<CredentialId[]> {
  const { store } = context;
  const tickets = await ticketsFor(store, target, ids);
  const ticketsOf = ({ subject }: CredentialId) => tickets.get(subject) ?? [];
  const named = ids.map((id) => ({ id, keys: namesFor(target, id, ticketsOf(id)) }));
  const names = [...new Set(named.flatMap(({ keys }) => keys.map(({ name }) => name)))];
  const found = await onTarget(target, () => lookAtPublished(target.connection.redis, names));
  const sources = await readSources(store, ids);
  const again = await Promise.all(
    named.map(async ({ id, keys }, index) => {
      const source = sources[index];
      if (source === undefined) return [];
      const one = { context, target, id, source, done };
      const settled = await syncKeys(one, keys, found, ticketsOf(id)[0]);
      if (!settled) return [id];
      target.published.set(keyOf(id), source.mark);
      return [];
    }),
  );
  return again.flat();
}

export function keyOf({ kind, subject }: CredentialId): string {
  return `${kind}:${subject}`;
}

interface One {
  context: SyncContext;
  target: LayoutTarget;
  id: CredentialId;
  source: PublishedSource;
  done: Synced;
}

/** @returns false when somebody else has written meanwhile */
async function syncKeys(
  one: One,
  keys: readonly ExpectedKey[],
  found: ReadonlyMap<string, FoundKey>,
  ticket: TicketText | undefined,
): Promise<boolean> {
  const { target, id, source } = one;
  const now = one.context.store.time.now();
  const known = target.known.get(keyOf(id));
  const seen: KnownKeys = { seq: source.seq, now: [], before: [] };
  const settled = await Promise.all(
    keys.map((named, index) => {
      const expected = expectedIn(named.key, id, source, ticket, now);
      const there = found.get(named.name) ?? { held: '-', lifeMs: -2 };
      const before = known?.now[index];
      // What changes with each ticket is another key, or another value, each time.
      const { ofTicket, kind } = named.key;
      const isKnown =
        target.layout.ticket === 'placeholder' || !(ofTicket || kind === 'component_verify_ticket');
      const memory = isKnown ? { known, index } : undefined;
      const fresh = typeof expected === 'string' ? undefined : hashOf(expected.text);
      seen.now[index] = fresh;
      seen.before[index] = fresh === before ? known?.before[index] : before;
      return syncKey(one, named, expected, there, memory);
    }),
  );
  const isSettled = settled.every(Boolean);
  if (isSettled) {
    target.known.set(keyOf(id), seen);
    one.done.keys += seen.now.filter((one) => one !== undefined).length;
  }
  return isSettled;
}

interface Memory {
  known: KnownKeys | undefined;
  index: number;
}

/** @returns false when the key holds something else by now */
async function syncKey(
  one: One,
  { key, name }: ExpectedKey,
  expected: Expected,
  { held, lifeMs }: FoundKey,
  memory: Memory | undefined,
): Promise<boolean> {
  const { context, target, id, source, done } = one;
  const put = (wanted: Exclude<Held, '!'>, life: number) =>
    onTarget(target, () => putPublished(target.connection.redis, name, held, wanted, life));
  if (expected === 'unknown') return true;
  if (expected === 'none') return held === '-' || put('-', 1);
  const wanted = `=${expected.text}` as const;
  if (held === wanted) {
    return !isLifeOff(key, lifeMs, expected.lifeMs) || put(wanted, expected.lifeMs);
  }
  const wasThere = memory?.known?.now[memory.index] === hashOf(expected.text);
  if (held === '-' && wasThere && key.kind === 'pre_auth_code' && source.value !== undefined) {
    // Whoever took it has it alone.
    context.onTaken(id, source.value);
    return true;
  }
  if (!(await put(wanted, expected.lifeMs))) return false;
  done.published += 1;
  const facts = { layout: target.layout.name, kind: key.kind, subject: id.subject };
  if (held === '-' && wasThere) {
    done.restored += 1;
    context.log.info('a published key was deleted; written again', facts);
  } else if (held !== '-' && memory !== undefined && isForeign(memory, held, source)) {
    done.overwritten += 1;
    done.last = { subject: id.subject.split(':')[0] ?? '', kind: key.kind };
    context.log.warn(
      'an application has written into a key that wxkeeper publishes; restored, its value is not used',
      facts,
    );
  }
  return true;
}

/**
 * Neither what this process has seen there, nor what may have been there between: where it does not know the
 * value before, as after a start, it may be ours.
 */
function isForeign({ known, index }: Memory, held: Held, { seq }: PublishedSource): boolean {
  const before = known?.now[index];
  if (known === undefined || before === undefined || seq - known.seq > 1) return false;
  if (held === '!') return true;
  const there = hashOf(held.slice(1));
  return there !== before && there !== known.before[index];
}

/** Enough to tell two values of one key apart, and nothing that opens anything. */
function hashOf(text: string): string {
  return hash('sha1', text, 'base64').slice(0, 10);
}

/** By component: what is in the names and values of this layout. */
async function ticketsFor(
  store: Store,
  { layout, keys }: LayoutTarget,
  ids: readonly CredentialId[],
): Promise<Map<string, TicketText[]>> {
  const needed = keys.some((key) => key.ofTicket || key.kind === 'component_verify_ticket');
  const components = needed
    ? ids.filter(({ kind }) => kind === 'component_access_token').map(({ subject }) => subject)
    : [];
  const entries = components.map(async (component): Promise<[string, TicketText[]]> => {
    if (layout.ticket === 'placeholder') return [component, [placeholderTicket(component)]];
    const ticket = await readTicket(store, component);
    if (ticket === undefined) return [component, []];
    const { ticket: text, expiresAt, previousTicket, previousExpiresAt } = ticket;
    // An application that has just read the one before looks under its name.
    const previous =
      previousTicket === undefined ? [] : [{ text: previousTicket, expiresAt: previousExpiresAt }];
    return [component, [{ text, expiresAt }, ...previous]];
  });
  return new Map(await Promise.all(entries));
}

/** @throws LayoutError */
async function onTarget<T>({ connection }: LayoutTarget, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof KeeperError)) throw error;
    const unanswered = { word: 'no answer', words: error.message };
    throw new LayoutError(refusalIn(error) ?? connection.trouble() ?? unanswered, error);
  }
}

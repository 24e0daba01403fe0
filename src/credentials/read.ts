import { sleep, type Clock } from '../lib/clock.ts';
import { KeeperError } from '../lib/errors.ts';
import type { CredentialId } from '../store/redis/keys.ts';
import { takeValue, type CredentialRecord } from '../store/credentials/record.ts';
import type { StoredError } from '../store/credentials/stored-error.ts';
import { explainError, sentenceOf } from './error-words.ts';
import { isLive, judgeFreshness, windowOf, type FreshnessState } from './freshness.ts';
import { readRepaired } from './read-repair.ts';
import type { Keeper } from './keeper.ts';
import type { CredentialKind } from './kinds/kind.ts';
import type { RefreshContext } from './refresh-types.ts';
import type { ShareRead } from './shared-reads.ts';

/**
 * How others read a credential: what is live is answered at once and refreshed behind the answer;
 * only a caller who finds nothing live waits for a mint, up to a deadline. While Redis is away, what
 * this process has in memory serves to its end.
 */

/** Milliseconds a reader waits: one whole call to WeChat fits in. */
const READ_DEADLINE_MS = 9_000;
/** Milliseconds between looks at a record that another process is refreshing. */
const POLL_MS = 200;
/** Milliseconds of life that a value from memory must have left: nobody can renew it just now. */
const MIN_MEMORY_LIFE_MS = 10_000;

export interface Credential {
  value: string;
  /** Epoch ms. */
  expiresAt: number;
  /** Milliseconds from now, by the clock the expiry was judged with. */
  expiresInMs: number;
  seq: number;
  state: FreshnessState;
  /** `memory` while Redis is away. */
  source: 'redis' | 'memory';
}

export interface ReadContext extends RefreshContext {
  keeper: Keeper;
  /** Where many ask for the same at once. */
  share?: ShareRead<Credential | undefined>;
}

/**
 * Reads a credential. A single-use value is handed out: nobody else gets it.
 * @throws KeeperError `not_found`, `authorizer_revoked`, `store_unavailable`, `no_ticket`,
 *   `ticket_expired`, `sealed_unreadable`, `wechat_unavailable`, `wechat_refused`, `quota_exhausted`
 */
export async function readCredential(context: ReadContext, id: CredentialId): Promise<Credential> {
  const { clock, keeper, store } = context;
  const kind = keeper.kindOf(id);
  if (kind === undefined) throw new KeeperError('not_found', 'No such credential is kept here.');
  const giveUpAt = clock.monotonic() + READ_DEADLINE_MS;
  for (;;) {
    const found = await (kind.singleUse ? takeOne(context, id) : readForAll(context, id, kind));
    if (found !== undefined) return found;
    const left = giveUpAt - clock.monotonic();
    const outcome = await within(clock, left, keeper.ensureFresh(id, 'read'));
    if (outcome === undefined) throw unavailable(undefined, 2);
    if (outcome.did === 'blocked') throw outcome.error;
    if (outcome.did === 'waited' || outcome.did === 'failed') {
      throw unavailable(outcome.error, (outcome.until - store.time.now()) / 1000);
    }
    // Somebody else is minting, or took what was there: not ours to hurry.
    if (outcome.did !== 'refreshed') await sleep(clock, POLL_MS);
  }
}

/** The state and expiry of a credential without its value; uses nothing up. */
export async function peekCredential(
  context: ReadContext,
  id: CredentialId,
): Promise<{ expiresAt: number; seq: number; state: FreshnessState }> {
  const kind = context.keeper.kindOf(id);
  if (kind === undefined) throw new KeeperError('not_found', 'No such credential is kept here.');
  const record = await readRepaired(context, { id, kind });
  const window = windowOf(id, context.windowMs);
  const { state } = judgeFreshness(record, record.readAt, window, kind.singleUse);
  return { expiresAt: record.expiresAt, seq: record.seq, state };
}

function readForAll(
  context: ReadContext,
  id: CredentialId,
  kind: CredentialKind,
): Promise<Credential | undefined> {
  const read = () => readLive(context, id, kind);
  return context.share?.(`${id.kind}:${id.subject}`, read) ?? read();
}

async function readLive(
  context: ReadContext,
  id: CredentialId,
  kind: CredentialKind,
): Promise<Credential | undefined> {
  try {
    const record = await readRepaired(context, { id, kind });
    const found = serve(windowOf(id, context.windowMs), record, record.readAt, 'redis');
    if (found !== undefined && found.state !== 'fresh') void context.keeper.ensureFresh(id, 'read');
    return found;
  } catch (error) {
    if (!(error instanceof KeeperError) || error.code !== 'store_unavailable') throw error;
    const record = context.memory.recall(id);
    if (record === undefined) throw error;
    if (record.revokedAt !== undefined) {
      throw new KeeperError('authorizer_revoked', 'This account has ended its authorization.');
    }
    const now = context.store.time.now();
    if (record.expiresAt - now < MIN_MEMORY_LIFE_MS) throw error;
    return serve(windowOf(id, context.windowMs), record, now, 'memory');
  }
}

function serve(
  windowMs: number,
  record: CredentialRecord,
  now: number,
  source: Credential['source'],
): Credential | undefined {
  const { state } = judgeFreshness(record, now, windowMs, false);
  const { value, expiresAt, seq } = record;
  if (value === undefined || !isLive(state)) return undefined;
  return { value, expiresAt, expiresInMs: expiresAt - now, seq, state, source };
}

async function takeOne(
  { store, keeper, windowMs, publish }: ReadContext,
  id: CredentialId,
): Promise<Credential | undefined> {
  const taken = await takeValue(store, id);
  if (taken === undefined) return undefined;
  // Nobody else may find it in another place.
  await publish?.(id);
  const { value, expiresAt, seq, readAt } = taken;
  const judged = { ...taken, taken: false, suspect: false, refused: false };
  const { state } = judgeFreshness(judged, readAt, windowMs, true);
  // The next visitor's code is fetched behind this answer.
  void keeper.ensureFresh(id, 'handed_out');
  return { value, expiresAt, expiresInMs: expiresAt - readAt, seq, state, source: 'redis' };
}

/** The result of `work`, or undefined when `delayMs` pass first. */
export async function within<T>(
  clock: Clock,
  delayMs: number,
  work: Promise<T>,
): Promise<T | undefined> {
  let cancel: () => void = () => undefined;
  const timeout = new Promise<undefined>((resolve) => {
    cancel = clock.setTimer(Math.max(0, delayMs), () => resolve(undefined));
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    cancel();
  }
}

function unavailable(error: StoredError | undefined, retryAfterSeconds: number): KeeperError {
  const message =
    error === undefined ? 'WeChat gave no answer in time.' : sentenceOf(explainError(error, 'en'));
  return new KeeperError(codeOf(error?.class), message, {
    retryAfterSeconds: Math.max(1, Math.ceil(retryAfterSeconds)),
  });
}

function codeOf(errorClass = 'retry'): KeeperError['code'] {
  switch (errorClass) {
    case 'quota':
      return 'quota_exhausted';
    case 'ticket':
      return 'ticket_expired';
    case 'store':
      return 'store_unavailable';
    case 'config':
    case 'reauthorize':
    case 'permission':
    case 'bug':
      return 'wechat_refused';
    default:
      return 'wechat_unavailable';
  }
}

import { sleep, type Clock } from '../clock.ts';
import { KeeperError } from '../errors.ts';
import type { CredentialId } from '../store/keys.ts';
import { readRecord, takeValue, type StoredError } from '../store/records.ts';
import type { Store } from '../store/store.ts';
import { isLive, judgeFreshness, type FreshnessState } from './freshness.ts';
import type { Keeper } from './keeper.ts';

/**
 * How others read a credential: what is live is answered at once and refreshed behind the answer;
 * only a caller who finds nothing live waits for a mint, up to a deadline.
 */

/** Milliseconds a reader waits: one whole call to WeChat fits in. */
const READ_DEADLINE_MS = 9_000;
/** Milliseconds between looks at a record that another process is refreshing. */
const POLL_MS = 200;

export interface Credential {
  value: string;
  /** Epoch ms. */
  expiresAt: number;
  seq: number;
  state: FreshnessState;
}

export interface ReadContext {
  store: Store;
  clock: Clock;
  keeper: Keeper;
  /** Upper bound of the refresh window, milliseconds. */
  windowMs: number;
}

/**
 * Reads a credential. A single-use value is handed out: nobody else gets it.
 * @throws KeeperError `not_found`, `store_unavailable`, `no_ticket`, `ticket_expired`,
 *   `wechat_unavailable`, `wechat_refused`, `quota_exhausted`
 */
export async function readCredential(context: ReadContext, id: CredentialId): Promise<Credential> {
  const { clock, keeper } = context;
  const kind = keeper.kindOf(id);
  if (kind === undefined) throw new KeeperError('not_found', 'No such credential is kept here.');
  const giveUpAt = clock.monotonic() + READ_DEADLINE_MS;
  for (;;) {
    const found = await (kind.singleUse ? takeOne(context, id) : readLive(context, id));
    if (found !== undefined) return found;
    const left = giveUpAt - clock.monotonic();
    const outcome = await within(clock, left, keeper.look(id, 'read'));
    if (outcome === undefined) throw unavailable(undefined, 2);
    if (outcome.did === 'blocked') throw outcome.error;
    if (outcome.did === 'waited' || outcome.did === 'failed') {
      throw unavailable(outcome.error, (outcome.until - clock.now()) / 1000);
    }
    // Somebody else is minting, or took what was there: not ours to hurry.
    if (outcome.did !== 'refreshed') await sleep(clock, POLL_MS);
  }
}

/** The state and expiry of a credential without its value; uses nothing up. */
export async function peekCredential(
  { store, clock, keeper, windowMs }: ReadContext,
  id: CredentialId,
): Promise<Omit<Credential, 'value'>> {
  const kind = keeper.kindOf(id);
  if (kind === undefined) throw new KeeperError('not_found', 'No such credential is kept here.');
  const record = await readRecord(store, id);
  const { state } = judgeFreshness(record, clock.now(), windowMs, kind.singleUse);
  return { expiresAt: record.expiresAt, seq: record.seq, state };
}

async function readLive(
  { store, clock, keeper, windowMs }: ReadContext,
  id: CredentialId,
): Promise<Credential | undefined> {
  const record = await readRecord(store, id);
  const { state } = judgeFreshness(record, clock.now(), windowMs, false);
  if (record.value === undefined || !isLive(state)) return undefined;
  if (state !== 'fresh') void keeper.look(id, 'read');
  return { value: record.value, expiresAt: record.expiresAt, seq: record.seq, state };
}

async function takeOne(
  { store, clock, keeper, windowMs }: ReadContext,
  id: CredentialId,
): Promise<Credential | undefined> {
  const now = clock.now();
  const taken = await takeValue(store, id, now);
  if (taken === undefined) return undefined;
  const judged = { ...taken, taken: false, suspect: false };
  const { state } = judgeFreshness(judged, now, windowMs, true);
  // The next visitor's code is fetched behind this answer.
  void keeper.look(id, 'handed_out');
  return { value: taken.value, expiresAt: taken.expiresAt, seq: taken.seq, state };
}

/** The result of `work`, or undefined when `delayMs` pass first. */
async function within<T>(clock: Clock, delayMs: number, work: Promise<T>): Promise<T | undefined> {
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
    error === undefined
      ? 'WeChat gave no answer in time.'
      : `${error.message.replace(/\.$/, '')}. ${error.advice}`;
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
    case 'permission':
    case 'bug':
      return 'wechat_refused';
    default:
      return 'wechat_unavailable';
  }
}

import { loadRecordScript, runRecordScript } from '../redis/scripts.ts';
import type { CredentialId } from '../redis/keys.ts';
import type { Store } from '../redis/store.ts';
import type { RefusedBy } from './refused-by.ts';

/** Values that WeChat called dead before their time. */

/** Milliseconds: a complaint about a younger value may be older than the value itself. */
const YOUNG_MS = 60_000;
/** Milliseconds between two complaints that are acted on. */
export const REFUSAL_INTERVAL_MS = 300_000;
/** The same while somebody else mints with our secret: answering each blow feeds the war. */
const FOREIGN_INTERVAL_MS = 1_800_000;

const refuseScript = loadRecordScript('credentials/refuse-value');

export type RefusalOutcome =
  | { outcome: 'accepted' }
  /** Somebody has said so already, and its successor is on its way. */
  | { outcome: 'joined' }
  /** Accepted, and the sign that somebody else mints with our secret. */
  | { outcome: 'foreign' }
  /** Another value is stored than the refused one. */
  | { outcome: 'other' }
  | { outcome: 'throttled'; until: number };

/**
 * Notes that WeChat refused the value with this seq, which makes its record due.
 * @param by who says so; shown to admins
 * @throws KeeperError `store_unavailable`
 */
export async function refuseValue(
  store: Store,
  id: CredentialId,
  refusal: { seq: number; by: RefusedBy; ownDoing: boolean },
): Promise<RefusalOutcome> {
  const [outcome, number] = (await runRecordScript(store, refuseScript, [store.keys.record(id)], {
    seq: refusal.seq,
    by: JSON.stringify(refusal.by),
    own_doing: refusal.ownDoing,
    young_ms: YOUNG_MS,
    interval_ms: REFUSAL_INTERVAL_MS,
    foreign_interval_ms: FOREIGN_INTERVAL_MS,
  })) as [RefusalOutcome['outcome'], number?];
  if (outcome === 'throttled') return { outcome, until: number ?? 0 };
  return { outcome };
}

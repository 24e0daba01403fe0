import { loadRecordScript, runRecordScript } from '../redis/scripts.ts';
import type { CredentialId } from '../redis/keys.ts';
import { QUARANTINE_MS } from './mint.ts';
import type { CredentialRecord } from './record.ts';
import { encryptToken } from '../redis/encryption-keys.ts';
import type { Store } from '../redis/store.ts';

const restoreScript = loadRecordScript('credentials/restore-record');

/** `renumbered`: Redis has a newer value under a seq given out before; `kept`: it knows better. */
export type RestoreOutcome = 'restored' | 'mirror' | 'renumbered' | 'kept';

/**
 * Writes a remembered record back, or only its mirror, when Redis has lost it.
 * @param settled nothing of it was written so late that it may have been lost before this was remembered:
 *   no replica need doubt it
 * @throws KeeperError `store_unavailable`
 */
export async function restoreRecord(
  store: Store,
  id: CredentialId,
  remembered: CredentialRecord,
  settled: boolean,
): Promise<RestoreOutcome> {
  const outcome = await runRecordScript(
    store,
    restoreScript,
    [store.keys.record(id), store.keys.mirror(id)],
    {
      value: remembered.value,
      value_since: remembered.valueSince,
      expires_at: remembered.expiresAt,
      obtained_at: remembered.obtainedAt,
      seq: remembered.seq,
      clock: remembered.clock,
      committed: remembered.committed,
      committed_op: remembered.committedOp,
      committed_epoch: remembered.committedEpoch,
      reason: remembered.reason,
      replica: remembered.replica,
      half_life_ms: remembered.halfLifeMs,
      refresh_token:
        remembered.unreadableRefreshToken ??
        (await encryptToken(store, id, remembered.refreshToken)),
      authorized_at: remembered.authorizedAt,
      revoked_at: remembered.revokedAt,
      revoked_by: remembered.revokedBy,
      reauthorize_at: remembered.reauthorizeAt,
      auth_epoch: remembered.authEpoch,
      quarantine_ms: settled ? QUARANTINE_MS : undefined,
    },
  );
  return outcome as RestoreOutcome;
}

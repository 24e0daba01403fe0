import type { CredentialId } from '../store/redis/keys.ts';
import {
  putAside,
  readRecord,
  SpoiledRecordError,
  type CredentialRecord,
} from '../store/credentials/record.ts';
import { replaceRefreshToken } from '../store/authorizers/authorization.ts';
import { restoreRecord } from '../store/credentials/restore.ts';
import type { CredentialKind } from './kinds/kind.ts';
import type { RefreshContext } from './refresh-types.ts';
import { differ, type LocalCopies } from './local-copy.ts';

/**
 * Reads a record and gives back what Redis has lost of it: a key deleted or edited by hand, a
 * restart without data, a failover that lost the last writes. No call to WeChat is needed for that. Whatever
 * is read here stands in the layouts by then.
 */

type RepairContext = Pick<RefreshContext, 'store' | 'memory' | 'log' | 'publish'>;

/**
 * @param known the record as a script has just returned it; read unless given
 * @throws KeeperError `store_unavailable`
 */
export async function readRepaired(
  context: RepairContext,
  credential: { id: CredentialId; kind: Pick<CredentialKind, 'singleUse' | 'of'> },
  known?: CredentialRecord,
): Promise<CredentialRecord> {
  const record = await repaired(context, credential, known);
  await context.publish?.(credential.id, record);
  return record;
}

async function repaired(
  context: RepairContext,
  credential: { id: CredentialId; kind: Pick<CredentialKind, 'singleUse' | 'of'> },
  known: CredentialRecord | undefined,
): Promise<CredentialRecord> {
  const { id } = credential;
  const record = await heal(context, credential, known ?? (await readOrQuarantine(context, id)));
  if (!(await keepRotated(context, id, record))) return record;
  return context.memory.remember(id, await readOrQuarantine(context, id));
}

/** Whether a refresh token was written down whose storing had failed when WeChat gave it out. */
async function keepRotated(
  { store, memory, log }: RepairContext,
  id: CredentialId,
  record: CredentialRecord,
): Promise<boolean> {
  const rotation = memory.rotationOf(id);
  const { refreshToken, revokedAt, unreadableRefreshToken } = record;
  if (rotation === undefined || unreadableRefreshToken !== undefined) return false;
  // Lost, it is restored from memory first, as it was.
  if (refreshToken === undefined && revokedAt === undefined) return false;
  if (refreshToken === undefined || !rotation.used.has(refreshToken)) {
    memory.endRotation(id);
    return false;
  }
  if (!(await replaceRefreshToken(store, id, rotation.fresh, record))) return false;
  memory.endRotation(id);
  log.warn('a refresh token that could not be stored at once is stored now', { ...id });
  return true;
}

async function heal(
  context: RepairContext,
  { id, kind }: { id: CredentialId; kind: Pick<CredentialKind, 'singleUse' | 'of'> },
  read: CredentialRecord,
): Promise<CredentialRecord> {
  const record = kind.of === 'authorizer' ? withoutNeedlessDoubt(context, id, read) : read;
  // A single-use value that is gone was used: giving it back would hand it out twice.
  if (kind.singleUse) return context.memory.remember(id, record);
  const source = sourceOf(context.memory, id, record);
  if (source === undefined) return context.memory.remember(id, record);

  const settled = kind.of === 'authorizer' && isSettled(record.readAt, source);
  const outcome = await restoreRecord(context.store, id, source, settled);
  // Also when nothing had to be written: somebody else has done it since we read, and what we read is the
  // older one, which nobody may be given.
  const healed = await readOrQuarantine(context, id);
  if (outcome === 'restored') {
    context.log.warn('Redis had lost a credential; restored from memory', {
      ...id,
      seq: healed.seq,
    });
  } else if (outcome === 'renumbered') {
    context.log.warn('a credential that Redis had lost was minted anew; its seq goes on', {
      ...id,
      seq: healed.seq,
    });
  } else if (outcome === 'mirror') {
    context.log.warn('the key for readers was missing or wrong; written again', { ...id });
  }
  return context.memory.remember(id, healed);
}

/** Milliseconds: what is older than this was replicated and on disk long before Redis failed. */
const SETTLED_MS = 120_000;

/**
 * A restart of Redis must not lead to 100,000 mints: an authorizer's value that this process knows as
 * it is, and that was not minted just before, is not put in doubt by it.
 */
function withoutNeedlessDoubt(
  { memory }: RepairContext,
  id: CredentialId,
  record: CredentialRecord,
): CredentialRecord {
  if (!record.suspectByEpochOnly || !isSettled(record.readAt, record)) return record;
  const isKnown = memory.lastRead(id)?.committedOp === record.committedOp;
  // Not as it was read any more, which is what the digest stands for.
  return isKnown ? { ...record, suspect: false, digest: undefined } : record;
}

function isSettled(now: number, { obtainedAt }: CredentialRecord): boolean {
  return now - obtainedAt > SETTLED_MS;
}

/** What to write back, if anything: the remembered record, or the record for its own mirror. */
function sourceOf(
  memory: LocalCopies,
  id: CredentialId,
  record: CredentialRecord,
): CredentialRecord | undefined {
  const remembered = memory.lastRead(id);
  if (remembered !== undefined && lacks(record, remembered)) return memory.recall(id);
  if (record.revokedAt !== undefined) return undefined;
  const live = record.value !== undefined && record.expiresAt > record.readAt;
  return live && record.mirror !== record.value ? record : undefined;
}

/** Whether the record may lack something that is remembered; the script decides. */
function lacks(record: CredentialRecord, remembered: CredentialRecord): boolean {
  const { unreadableRefreshToken: sealed } = record;
  const order = decidedAt(record) - decidedAt(remembered);
  // What we cannot open is no gap: whoever has the key will know what to do with it.
  if (order !== 0) return order < 0 && sealed === undefined;
  if (record.revokedAt !== undefined) return false;
  if ((record.refreshToken ?? sealed) === undefined && hasToken(remembered)) return true;
  if (remembered.value === undefined) return false;
  if (record.value === undefined || record.seq < remembered.seq) return true;
  const sameValue = record.value === remembered.value;
  if (record.committedOp === remembered.committedOp) {
    return !sameValue || differ(record.expiresAt, remembered.expiresAt);
  }
  // The same value again is a longer life of it, under the same seq.
  return !sameValue && record.seq === remembered.seq;
}

function hasToken({ refreshToken, unreadableRefreshToken }: CredentialRecord): boolean {
  return (refreshToken ?? unreadableRefreshToken) !== undefined;
}

/** When WeChat says that the account authorized last, or ended its authorization. */
export function decidedAt({ authorizedAt = 0, revokedAt = 0 }: CredentialRecord): number {
  return Math.max(authorizedAt, revokedAt);
}

/**
 * A record spoiled by hand counts as absent, is kept aside, and a person is told.
 * @throws KeeperError `store_unavailable`
 */
export async function readOrQuarantine(
  { store, log, memory }: Pick<RepairContext, 'store' | 'log'> & Partial<RepairContext>,
  id: CredentialId,
): Promise<CredentialRecord> {
  try {
    return await readRecord(store, id, memory?.lastRead(id));
  } catch (error) {
    if (!(error instanceof SpoiledRecordError)) throw error;
    log.error('a record was edited by hand; it is kept aside and made anew', {
      ...id,
      key: store.keys.spoiled(id),
    });
    await putAside(store, id);
    return readRecord(store, id);
  }
}

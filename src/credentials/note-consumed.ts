import type { CredentialId } from '../store/redis/keys.ts';
import { takeValue } from '../store/credentials/record.ts';
import type { Store } from '../store/redis/store.ts';
import type { Keeper } from './keeper.ts';

/**
 * Somebody has used this single-use value: if it is the one that is kept, nobody else gets it and another
 * one is fetched. Never rejects: a used value that stays is replaced when it ends.
 */
export async function noteConsumed(
  { store, keeper }: { store: Store; keeper: Keeper },
  id: CredentialId,
  value: string,
): Promise<void> {
  const taken = await takeValue(store, id, value).catch(() => undefined);
  if (taken !== undefined) await keeper.ensureFresh(id, 'handed_out');
}

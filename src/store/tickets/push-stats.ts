import { onDisplayKey } from '../redis/connection.ts';
import type { ServedUrl } from './refused-pushes.ts';
import type { Store } from '../redis/store.ts';

/** Counters that tell an operator when the previous token or key is no longer in use. */
export type PushCounter = 'accepted' | 'duplicate' | 'previous_token' | 'previous_key';

export interface PushStats {
  counts: Readonly<Record<PushCounter, number>>;
  /** Epoch ms of the last push under the previous EncodingAESKey, and under the previous token. */
  previousKeyAt: number | undefined;
  previousTokenAt: number | undefined;
  /** Epoch ms of the last push that was accepted at each URL. */
  acceptedAt: Readonly<Record<ServedUrl, number | undefined>>;
}

/** @throws KeeperError `store_unavailable` */
export async function readPushStats(store: Store, appid: string): Promise<PushStats> {
  const key = store.keys.pushStats(appid);
  const hash = await onDisplayKey<Record<string, string>>(() => store.redis.hgetall(key), {});
  const at = (name: string) => (hash[name] === undefined ? undefined : Number(hash[name]));
  // What a person has written there may be no number.
  const count = (name: PushCounter) => Number(hash[name]) || 0;
  return {
    counts: {
      accepted: count('accepted'),
      duplicate: count('duplicate'),
      previous_token: count('previous_token'),
      previous_key: count('previous_key'),
    },
    previousKeyAt: at('previous_key_at'),
    previousTokenAt: at('previous_token_at'),
    acceptedAt: { event: at('accepted_event_at'), message: at('accepted_message_at') },
  };
}

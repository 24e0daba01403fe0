import type { RedisClient } from './client.ts';
import type { Keys } from './keys.ts';
import type { TokenEncryption } from './token-encryption.ts';
import type { StoreTime } from './time.ts';

/** What every function of this room works on. */
export interface Store {
  redis: RedisClient;
  keys: Keys;
  time: StoreTime;
  /** For refresh tokens. */
  encryption: TokenEncryption;
}

import type { Redis } from 'ioredis';
import type { Keys } from './keys.ts';

/** What every function of this room works on. */
export interface Store {
  redis: Redis;
  keys: Keys;
}

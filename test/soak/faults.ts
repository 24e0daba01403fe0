import type { Soak } from './soak.ts';
import { HAND_FAULTS } from './faults-by-hand.ts';
import { REDIS_FAULTS } from './faults-redis.ts';
import { REPLICA_FAULTS } from './faults-replicas.ts';
import { WECHAT_FAULTS } from './faults-wechat.ts';

/** Everything that can go wrong. A fault ends when it is over and its traces should be gone. */
export interface Fault {
  name: string;
  /** How often, compared to others. */
  weight: number;
  run(soak: Soak): Promise<void>;
}

export const FAULTS: readonly Fault[] = [
  ...WECHAT_FAULTS,
  ...REPLICA_FAULTS,
  ...REDIS_FAULTS,
  ...HAND_FAULTS,
];

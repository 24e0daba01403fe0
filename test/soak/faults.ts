import type { Soak } from './soak.ts';
import { HAND_FAULTS } from './faults-by-hand.ts';
import { REDIS_FAULTS } from './faults-redis.ts';
import { REPLICA_FAULTS } from './faults-replicas.ts';
import { TARGET_FAULTS } from './faults-targets.ts';
import { WECHAT_FAULTS } from './faults-wechat.ts';

/** Everything that can go wrong. A fault ends when it is over and its traces should be gone. */
export interface Fault {
  name: string;
  /** How often, compared to others. */
  weight: number;
  run(soak: Soak): Promise<void>;
}

/** Those that need no delivery routes. */
export const FAULTS_WITHOUT_TARGETS: readonly Fault[] = [
  ...WECHAT_FAULTS,
  ...REPLICA_FAULTS,
  ...REDIS_FAULTS,
  ...HAND_FAULTS,
];

export const FAULTS: readonly Fault[] = [...FAULTS_WITHOUT_TARGETS, ...TARGET_FAULTS];

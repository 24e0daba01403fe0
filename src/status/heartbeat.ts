import { hostname } from 'node:os';
import { noteReplica } from '../store/replicas.ts';
import type { Store } from '../store/store.ts';

/** Says that this process is there, for the others to miss it when it is gone. */
export interface Heartbeat {
  /** @throws KeeperError `store_unavailable` */
  beat(): Promise<void>;
  /** Says goodbye. @throws KeeperError `store_unavailable` */
  stop(): Promise<void>;
}

export function createHeartbeat(store: Store, id: string, version: string): Heartbeat {
  let startedAt: number | undefined;
  const note = (stoppedAt: number | undefined) => {
    const now = store.time.now();
    startedAt ??= now;
    const moments = { startedAt, seenAt: now, stoppedAt };
    return noteReplica(store, { id, host: hostname(), version, ...moments });
  };
  return {
    beat: () => note(undefined),
    async stop() {
      if (startedAt !== undefined) await note(store.time.now());
    },
  };
}

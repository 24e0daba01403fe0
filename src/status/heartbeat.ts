import { hostname } from 'node:os';
import { forgetReplicas, noteReplica } from '../store/replicas.ts';
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
    async beat() {
      await note(undefined);
      await forgetReplicas(store);
    },
    async stop() {
      if (startedAt !== undefined) await note(store.time.now());
    },
  };
}

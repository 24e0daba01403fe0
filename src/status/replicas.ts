import type { Replica } from '../store/operations/replicas.ts';
import { finding, type Finding } from './problems.ts';
import { iso, isoOrNull } from '../lib/time-format.ts';
import type { StatusSnapshot } from './schema.ts';

/** Which processes are there, and which one should be. */

/** Milliseconds: four heartbeats. */
const LOST_AFTER_MS = 60_000;
/**
 * Milliseconds. When Redis or the machines come back, some are there sooner than others: only who has
 * been there for a while can miss another one. Shorter than what ends an alert.
 */
const WATCHED_MS = 30_000;

type ReplicaStatus = StatusSnapshot['replicas'][number];
export type ReplicaState = ReplicaStatus['state'];

/** @param now by the store's clock */
export function describeReplicas(replicas: readonly Replica[], now: number): ReplicaStatus[] {
  const states = stateReplicas(replicas, now);
  return replicas.map((one) => ({
    id: one.id,
    host: one.host,
    version: one.version,
    state: states.get(one.id) ?? 'running',
    started_at: iso(one.startedAt),
    seen_at: iso(one.seenAt),
    stopped_at: isoOrNull(one.stoppedAt),
  }));
}

export function replicaFindings(replicas: readonly Replica[], now: number): Finding[] {
  const states = stateReplicas(replicas, now);
  const watched = replicas.some(
    ({ id, startedAt, watchingSince = startedAt }) =>
      states.get(id) === 'running' && now - watchingSince >= WATCHED_MS,
  );
  if (!watched) return [];
  return replicas
    .filter(({ id }) => states.get(id) === 'lost')
    .map(({ id, seenAt }) =>
      finding('replica_lost', null, {
        kind: id,
        since: seenAt,
        facts: { replica: id, seen: iso(seenAt) },
      }),
    );
}

/** A replica that starts takes the place of one that was lost before, as an orchestrator has it. */
function stateReplicas(replicas: readonly Replica[], now: number): Map<string, ReplicaState> {
  const states = new Map<string, ReplicaState>();
  const taken = new Set<string>();
  // The one that came soonest: a later one may have come for a later loss.
  const free = [...replicas].sort((a, b) => a.startedAt - b.startedAt);
  const byLoss = [...replicas].sort((a, b) => a.seenAt - b.seenAt);
  for (const one of byLoss) {
    if (one.stoppedAt !== undefined) states.set(one.id, 'stopped');
    else if (now - one.seenAt <= LOST_AFTER_MS) states.set(one.id, 'running');
    else {
      const heir = free.find(({ id, startedAt }) => !taken.has(id) && startedAt > one.seenAt);
      if (heir !== undefined) taken.add(heir.id);
      states.set(one.id, heir === undefined ? 'lost' : 'replaced');
    }
  }
  return states;
}

import type { Bounds, Setup } from './events.ts';
import { ALL_RULES } from './rules.ts';

/**
 * Faults that the protocol cannot notice, because a request is executed after everything that stands
 * for it is over, and its sender is dead. They heal with the next window or a reported 40001.
 */
const BOUNDS: Bounds = {
  replicas: 2,
  start: 'live',
  windows: 1,
  faults: 2,
  failovers: 0,
  lostWrites: 0,
  ages: 'due',
  residual: 'included',
};

export const RESIDUALS: readonly { name: string; setup: Setup }[] = [
  {
    name: 'a pause of more than 40 s between check and sending, then a crash',
    setup: { bounds: BOUNDS, rules: ALL_RULES },
  },
  {
    name: 'a failover that loses a begin, a pause longer than the quarantine, then a crash',
    // An intent that outlives any pause leaves only the failover to explain a violation.
    setup: {
      bounds: { ...BOUNDS, failovers: 1, lostWrites: 1 },
      rules: { ...ALL_RULES, ticks: { ...ALL_RULES.ticks, intent: 99 } },
    },
  },
];

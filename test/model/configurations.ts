import type { Bounds } from './events.ts';
import { ALL_RULES, SHORT_SCALE, TWO_SECOND_SCALE, type Ticks } from './rules.ts';

export interface Configuration {
  name: string;
  bounds: Bounds;
  ticks: Ticks;
}

const CALM: Bounds = {
  replicas: 2,
  start: 'live',
  windows: 1,
  faults: 0,
  failovers: 0,
  lostWrites: 0,
  ages: 'due',
  residual: 'excluded',
};

function configuration(name: string, bounds: Partial<Bounds>, ticks = SHORT_SCALE): Configuration {
  return { name, bounds: { ...CALM, ...bounds }, ticks };
}

/** Small ones first, so that a mutation is caught early and with a short trace. */
export const CONFIGURATIONS: readonly Configuration[] = [
  configuration('3 replicas, 2 windows, no fault', { replicas: 3, windows: 2, ages: 'expired' }),
  configuration('2 replicas, 1 fault, 2 s ticks', { faults: 1, ages: 'urgent' }, TWO_SECOND_SCALE),
  configuration('2 replicas, failover loses 1, 1 fault', {
    faults: 1,
    failovers: 1,
    lostWrites: 1,
  }),
  configuration('2 replicas, 2 faults, 2 windows', { faults: 2, windows: 2 }),
  configuration('2 replicas, 2 faults, value may expire', { faults: 2, ages: 'expired' }),
  configuration('2 replicas, 2 faults, no value at first', { faults: 2, start: 'missing' }),
  configuration('3 replicas, 2 faults', { replicas: 3, faults: 2 }),
  configuration('2 replicas, failover loses 3, 1 fault', {
    faults: 1,
    failovers: 1,
    lostWrites: 3,
  }),
  configuration('2 replicas, 3 faults', { faults: 3 }),
  configuration('2 replicas, failover loses 1, 2 faults', {
    faults: 2,
    failovers: 1,
    lostWrites: 1,
  }),
];

/** Over a minute and 2 GB, so explored in full only with `--wide`. */
export const WIDE: Configuration = configuration('the same, with no value at first', {
  faults: 2,
  failovers: 1,
  lostWrites: 1,
  start: 'missing',
});

export function setupOf({ bounds, ticks }: Configuration): {
  bounds: Bounds;
  rules: typeof ALL_RULES;
} {
  return { bounds, rules: { ...ALL_RULES, ticks } };
}

import { WIDE, type Configuration } from './configurations.ts';
import type { Setup } from './events.ts';
import { explore, type Exploration } from './explore.ts';
import type { Invariant } from './invariants.ts';
import { ALL_RULES, type Rules, type Ticks } from './rules.ts';

/** One rule taken out, and the invariant that is expected to notice. */
export interface Mutation {
  readonly name: string;
  readonly change: (ticks: Ticks) => Partial<Rules>;
  /** The only configuration wide enough to notice. */
  readonly only?: Configuration;
  readonly caughtBy: Invariant;
}

function without(name: string, rule: Exclude<keyof Rules, 'ticks'>, caughtBy: Invariant): Mutation {
  return { name, change: () => ({ [rule]: false }), caughtBy };
}

export const MUTATIONS: readonly Mutation[] = [
  without('no lock', 'lock', 'I4'),
  without('no double check of seq in begin', 'doubleCheck', 'I4'),
  without('any commit is accepted', 'intervalRule', 'I2'),
  without('an overlap raises no doubt', 'suspectOnOverlap', 'I1'),
  without('a lost answer raises no doubt', 'suspectOnLostAnswer', 'I1'),
  without('any commit clears a doubt', 'clearOnlyOlderDoubt', 'I1'),
  without('no intents', 'intents', 'I1'),
  without('intents end with the lease', 'intentsWait', 'I1'),
  without('a late request is sent all the same', 'abortLateSend', 'I1'),
  without('a repeated commit counts again', 'idempotentCommit', 'row 27'),
  without('a commit of an older epoch is accepted', 'epochCheck', 'I2'),
  without('a change of epoch raises no doubt', 'suspectOnEpochChange', 'I1'),
  without('no quarantine', 'quarantine', 'I1'),
  {
    name: 'quarantine of 15 s: shorter than 2 + 8 + 10 s',
    change: (ticks) => ({ ticks: { ...ticks, quarantine: ticks.lease - 1 } }),
    caughtBy: 'I1',
  },
  {
    name: 'a commit writes the current epoch into the record',
    change: () => ({ commitNotesEpoch: true }),
    only: WIDE,
    caughtBy: 'I1',
  },
  without('no wait for a late request to settle', 'settleWait', 'I1'),
];

/** Rules that no invariant here needs, and why; they are run all the same, in smaller worlds. */
export const REDUNDANT: readonly { mutation: Omit<Mutation, 'caughtBy'>; because: string }[] = [
  {
    mutation: { name: 'unlock without comparing', change: () => ({ compareBeforeUnlock: false }) },
    because:
      'whoever holds the lock also has an intent, which refuses the others; only where a value is ' +
      'urgent does it let them begin, and then it costs mints, not correctness',
  },
  {
    mutation: {
      name: 'no settle wait after an overlap',
      change: () => ({ settleAfterOverlap: false }),
    },
    because:
      'both overlapping requests have been answered, so none of them can still be executed; any ' +
      'third one has its own lock, intent or settle wait',
  },
];

/** The first configuration in which a mutation fails, if there is one. */
export function hunt(
  mutation: Omit<Mutation, 'caughtBy'>,
  configurations: readonly Configuration[],
): { configuration: Configuration; exploration: Exploration } | undefined {
  for (const configuration of mutation.only ? [mutation.only] : configurations) {
    const exploration = explore(mutated(configuration, mutation));
    if (exploration.violation) return { configuration, exploration };
  }
  return undefined;
}

function mutated({ bounds, ticks }: Configuration, { change }: Omit<Mutation, 'caughtBy'>): Setup {
  return { bounds, rules: { ...ALL_RULES, ticks, ...change(ticks) } };
}

import { describe, expect, it } from 'vitest';
import { CONFIGURATIONS, setupOf } from '../model/configurations.ts';
import { explore } from '../model/explore.ts';
import { hunt, MUTATIONS } from '../model/mutations.ts';

/** The quick part of `npm run test:model`: that the model holds, and that it would notice. */
describe('the model of the refresh protocol', () => {
  const quick = CONFIGURATIONS.slice(0, 3);

  it.each(quick)('holds for $name', (configuration) => {
    const { violation, states } = explore(setupOf(configuration));
    expect(violation).toBeUndefined();
    expect(states).toBeGreaterThan(1000);
  });

  it.each(
    MUTATIONS.filter(({ name }) =>
      [
        'no lock',
        'no double check of seq in begin',
        'a lost answer raises no doubt',
        'no intents',
        'a repeated commit counts again',
        'a change of epoch raises no doubt',
        'no quarantine',
      ].includes(name),
    ),
  )('notices $name', (mutation) => {
    const violation = hunt(mutation, quick)?.exploration.violation;
    expect(violation?.invariant).toBe(mutation.caughtBy);
    expect(violation?.trace.length).toBeGreaterThan(3);
  });
});

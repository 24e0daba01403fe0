import { CONFIGURATIONS, setupOf, WIDE } from './configurations.ts';
import { explore, type Violation } from './explore.ts';
import { MEANING, NOT_MODELLED } from './invariants.ts';
import { hunt, MUTATIONS, REDUNDANT } from './mutations.ts';
import { RESIDUALS } from './residuals.ts';

/**
 * Explores every configuration, then every mutation. Exit code 1 on a violation, on a mutation that
 * survives or is caught by another invariant than expected, and on a residual that is none any more.
 * `--wide` explores one more configuration (over a minute, 2 GB); `--traces` prints the way to what each mutation and residual breaks.
 */

const wide = process.argv.includes('--wide');
const withTraces = process.argv.includes('--traces');
let failed = false;

function say(...columns: (string | number)[]): void {
  process.stdout.write(`${columns.join('  ')}\n`);
}

function tell({ invariant, trace }: Violation): void {
  say(`  ${invariant}: ${MEANING[invariant]}`);
  for (const line of trace) say(`    ${line}`);
}

let total = 0;
say('configuration'.padEnd(40), '   states', 'transitions', 'seconds', 'violation');
for (const configuration of wide ? [...CONFIGURATIONS, WIDE] : CONFIGURATIONS) {
  const { states, transitions, seconds, violation } = explore(setupOf(configuration));
  total += states;
  const figures = [String(states).padStart(9), String(transitions).padStart(11)];
  say(
    configuration.name.padEnd(40),
    ...figures,
    seconds.toFixed(1).padStart(7),
    violation?.invariant ?? 'none',
  );
  if (violation) {
    failed = true;
    tell(violation);
  }
}
say(`${total} states in all`, '\n');

say('mutation'.padEnd(50), 'caught by', '  states', 'in');
for (const mutation of MUTATIONS) {
  const caught = hunt(mutation, CONFIGURATIONS);
  const violation = caught?.exploration.violation;
  const as = violation?.invariant ?? 'SURVIVES';
  const states = String(caught?.exploration.states ?? '').padStart(8);
  say(mutation.name.padEnd(50), as.padEnd(9), states, caught?.configuration.name ?? '');
  if (violation && (withTraces || as !== mutation.caughtBy)) tell(violation);
  if (as !== mutation.caughtBy) {
    failed = true;
    say(`  expected ${mutation.caughtBy}`);
  }
}

say('\nrules that nothing here needs');
for (const { mutation, because } of REDUNDANT) {
  const small = CONFIGURATIONS.filter(({ bounds }) => bounds.faults + bounds.failovers < 2);
  const caught = hunt(mutation, small)?.exploration.violation;
  say(`  ${mutation.name}: ${caught ? `is needed after all: ${caught.invariant}` : because}`);
  if (caught) {
    failed = true;
    tell(caught);
  }
}

say('\nresiduals: what the design accepts, shown to be real');
for (const { name, setup } of RESIDUALS) {
  const { states, violation } = explore(setup);
  say(`  ${name}: ${violation ? `breaks ${violation.invariant}` : 'NOT FOUND'} (${states} states)`);
  if (violation && withTraces) tell(violation);
  if (!violation) failed = true;
}

say('\nchecked');
for (const [invariant, meaning] of Object.entries(MEANING)) say(`  ${invariant}: ${meaning}`);
say('not modelled');
for (const line of NOT_MODELLED) say(`  ${line}`);
process.exitCode = failed ? 1 : 0;

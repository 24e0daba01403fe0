import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { surroundings, tablesOf, writeDocuments } from './report.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';
import { runTrial, type Result } from './trial.ts';

/**
 * Failovers of a real Redis, its restart and the death of a replica, under a push every 20 ms, deliveries,
 * refreshes and reads. Exit code 1 when a promise is broken. Arguments are scenarios, or `sentinel`, `cluster`
 * and `single` for all of a shape; none are all.
 * `--json FILE` writes the figures, `--markdown` the tables of docs/proof.md in both languages.
 */

const { values: options, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'string' }, markdown: { type: 'boolean', default: false } },
});

function chosen(): readonly Scenario[] {
  const matches = (word: string) =>
    SCENARIOS.filter(({ name, shape }) => name === word || shape === word);
  const unknown = wanted.find((word) => matches(word).length === 0);
  if (unknown !== undefined) {
    const names = SCENARIOS.map(({ name }) => name).join(', ');
    throw new Error(`no such scenario: ${unknown}. There are sentinel, cluster, single, ${names}`);
  }
  return wanted.length === 0 ? SCENARIOS : [...new Set(wanted.flatMap(matches))];
}

const results: Result[] = [];
for (const scenario of chosen()) {
  const begun = performance.now();
  const result = await runTrial(scenario).catch((error: unknown) => {
    process.stdout.write(`${scenario.name} did not come to its end: ${String(error)}\n`);
  });
  if (result === undefined) {
    process.exitCode = 1;
    continue;
  }
  results.push(result);
  const seconds = ((performance.now() - begun) / 1000).toFixed(0);
  const verdict = result.broken.length === 0 ? 'every promise kept' : 'BROKEN';
  process.stdout.write(`${scenario.name}, ${seconds} s: ${verdict}\n`);
  for (const line of result.broken) process.stdout.write(`  ${line}\n`);
  if (result.broken.length === 0) continue;
  process.stdout.write(`  the test itself was behind by ${result.late.toFixed(1)} s at the most\n`);
  for (const [text, count] of Object.entries(result.complaints)) {
    process.stdout.write(`    ${count} x ${text}\n`);
  }
}
const around = await surroundings();
process.stdout.write(`\n${tablesOf(results)}\n`);
if (options.json !== undefined) {
  await writeFile(options.json, `${JSON.stringify({ around, results }, null, 2)}\n`);
}
if (options.markdown) writeDocuments(results, around);
if (results.some(({ broken }) => broken.length > 0)) process.exitCode = 1;

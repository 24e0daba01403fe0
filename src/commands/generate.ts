import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { TARGETS } from './generate/files.ts';

/** Writes the files that are made from the list of settings, or checks that they are up to date. */

/** sysexits.h: the command was used wrongly. */
const EX_USAGE = 64;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Resolves with whether all files are as they should be.
 * @throws Error when a README has no place for its table
 */
async function run(flags: { check: boolean; onlyEnv: boolean }): Promise<boolean> {
  let allGood = true;
  for (const { path, make } of flags.onlyEnv ? TARGETS.slice(0, 1) : TARGETS) {
    const file = join(ROOT, path);
    const current = await readFile(file, 'utf8').catch(() => undefined);
    const wanted = make(current);
    if (current === wanted) {
      console.log(`${path} is up to date`);
    } else if (flags.check) {
      allGood = false;
      console.error(`${path} is stale: run npm run generate`);
    } else {
      await writeFile(file, wanted);
      console.log(`${path} written`);
    }
  }
  return allGood;
}

async function main(): Promise<void> {
  let flags;
  try {
    const options = {
      check: { type: 'boolean', default: false },
      'only-env': { type: 'boolean', default: false },
    } as const;
    const { values } = parseArgs({ options, strict: true, allowPositionals: false });
    flags = { check: values.check, onlyEnv: values['only-env'] };
  } catch (error) {
    console.error(`${(error as Error).message}\nFlags: --check, --only-env`);
    process.exitCode = EX_USAGE;
    return;
  }
  try {
    if (!(await run(flags))) process.exitCode = 1;
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}

await main();

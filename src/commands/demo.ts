import { constants } from 'node:os';
import { asTyped } from '../lib/command-line.ts';
import { HELP, readWishes, UsageError, type Wishes } from '../sandbox/demo/flags.ts';
import { runDemo } from '../sandbox/demo/run.ts';
import { createScreen } from '../sandbox/demo/screen.ts';
import { NoRedisError } from '../sandbox/demo/stage.ts';

/** The whole main job on one screen: `npm run demo`. */

/** sysexits.h: the command was used wrongly; something it needs is not there. */
const EX_USAGE = 64;
const EX_UNAVAILABLE = 69;
const REPEATED_WITHIN_MS = 1_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

async function main(): Promise<number> {
  const wishes = wishesOrExit();
  const interruption = listenForEnd();
  try {
    const screen = createScreen(process.stdout, process.env);
    const outcome = await runDemo(wishes, screen, process.env, interruption.signal);
    switch (outcome) {
      case 'passed':
        return 0;
      case 'failed':
        return 1;
      case 'interrupted':
        // Without an end of its own, being stopped is how the demo ends; otherwise it was cut short.
        return wishes.seconds === undefined ? 0 : interruption.exitCode();
    }
  } catch (error) {
    if (interruption.signal.aborted) return interruption.exitCode();
    console.error(`\n${error instanceof Error ? error.message : String(error)}`);
    if (error instanceof UsageError) return EX_USAGE;
    return error instanceof NoRedisError ? EX_UNAVAILABLE : 1;
  }
}

function wishesOrExit(): Wishes {
  try {
    const wishes = readWishes(process.argv.slice(2));
    if (wishes !== 'help') return wishes;
    console.log(asTyped(HELP));
    process.exit(0);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(asTyped(`${error.message}\nnpm run demo -- --help explains the flags.`));
    process.exit(EX_USAGE);
  }
}

/**
 * The first signal asks for an orderly end; another one, when the person has become impatient, ends
 * it at once, and the guards tidy up. npm repeats the terminal's Ctrl-C within moments, which does
 * not count.
 */
function listenForEnd(): { signal: AbortSignal; exitCode: () => number } {
  const controller = new AbortController();
  let code = 1;
  let firstAt = 0;
  for (const name of SIGNALS) {
    process.on(name, () => {
      if (firstAt !== 0 && performance.now() - firstAt > REPEATED_WITHIN_MS) process.exit(code);
      if (firstAt !== 0) return;
      firstAt = performance.now();
      code = 128 + constants.signals[name];
      controller.abort();
    });
  }
  // Whoever was reading has gone, as with `| head`.
  process.stdout.on('error', () => {
    code = 128 + constants.signals.SIGPIPE;
    controller.abort();
  });
  return { signal: controller.signal, exitCode: () => code };
}

const code = await main();
// What is written has to arrive first. Not left to Node's own end: nothing must keep it waiting.
process.stdout.write('', () => process.exit(code));

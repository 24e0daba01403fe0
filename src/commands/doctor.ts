import { HELP as RELEASE_CHECK_HELP, releaseCheck } from './doctor/release-check.ts';
import { UsageError } from './doctor/usage.ts';

/** Examines a wxkeeper that runs, from outside. Each examination is a file in `doctor/`. */

/** sysexits.h: the command was used wrongly. */
const EX_USAGE = 64;

interface Examination {
  summary: string;
  help: string;
  /** @returns whether all is well @throws UsageError, ConfigError */
  run(args: readonly string[]): Promise<boolean>;
}

const EXAMINATIONS: Readonly<Record<string, Examination>> = {
  'release-check': {
    summary: "plays WeChat's check before a release (全网发布检测)",
    help: RELEASE_CHECK_HELP,
    run: releaseCheck,
  },
};

function helpText(): string {
  const lines = Object.entries(EXAMINATIONS).map(
    ([name, { summary }]) => `  ${name.padEnd(16)}${summary}`,
  );
  return `Examines a wxkeeper that runs, with the settings it runs with.

  npm run doctor -- NAME [flags]

${lines.join('\n')}

npm run doctor -- NAME --help explains one. Exit code 0: all is well; 1: it is not; 64: used wrongly.`;
}

async function main([name = '', ...args]: readonly string[]): Promise<number> {
  if (name === '--help') {
    console.log(helpText());
    return 0;
  }
  const examination = Object.hasOwn(EXAMINATIONS, name) ? EXAMINATIONS[name] : undefined;
  if (examination === undefined) {
    console.error(name === '' ? helpText() : `There is no "${name}" here.\n\n${helpText()}`);
    return EX_USAGE;
  }
  if (args.includes('--help')) {
    console.log(examination.help);
    return 0;
  }
  try {
    return (await examination.run(args)) ? 0 : 1;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    console.error(error.message);
    if (!(error instanceof UsageError)) return 1;
    console.error(`npm run doctor -- ${name} --help explains the flags.`);
    return EX_USAGE;
  }
}

process.exitCode = await main(process.argv.slice(2));

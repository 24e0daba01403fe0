import { ConfigError } from '../../config/faults.ts';
import { asTyped } from '../../lib/command-line.ts';
import { loadConfig } from '../../config/load.ts';
import { examine, isWell } from './examine.ts';
import { readFlags, readLanguage } from './flags.ts';
import { connectTo, close, type Installation } from './installation.ts';
import { HELP as QUOTA_HELP, quota, readQuotaFlags } from './quota.ts';
import { HELP as RELEASE_CHECK_HELP, releaseCheck } from './release-check.ts';
import { jsonReport, printed, textReport } from './report.ts';
import { faultChecks } from './settings.ts';
import { HELP as TRACE_HELP, readTraceFlags, trace } from './trace.ts';
import { UsageError } from './usage.ts';

/** Examines an installation, with the settings it runs with. Each examination is a file in `doctor/`. */

/** sysexits.h: the command was used wrongly; the settings are wrong. */
const EX_USAGE = 64;
const EX_CONFIG = 78;

type Environment = Readonly<Record<string, string | undefined>>;

interface Examination {
  summary: string;
  help: string;
  /** @returns whether all is well @throws UsageError, ConfigError */
  run(args: readonly string[], env: Environment): Promise<boolean>;
}

const EXAMINATIONS: Readonly<Record<string, Examination>> = {
  trace: {
    summary: 'explains the request behind a rid',
    help: TRACE_HELP,
    run: (args, env) => tell(env, readTraceFlags(args), trace),
  },
  quota: {
    summary: "shows how much of WeChat's daily quotas is used, and clears them",
    help: QUOTA_HELP,
    run: (args, env) => tell(env, readQuotaFlags(args), quota),
  },
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
  return `Examines an installation, with the settings it runs with: one line for each thing, and what to do.

  npm run doctor -- [--json] [--lang zh]

  --json      one JSON document
  --lang zh   in Chinese

It changes nothing, at WeChat or in Redis. Some things have an examination of their own:

  npm run doctor -- NAME [flags]

${lines.join('\n')}

npm run doctor -- NAME --help explains one. Exit code 0: all is well, perhaps with warnings; 1: it is not;
64: used wrongly; 78: the settings are wrong.`;
}

/** @returns whether nothing failed @throws UsageError */
async function examineAll(args: readonly string[], env: Environment): Promise<number> {
  const options = { json: { type: 'boolean' }, lang: { type: 'string' } } as const;
  const { values } = readFlags(args, options);
  const language = readLanguage(values.lang);
  const report = values.json === true ? jsonReport : textReport;
  let config;
  try {
    config = loadConfig(env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.log(asTyped(report(faultChecks(error), language, [])));
    return EX_CONFIG;
  }
  const installation = await connectTo(config, { env });
  try {
    const checks = await examine(installation);
    console.log(asTyped(report(checks, language, installation.secrets)));
    return isWell(checks) ? 0 : 1;
  } finally {
    close(installation);
  }
}

/** Runs one examination of the settings' installation and prints what it says. */
async function tell<Flags>(
  env: Environment,
  flags: Flags,
  look: (installation: Installation, flags: Flags) => Promise<{ lines: string[]; well: boolean }>,
): Promise<boolean> {
  const installation = await connectTo(loadConfig(env), { env });
  try {
    const { redisProblem } = installation;
    if (redisProblem !== undefined) throw new Error(`Redis cannot be reached (${redisProblem}).`);
    const { lines, well } = await look(installation, flags);
    console.log(asTyped(printed(lines, installation.secrets)));
    return well;
  } finally {
    close(installation);
  }
}

/**
 * The whole command.
 * @returns the exit code
 */
export async function runDoctor(
  [name = '', ...args]: readonly string[],
  env: Environment = process.env,
): Promise<number> {
  if (['--help', '-h', 'help'].includes(name)) {
    console.log(asTyped(helpText()));
    return 0;
  }
  const all = name === '' || name.startsWith('-');
  const examination = Object.hasOwn(EXAMINATIONS, name) ? EXAMINATIONS[name] : undefined;
  if (examination === undefined && !all) {
    console.error(asTyped(`There is no "${name}" here.\n\n${helpText()}`));
    return EX_USAGE;
  }
  if (args.includes('--help') || args.includes('-h')) {
    console.log(asTyped(examination?.help ?? helpText()));
    return 0;
  }
  try {
    if (examination === undefined)
      return await examineAll(name === '' ? args : [name, ...args], env);
    return (await examination.run(args, env)) ? 0 : 1;
  } catch (error) {
    return explainFailure(error, examination === undefined ? '' : `${name} `);
  }
}

function explainFailure(error: unknown, name: string): number {
  if (!(error instanceof Error)) throw error;
  console.error(asTyped(error.message));
  if (error instanceof ConfigError) return EX_CONFIG;
  if (!(error instanceof UsageError)) return 1;
  console.error(asTyped(`npm run doctor -- ${name}--help explains the flags.`));
  return EX_USAGE;
}

#!/usr/bin/env node
import { startedAsProgram } from '../lib/command-line.ts';
import { VERSION } from '../lib/version.ts';

/** The program of the package, and what the container runs: each command is a file beside this one. */

// As in main.ts: Node would open its debugger on this signal.
process.on('SIGUSR1', () => undefined);

/** sysexits.h: the program was used wrongly; the settings cannot be read. */
const EX_USAGE = 64;
const EX_CONFIG = 78;

interface Command {
  summary: string;
  /** Whether the settings in `.env` of this folder are its own. */
  readsEnvFile?: true;
  run(): Promise<unknown>;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  start: { summary: 'the service', readsEnvFile: true, run: start },
  demo: { summary: 'the whole job on one screen', run: () => import('./demo.ts') },
  doctor: {
    summary: 'examines an installation, with the settings it runs with',
    readsEnvFile: true,
    run: () => import('./doctor.ts'),
  },
  keys: { summary: 'makes an API key', run: () => import('./keys.ts') },
  simulator: { summary: 'a pretended WeChat', run: () => import('./simulator.ts') },
};

const LINES = Object.entries(COMMANDS).map(
  ([name, { summary }]) => `  ${name.padEnd(11)}${summary}`,
);
const HELP = `Callback service and central token server for WeChat third-party platforms.

  wxkeeper COMMAND [flags]

${LINES.join('\n')}

  --help     print this; after a command, what it takes
  --version  print the version

start and doctor read the settings from the environment, and from a file .env in this folder if there is
one. Exit codes: 64 used wrongly, 78 the settings are wrong.`;

const START_HELP = `Runs the service until SIGTERM or SIGINT.

  wxkeeper start

It takes no flags: all settings come from the environment, from a file .env in this folder if there is one,
and from the files that settings name. wxkeeper doctor examines them. SIGHUP reads the API keys again.`;

/** In this process, so that signals reach the service itself. */
async function start(): Promise<void> {
  const [flag] = process.argv.slice(2);
  if (flag === '--help' || flag === '-h') {
    console.log(START_HELP);
    return;
  }
  if (flag !== undefined) {
    refuse(`wxkeeper start takes no flags, such as "${flag}".`);
    return;
  }
  // The bundle beside this folder: what makes the service is no part of the commands.
  await import(new URL('../main.js', import.meta.url).href);
}

function refuse(message: string): void {
  console.error(`${message}\nwxkeeper --help explains the commands.`);
  process.exitCode = EX_USAGE;
}

/** As node's own --env-file-if-exists: what the environment has stands. @returns whether it could be read */
function readEnvFile(): boolean {
  try {
    process.loadEnvFile('.env');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return true;
    console.error(`wxkeeper: .env cannot be read: ${message}`);
    process.exitCode = EX_CONFIG;
    return false;
  }
  return true;
}

async function main(): Promise<void> {
  const [name] = process.argv.splice(2, 1);
  const command = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command !== undefined) {
    startedAsProgram();
    if (command.readsEnvFile !== true || readEnvFile()) await command.run();
  } else if (name === '--version' || name === '-v') console.log(VERSION);
  else if (name === '--help' || name === '-h' || name === 'help') console.log(HELP);
  else refuse(name === undefined ? HELP : `There is no command "${name}".`);
}

await main();

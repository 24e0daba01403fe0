import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { vi } from 'vitest';
import type { LogLine } from './logs.ts';
import { POLLING } from './waiting.ts';

const ROOT = join(import.meta.dirname, '../..');

let built: boolean | undefined;

/**
 * The arguments with which node runs a file of src/, named without its ending: what was built from
 * it, as a user has it and starts in a third of the time, or the source when that is newer.
 */
export function nodeArguments(name: string): string[] {
  built ??= isBuilt();
  return built
    ? [join(ROOT, 'dist', `${name}.js`)]
    : ['--import', 'tsx', join(ROOT, 'src', `${name}.ts`)];
}

function isBuilt(): boolean {
  const main = statSync(join(ROOT, 'dist/main.js'), { throwIfNoEntry: false });
  if (main === undefined) return false;
  return readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).every(
    (file) => statSync(join(ROOT, 'src', file)).mtimeMs <= main.mtimeMs,
  );
}

/** The service as an operator starts it. */
export interface Service {
  child: ChildProcess;
  stderr(): string;
  output(): string;
  /** The first log line with this message, once it is there. */
  line(message: string): Promise<LogLine>;
  exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

const services: Service[] = [];

/** @param preload a module that the process runs first, as JavaScript */
export function startService(env: Record<string, string>, preload?: string): Service {
  const first = preload === undefined ? [] : ['--import', `data:text/javascript,${preload}`];
  const child = spawn(process.execPath, [...first, ...nodeArguments('main')], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk: string) => (text[name] += chunk));
  }
  const lines = () =>
    text.stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as LogLine);
  const service: Service = {
    child,
    stderr: () => text.stderr,
    output: () => text.stdout + text.stderr,
    line: (message) =>
      vi.waitFor(() => {
        const found = lines().find((line) => line.message === message);
        if (found === undefined) throw new Error(`no "${message}" in ${text.stdout}${text.stderr}`);
        return found;
      }, POLLING),
    // `close`, not `exit`: the last lines may still be in the pipe.
    exit: once(child, 'close').then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
    })),
  };
  services.push(service);
  return service;
}

/** Ends those that are still there; for `afterEach`. */
export async function killServices(): Promise<void> {
  for (const { child, exit } of services.splice(0)) {
    child.kill('SIGKILL');
    await exit;
  }
}

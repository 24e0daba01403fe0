import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, platform } from 'node:os';

/**
 * Which core a process runs on, and what it has used. The server that is measured has the first core to
 * itself; Redis, the load and the bench share the second one, or they would be measured as well.
 */
const SERVER_CORE = '0';
const LOAD_CORE = '1';
/** Of the times in /proc; the kernel shows them in this unit whatever its own clock is. */
const TICKS_PER_SECOND = 100;

export const hasCores =
  platform() === 'linux' && availableParallelism() >= 2 && answers('taskset', ['--version']);

/** What to type for a command that is to run on the core of the server. */
export function onServerCore(command: readonly string[]): string[] {
  return hasCores ? ['taskset', '-c', SERVER_CORE, ...command] : [...command];
}

/** From now on this process and all that it starts are on the core of the load. */
export function moveToLoadCore(): void {
  if (!hasCores) return;
  execFileSync('taskset', ['-a', '-c', '-p', LOAD_CORE, String(process.pid)], { stdio: 'ignore' });
}

export function leaveLoadCore(): void {
  if (!hasCores) return;
  const all = `${SERVER_CORE}-${availableParallelism() - 1}`;
  const cores = all === '0-0' ? `${SERVER_CORE},${LOAD_CORE}` : all;
  execFileSync('taskset', ['-a', '-c', '-p', cores, String(process.pid)], { stdio: 'ignore' });
}

/** Seconds of CPU that a process has used, with all of its threads; NaN where /proc is not to be had. */
export function cpuSeconds(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  // The name of the command comes second, in brackets, and may have blanks in it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Megabytes in memory. */
export function residentMb(pid: number): number {
  const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(read(`/proc/${pid}/status`)) ?? [];
  return kilobytes === undefined ? NaN : (Number(kilobytes) * 1024) / 1e6;
}

export function answers(command: string, words: readonly string[]): boolean {
  try {
    execFileSync(command, words, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/**
 * The service as in production: `node dist/main.js` in a process of its own, told everything by its
 * environment.
 */
export interface Service {
  pid: number;
  publicUrl: string;
  internalUrl: string;
  /** Every line it has logged, counted. */
  log: ServiceLog;
  /** Resolves when the process is gone, however that came. */
  exited: Promise<Exit>;
  /** SIGTERM, and SIGKILL when that does not end it in time. */
  stop(): Promise<Exit>;
}

export interface ServiceLog {
  errors: number;
  warnings: number;
  /** What the last line of level warn or error said. */
  lastComplaint: string | undefined;
  /** The last lines, redacted by the service itself. */
  tail: string[];
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

type Child = ChildProcessByStdio<null, Readable, Readable>;

const MAIN = fileURLToPath(new URL('../../main.js', import.meta.url));
const START_TIMEOUT_MS = 30_000;
/** Longer than the service gives itself to bring a refresh under way to its end. */
const STOP_TIMEOUT_MS = 12_000;
const TAIL_LINES = 12;
/** How the service says that it listens; `public_port` and `internal_port` say where. */
const STARTED = 'wxkeeper started';

/**
 * Resolves when the service is ready for traffic.
 * @param logFile where its log goes
 * @param onSpawn told the process id before anything else happens
 * @throws Error with its last words when it ends instead, or is not ready in time
 */
export async function startService(
  env: Readonly<Record<string, string>>,
  logFile: string,
  onSpawn: (pid: number | undefined) => void,
): Promise<Service> {
  const child = spawn(process.execPath, [MAIN], {
    // Nothing of ours: a CONFIG_FILE or NODE_OPTIONS of this shell is not meant for the demo.
    env,
    // Out of the terminal's process group: Ctrl-C reaches us only, and we stop things in order.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onSpawn(child.pid);
  const exited = new Promise<Exit>((resolve) => {
    // `close` and not `exit`: its last words have been read by then.
    child.once('close', (code, signal) => resolve({ code, signal }));
    child.once('error', () => resolve({ code: null, signal: null }));
  });
  void exited.then(() => onSpawn(undefined));
  const log: ServiceLog = { errors: 0, warnings: 0, lastComplaint: undefined, tail: [] };
  const started = readLog(child, log, logFile);
  const stop = () => stopChild(child, exited);

  const timeout = sleep(START_TIMEOUT_MS, undefined, { ref: false });
  const ports = await Promise.race([started, exited, timeout]);
  if (ports === undefined || !('publicPort' in ports)) {
    const exit = ports ?? (await stop());
    const why = ports === undefined ? `was not ready after ${START_TIMEOUT_MS / 1000} s` : 'ended';
    throw new Error(`The service ${why} (${describeExit(exit)}). ${lastWords(log)}`);
  }
  return {
    pid: child.pid ?? 0,
    publicUrl: `http://127.0.0.1:${ports.publicPort}`,
    internalUrl: `http://127.0.0.1:${ports.internalPort}`,
    log,
    exited,
    stop,
  };
}

export function describeExit({ code, signal }: Exit): string {
  return signal === null ? `exit code ${code ?? 'unknown'}` : `by ${signal}`;
}

export function lastWords({ tail }: ServiceLog): string {
  if (tail.length === 0) return 'It logged nothing.';
  return `Its last log lines:\n${tail.map((line) => `  ${line}`).join('\n')}`;
}

/** Counts and keeps what the service says; resolves with its ports once it tells them. */
function readLog(
  child: Child,
  log: ServiceLog,
  logFile: string,
): Promise<{ publicPort: number; internalPort: number }> {
  const copy = createWriteStream(logFile, { mode: 0o600 });
  // A full disk must not end the demo; the log is still counted.
  copy.on('error', () => undefined);
  child.once('close', () => copy.end());
  return new Promise((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (text) => {
        copy.write(`${text}\n`);
        log.tail = [...log.tail, text].slice(-TAIL_LINES);
        const line = parseLine(text);
        if (line.level === 'error') log.errors += 1;
        if (line.level === 'warn') log.warnings += 1;
        if (line.level === 'error' || line.level === 'warn') log.lastComplaint = line.message;
        const { public_port: publicPort, internal_port: internalPort } = line;
        if (line.message === STARTED && publicPort !== undefined && internalPort !== undefined) {
          resolve({ publicPort, internalPort });
        }
      });
    }
  });
}

interface LogLine {
  level?: string;
  message?: string;
  public_port?: number;
  internal_port?: number;
}

/** What is not JSON comes from Node itself, or was said before there was a log. */
function parseLine(text: string): LogLine {
  try {
    const line: unknown = JSON.parse(text);
    if (typeof line === 'object' && line !== null) return line;
  } catch {
    // Not JSON, as below.
  }
  return { level: 'warn', message: text };
}

async function stopChild(child: Child, exited: Promise<Exit>): Promise<Exit> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  try {
    return await exited;
  } finally {
    clearTimeout(timer);
  }
}

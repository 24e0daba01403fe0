import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A replica as an operator runs it: what was built, in a process of its own, told by its environment. */
export interface Replica {
  publicUrl: string;
  internalUrl: string;
  /** What it has logged of level warn and error, and how often. */
  complaints: Map<string, number>;
  stop(): Promise<void>;
}

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const START_TIMEOUT_MS = 20_000;
/** Longer than a process gives itself to bring what is under way to its end. */
const STOP_TIMEOUT_MS = 15_000;

interface LogLine {
  level?: string;
  message?: string;
  public_port?: number;
  internal_port?: number;
}

/** @throws Error with its last words when it does not start */
export async function startReplica(env: Readonly<Record<string, string>>): Promise<Replica> {
  const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'close');
  const complaints = new Map<string, number>();
  const ports = await Promise.race([
    readLog(child, complaints),
    exited,
    new Promise<void>((resolve) => setTimeout(resolve, START_TIMEOUT_MS).unref()),
  ]);
  const stop = async () => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  };
  if (ports === undefined || Array.isArray(ports)) {
    await stop();
    throw new Error(`a replica did not start: ${[...complaints.keys()].join('; ')}`);
  }
  return {
    publicUrl: `http://127.0.0.1:${ports.public_port}`,
    internalUrl: `http://127.0.0.1:${ports.internal_port}`,
    complaints,
    stop,
  };
}

/** Resolves with the line that says where it listens, and goes on counting. */
function readLog(
  { stdout, stderr }: ChildProcess,
  complaints: Map<string, number>,
): Promise<LogLine> {
  return new Promise((resolve) => {
    for (const input of [stdout, stderr]) {
      if (input === null) continue;
      createInterface({ input }).on('line', (text) => {
        const line = parseLine(text);
        if (line.message === 'wxkeeper started') resolve(line);
        if (line.level !== 'warn' && line.level !== 'error') return;
        const complaint = `${line.level}: ${line.message ?? ''}`;
        complaints.set(complaint, (complaints.get(complaint) ?? 0) + 1);
      });
    }
  });
}

/** What is no JSON was said by Node itself, or before there was a log. */
function parseLine(text: string): LogLine {
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    return { level: 'error', message: text };
  }
}

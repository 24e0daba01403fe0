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
  isUp(): boolean;
  /** Epoch ms at which it was killed, and at which that was known; undefined when it never was. */
  death: { from: number; until: number } | undefined;
  /** SIGKILL. Resolves when the process is gone. */
  kill(): Promise<void>;
  /** After a kill: anew, on other ports. */
  start(): Promise<void>;
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
  const complaints = new Map<string, number>();
  let running = await spawnReplica(env, complaints);
  const replica: Replica = {
    ...running.urls,
    complaints,
    death: undefined,
    isUp: () => running.isUp(),
    async kill() {
      const from = Date.now();
      await running.end('SIGKILL');
      replica.death = { from, until: Date.now() };
    },
    async start() {
      running = await spawnReplica(env, complaints);
      Object.assign(replica, running.urls);
    },
    stop: () => running.end('SIGTERM'),
  };
  return replica;
}

interface Running {
  urls: Pick<Replica, 'publicUrl' | 'internalUrl'>;
  isUp(): boolean;
  end(signal: NodeJS.Signals): Promise<void>;
}

async function spawnReplica(
  env: Readonly<Record<string, string>>,
  complaints: Map<string, number>,
): Promise<Running> {
  const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'close');
  const isUp = () => child.exitCode === null && child.signalCode === null;
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  };
  const ports = await Promise.race([
    readLog(child, complaints),
    exited,
    new Promise<void>((resolve) => setTimeout(resolve, START_TIMEOUT_MS).unref()),
  ]);
  if (ports === undefined || Array.isArray(ports)) {
    await end('SIGTERM');
    throw new Error(`a replica did not start: ${[...complaints.keys()].join('; ')}`);
  }
  const publicUrl = `http://127.0.0.1:${ports.public_port}`;
  const internalUrl = `http://127.0.0.1:${ports.internal_port}`;
  return { urls: { publicUrl, internalUrl }, isUp, end };
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

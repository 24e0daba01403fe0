import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { onServerCore } from './cores.ts';

/** A process of its own, on the core of the server, that accepts connections. */
export interface Running {
  pid: number;
  port: number;
  /** Of its second listener, if it has one. */
  internalPort: number;
  /** Milliseconds from the spawn to the first connection that was accepted. */
  startedInMs: number;
  stop(): Promise<void>;
}

const ACCEPTS_WITHIN_MS = 30_000;
const ENDS_WITHIN_MS = 20_000;
const LAST_WORDS = 4_000;
/** None of them may outlive the bench, whatever ends it. */
const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/**
 * @param words of the command after `node`
 * @param portNames the variables in which it is told where to listen
 * @param core whose it shares: that of the servers that are measured, or that of the load
 * @throws Error with its last words when it does not accept connections
 */
export async function launch(
  words: readonly string[],
  env: Readonly<Record<string, string>>,
  portNames: readonly [string, string?] = ['PORT'],
  core: 'server' | 'load' = 'server',
): Promise<Running> {
  const [port, internalPort] = [await freePort(), await freePort()];
  const [portName, internalName] = portNames;
  const all = [process.execPath, ...words];
  // The core of the load is the one that a child has by itself.
  const [command = '', ...rest] = core === 'server' ? onServerCore(all) : all;
  const begun = performance.now();
  const child = spawn(command, rest, {
    env: {
      PATH: process.env['PATH'],
      ...env,
      [portName]: String(port),
      ...(internalName && { [internalName]: String(internalPort) }),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // Read to the end: an unread pipe would fill up and hold the process.
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-LAST_WORDS);
    });
  }
  const isOver = () => child.exitCode !== null || child.signalCode !== null;
  children.add(child);
  const ended = once(child, 'exit').finally(() => children.delete(child));
  const stop = async () => {
    if (isOver()) return;
    child.kill('SIGTERM');
    await Promise.race([ended, sleep(ENDS_WITHIN_MS)]);
    if (!isOver() && child.kill('SIGKILL')) await ended;
  };
  const untilItAccepts = async (which: number) => {
    while (!(await accepts(which))) {
      if (isOver() || performance.now() - begun > ACCEPTS_WITHIN_MS) {
        await stop();
        throw new Error(lastLine(said) ?? 'it does not accept connections');
      }
      await sleep(2);
    }
  };
  await untilItAccepts(port);
  const startedInMs = performance.now() - begun;
  // It opens a moment later, and is what reads are measured on.
  if (internalName !== undefined) await untilItAccepts(internalPort);
  return { pid: child.pid ?? 0, port, internalPort, startedInMs, stop };
}

async function accepts(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const settle = (accepted: boolean) => {
      socket.destroy();
      resolve(accepted);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}

/** The line that names an error, if there is one: what follows it says where, which nobody needs here. */
function lastLine(said: string): string | undefined {
  const lines = said.split('\n').filter((line) => line.trim() !== '');
  return lines.find((line) => /^\w*Error\b/.test(line)) ?? lines.at(-1);
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}

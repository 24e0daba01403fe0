import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, Socket, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { cliCommand, findOnPath, findRedis, type RedisBinary } from './binary.ts';
import { startGuard, type Guard } from './guard.ts';

export { findRedis, type RedisBinary } from './binary.ts';

/**
 * A private Redis for the demo and the tests, never for production: nobody else reaches it, and it
 * goes when its launcher goes, however that happens.
 */
export interface RedisServer {
  /** For REDIS_URL: redis://127.0.0.1:PORT or the socket's path. */
  url: string;
  port: number | undefined;
  socketPath: string | undefined;
  /** Start of a redis-cli command line, ready to paste. */
  cli: string;
  /** Of the server running now, or else of the last one. */
  pid(): number;
  /** Resolves when the process is gone. Default: SIGKILL. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** After a kill: again on the same data and the same address. */
  start(): Promise<void>;
  /** Ends it for good and removes what was made for it, but not a `dir` that was given. */
  stop(): Promise<void>;
}

export interface RedisServerOptions {
  /** Default: socket, which no other user of the machine can reach. */
  listen?: 'socket' | 'port';
  /** Data folder, created if need be and kept. Default: a temporary one. */
  dir?: string;
  /** Default: false, data last as long as the process. */
  appendOnly?: boolean;
  /** More arguments for redis-server; the last one wins. */
  args?: string[];
  /** Of a configuration file, which Redis may write anew. Arguments stand above it, at each start. */
  config?: string;
  /** Default: the one that `findRedis` finds. */
  binary?: RedisBinary;
  say?: ((line: string) => void) | undefined;
}

const READY_TIMEOUT_MS = 30_000;
const EXIT_TIMEOUT_MS = 5_000;
const PING_TIMEOUT_MS = 1_000;
const START_ATTEMPTS = 3;
/** sun_path holds 104 bytes on macOS and 108 on Linux, the closing zero included. */
const MAX_SOCKET_PATH = 103;
const HOME_PREFIX = 'wxkeeper-redis-';
const PID_FILE = 'redis.pid';
const CONFIG_FILE = 'redis.conf';
/** How many of Redis's last lines an error quotes. */
const LOG_LINES = 12;

interface Launch {
  binary: RedisBinary;
  options: RedisServerOptions;
  /** Temporary, mode 0700: the socket, and the data unless a folder was given. */
  home: string;
  dir: string;
  port: number | undefined;
  socketPath: string | undefined;
  guard: Guard;
  child: ChildProcess | undefined;
  pid: number;
  log: string[];
  isStopped: boolean;
}

const run = promisify(execFile);

/** @throws Error when no Redis is found, or with Redis's last words when it does not come up */
export async function startRedisServer(options: RedisServerOptions = {}): Promise<RedisServer> {
  const binary = options.binary ?? (await findRedis({ say: options.say }));
  if (options.dir !== undefined) await claimFolder(options.dir);
  const home = await mkdtemp(join(temporaryFolder(), HOME_PREFIX));
  const launch: Launch = {
    binary,
    options,
    home,
    dir: resolve(options.dir ?? home),
    port: undefined,
    socketPath: options.listen === 'port' ? undefined : join(home, 's'),
    guard: startGuard(home),
    child: undefined,
    pid: 0,
    log: [],
    isStopped: false,
  };
  try {
    if (options.config !== undefined) await writeFile(join(home, CONFIG_FILE), options.config);
    await start(launch);
  } catch (error) {
    await stop(launch);
    throw error;
  }
  const { port, socketPath } = launch;
  return {
    url: socketPath ?? `redis://127.0.0.1:${port ?? 0}`,
    port,
    socketPath,
    cli: await cliCommand(binary, socketPath ?? port ?? 0),
    pid: () => launch.pid,
    kill: (signal = 'SIGKILL') => kill(launch, signal),
    start: () => start(launch),
    stop: () => stop(launch),
  };
}

async function start(launch: Launch): Promise<void> {
  if (launch.child) throw new Error('this Redis is running already');
  if (launch.isStopped) throw new Error('this Redis was stopped for good');
  const choosesPort = launch.socketPath === undefined && launch.port === undefined;
  for (let attempt = 1; ; attempt += 1) {
    if (choosesPort) launch.port = await freePort();
    try {
      await spawnRedis(launch);
      await answering(launch);
      return;
    } catch (error) {
      await kill(launch, 'SIGKILL');
      // Between our looking for a free port and Redis's taking it, anybody may have been faster.
      const isTaken = launch.log.some((line) => line.includes('Address already in use'));
      if (!isTaken || attempt === START_ATTEMPTS) throw error;
      await sleep(100);
    }
  }
}

async function spawnRedis(launch: Launch): Promise<void> {
  const { binary, guard } = launch;
  const words = [...(await endingWithParent()), binary.command, ...redisArguments(launch)];
  const child = spawn(words[0] ?? binary.command, words.slice(1), {
    // Out of the terminal's process group: on Ctrl-C the service still needs it while it drains.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...(binary.libraryPath && { LD_LIBRARY_PATH: binary.libraryPath }) },
  });
  launch.child = child;
  launch.pid = child.pid ?? 0;
  launch.log = [];
  guard.watch(child.pid);
  const forget = () => {
    launch.child = undefined;
    guard.watch(undefined);
  };
  child.once('exit', forget);
  child.once('error', (error) => {
    launch.log.push(error.message);
    forget();
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      launch.log = [...launch.log, ...String(chunk).trimEnd().split('\n')].slice(-LOG_LINES);
    });
    // A launcher that forgets to stop us may still end: the guard sees to the rest.
    if (stream instanceof Socket) stream.unref();
  }
  child.unref();
}

function redisArguments({ options, home, dir, port, socketPath }: Launch): string[] {
  const address =
    socketPath === undefined
      ? ['--bind', '127.0.0.1', '--port', String(port)]
      : ['--port', '0', '--unixsocket', socketPath, '--unixsocketperm', '700'];
  const data = ['--dir', dir, '--pidfile', join(dir, PID_FILE), '--save', ''];
  const log = [
    '--appendonly',
    options.appendOnly === true ? 'yes' : 'no',
    '--appendfsync',
    'everysec',
  ];
  const rest = ['--maxmemory-policy', 'noeviction', '--daemonize', 'no', ...(options.args ?? [])];
  const config = options.config === undefined ? [] : [join(home, CONFIG_FILE)];
  return [...config, ...address, ...data, ...log, ...rest];
}

/**
 * A prefix under which the kernel ends the command when our process dies, where there is one.
 * The guard does the same within moments and everywhere; this needs nobody to be alive.
 */
async function endingWithParent(): Promise<string[]> {
  const setpriv = process.platform === 'linux' ? await findOnPath('setpriv') : undefined;
  if (setpriv === undefined) return [];
  const prefix = [setpriv, '--pdeathsig', 'TERM'];
  // Busybox has a setpriv too, without this option.
  return await run(setpriv, [...prefix.slice(1), 'true']).then(
    () => prefix,
    () => [],
  );
}

async function answering(launch: Launch): Promise<void> {
  const { child } = launch;
  const isRunning = () => launch.child !== undefined;
  const giveUpAt = performance.now() + READY_TIMEOUT_MS;
  while (isRunning() && performance.now() < giveUpAt) {
    const answer = await ping(launch);
    // NOAUTH: with a password among the arguments this is as much as we can learn.
    if (isRunning() && /^(\+PONG|-NOAUTH)/.test(answer)) return;
    await sleep(10);
  }
  const outcome = isRunning() ? `no answer after ${READY_TIMEOUT_MS / 1000} s` : 'it ended';
  // Its last words may still be in the pipe.
  if (child && !isRunning()) await Promise.race([once(child, 'close'), sleep(200)]);
  const lines = launch.log.map((line) => `\n  ${line}`).join('');
  throw new Error(`${launch.binary.command} did not start: ${outcome}. Its last lines:${lines}`);
}

/** What the server says to PING, or '' when nobody answers. */
async function ping({ port, socketPath }: Launch): Promise<string> {
  return await new Promise((settle) => {
    const socket = connect(
      socketPath === undefined ? { host: '127.0.0.1', port: port ?? 0 } : { path: socketPath },
    );
    socket.setTimeout(PING_TIMEOUT_MS, () => socket.destroy());
    socket.once('data', (data) => {
      settle(String(data));
      socket.destroy();
    });
    socket.once('error', () => undefined);
    socket.once('close', () => settle(''));
    socket.write('PING\r\n');
  });
}

async function kill(launch: Launch, signal: NodeJS.Signals): Promise<void> {
  const { child } = launch;
  if (!child) return;
  child.kill(signal);
  // Polled, because a timer keeps our process alive and the child alone does not.
  const giveUpAt = performance.now() + EXIT_TIMEOUT_MS;
  while (launch.child === child) {
    if (performance.now() > giveUpAt) throw new Error(`Redis is still there after ${signal}`);
    await sleep(5);
  }
}

async function stop(launch: Launch): Promise<void> {
  launch.isStopped = true;
  await kill(launch, 'SIGTERM').catch(() => kill(launch, 'SIGKILL'));
  await launch.guard.dismiss();
  await rm(launch.home, { recursive: true, force: true });
}

/** Two servers writing one append-only file would ruin it, and Redis itself does not look. */
async function claimFolder(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const written = await readFile(join(dir, PID_FILE), 'utf8').catch(() => '');
  const pid = Number.parseInt(written, 10);
  if (pid > 0 && (await isRedis(pid))) {
    throw new Error(`${dir} is in use by another Redis, process ${pid}: stop that one first`);
  }
}

/** Asked because after a crash the number may have gone to a stranger. */
async function isRedis(pid: number): Promise<boolean> {
  const asked =
    process.platform === 'linux'
      ? readFile(`/proc/${pid}/cmdline`, 'utf8')
      : run('ps', ['-o', 'args=', '-p', String(pid)]).then(({ stdout }) => stdout);
  return /redis|valkey/.test(await asked.catch(() => ''));
}

/** Free at this moment: whoever takes it must be ready to find it taken. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function temporaryFolder(): string {
  const longest = join(tmpdir(), `${HOME_PREFIX}XXXXXX`, 's');
  return Buffer.byteLength(longest) <= MAX_SOCKET_PATH ? tmpdir() : '/tmp';
}

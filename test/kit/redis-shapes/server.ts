import {
  startRedisServer,
  type RedisServer,
  type RedisServerOptions,
} from '../../../src/sandbox/redis/launch.ts';
import { createTcpProxy, type TcpProxy } from '../tcp-proxy.ts';
import { certificateFile, startOnFreePort, tlsArguments } from './certificates.ts';
import type { RedisAccess } from './access.ts';

/** What every shape is made of: private processes on loopback, and what a test may do to them. */
export interface RedisShape extends RedisAccess {
  /** Those that hold data, in the order of their start. */
  servers: ShapeServer[];
  /** Ends every process, paused or not. */
  close(): Promise<void>;
}

export interface ShapeServer {
  /** Straight to it, for somebody who may do everything there. */
  url: string;
  /** By which clients and the other servers know it. */
  port: number;
  /** Between it and everybody else, where the shape was asked for it: cuts it off. */
  network: TcpProxy | undefined;
  pid(): number;
  /** Resolves when the process is gone. Default: SIGKILL. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** After a kill: again on the same data and the same address. */
  start(): Promise<void>;
  /** SIGSTOP: connections stay, nobody answers. */
  pause(): void;
  resume(): void;
}

export interface ShapeOptions {
  /** Default: Redis as `findRedis` finds it. */
  binary?: RedisServerOptions['binary'];
}

export interface TlsShapeOptions extends ShapeOptions {
  /** All of its servers speak TLS only, with the certificate that is good. */
  tls?: boolean;
}

/** The settings for it. */
export function tlsEnv(tls = false): Record<string, string> {
  return tls ? { REDIS_TLS: 'true', REDIS_TLS_CA_FILE: certificateFile() } : {};
}

/** What has been started so far, to be ended in the opposite order. */
export type Undo = (() => Promise<void>)[];

/** Makes a shape whole, or ends what was started of it. */
export async function whole<T>(make: (undo: Undo) => Promise<T>): Promise<T & ClosesAll> {
  const undo: Undo = [];
  const close = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    return { ...(await make(undo)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface ClosesAll {
  close(): Promise<void>;
}

export interface ServerOptions extends RedisServerOptions {
  /** Of the user `default`. */
  password?: string;
  /** Behind a proxy. The arguments to announce its port; none: it stands alone. */
  announce?: ((port: number) => string[]) | undefined;
  /** Speaks TLS only, but for a socket by which the test reaches it. It stands alone. */
  tls?: boolean | undefined;
}

/** One process of a shape, on a port of its own. */
export async function startServer(undo: Undo, options: ServerOptions): Promise<ShapeServer> {
  const { password, announce, tls, ...launch } = options;
  if (tls === true) return startWithTls(undo, launch, password);
  const network = announce && (await createTcpProxy({ port: 0 }));
  if (network) undo.push(() => network.close());
  const announced = network ? announce(network.port) : [];
  const args = [...(launch.args ?? []), ...announced];
  const server = await startRedisServer({ listen: 'port', ...launch, args });
  undo.push(() => stop(server));
  const port = server.port ?? 0;
  network?.retarget({ port });
  const url = password === undefined ? server.url : `redis://:${password}@127.0.0.1:${port}`;
  return { ...handles(server), url, port: network?.port ?? port, network };
}

async function startWithTls(
  undo: Undo,
  launch: RedisServerOptions,
  password: string | undefined,
): Promise<ShapeServer> {
  const { server, port } = await startOnFreePort((tlsPort) =>
    startRedisServer({ ...launch, args: [...(launch.args ?? []), ...tlsArguments(tlsPort)] }),
  );
  undo.push(() => stop(server));
  const url = password === undefined ? server.url : `${server.url}?password=${password}`;
  return { ...handles(server), url, port, network: undefined };
}

/** The faults of a process. */
export function handles(server: RedisServer) {
  return {
    pid: () => server.pid(),
    kill: (signal?: NodeJS.Signals) => server.kill(signal),
    start: () => server.start(),
    pause: () => void process.kill(server.pid(), 'SIGSTOP'),
    resume: () => void process.kill(server.pid(), 'SIGCONT'),
  };
}

/** At once: paused it would not hear of a gentler way, and a master would wait for its replicas. */
export async function stop(server: RedisServer): Promise<void> {
  await server.kill('SIGKILL');
  await server.stop();
}

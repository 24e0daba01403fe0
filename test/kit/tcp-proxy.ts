import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Clock } from '../../src/lib/clock.ts';

/**
 * A faulty network between two processes of this machine: stands in front of Redis or of WeChat's
 * simulator and does to the bytes what a test asks for. A fault holds for all connections, those
 * there are and those to come, until `heal`.
 */
export interface TcpProxy {
  port: number;
  url(scheme: string): string;
  counters(): ProxyCounters;
  /** Takes connections and bytes and passes nothing on, not even that somebody hung up. */
  blackhole(direction?: Direction): void;
  /** Keeps what arrives, in order; past a limit the sender notices, as its buffers fill. */
  pause(direction?: Direction): void;
  /** Lets go of what was kept, even for a sender that has hung up meanwhile. */
  resume(direction?: Direction): void;
  /** Milliseconds of the clock given in the options. Without one it throws. */
  delay(ms: number, direction?: Direction): void;
  /** Lets so many more bytes through, of all connections, and cuts the one that brings the next. */
  cutAfter(bytes: number, direction: Direction): void;
  /** The command is executed; instead of the answer the client finds the connection cut. */
  dropNextReply(): void;
  /** Cuts all connections in an orderly way (FIN). */
  cut(): void;
  /** Cuts all connections as a crash or a firewall does (RST). */
  reset(): void;
  /** New connections fail with ECONNREFUSED; those that are there go on. */
  refuse(): void;
  /** Ends every fault, and cuts connections that lost bytes: no stream survives a hole. */
  heal(): Promise<void>;
  /** For connections from now on. */
  retarget(target: ProxyTarget): void;
  close(): Promise<void>;
}

export type ProxyTarget = { port: number } | { socketPath: string };
export type Direction = 'toServer' | 'toClient';

export interface ProxyCounters {
  /** Ever accepted. */
  connections: number;
  /** Connections of which at least one end is still there. */
  open: number;
  /** Connections cut by cutAfter and dropNextReply. */
  cuts: number;
  /** Bytes passed on. */
  passed: Record<Direction, number>;
  /** Bytes that were taken and that nobody will ever get. */
  lost: Record<Direction, number>;
  /** Bytes kept back for now by pause and delay. */
  held: Record<Direction, number>;
}

interface Faults {
  isBlackhole: boolean;
  isPaused: boolean;
  delayMs: number;
  bytesUntilCut: number;
}

/** One direction of one connection. */
interface Flow {
  direction: Direction;
  from: Socket;
  to: Socket;
  queue: Parcel[];
}

interface Parcel {
  /** Undefined: the sender has hung up. */
  bytes: Buffer | undefined;
  isDue: boolean;
  cancel: () => void;
}

interface Connection {
  client: Socket;
  server: Socket;
  flows: Flow[];
  /** Resolves when both sockets are closed. */
  gone: Promise<unknown>;
  hasHole: boolean;
  isCut: boolean;
}

interface State {
  target: ProxyTarget;
  clock: Pick<Clock, 'setTimer'> | undefined;
  port: number;
  listener: Server;
  faults: Record<Direction, Faults>;
  connections: Set<Connection>;
  counts: Omit<ProxyCounters, 'open' | 'held'>;
}

const DIRECTIONS = ['toServer', 'toClient'] as const;
/** Kept per flow before the proxy stops reading. */
const MAX_HELD_BYTES = 1024 * 1024;
const MAX_CONNECTIONS = 1_000;

export async function createTcpProxy(
  target: ProxyTarget,
  { clock }: { clock?: Pick<Clock, 'setTimer'> } = {},
): Promise<TcpProxy> {
  const state: State = {
    target,
    clock,
    port: 0,
    connections: new Set(),
    listener: createServer({ allowHalfOpen: true }, (client) => accept(state, client)),
    faults: { toServer: noFaults(), toClient: noFaults() },
    counts: {
      connections: 0,
      cuts: 0,
      passed: { toServer: 0, toClient: 0 },
      lost: { toServer: 0, toClient: 0 },
    },
  };
  state.listener.maxConnections = MAX_CONNECTIONS;
  await listen(state);
  const setAll = (direction: Direction | undefined, faults: Partial<Faults>) => {
    for (const one of direction ? [direction] : DIRECTIONS) {
      Object.assign(state.faults[one], faults);
    }
    pumpAll(state);
  };
  return {
    port: state.port,
    url: (scheme) => `${scheme}://127.0.0.1:${state.port}`,
    counters: () => countersOf(state),
    blackhole: (direction) => setAll(direction, { isBlackhole: true }),
    pause: (direction) => setAll(direction, { isPaused: true }),
    resume: (direction) => setAll(direction, { isPaused: false }),
    delay(ms, direction) {
      if (!clock) throw new Error('a delay needs a clock: createTcpProxy(target, { clock })');
      setAll(direction, { delayMs: ms });
    },
    cutAfter: (bytes, direction) => setAll(direction, { bytesUntilCut: bytes }),
    dropNextReply: () => setAll('toClient', { bytesUntilCut: 0 }),
    cut: () => state.connections.forEach(cut),
    reset: () => state.connections.forEach(reset),
    refuse: () => void state.listener.close(),
    heal: () => heal(state),
    retarget: (next) => void (state.target = next),
    async close() {
      state.listener.close();
      state.connections.forEach(reset);
      await Promise.all([...state.connections].map(({ gone }) => gone));
    },
  };
}

function noFaults(): Faults {
  return { isBlackhole: false, isPaused: false, delayMs: 0, bytesUntilCut: Infinity };
}

async function listen(state: State): Promise<void> {
  if (state.listener.listening) return;
  state.listener.listen(state.port, '127.0.0.1');
  await once(state.listener, 'listening');
  state.port = (state.listener.address() as AddressInfo).port;
}

function accept(state: State, client: Socket): void {
  const server = connect({
    ...('port' in state.target
      ? { host: '127.0.0.1', port: state.target.port }
      : { path: state.target.socketPath }),
    allowHalfOpen: true,
  });
  const connection: Connection = {
    client,
    server,
    hasHole: false,
    isCut: false,
    gone: Promise.all(
      [client, server].map((socket) => new Promise((resolve) => socket.once('close', resolve))),
    ),
    flows: [
      { direction: 'toServer', from: client, to: server, queue: [] },
      { direction: 'toClient', from: server, to: client, queue: [] },
    ],
  };
  state.connections.add(connection);
  state.counts.connections += 1;
  for (const flow of connection.flows) {
    const { from, to } = flow;
    from.setNoDelay(true);
    from.on('data', (bytes: Buffer) => arrive(state, connection, flow, bytes));
    from.on('end', () => arrive(state, connection, flow, undefined));
    from.on('error', () => arrive(state, connection, flow, undefined));
    to.on('drain', () => pump(state, connection, flow));
  }
  void connection.gone.then(() => {
    forgetQueues(connection);
    state.connections.delete(connection);
  });
}

function arrive(state: State, connection: Connection, flow: Flow, bytes: Buffer | undefined): void {
  const { delayMs } = state.faults[flow.direction];
  if (connection.isCut) {
    state.counts.lost[flow.direction] += bytes?.length ?? 0;
    return;
  }
  const parcel: Parcel = { bytes, isDue: delayMs === 0, cancel: () => undefined };
  flow.queue.push(parcel);
  if (!parcel.isDue && state.clock) {
    parcel.cancel = state.clock.setTimer(delayMs, () => {
      parcel.isDue = true;
      pump(state, connection, flow);
    });
  }
  pump(state, connection, flow);
}

function pumpAll(state: State): void {
  for (const connection of state.connections) {
    for (const flow of connection.flows) pump(state, connection, flow);
  }
}

/** Delivers whatever the faults of the moment let through. */
function pump(state: State, connection: Connection, flow: Flow): void {
  const { direction, from, to, queue } = flow;
  const { isBlackhole, isPaused } = state.faults[direction];
  for (let next = queue[0]; next !== undefined; next = queue[0]) {
    if (!isBlackhole && (isPaused || !next.isDue)) break;
    queue.shift();
    next.cancel();
    if (isBlackhole || to.destroyed) {
      state.counts.lost[direction] += next.bytes?.length ?? 0;
      connection.hasHole = true;
    } else if (next.bytes === undefined) {
      to.end();
    } else {
      deliver(state, connection, flow, next.bytes);
    }
  }
  const isFull = heldBytes(flow) > MAX_HELD_BYTES || to.writableNeedDrain;
  if (isFull && !connection.isCut) from.pause();
  else from.resume();
}

function deliver(state: State, connection: Connection, flow: Flow, bytes: Buffer): void {
  const { direction, to } = flow;
  const { counts } = state;
  const faults = state.faults[direction];
  const passed = bytes.subarray(0, faults.bytesUntilCut);
  counts.passed[direction] += passed.length;
  counts.lost[direction] += bytes.length - passed.length;
  if (passed.length > 0 && to.writable) to.write(passed);
  faults.bytesUntilCut -= passed.length;
  if (passed.length === bytes.length) return;
  faults.bytesUntilCut = Infinity;
  counts.cuts += 1;
  cut(connection);
}

/** The server may finish what it was about to do: it learns only that the client has hung up. */
function cut(connection: Connection): void {
  connection.isCut = true;
  forgetQueues(connection);
  connection.client.destroySoon();
  connection.server.end();
  connection.server.resume();
}

function reset(connection: Connection): void {
  forgetQueues(connection);
  connection.isCut = true;
  for (const socket of [connection.client, connection.server]) {
    // A unix socket knows no RST, and one that is ending or has more to write would never be closed.
    const isBusy = socket.writableEnded || socket.writableLength > 0;
    if (isBusy || socket.remoteAddress === undefined) socket.destroy();
    else socket.resetAndDestroy();
  }
}

async function heal(state: State): Promise<void> {
  state.faults = { toServer: noFaults(), toClient: noFaults() };
  for (const connection of state.connections) {
    if (connection.hasHole) cut(connection);
    for (const { queue } of connection.flows) for (const parcel of queue) parcel.isDue = true;
  }
  pumpAll(state);
  await listen(state);
}

function forgetQueues({ flows }: Connection): void {
  for (const { queue } of flows) for (const { cancel } of queue.splice(0)) cancel();
}

function heldBytes({ queue }: Flow): number {
  return queue.reduce((sum, { bytes }) => sum + (bytes?.length ?? 0), 0);
}

function countersOf({ connections, counts }: State): ProxyCounters {
  const held = { toServer: 0, toClient: 0 };
  for (const { flows } of connections) {
    for (const flow of flows) held[flow.direction] += heldBytes(flow);
  }
  return { ...structuredClone(counts), open: connections.size, held };
}

import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { AbstractConnector, Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis';
import { CLOSED, type RedisError } from './error-words.ts';
import { usesTls, type RedisSettings } from '../../config/redis.ts';

/**
 * Makes clients for every way to reach Redis, with everything bounded: WeChat hangs up after 5 s, and
 * ioredis's defaults would keep a command waiting for more than a minute.
 */
export type RedisClient = Redis | Cluster;

/** `blocking` is for XREAD BLOCK and the like: such a client must not be shared with what cannot wait. */
export type RedisPurpose = 'commands' | 'blocking';

export const COMMAND_TIMEOUT_MS = 1_000;
export const CONNECT_TIMEOUT_MS = 2_000;
const SOCKET_TIMEOUT_MS = 3_000;
/** Milliseconds for which a server may take leave; one that has gone silent never does. */
const DISCONNECT_TIMEOUT_MS = 200;
const MAX_RECONNECT_DELAY_MS = 2_000;
/** Milliseconds between two tries while a slot is half moved. */
const HALF_MOVED_MS = 100;
/** From one node to another, or again; together less than a caller waits. */
const MOST_REDIRECTIONS = 6;

/**
 * Whoever sent a command waits for a second and then does without it, so nothing is sent again behind
 * his back: it would be executed when nobody expects it any more. What was under way when a connection
 * broke fails at once, and who still waits may ask again (`onRedis`).
 */
const IMPATIENT = {
  commandTimeout: COMMAND_TIMEOUT_MS,
  // A connection that has gone silent is replaced; TCP alone would take a quarter of an hour.
  socketTimeout: SOCKET_TIMEOUT_MS,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
} as const satisfies RedisOptions;

/** Connects at once, and for ever again. Commands fail at once while there is no connection. */
export function createClient(settings: RedisSettings, purpose: RedisPurpose): RedisClient {
  const { url, sentinels, cluster } = settings;
  const common = commonOptions(settings, purpose);
  if (cluster !== undefined) return createCluster(cluster, common);
  const single = {
    ...common,
    enableOfflineQueue: false,
    retryStrategy: pauseBefore,
    // After a failover the old master answers READONLY: whoever asked hears of it, and the next
    // connection finds the new one.
    reconnectOnError: ({ message }: Error) => /(?:^|-)READONLY /.test(message),
  } satisfies RedisOptions;
  if (sentinels !== undefined) return createSentinelled(settings, sentinels, single);
  if (url?.includes('://') === false) return new Redis({ ...single, path: url });
  return new Redis(urlWithLogin(settings), single);
}

/** What a URL says of user and password stands above the options, and it says both or neither. */
function urlWithLogin({ url = '', username, password }: RedisSettings): string {
  if (username === undefined && password === undefined) return url;
  const whole = new URL(url);
  if (username !== undefined) whole.username = encodeURIComponent(username);
  if (password !== undefined) whole.password = encodeURIComponent(password);
  return whole.href;
}

/** Jittered, so that replicas that lost Redis together do not come back together. */
function pauseBefore(times: number): number {
  return Math.min(MAX_RECONNECT_DELAY_MS, 50 * 2 ** Math.min(times, 6)) * (0.5 + Math.random() / 2);
}

function commonOptions(settings: RedisSettings, purpose: RedisPurpose) {
  const { protocol, username, password } = settings;
  return {
    protocol,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(usesTls(settings) && { tls: tlsOptions(settings) }),
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    ...(purpose === 'commands' ? IMPATIENT : { maxRetriesPerRequest: 1 }),
  } satisfies RedisOptions;
}

type CommonOptions = ReturnType<typeof commonOptions>;

/** Verified whatever the environment says, and with the name by which a proxy picks the server. */
function tlsOptions({ url, tlsCa, tlsServername }: RedisSettings): ConnectionOptions {
  const said = url === undefined ? undefined : nameForTls(new URL(url).hostname);
  const servername = tlsServername ?? said;
  return {
    ...(servername !== undefined && { servername }),
    ...(tlsCa !== undefined && { ca: tlsCa }),
    rejectUnauthorized: true,
  };
}

/** Addresses are no names for SNI (RFC 6066, 3). */
function nameForTls(host: string): string | undefined {
  return isIP(host.replace(/^\[|\]$/g, '')) === 0 ? host : undefined;
}

function createSentinelled(
  settings: RedisSettings,
  sentinels: NonNullable<RedisSettings['sentinels']>,
  single: CommonOptions,
): Redis {
  const { sentinelMaster = '', sentinelUsername, sentinelPassword, sentinelTls } = settings;
  const data = usesTls(settings);
  const redis = new Redis({
    ...single,
    sentinels: [...sentinels],
    name: sentinelMaster,
    role: 'master',
    ...(sentinelUsername !== undefined && { sentinelUsername }),
    ...(sentinelPassword !== undefined && { sentinelPassword }),
    sentinelCommandTimeout: COMMAND_TIMEOUT_MS,
    sentinelRetryStrategy: pauseBefore,
    sentinelReconnectStrategy: pauseBefore,
    // Without it the client stays at a demoted master, which goes on saying OK until it is told: in one
    // planned failover 546 of 612 acknowledged writes were gone.
    failoverDetector: true,
    enableTLSForSentinelMode: data,
    ...((sentinelTls ?? data) && { sentinelTLS: tlsOptions(settings) }),
  });
  neverGiveUp(redis);
  return redis;
}

/**
 * A client that hears of a failover just while it asks a Sentinel for the master breaks that off, takes it
 * for its end (`end`, without `disconnect`), and would never connect again.
 */
export function neverGiveUp(redis: Redis): void {
  let wanted = true;
  const disconnect = redis.disconnect.bind(redis);
  redis.disconnect = (reconnect = false) => {
    // Told to end, it stays so: a handshake that is refused just then asks for another connection.
    wanted &&= reconnect;
    disconnect(reconnect);
  };
  redis.on('end', () => {
    // What goes wrong is told by the event `error`.
    if (wanted) redis.connect().catch(() => undefined);
  });
}

function createCluster(
  nodes: NonNullable<RedisSettings['cluster']>,
  common: CommonOptions,
): Cluster {
  let broken: Error | undefined;
  const Connector = nodeConnector((error) => (broken = error));
  const cluster = new Cluster([...nodes], {
    redisOptions: { ...common, Connector },
    enableOfflineQueue: false,
    // It would wait without a word until every slot is served; commands are told CLUSTERDOWN.
    enableReadyCheck: false,
    clusterRetryStrategy: pauseBefore,
    slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
    // Whoever asked hears at once what is wrong, as of one Redis, and `onRedis` asks again for him.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    retryDelayOnTryAgain: HALF_MOVED_MS,
    maxRedirections: MOST_REDIRECTIONS,
    // By their names, which are what certificates are for.
    dnsLookup: (name, callback) => callback(null, name),
  } satisfies ClusterOptions);
  cluster.on('+node', forgetAbandoned);
  // A pipeline would wait for the first connection without limit.
  cluster.delayUntilReady = (callback) => callback(new Error(CLOSED));
  // Before anybody else hears of it.
  cluster.on('error', (error: RedisError) => {
    if (error.lastNodeError?.message === CLOSED && broken) error.lastNodeError = broken;
  });
  return cluster;
}

/** A node keeps commands until it is connected; by then whoever sent one may wait no longer. */
function forgetAbandoned(node: Redis): void {
  const send = node.sendCommand.bind(node);
  node.sendCommand = (command, stream) => {
    if (command.isSettled) return command.promise;
    // The client sends it before a command whose slot is under way, and looks at the command's answer only.
    if (command.name === 'asking') command.promise.catch(() => undefined);
    return send(command, stream);
  };
}

/**
 * Names each node of a cluster to itself: there is one setting for all, and many nodes.
 * @param onBroken hears why a connection failed; the client keeps only that it did
 */
function nodeConnector(onBroken: (error: Error) => void) {
  return class NodeConnector extends AbstractConnector {
    private readonly options: RedisOptions;

    constructor(options: unknown) {
      const own = options as RedisOptions & { disconnectTimeout?: number };
      super(own.disconnectTimeout ?? DISCONNECT_TIMEOUT_MS);
      this.options = own;
    }

    connect(): Promise<Socket> {
      const { host = '', port = 0, tls } = this.options;
      const servername = tls?.servername ?? nameForTls(host);
      this.connecting = true;
      const stream =
        tls === undefined
          ? connect({ host, port })
          : connectTls({ host, port, ...tls, ...(servername !== undefined && { servername }) });
      stream.once('error', (error: Error) => {
        this.firstError = error;
        onBroken(error);
      });
      this.stream = stream;
      return Promise.resolve(stream);
    }
  };
}

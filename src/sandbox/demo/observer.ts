import { setTimeout as sleep } from 'node:timers/promises';
import type { StatusSnapshot } from '../../status/schema.ts';
import { createKeys, type CredentialKindName } from '../../store/redis/keys.ts';
import type { RedisClient } from '../../store/redis/client.ts';
import { connectRedis, whenReady } from '../../store/redis/connection.ts';
import { DEMO_COMPONENT } from './component.ts';
import type { Stage } from './stage.ts';

/**
 * Looks at the running demo only through what other services and admins can see: the keys in Redis,
 * the event stream, the announcements, and HTTP. Values are compared and forgotten.
 */
export interface Observations {
  ticketsReceived: number;
  /** Looks at each mirror key since it held its first value. */
  looks: number;
  /** What was wrong at a look, and still was at a second one. */
  bad: BadSight[];
  httpReads: number;
  /** Of these, how many brought the value that Redis held before and after. */
  httpEqual: number;
  /** Of these, how many brought another value, or none. */
  httpOther: number;
  /** The last answer of GET /status, and why there is none. */
  status: SeenStatus | undefined;
  statusError: string | undefined;
}

type Component = StatusSnapshot['components'][number];

/** As much of GET /status as is looked at. */
export interface SeenStatus {
  verdict: StatusSnapshot['verdict'];
  problems: readonly Pick<StatusSnapshot['problems'][number], 'message'>[];
  /** Empty while Redis is away. */
  components: readonly {
    ticket: Pick<Component['ticket'], 'received_at'>;
    credentials: readonly SeenCredential[];
  }[];
}

export type SeenCredential = Pick<
  Component['credentials'][number],
  'kind' | 'state' | 'obtained_at' | 'expires_at' | 'next_refresh_at'
> & { history: { count: number } };

export interface BadSight {
  at: number;
  kind: CredentialKindName;
  what: 'missing' | 'dead' | 'unreadable';
}

export interface Observer {
  seen: Observations;
  /** Asks for the status now. */
  askStatus(): Promise<SeenStatus | undefined>;
  stop(): Promise<void>;
}

/** What there is to tell while it happens. */
export type Happening =
  { what: 'ticket'; count: number } | { what: 'renewed'; kind: CredentialKindName; seq: number };

export const KINDS = ['component_access_token', 'pre_auth_code'] as const;

const CONNECT_TIMEOUT_MS = 5_000;
const LOOK_EVERY_MS = 200;
/**
 * WeChat kills the old token when it issues the new one, whose answer then travels to the service
 * and from there to Redis: a look in between is no fault, a second one after this time would be.
 */
const SECOND_LOOK_AFTER_MS = 500;
const HTTP_EVERY_MS = 1_000;
const HTTP_TIMEOUT_MS = 5_000;
const BLOCK_MS = 2_000;
const { appid } = DEMO_COMPONENT;

interface State {
  stage: Stage;
  seen: Observations;
  /** For looks. */
  redis: RedisClient;
  /** Only waits for events. */
  stream: RedisClient;
  /** Only hears announcements. */
  channel: RedisClient;
  tell: (happening: Happening) => void;
  signal: AbortSignal;
}

/** @throws Error when Redis cannot be reached */
export async function startObserver(
  stage: Stage,
  tell: (happening: Happening) => void,
): Promise<Observer> {
  const { settings } = stage.redis;
  const redis = connectRedis(settings, stage.log);
  const stream = connectRedis(settings, stage.log, 'blocking');
  const channel = connectRedis(settings, stage.log, 'blocking');
  const connections = [redis, stream, channel];
  const disconnect = () => connections.forEach((one) => one.disconnect());
  const ready = await Promise.all(connections.map((one) => whenReady(one, CONNECT_TIMEOUT_MS)));
  if (ready.includes(false)) {
    disconnect();
    throw new Error('The demo cannot connect to its Redis.');
  }
  const seen: Observations = {
    ticketsReceived: 0,
    looks: 0,
    bad: [],
    httpReads: 0,
    httpEqual: 0,
    httpOther: 0,
    status: undefined,
    statusError: undefined,
  };
  const ending = new AbortController();
  const state = { stage, seen, redis, stream, channel, tell, signal: ending.signal };
  await hearAnnouncements(state);
  const loops = [
    ...KINDS.map((kind) => watchMirror(state, kind)),
    countTickets(state),
    repeat(state, HTTP_EVERY_MS, () => compareHttp(state)),
    repeat(state, HTTP_EVERY_MS, () => askStatus(state)),
  ];
  return {
    seen,
    askStatus: () => askStatus(state),
    async stop() {
      ending.abort();
      disconnect();
      await Promise.all(loops);
    },
  };
}

/** Runs `work` again and again until the end. `work` must not reject. */
async function repeat({ signal }: State, everyMs: number, work: () => Promise<unknown>) {
  while (!signal.aborted) {
    await work();
    await pause(everyMs, signal);
  }
}

/** Sleeps, and no longer than until the end. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}

async function watchMirror(state: State, kind: CredentialKindName): Promise<void> {
  const { seen, signal } = state;
  let hasBegun = false;
  await repeat(state, LOOK_EVERY_MS, async () => {
    const first = await judgeMirror(state, kind);
    hasBegun ||= first === 'live';
    if (!hasBegun) return;
    seen.looks += 1;
    if (first === 'live') return;
    await pause(SECOND_LOOK_AFTER_MS, signal);
    const second = await judgeMirror(state, kind);
    if (second !== 'live' && !signal.aborted) seen.bad.push({ at: Date.now(), kind, what: second });
  });
}

/** Whether what services find in Redis works, by the judgement of the pretend WeChat itself. */
async function judgeMirror(
  { stage, redis }: State,
  kind: CredentialKindName,
): Promise<'live' | BadSight['what']> {
  const key = createKeys(stage.redis.prefix).mirror({ kind, subject: appid });
  try {
    const value = await redis.get(key);
    if (value === null) return 'missing';
    return stage.simulator.isLive(kind, value) ? 'live' : 'dead';
  } catch {
    return 'unreadable';
  }
}

/** A consumer of the event stream, as other services are. */
async function countTickets(state: State): Promise<void> {
  const { stage, stream, seen, signal, tell } = state;
  const key = createKeys(stage.redis.prefix).events(appid);
  let last = '0';
  await repeat(state, 0, async () => {
    try {
      const answer = await stream.xread('BLOCK', BLOCK_MS, 'STREAMS', key, last);
      for (const [id, fields] of answer?.[0]?.[1] ?? []) {
        last = id;
        if (fields[fields.indexOf('info_type') + 1] !== 'component_verify_ticket') continue;
        seen.ticketsReceived += 1;
        tell({ what: 'ticket', count: seen.ticketsReceived });
      }
    } catch {
      await pause(LOOK_EVERY_MS, signal);
    }
  });
}

async function hearAnnouncements({ stage, channel, tell }: State): Promise<void> {
  channel.on('message', (_channel: string, message: string) => {
    const { kind, seq } = JSON.parse(message) as { kind: CredentialKindName; seq: number };
    tell({ what: 'renewed', kind, seq });
  });
  await channel.subscribe(createKeys(stage.redis.prefix).rotations);
}

/** Redis before and after, because the token may be renewed in between: then it is no comparison. */
async function compareHttp(state: State): Promise<void> {
  const { stage, redis, seen, signal } = state;
  const kind = 'component_access_token';
  const key = createKeys(stage.redis.prefix).mirror({ kind, subject: appid });
  const inRedis = () => redis.get(key).catch(() => null);
  const before = await inRedis();
  if (before === null) return;
  const answer = await ask(state, `/v1/credentials/${kind}/${appid}`).catch(() => undefined);
  const after = await inRedis();
  if (before !== after || signal.aborted) return;
  seen.httpReads += 1;
  if ((answer as { value?: unknown } | undefined)?.value === before) seen.httpEqual += 1;
  else seen.httpOther += 1;
}

async function askStatus(state: State): Promise<SeenStatus | undefined> {
  const { seen } = state;
  try {
    seen.status = (await ask(state, '/status')) as SeenStatus;
    seen.statusError = undefined;
    return seen.status;
  } catch (error) {
    seen.statusError = error instanceof Error ? error.message : String(error);
    return undefined;
  }
}

/** @throws Error with the code that the service answered, or what became of the connection */
async function ask({ stage, signal }: State, path: string): Promise<unknown> {
  const response = await fetch(`${stage.service.internalUrl}${path}`, {
    headers: { authorization: `Bearer ${stage.apiKey}` },
    signal: AbortSignal.any([signal, AbortSignal.timeout(HTTP_TIMEOUT_MS)]),
  });
  const answer: unknown = await response.json();
  if (response.ok) return answer;
  const code = (answer as { error?: { code?: string } }).error?.code;
  throw new Error(`${response.status} ${code ?? ''}`.trim());
}

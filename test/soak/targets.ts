import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ManualClock } from '../kit/clock.ts';
import { startTarget, type TargetRequest } from '../kit/targets.ts';

/** The applications behind the delivery routes, which take what they are sent, or do not. */

/** How a target answers. `lost`: it does what it should, and nobody hears of it. */
export type Manner =
  | { type: 'well' | 'refused' | 'reset' | 'hang' | 'lost' }
  | { type: 'slow'; ms: number }
  | { type: 'status'; status: number; retryAfter?: number };

export interface SoakTarget {
  route: RouteName;
  readonly manner: Manner;
  become(manner: Manner): Promise<void>;
  /** Monotonic ms since when it is well and waits for nobody to resume it; Infinity while it is not. */
  wellSince: number;
  /** The answers to so many deliveries are lost. */
  answersToLose: number;
  /** Marks of pushes that it has no liking for, however well it is. */
  spurned: Set<string>;
  /** Requests so far, and those of them that wait for the clock. */
  seen: number;
  waiting: number;
  close(): Promise<void>;
}

/** What one process hears of its targets. A frozen one hears it later, a dead one never. */
export interface Ears {
  replica: string;
  state: 'open' | 'frozen' | 'dead';
  /** Answers that wait for a frozen one. */
  held: (() => void)[];
}

/** A request that has reached a target. */
export interface Arrival {
  route: string;
  id: string;
  mark: string;
  replica: string;
  /** Monotonic ms. */
  at: number;
}

/** What the target has done with it: `taken` is 2xx, and `unheard` why its sender may not know that. */
export interface Answered extends Arrival {
  unheard: string | undefined;
}

/** Who wants to hear of deliveries as they happen. */
export interface TargetHooks {
  onArrival: ((arrival: Arrival) => void)[];
  onTaken: ((taken: Answered) => void)[];
}

export interface Targets extends TargetHooks {
  all: readonly SoakTarget[];
  /** The routes, as CONFIG_FILE spells them, of one process. */
  routesFor(ears: Ears): object[];
  /** Of a process that is about to start. */
  listenAs(replica: string): Ears;
}

/** Milliseconds after which whoever asks has given up. */
const GIVEN_UP_MS = 10_000;

/** What the routes take: see `takersOf` in messages.ts. */
const ROUTES = [
  { name: 'steady', mode: 'json' },
  { name: 'flaky', mode: 'json' },
  { name: 'replier', mode: 'json', reply: true, match: { msg_type: 'text' } },
] as const;
export type RouteName = (typeof ROUTES)[number]['name'];

const SECRETS = [`whsec_${Buffer.alloc(32, 7).toString('base64')}`];

/** @param isRedisUp nobody can note the end of a delivery while it is away */
export async function createTargets(
  clock: ManualClock,
  isRedisUp: () => boolean,
): Promise<Targets> {
  const hooks: TargetHooks = { onArrival: [], onTaken: [] };
  const ears = new Map<string, Ears>();
  const made = await Promise.all(
    ROUTES.map(({ name }) => createTarget(name, { clock, isRedisUp, hooks, ears })),
  );
  return {
    ...hooks,
    all: made.map(({ target }) => target),
    listenAs(replica) {
      const own: Ears = { replica, state: 'open', held: [] };
      ears.set(`/${ears.size}`, own);
      return own;
    },
    routesFor(own) {
      const path = [...ears].find(([, one]) => one === own)?.[0] ?? '';
      return ROUTES.map((route, index) => ({
        ...route,
        target: `${made[index]?.url}${path}`,
        secrets: SECRETS,
      }));
    },
  };
}

interface World {
  clock: ManualClock;
  isRedisUp: () => boolean;
  hooks: TargetHooks;
  /** By the path that a process asks for. */
  ears: Map<string, Ears>;
}

async function createTarget(route: RouteName, world: World) {
  const { clock, hooks } = world;
  const server = await startTarget();
  let manner: Manner = { type: 'well' };
  const target: SoakTarget = {
    route,
    get manner() {
      return manner;
    },
    async become(next) {
      if (manner.type === 'refused') await server.listen();
      manner = next;
      target.wellSince = next.type === 'well' ? clock.monotonic() : Infinity;
      if (next.type === 'refused') await server.refuse();
    },
    wellSince: 0,
    answersToLose: 0,
    spurned: new Set(),
    seen: 0,
    waiting: 0,
    close: () => server.close(),
  };
  server.answer((request, response, incoming) => {
    const own = world.ears.get(request.url.pathname);
    // It was about to send this when it died.
    if (own === undefined || own.state === 'dead') return;
    target.seen += 1;
    const arrival = arrivalOf(route, own, request, clock);
    for (const hear of hooks.onArrival) hear(arrival);
    respond(world, target, arrival, { response, incoming, own });
  });
  return { target, url: server.url };
}

function arrivalOf(
  route: string,
  { replica }: Ears,
  { headers, body }: TargetRequest,
  clock: ManualClock,
): Arrival {
  const { id } = JSON.parse(body) as { id: string };
  if (id !== headers['webhook-id']) throw new Error('a delivery has two ids');
  return { route, id, mark: markIn(body), replica, at: clock.monotonic() };
}

/** What each push has that no other one has. */
export function markIn(text: string): string {
  return /mark-\d+/.exec(text)?.[0] ?? '';
}

interface Exchange {
  response: ServerResponse;
  incoming: IncomingMessage;
  own: Ears;
}

function respond(world: World, target: SoakTarget, arrival: Arrival, exchange: Exchange): void {
  const { response, incoming } = exchange;
  const { manner } = target;
  if (manner.type === 'hang') {
    waits(target, response);
  } else if (manner.type === 'slow') {
    waits(target, response);
    world.clock.setTimer(manner.ms, () => take(world, arrival, exchange, false));
  } else if (manner.type === 'reset' || manner.type === 'refused') {
    incoming.socket.resetAndDestroy();
  } else if (manner.type === 'status') {
    const { status, retryAfter } = manner;
    const headers = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) };
    whenHeard(exchange, () => response.writeHead(status, headers).end());
  } else if (target.spurned.has(arrival.mark)) {
    whenHeard(exchange, () => response.writeHead(400).end());
  } else {
    const isLost = manner.type === 'lost' || target.answersToLose > 0;
    target.answersToLose = Math.max(0, target.answersToLose - 1);
    take(world, arrival, exchange, isLost);
  }
}

function waits(target: SoakTarget, response: ServerResponse): void {
  target.waiting += 1;
  response.once('close', () => (target.waiting -= 1));
}

/** Does what it should; whether the sender hears of it is another matter. */
function take(world: World, arrival: Arrival, exchange: Exchange, isLost: boolean): void {
  const { response, incoming, own } = exchange;
  const taken = (unheard?: string) => {
    for (const hear of world.hooks.onTaken) hear({ ...arrival, unheard });
  };
  if (isLost) {
    taken('answer lost');
    incoming.socket.resetAndDestroy();
  } else if (own.state === 'dead') {
    taken('replica killed');
  } else if (own.state === 'frozen') {
    taken('replica frozen');
    whenHeard(exchange, () => answer(arrival, response));
  } else {
    const isLate = world.clock.monotonic() - arrival.at >= GIVEN_UP_MS || response.closed;
    taken(isLate ? 'answered too late' : world.isRedisUp() ? undefined : 'Redis away');
    answer(arrival, response);
  }
}

/** Half of the users get a reply, where the route has one. */
function answer({ route, mark }: Arrival, response: ServerResponse): void {
  const isReply = route === 'replier' && Number(mark.slice('mark-'.length)) % 2 === 0;
  response.setHeader('content-type', 'application/json');
  response.end(isReply ? JSON.stringify({ type: 'text', content: 'hello' }) : '');
}

function whenHeard({ own }: Exchange, tell: () => void): void {
  if (own.state === 'open') tell();
  else if (own.state === 'frozen') own.held.push(tell);
}

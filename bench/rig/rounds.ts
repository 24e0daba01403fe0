import { request } from 'node:http';
import type { Redis } from 'ioredis';
import { load, pack, type Ammunition, type Measured, type Prepared } from './load.ts';
import type { Running } from './launch.ts';
import type { PreparedPush } from './prepared-pushes.ts';
import { median, type Table } from './report.ts';
import type { Server } from './servers.ts';

/**
 * The protocol of every comparison: all servers in one run, one after the other in each round, in turn
 * forwards and backwards so that none is always the one that comes after a pause; medians of the rounds.
 */
export interface Contestant {
  server: Server;
  /** Of what is sent to it, where not all get the same. */
  kind?: string;
  running: Running;
}

export interface Plan<T extends Prepared = Prepared> {
  rounds: number;
  seconds: number;
  /** Numbers of connections, each a load of its own. */
  connections: readonly number[];
  say: (line: string) => void;
  /**
   * Requests for one load, the same for every server that asks for the same kind; the first of them are
   * the checked ones.
   */
  prepare(count: number, kind: string): readonly T[];
  /** Sends one request before the load; throws when what comes of it is not as it should be. */
  check(contestant: Contestant, request: T): Promise<void>;
  /** Requests may be sent again, because nobody remembers them. */
  mayRepeat?: boolean;
  /** Every request is to be refused. */
  refused?: boolean;
}

/** Server, then number of connections. */
export type Results = Map<string, Map<number, Measured>>;

/** Seconds of load before the first round, so that nothing is measured cold. */
const WARM_UP_SECONDS = 2;
/** Requests whose answer is looked at before each load. */
const CHECKED = 20;
/** Nobody has been seen to be faster than that. */
const FIRST_GUESS_PER_SECOND = { one: 12_000, many: 36_000 };
/** By how much a server may be faster than the fastest until then. */
const HEADROOM = 1.3;

export async function compare<T extends Prepared>(
  contestants: readonly Contestant[],
  plan: Plan<T>,
): Promise<Results> {
  const measured = new Map<string, Map<number, Measured[]>>();
  const fastest = new Map<number, number>();
  await warmUp(contestants, plan);
  for (let round = 0; round < plan.rounds; round += 1) {
    const order = round % 2 === 0 ? contestants : [...contestants].reverse();
    for (const connections of plan.connections) {
      const guess = connections < 4 ? FIRST_GUESS_PER_SECOND.one : FIRST_GUESS_PER_SECOND.many;
      const perSecond = Math.min(guess, (fastest.get(connections) ?? guess) * HEADROOM);
      const count = plan.mayRepeat === true ? 10_000 : Math.ceil(perSecond * plan.seconds);
      const magazine = new Magazine(plan, count);
      for (const contestant of order) {
        const { checked, ammunition } = await magazine.for(contestant);
        for (const request of checked) await plan.check(contestant, request);
        const one = await load(contestant.running, ammunition, { ...plan, connections });
        if (plan.mayRepeat === true) one.wraps = 0;
        complain(one, contestant, plan);
        note(measured, contestant.server.name, connections, one);
        fastest.set(connections, Math.max(fastest.get(connections) ?? 0, one.perSecond));
        const { perSecond: rate } = one;
        plan.say(
          `round ${round + 1} c${connections} ${contestant.server.name}: ${Math.round(rate)}/s`,
        );
      }
      await magazine.discard();
    }
  }
  return medians(measured);
}

async function warmUp<T extends Prepared>(
  contestants: readonly Contestant[],
  plan: Plan<T>,
): Promise<void> {
  const count = plan.mayRepeat === true ? 1_000 : FIRST_GUESS_PER_SECOND.many * WARM_UP_SECONDS;
  const magazine = new Magazine(plan, count);
  for (const contestant of contestants) {
    const { checked, ammunition } = await magazine.for(contestant);
    for (const request of checked) await plan.check(contestant, request);
    await load(contestant.running, ammunition, { connections: 16, seconds: WARM_UP_SECONDS });
  }
  await magazine.discard();
}

interface Round<T> {
  checked: readonly T[];
  ammunition: Ammunition;
}

/** What is sent in one round, made once for each kind. */
class Magazine<T extends Prepared> {
  readonly #rounds = new Map<string, Promise<Round<T>>>();
  readonly #plan: Plan<T>;
  readonly #count: number;

  constructor(plan: Plan<T>, count: number) {
    this.#plan = plan;
    this.#count = count;
  }

  for({ kind = '' }: Contestant): Promise<Round<T>> {
    const round = this.#rounds.get(kind) ?? this.#prepare(kind);
    this.#rounds.set(kind, round);
    return round;
  }

  async #prepare(kind: string): Promise<Round<T>> {
    const requests = this.#plan.prepare(this.#count + CHECKED, kind);
    return { checked: requests.slice(0, CHECKED), ammunition: await pack(requests.slice(CHECKED)) };
  }

  async discard(): Promise<void> {
    for (const round of this.#rounds.values()) await (await round).ammunition.discard();
  }
}

function complain<T extends Prepared>(one: Measured, { server }: Contestant, plan: Plan<T>): void {
  const wrong = plan.refused === true ? one.requests - one.refused : one.refused;
  if (wrong + one.failed > 0) {
    plan.say(`${server.name}: ${wrong} answers and ${one.failed} requests were not as they should`);
  }
  if (one.wraps > 0) plan.say(`${server.name}: requests ran out`);
}

function note(
  measured: Map<string, Map<number, Measured[]>>,
  name: string,
  connections: number,
  one: Measured,
): void {
  const ofServer = measured.get(name) ?? new Map<number, Measured[]>();
  ofServer.set(connections, [...(ofServer.get(connections) ?? []), one]);
  measured.set(name, ofServer);
}

function medians(measured: Map<string, Map<number, Measured[]>>): Results {
  const results: Results = new Map();
  for (const [name, ofServer] of measured) {
    const ofMedians = new Map<number, Measured>();
    for (const [connections, rounds] of ofServer) ofMedians.set(connections, medianOf(rounds));
    results.set(name, ofMedians);
  }
  return results;
}

function medianOf(rounds: readonly Measured[]): Measured {
  const of = (field: keyof Measured) => median(rounds.map((one) => one[field]));
  const sum = (field: keyof Measured) => rounds.reduce((total, one) => total + one[field], 0);
  return {
    perSecond: of('perSecond'),
    p50Ms: of('p50Ms'),
    p99Ms: of('p99Ms'),
    cpuPerThousand: of('cpuPerThousand'),
    requests: sum('requests'),
    refused: sum('refused'),
    failed: sum('failed'),
    wraps: sum('wraps'),
  };
}

/** One line for each server and number of connections, the fastest first. */
export function tableOf(results: Results): Table[] {
  const connections = [...(results.values().next().value?.keys() ?? [])];
  return connections.map((count) => ({
    columns: ['per s', 'p50 ms', 'p99 ms', 'CPU s/1,000', 'not 2xx'],
    rows: [...results]
      .map(([name, ofServer]) => ({ name, one: ofServer.get(count) }))
      .sort((a, b) => (b.one?.perSecond ?? 0) - (a.one?.perSecond ?? 0))
      .map(({ name, one }) => [
        `${name}, c${count}`,
        ...[one?.perSecond ?? NaN, one?.p50Ms ?? NaN, one?.p99Ms ?? NaN],
        (one?.cpuPerThousand ?? NaN).toFixed(3),
        String((one?.refused ?? 0) + (one?.failed ?? 0)),
      ]),
  }));
}

/** @throws Error unless it is answered `success` and Redis has the value of the push at that moment */
export async function checkPush(
  { server, running }: Contestant,
  push: PreparedPush,
  redis: Redis,
): Promise<void> {
  const { status, text } = await send(running.port, push);
  if (status !== 200 || text !== 'success') {
    throw new Error(`${server.name} answered a push with ${status} ${text.slice(0, 100)}`);
  }
  const stored = await redis.get(server.ticketKey ?? '');
  if (stored !== (server.stores === 'body' ? push.body : push.value)) {
    throw new Error(`${server.name} said success, but Redis does not have what was pushed`);
  }
}

export async function send(
  port: number,
  { method, path, headers, body }: Prepared,
): Promise<{ status: number; text: string }> {
  return await new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port,
      method,
      path,
      headers,
      agent: false,
      timeout: 5_000,
    };
    const sent = request(options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    sent.on('timeout', () => sent.destroy(new Error('no answer within 5 s')));
    sent.on('error', reject);
    sent.end(method === 'POST' ? body : undefined);
  });
}

import type { Random } from '../interleavings/random.ts';
import { createRandom } from '../interleavings/random.ts';
import { add, createJudge, type Judge } from './judge.ts';
import { createDeliveryJudge, type DeliveryJudge } from './judge-deliveries.ts';
import { createMessages, type Messages } from './messages.ts';
import { createOperator, type Operator } from './operator.ts';
import type { Replica } from './replica.ts';
import { ACCESS, CODE, COMPONENT, JSAPI, TOKEN, type Kept, type Station } from './station.ts';
import { createPassing, type Passing } from './time.ts';

/** The life of the station between and during faults: time, readers, visitors, a load balancer. */
export interface Soak {
  station: Station;
  passing: Passing;
  judge: Judge;
  messages: Messages;
  deliveries: DeliveryJudge;
  operator: Operator;
  /** Faults so far, by name. */
  faults: Map<string, number>;
  /** For what is no fault: who reads where, when visitors come. */
  chance: Random;
  /** Simulated seconds pass, with a look at everything each `step` seconds. */
  go(seconds: number, step: number): Promise<void>;
  /** An internal request; undefined when the answer has to wait for the clock. */
  ask(replica: Replica, path: string, options?: AskOptions): Promise<Answer | undefined>;
  up(): Replica[];
  note(fault: string, detail?: string): void;
  visits: number;
}

export interface AskOptions {
  body?: unknown;
  /** Real milliseconds without a sign of work after which the answer has to wait; a few unless given. */
  quietMs?: number;
}

export interface Answer {
  status: number;
  value?: string;
  seq?: number;
  outcome?: string;
  /** Of deliveries: how the target fares, and how many of its dead letters were moved. */
  state?: string;
  dead_letters?: number;
  moved?: number;
}

const SHARED = [TOKEN, ACCESS, JSAPI] as const;
const READ_EVERY_MS = 120_000;
/** On average so many visitors take a code in an hour. */
const VISITS_AN_HOUR = 1;

export function createSoak(station: Station, seed: number): Soak {
  const judge = createJudge(station);
  const messages = createMessages(station, seed);
  const soak: Soak = {
    station,
    passing: createPassing(station),
    judge,
    messages,
    deliveries: createDeliveryJudge(station, judge, messages),
    operator: { work: () => operator.work() },
    faults: new Map(),
    chance: createRandom(seed * 7 + 3),
    visits: 0,
    go: (seconds, step) => go(soak, reading, seconds, step),
    ask: (replica, path, options) => ask(soak, replica, path, options),
    up: () => station.replicas.filter(({ state }) => state === 'up'),
    note(fault, detail = '') {
      add(soak.faults, fault);
      station.journal.note(`FAULT ${fault} ${detail}`);
    },
  };
  const operator = createOperator(soak);
  const reading: Reading = { nextAt: 0, open: [] };
  return soak;
}

interface Reading {
  nextAt: number;
  /** Reads that wait for the clock. */
  open: Promise<void>[];
}

async function go(soak: Soak, reading: Reading, seconds: number, step: number): Promise<void> {
  const { passing, judge, station } = soak;
  for (let left = seconds; left > 0; left -= step) {
    const now = Math.min(step, left);
    steerPushes(soak);
    soak.messages.send();
    await passing.pass(now * 1000);
    await judge.lookAtRedis(now, () => passing.rest());
    const careful = step <= 5;
    await soak.deliveries.tick(careful);
    await soak.operator.work();
    if (station.clock.monotonic() < reading.nextAt && !(careful && soak.chance.chance(0.2)))
      continue;
    const since = careful ? now : READ_EVERY_MS / 1000;
    reading.nextAt = station.clock.monotonic() + READ_EVERY_MS;
    await readAll(soak, since);
    const visitors = (VISITS_AN_HOUR * READ_EVERY_MS) / 3_600_000;
    if (!careful && soak.chance.chance(visitors)) await visit(soak);
  }
}

/** A load balancer: pushes go to anybody who is there. */
function steerPushes(soak: Soak): void {
  const up = soak.up();
  const replica = up.length === 0 ? undefined : soak.chance.pick(up);
  const url =
    replica === undefined
      ? undefined
      : `http://127.0.0.1:${replica.app.publicPort()}/callback/${COMPONENT.appid}`;
  soak.station.simulator.setCallbackUrl(COMPONENT.appid, url);
}

async function readAll(soak: Soak, seconds: number): Promise<void> {
  const up = soak.up();
  if (up.length === 0) return;
  const replica = soak.chance.pick(up);
  for (const kept of SHARED) {
    let answer = await soak.ask(replica, pathOf(kept));
    if (answer !== undefined && soak.judge.isDead(kept, answer.value)) {
      await soak.passing.rest();
      answer = await soak.ask(replica, pathOf(kept));
    }
    if (answer === undefined) continue;
    soak.judge.judgeRead(kept, answer.status, answer.value, seconds);
  }
}

/** Somebody scans: a code is handed out and must work. */
export async function visit(soak: Soak): Promise<void> {
  const { station, judge } = soak;
  const up = soak.up();
  if (up.length === 0 || !station.redisUp) return;
  soak.visits += 1;
  judge.allow([CODE], 1);
  judge.excuse([CODE], 'just handed out', 2);
  const answer = await soak.ask(soak.chance.pick(up), pathOf(CODE));
  if (answer === undefined) return;
  judge.judgeRead(CODE, answer.status, answer.value, 1);
  if (answer.status !== 200) return;
  const used = station.simulator.usePreAuthCode(answer.value ?? '');
  if (used !== 'ok') judge.violate(`a visitor got a code that is ${used}`);
  await soak.passing.settle();
}

export function pathOf({ id }: Kept): string {
  return `/v1/credentials/${id.kind}/${id.subject}`;
}

async function ask(
  { station, passing }: Soak,
  replica: Replica,
  path: string,
  { body, quietMs }: AskOptions = {},
): Promise<Answer | undefined> {
  const work = async (): Promise<Answer> => {
    const response = await fetch(`http://127.0.0.1:${replica.app.internalPort()}${path}`, {
      headers: { authorization: `Bearer ${station.apiKey}` },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    });
    return { ...((await response.json()) as object), status: response.status };
  };
  return passing.now(
    work().catch((error: unknown) => {
      // Killed while it was asked.
      if (replica.state === 'up') throw error;
      return undefined;
    }),
    quietMs,
  );
}

import { setTimeout as sleep } from 'node:timers/promises';
import { brokenDeliveries, fateOfDeliveries, type Delivered } from './deliveries.ts';
import { answeredAt, fateOf, longestGap, startPushing, type Push } from './pushes.ts';
import { startReading } from './reads.ts';
import { countMints, refreshedSoFar, untilAtRest } from './rest.ts';
import type { Scenario, Strike } from './scenarios.ts';
import { createStage, populate, type Stage } from './stage.ts';
import { AUTHORIZERS } from './platform.ts';

/** One scenario from the start of its Redis to the verdict. */
export interface Result {
  scenario: string;
  /** Acknowledged pushes that are gone, and all that were acknowledged. */
  lost: number;
  /** Seconds after the fault's begin at which the first and the last of these were acknowledged. */
  lostFrom: number;
  lostUntil: number;
  acknowledged: number;
  /** Answered 503, and how many of all without `success` are stored all the same. */
  refused: number;
  storedUnanswered: number;
  /** Without any answer, since the replica was killed that had them. */
  unanswered: number;
  deliveries: Delivered;
  /** Seconds by which a push was sent late at the most: what the machine, and not wxkeeper, was behind. */
  late: number;
  /** Seconds until the fault was over and all servers in order again. */
  faultSeconds: number;
  /** Seconds until the servers had another master; undefined where none took over. */
  takenOverAfter: number | undefined;
  slowestRefusalMs: number;
  /** Seconds. */
  longestGap: number;
  reads: number;
  /** Answers without a live token, by status; 0 is none at all. */
  deadReads: Record<string, number>;
  /** Tokens of which no live value could be read for more than 1.5 s, and for how many at the most. */
  deadTokens: number;
  longestDead: number;
  slowestRead: number;
  mints: number;
  mostExtraMints: number;
  /** Seconds from the fault's begin until every stored value was WeChat's last and nothing was open. */
  atRestAfter: number;
  /** Promises that were broken. */
  broken: string[];
  /** What the replicas logged, warnings and errors. */
  complaints: Record<string, number>;
}

/** WeChat waits for 5 s. */
const LATEST_ANSWER_MS = 4_000;
/** Within these seconds of a failover that somebody orders, the former master may still say OK. */
const MAY_LOSE_SECONDS = 2;
const MOST_EXTRA_MINTS = 3;
/** Milliseconds: a quarantine, and what may follow. */
const REST_MS = 90_000;
/** Until authorizers fall due for the first time, and a third of them are refreshed. */
const DUE_MS = 90_000;
/** In which the pushes flow again at the end, and nothing is open any more. */
const QUIET_MS = 3_000;
/** Between two reads of a token it is not known; one more may meet it just when it changes. */
const NOTICED_MS = 1_500;
const LOOK_EVERY_MS = 100;

export async function runTrial(scenario: Scenario): Promise<Result> {
  const { shape, strike } = await scenario.start();
  const stage = await createStage(Promise.resolve(shape));
  try {
    return await perform(scenario, stage, strike);
  } finally {
    await stage.close();
  }
}

async function perform(scenario: Scenario, stage: Stage, strike: Strike): Promise<Result> {
  await populate(stage);
  const pushes = startPushing(stage);
  const reads = startReading(stage);
  await untilRefreshing(stage);
  const begun = Date.now();
  const broken: string[] = [];
  let takenOverAt: number | undefined;
  await strike(stage, () => (takenOverAt = Date.now())).catch((error: unknown) =>
    broken.push(`the scenario broke: ${String(error)}`),
  );
  const faultSeconds = (Date.now() - begun) / 1000;
  const unrest = await untilAtRest(stage, REST_MS);
  const atRestAfter = (Date.now() - begun) / 1000;
  const quietFrom = Date.now();
  await sleep(QUIET_MS);
  await Promise.all([pushes.stop(), reads.stop()]);
  await stage.simulator.idle();
  const left = unrest.length > 0 ? unrest : await untilAtRest(stage, REST_MS);
  broken.push(...left);
  const { sent } = pushes;
  const fate = await fateOf(stage, sent);
  const deliveries = await fateOfDeliveries(stage, fate.events);
  const lostAt = fate.lost.map(({ record }) => (answeredAt(record) - begun) / 1000);
  const refused = sent.filter(({ record }) => record.status === 503);
  const stillRefused = sent.filter(({ record }) => record.at >= quietFrom && !record.accepted);
  if (stillRefused.length > 0) broken.push(`${stillRefused.length} pushes are refused at rest`);
  const minted = countMints(stage);
  const stretches = [...reads.stretches.values()];
  const result: Result = {
    scenario: scenario.name,
    lost: fate.lost.length,
    lostFrom: Math.min(Infinity, ...lostAt),
    lostUntil: Math.max(-Infinity, ...lostAt),
    acknowledged: sent.filter(({ record }) => record.accepted).length,
    refused: refused.length,
    storedUnanswered: fate.storedUnanswered,
    unanswered: sent.filter((push) => hadDeadReplica(stage, push)).length,
    deliveries,
    late: pushes.late / 1000,
    faultSeconds,
    takenOverAfter: takenOverAt && (takenOverAt - begun) / 1000,
    slowestRefusalMs: Math.max(0, ...refused.map(({ record }) => record.durationMs)),
    longestGap: longestGap(sent) / 1000,
    reads: reads.count,
    deadReads: Object.fromEntries(reads.dead),
    deadTokens: stretches.filter((ms) => ms > NOTICED_MS).length,
    longestDead: Math.max(0, ...stretches) / 1000,
    slowestRead: reads.slowest / 1000,
    mints: minted.all,
    mostExtraMints: minted.mostExtra,
    atRestAfter,
    broken,
    complaints: complaintsOf(stage),
  };
  const others = sent.filter((push) => !hadDeadReplica(stage, push));
  broken.push(...brokenPromises(scenario, result, others, fate.twice));
  broken.push(...brokenDeliveries(deliveries));
  return result;
}

/** Nobody can answer when he is killed: WeChat repeats it. */
function hadDeadReplica({ replicas }: Stage, { record }: Push): boolean {
  const wasOpen = ({ death }: Stage['replicas'][number]) =>
    death !== undefined && record.at <= death.until && answeredAt(record) >= death.from;
  return record.status === null && replicas.some(wasOpen);
}

/** In the midst of refreshes: a third of the authorizers have theirs behind them. */
async function untilRefreshing(stage: Stage): Promise<void> {
  const giveUpAt = performance.now() + DUE_MS;
  while (refreshedSoFar(stage) < AUTHORIZERS.length / 3) {
    if (performance.now() > giveUpAt) throw new Error('the authorizers were never refreshed');
    await sleep(LOOK_EVERY_MS);
  }
}

function brokenPromises(
  { mayLose = false }: Scenario,
  result: Result,
  sent: readonly Push[],
  twice: number,
): string[] {
  const broken: string[] = [];
  const hold = (holds: boolean, what: string) => {
    if (!holds) broken.push(what);
  };
  const { lostFrom, lostUntil } = result;
  const isExplained = mayLose && lostFrom >= 0 && lostUntil <= MAY_LOSE_SECONDS;
  hold(result.lost === 0 || isExplained, `${result.lost} acknowledged pushes are lost`);
  hold(twice === 0, `${twice} pushes are stored twice`);
  const other = sent.filter(({ record }) => !record.accepted && record.status !== 503);
  const [first] = other;
  hold(
    first === undefined,
    `${other.length} pushes got neither success nor 503: ${first?.record.status ?? first?.record.error ?? ''}`,
  );
  const { slowestRefusalMs: slowest } = result;
  hold(slowest <= LATEST_ANSWER_MS, `a 503 came after ${slowest} ms`);
  const { mostExtraMints: extra } = result;
  hold(extra <= MOST_EXTRA_MINTS, `a token was minted ${extra} times beyond its windows`);
  return broken;
}

function complaintsOf({ replicas }: Stage): Record<string, number> {
  const all: Record<string, number> = {};
  for (const { complaints } of replicas) {
    for (const [text, count] of complaints) all[text] = (all[text] ?? 0) + count;
  }
  return all;
}

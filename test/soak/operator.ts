import type { Judged } from './deliveries.ts';
import type { Answer, Soak } from './soak.ts';
import { COMPONENT } from './station.ts';
import { AT_REST_MS } from './time.ts';

/** Somebody who looks after the targets every few hours, over the HTTP API. */
export interface Operator {
  /** His round, when it is due. */
  work(): Promise<void>;
}

/** Seconds between two rounds. */
const ROUND = { least: 3_600, most: 6 * 3_600 };
/** He replays in vain now and then, and finds out what was wrong with a push, mostly. */
const IN_VAIN = 0.2;
const MENDED = 0.7;
const SAME_LETTERS = 0.5;
/** What he does with dead letters. */
const DEEDS = [
  { weight: 4, what: 'replay', which: 'all' },
  { weight: 3, what: 'replay', which: 'ids' },
  { weight: 2, what: 'replay', which: 'since' },
  { weight: 2, what: 'discard', which: 'ids' },
  { weight: 1, what: 'discard', which: 'all' },
  { weight: 4, what: 'nothing', which: 'all' },
] as const;

export function createOperator(soak: Soak): Operator {
  const { station, chance } = soak;
  let nextAt = 0;
  return {
    async work() {
      const now = station.clock.monotonic();
      if (now < nextAt || !station.redisUp || soak.up().length === 0) return;
      nextAt = now + chance.between(ROUND.least, ROUND.most) * 1_000;
      for (const judged of soak.deliveries.judged) await lookAfter(soak, judged);
    },
  };
}

async function lookAfter(soak: Soak, judged: Judged): Promise<void> {
  const { target } = judged;
  await soak.deliveries.look();
  const shown = await ask(soak, target.route);
  const dead = [...judged.open].filter(({ place }) => place === 'dead');
  if (shown?.status !== 200) return;
  if (shown.dead_letters !== dead.length) {
    const counted = `${shown.dead_letters} dead letters are shown, ${dead.length} are there`;
    soak.judge.violate(`${target.route}: ${counted}`);
  }
  if (shown.state === 'stopped' && !isGone(judged)) await resume(soak, judged);
  const isWell = target.manner.type === 'well';
  if (dead.length > 0 && (isWell || soak.chance.chance(IN_VAIN))) await actOn(soak, judged);
}

function isGone({ target: { manner } }: Judged): boolean {
  return manner.type === 'status' && manner.status === 410;
}

async function resume(soak: Soak, judged: Judged): Promise<void> {
  const { target } = judged;
  const answer = await ask(soak, `${target.route}/resume`, {});
  if (answer?.status !== 200) return;
  soak.station.journal.note(`${target.route} was resumed`);
  if (target.manner.type === 'well') target.wellSince = soak.station.clock.monotonic();
  judged.counts.resumed += 1;
}

/** Letters of which he replays or discards some, all, or those given up since a moment. */
async function actOn(soak: Soak, judged: Judged): Promise<void> {
  const { station, chance } = soak;
  const { what, which } = chance.pickWeighted(DEEDS);
  if (what === 'nothing') return;
  const { target } = judged;
  const letters = [...judged.open].filter(({ place }) => place === 'dead');
  const since = new Date(Math.ceil(chance.pick(letters).deadScore)).toISOString();
  const chosen = letters.filter(
    ({ deadScore }) =>
      which === 'all' ||
      (which === 'since' ? deadScore >= Date.parse(since) : chance.chance(SAME_LETTERS)),
  );
  if (chosen.length === 0) return;
  const ids = chosen.map(({ id }) => id);
  if (what === 'replay' && chance.chance(MENDED)) target.spurned.clear();
  station.journal.note(`${target.route}: ${what} of ${ids.length} of ${letters.length}, ${which}`);
  const body = { all: { all: true }, since: { since }, ids: { ids } }[which];
  const asked = soak.deliveries.ask(judged, ids, what);
  const answer = await ask(soak, `${target.route}/${what}`, body);
  if (answer?.status === 200) {
    asked.isDone();
    if (answer.moved !== ids.length)
      soak.judge.violate(`${target.route}: ${what} of ${ids.length} has moved ${answer.moved}`);
  }
  await soak.passing.settle();
  await soak.deliveries.look();
}

/** Nothing of it waits for the clock. */
function ask(soak: Soak, path: string, body?: object): Promise<Answer | undefined> {
  const replica = soak.chance.pick(soak.up());
  const options = { quietMs: AT_REST_MS, ...(body && { body }) };
  return soak.ask(replica, `/v1/components/${COMPONENT.appid}/deliveries/${path}`, options);
}

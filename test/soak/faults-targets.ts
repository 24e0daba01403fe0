import type { Fault } from './faults.ts';
import type { Replica } from './replica.ts';
import { crashReplica, freezeReplica, replaceReplica, thawReplica } from './replicas.ts';
import type { Soak } from './soak.ts';
import { ALL } from './station.ts';
import type { Arrival, Manner, SoakTarget } from './targets.ts';

/** What the applications behind the routes do wrong, mostly while other things go wrong, too. */

const MINUTE = 60;
const HOUR = 3_600;
/** Which of them it is: a target that is well most of the time shows that others do not hold it up. */
const LUCK = { steady: 0.5, flaky: 6, replier: 2.5 };
/** Seconds until a delivery comes along to strike at. */
const PATIENCE = 7_200;
const MINTS_PER_FAULT = 3;

/** Seconds between these, shorter ones as often as longer ones. */
function between({ station }: Soak, least: number, most: number): number {
  return Math.round(least * (most / least) ** station.random.next());
}

/** One that is well so far. */
function pickTarget({ station }: Soak): SoakTarget | undefined {
  const well = (station.targets?.all ?? []).filter(({ manner }) => manner.type === 'well');
  if (well.length === 0) return undefined;
  const all = well.map((target) => ({ target, weight: LUCK[target.route] }));
  return station.random.pickWeighted(all).target;
}

/** Goes on beside whatever happens next. */
async function become(
  soak: Soak,
  target: SoakTarget,
  manner: Manner,
  seconds: number,
): Promise<void> {
  const { station } = soak;
  const how = manner.type === 'status' ? `answers ${manner.status}` : `is ${manner.type}`;
  soak.note(`target ${how}`, `${target.route} for ${seconds} s`);
  await target.become(manner);
  station.clock.setTimer(seconds * 1_000, () => void target.become({ type: 'well' }));
  await soak.go(Math.min(seconds, MINUTE), 5);
}

async function down(soak: Soak): Promise<void> {
  const { random } = soak.station;
  const target = pickTarget(soak);
  if (target === undefined) return;
  const retryAfter = random.pick([5, 60, 900, 7_200]);
  const manner = random.pick<Manner>([
    { type: 'refused' },
    { type: 'reset' },
    { type: 'lost' },
    { type: 'status', status: 500 },
    { type: 'status', status: 302 },
    { type: 'status', status: 503, retryAfter },
    { type: 'status', status: 429, retryAfter },
  ]);
  // Somebody else may get the port of one that is not there.
  const most = manner.type === 'refused' || manner.type === 'lost' ? HOUR : 6 * HOUR;
  await become(soak, target, manner, between(soak, MINUTE, most));
}

async function slow(soak: Soak): Promise<void> {
  const target = pickTarget(soak);
  if (target === undefined) return;
  const manner = soak.station.random.pick<Manner>([
    { type: 'hang' },
    { type: 'slow', ms: 3_000 },
    { type: 'slow', ms: 8_000 },
    { type: 'slow', ms: 12_000 },
  ]);
  await become(soak, target, manner, between(soak, MINUTE, HOUR));
}

/** Its operator resumes it, some hours later. */
async function gone(soak: Soak): Promise<void> {
  const target = pickTarget(soak);
  if (target === undefined) return;
  await become(soak, target, { type: 'status', status: 410 }, between(soak, MINUTE, 3 * HOUR));
}

/** For more than a day; for more than three, so that what waits is given up, now and then. */
async function downForDays(soak: Soak): Promise<void> {
  const { random, targets } = soak.station;
  const flaky = targets?.all.find(({ route }) => route === 'flaky');
  if (flaky?.manner.type !== 'well') return;
  const hours = random.chance(0.7) ? random.between(25, 40) : random.between(75, 90);
  const manner = random.pick<Manner>([{ type: 'reset' }, { type: 'status', status: 502 }]);
  await become(soak, flaky, manner, hours * HOUR);
}

async function answersLost(soak: Soak): Promise<void> {
  const target = pickTarget(soak);
  if (target === undefined) return;
  target.answersToLose = soak.station.random.between(1, 4);
  soak.note('answers of a target lost', `${target.answersToLose} of ${target.route}`);
  await soak.go(600, 30);
}

/** At the worst moment: the target has the delivery, and its answer is on the way. */
async function killedAtDelivery(soak: Soak): Promise<void> {
  const { random } = soak.station;
  const replica = await atNextDelivery(soak, (one) => {
    soak.note('replica killed while it delivered', one.name);
    soak.judge.allow(ALL, MINTS_PER_FAULT);
    crashReplica(one);
  });
  if (replica === undefined) return;
  await soak.go(random.pick([1, 20, 120, 600]), 5);
  await replaceReplica(soak, replica);
  await soak.go(60, 1);
}

async function frozenAtDelivery(soak: Soak): Promise<void> {
  const { random } = soak.station;
  const replica = await atNextDelivery(soak, (one) => {
    soak.note('replica frozen while it delivered', one.name);
    soak.judge.allow(ALL, MINTS_PER_FAULT);
    freezeReplica(one);
  });
  if (replica === undefined) return;
  await soak.go(random.pick([5, 25, 45, 70, 300]), 1);
  await thawReplica(soak, replica);
  await soak.go(90, 1);
}

/** Waits for a delivery to reach a target, and strikes before the answer leaves. */
async function atNextDelivery(
  soak: Soak,
  strike: (replica: Replica) => void,
): Promise<Replica | undefined> {
  const { station } = soak;
  const onArrival = station.targets?.onArrival ?? [];
  let struck: Replica | undefined;
  const hear = ({ replica: name }: Arrival) => {
    const replica = station.replicas.find((one) => one.name === name);
    if (struck !== undefined || replica?.state !== 'up') return;
    struck = replica;
    strike(replica);
  };
  onArrival.push(hear);
  for (let waited = 0; waited < PATIENCE && struck === undefined; waited += 30) {
    await soak.go(30, 30);
  }
  onArrival.splice(onArrival.indexOf(hear), 1);
  return struck;
}

export const TARGET_FAULTS: readonly Fault[] = [
  { name: 'target down', weight: 6, run: down },
  { name: 'target slow', weight: 3, run: slow },
  { name: 'target gone', weight: 1.5, run: gone },
  { name: 'target down for days', weight: 1, run: downForDays },
  { name: 'answers of a target lost', weight: 2, run: answersLost },
  { name: 'killed at delivery', weight: 2, run: killedAtDelivery },
  { name: 'frozen at delivery', weight: 2, run: frozenAtDelivery },
];

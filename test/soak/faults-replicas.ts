import type { Fault } from './faults.ts';
import type { Replica } from './replica.ts';
import {
  crashReplica,
  freezeReplica,
  replaceReplica,
  stopReplica,
  thawReplica,
} from './replicas.ts';
import type { Soak } from './soak.ts';
import { ALL, CODE, JSAPI, TOKEN } from './station.ts';

/** What happens to single processes and their clocks. */

/** Seconds until others mint what a dead holder may have minted: its intent, a patrol, the call. */
const AFTER_DEAD_HOLDER = 90;
const MINTS_PER_FAULT = 3;
/** Seconds until a mint comes along to strike at. */
const PATIENCE = 7_200;

async function restarted(soak: Soak): Promise<void> {
  const { random } = soak.station;
  const replica = random.pick(soak.up());
  const seconds = random.pick([1, 30, 600, 3_600]);
  soak.note('replica restarted', `${replica.name}, ${seconds} s away`);
  await stopReplica(soak, replica);
  await soak.go(seconds, seconds > 60 ? 30 : 1);
  await replaceReplica(soak, replica);
  await soak.go(30, 1);
}

async function deployed(soak: Soak): Promise<void> {
  soak.note('all replicas restarted, one after the other');
  for (const replica of soak.up()) {
    await stopReplica(soak, replica);
    await soak.go(5, 1);
    await replaceReplica(soak, replica);
    await soak.go(5, 1);
  }
}

async function crashed(soak: Soak): Promise<void> {
  const { random } = soak.station;
  const replica = random.pick(soak.up());
  soak.note('replica killed', replica.name);
  crash(soak, replica);
  await soak.go(random.pick([1, 30, 600]), 5);
  await replaceReplica(soak, replica);
  await soak.go(30, 1);
}

function crash({ judge }: Soak, replica: Replica): void {
  judge.allow(ALL, MINTS_PER_FAULT);
  crashReplica(replica);
}

/** At the worst moment: WeChat has minted and its answer is on the way. */
async function crashedAtMint(soak: Soak): Promise<void> {
  const replica = await atNextMint(soak, (one) => {
    soak.note('replica killed while it minted', one.name);
    soak.judge.excuse([TOKEN, CODE, JSAPI], 'holder died after mint', AFTER_DEAD_HOLDER);
    crash(soak, one);
  });
  if (replica === undefined) return;
  await soak.go(soak.station.random.pick([5, 120, 600]), 5);
  await replaceReplica(soak, replica);
  await soak.go(60, 1);
}

async function frozen(soak: Soak): Promise<void> {
  const { random } = soak.station;
  const replica = random.pick(soak.up());
  const seconds = random.pick([5, 25, 70, 300]);
  soak.note('replica frozen', `${replica.name} for ${seconds} s`);
  soak.judge.allow(ALL, MINTS_PER_FAULT);
  freezeReplica(replica);
  await soak.go(seconds, 5);
  await thawReplica(soak, replica);
  await soak.go(60, 1);
}

async function frozenAtMint(soak: Soak): Promise<void> {
  const replica = await atNextMint(soak, (one) => {
    soak.note('replica frozen while it minted', one.name);
    soak.judge.allow(ALL, MINTS_PER_FAULT);
    soak.judge.excuse([TOKEN, CODE, JSAPI], 'holder frozen after mint', AFTER_DEAD_HOLDER);
    freezeReplica(one);
  });
  if (replica === undefined) return;
  await soak.go(soak.station.random.pick([5, 15, 25, 45, 70, 300]), 1);
  await thawReplica(soak, replica);
  await soak.go(90, 1);
}

/** Waits for WeChat to mint for a replica, and strikes before the answer leaves. */
async function atNextMint(
  soak: Soak,
  strike: (replica: Replica) => void,
): Promise<Replica | undefined> {
  const { station } = soak;
  let struck: Replica | undefined;
  const hear: Soak['station']['onCall'][number] = (call) => {
    const isMint = ALL.some(({ api }) => api === call.api);
    const replica = station.replicas[call.host];
    if (struck !== undefined || !isMint || call.errcode !== 0 || replica?.state !== 'up') return;
    struck = replica;
    strike(replica);
  };
  station.onCall.push(hear);
  for (let waited = 0; waited < PATIENCE && struck === undefined; waited += 30) {
    await soak.go(30, 30);
  }
  station.onCall.splice(station.onCall.indexOf(hear), 1);
  return struck;
}

/** An operator or NTP sets the clock of one machine. */
async function wallClockJumps(soak: Soak): Promise<void> {
  const { random } = soak.station;
  const replica = random.pick(soak.up());
  const seconds = random.pick([-7_200, -600, -90, 90, 600, 7_200]);
  soak.note('wall clock of one replica wrong', `${replica.name} by ${seconds} s`);
  replica.clock.jump(seconds * 1_000);
  await soak.go(random.between(60, 3_600), 30);
  replica.clock.jump(-seconds * 1_000);
  await soak.go(30, 5);
}

export const REPLICA_FAULTS: readonly Fault[] = [
  { name: 'restarted', weight: 2, run: restarted },
  { name: 'deployed', weight: 1, run: deployed },
  { name: 'killed', weight: 2, run: crashed },
  { name: 'killed at mint', weight: 3, run: crashedAtMint },
  { name: 'frozen', weight: 2, run: frozen },
  { name: 'frozen at mint', weight: 3, run: frozenAtMint },
  { name: 'wall clock', weight: 1, run: wallClockJumps },
];

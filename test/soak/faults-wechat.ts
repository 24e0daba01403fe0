import type { ApiFault, FaultRule, PushFault } from '../../src/sandbox/wechat/faults.ts';
import type { Fault } from './faults.ts';
import type { Soak } from './soak.ts';
import { ACCESS, ALL, CODE, COMPONENT, JSAPI, TOKEN, type Kept } from './station.ts';

/** What WeChat and the way to it do wrong. */

/** Seconds after the end of an outage until everything is live: the longest wait near an expiry. */
const AFTER_OUTAGE = 60;
/** The same where each call may have minted: the budget may be spent, and allows a try in two minutes. */
const AFTER_DOUBTFUL_OUTAGE = 180;
/** Seconds until a token is minted again whose answer was lost: call, settling, round of a patrol. */
const AFTER_LOST_ANSWER = 60;
/** Seconds until a call that is not answered is given up, and one that follows it has been made. */
const GIVEN_UP_AFTER = 10;
/** Seconds of pause after the first failure in a row; each further one doubles it, up to the second. */
const PAUSE = { first: 5, most: 300 };
/** Mints a fault may cost, where a value is about to end or gone. */
const MINTS_PER_FAULT = 3;
const HOUR = 3_600;

const SPOILT: readonly ApiFault[] = [
  { type: 'hang' },
  { type: 'status', status: 502 },
  { type: 'status', status: 500, body: 'oops' },
  { type: 'html' },
  { type: 'truncate' },
  { type: 'truncate', close: true },
  { type: 'reset' },
  { type: 'body', body: '{"errcode":0,"errmsg":"ok"}' },
  { type: 'body', body: 'null' },
  { type: 'drip', bytesPerChunk: 4, everyMs: 1_000 },
  { type: 'delay', ms: 3_000 },
  { type: 'delay', ms: 12_000 },
  { type: 'large', bytes: 200_000 },
];
const BUSY: ApiFault = { type: 'errcode', errcode: -1 };
const OUTAGES: readonly ApiFault[] = [
  { type: 'hang' },
  { type: 'status', status: 503 },
  { type: 'reset' },
  { type: 'html' },
  BUSY,
];

/** Books what each spoilt call may cost, when it happens. */
export function watchCalls({ station, judge }: Soak): void {
  const failures = new Map<Kept, number>();
  station.onCall.push((call) => {
    const kept = ALL.find(({ api }) => api === call.api);
    if (kept === undefined) return;
    const inARow = call.fault === undefined ? 0 : (failures.get(kept) ?? 0) + 1;
    failures.set(kept, inARow);
    if (call.fault === undefined) return;
    // Several faults may have met: the next call comes after the longer a pause, the more have failed.
    const pause = Math.min(PAUSE.most, PAUSE.first * 2 ** (inARow - 1));
    // One that was handed out just then is missing until a call brings the next.
    if (kept === CODE) judge.excuse([CODE], 'handed out while calls fail', GIVEN_UP_AFTER + pause);
    // WeChat has minted and nobody knows the value: it may have ended the one that is stored.
    if (call.errcode !== 0) return;
    judge.allow([kept], MINTS_PER_FAULT);
    // A code that is missing just then has to wait for the token that it is asked for with.
    if (kept !== TOKEN) return;
    judge.excuse([TOKEN, CODE], 'answer lost after mint', AFTER_LOST_ANSWER + pause);
  });
}

/** @returns the function that takes it away again */
export function addRule({ station }: Soak, rule: FaultRule): () => void {
  const { simulator } = station;
  simulator.addFault(rule);
  const added = simulator.faults.at(-1);
  return () => {
    const rest = simulator.faults.filter((one) => one !== added);
    simulator.clearFaults();
    for (const one of rest) simulator.addFault(one);
  };
}

function pickKept({ station }: Soak): Kept {
  return station.random.pick([TOKEN, TOKEN, CODE, ACCESS, JSAPI]);
}

async function spoilNextCalls(soak: Soak): Promise<void> {
  const { random } = soak.station;
  const kept = pickKept(soak);
  const fault = random.pick([...SPOILT, BUSY]);
  const afterMint = random.chance(0.5);
  addRule(soak, { api: kept.api, times: random.between(1, 3), afterMint, fault });
  soak.judge.allow([kept], MINTS_PER_FAULT);
  soak.note('call spoilt', `${kept.api} ${fault.type} ${afterMint ? 'after mint' : ''}`);
  await soak.go(5, 5);
}

async function outage(soak: Soak): Promise<void> {
  const { random } = soak.station;
  const fault = random.pick(OUTAGES);
  // Minutes as often as hours.
  const seconds = Math.round(60 * 240 ** random.next());
  soak.note('WeChat down', `${fault.type} for ${seconds} s`);
  const excuse = soak.judge.open(ALL, 'WeChat down');
  const end = addRule(soak, { api: '*', times: 'forever', fault, afterMint: false });
  await soak.go(seconds, seconds > 900 ? 30 : 5);
  end();
  soak.judge.allow(ALL, MINTS_PER_FAULT);
  if (fault.type !== 'errcode') {
    soak.judge.excuse(ALL, 'budget spent in an outage', AFTER_DOUBTFUL_OUTAGE);
  }
  excuse.close(AFTER_OUTAGE);
  await soak.go(2 * AFTER_OUTAGE, 5);
}

async function oneReplicaCutOff(soak: Soak): Promise<void> {
  const { random } = soak.station;
  const replica = random.pick(soak.up());
  const seconds = random.between(30, 3_600);
  soak.note('one replica cut off from WeChat', `${replica.name} for ${seconds} s`);
  const silent = random.chance(0.5);
  replica.cutOff = true;
  if (silent) replica.wire.blackhole();
  else {
    replica.wire.refuse();
    replica.wire.reset();
  }
  // The other one must do it, but each try of this one may take its turn.
  const excuse = soak.judge.open(ALL, 'one replica cut off');
  soak.judge.allow(ALL, MINTS_PER_FAULT);
  await soak.go(seconds, 15);
  await replica.wire.heal();
  // What hangs is given up first.
  await soak.go(10, 1);
  replica.cutOff = false;
  excuse.close(AFTER_OUTAGE);
  await soak.go(2 * AFTER_OUTAGE, 5);
}

async function pushesGoWrong(soak: Soak): Promise<void> {
  const { random } = soak.station;
  const push: PushFault = random.pick([
    { skip: true },
    { twice: true },
    { lateMs: random.between(11 * 60, 30 * 60) * 1_000 },
    { stop: true },
  ]);
  soak.note(`push ${Object.keys(push).join()}`);
  const times = push.stop === true ? 1 : random.between(1, 3);
  addRule(soak, { push, times });
  await soak.go(600, 30);
}

/** WeChat says that it pushes, and does not. The stored ticket serves for 12 hours. */
async function pushesStop(soak: Soak): Promise<void> {
  const { station } = soak;
  const hours = station.random.between(1, 11);
  soak.note('pushes stopped for hours', String(hours));
  const body = '{"errcode":0,"errmsg":"ok"}';
  const end = addRule(soak, {
    api: 'api_start_push_ticket',
    times: 'forever',
    fault: { type: 'body', body },
  });
  station.simulator.setPushing(false);
  await soak.go(hours * HOUR, 30);
  end();
  station.simulator.setPushing(true);
  await soak.go(60, 5);
}

async function mintedElsewhere(soak: Soak): Promise<void> {
  const { station, judge } = soak;
  soak.note('minted elsewhere');
  // Nobody knows until a service is refused; and not at once when one was refused just before.
  const excuse = judge.open([TOKEN], 'minted elsewhere');
  judge.allow([TOKEN], 2);
  station.simulator.mintElsewhere('component_access_token', COMPONENT.appid);
  await soak.go(station.random.between(61, 120), 5);
  await reportDead(soak, TOKEN);
  excuse.close(10);
  await soak.go(30, 1);
}

async function reportedDead(soak: Soak): Promise<void> {
  const kept = soak.station.random.pick([TOKEN, ACCESS, JSAPI]);
  soak.note('reported dead', kept.id.kind);
  soak.judge.allow([kept], 2);
  await reportDead(soak, kept);
  await soak.go(30, 1);
}

export async function reportDead(soak: Soak, kept: Kept): Promise<void> {
  const replica = soak.chance.pick(soak.up());
  const path = `/v1/credentials/${kept.id.kind}/${kept.id.subject}`;
  const current = await soak.ask(replica, path);
  if (current?.seq === undefined) return;
  const body = { seq: current.seq, errcode: 40001 };
  const answer = await soak.ask(replica, `${path}/rejected`, { body });
  const outcome = answer?.outcome ?? String(answer?.status);
  soak.station.journal.note(`reported seq ${current.seq}, told ${outcome}`);
}

export const WECHAT_FAULTS: readonly Fault[] = [
  { name: 'call spoilt', weight: 10, run: spoilNextCalls },
  { name: 'WeChat down', weight: 4, run: outage },
  { name: 'one replica cut off', weight: 2, run: oneReplicaCutOff },
  { name: 'push', weight: 6, run: pushesGoWrong },
  { name: 'pushes stop', weight: 0.5, run: pushesStop },
  { name: 'minted elsewhere', weight: 0.3, run: mintedElsewhere },
  { name: 'reported dead', weight: 2, run: reportedDead },
];

import { createMerchants, type Merchants } from './merchants.ts';
import { FAULTS_WITHOUT_TARGETS } from '../soak/faults.ts';
import { watchCalls } from '../soak/faults-wechat.ts';
import { TODAY, type Version } from '../soak/former.ts';
import { replaceReplica, startReplica, stopReplica } from '../soak/replicas.ts';
import { createSoak, type Soak } from '../soak/soak.ts';
import { ACCESS, ALL, createStation, JSAPI, TOKEN } from '../soak/station.ts';

/** A rolling upgrade that takes its time: both versions work on one Redis, with a fault each hour. */
export interface UpgradeOptions {
  former: Version;
  /** Of both versions together. */
  hours: number;
  seed: number;
  verbose?: boolean;
}

const HOUR = 3_600;
/** Seconds of an hour before its fault, at most, and with which it must be long over at the end of it. */
const QUIET = 600;
/** Seconds without a fault, after which everything is at rest. */
const REST = 1_800;

/** @returns the soak with its violations; whoever calls it closes its station */
export async function upgrade(options: UpgradeOptions): Promise<Soak> {
  const { former, hours, seed, verbose = false } = options;
  const station = await createStation(seed, verbose, former);
  const soak = createSoak(station, seed);
  watchCalls(soak);
  const merchants = createMerchants(soak);
  try {
    await begin(soak);
    for (let hour = 0; hour < hours; hour += 1) await passHour(soak, merchants);
    await checkAtRest(soak, merchants);
    const [, last] = station.replicas;
    station.journal.note(`replica ${last.name} becomes this version`);
    await stopReplica(soak, last);
    last.version = TODAY;
    await replaceReplica(soak, last);
    await soak.go(HOUR, 30);
    await checkAtRest(soak, merchants);
    merchants.checkMints();
  } catch (error) {
    soak.judge.violate(
      `the run broke: ${error instanceof Error ? String(error.stack) : 'unknown'}`,
    );
  }
  return soak;
}

async function begin(soak: Soak): Promise<void> {
  const begun = soak.judge.open(ALL, 'before the first ticket');
  for (const replica of soak.station.replicas) await startReplica(soak, replica);
  await soak.go(1, 1);
  soak.station.simulator.setPushing(true);
  await soak.passing.settle();
  await soak.go(5, 5);
  begun.close(0);
}

async function passHour(soak: Soak, merchants: Merchants): Promise<void> {
  const { clock, random } = soak.station;
  const end = clock.monotonic() + HOUR * 1_000;
  await merchants.authorize();
  await soak.go(random.between(60, QUIET), 30);
  await merchants.checkKept();
  await random.pickWeighted(FAULTS_WITHOUT_TARGETS).run(soak);
  const left = (end - clock.monotonic()) / 1_000;
  await soak.go(Math.max(QUIET, left), 30);
  await merchants.checkKept();
}

async function checkAtRest(soak: Soak, merchants: Merchants): Promise<void> {
  const { redis, keys, simulator } = soak.station;
  await soak.go(REST, 30);
  await merchants.checkKept();
  await merchants.checkAtRest();
  for (const { id } of [TOKEN, ACCESS, JSAPI]) {
    const last = simulator.latestMint(id.kind)?.value;
    const { value } = await redis.hgetall(keys.record(id));
    if (value !== last) soak.judge.violate(`${id.kind}: what is stored is not the last minted`);
  }
}

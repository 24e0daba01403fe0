import { setTimeout as sleep } from 'node:timers/promises';
import { ask, until } from '../kit/redis-shapes/ask.ts';
import { startCluster, type ClusterShape } from '../kit/redis-shapes/cluster.ts';
import { startSentinel, type SentinelShape } from '../kit/redis-shapes/sentinel.ts';
import type { RedisShape, ShapeServer } from '../kit/redis-shapes/server.ts';
import { startSingle } from '../kit/redis-shapes/shapes.ts';
import { countFresh } from './deliveries.ts';
import { AUTHORIZERS, keys, PUSHED } from './platform.ts';
import type { Stage } from './stage.ts';

/** What goes wrong, or is done, in the midst of pushes, deliveries and refreshes. */
export interface Scenario {
  name: string;
  shape: 'sentinel' | 'cluster' | 'single';
  /** In both languages, for tables. */
  title: { en: string; zh: string };
  /** It may cost acknowledged pushes: those of its first two seconds. */
  mayLose?: boolean;
  /** Makes the shape; what it gives back does the fault, and resolves when all servers are in order again. */
  start(): Promise<{ shape: RedisShape; strike: Strike }>;
}

/** @param onTakeover to be called when the servers have another master */
export type Strike = (stage: Stage, onTakeover: () => void) => Promise<void>;

/** Milliseconds for which who was killed stays away; a former master, after another has taken over. */
const AWAY_MS = 5_000;
/** For which a slot stays half moved: `redis-cli` is as fast as the keys are few. */
const HALF_MOVED_MS = 500;
const HELD_MS = 5_000;
/** Deliveries that nobody has begun with when something dies. */
const BEHIND = 20;

interface Outage {
  begin(master: ShapeServer): Promise<void> | void;
  end(master: ShapeServer): Promise<void> | void;
}

const KILLED: Outage = { begin: (master) => master.kill(), end: (master) => master.start() };
const PAUSED: Outage = { begin: (master) => master.pause(), end: (master) => master.resume() };
const CUT: Outage = {
  begin: (master) => master.network?.blackhole(),
  end: (master) => master.network?.heal(),
};

/** Until another master has taken over, and for a while longer. */
async function outage(
  { begin, end }: Outage,
  masterNow: () => Promise<ShapeServer>,
  onTakeover: () => void,
): Promise<void> {
  const master = await masterNow();
  await begin(master);
  await until('another master takes over', async () => (await masterNow()) !== master);
  onTakeover();
  await sleep(AWAY_MS);
  await end(master);
}

function ofSentinel(
  name: string,
  title: Scenario['title'],
  fault: (shape: SentinelShape, onTakeover: () => void) => Promise<unknown>,
  { mayLose = false, proxies = false } = {},
): Scenario {
  return {
    name: `sentinel-${name}`,
    shape: 'sentinel',
    title,
    mayLose,
    async start() {
      const shape = await startSentinel({ proxies });
      const strike: Strike = (_stage, onTakeover) =>
        fault(shape, onTakeover).then(() => shape.settled());
      return { shape, strike };
    },
  };
}

function ofCluster(
  name: string,
  title: Scenario['title'],
  fault: (shape: ClusterShape, onTakeover: () => void) => Promise<unknown>,
): Scenario {
  return {
    name: `cluster-${name}`,
    shape: 'cluster',
    title,
    async start() {
      const shape = await startCluster();
      const strike: Strike = (_stage, onTakeover) =>
        fault(shape, onTakeover).then(() => shape.settled());
      return { shape, strike };
    },
  };
}

/** What it holds outlives its process, as that of a production must. */
function ofSingle(
  name: string,
  title: Scenario['title'],
  fault: (shape: RedisShape, stage: Stage) => Promise<void>,
): Scenario {
  return {
    name,
    shape: 'single',
    title,
    async start() {
      const shape = await startSingle({ appendOnly: true });
      return { shape, strike: (stage) => fault(shape, stage) };
    },
  };
}

/** Whoever has acknowledged what waits is gone then, and so is who was delivering. */
async function killReplica(_shape: RedisShape, stage: Stage): Promise<void> {
  const { application, replicas } = stage;
  await holdDeliveries(stage);
  await replicas[1].kill();
  await until('its deliveries are given up', () => Promise.resolve(application.abandoned() > 0));
  application.release();
  await sleep(AWAY_MS);
  await replicas[1].start();
}

/** What is answered while Redis is away is noted when it is back. */
async function restart({ servers }: RedisShape, stage: Stage): Promise<void> {
  await holdDeliveries(stage);
  for (const server of servers) await server.kill('SIGTERM');
  stage.application.release();
  await sleep(AWAY_MS);
  for (const server of servers) await server.start();
}

/** Resolves when as many are under way as may be, and others wait behind them. */
async function holdDeliveries(stage: Stage): Promise<void> {
  stage.application.hold();
  await until('deliveries wait', async () => (await countFresh(stage)) >= BEHIND);
}

/** The master takes no writes until all have left it; longer than a failover takes. */
async function failOverHeld(shape: SentinelShape, onTakeover: () => void): Promise<void> {
  await ask(await shape.master(), 'CLIENT', 'PAUSE', HELD_MS, 'WRITE');
  await failOver(shape, onTakeover);
}

async function failOver(shape: SentinelShape, onTakeover: () => void): Promise<void> {
  await shape.failover();
  onTakeover();
}

/** The shard that is pushed to. */
const masterOfPushed = (shape: ClusterShape) => shape.masterOf(keys.events(PUSHED.appid));

/** Of the pushed platform, and of every authorizer that is on the same server. */
async function slotsThere(shape: ClusterShape): Promise<number[]> {
  const there = await masterOfPushed(shape);
  const slots = [await shape.slotOf(keys.events(PUSHED.appid))];
  for (const { appid } of AUTHORIZERS) {
    const slot = await shape.slotOf(`{${appid}}`);
    if ((await shape.masterOf(slot)) === there) slots.push(slot);
  }
  return [...new Set(slots)];
}

async function moveSlot(shape: ClusterShape): Promise<void> {
  const from = await masterOfPushed(shape);
  const to = (await shape.masters()).find((master) => master !== from);
  if (to === undefined) throw new Error('there is no other master');
  for (const slot of await slotsThere(shape)) {
    await shape.moveSlot(slot, to, () => sleep(HALF_MOVED_MS));
  }
}

async function addNode(shape: ClusterShape): Promise<void> {
  const node = await shape.addNode();
  for (const slot of await slotsThere(shape)) await shape.moveSlot(slot, node);
}

const PLANNED = { en: 'planned failover', zh: '计划内切换' };
const KILL = { en: 'master killed (`kill -9`)', zh: '主节点被杀（`kill -9`）' };
const PAUSE = {
  en: 'master paused (`SIGSTOP`), resumed later',
  zh: '主节点被暂停（`SIGSTOP`），稍后恢复',
};
const RESTARTED = { en: 'stopped, started again after 5 s', zh: '停止，5 秒后重新启动' };
const REPLICA_KILLED = {
  en: 'replica of wxkeeper killed (`kill -9`), started again after 5 s',
  zh: 'wxkeeper 的一个副本被杀（`kill -9`），5 秒后重新启动',
};

export const SCENARIOS: readonly Scenario[] = [
  ofSentinel('planned', PLANNED, failOver, { mayLose: true }),
  ofSentinel(
    'held',
    {
      en: 'planned failover, writes held before (`CLIENT PAUSE 5000 WRITE`)',
      zh: '计划内切换，之前先暂停写入（`CLIENT PAUSE 5000 WRITE`）',
    },
    failOverHeld,
  ),
  ofSentinel('killed', KILL, (shape, onTakeover) =>
    outage(KILLED, () => shape.master(), onTakeover),
  ),
  ofSentinel('paused', PAUSE, (shape, onTakeover) =>
    outage(PAUSED, () => shape.master(), onTakeover),
  ),
  ofSentinel(
    'cut',
    { en: 'network of the master cut, nothing answers', zh: '主节点断网，毫无应答' },
    (shape, onTakeover) => outage(CUT, () => shape.master(), onTakeover),
    { proxies: true },
  ),
  ofCluster('planned', PLANNED, async (shape, onTakeover) => {
    await shape.failover(await masterOfPushed(shape));
    onTakeover();
  }),
  ofCluster('killed', KILL, (shape, onTakeover) =>
    outage(KILLED, () => masterOfPushed(shape), onTakeover),
  ),
  ofCluster('paused', PAUSE, (shape, onTakeover) =>
    outage(PAUSED, () => masterOfPushed(shape), onTakeover),
  ),
  ofCluster('slot', { en: 'slots moved', zh: '迁移 slot' }, moveSlot),
  ofCluster('node', { en: 'node added, slots moved to it', zh: '新增节点并迁入 slot' }, addNode),
  ofSingle('redis-restarted', RESTARTED, restart),
  ofSingle('replica-killed', REPLICA_KILLED, killReplica),
];

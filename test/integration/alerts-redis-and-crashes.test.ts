import type { Redis } from 'ioredis';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { startRedisServer } from '../../src/sandbox/redis/launch.ts';
import { createAlerts, type Alerts } from '../../src/alerts/alerts.ts';
import type { SnapshotContext, StoredStatus } from '../../src/status/context.ts';
import { noteReplica } from '../../src/store/operations/replicas.ts';
import type { Store } from '../../src/store/redis/store.ts';
import { loseReplica, ROUND, statuses, toldOf } from '../kit/alerting.ts';
import { createManualClock, type ManualClock } from '../kit/clock.ts';
import { createTestPlatform, MINUTE } from '../kit/platform.ts';
import { becomes } from '../kit/redis-trouble.ts';
import { createTestStore } from '../kit/store.ts';
import { createTcpProxy } from '../kit/tcp-proxy.ts';
import { POLLING } from '../kit/waiting.ts';
import { createWebhookReceiver, type WebhookReceiver } from '../kit/webhook-receiver.ts';
import type { ReconcileProgress } from '../../src/authorizers/reconciliation/runner.ts';
import { KeeperError } from '../../src/lib/errors.ts';
import { createLog } from '../../src/lib/log.ts';
import { Writable } from 'node:stream';

const silentLog = createLog({
  level: 'error',
  stream: new Writable({ write: (_c, _e, done) => done() }),
});

const NO_RECONCILIATION: ReconcileProgress = {
  state: 'never',
  cause: null,
  started_at: null,
  offset: 0,
  total: null,
  restored: 0,
  missing: 0,
  calls: 0,
  last_completed_at: null,
  requested_at: null,
  last_error: null,
};

/** Messages are neither lost nor doubled when replicas die, and told when Redis is away. */
describe('alerts without somebody', () => {
  const open: { close(): unknown }[] = [];
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one.close();
  });

  function replicaOf(
    store: Store,
    clock: ManualClock,
    receiver: WebhookReceiver,
    replica: string,
    more: Partial<Pick<StoredStatus, 'components' | 'reconciliation'>> = {},
  ) {
    const context: SnapshotContext = {
      store,
      clock,
      windowMs: 900_000,
      components: [],
      accounts: [],
      publicBaseUrl: undefined,
      routes: [],
      layouts: [],
      refreshesPerSecond: 50,
      reconciliation: () => Promise.reject(new Error('there are no components')),
      self: {
        replica,
        version: '0',
        startedAt: clock.now(),
        jobs: [],
        ticketsWaiting: () => [],
        nextTick: () => undefined,
        selfTest: () => undefined,
        writeRefused: () => Promise.resolve(),
        clockSkew: () => ({ processVsRedis: 0, processVsWechat: null, wrong: false }),
      },
      ...more,
    };
    const webhook = { url: receiver.url, kind: 'json', secret: undefined, language: 'en' } as const;
    const options = { store, clock, log: silentLog, webhooks: [webhook], context };
    return createAlerts({ ...options, replica, version: '0' });
  }

  async function world() {
    const store = createTestStore();
    const { clock } = store;
    const receiver = await createWebhookReceiver('json', { clock });
    open.push(receiver, store);
    const round = async (...replicas: Alerts[]) => {
      const settle = async () => {
        for (const one of replicas) await one.idle();
      };
      await clock.advance(ROUND, settle);
      const now = clock.simulatedStoreNow();
      const moments = { startedAt: now - 2 * 3_600_000, seenAt: now, stoppedAt: undefined };
      await noteReplica(store, { id: 'watcher', host: 'host', version: '0', ...moments });
      for (const one of replicas) await one.check();
      await settle();
    };
    return { store, clock, receiver, round };
  }

  it('a replica that dies between writing down and sending: another sends within a minute, once', async () => {
    const { store, clock, receiver, round } = await world();
    const doomed = replicaOf(dyingAfterSave(store), clock, receiver, 'doomed');
    const one = replicaOf(store, clock, receiver, 'one');
    const two = replicaOf(store, clock, receiver, 'two');
    await round(doomed, one, two);
    await loseReplica({ store, clock }, 'lost-1');
    void doomed.check();
    await vi.waitFor(async () =>
      expect((await store.redis.hkeys(store.keys.alerts)).join()).toContain('owed|'),
    );
    const died = clock.now();
    for (let rounds = 0; rounds < 8; rounds += 1) await round(one, two);
    expect(statuses(receiver.messages)).toEqual(['firing']);
    expect((receiver.messages[0]?.at ?? 0) - died).toBeLessThanOrEqual(MINUTE);
    expect((await store.redis.hkeys(store.keys.alerts)).join()).not.toContain('owed|');
  });

  it('a replica that stops hands over at once', async () => {
    const { store, clock, receiver, round } = await world();
    const one = replicaOf(store, clock, receiver, 'one');
    const two = replicaOf(store, clock, receiver, 'two');
    await round(one, two);
    await one.stop();
    await loseReplica({ store, clock }, 'lost-1');
    await round(two);
    expect(statuses(receiver.messages)).toEqual(['firing']);
    expect(receiver.messages[0]?.body.replica).toBe('two');
  });

  it('a replica that lost its turn while a webhook was down leaves the message to the next', async () => {
    const { store, clock, receiver, round } = await world();
    const one = replicaOf(store, clock, receiver, 'one');
    const two = replicaOf(store, clock, receiver, 'two');
    await round(one, two);
    receiver.behave('fails');
    await loseReplica({ store, clock }, 'lost-1');
    await round(one, two);
    // It sleeps, so another takes over; then both are there again.
    for (let rounds = 0; rounds < 4; rounds += 1) await round(two);
    await round(one, two);
    receiver.behave('ok');
    for (let rounds = 0; rounds < 8; rounds += 1) await round(one, two);
    expect(statuses(receiver.messages)).toEqual(['firing']);
  });

  it('a replica that another has replaced between looking and writing says nothing', async () => {
    const { store, clock, receiver, round } = await world();
    const slow = replicaOf(replacedBeforeSave(store, 'two'), clock, receiver, 'slow');
    const two = replicaOf(store, clock, receiver, 'two');
    await round(slow);
    await loseReplica({ store, clock }, 'lost-1');
    await round(slow);
    expect(statuses(receiver.messages)).toEqual([]);
    await round(two, slow);
    expect(statuses(receiver.messages)).toEqual(['firing']);
    expect(receiver.messages[0]?.body.replica).toBe('two');
  });

  it('a Redis that answers, but not what is asked, is told, and nothing ends by that', async () => {
    const { store, clock, receiver, round } = await world();
    let broken = false;
    const appid = 'wx0123456789abcdef';
    const one = replicaOf(store, clock, receiver, 'one', {
      components: [{ appid, previousKeySet: false, previousTokenSet: false }],
      reconciliation: (): Promise<ReconcileProgress> =>
        broken
          ? Promise.reject(new KeeperError('store_unavailable', 'Redis refuses.'))
          : Promise.resolve(NO_RECONCILIATION),
    });
    await round(one);
    await loseReplica({ store, clock }, 'lost-1');
    await round(one);
    broken = true;
    for (let rounds = 0; rounds < 8; rounds += 1) await round(one);
    broken = false;
    for (let rounds = 0; rounds < 8; rounds += 1) await round(one);
    const told = receiver.messages.map(({ body }) => `${String(body.code)} ${String(body.status)}`);
    expect(told.filter((text) => !text.startsWith('credential_dead'))).toEqual([
      'replica_lost firing',
      'store_unavailable firing',
      'store_unavailable resolved',
    ]);
  });

  it('what Redis loses, the next one remembers: no beginning twice, and the end is told', async () => {
    const { store, clock, receiver, round } = await world();
    const one = replicaOf(store, clock, receiver, 'one');
    const two = replicaOf(store, clock, receiver, 'two');
    await loseReplica({ store, clock }, 'lost-1');
    await loseReplica({ store, clock }, 'lost-2');
    await round(one, two);
    receiver.behave('fails');
    await loseReplica({ store, clock }, 'lost-3');
    await round(one, two);
    await store.redis.del(store.keys.alerts);
    await loseReplica({ store, clock }, 'lost-1', true);
    // The other one comes first.
    await round(two, one);
    receiver.behave('ok');
    for (let rounds = 0; rounds < 7; rounds += 1) await round(two, one);
    const told = receiver.messages.map(({ body }) => `${String(body.kind)} ${String(body.status)}`);
    expect(told.sort()).toEqual([
      'lost-1 firing',
      'lost-1 resolved',
      'lost-2 firing',
      'lost-3 firing',
    ]);
  });

  it('what somebody spoiled in Redis, or another version wrote, stops nothing', async () => {
    const { store, clock, receiver, round } = await world();
    const one = replicaOf(store, clock, receiver, 'one');
    await store.redis.set(store.keys.alerts, 'spoiled');
    await loseReplica({ store, clock }, 'lost-1');
    await round(one);
    expect(statuses(receiver.messages)).toEqual(['firing']);
    await store.redis.hset(store.keys.alerts, { 'problem|x|y|z': '{', 'owed|a|b': '7', odd: '' });
    await loseReplica({ store, clock }, 'lost-2');
    await round(one);
    expect(statuses(receiver.messages)).toEqual(['firing', 'firing']);
    expect((await store.redis.hkeys(store.keys.alerts)).join()).not.toMatch(/x\|y|owed|odd/);
  });

  it('each replica tells that it cannot reach Redis, and that it can again; nothing else ends by that', async () => {
    const clock = createManualClock();
    const receiver = await createWebhookReceiver('json', { clock });
    const redis = await startRedisServer({ listen: 'port' });
    const proxy = await createTcpProxy({ port: redis.port ?? 0 });
    open.push({ close: () => redis.stop() }, proxy, receiver);
    const env = { ALERT_WEBHOOK_URL: receiver.url };
    const platform = await createTestPlatform({ clock, env, redisUrl: proxy.url('redis') });
    open.push(platform);
    platform.redis.on('error', () => undefined);
    await platform.addReplica();
    await platform.simulator.pushTicket();
    await platform.pass(1.5 * MINUTE);
    await loseReplica(platform, 'lost-1');
    await platform.pass(ROUND);
    expect(statuses(toldOf(receiver, 'replica_lost'))).toEqual(['firing']);

    proxy.refuse();
    proxy.reset();
    await becomes(platform, 503);
    await platform.pass(20_000);
    const told = () => toldOf(receiver, 'store_unavailable');
    expect(told()).toEqual([]);
    await platform.pass(2 * ROUND);
    expect(statuses(told())).toEqual(['firing', 'firing']);
    expect(new Set(told().map(({ body }) => body.replica)).size).toBe(2);
    expect(told()[0]?.body).toMatchObject({
      severity: 'critical',
      title: 'Redis cannot be reached',
    });
    await platform.pass(2 * MINUTE);
    expect(told()).toHaveLength(2);
    await proxy.heal();
    await becomes(platform, 200);
    await vi.waitFor(async () => {
      await platform.pass(ROUND);
      expect(statuses(told())).toEqual(['firing', 'firing', 'resolved', 'resolved']);
    }, POLLING);
    expect(statuses(toldOf(receiver, 'replica_lost'))).toEqual(['firing']);
    // Nor do they miss each other.
    await platform.pass(2 * MINUTE);
    expect(toldOf(receiver, 'replica_lost').map(({ body }) => body.kind)).toEqual(['lost-1']);
  });
});

/** A process that is so slow that another one has become the teller before it writes. */
function replacedBeforeSave(store: Store, by: string): Store {
  const redis = new Proxy(store.redis, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (name !== 'evalsha' && name !== 'eval') {
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      }
      return async (...args: Parameters<Redis['evalsha']>) => {
        const saves = args.some((one) => String(one).includes('owed|'));
        if (saves) await target.hset(store.keys.alerts, 'teller', by);
        return target[name](...args);
      };
    },
  });
  return { ...store, redis };
}

/** A process that is killed as soon as Redis has taken what it owes: it hears nothing any more. */
function dyingAfterSave(store: Store): Store {
  const redis = new Proxy(store.redis, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (name !== 'evalsha' && name !== 'eval') {
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      }
      return async (...args: Parameters<Redis['evalsha']>) => {
        const answer: unknown = await target[name](...args);
        if (args.some((one) => String(one).includes('owed|'))) await new Promise(() => undefined);
        return answer;
      };
    },
  });
  return { ...store, redis };
}

import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { createCopyVerifier } from '../../src/credentials/verify-local-copies.ts';
import { createLocalCopies } from '../../src/credentials/local-copy.ts';
import { createDueRefresher } from '../../src/credentials/refresh-due.ts';
import {
  authorizerToken,
  grantAuthorization,
  revokeAuthorization,
} from '../../src/store/authorizers/authorization.ts';
import { planCheck } from '../../src/store/authorizers/due-queue.ts';
import { readRecord } from '../../src/store/credentials/record.ts';
import { mergeAuthorizer, readAuthorizer } from '../../src/store/authorizers/profile.ts';
import { restoreRecord } from '../../src/store/credentials/restore.ts';
import { CLOCK_START as NOW } from '../kit/clock.ts';
import { accountOf } from '../kit/exchanging.ts';
import { AUTHORIZER, COMPONENT } from '../kit/platform.ts';
import { createTestStore, LIFE, type TestStore } from '../kit/store.ts';

/** What must not end an authorization that stands, step by step on the real Redis. */

const ID = authorizerToken(COMPONENT.appid, AUTHORIZER);
const REFRESH_TOKEN = 'refreshtoken@@@stands';

let store: TestStore;
beforeEach(() => {
  store = createTestStore();
});
afterEach(() => store.close());

/** An exchange of a code has brought this. */
const grant = (authorizedAt: number, value: string, refreshToken?: string) =>
  grantAuthorization(store, ID, {
    refreshToken,
    authorizedAt,
    token: {
      operation: `exchange:${value}`,
      value,
      lifeMs: LIFE,
      ageMs: 0,
      doubtful: false,
      reason: 'authorized:exchanged',
      replica: 'tests',
    },
  });

describe('a failover that has lost a new authorization, but not the end of the one before', () => {
  it('memory brings the new one back, and the old tombstone goes', async () => {
    await grant(NOW - 2000, 'new', REFRESH_TOKEN);
    const remembered = await readRecord(store, ID);
    await store.redis.del(store.keys.record(ID), store.keys.mirror(ID));
    await revokeAuthorization(store, ID, NOW - 5000);
    await store.redis.hset(store.keys.record(ID), 'reauthorize_at', NOW - 6000);

    expect(await restoreRecord(store, ID, remembered, false)).toBe('restored');
    expect(await readRecord(store, ID)).toMatchObject({
      authorizedAt: NOW - 2000,
      revokedAt: undefined,
      reauthorizeAt: undefined,
      refreshToken: REFRESH_TOKEN,
      value: 'new',
      mirror: 'new',
    });
  });
});

describe('a code of an older authorization that is exchanged late', () => {
  it('changes nothing, but has ended the stored token: one more mint settles it', async () => {
    await grant(NOW - 2000, 'new', REFRESH_TOKEN);
    expect(await grant(NOW - 5000, 'old', 'refreshtoken@@@old')).toBe('older');
    expect(await readRecord(store, ID)).toMatchObject({
      value: 'new',
      refreshToken: REFRESH_TOKEN,
      authorizedAt: NOW - 2000,
      suspect: true,
    });
  });

  it('brings nothing back that has ended', async () => {
    await revokeAuthorization(store, ID, NOW - 2000);
    expect(await grant(NOW - 5000, 'old', 'refreshtoken@@@old')).toBe('older');
    expect(await readRecord(store, ID)).toMatchObject({
      value: undefined,
      refreshToken: undefined,
      revokedAt: NOW - 2000,
      suspect: false,
    });
  });
});

describe('an exchange whose answer lacks the refresh token', () => {
  it('leaves the stored one: it is never replaced by an empty one', async () => {
    await grant(NOW - 5000, 'first', REFRESH_TOKEN);
    expect(await grant(NOW - 2000, 'second')).toBe('granted');
    expect(await readRecord(store, ID)).toMatchObject({
      value: 'second',
      refreshToken: REFRESH_TOKEN,
      authorizedAt: NOW - 2000,
    });
  });

  it('does not bring that of an ended authorization back', async () => {
    await grant(NOW - 5000, 'first', REFRESH_TOKEN);
    await revokeAuthorization(store, ID, NOW - 4000);
    expect(await grant(NOW - 2000, 'second')).toBe('granted');
    expect((await readRecord(store, ID)).refreshToken).toBeUndefined();
  });
});

describe('an entry of the list that a person has spoiled', () => {
  it('does not stop what is written about the account', async () => {
    const { authorizers } = store.keys;
    for (const stateAt of ['null', '"yesterday"']) {
      const spoiled = `{"state":"revoked","state_at":${stateAt}}`;
      await store.redis.hset(authorizers(COMPONENT.appid), AUTHORIZER, spoiled);
      const change = { state: 'authorized', stateAt: NOW } as const;
      await mergeAuthorizer(store, COMPONENT.appid, AUTHORIZER, change);
      expect(await readAuthorizer(store, COMPONENT.appid, AUTHORIZER)).toMatchObject(change);
    }
  });
});

describe('the round over all authorizers after Redis was away', () => {
  it('is done another time when Redis falls silent in the middle of it', async () => {
    const { clock, time, redis } = store;
    await grant(NOW - 2000, 'new', REFRESH_TOKEN);
    const record = await readRecord(store, ID);
    const memory = createLocalCopies(clock, time);
    const ids = Array.from({ length: 600 }, (_, number) =>
      authorizerToken(COMPONENT.appid, accountOf(number)),
    );
    for (const id of ids) memory.remember(id, record);
    const looked = new Set<string>();
    let seen = 0;
    const look = ({ subject }: { subject: string }) => Promise.resolve(looked.add(subject));
    const silent = new Redis(inject('redisUrl'));
    const halfway = { ...store, redis };
    const rota = createCopyVerifier(halfway, memory, async (id) => {
      await look(id);
      if (looked.size === 250 && looked.size > seen) halfway.redis = silent;
      seen = looked.size;
    });
    silent.disconnect();
    rota.restart();
    await expect(rota.next()).rejects.toThrow('Redis');
    expect(looked.size).toBe(250);
    halfway.redis = redis;
    await rota.next();
    expect(looked.size).toBe(600);
  });
});

describe('thousands of authorizers of one platform that are due at once', () => {
  it('do not keep those of another platform waiting', async () => {
    const other = 'wxfedcba9876543210';
    for (let number = 0; number < 200; number += 1) {
      await planCheck(store, authorizerToken(COMPONENT.appid, accountOf(number)), NOW - 1000);
    }
    await planCheck(store, authorizerToken(other, AUTHORIZER), NOW);
    const looked: string[] = [];
    const components = [COMPONENT.appid, other].map((appid) => ({ appid, appsecret: '' }));
    const pace = { perSecond: 1e6, burst: 1e6 };
    const subjects = { components, accounts: [] };
    const sweeper = createDueRefresher(
      { store, clock: store.clock, subjects, rateLimit: pace },
      ({ subject }) => {
        looked.push(subject);
        return Promise.resolve({ did: 'nothing_due', until: NOW, dueAt: NOW });
      },
    );
    await sweeper.refreshDue('authorizer_access_token', 'patrol');
    expect(looked).toHaveLength(201);
    expect(looked.indexOf(`${other}:${AUTHORIZER}`)).toBeLessThan(50);
  });
});

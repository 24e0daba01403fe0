import { afterEach, describe, expect, it } from 'vitest';
import type { EncryptionKey } from '../../src/config/formats.ts';
import { readRecord } from '../../src/store/credentials/record.ts';
import { createTokenEncryption } from '../../src/store/redis/token-encryption.ts';
import { authorizationOf, authorize, AUTHORIZED, mintsFor } from '../kit/authorizers.ts';
import {
  addReplicaWithKeys,
  CANNOT,
  createEncryptingPlatform,
  everythingIn,
  keysThatHold,
  NEW,
  OLD,
  OTHER,
  type Replica,
} from '../kit/encrypted-tokens.ts';
import { logged, read } from '../kit/observe.ts';
import { HOUR, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { remove } from '../kit/redis-shapes/whole.ts';
import { secondsUntil } from '../kit/waiting.ts';

/** From one mint to the next, and a little. */
const ONE_LIFE = 2 * HOUR;

let platform: TestPlatform;
afterEach(async () => {
  await platform.close();
});

async function start(...keys: readonly EncryptionKey[]): Promise<void> {
  platform = await createEncryptingPlatform(...keys);
}

const record = () => platform.redis.hgetall(platform.keys.record(AUTHORIZED));
const sealedBy = async () => (await authorizationOf(platform)).refreshToken?.split(':')[2];

interface Problem {
  code: string;
  message: string;
  advice: string;
}

async function problems(): Promise<Problem[]> {
  const answer = await platform.internal('/status');
  return ((await answer.json()) as { problems: Problem[] }).problems;
}

describe('a sealed refresh token', () => {
  it('is nowhere in Redis as it is, whatever happens to it, and is refreshed with', async () => {
    await start(OLD);
    const first = await authorize(platform, AUTHORIZED, { rotating: true });
    const second = await authorize(platform, OTHER);
    await platform.skip(ONE_LIFE);
    expect(mintsFor(platform)).toHaveLength(3);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200, state: 'fresh' });
    const { refreshToken: now } = await readRecord(
      { ...platform.store, encryption: createTokenEncryption([OLD]) },
      AUTHORIZED,
    );
    expect(now).not.toBe(first);
    for (const plain of [first, second, now ?? '']) {
      expect(plain).toMatch(/^refreshtoken@@@/);
      expect(await keysThatHold(platform, plain)).toEqual([]);
    }
    expect(await keysThatHold(platform, 'refreshtoken@@@')).toEqual([]);
    expect(await keysThatHold(platform, OLD.key)).toEqual([]);
    expect(await keysThatHold(platform, 'sealed:v1:old:')).toHaveLength(3);
    expect(JSON.stringify(platform.logs)).not.toContain(OLD.key);
  });

  it('would be found by the same search if it were not sealed', async () => {
    await start();
    const plain = await authorize(platform);
    await platform.pass(MINUTE);
    expect(await keysThatHold(platform, plain)).toEqual([platform.keys.record(AUTHORIZED)]);
    expect(await platform.redis.exists(platform.keys.sealKeys)).toBe(0);
  });

  it('is sealed again when a replica gives it back to a Redis that was emptied', async () => {
    await start(OLD);
    const plain = await authorize(platform);
    await platform.pass(MINUTE);
    const { value } = await read(platform, AUTHORIZED);
    await remove(platform.redis, [...(await everythingIn(platform)).keys()]);
    const back = async () => {
      expect(await sealedBy()).toBe('old');
      expect(await platform.redis.hkeys(platform.keys.sealKeys)).toEqual(['old']);
    };
    expect(await secondsUntil(platform, 90, back)).toBeGreaterThan(0);
    expect(await keysThatHold(platform, plain)).toEqual([]);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200, value });
    expect(await readRecord({ ...platform.store }, AUTHORIZED)).toMatchObject({
      refreshToken: plain,
    });
  });

  it('row 151: does not open in the record of another account, blocks only that one, and says why', async () => {
    await start(OLD);
    await authorize(platform, AUTHORIZED);
    await authorize(platform, OTHER);
    await platform.pass(MINUTE);
    const { refreshToken: moved = '' } = await authorizationOf(platform, OTHER);
    await platform.redis.hset(platform.keys.record(AUTHORIZED), 'refresh_token', moved);
    await platform.pass(ONE_LIFE);
    expect(await read(platform, AUTHORIZED)).toMatchObject({
      status: 503,
      error: {
        code: 'sealed_unreadable',
        message: expect.stringContaining('sealed for another account') as string,
      },
    });
    expect(await read(platform, OTHER)).toMatchObject({ status: 200, state: 'fresh' });
    expect(mintsFor(platform)).toHaveLength(2);
    expect((await authorizationOf(platform)).refreshToken).toBe(moved);
    expect(logged(platform, CANNOT)).toMatchObject([
      { level: 'error', accounts: [AUTHORIZED.subject] },
    ]);
    const [problem] = (await problems()).filter(({ code }) => code === 'seal_key_wrong');
    expect(problem?.message).toContain('one token was sealed for another account or altered');
    expect(problem?.advice).toContain('No key is missing');
    // Who sees the status may not see this account.
    expect(problem?.message).not.toContain(AUTHORIZED.subject.slice(-18));
    expect(await problems()).toContainEqual(
      expect.objectContaining({
        code: 'seal_key_wrong',
        message: expect.stringContaining('old') as string,
      }),
    );

    await authorize(platform);
    await platform.pass(5 * MINUTE);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200, state: 'fresh' });
    expect(logged(platform, 'refresh tokens can be opened again')).toHaveLength(1);
    expect((await problems()).map(({ code }) => code)).not.toContain('seal_key_wrong');
  });

  it('that does not open is not overwritten from memory, though that is newer', async () => {
    await start(OLD);
    // The list would bring the authorization of which the text below is made to be the former one.
    platform.simulator.addFault({
      api: 'api_get_authorizer_list',
      times: 'forever',
      fault: { type: 'errcode', errcode: -1 },
    });
    await authorize(platform);
    await platform.pass(MINUTE);
    const foreign = createTokenEncryption([NEW]).seal(
      'refreshtoken@@@of another key',
      AUTHORIZED.subject,
    );
    const authorizedAt = Number((await record()).authorized_at) - HOUR;
    await platform.redis.hset(platform.keys.record(AUTHORIZED), {
      refresh_token: foreign,
      authorized_at: authorizedAt,
    });
    await platform.pass(5 * MINUTE);
    expect(await record()).toMatchObject({ refresh_token: foreign });
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200 });

    // It is given back as it was found, for whoever has the key.
    await remove(platform.redis, [...(await everythingIn(platform)).keys()]);
    const back = async () => expect(await record()).toMatchObject({ refresh_token: foreign });
    expect(await secondsUntil(platform, 90, back)).toBeGreaterThan(0);
  });
});

describe('switching it on', () => {
  it('seals each token that is there at its next refresh', async () => {
    await start();
    const plain = await authorize(platform);
    await platform.pass(MINUTE);
    await platform.app.stop();
    const replica = await addReplicaWithKeys(platform, OLD);
    expect(await replica.read()).toMatchObject({ status: 200 });
    expect(await keysThatHold(platform, plain)).toEqual([platform.keys.record(AUTHORIZED)]);
    await platform.skip(ONE_LIFE);
    expect(mintsFor(platform)).toHaveLength(3);
    expect(await sealedBy()).toBe('old');
    expect(await keysThatHold(platform, plain)).toEqual([]);
    expect(await replica.read()).toMatchObject({ status: 200 });
  });
});

describe('row 151: a token that is not sealed although it should be', () => {
  const PLAIN = /^refresh tokens are stored as they are/;
  const said = () => platform.logs.filter(({ message }) => PLAIN.test(message));
  const unsealed = async () =>
    (await problems()).filter(({ code }) => code === 'refresh_tokens_unsealed');

  it('is counted and told, and so is that it is sealed with its next refresh', async () => {
    await start(OLD);
    await authorize(platform, AUTHORIZED);
    await authorize(platform, OTHER);
    await platform.pass(2 * MINUTE);
    expect([said(), await unsealed()]).toEqual([[], []]);
    const plain = platform.simulator.refreshTokenOf(
      ...(AUTHORIZED.subject.split(':') as [string, string]),
    );
    await platform.redis.hset(platform.keys.record(AUTHORIZED), 'refresh_token', plain ?? '');
    await read(platform, AUTHORIZED);
    await platform.pass(2 * MINUTE);
    expect(said()).toMatchObject([{ level: 'warn', count: 1 }]);
    expect(await unsealed()).toMatchObject([
      { message: expect.stringMatching(/^1 refresh token/) as string },
    ]);
    expect(JSON.stringify([platform.logs, await problems()])).not.toContain(plain);
    await platform.skip(ONE_LIFE);
    expect(await sealedBy()).toBe('old');
    await platform.pass(2 * MINUTE);
    expect(await unsealed()).toEqual([]);
    expect(logged(platform, 'all refresh tokens that were read are sealed')).toHaveLength(1);
  });

  it("is nobody's trouble where nothing is sealed", async () => {
    await start();
    await authorize(platform);
    await platform.pass(2 * MINUTE);
    expect([said(), await unsealed()]).toEqual([[], []]);
  });
});

describe('another key in two steps, replica by replica', () => {
  it('is nowhere seen by a reader, and then the former key may go', async () => {
    await start(OLD);
    const plain = await authorize(platform);
    await platform.pass(MINUTE);
    await platform.app.stop();
    const all: Replica[] = [
      await addReplicaWithKeys(platform, OLD),
      await addReplicaWithKeys(platform, OLD),
    ];
    const logs = all.map((one) => one.logs);
    const bad: unknown[] = [];
    const path = `/v1/credentials/${AUTHORIZED.kind}/${AUTHORIZED.subject}/refresh`;
    /** Each replica mints once while the others have other keys, and all can be read. */
    const everybodyMints = async () => {
      for (const minter of all) {
        await platform.skip(10 * MINUTE);
        expect((await minter.internal(path, 'POST')).status).toBe(200);
        await minter.app.idle();
        for (const reader of all) {
          const { status, value = '' } = await reader.read();
          const live = platform.simulator.isLive(AUTHORIZED.kind, value);
          if (status !== 200 || !live) bad.push({ status, live });
        }
      }
    };
    const mints = mintsFor(platform).length;
    for (const stage of [[OLD, NEW], [NEW, OLD], [NEW]]) {
      for (const index of all.keys()) {
        const replica = await addReplicaWithKeys(platform, ...stage);
        logs.push(replica.logs);
        await all.splice(index, 1, replica)[0]?.stop();
        await everybodyMints();
      }
    }
    expect(mintsFor(platform)).toHaveLength(mints + 12);
    expect(bad).toEqual([]);
    expect(await sealedBy()).toBe('new');
    expect(await keysThatHold(platform, plain)).toEqual([]);
    expect((await platform.redis.hkeys(platform.keys.sealKeys)).sort()).toEqual(['new', 'old']);
    const said = JSON.stringify(logs);
    expect(said).not.toContain('cannot be opened');
    expect(said).not.toContain('sealed_unreadable');
  });

  it('in one step: who lacks the key leaves the token alone and tells a person', async () => {
    await start(OLD);
    await authorize(platform);
    await platform.pass(MINUTE);
    const newer = await addReplicaWithKeys(platform, NEW, OLD);
    await platform.redis.hset(platform.keys.record(AUTHORIZED), {
      refresh_token: createTokenEncryption([NEW]).seal(
        (await readRecord({ ...platform.store }, AUTHORIZED)).refreshToken ?? '',
        AUTHORIZED.subject,
      ),
    });
    const { refresh_token: sealed } = await record();
    await newer.stop();
    await platform.pass(ONE_LIFE);
    expect((await record()).refresh_token).toBe(sealed);
    expect(logged(platform, CANNOT)).toMatchObject([
      { level: 'error', problem: expect.stringContaining('with: new') as string },
    ]);
    const replica = await addReplicaWithKeys(platform, NEW, OLD);
    await platform.pass(2 * MINUTE);
    expect(await replica.read()).toMatchObject({ status: 200 });
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200 });
  });
});

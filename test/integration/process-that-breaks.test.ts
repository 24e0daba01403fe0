import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest';
import { createSimulator, type Simulator } from '../../src/sandbox/wechat/simulator.ts';
import { createKeys } from '../../src/store/redis/keys.ts';
import { TOKEN } from '../kit/liveness.ts';
import { mintsOnTheWay, stored } from '../kit/observe.ts';
import { COMPONENT, platformEnv } from '../kit/platform.ts';
import { killServices, startService } from '../kit/service.ts';
import { POLLING } from '../kit/waiting.ts';

const prefix = `test${randomBytes(6).toString('hex')}:`;
const keys = createKeys(prefix);
/** What no code of ours does by itself. */
const REJECT = `process.on('SIGUSR2',()=>{Promise.reject(new Error('broken ${COMPONENT.secret}'))})`;
const THROW = `process.on('SIGUSR2',()=>{throw new Error('broken ${COMPONENT.secret}')})`;

let simulator: Simulator;
let redis: Redis;
beforeEach(async () => {
  simulator = createSimulator({ components: [COMPONENT], pushing: false });
  await simulator.start();
  redis = new Redis(inject('redisUrl'));
});
afterEach(async () => {
  await killServices();
  const left = await redis.keys(`${prefix}*`);
  if (left.length > 0) await redis.del(left);
  redis.disconnect();
  await simulator.stop();
});

async function start(preload: string) {
  const service = startService(platformEnv(simulator, inject('redisUrl'), prefix), preload);
  const { public_port: port } = await service.line('wxkeeper started');
  simulator.setCallbackUrl(
    COMPONENT.appid,
    `http://127.0.0.1:${String(port)}/callback/${COMPONENT.appid}`,
  );
  return service;
}

const mints = () => simulator.ledger.mints.filter(({ kind }) => kind === TOKEN.kind).length;

describe('row 82: something throws where nobody catches it', () => {
  it.each([
    { what: 'a rejection', preload: REJECT, message: 'unhandled rejection; the process ends' },
    { what: 'an exception', preload: THROW, message: 'uncaught exception; the process ends' },
  ])(
    '$what: says so without secrets, ends with 1, and the next process goes on',
    async (example) => {
      const service = await start(example.preload);
      expect(await simulator.pushTicket()).toMatchObject({ accepted: true });
      await vi.waitFor(async () => {
        expect(await redis.hget(keys.record(TOKEN), 'value')).not.toBeNull();
        expect(service.output()).toContain('"message":"job done","job":"pre_auth_code"');
      }, POLLING);
      const before = await redis.hgetall(keys.record(TOKEN));
      service.child.kill('SIGUSR2');
      expect(await service.exit).toEqual({ code: 1, signal: null });
      const line = await service.line(example.message);
      expect(line).toMatchObject({
        level: 'error',
        error: { message: expect.stringMatching(/^broken /) as string },
      });
      expect(service.output()).not.toContain(COMPONENT.secret);
      expect(await redis.hgetall(keys.record(TOKEN))).toEqual(before);

      const next = await start(example.preload);
      await vi.waitFor(() => {
        expect(next.output()).toContain('"message":"job done","job":"component_access_token"');
      }, POLLING);
      expect(await redis.get(keys.mirror(TOKEN))).toBe(before.value);
      expect(mints()).toBe(1);
    },
  );

  it('leaves no half record when it happens while WeChat is being asked', async () => {
    const service = await start(REJECT);
    simulator.addFault({ api: 'api_component_token', fault: { type: 'hang' } });
    expect(await simulator.pushTicket()).toMatchObject({ accepted: true });
    await vi.waitFor(() => {
      expect(simulator.ledger.calls.map(({ api }) => api)).toContain('api_component_token');
    }, POLLING);
    service.child.kill('SIGUSR2');
    expect((await service.exit).code).toBe(1);
    const record = await redis.hgetall(keys.record(TOKEN));
    // What tells the next process that a mint may be under way; see the rows of holders that die.
    expect((await stored({ redis, keys }, TOKEN)).locked).toBe(true);
    expect(await mintsOnTheWay({ redis, keys }, TOKEN)).toBe(1);
    for (const field of ['value', 'expires_at', 'seq']) expect(record).not.toHaveProperty(field);
    expect(await redis.exists(keys.mirror(TOKEN))).toBe(0);
    expect(await redis.get(keys.ticketMirror(COMPONENT.appid))).toMatch(/^ticket@@@/);
  });
});

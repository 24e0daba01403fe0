import { makeApiKey } from '../../src/config/api-keys.ts';
import type { Simulator } from '../../src/sandbox/wechat/simulator.ts';
import type { RedisClient } from '../../src/store/redis/client.ts';
import type { LogLine } from './logs.ts';
import { assemble, COMPONENT } from './platform.ts';
import { createTcpProxy } from './tcp-proxy.ts';

/**
 * The service as merchants meet it: behind a proxy, and WeChat on two hosts. It is not made by
 * `createTestPlatform` because browsers need real time, which nobody can let pass.
 */
export interface LivePlatform {
  simulator: Simulator;
  redis: RedisClient;
  /** What every key in Redis begins with. */
  prefix: string;
  /** Origins, as a browser sees them. */
  origins: { platform: string; wechatPc: string; wechatMobile: string };
  /** Every log line so far, parsed. */
  logs: LogLine[];
  /** A request of another service, with a key that may read credentials. */
  internal(path: string, body?: object): Promise<Response>;
  /** A start link, made by another service. */
  makeLink(wanted?: object): Promise<string>;
  close(): Promise<void>;
}

export async function createLivePlatform(env: Record<string, string> = {}): Promise<LivePlatform> {
  // It has its port before the service has one: the service has to know what it is called outside.
  const proxy = await createTcpProxy({ port: 0 });
  const { key, entry } = makeApiKey('shop', 'credentials:read');
  const parts = await assemble({
    simulator: { hosts: 2 },
    env: ({ urls }) => ({
      API_KEYS: entry,
      PUBLIC_BASE_URL: proxy.url('http'),
      WECHAT_AUTHORIZATION_URLS: urls.join(','),
      LOG_LEVEL: 'info',
      ...env,
    }),
  });
  const { simulator, app, redis, config, logs } = parts;
  const [wechatPc = '', wechatMobile = ''] = simulator.urls;
  await app.start();
  proxy.retarget({ port: app.publicPort() });
  simulator.setCallbackUrl(COMPONENT.appid, `${proxy.url('http')}/callback/${COMPONENT.appid}`);
  await simulator.pushTicket();
  await app.idle();
  const internal = (path: string, body?: object) =>
    parts.internal(path, {
      headers: { authorization: `Bearer ${key}` },
      ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
    });
  return {
    simulator,
    redis,
    prefix: config.redisKeyPrefix,
    logs,
    internal,
    origins: { platform: proxy.url('http'), wechatPc, wechatMobile },
    async makeLink(wanted = {}) {
      const path = `/v1/components/${COMPONENT.appid}/authorization-links`;
      const answer = await internal(path, wanted);
      if (answer.status !== 201) throw new Error(await answer.text());
      return ((await answer.json()) as { url: string }).url;
    },
    async close() {
      await proxy.close();
      await parts.close();
    },
  };
}

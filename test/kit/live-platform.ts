import { randomBytes } from 'node:crypto';
import { Writable } from 'node:stream';
import { Redis } from 'ioredis';
import { inject } from 'vitest';
import { makeApiKey } from '../../src/config/api-keys.ts';
import { createService } from '../../src/service.ts';
import { loadConfig } from '../../src/config/load.ts';
import { createLog } from '../../src/lib/log.ts';
import { createSimulator, type Simulator } from '../../src/sandbox/wechat/simulator.ts';
import { COMPONENT, stationEnv, type LogLine } from './platform.ts';
import { createTcpProxy } from './tcp-proxy.ts';

/** The service as merchants meet it: in real time, behind a proxy, and WeChat on two hosts. */
export interface LivePlatform {
  simulator: Simulator;
  redis: Redis;
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
  const simulator = createSimulator({ components: [COMPONENT], pushing: false, hosts: 2 });
  await simulator.start();
  const [wechatPc = '', wechatMobile = ''] = simulator.urls;
  // It has its port before the service has one: the service has to know what it is called outside.
  const proxy = await createTcpProxy({ port: 0 });
  const redisUrl = inject('redisUrl');
  const prefix = `test${randomBytes(6).toString('hex')}:`;
  const { key, entry } = makeApiKey('shop', 'credentials:read');
  const config = loadConfig({
    ...stationEnv(simulator, redisUrl, prefix),
    API_KEYS: entry,
    PUBLIC_BASE_URL: proxy.url('http'),
    WECHAT_AUTHORIZATION_URLS: `${wechatPc},${wechatMobile}`,
    ...env,
  });
  const logs: LogLine[] = [];
  const app = createService(config, { log: createLog({ level: 'info', stream: parseInto(logs) }) });
  await app.start();
  proxy.retarget({ port: app.publicPort() });
  const redis = new Redis(redisUrl);
  simulator.setCallbackUrl(COMPONENT.appid, `${proxy.url('http')}/callback/${COMPONENT.appid}`);
  await simulator.pushTicket();
  await app.idle();
  const internal = (path: string, body?: object) =>
    fetch(`http://127.0.0.1:${app.internalPort()}${path}`, {
      headers: { authorization: `Bearer ${key}` },
      ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
    });
  return {
    simulator,
    redis,
    prefix,
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
      await app.stop();
      await proxy.close();
      await simulator.stop();
      redis.disconnect();
    },
  };
}

function parseInto(lines: LogLine[]): Writable {
  return new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done) {
      for (const line of chunk.split('\n')) {
        if (line !== '') lines.push(JSON.parse(line) as LogLine);
      }
      done();
    },
  });
}

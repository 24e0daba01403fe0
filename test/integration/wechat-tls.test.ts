import { readFileSync } from 'node:fs';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLog } from '../../src/lib/log.ts';
import { createWechatApi, WechatError } from '../../src/wechat/client.ts';
import { createManualClock } from '../kit/clock.ts';

const file = (name: string) =>
  readFileSync(new URL(`../fixtures/tls/localhost-test-${name}.pem`, import.meta.url));

describe('a server with a certificate that nobody vouches for', () => {
  let requests = 0;
  let port = 0;
  const server = createServer({ key: file('key'), cert: file('cert') }, (_request, response) => {
    requests += 1;
    response.end('{"errcode":0}');
  });
  beforeEach(async () => {
    requests = 0;
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    ({ port } = server.address() as AddressInfo);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    server.closeAllConnections();
    server.close();
  });

  it.each([undefined, '0'])(
    'is sent nothing, with NODE_TLS_REJECT_UNAUTHORIZED %s',
    async (setting) => {
      vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', setting);
      const api = createWechatApi({
        baseUrls: [`https://localhost:${port}`],
        clock: createManualClock(),
        log: createLog({ level: 'error' }),
      });
      const call = api({ name: 'any', path: '/', body: { secret: 1 }, issuesToken: true });
      const error: unknown = await call.catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(WechatError);
      expect(error).toMatchObject({ facts: { fault: 'unreachable', mayHaveRun: false } });
      expect(requests).toBe(0);
    },
  );

  it('would answer somebody who vouches for it', async () => {
    const status = await new Promise((resolve, reject) => {
      const outgoing = request(
        { host: 'localhost', port, ca: file('cert'), agent: false },
        (response) => resolve(response.resume().statusCode),
      );
      outgoing.on('error', reject).end();
    });
    expect(status).toBe(200);
    expect(requests).toBe(1);
  });
});

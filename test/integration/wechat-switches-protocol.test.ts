import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog } from '../../src/lib/log.ts';
import { createWechatApi } from '../../src/wechat/client.ts';
import { createManualClock } from '../kit/clock.ts';

describe('a host that answers with something else than HTTP', () => {
  let server: Server;
  let answer = '';
  beforeEach(async () => {
    server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(answer));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(() => server.close());

  it.each([
    [
      'a switch of protocols',
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n',
    ],
    ['no HTTP at all', 'hello\r\n\r\n'],
    ['nothing', ''],
  ])('%s ends the call at once, as one that may have taken effect', async (_what, text) => {
    answer = text;
    const api = createWechatApi({
      baseUrls: [`http://127.0.0.1:${(server.address() as AddressInfo).port}`],
      clock: createManualClock(),
      log: createLog({ level: 'error' }),
    });
    const request = { name: 'x', path: '/x', body: {}, expects: 'x', issuesToken: true };
    // The clock stands still: only the end of the connection can end this.
    await expect(api(request)).rejects.toMatchObject({
      facts: { class: 'retry', mayHaveRun: true },
    });
  });
});

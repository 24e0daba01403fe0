import { get } from 'node:http';
import { createServer } from 'node:http';
import { describe, expect, it } from 'vitest';
import { createSimulator } from '../../../src/sandbox/wechat/simulator.ts';
import {
  callApi,
  COMPONENT,
  listenAnywhere,
  mintCode,
  mintToken,
  startSimulator,
  tokenRequest,
  until,
  urlOf,
} from './harness.ts';
import { isMeant } from '../../../src/sandbox/wechat/hosts.ts';

async function failureOf(request: Promise<unknown>): Promise<unknown> {
  const cause = await request.then(
    () => undefined,
    (error: unknown) => (error as Error).cause,
  );
  return (cause as { code?: string } | undefined)?.code;
}

/** Below the ephemeral range, so that no client socket sits there, and of this process alone. */
function firstOfTwoPorts(from: number): number {
  return from + (process.pid % 1000) * 2;
}

describe('several hosts', () => {
  it('share one world', async () => {
    const { simulator } = await startSimulator({ hosts: 3 });
    expect(new Set(simulator.urls).size).toBe(3);
    const request = tokenRequest(simulator.issueTicket());
    const { json } = await callApi(simulator, 'api_component_token', request, { host: 2 });
    const reply = await mintCode(simulator, json['component_access_token'] as string);
    expect(reply.json).toHaveProperty('pre_auth_code');
  });

  it('can be killed one by one: connections are refused, then accepted again', async () => {
    const { simulator } = await startSimulator({ hosts: 2 });
    const [, second] = simulator.urls;
    await simulator.killHost(1);
    expect(await failureOf(callApi(simulator, 'x', {}, { host: 1 }))).toBe('ECONNREFUSED');
    expect((await callApi(simulator, 'x', {}, { host: 0 })).status).toBe(200);
    await simulator.reviveHost(1);
    expect(simulator.urls[1]).toBe(second);
    expect((await callApi(simulator, 'x', {}, { host: 1 })).status).toBe(200);
  });

  it('cut their open connections when they are killed', async () => {
    const { simulator } = await startSimulator({ hosts: 2 });
    simulator.addFault({ api: '*', fault: { type: 'hang' } });
    const hanging = fetch(urlOf(simulator, 'api_component_token', 1), { method: 'POST' });
    const failure = failureOf(hanging);
    await until(() => simulator.ledger.calls.length === 1);
    await simulator.killHost(1);
    expect(await failure).toBe('UND_ERR_SOCKET');
  });

  it('may be killed or revived twice, but must exist', async () => {
    const { simulator } = await startSimulator();
    await simulator.killHost(0);
    await simulator.killHost(0);
    await simulator.reviveHost(0);
    await simulator.reviveHost(0);
    expect(await mintToken(simulator)).toMatch(/^9_/);
    await expect(simulator.killHost(1)).rejects.toThrow('no host 1');
  });
});

describe('listening', () => {
  it('takes consecutive ports from the one it is given', async () => {
    const port = firstOfTwoPorts(20_000);
    const { simulator } = await startSimulator({ hosts: 2, port });
    expect(simulator.urls).toEqual([`http://127.0.0.1:${port}`, `http://127.0.0.1:${port + 1}`]);
  });

  it('fails when a port is taken, and leaves nothing open', async () => {
    const port = firstOfTwoPorts(30_000);
    await listenAnywhere(createServer(), port + 1);
    const simulator = createSimulator({ components: [COMPONENT], port, hosts: 2 });
    await expect(simulator.start()).rejects.toThrow('EADDRINUSE');
    await expect(fetch(`http://127.0.0.1:${port}`)).rejects.toThrow('fetch failed');
  });

  it('has no URL before it is started', () => {
    const simulator = createSimulator({ components: [COMPONENT] });
    expect(simulator.url).toBe('');
  });
});

describe('row 152: a page in a browser whose name leads to this machine', () => {
  /** The status of a request that names this host, which fetch does not let us do. */
  const asked = (url: string, host: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      get(url, { headers: { host }, agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      }).on('error', reject);
    });

  it.each(['/_simulator/state', '/_simulator/ledger', '/cgi-bin/token'])(
    'is told nothing at %s',
    async (path) => {
      const { simulator } = await startSimulator({});
      for (const host of [
        'evil.example',
        'evil.example:8787',
        'localhost.evil.example',
        '127.0.0.1.evil.example',
        'a@127.0.0.1',
      ]) {
        expect(await asked(`${simulator.url}${path}`, host)).toBe(421);
      }
    },
  );

  it.each(['localhost', 'LOCALHOST:1', 'wx.localhost', '127.0.0.1:80', '[::1]:8787', '10.0.0.7'])(
    '%s is this machine, or an address that leads nowhere else',
    async (host) => {
      const { simulator } = await startSimulator({});
      expect(await asked(`${simulator.url}/_simulator/state`, host)).toBe(200);
    },
  );

  it('other machines may call it by a name, and steer it by none', () => {
    expect(isMeant('simulator:8787', '/cgi-bin/token', '0.0.0.0')).toBe(true);
    expect(isMeant('simulator:8787', '/_simulator/state', '0.0.0.0')).toBe(false);
    expect(isMeant('localhost:8787', '/_simulator/state', '0.0.0.0')).toBe(true);
  });
});

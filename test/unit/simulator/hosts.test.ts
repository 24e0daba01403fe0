import { createServer } from 'node:http';
import { describe, expect, it } from 'vitest';
import { createSimulator } from '../../../src/simulator/simulator.ts';
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

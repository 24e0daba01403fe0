import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decrypt, getSignature } from '@wecom/crypto';
import { onTestFinished } from 'vitest';
import type { ComponentOptions, SimulatorOptions } from '../../../src/sandbox/wechat/options.ts';
import type { ApiFault } from '../../../src/sandbox/wechat/faults.ts';
import { createSimulator, type Simulator } from '../../../src/sandbox/wechat/simulator.ts';
import { CLOCK_START, createManualClock, type ManualClock } from '../../kit/clock.ts';

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

export const START = CLOCK_START;

export const COMPONENT = {
  appid: 'wx00000000000000c1',
  secret: 'the-secret-of-c1',
  token: 'the-token-of-c1',
  encodingAesKey: 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG',
  previousToken: 'the-older-token-of-c1',
  previousEncodingAesKey: 'GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcba',
} as const satisfies ComponentOptions;

export const OTHER_COMPONENT = {
  appid: 'wx00000000000000c2',
  secret: 'the-secret-of-c2',
  token: 'the-token-of-c2',
  encodingAesKey: 'c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c',
} as const satisfies ComponentOptions;

/** An account with a secret of its own. */
export const ACCOUNT = { appid: 'wx00000000000000a1', secret: 'the-secret-of-a1' } as const;

export interface Setup {
  simulator: Simulator;
  clock: ManualClock;
}

/** A started simulator of one component that pushes nothing by itself; stopped after the test. */
export async function startSimulator(options: Partial<SimulatorOptions> = {}): Promise<Setup> {
  const clock = createManualClock();
  const simulator = createSimulator({
    components: [COMPONENT],
    clock,
    pushing: false,
    ...options,
  });
  onTestFinished(() => simulator.stop());
  await simulator.start();
  return { simulator, clock };
}

export interface ApiReply {
  status: number;
  headers: Headers;
  json: Record<string, unknown>;
}

/** Posts to an API call, e.g. `api_component_token` or `api_create_preauthcode?access_token=x`. */
export async function callApi(
  simulator: Simulator,
  api: string,
  body: unknown,
  init: RequestInit & { host?: number } = {},
): Promise<ApiReply> {
  const response = await fetch(urlOf(simulator, api, init.host), {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...init,
  });
  const json = (await response.json()) as Record<string, unknown>;
  return { status: response.status, headers: response.headers, json };
}

export function urlOf(simulator: Simulator, api: string, host = 0): string {
  return `${simulator.urls[host] ?? ''}/cgi-bin/component/${api}`;
}

export function tokenRequest(ticket: unknown, component: ComponentOptions = COMPONENT): object {
  return {
    component_appid: component.appid,
    component_appsecret: component.secret,
    component_verify_ticket: ticket,
  };
}

export async function mintToken(
  simulator: Simulator,
  component: ComponentOptions = COMPONENT,
): Promise<string> {
  const ticket = simulator.issueTicket(component.appid);
  const { json } = await callApi(simulator, 'api_component_token', tokenRequest(ticket, component));
  return json['component_access_token'] as string;
}

/** One call for a component token that would succeed; returns whatever comes of it. */
export function askForToken(simulator: Simulator, init: RequestInit = {}): Promise<Response> {
  return fetch(urlOf(simulator, 'api_component_token'), {
    method: 'POST',
    body: JSON.stringify(tokenRequest(simulator.issueTicket())),
    redirect: 'manual',
    ...init,
  });
}

export function tokensMinted(simulator: Simulator): number {
  return simulator.ledger.mints.filter(({ kind }) => kind === 'component_access_token').length;
}

/** GETs `path` of `cgi-bin/`, or posts to it when there is a body. */
export async function callAccountApi(
  simulator: Simulator,
  path: string,
  body?: unknown,
): Promise<Record<string, unknown>> {
  const response = await fetch(`${simulator.url}/cgi-bin/${path}`, {
    ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
  });
  return (await response.json()) as Record<string, unknown>;
}

/** A started simulator that spoils the next call for a component token. */
export async function startWithFault(fault: ApiFault, afterMint?: boolean): Promise<Simulator> {
  const { simulator } = await startSimulator();
  simulator.addFault({ api: 'api_component_token', fault, afterMint });
  return simulator;
}

export function mintCode(simulator: Simulator, token: string): Promise<ApiReply> {
  return callApi(simulator, `api_create_preauthcode?component_access_token=${token}`, {
    component_appid: COMPONENT.appid,
  });
}

export async function control(
  simulator: Simulator,
  route: string,
  body?: unknown,
): Promise<ApiReply> {
  const [method = '', path = ''] = route.split(' ');
  const response = await fetch(`${simulator.url}/_simulator/${path}`, {
    method,
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const json = (await response.json()) as Record<string, unknown>;
  return { status: response.status, headers: response.headers, json };
}

/** Lets the event loop turn until something has happened over a real socket. */
export async function until(happened: () => boolean): Promise<void> {
  while (!happened()) await new Promise((resolve) => setImmediate(resolve));
}

export interface ReceivedPush {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface Receiver {
  url: string;
  pushes: ReceivedPush[];
  /** What is answered from now on; `null` keeps the sender waiting. */
  reply: { status: number; body: string } | null;
  /** Answers everybody who waits. */
  release(): void;
}

/** A callback service that only writes down what it gets. */
export async function startReceiver(): Promise<Receiver> {
  const waiting: (() => void)[] = [];
  const receiver: Receiver = {
    url: '',
    pushes: [],
    reply: { status: 200, body: 'success' },
    release() {
      for (const answer of waiting.splice(0)) answer();
    },
  };
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      const { pathname: path, searchParams: query } = new URL(request.url ?? '', 'http://receiver');
      const { method = '', headers } = request;
      receiver.pushes.push({ method, path, query, headers, body });
      const { reply } = receiver;
      if (reply === null) waiting.push(() => response.end('success'));
      else response.writeHead(reply.status).end(reply.body);
    });
  });
  receiver.url = `${await listenAnywhere(server)}/callback/${COMPONENT.appid}`;
  return receiver;
}

/** Listens until the end of the test, on a free port unless one is given; returns the base URL. */
export async function listenAnywhere(server: Server, port = 0): Promise<string> {
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A started simulator whose component pushes to a receiver. */
export async function startWithReceiver(
  options: Partial<SimulatorOptions> = {},
): Promise<Setup & { receiver: Receiver }> {
  const receiver = await startReceiver();
  const components = [{ ...COMPONENT, callbackUrl: receiver.url }];
  return { receiver, ...(await startSimulator({ components, ...options })) };
}

/** Opens a push as a service would; throws when WeChat could not have sent it. */
export function open(
  push: { query: URLSearchParams; body: string },
  secrets: { token: string; encodingAesKey: string } = COMPONENT,
): string {
  const encrypted = /<Encrypt><!\[CDATA\[(.+)\]\]><\/Encrypt>/.exec(push.body)?.[1] ?? '';
  const timestamp = push.query.get('timestamp') ?? '';
  const nonce = push.query.get('nonce') ?? '';
  const { token, encodingAesKey } = secrets;
  if (getSignature(token, timestamp, nonce, encrypted) !== push.query.get('msg_signature')) {
    throw new Error('msg_signature does not match');
  }
  if (getSignature(token, timestamp, nonce, '') !== push.query.get('signature')) {
    throw new Error('signature does not match');
  }
  const { message, id } = decrypt(encodingAesKey, encrypted);
  if (id !== COMPONENT.appid) throw new Error('encrypted with another key or for another appid');
  return message;
}

export function element(xml: string, name: string): string | undefined {
  return new RegExp(`<${name}>(?:<!\\[CDATA\\[)?(.*?)(?:\\]\\]>)?</${name}>`).exec(xml)?.[1];
}

/** The same for a push in JSON with JSON inside: both, and the exact text of what is inside. */
export function openJson(push: { query: URLSearchParams; body: string }): {
  outside: Record<string, string>;
  inside: Record<string, unknown>;
  document: string;
} {
  const outside = JSON.parse(push.body) as Record<string, string>;
  const body = `<Encrypt><![CDATA[${outside['Encrypt'] ?? ''}]]></Encrypt>`;
  const document = open({ query: push.query, body });
  return { outside, inside: JSON.parse(document) as Record<string, unknown>, document };
}

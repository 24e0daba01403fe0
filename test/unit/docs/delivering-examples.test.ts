import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import type { Route } from '../../../src/config/routes.ts';
import { planDeliveries } from '../../../src/deliveries/plan.ts';
import type { PushToDeliver } from '../../../src/deliveries/push-to-deliver.ts';
import { readUserReply } from '../../../src/deliveries/reply-content.ts';
import { requestFor } from '../../../src/deliveries/request.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import type { Store } from '../../../src/store/redis/store.ts';
import { createKeys } from '../../../src/store/redis/keys.ts';
import { createStoreTime } from '../../../src/store/redis/time.ts';
import { createTokenEncryption } from '../../../src/store/redis/token-encryption.ts';
import { createLivePlatform } from '../../kit/live-platform.ts';
import { COMPONENT, createTestPlatform } from '../../kit/platform.ts';
import { asMessage, MESSAGES, post } from '../../kit/public-listener.ts';
import { encryptPush } from '../../kit/push-envelope.ts';
import { startTarget, status } from '../../kit/targets.ts';
import { POLLING } from '../../kit/waiting.ts';
import { readDocument, ROOT } from './markdown.ts';

/** What the document about deliveries shows: its file, its JSON, its requests and its receivers. */

const { codeBlocks } = readDocument('docs/delivering.md');
const codeIn = (language: string) =>
  codeBlocks.filter((one) => one.language === language).map(({ code }) => code);
const [file = '', body = '{}', reply = '', shownPush = '{}', tried = '', seen = '{}'] =
  codeIn('json');
const example = JSON.parse(body) as Example;

interface Example {
  id: string;
  type: string;
  timestamp: string;
  component_appid: string;
  authorizer_appid: string;
  create_time: string;
  data: Record<string, string>;
}

let folder: string;
let routes: readonly Route[];
beforeAll(async () => {
  await mkdir(join(ROOT, '.cache'), { recursive: true });
  folder = await mkdtemp(join(ROOT, '.cache', 'delivering-'));
  const path = join(folder, 'config.json');
  await writeFile(path, file);
  routes = loadConfig({ REDIS_URL: 'redis://127.0.0.1', CONFIG_FILE: path }).routes;
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function assistant(): Route {
  return routes.find(({ name }) => name === 'assistant') ?? expect.fail('no route of this name');
}

/** Of the push in the document, with another id or text. */
function planOf({ id = example.id, content = example.data.Content ?? '' } = {}) {
  const data = { ...example.data, Content: content };
  const push: PushToDeliver = {
    id,
    component: example.component_appid,
    authorizer: example.authorizer_appid,
    type: 'message',
    fields: data,
    entry: { msg_type: 'text', create_time: example.create_time, fields: JSON.stringify(data) },
    receivedAt: Date.parse(example.timestamp),
    query: {},
    body: Buffer.from('<xml></xml>'),
    contentType: 'text/xml',
    message: '<xml></xml>',
    format: 'xml',
  };
  const store = {
    keys: createKeys('wx:'),
    time: createStoreTime(systemClock),
    encryption: createTokenEncryption([]),
  } as Store;
  return planDeliveries(routes, store, push) ?? expect.fail('no route takes it');
}

/** As it goes over the wire. */
function requestOf(now: number, options: { id?: string; content?: string } = {}) {
  const { id, kept } = planOf(options);
  return requestFor(assistant(), { id, component: example.component_appid, kept }, now);
}

describe('the examples', () => {
  it('show settings that load, with the secrets that the simulator has', async () => {
    const settings = codeIn('sh').find((code) => code.includes('CONFIG_FILE=')) ?? '';
    const path = join(folder, 'try.json');
    await writeFile(path, tried);
    const lines = settings.trim().split('\n');
    const env = Object.fromEntries(lines.map((line) => line.split('=') as [string, string]));
    const config = loadConfig({ ...env, CONFIG_FILE: path });
    expect(config.routes).toMatchObject([{ mode: 'json', reply: true }]);
    const started = readDocument('docs/simulator.md').text;
    for (const line of lines.filter((one) => /^(?:COMPONENT|WECHAT_API)_/.test(one))) {
      expect(started).toContain(`\n${line}\n`);
    }
  });

  it('show a file that loads, with a route of each mode', () => {
    expect(routes.map(({ name, mode }) => `${name} ${mode}`)).toEqual([
      'shop-events raw',
      'assistant json',
      'shop-messages raw',
      'crm sealed',
    ]);
  });

  it('show the JSON of a push, and its headers', () => {
    const now = Date.parse(example.timestamp);
    const { headers, body: sent } = requestOf(now);
    expect(sent.toString()).toBe(JSON.stringify(example));
    const shown = codeIn('')[0]?.trim().split('\n');
    expect(Object.entries(headers).map(([name, value]) => `${name}: ${value}`)).toEqual(
      expect.arrayContaining(shown ?? []),
    );
    const { replier, kept } = planOf();
    expect(replier?.name).toBe('assistant');
    expect(kept.targets).toBe((JSON.parse(shownPush) as { routes: string[] }).routes.join(','));
  });

  it('show a reply that a user gets', () => {
    const secrets = { componentAppid: example.component_appid, token: '', encodingAesKey: '' };
    const conversation = { user: 'o1', account: 'gh_1', createTime: 1 };
    const answer = { status: 200, retryAfter: undefined, body: Buffer.from(reply), cutOff: false };
    expect(readUserReply(assistant(), secrets, conversation, answer)).toMatchObject({
      as: 'plain',
      xml: expect.stringContaining('Good morning!') as string,
    });
  });

  it('asks and orders as the document does', async () => {
    const target = await startTarget();
    const route = {
      name: 'assistant',
      target: target.url,
      mode: 'json',
      secrets: [`whsec_${Buffer.alloc(32, 7).toString('base64')}`],
    };
    const platform = await createTestPlatform({ routes: [route], ticket: true });
    try {
      const commands = codeIn('sh').join('');
      const orders = [...commands.matchAll(/^curl (.*)"\$D([\w/]*)"$/gm)];
      expect(orders).toHaveLength(6);
      const path = `/v1/components/${COMPONENT.appid}`;
      for (const [line, options = '', rest = ''] of orders) {
        const order = /-d '(.*)'/.exec(options)?.[1];
        const method = order !== undefined || options.includes('-X POST') ? 'POST' : 'GET';
        const url = `${path}/deliveries/assistant${rest}`;
        const answer = await platform.internal(url, { method, ...(order && { body: order }) });
        expect(`${line}: ${answer.status}`).toBe(`${line}: 200`);
      }

      target.answer(status(503));
      const now = Math.floor(platform.clock.now() / 1000);
      const xml = `<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>${now}</CreateTime><MsgType>text</MsgType><Content>hello</Content><MsgId>1</MsgId></xml>`;
      await post(platform, asMessage(encryptPush(xml, { timestamp: now })), MESSAGES);
      await platform.settle();
      const id = target.requests[0]?.headers['webhook-id'] ?? '';
      const shown = (await (await platform.internal(`${path}/pushes/${id}`)).json()) as object;
      const namesOf = (one: object) => [
        one,
        ...(one as { attempts: object[] }).attempts.slice(0, 1),
      ];
      expect(namesOf(shown).map((one) => Object.keys(one))).toEqual(
        namesOf(JSON.parse(shownPush) as object).map((one) => Object.keys(one)),
      );
    } finally {
      await platform.close();
      await target.close();
    }
  });
});

const hasPython = spawnSync('python3', ['--version']).status === 0;
const RECEIVERS = [
  { language: 'ts', name: 'TypeScript', start: [process.execPath, '--import', 'tsx'] },
  { language: 'python', name: 'Python', start: ['python3'] },
].map((one) => {
  const skip = one.language === 'python' && !hasPython;
  return {
    ...one,
    skip,
    name: skip ? `${one.name}, for which there is no python3 here` : one.name,
  };
});

for (const { language, name, start, skip } of RECEIVERS) {
  describe.skipIf(skip)(`the receiver in ${name}`, () => {
    let child: ChildProcess;
    let url: string;
    let printed = '';

    beforeAll(async () => {
      const path = join(folder, `receiver.${language}`);
      await writeFile(path, codeIn(language)[0] ?? '');
      const port = await freePort();
      url = `http://127.0.0.1:${port}/`;
      const [command = '', ...args] = start;
      const secret = `whsec_${assistant().secrets[0]?.toString('base64') ?? ''}`;
      const env = { ...process.env, PORT: String(port), WEBHOOK_SECRET: secret };
      child = spawn(command, [...args, path], {
        cwd: ROOT,
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      child.stdout?.on('data', (text: Buffer) => (printed += text.toString()));
      let complaint = '';
      child.stderr?.on('data', (text: Buffer) => (complaint += text.toString()));
      await vi.waitFor(async () => {
        if (child.exitCode !== null) expect.fail(complaint);
        await fetch(url, { method: 'POST', body: '' });
      }, POLLING);
    });
    afterEach(() => {
      printed = '';
    });
    afterAll(async () => {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    });

    const send = async (headers: Record<string, string>, sent: Buffer | string) => {
      const answer = await fetch(url, { method: 'POST', headers, body: sent.toString() });
      return { status: answer.status, text: await answer.text() };
    };
    const handled = () => printed.match(/^handled text /gm)?.length ?? 0;

    it('takes what is signed, replies, and does nothing when it comes again', async () => {
      const { headers, body: sent } = requestOf(Date.now(), { id: randomUUID(), content: '你好' });
      const first = await send(headers, sent);
      expect(first.status).toBe(200);
      expect(JSON.parse(first.text)).toEqual({ type: 'text', content: 'You wrote: 你好' });
      expect(await send(headers, sent)).toEqual({ status: 200, text: '' });
      await vi.waitFor(() => expect(handled()).toBe(1), POLLING);
    });

    it('is the application of the round trip: a user writes, and sees what it answers', async () => {
      const path = join(folder, `try-${language}.json`);
      await writeFile(path, tried.replace('http://127.0.0.1:8080/', url));
      const platform = await createLivePlatform({
        CONFIG_FILE: path,
        DELIVERY_NETWORKS: '127.0.0.0/8',
      });
      try {
        const [, order = ''] = /-d '(.*)' \S+\/_simulator\/say$/m.exec(codeIn('sh').join('')) ?? [];
        const address = `${platform.simulator.url}/_simulator/say`;
        const answer = await fetch(address, { method: 'POST', body: order });
        const shown = JSON.parse(seen) as object;
        expect(await answer.json()).toEqual({ ...shown, afterMs: expect.any(Number) as number });
        const { prose } = readDocument('docs/delivering.md');
        await vi.waitFor(() => expect(handled()).toBe(1), POLLING);
        expect(prose).toContain(`\`${printed.split('\n')[0] ?? ''}\``);
      } finally {
        await platform.close();
      }
    });

    it('takes what the old secret has signed as well, or the new one', async () => {
      const { headers, body: sent } = requestOf(Date.now(), { id: randomUUID() });
      const both = `v1,${Buffer.alloc(32).toString('base64')} ${headers['webhook-signature'] ?? ''}`;
      expect(await send({ ...headers, 'webhook-signature': both }, sent)).toMatchObject({
        status: 200,
      });
      // What it prints must not be taken for that of the next test.
      await vi.waitFor(() => expect(handled()).toBe(1), POLLING);
    });

    it.each([
      [
        'a wrong signature',
        0,
        { 'webhook-signature': `v1,${Buffer.alloc(32).toString('base64')}` },
      ],
      ['no signature', 0, { 'webhook-signature': '' }],
      ['another id', 0, { 'webhook-id': randomUUID() }],
      ['an old timestamp', -310, {}],
      ['one of the future', 310, {}],
      ['a timestamp that is none', 0, { 'webhook-timestamp': 'now' }],
    ])('refuses %s', async (_what, seconds, more) => {
      const { headers, body: sent } = requestOf(Date.now() + seconds * 1000, { id: randomUUID() });
      expect(await send({ ...headers, ...more }, sent)).toMatchObject({ status: 401 });
      expect(handled()).toBe(0);
    });

    it('refuses a body that was changed', async () => {
      const { headers, body: sent } = requestOf(Date.now(), { id: randomUUID() });
      const changed = sent.toString().replace('hello', 'hullo');
      expect(changed).not.toBe(sent.toString());
      expect(await send(headers, changed)).toMatchObject({ status: 401 });
      expect(handled()).toBe(0);
    });
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  type TestPlatform,
} from '../../kit/platform.ts';
import { readDocument } from './markdown.ts';

/** The requests about links and authorizers as the documents show them, sent to a running service. */

const requests = ['README.md', 'docs/authorization.md', 'docs/authorizers.md'].flatMap((path) =>
  readDocument(path)
    .codeBlocks.filter(({ language }) => language === 'sh')
    .flatMap(({ code }) => code.replaceAll('\\\n', ' ').split('\n'))
    .filter((line) => /^curl .*(?:\/components\/|authorizer_access_token)/.test(line)),
);
const links = requests.filter(
  (line) => line.includes('-X POST') && line.includes('/authorization-links'),
);

describe('the requests about authorizers', () => {
  let platform: TestPlatform;
  beforeAll(async () => {
    platform = await createTestPlatform({
      ticket: true,
      env: {
        PUBLIC_BASE_URL: 'https://wx.example.com',
        COMPONENT_RETURN_URLS: 'https://shop.example.com/wechat',
      },
    });
    const { simulator, settle } = platform;
    const { eventCode } = simulator.grant(COMPONENT.appid, AUTHORIZER);
    await simulator.pushAuthorized(COMPONENT.appid, AUTHORIZER, eventCode);
    await settle();
  });
  afterAll(() => platform.close());

  /** What `curl` would do, with the appids of this platform. */
  function send(command: string): Promise<Response> {
    const path = /"?http:\/\/127\.0\.0\.1:3001([^\s"]+)"?$/.exec(command)?.[1] ?? '';
    const body = / -d '([^']+)'/.exec(command)?.[1];
    const local = path
      .replace(/\$APPID|wx0123456789abcdef/, COMPONENT.appid)
      .replace(/\$AUTHORIZER|wxfedcba9876543210/, AUTHORIZER);
    const method = body !== undefined || command.includes(' -X POST ') ? 'POST' : 'GET';
    return platform.internal(local, { method, ...(body !== undefined && { body }) });
  }

  it.each(links)('make a link that opens: %s', async (command) => {
    const answer = await send(command);
    expect(answer.status).toBe(201);
    const { url } = (await answer.json()) as { url: string };
    expect(url).toMatch(/^https:\/\/wx\.example\.com\/authorize\/wx\w{16}\?link=/);
    const { pathname, search } = new URL(url);
    expect((await fetch(platform.publicUrl(pathname + search))).status).toBe(200);
  });

  it.each(requests.filter((line) => line.includes('/authorization-links/$LINK_ID')))(
    'find what a link has brought: %s',
    async (command) => {
      const post = links.at(-1) ?? '';
      const { id, url } = (await (await send(post)).json()) as { id: string; url: string };
      const { pathname, search } = new URL(url);
      const { code } = platform.simulator.grant(COMPONENT.appid, AUTHORIZER);
      const query = `auth_code=${encodeURIComponent(code)}&expires_in=600`;
      await fetch(platform.publicUrl(`${pathname}/done${search}&${query}`), { redirect: 'manual' });
      const answer = await send(command.replace('$LINK_ID', id));
      const { codeBlocks } = readDocument('docs/authorization.md');
      const shown = codeBlocks.filter(({ language }) => language === 'json')[1]?.code ?? '{}';
      const told = (await answer.json()) as object;
      expect(told).toMatchObject({ id, authorizer_appid: AUTHORIZER, state: 'merchant-7' });
      expect(Object.keys(told)).toEqual(Object.keys(JSON.parse(shown) as object));
    },
  );

  it.each(requests.filter((line) => line.includes('authorizer_access_token')))(
    'read a live token: %s',
    async (command) => {
      const { value } = (await (await send(command)).json()) as { value: string };
      expect(platform.simulator.isLive('authorizer_access_token', value)).toBe(true);
    },
  );

  it.each(requests.filter((line) => /\/(?:authorizers|reconcile)\b/.test(line)))(
    'are answered: %s',
    async (command) => {
      const answer = await send(command);
      expect(answer.status).toBe(command.includes('/reconcile') ? 202 : 200);
    },
  );

  it('are all of them', () => {
    expect(links).toHaveLength(2);
    expect(requests).toHaveLength(8);
  });

  it('show an authorizer and a comparison with the fields that they really have', async () => {
    const { codeBlocks, prose } = readDocument('docs/authorizers.md');
    const shown = JSON.parse(codeBlocks.find((one) => one.language === 'json')?.code ?? '') as List;
    const base = `/v1/components/${COMPONENT.appid}`;
    const list = (await (await platform.internal(`${base}/authorizers`)).json()) as List;
    expect(Object.keys(shown)).toEqual(Object.keys(list));
    const [one, other] = [shown.authorizers[0], list.authorizers[0]];
    expect(Object.keys(one ?? {})).toEqual(Object.keys(other ?? {}));
    expect(Object.keys(one?.token ?? {})).toEqual(Object.keys(other?.token ?? {}));
    const { reconcile } = (await (await platform.internal(`${base}/reconcile`)).json()) as {
      reconcile: object;
    };
    const unnamed = Object.keys(reconcile).filter((name) => !prose.includes(`\`${name}\``));
    expect(unnamed).toEqual([]);
  });
});

interface List {
  authorizers: { token: object }[];
}

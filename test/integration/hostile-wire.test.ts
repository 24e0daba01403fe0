import { once } from 'node:events';
import net from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HOSTILE_WIRE } from '../fixtures/hostile-wire.ts';
import { good, goodQuery, NOW } from '../fixtures/hostile-push.ts';
import { COMPONENT, createTestPlatform, type TestPlatform } from '../kit/platform.ts';
import { contents, EVENTS, exchange, MESSAGES, post, pushCounts } from '../kit/public-listener.ts';
import { encryptPush, ticketXml } from '../kit/push-envelope.ts';
import { sign } from '../../src/wechat/push/envelope.ts';

const RANDOM_REQUESTS = 1_500;

let platform: TestPlatform;
let before: Record<string, string>;
beforeAll(async () => {
  platform = await createTestPlatform();
  await platform.simulator.pushTicket();
  await platform.settle();
});
beforeEach(async () => {
  // Behind every count so far.
  await pushCounts(platform);
  before = await contents(platform);
});
afterAll(() => platform.close());

const complaints = () => platform.logs.filter((line) => line.level === 'error');
const statusesIn = (answer: string) =>
  [...answer.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map(([, status]) => Number(status));

describe('bytes that no honest client sends', () => {
  it.each(HOSTILE_WIRE)('$what: $statuses', async ({ statuses, chunks }) => {
    const answer = await exchange(platform, chunks);
    expect(statusesIn(answer)).toEqual(statuses);
    const [head = '', ...bodies] = answer.split('\r\n\r\n');
    expect(head).not.toMatch(/x-powered-by|x-injected|etag|text\/html/i);
    expect(bodies.join('').length).toBeLessThan(120);
    expect(answer).not.toMatch(/ at |node_modules|\.ts|success/i);
    await platform.settle();
    expect(await contents(platform)).toEqual(before);
  });

  it('a body that never arrives is given up without an effect', async () => {
    const head = `POST ${EVENTS}?${goodQuery} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n`;
    expect(await exchange(platform, [head, 'half'], { end: true })).toMatch(/^(HTTP\/1\.1 400|$)/);
    expect(await exchange(platform, [head.slice(0, 40)], { end: true })).toMatch(
      /^(HTTP\/1\.1 400|$)/,
    );
    await platform.settle();
    expect(await contents(platform)).toEqual(before);
  });

  it('leave nothing for a person to look at in the log', () => {
    expect(complaints()).toEqual([]);
  });
});

describe('a target that is no URL', () => {
  const targets = [
    ...[
      'http://[',
      'http://[/livez',
      'http://[::1]:x/authorize/a',
      'http://',
      'http://@',
      'https://?x',
    ],
    ...[
      'http://a%%/',
      'http://a:99999999/x',
      'http://#',
      '//[',
      '//[#a',
      '/\t#[',
      'ws://[?/callback',
    ],
  ];

  it.each(['public', 'internal'] as const)(
    'is answered by the %s listener itself',
    async (name) => {
      const { app } = platform;
      const port = name === 'public' ? app.publicPort() : app.internalPort();
      const warnings: Error[] = [];
      const note = (warning: Error) => void warnings.push(warning);
      process.on('warning', note);
      for (const target of targets) {
        for (const method of ['GET', 'POST']) {
          const answer = await exchange(
            platform,
            [`${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`],
            { port },
          );
          expect(answer).toMatch(/^HTTP\/1\.1 (?:200|303|40[0-5]) /);
          // Not the page that Express makes where nothing of ours has run.
          expect(answer).not.toMatch(/Cannot (?:GET|POST)|<pre>/);
        }
      }
      process.off('warning', note);
      expect(warnings).toEqual([]);
    },
  );

  it('or names another host is what its path says', async () => {
    const get = (target: string) =>
      exchange(platform, [`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`]);
    for (const host of ['x', '[', '', 'a b@[::1]:x'.replace(' ', '')]) {
      expect(await get(`http://${host}/livez`)).toMatch(/^HTTP\/1\.1 200 [^]*ok$/);
    }
  });
});

describe('an oversized body', () => {
  const head = (header: string) =>
    `POST ${EVENTS}?${goodQuery} HTTP/1.1\r\nHost: x\r\n${header}\r\n\r\n`;

  it('is refused by its declared length before any of it is sent', async () => {
    const declared = head('Content-Length: 8388608');
    expect(statusesIn(await exchange(platform, [declared], { hangUp: true }))).toEqual([413]);
  });

  it('is refused without an invitation to send it', async () => {
    const asking = head('Content-Length: 8388608\r\nExpect: 100-continue');
    expect(statusesIn(await exchange(platform, [asking], { hangUp: true }))).toEqual([413]);
  });

  it('is cut off once it is too large, although its end never comes', async () => {
    const chunk = `4000\r\n${'a'.repeat(0x4000)}\r\n`;
    const chunks = [head('Transfer-Encoding: chunked'), ...Array.from({ length: 6 }, () => chunk)];
    expect(statusesIn(await exchange(platform, chunks, { hangUp: true }))).toEqual([413]);
  });

  it('is refused often on one connection, which is left as it was', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error) => void warnings.push(warning);
    process.on('warning', note);
    const socket = net.connect({ port: platform.app.publicPort(), host: '127.0.0.1' });
    for (let count = 0; count < 15; count += 1) {
      socket.write(head('Content-Length: 65537') + 'a'.repeat(65_537));
      const [answer] = (await once(socket, 'data')) as [Buffer];
      expect(statusesIn(answer.toString())).toEqual([413]);
    }
    socket.destroy();
    process.off('warning', note);
    // Node writes them past the log.
    expect(warnings).toEqual([]);
  });

  it('is not read in part, so that its rest would pass for the next request', async () => {
    const hidden = head(`Content-Length: ${Buffer.byteLength(good.body)}`) + good.body;
    const body = `${'a'.repeat(66_000)}${hidden}`;
    const next = 'GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
    const chunks = [head(`Content-Length: ${body.length}`), body, next];
    const [first, ...others] = statusesIn(await exchange(platform, chunks));
    expect(first).toBe(413);
    // Whether the connection lives on is the server's choice; what it takes for a request is not.
    expect(others.length).toBeLessThan(2);
    await platform.settle();
    expect(await contents(platform)).toEqual(before);
  });
});

describe('row 56: a signature that does not know where its parts end', () => {
  /** The same signature over the same letters, divided otherwise. */
  const divided = (query: Record<string, string>, timestamp: string, nonce: string) => {
    const { msg_signature: signature = '' } = query;
    expect(sign(COMPONENT.token, timestamp, nonce, good.encrypt)).toBe(signature);
    return { ...query, timestamp, nonce };
  };
  const shifted = (count: number) => {
    const { timestamp = '', nonce = '' } = good.query;
    return count > 0
      ? divided(good.query, nonce.slice(-count) + timestamp, nonce.slice(0, -count))
      : divided(good.query, timestamp.slice(-count), nonce + timestamp.slice(0, -count));
  };

  it.each([1, 9, -1, -2])('is refused with %i digits moved', async (count) => {
    expect(await post(platform, { query: shifted(count), body: good.body })).toMatch(/^400 /);
    expect(await contents(platform)).toEqual(before);
  });

  it.each([4, 16, 20, 64])('is refused with %i letters of Encrypt in the nonce', async (count) => {
    // A nonce that sorts behind the timestamp is followed by Encrypt.
    const push = encryptPush(ticketXml({ createTime: NOW }), {
      timestamp: NOW,
      nonce: '2590219412',
    });
    const moved = push.encrypt.slice(0, count);
    const query = { ...push.query, nonce: `2590219412${moved}` };
    const body = push.body.replace(moved, '');
    expect(await post(platform, { query, body })).toMatch(/^40[01] /);
    expect(await contents(platform)).toEqual(before);
  });
});

describe('random requests', () => {
  const piece = fc.oneof(fc.string({ maxLength: 12 }), fc.constantFrom('wx', '..', '%00', '', '$'));
  const path = fc.oneof(
    fc.constantFrom(EVENTS, MESSAGES, '/callback', '/status', '/v1/credentials', '/'),
    fc.array(piece, { maxLength: 4 }).map((parts) => `/${parts.map(encodeURIComponent).join('/')}`),
  );
  const names = fc.constantFrom('timestamp', 'nonce', 'msg_signature', 'encrypt_type', 'signature');
  const query = fc
    .array(fc.tuple(names, fc.string({ maxLength: 50 })), { maxLength: 6 })
    .map((pairs) => new URLSearchParams([...new URLSearchParams(goodQuery), ...pairs]).toString());
  const type = fc.constantFrom('text/xml', 'text/xml; charset=gbk', 'application/json', 'x', '');
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc.string({ maxLength: 200 }).map((text) => `<xml><AppId>${text}</AppId></xml>`),
    fc.nat(good.body.length).map((end) => good.body.slice(0, end)),
  );
  const method = fc.constantFrom('POST', 'POST', 'POST', 'GET', 'PUT', 'DELETE', 'HEAD', 'OPTIONS');
  const hostile = fc
    .record({ method, path, query, type, body })
    // With the whole Encrypt it may be the good push, whatever became of the rest of the body.
    .filter(({ body }) => !body.includes(good.encrypt));

  it(`${RANDOM_REQUESTS} of them are refused and leave nothing behind`, async () => {
    await fc.assert(
      fc.asyncProperty(hostile, async ({ method, path, query, type, body }) => {
        const answer = await fetch(platform.publicUrl(`${path}?${query}`), {
          method,
          headers: { 'content-type': type },
          ...(method === 'GET' || method === 'HEAD' ? {} : { body }),
        });
        expect([400, 401, 404, 405, 415]).toContain(answer.status);
        expect((await answer.text()).length).toBeLessThan(120);
      }),
      { numRuns: RANDOM_REQUESTS },
    );
    await platform.settle();
    expect(await contents(platform)).toEqual(before);
    expect(complaints()).toEqual([]);
  });
});

describe('after all of it', () => {
  it('an echostr check is answered as text that no browser takes for more', async () => {
    const { signature = '', timestamp = '', nonce = '' } = good.query;
    const query = new URLSearchParams({ signature, timestamp, nonce, echostr: '4375120948345' });
    for (const path of [EVENTS, MESSAGES]) {
      const answer = await fetch(platform.publicUrl(`${path}?${query.toString()}`));
      expect(answer.status).toBe(200);
      expect(await answer.text()).toBe('4375120948345');
      expect(answer.headers.get('content-type')).toMatch(/^text\/plain/);
      expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
      expect(answer.headers.get('x-powered-by')).toBeNull();
    }
    expect(await contents(platform)).toEqual(before);
  });

  it('a good push is stored, also under upper-case hex and without a content type', async () => {
    await platform.pass(1_000);
    const seal = (name: string) =>
      encryptPush(ticketXml({ ticket: `ticket@@@${name}`, createTime: NOW + 1 }), {
        timestamp: NOW,
      });
    const { query, body } = seal('good');
    const upper = { ...query, msg_signature: query.msg_signature?.toUpperCase() ?? '' };
    const bytes = Buffer.from(body);
    expect(await post(platform, { query: upper, body: bytes })).toBe('200 success');
    expect(await platform.redis.get(platform.keys.ticketMirror(COMPONENT.appid))).toBe(
      'ticket@@@good',
    );
    const head = `POST ${EVENTS}?${goodQuery} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`;
    const answer = await exchange(platform, [
      `${head}Content-Length: ${Buffer.byteLength(good.body)}\r\n\r\n${good.body}`,
    ]);
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n(?:.+\r\n)*Content-Type: text\/plain.*\r\n/);
    expect(answer.split('\r\n\r\n')[1]).toBe('success');
  });
});

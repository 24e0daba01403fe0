import net from 'node:net';
import { AUTHORIZER, COMPONENT, type TestPlatform } from './platform.ts';
import { keysLike, remove } from './redis-shapes/whole.ts';

/** The public listener as WeChat and strangers meet it, and what it left behind in Redis. */

export const EVENTS = `/callback/${COMPONENT.appid}`;
export const MESSAGES = `${EVENTS}/${AUTHORIZER}`;

export interface PostedPush {
  query: Readonly<Record<string, string>>;
  body: string | Buffer;
}

/** Posts and waits for what follows the answer. @returns the status and the text */
export async function post(
  platform: TestPlatform,
  push: PostedPush,
  path = EVENTS,
  headers: Record<string, string> = {},
): Promise<string> {
  const query = new URLSearchParams(push.query).toString();
  const answer = await fetch(`${platform.publicUrl(path)}?${query}`, {
    method: 'POST',
    body: push.body,
    headers: { 'content-type': 'text/xml', ...headers },
  });
  const text = await answer.text();
  await platform.settle();
  return `${answer.status} ${text}`;
}

/** The message & event URL wants another outer document. */
export function asMessage(push: {
  query: Readonly<Record<string, string>>;
  encrypt: string;
}): PostedPush {
  const body = `<xml><ToUserName>gh_1</ToUserName><Encrypt>${push.encrypt}</Encrypt></xml>`;
  return { query: push.query, body };
}

/**
 * Sends bytes as they are and reads until the other side hangs up.
 * @param options.end half-close after the last byte, as a client does that has no more to say
 * @param options.hangUp leave after the head of the first answer
 * @param options.port the public listener's unless given
 */
export function exchange(
  platform: TestPlatform,
  chunks: Iterable<string | Buffer>,
  { end = false, hangUp = false, port = platform.app.publicPort() } = {},
): Promise<string> {
  return new Promise((resolve) => {
    const received: Buffer[] = [];
    const socket = net.connect({ port, host: '127.0.0.1' });
    const rest = chunks[Symbol.iterator]();
    const send = (): void => {
      for (let next = rest.next(); next.done !== true; next = rest.next()) {
        if (socket.destroyed) return;
        if (!socket.write(next.value)) {
          socket.once('drain', send);
          return;
        }
      }
      if (end) socket.end();
    };
    socket.on('connect', send);
    socket.on('data', (chunk) => {
      received.push(chunk);
      if (hangUp && Buffer.concat(received).includes('\r\n\r\n')) socket.destroy();
    });
    // Being hung up on while still sending is an answer, too.
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(Buffer.concat(received).toString()));
  });
}

/** Every key of the platform with its content, but for how much was refused. Time to live is left out. */
export async function contents({ redis, config }: TestPlatform): Promise<Record<string, string>> {
  const all = await keysLike(redis, `${config.redisKeyPrefix}*`);
  const names = all.filter((name) => !name.includes(':refused_pushes:')).sort();
  const dumps = await Promise.all(names.map((name) => redis.dumpBuffer(name)));
  return Object.fromEntries(
    names.map((name, index) => [name, String(dumps[index]?.toString('base64'))]),
  );
}

export interface PushCounts {
  accepted: number;
  duplicate: number;
  refused: { url: string; reason: string; total: number; in_a_row: number }[];
  previous_key: number;
  previous_token: number;
  previous_key_configured: boolean;
  previous_key_last_used_at: string | null;
  previous_token_last_used_at: string | null;
}

/**
 * What the status says of pushes. Counting happens behind the answer; the status is asked over the
 * service's own connection to Redis, behind every count so far.
 */
export async function pushCounts(platform: TestPlatform): Promise<PushCounts> {
  const answer = await platform.internal('/status');
  const { components } = (await answer.json()) as { components: { pushes: PushCounts }[] };
  const [component] = components;
  if (component === undefined) throw new Error('no component in the status');
  return component.pushes;
}

/** The newest entries of the event stream as objects, newest first. */
export async function newestEvents(
  { redis, keys }: TestPlatform,
  count = 1,
): Promise<Record<string, string>[]> {
  const entries = await redis.xrevrange(keys.events(COMPONENT.appid), '+', '-', 'COUNT', count);
  return entries.map(([, flat]) =>
    Object.fromEntries(
      flat.flatMap((name, index) => (index % 2 === 0 ? [[name, flat[index + 1] ?? '']] : [])),
    ),
  );
}

export function eventCount({ redis, keys }: TestPlatform): Promise<number> {
  return redis.xlen(keys.events(COMPONENT.appid));
}

/** Redis forgets which pushes it saw, as it does by itself some minutes later. */
export async function forgetSeen({ redis, config }: TestPlatform): Promise<void> {
  await remove(redis, await keysLike(redis, `${config.redisKeyPrefix}seen:*`));
}

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Cluster } from 'ioredis';
import type { RedisClient } from './client.ts';
import { CODE } from '../../lib/version.ts';
import { nameScript } from './sent-commands.ts';
import { onRedis } from './connection.ts';
import type { Store } from './store.ts';

/** A Lua script beside the module that runs it; its header says keys, arguments and result. */
export interface Script {
  body: string;
  sha: string;
}

/** @param name the path in `store/`, such as `tickets/keep-ticket` */
export function loadScript(name: string): Script {
  return scriptOf(name, textOf(name));
}

/** A script about one record: `record.lua` and the script itself. */
export function loadRecordScript(name: string): Script {
  return scriptOf(name, `${textOf('credentials/record')}\n${textOf(name)}`);
}

/** A script that moves deliveries: `put.lua` and the script itself. */
export function loadDeliveryScript(name: string): Script {
  return scriptOf(name, `${textOf('deliveries/put')}\n${textOf(name)}`);
}

/** A script that takes pushes in, and plans their deliveries: `put.lua`, `push.lua` and the script itself. */
export function loadPushScript(name: string): Script {
  const parts = ['deliveries/put', 'tickets/push', name].map(textOf);
  return scriptOf(name, parts.join('\n'));
}

/** Connections whose other end knows no EVALSHA: some proxies. */
const textOnly = new WeakSet<object>();

/**
 * Runs a script by its hash, and by its text when Redis has forgotten it (restart, failover) or when
 * what answers there takes no hashes. That is remembered for as long as the connection lasts.
 */
export async function runScript(
  redis: RedisClient,
  script: Script,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  // Another server may be at the other end of the next connection.
  const connection: object = redis instanceof Cluster ? redis : redis.stream;
  const byText = () => redis.eval(script.body, keys.length, ...keys, ...args);
  if (textOnly.has(connection)) return byText();
  try {
    return await redis.evalsha(script.sha, keys.length, ...keys, ...args);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (error.message.startsWith('NOSCRIPT')) return byText();
    if (!refusesHashes(error)) throw error;
    const result = await byText();
    textOnly.add(connection);
    return result;
  }
}

/**
 * Whether it is EVALSHA that was refused, in whatever words a proxy has for it, and not what the script
 * did, or the state that Redis is in: then the text fares no better.
 */
function refusesHashes({ name, message }: Error): boolean {
  if (name !== 'ReplyError' || /script: |user_script/.test(message)) return false;
  if (message.startsWith('NOPERM')) return /\bevalsha\b/i.test(message);
  return !/^(?!ERR )[A-Z]{3,} /.test(message);
}

/**
 * Runs a script about one record. `args` become its `a`; what is undefined is left out.
 * @throws KeeperError `store_unavailable`
 */
export function runRecordScript(
  { redis, time }: Store,
  script: Script,
  keys: readonly string[],
  args: Readonly<Record<string, unknown>>,
): Promise<unknown> {
  const json = JSON.stringify({ ...args, now: time.forScripts() });
  return onRedis(() => runScript(redis, script, keys, [json]));
}

function textOf(name: string): string {
  return readFileSync(new URL(`store/${name}.lua`, CODE), 'utf8');
}

function scriptOf(path: string, body: string): Script {
  const script = { body, sha: createHash('sha1').update(body).digest('hex') };
  nameScript(script, path.slice(path.indexOf('/') + 1));
  return script;
}

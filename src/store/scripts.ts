import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { onRedis } from './redis.ts';
import type { Store } from './store.ts';

/** A Lua script from `scripts/`; its header says keys, arguments and result. */
export interface Script {
  body: string;
  sha: string;
}

export function loadScript(name: string): Script {
  return scriptOf(textOf(name));
}

/** A script about one record: `record.lua` and the script itself. */
export function loadRecordScript(name: string): Script {
  return scriptOf(`${textOf('record')}\n${textOf(name)}`);
}

/** Runs a script by its hash, and by its text when Redis has forgotten it (restart, failover). */
export async function runScript(
  redis: Redis,
  script: Script,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  try {
    return await redis.evalsha(script.sha, keys.length, ...keys, ...args);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return redis.eval(script.body, keys.length, ...keys, ...args);
  }
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
  return readFileSync(new URL(`./scripts/${name}.lua`, import.meta.url), 'utf8');
}

function scriptOf(body: string): Script {
  return { body, sha: createHash('sha1').update(body).digest('hex') };
}

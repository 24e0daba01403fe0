import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';

/** A Lua script from `scripts/`; its header says keys, arguments and result. */
export interface Script {
  body: string;
  sha: string;
}

export function loadScript(name: string): Script {
  const body = readFileSync(new URL(`./scripts/${name}.lua`, import.meta.url), 'utf8');
  return { body, sha: createHash('sha1').update(body).digest('hex') };
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

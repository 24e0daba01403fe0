import { expect, vi } from 'vitest';
import {
  createAuthorizations,
  type Authorizations,
} from '../../src/authorizers/code-exchange/queue.ts';
import { createLocalCopies } from '../../src/credentials/local-copy.ts';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { createWechatApi, type WechatApi } from '../../src/wechat/client.ts';
import { expectAlive } from './expect.ts';
import { collectLog, type LogLine } from './logs.ts';
import { AUTHORIZER, COMPONENT, type TestPlatform } from './platform.ts';
import { createSignal, POLLING, secondsUntil } from './waiting.ts';

/** What the stories of authorization codes that meet trouble have in common. */

export const C = COMPONENT.appid;
export const QUERY = 'api_query_auth';
export const INFO = 'api_get_authorizer_info';

export const EXCHANGED = 'an authorization code was exchanged';
export const NOT_YET = 'an authorization code could not be exchanged yet';
export const CODE_NEEDS_PERSON = 'an authorization code cannot be exchanged: a person should look';
export const REFUSED = 'WeChat refuses an authorization code';
export const HEALED = 'a code was lost; WeChat named the refresh token';
export const LOST = 'an authorization code was lost: the account must authorize again';

/** An account of its own for each number. */
export const accountOf = (number: number) => `wxb${number.toString(16).padStart(15, '0')}`;

/** Simulated seconds until `expectAlive` holds. */
export const secondsUntilAlive = (platform: TestPlatform, limit: number, authorizer = AUTHORIZER) =>
  secondsUntil(platform, limit, () => expectAlive(platform, authorizer));

/** What is kept of each exchange, the ended ones included. */
export async function exchangesKept({
  redis,
  keys,
}: TestPlatform): Promise<Record<string, unknown>[]> {
  const texts = await redis.hvals(keys.exchanges(C));
  return texts.map((text) => JSON.parse(text) as Record<string, unknown>);
}

/** How the account is listed. */
export async function entryOf({ redis, keys }: TestPlatform, authorizer = AUTHORIZER) {
  const text = await redis.hget(keys.authorizers(C), authorizer);
  return text === null ? undefined : (JSON.parse(text) as Record<string, unknown>);
}

/** What a merchant reads in the end whose browser asks for a page that waits for an exchange. */
export async function opened(
  platform: TestPlatform,
  page: () => Promise<Response>,
): Promise<string> {
  let text: string | undefined;
  const loading = page().then(async (answer) => (text = await answer.text()));
  await vi.waitFor(async () => {
    if (text === undefined) await platform.pass(500);
    expect(text).toBeDefined();
  }, POLLING);
  return loading;
}

/** The part of a replica that exchanges codes; it stops for good at a chosen point. */
export interface DoomedExchanger {
  authorizations: Authorizations;
  logs: LogLine[];
  /** Components of which only the whole list can tell what has become of a code. */
  lost: string[];
  /** Resolves when it has come to its end. */
  stopped: Promise<void>;
  /** Lets it go on after all. */
  wake(): void;
}

/** @param point `never` makes it a replica like any other, but for hearing what it reports */
export function createExchanger(
  platform: TestPlatform,
  point: 'before send' | 'after answer' | 'never',
  replica = 'doomed',
): DoomedExchanger {
  const { clock, config, store, app } = platform;
  const stopped = createSignal();
  const woken = createSignal();
  const lost: string[] = [];
  const { log, lines: logs } = collectLog();
  const call = createWechatApi({ baseUrls: config.wechatApiBaseUrls, clock, log });
  const stopAt = async (here: typeof point, name: string) => {
    if (here !== point || name !== QUERY) return;
    stopped.give();
    await woken.given;
  };
  const api: WechatApi = async (request) => {
    await stopAt('before send', request.name);
    const answer = await call(request);
    await stopAt('after answer', request.name);
    return answer;
  };
  const authorizations = createAuthorizations({
    store,
    clock,
    log,
    memory: createLocalCopies(clock, store.time),
    replica,
    api,
    keeper: app.keeper,
    windowMs: config.refreshWindowMs,
    components: [C],
    wechatNow: () => clock.now(),
    onAuthorized: (component, authorizer) => {
      void app.keeper.ensureFresh(authorizerToken(component, authorizer), 'patrol');
    },
    onLost: (component) => void lost.push(component),
  });
  return { authorizations, logs, lost, stopped: stopped.given, wake: woken.give };
}

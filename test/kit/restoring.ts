import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { COMPONENT, createTestPlatform, type TestPlatform } from './platform.ts';

/**
 * How long it takes until everything is as before when Redis was emptied and no replica remembers
 * anything: the whole service, real Redis, and WeChat's simulator over HTTP. Seconds are simulated, so
 * they say how long it takes WeChat's limits and our pauses; calls are counted by the simulator.
 */

export interface RestoredMeasurement {
  authorizers: number;
  /** Simulated seconds until every refresh token was back, and until every token was live. */
  refreshTokensAfter: number;
  tokensAfter: number;
  listCalls: number;
  tokenCalls: number;
  /** For names; they go on after that. */
  infoCalls: number;
  /** Of this machine. */
  realMs: number;
}

const STEP_MS = 5_000;
const LIMIT_SECONDS = 3_600;

export async function measureRestoring(
  redis: { url: string },
  count = 5_000,
): Promise<RestoredMeasurement> {
  const begun = performance.now();
  const platform = await createTestPlatform({ redisUrl: redis.url, env: { LOG_LEVEL: 'warn' } });
  try {
    const appids = platform.simulator.populate(COMPONENT.appid, count);
    await platform.simulator.pushTicket();
    await platform.settle();
    const after = { refreshTokens: 0, tokens: 0 };
    for (let seconds = 0; after.tokens === 0; seconds += STEP_MS / 1000) {
      if (seconds > LIMIT_SECONDS) throw new Error(`not restored within ${LIMIT_SECONDS} s`);
      const live = await countLive(platform, appids);
      if (live.refreshTokens === count) after.refreshTokens ||= seconds;
      if (live.tokens === count) after.tokens = seconds;
      else await platform.pass(STEP_MS);
    }
    const calls = (api: string) =>
      platform.simulator.ledger.calls.filter((call) => call.api === api).length;
    return {
      authorizers: count,
      refreshTokensAfter: after.refreshTokens,
      tokensAfter: after.tokens,
      listCalls: calls('api_get_authorizer_list'),
      tokenCalls: calls('api_authorizer_token'),
      infoCalls: calls('api_get_authorizer_info'),
      realMs: performance.now() - begun,
    };
  } finally {
    await platform.close();
  }
}

async function countLive({ redis, keys, simulator }: TestPlatform, appids: readonly string[]) {
  const counts = { refreshTokens: 0, tokens: 0 };
  const pipeline = redis.pipeline();
  for (const appid of appids) {
    const id = authorizerToken(COMPONENT.appid, appid);
    pipeline.hexists(keys.record(id), 'refresh_token');
    pipeline.get(keys.mirror(id));
  }
  const answers = (await pipeline.exec()) ?? [];
  for (const [, answer] of answers) {
    if (answer === 1) counts.refreshTokens += 1;
    if (typeof answer === 'string' && simulator.isLive('authorizer_access_token', answer)) {
      counts.tokens += 1;
    }
  }
  return counts;
}

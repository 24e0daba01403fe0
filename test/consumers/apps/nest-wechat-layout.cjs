'use strict';

/**
 * Asks the package for its tokens once, with its own cache on Redis, and prints them. WeChat cannot be
 * reached: what is not in the cache is an error. The time is that of the test.
 */
require('reflect-metadata');
const { NOW } = process.env;
const ahead = Number(NOW) - Date.now();
const realNow = Date.now;
Date.now = () => realNow() + ahead;
// All requests go nowhere.
process.env.HTTPS_PROXY = process.env.https_proxy = 'http://127.0.0.1:9';
const Redis = require('ioredis');
const { WeChatService, ComponentService, RedisCache } = require('nest-wechat');

const { REDIS_URL, SECRET, PLATFORM, ACCOUNT } = process.env;
const redis = new Redis(REDIS_URL);
/** What cache-manager's store for Redis does. */
const manager = {
  get: async (key) => JSON.parse(await redis.get(key)),
  set: (key, value, { ttl }) => redis.set(key, JSON.stringify(value), 'EX', ttl || 3600),
  del: (key) => redis.del(key),
};
const told = async (work) => {
  try {
    return await work();
  } catch (error) {
    return `error: ${error.message}`;
  }
};

(async () => {
  const cacheAdapter = new RedisCache(manager);
  const account = new WeChatService({ appId: ACCOUNT, appSecret: SECRET, cacheAdapter });
  const platform = new ComponentService({
    componentAppId: PLATFORM,
    componentSecret: SECRET,
    cacheAdapter,
  });
  const tokens = {
    account: await told(() => account.getToken(ACCOUNT, SECRET)),
    ticket: await told(() => account.getTicket(ACCOUNT, SECRET)),
    platform: await told(async () => {
      const { componentAccessToken } = await platform.getComponentAccessToken();
      return componentAccessToken;
    }),
  };
  redis.disconnect();
  process.stdout.write(JSON.stringify(tokens));
})();

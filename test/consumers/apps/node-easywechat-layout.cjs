'use strict';

/**
 * Asks the package for its tokens once, as its README says, with Redis as its cache, and prints them. WeChat
 * cannot be reached: what is not in the cache is an error.
 */
const Redis = require('ioredis');
const { OfficialAccount, OpenPlatform } = require('node-easywechat');

const { REDIS_URL, PREFIX, SECRET, PLATFORM, ACCOUNT, AUTHORIZER, REFRESH_TOKEN } = process.env;
const redis = new Redis(REDIS_URL);
const cache = {
  get: (key) => redis.get(PREFIX + key),
  set: (key, value, seconds) => redis.set(PREFIX + key, value, 'EX', seconds),
  has: async (key) => (await redis.exists(PREFIX + key)) === 1,
  delete: (key) => redis.del(PREFIX + key),
};
const common = { secret: SECRET, http: { baseURL: 'http://127.0.0.1:9/', timeout: 1000 } };
const told = async (work) => {
  try {
    return await work();
  } catch (error) {
    return `error: ${error.message}`;
  }
};

(async () => {
  const account = new OfficialAccount({ ...common, app_id: ACCOUNT });
  account.setCache(cache);
  const platform = new OpenPlatform({ ...common, app_id: PLATFORM, token: 't', aes_key: 'k' });
  platform.setCache(cache);
  const tokens = {
    account: await told(() => account.getAccessToken().getToken()),
    ticket: await told(() => account.getTicket().getTicket()),
    platform: await told(() => platform.getComponentAccessToken().getToken()),
    authorizer: await told(() => platform.getAuthorizerAccessToken(AUTHORIZER, REFRESH_TOKEN)),
  };
  redis.disconnect();
  process.stdout.write(JSON.stringify(tokens));
})();

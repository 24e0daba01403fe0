import type { ConfigFault } from './faults.ts';
import {
  certificatesSchema,
  endpointsSchema,
  flagSchema,
  loginSchema,
  masterNameSchema,
  protocolSchema,
  redisUrlSchema,
  serverNameSchema,
} from './formats.ts';
import { setting, type ValuesOf } from './setting.ts';

/** One way to Redis: a server, Sentinels or a cluster. */
export const REDIS = {
  url: setting({
    name: 'REDIS_URL',
    schema: redisUrlSchema.optional(),
    required: true,
    secret: true,
    secretParts: passwordsIn,
    example: 'redis://127.0.0.1:6379',
    doc: {
      en: 'a single server: `redis://`, `rediss://` (TLS) or the path of a socket; left out where Sentinels or a cluster are named',
      zh: '单个 Redis：`redis://`、`rediss://`（TLS）或套接字路径；使用 Sentinel 或 Cluster 时不填',
    },
  }),
  sentinels: setting({
    name: 'REDIS_SENTINELS',
    schema: endpointsSchema.optional(),
    example: '10.0.0.1:26379,10.0.0.2:26379,10.0.0.3:26379',
    doc: {
      en: 'instead of `REDIS_URL`: the Sentinels, comma-separated `host:port`',
      zh: '代替 `REDIS_URL`：Sentinel 的地址，逗号分隔的 `host:port`',
    },
  }),
  sentinelMaster: setting({
    name: 'REDIS_SENTINEL_MASTER',
    schema: masterNameSchema.optional(),
    example: 'mymaster',
    doc: { en: 'the name that they have for the master', zh: 'Sentinel 中主库的名称' },
  }),
  sentinelUsername: setting({
    name: 'REDIS_SENTINEL_USERNAME',
    schema: loginSchema.optional(),
    doc: {
      en: 'user at the Sentinels, if they have one of their own',
      zh: '登录 Sentinel 的用户名（如单独设置）',
    },
  }),
  sentinelPassword: setting({
    name: 'REDIS_SENTINEL_PASSWORD',
    schema: loginSchema.optional(),
    secret: true,
    doc: {
      en: 'password at the Sentinels; `REDIS_PASSWORD` is not sent to them',
      zh: '登录 Sentinel 的密码；不会向它们发送 `REDIS_PASSWORD`',
    },
  }),
  sentinelTls: setting({
    name: 'REDIS_SENTINEL_TLS',
    schema: flagSchema.optional(),
    example: 'true',
    doc: {
      en: '`true` or `false`: whether the Sentinels speak TLS; unless set, as `REDIS_TLS` says',
      zh: '`true` 或 `false`：Sentinel 是否使用 TLS；不设时与 `REDIS_TLS` 相同',
    },
  }),
  cluster: setting({
    name: 'REDIS_CLUSTER',
    schema: endpointsSchema.optional(),
    example: '10.0.0.1:6379,10.0.0.2:6379',
    doc: {
      en: 'instead of `REDIS_URL`: some nodes of a cluster, comma-separated `host:port`',
      zh: '代替 `REDIS_URL`：Cluster 的若干节点，逗号分隔的 `host:port`',
    },
  }),
  username: setting({
    name: 'REDIS_USERNAME',
    schema: loginSchema.optional(),
    example: 'wxkeeper',
    doc: {
      en: 'user at Redis, where `REDIS_URL` names none',
      zh: 'Redis 用户名，`REDIS_URL` 中没有时使用',
    },
  }),
  password: setting({
    name: 'REDIS_PASSWORD',
    schema: loginSchema.optional(),
    secret: true,
    doc: {
      en: 'its password, as it is, without percent-encoding',
      zh: '对应的密码，原样填写，无需百分号编码',
    },
  }),
  tls: setting({
    name: 'REDIS_TLS',
    schema: flagSchema.optional(),
    example: 'true',
    doc: {
      en: '`true`: the master of the Sentinels, or the cluster, speaks TLS; for `REDIS_URL` its beginning says it',
      zh: '`true`：Sentinel 的主库或 Cluster 使用 TLS；`REDIS_URL` 由其开头决定',
    },
  }),
  tlsCa: setting({
    name: 'REDIS_TLS_CA_FILE',
    schema: certificatesSchema.optional(),
    example: '/run/secrets/redis-ca.pem',
    doc: {
      en: 'certificates in PEM to trust for Redis, instead of those of the system',
      zh: '连接 Redis 时信任的 PEM 证书文件，代替系统自带的',
    },
  }),
  tlsServername: setting({
    name: 'REDIS_TLS_SERVERNAME',
    schema: serverNameSchema.optional(),
    example: 'redis.internal',
    doc: {
      en: 'the name in the certificate, where Redis is reached by another or by addresses',
      zh: '证书中的名称，用于以其他名称或 IP 访问 Redis 的情况',
    },
  }),
  protocol: setting({
    name: 'REDIS_PROTOCOL',
    schema: protocolSchema,
    default: '3',
    doc: {
      en: '`2` for proxies that refuse RESP3',
      zh: '遇到不支持 RESP3 的代理时设为 `2`',
    },
  }),
};

function passwordsIn(redisUrl: string | undefined): string[] {
  const password = redisUrl?.includes('://') === true ? new URL(redisUrl).password : '';
  return [password, decodeURIComponent(password)];
}

type Values = ValuesOf<typeof REDIS>;

/** How Redis is reached: exactly one of `url`, `sentinels` and `cluster` is set. */
export type RedisSettings = { readonly [Name in keyof Values]?: Values[Name] | undefined } & Pick<
  Values,
  'protocol'
>;

type Field = keyof RedisSettings;

const WAYS = ['url', 'sentinels', 'cluster'] as const;
const OF_SENTINELS = ['sentinelUsername', 'sentinelPassword', 'sentinelTls'] as const;

const nameOf = (field: Field): string => REDIS[field].name;

/**
 * Settings that say two things, or half of one. What is wrong by itself has been told, and is not set here.
 * @param given whether a setting was given at all, right or wrong
 */
export function redisFaults(redis: RedisSettings, given: (field: Field) => boolean): ConfigFault[] {
  const faults: ConfigFault[] = [];
  const say = (field: Field, text: string) => faults.push({ setting: nameOf(field), text });
  const ways = WAYS.filter(given);
  const [way] = ways;
  if (way === undefined) {
    say('url', 'is required, or REDIS_SENTINELS with REDIS_SENTINEL_MASTER, or REDIS_CLUSTER');
  } else if (ways.length > 1) {
    const others = ways.slice(1).map(nameOf).join(' and ');
    say(way, `and ${others} are set together: one way to Redis, please`);
  }
  if (given('sentinels') !== given('sentinelMaster')) {
    const [one, other] = given('sentinels')
      ? (['sentinels', 'sentinelMaster'] as const)
      : (['sentinelMaster', 'sentinels'] as const);
    say(one, `needs ${nameOf(other)}`);
  }
  if (!given('sentinels')) {
    for (const field of OF_SENTINELS.filter(given)) say(field, 'needs REDIS_SENTINELS');
  }
  const hasPassword =
    given('password') ||
    (redis.url?.includes('://') === true && new URL(redis.url).password !== '');
  if (given('username') && !hasPassword) say('username', 'needs REDIS_PASSWORD');
  if (given('sentinelUsername') && !given('sentinelPassword')) {
    say('sentinelUsername', 'needs REDIS_SENTINEL_PASSWORD');
  }
  return [...faults, ...urlFaults(redis), ...tlsFaults(redis, given)];
}

/** What a URL says already. */
function urlFaults({ url, username, password, tls }: RedisSettings): ConfigFault[] {
  if (url === undefined) return [];
  const faults: ConfigFault[] = [];
  const say = (field: Field, text: string) => faults.push({ setting: nameOf(field), text });
  const isSocket = !url.includes('://');
  if (isSocket) {
    if (tls === true) say('tls', 'is true, and REDIS_URL is the path of a socket');
    return faults;
  }
  const said = new URL(url);
  if (said.username !== '' && username !== undefined) {
    say('username', 'and the user in REDIS_URL are both set');
  }
  if (said.password !== '' && password !== undefined) {
    say('password', 'and the password in REDIS_URL are both set');
  }
  if (said.username !== '' && said.password === '' && password === undefined) {
    say('url', 'names a user and no password: put it there, or into REDIS_PASSWORD');
  }
  if (tls !== undefined && tls !== (said.protocol === 'rediss:')) {
    say('tls', `is ${String(tls)}, and REDIS_URL begins with ${said.protocol}//`);
  }
  return faults;
}

/** Whoever names certificates believes that they are checked. */
function tlsFaults(redis: RedisSettings, given: (field: Field) => boolean): ConfigFault[] {
  const encrypts = usesTls(redis) || redis.sentinelTls === true;
  if (encrypts || !WAYS.some((way) => redis[way] !== undefined)) return [];
  return (['tlsCa', 'tlsServername'] as const).filter(given).map((field) => ({
    setting: nameOf(field),
    text:
      redis.url === undefined
        ? 'is set, and REDIS_TLS is not true'
        : 'is set, and REDIS_URL does not begin with rediss://',
  }));
}

/** Whether the servers that hold the data are spoken to over TLS. */
export function usesTls({ url, tls }: RedisSettings): boolean {
  return url === undefined ? tls === true : url.startsWith('rediss://');
}

import type { ScriptCheck } from './script-check.ts';

/**
 * What the proxies of clouds refuse, as their documents say in November 2026. Where a document does not
 * say in which words, the words are those that Redis or such proxies usually have for it.
 */
export interface CloudProfile {
  /** Commands it does not know, in small letters. */
  lacks?: readonly string[];
  /** Commands it refuses in words of its own. */
  refuses?: Readonly<Record<string, string>>;
  /** What it says to AUTH with a user name. */
  noUsers?: string;
  /** What it says to scripts that its check of their text does not like. */
  scripts?: { check: ScriptCheck; words: string };
  /** What it says to scripts without a key. */
  needsKey?: string;
  /** What it says to keys of several slots. */
  oneSlot?: string;
  /** Every so many EVALSHAs one finds no script; 1: it never knows one. */
  forgetsScripts?: number;
  /** What becomes of a script's text on its way. */
  rewrites?: readonly (readonly [RegExp, string])[];
}

const ALIYUN: CloudProfile = {
  lacks: ['cluster'],
  needsKey: "ERR for redis cluster, eval/evalsha number of keys can't be negative or zero",
  oneSlot: 'ERR eval/evalsha command keys must be in same slot',
};
const BAD_SCRIPT =
  'ERR bad lua script for redis cluster, all the keys that the script uses should be passed using ' +
  'the KEYS array';

export const CLOUD_PROFILES = {
  /** Alibaba Cloud, a cluster by its proxy. help.aliyun.com/document_detail/92942.html */
  'aliyun-cluster': { ...ALIYUN, scripts: { check: {}, words: BAD_SCRIPT } },
  /** The same where the proxy checks all that is written there: "additional checks", "UNPACK", "PUBLISH". */
  'aliyun-cluster-strict': {
    ...ALIYUN,
    scripts: {
      check: { literalIndexes: true, noUnpack: true, noPublish: true },
      words: `${BAD_SCRIPT}, and KEYS should not be in expression`,
    },
  },
  /** The same with script_check_enable set to 0: one key at least, and one slot. */
  'aliyun-cluster-unchecked': ALIYUN,
  /** Tencent Cloud: HELLO, but RESP2 alone, and no ACL. cloud.tencent.com/document/product/239/122188 */
  tencent: {
    lacks: ['acl'],
    refuses: { hello: 'ERR unsupported protocol, only RESP2 is supported' },
    noUsers: "ERR wrong number of arguments for 'auth' command",
  },
  /** Huawei Cloud DCS, proxy cluster. support.huaweicloud.com/productdesc-dcs/dcs-pd-200813004.html */
  huawei: {
    needsKey: 'ERR eval/evalsha numkeys must be bigger than zero in redis cluster mode',
    oneSlot: "ERR 'EVAL' command keys must in same slot",
  },
  /** Oracle: "Lua script isn't supported". docs.oracle.com/en-us/iaas/Content/ocicache/shardedclusters.htm */
  'oci-sharded': { lacks: ['eval', 'evalsha', 'script'] },
  /**
   * AWS ElastiCache Serverless: keys that are not declared are refused, and scripts are forgotten at any
   * time. docs.aws.amazon.com/AmazonElastiCache/latest/dg/SupportedCommands.html
   */
  'aws-serverless': {
    lacks: [
      'acl',
      'bgsave',
      'config',
      'debug',
      'migrate',
      'monitor',
      'replicaof',
      'save',
      'slowlog',
    ],
    scripts: {
      check: {},
      words: 'ERR Script attempted to access keys that do not hash to the same slot',
    },
    oneSlot: "CROSSSLOT Keys in request don't hash to the same slot",
    forgetsScripts: 3,
  },
  /** Nobody documents it: what INFO says within scripts holds no replication id. */
  'hides-replication': {
    forgetsScripts: 1,
    rewrites: [[/'INFO', 'replication'/, "'INFO', 'server'"]],
  },
} as const satisfies Record<string, CloudProfile>;

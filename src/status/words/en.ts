import { explainWord } from '../../store/redis/error-words.ts';
import type { Facts } from '../problems.ts';
import { PUSH_URLS, REFUSALS } from './refusals-en.ts';
import { problem, refusalOf, type PushUrlWords, type Words } from './words.ts';

const CHECK =
  'Check in the console that the authorization-event URL is right and its ticket push is on, and ' +
  'that WeChat can reach it; watch the log for refused pushes.';
/** Pushes that arrive and are refused are the likelier cause. */
const callback = (facts: Facts) =>
  facts.pushes === undefined
    ? CHECK
    : `Pushes are refused, which may be why. ${refusalOf(REFUSALS, facts.pushes).remedy(facts)}`;
const STATE = {
  fresh: 'fresh',
  due: 'due',
  urgent: 'about to expire',
  expired: 'expired',
  missing: 'missing',
} as const;

const stateOf = ({ state }: Facts) => STATE[state as keyof typeof STATE];
const tries = ({ failures }: Facts) =>
  Number(failures) === 0 ? '' : ` after ${failures} failed ${failures === 1 ? 'try' : 'tries'}`;
/** The state is that of the first kind: the gravest. */
const failing = (facts: Facts) => {
  const [first, ...others] = String(facts.kind).split(', ');
  const too =
    others.length === 0 ? '' : `; ${others.join(' and ')} cannot be refreshed for the same reason`;
  const reason = facts.reason === undefined ? '' : ` ${facts.reason}.`;
  return `${first} is ${stateOf(facts)}${tries(facts)}${too}.${reason}`;
};
const remedy = (facts: Facts) =>
  String(
    facts.remedy ??
      'It is refreshed by itself as soon as the ticket or token that it needs is there.',
  );

const LOOK_AFTER =
  'Look after Redis first: whether it runs where REDIS_URL, REDIS_SENTINELS or REDIS_CLUSTER says, its log, its memory and disk, the network.';
const remedyOf = ({ word }: Facts) =>
  word === undefined ? undefined : explainWord(String(word))?.remedy.en;
/** Redis's own words, where there are any. */
const unusable = ({ reason, word, words }: Facts) => {
  const { means } = explainWord(String(word)) ?? {};
  if (means !== undefined) return `Redis cannot be used: ${means.en} (${words}).`;
  return word === undefined ? String(reason) : `${reason} The reason is ${word}.`;
};
const refusal = ({ denied, words, key, version }: Facts) => {
  const on = key === undefined ? '' : ` on ${key}`;
  return `Redis${version === undefined ? '' : ` ${version}`} refuses ${denied}${on}: ${words}.`;
};

export const en: Words = {
  allWell: 'All is well.',
  verdict: (title, subject, more) => {
    const who = subject === null ? '' : ` (${subject})`;
    if (more === 0) return `${title}${who}.`;
    return `${title}${who}, and ${more} more ${more === 1 ? 'problem' : 'problems'}.`;
  },
  problems: {
    store_unavailable: problem(
      'Redis cannot be reached',
      (facts) => `${unusable(facts)} Pushes are answered 503 and nothing is refreshed.`,
      (facts) => `${remedyOf(facts) ?? LOOK_AFTER} Everything goes on by itself when it is back.`,
    ),
    redis_refuses_writes: problem(
      'Redis takes no writes',
      ({ reason }) => `Redis takes nothing any more (${reason}): no ticket, no new token.`,
      ({ reason }) => remedyOf({ word: reason ?? '' }) ?? 'Look at the log of Redis.',
    ),
    redis_forbids: problem(
      'Redis forbids commands that are needed',
      ({ commands, ...facts }) =>
        [
          commands === undefined ? '' : `Redis forbids our user: ${commands}.`,
          facts.denied === undefined ? '' : refusal(facts),
        ]
          .join(' ')
          .trim(),
      ({ commands, ...facts }) =>
        commands === undefined
          ? (remedyOf(facts) ?? 'Look at the log of Redis, and at what stands before it.')
          : 'Allow these commands in the ACL of the Redis user that wxkeeper logs in with.',
    ),
    redis_key_spoiled: problem(
      'A key of ours holds something else',
      ({ reason }) =>
        `Somebody has put something else where wxkeeper keeps its data (WRONGTYPE): ${reason}. ` +
        'What belongs there is not stored.',
      'Look at that key with TYPE, and RENAME it out of the way or delete it; wxkeeper makes it anew.',
    ),
    seal_key_wrong: problem(
      'Refresh tokens cannot be unsealed',
      ({ reason }) =>
        `${reason}. Tokens of these authorizers are not refreshed; nothing is overwritten.`,
      ({ cause }) =>
        cause === 'token'
          ? 'No key is missing. Find out who wrote to Redis; restore these records from a backup, or let ' +
            'the accounts authorize anew.'
          : 'Put the key that sealed them back into REFRESH_TOKEN_KEYS and restart wxkeeper.',
    ),
    secret_refused: problem('WeChat refuses the AppSecret', failing, remedy),
    address_not_whitelisted: problem(
      "This server's address is not on WeChat's IP whitelist",
      failing,
      remedy,
    ),
    no_ticket: problem(
      'There is no ticket yet',
      () =>
        'No ticket has arrived since the first start, or since Redis was emptied: WeChat pushes one ' +
        'every 10 minutes.',
      callback,
    ),
    ticket_expired: problem(
      'The last ticket has expired',
      () => 'The last ticket is more than 12 h old: no component_access_token can be refreshed.',
      (facts) => `${callback(facts)} The first new push repairs everything by itself.`,
    ),
    quota_exhausted: problem("WeChat's daily quota is used up", failing, remedy),
    foreign_refresher: problem(
      'Somebody else refreshes our credentials',
      ({ kind, since, refused }) =>
        `Somebody else mints ${kind} with our secret since ${since}: live values of ours die early, ` +
        `last at ${refused}. Every half hour one is minted again, no more.`,
      'Find the other program that holds the AppSecret (a test server, an old deployment) and let it ' +
        'read from here; or reset the AppSecret, which ends it at once.',
    ),
    wechat_unreachable: problem('WeChat cannot be reached', failing, remedy),
    credential_dead: problem('There is no live credential', failing, remedy),
    authorization_code_stuck: problem(
      'An authorization cannot be completed',
      ({ reason }) => `An account has authorized, but its code cannot be exchanged: ${reason}.`,
      (facts) =>
        `${facts.remedy} The code lives for ten minutes; after that the merchant must authorize again.`,
    ),
    ticket_silent: problem(
      'No ticket arrives',
      ({ minutes, refused }) =>
        refused === undefined
          ? `No ticket for ${minutes} minutes; the stored one serves until it is 12 h old.`
          : `No ticket for ${minutes} minutes, and WeChat refuses the newest one that is stored.`,
      callback,
    ),
    ticket_refused: problem(
      'WeChat refuses the newest ticket',
      () => 'WeChat refuses the newest ticket; new pushes were asked for.',
      `Nothing to do when a push arrives within minutes. Otherwise: ${CHECK}`,
    ),
    credential_refresh_failing: problem('A credential cannot be refreshed', failing, remedy),
    clock_skew: problem(
      'Clocks disagree',
      ({ redis, wechat }) =>
        `This machine's clock differs by ${redis} s from Redis's` +
        `${wechat === undefined ? '' : ` and by ${wechat} s from WeChat's`}.`,
      'Check NTP here and at Redis: pushes are refused when this clock is off by five minutes, and ' +
        "credentials are judged by Redis's.",
    ),
    pushes_refused: problem(
      'Pushes are refused',
      (facts) => {
        const { count, since, path, kind, reason, others } = facts;
        const where = PUSH_URLS[kind as keyof PushUrlWords];
        const { cause } = refusalOf(REFUSALS, reason);
        const pushes =
          others === undefined
            ? `${count} pushes in a row to ${where} were refused since ${since}`
            : `${count} pushes to ${where} were refused since ${since} while others were accepted there`;
        return `${pushes}, the last one at ${path}: ${cause(facts)}.`;
      },
      (facts) => refusalOf(REFUSALS, facts.reason).remedy(facts),
    ),
    previous_key_dropped: problem(
      'The previous key was dropped too early',
      ({ since }) =>
        `A push came under the previous Token or EncodingAESKey at ${since}, and neither is configured ` +
        'any more: such pushes are refused.',
      'Set COMPONENT_PREVIOUS_TOKEN and COMPONENT_PREVIOUS_ENCODING_AES_KEY again until no push has ' +
        'used them for a day, and check that the console has the new ones.',
    ),
    previous_key_in_use: problem(
      'The previous key is still in use',
      ({ since }) =>
        `WeChat still uses the previous Token or EncodingAESKey, last at ${since}: without it these ` +
        'pushes would be lost.',
      'Leave it configured until no push has used it for a day. A change in the console counts only ' +
        'after the platform is released again.',
    ),
    redis_may_evict: problem(
      'Redis may evict credentials',
      () => 'Redis may throw away any key when its memory is full, refresh tokens among them.',
      'Set maxmemory-policy noeviction, now and in its configuration file.',
    ),
    redis_hides_failovers: problem(
      'Redis hides its failovers',
      () =>
        'INFO shows scripts no replication id (master_replid), by which a restart or a failover is noticed. ' +
        'When one loses the last writes, readers can be given a dead token until it is reported.',
      'Usually a proxy before Redis does it: take a standard instance, or connect to Redis itself. After ' +
        'each failover force a refresh of each credential until then.',
    ),
    replica_lost: problem(
      'A replica is lost',
      ({ replica, seen }) => `Replica ${replica} was last seen at ${seen} and never said goodbye.`,
      'Look at its host and its log. The others do its work meanwhile. This ends when another one ' +
        'starts; when nobody takes its place on purpose, it is forgotten after a day.',
    ),
    authorizers_behind: problem(
      'Refreshing authorizers falls behind',
      ({ due, seconds }) =>
        `${due} authorizers wait for a new token, the first one for ${seconds} s. Tokens die when ` +
        'they wait longer than their window.',
      'After an outage it works itself off at AUTHORIZER_REFRESHES_PER_SECOND. If it grows, raise ' +
        'that, add a replica, or look for slow answers of WeChat in the log.',
    ),
    target_stopped: problem(
      'A target wants no more deliveries',
      ({ kind, target, waiting }) =>
        `The target of route ${kind} (${target}) has answered 410: nothing is sent there any more; ` +
        `${waiting} deliveries wait.`,
      'If it was meant, take the route out of CONFIG_FILE: what waits is forgotten after two weeks. Otherwise mend ' +
        'the target and resume it, in the dashboard or by POST …/deliveries/{route}/resume: it gets all that waits.',
    ),
    target_failing: problem(
      'A target does not take deliveries',
      ({ kind, target, waiting, answered }) =>
        `The target of route ${kind} (${target}) does not take deliveries, last: ${reasonOf(answered)}; ` +
        `${waiting} wait.`,
      'Look at the log of that application, and whether it is reached from here. Nothing is lost for a day, ' +
        'and after that it is kept for a week as dead letters. npm run doctor tries the target.',
    ),
    replies_failing: problem(
      'Users get no reply from a target',
      ({ kind, target, missed, count }) =>
        `Route ${kind} asks ${target} for replies, and the last ${count} users got none: ${missedOf(missed)}.`,
      'A reply must be complete within 4.5 seconds, with a 2xx status and in the form of docs/delivering.md ' +
        '("Replies"). Look at the log of that application. The deliveries themselves go on.',
    ),
    deliveries_dropped: problem(
      'Deliveries were given up',
      ({ kind, dead, dropped }) =>
        [
          Number(dead) === 0
            ? ''
            : `${several(dead)} of route ${kind} given up and kept for a week.`,
          Number(dropped) === 0
            ? ''
            : `${several(dropped)} of route ${kind} dropped: there was no room, or they were too old.`,
        ]
          .filter(Boolean)
          .join(' '),
      'See in GET …/pushes/{id} why they failed, mend the target, and replay them; or throw them away. If they ' +
        'were dropped, raise DELIVERY_MEGABYTES, or mend targets sooner.',
    ),
    layout_failing: problem(
      'Keys of applications cannot be written',
      ({ kind, reason }) =>
        `The layout ${kind} cannot be published: ${reason}. Applications that read it find the former ` +
        'values, and nothing once those have ended.',
      'Look after that Redis: redis_url of the layout in CONFIG_FILE, or, without one, whether the user of ' +
        'REDIS_URL may get, set and delete the keys of the layout. It is tried again every 15 seconds.',
    ),
    layout_overwritten: problem(
      'An application writes into published keys',
      ({ kind, credential, count }) =>
        `In keys of the layout ${kind}, last of ${credential}, there were values that wxkeeper has not written: ` +
        `${count} so far. They were replaced, and not used.`,
      'Some application still mints by itself, and may be killing the tokens of all others. Let it have a key ' +
        'of wxkeeper in place of the AppSecret, and the host of wxkeeper; the log names account and kind.',
    ),
    quota_half_used: problem(
      "Half of WeChat's daily quota is used",
      ({ kind, calls, allowed }) =>
        `${calls} of ${allowed} calls for ${kind} were made today; at 90 % only needed ones are.`,
      'Look in history and log for what causes them, such as a service that reports good values as dead.',
    ),
    refresh_tokens_unsealed: problem(
      'Refresh tokens are stored unsealed',
      ({ seen }) =>
        `${seen} refresh tokens that were read are not sealed although REFRESH_TOKEN_KEYS is set.`,
      'After sealing was switched on it takes two hours until all are sealed. If it lasts longer, or comes ' +
        'later, somebody has written them to Redis by hand: find out who.',
    ),
    reconciliation_inconsistent: problem(
      "WeChat's list of authorizers contradicts itself",
      () => "WeChat's list of authorizers contradicts itself, so nobody was marked as missing.",
      'Nothing to do: what was lost is restored, and the next run comes tomorrow.',
    ),
    redis_was_restarted: problem(
      'Redis was restarted',
      ({ kind, until }) =>
        `Redis restarted or failed over; ${kind} is minted once more after ${until}.`,
      'Nothing to do: values are served meanwhile.',
    ),
  },
};

const several = (count: Facts[string] | undefined) =>
  Number(count) === 1 ? '1 delivery' : `${String(count)} deliveries`;
/** What an attempt ended with. */
const reasonOf = (answered: Facts[string] | undefined) => {
  const known: Readonly<Record<string, string>> = {
    timeout: 'no answer within ten seconds',
    forbidden_address: 'its address is private and not in DELIVERY_NETWORKS',
    unreachable: 'it cannot be reached',
    tls: 'its certificate is not accepted',
    broken_off: 'its answer broke off',
  };
  return known[String(answered)] ?? `status ${String(answered)}`;
};

const missedOf = (missed: Facts[string] | undefined) => {
  const known: Readonly<Record<string, string>> = {
    late: 'it came too late',
    failed: 'there was no answer, or one with another status than 2xx',
    malformed: 'it is nothing that WeChat would take',
  };
  return known[String(missed)] ?? String(missed);
};

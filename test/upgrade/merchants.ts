import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import type { Soak } from '../soak/soak.ts';
import { COMPONENT } from '../soak/station.ts';
import { AT_REST_MS } from '../soak/time.ts';

/** Accounts that authorize while two versions take the pushes, and what both must know of them. */
export interface Merchants {
  /** One more; half of them get a new refresh token with each refresh. */
  authorize(): Promise<void>;
  /** Nothing that was acknowledged is lost. */
  checkKept(): Promise<void>;
  /** Everybody gets WeChat's last value, whichever version he asks. */
  checkAtRest(): Promise<void>;
  /** More mints for one of them than time and the faults so far explain. */
  checkMints(): void;
}

/** Seconds between two mints that nothing but time calls for. */
const LEAST_INTERVAL = 6_300;
const MINTS_PER_FAULT = 3;

interface Merchant {
  appid: string;
  since: number;
  acknowledged: boolean;
  /** Its event was in the stream when Redis was emptied. */
  emptied: boolean;
}

const EMPTIED = 'Redis killed and emptied';

export function createMerchants(soak: Soak): Merchants {
  const { station, judge } = soak;
  const { simulator, redis, keys, clock } = station;
  const merchants: Merchant[] = [];
  let emptied = 0;
  const kept = () => merchants.filter(({ acknowledged }) => acknowledged);
  const idOf = ({ appid }: Merchant) => authorizerToken(COMPONENT.appid, appid);
  const recordOf = (one: Merchant) => redis.hgetall(keys.record(idOf(one)));
  const expect = (isSo: boolean, one: Merchant, what: string) => {
    if (!isSo) judge.violate(`${one.appid}: ${what}`);
  };
  return {
    async authorize() {
      const appid = `wx${merchants.length.toString(16).padStart(16, 'e')}`;
      const rotating = merchants.length % 2 === 1;
      const { code } = simulator.grant(COMPONENT.appid, appid, { rotating });
      const { accepted } = await simulator.pushAuthorized(COMPONENT.appid, appid, code);
      merchants.push({ appid, since: clock.monotonic(), acknowledged: accepted, emptied: false });
      await soak.passing.settle();
    },
    async checkKept() {
      // Nobody but Redis remembers events.
      const count = soak.faults.get(EMPTIED) ?? 0;
      if (count > emptied) for (const one of merchants) one.emptied = true;
      emptied = count;
      const events = JSON.stringify(await redis.xrange(keys.events(COMPONENT.appid), '-', '+'));
      for (const one of kept()) {
        const isThere = one.emptied || events.includes(one.appid);
        expect(isThere, one, 'its push was acknowledged and is no event');
        const { refresh_token: token } = await recordOf(one);
        const right = token === simulator.refreshTokenOf(COMPONENT.appid, one.appid);
        expect(token !== undefined && right, one, 'its refresh token is not the one that works');
      }
    },
    async checkAtRest() {
      for (const one of kept()) {
        const id = idOf(one);
        const { value } = await recordOf(one);
        const last = simulator.latestMint(id.kind, one.appid)?.value;
        expect(value !== undefined && value === last, one, 'what is stored is not the last minted');
        for (const replica of soak.up()) {
          const path = `/v1/credentials/${id.kind}/${id.subject}`;
          const answer = await soak.ask(replica, path, { quietMs: AT_REST_MS });
          const isLast = answer?.status === 200 && answer.value === last;
          const seen = `${answer?.status ?? 'no answer'}, ${answer?.value === last ? 'right' : 'wrong'}`;
          expect(isLast, one, `replica ${replica.name} does not serve the last: ${seen}`);
        }
      }
    },
    checkMints() {
      const faults = [...soak.faults.values()].reduce((sum, count) => sum + count, 0);
      for (const one of kept()) {
        const seconds = (clock.monotonic() - one.since) / 1_000;
        const most = Math.ceil(seconds / LEAST_INTERVAL) + 1 + MINTS_PER_FAULT * faults;
        const made = simulator.ledger.mints.filter(
          ({ kind, appid }) => kind === 'authorizer_access_token' && appid === one.appid,
        ).length;
        expect(made <= most, one, `${made} mints, ${most} at most are explained`);
      }
    },
  };
}

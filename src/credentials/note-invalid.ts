import { iso } from '../lib/time-format.ts';
import type { CredentialId } from '../store/redis/keys.ts';
import { refuseValue, type RefusalOutcome } from '../store/credentials/invalidate.ts';
import { describeRefusedBy, type RefusedBy } from '../store/credentials/refused-by.ts';
import type { RefreshContext } from './refresh-types.ts';

/**
 * Takes note that WeChat called a value dead, and tells people what it means.
 * @param refusal.by who says so
 * @param refusal.ownDoing a person wants another value, though nobody called this one dead
 * @param refusal.quiet that it came too soon is not worth another log line
 * @throws KeeperError `store_unavailable`
 */
export async function noteInvalid(
  { store, log }: Pick<RefreshContext, 'store' | 'log'>,
  id: CredentialId,
  refusal: { seq: number; by: RefusedBy; ownDoing: boolean; quiet?: boolean },
): Promise<RefusalOutcome> {
  const result = await refuseValue(store, id, refusal);
  if (refusal.quiet === true && result.outcome === 'throttled') return result;
  const by = describeRefusedBy(refusal.by);
  const facts = { kind: id.kind, subject: id.subject, seq: refusal.seq, by };
  switch (result.outcome) {
    case 'accepted':
      if (refusal.ownDoing) log.info('another value is wanted', facts);
      else log.warn('a value died before its time; another one is minted', facts);
      break;
    case 'foreign':
      log.error(
        'somebody else mints with our secret: each of their mints ends the value that we keep. Find ' +
          'the other program, or reset the AppSecret',
        facts,
      );
      break;
    case 'throttled':
      log.warn('a value was called dead too soon after the last time; it stays', {
        ...facts,
        until: iso(result.until),
      });
      break;
    case 'joined':
    case 'other':
      break;
  }
  return result;
}

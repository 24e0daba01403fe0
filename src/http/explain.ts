import type { Request } from 'express';
import type * as z from 'zod';
import { sentenceOf } from '../credentials/error-words.ts';
import { describeFailure } from '../credentials/failure.ts';
import { KeeperError } from '../lib/errors.ts';
import { WechatError } from '../wechat/client.ts';
import { healedBy } from '../wechat/errcodes.ts';

/** What several routes of the internal API say. */

/** The component that the path names. @throws KeeperError `unknown_component` */
export function knownComponent(components: readonly string[], request: Request): string {
  const component = String(request.params.component);
  if (components.includes(component)) return component;
  throw new KeeperError('unknown_component', 'No such component is configured here.');
}

/** What is wrong with a body, each fault with its place. */
export function faultsIn(error: z.ZodError | undefined): string[] {
  return (error?.issues ?? []).map(({ path, message }) =>
    path.length === 0 ? message : `${path.join('.')} ${message}`,
  );
}

/**
 * What WeChat said, in words.
 * @throws KeeperError `wechat_unavailable` when it heals by itself, `wechat_refused` when it waits for a
 *   person; anything that is no WechatError as it is
 */
export function explain(error: unknown): never {
  if (!(error instanceof WechatError)) throw error;
  const failure = describeFailure(error);
  const heals = healedBy(failure.class) === 'itself';
  const code = heals ? 'wechat_unavailable' : 'wechat_refused';
  throw new KeeperError(code, sentenceOf(failure), {
    cause: error,
    retryAfterSeconds: heals ? 5 : 600,
  });
}

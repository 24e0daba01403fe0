import { randomBytes, randomUUID } from 'node:crypto';
import type { ComponentConfig } from '../../config/file.ts';
import type { Route } from '../../config/routes.ts';
import { isSuccess } from '../../deliveries/judge.ts';
import { routesOf } from '../../deliveries/matching.ts';
import { whatIsKept } from '../../deliveries/plan.ts';
import type { PushToDeliver } from '../../deliveries/push-to-deliver.ts';
import { requestFor } from '../../deliveries/request.ts';
import {
  createTargetClient,
  TargetError,
  type TargetClient,
} from '../../deliveries/target-client.ts';
import { deadline } from '../../lib/clock.ts';
import { finding } from '../../status/problems.ts';
import { shownRoutes } from '../../status/deliveries.ts';
import { encryptMessage, sign } from '../../wechat/push/envelope.ts';
import { both, fromFinding, ok, skipped, type Check } from './check.ts';
import type { Installation } from './installation.ts';

/** Whether each target takes a signed test event, of a type that WeChat does not have. */

const TEST_TYPE = 'wxkeeper_test';

export async function examineDeliveries(installation: Installation): Promise<Check[]> {
  const { routes, components, deliveryNetworks } = installation.config;
  if (routes.length === 0) {
    return [skipped('deliveries', both('routes', '路由'), both('none is configured', '未配置'))];
  }
  const client = createTargetClient(deliveryNetworks);
  try {
    const asked = routes.flatMap((route) => {
      const component = components.find(({ appid }) => routesOf([route], appid).length > 0);
      return component === undefined ? [] : [tryTarget(installation, client, route, component)];
    });
    return await Promise.all(asked);
  } finally {
    await client.close();
  }
}

async function tryTarget(
  { clock, stepMs }: Installation,
  client: TargetClient,
  route: Route,
  component: ComponentConfig,
): Promise<Check> {
  const { appid } = component;
  const push = testPush(component, route, clock.now());
  const limit = deadline(clock, stepMs);
  const [shown] = shownRoutes([route]);
  const facts = { waiting: 0, target: shown?.target ?? '' };
  let answered: string;
  try {
    const kept = whatIsKept(push, [route]);
    const request = requestFor(route, { id: push.id, component: appid, kept }, clock.now());
    const { status } = await client.send(request, limit.signal);
    if (isSuccess(status)) {
      const seen = both(`${facts.target} took a test event`, `${facts.target} 接收了测试事件`);
      return { ...ok('deliveries', route.name, seen), subject: appid };
    }
    answered = String(status);
  } catch (error) {
    answered = error instanceof TargetError ? error.fault : 'not_sendable';
  } finally {
    limit.cancel();
  }
  const found = finding('target_failing', appid, {
    kind: route.name,
    facts: { ...facts, answered },
  });
  return fromFinding('deliveries', route.name, found, 'failed');
}

/** As WeChat would send it: an event of the platform, or that of an account to a route for messages. */
function testPush(component: ComponentConfig, route: Route, now: number): PushToDeliver {
  const { appid, token, encodingAesKey } = component;
  const timestamp = String(Math.floor(now / 1000));
  const nonce = randomBytes(8).toString('hex');
  const { match, reply } = route;
  const isMessage = reply || match.msgType !== undefined || match.event !== undefined;
  const account = { ToUserName: 'gh_wxkeeper_test', FromUserName: 'oWxkeeperTest' };
  const fields: Record<string, string> = isMessage
    ? { ...account, CreateTime: timestamp, MsgType: 'event', Event: TEST_TYPE }
    : { AppId: appid, CreateTime: timestamp, InfoType: TEST_TYPE };
  const elements = Object.entries(fields).map(([name, value]) => `<${name}>${value}</${name}>`);
  const message = `<xml>${elements.join('')}</xml>`;
  const encrypted = encryptMessage(encodingAesKey, appid, message);
  const outer = isMessage
    ? `<ToUserName>${account.ToUserName}</ToUserName>`
    : `<AppId>${appid}</AppId>`;
  const id = randomUUID();
  const named = isMessage ? { msg_type: 'event', event: TEST_TYPE } : { info_type: TEST_TYPE };
  const [authorizer] = Array.isArray(match.authorizer) ? (match.authorizer as string[]) : [];
  return {
    id,
    component: appid,
    authorizer,
    type: isMessage ? 'message' : 'event',
    fields,
    entry: { id, ...named, create_time: timestamp, fields: JSON.stringify(fields) },
    receivedAt: now,
    query: {
      signature: sign(token, timestamp, nonce, ''),
      timestamp,
      nonce,
      encrypt_type: 'aes',
      msg_signature: sign(token, timestamp, nonce, encrypted),
    },
    body: Buffer.from(`<xml>${outer}<Encrypt>${encrypted}</Encrypt></xml>`),
    contentType: 'text/xml',
    message,
    format: 'xml',
  };
}

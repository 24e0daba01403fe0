import { randomBytes } from 'node:crypto';
import { userNameOf } from './authorizer-profile.ts';
import { findAuthorization, grant } from './authorizers.ts';
import type { PushFields } from './push-document.ts';
import { randomValue } from './values.ts';
import type { Component, World } from './model.ts';

/**
 * What an event carries when nobody says so, by InfoType. Names and nesting are those of WeChat's
 * pages (authorize_event, Fast_Registration_Interface_document, fastregister, fastverify,
 * weapp-wxverify), and for filings and the order centre those of public SDKs. Codes in them work.
 */

type Sample = (world: World, component: Component) => PushFields;

/** Whom the samples speak about, unless they bring a new account into the world. */
export const SAMPLE_AUTHORIZER = 'wxc000000000000001';

const SAMPLES: Readonly<Record<string, Sample>> = {
  authorized: authorization,
  updateauthorized: authorization,
  unauthorized: () => ({ AuthorizerAppid: SAMPLE_AUTHORIZER }),
  notify_third_fasteregister: (world, component) => {
    const appid = newMiniProgram();
    const { code } = grant(world, component.appid, appid, { kind: 'mini' });
    return { appid, status: 0, auth_code: code, msg: 'OK', info: COMPANY };
  },
  notify_third_fastregisterbetaapp: () => ({
    appid: newMiniProgram(),
    status: 0,
    msg: 'OK',
    info: { unique_id: randomBytes(8).toString('hex'), name: '试用小程序' },
  }),
  notify_third_fastverifybetaapp: () => ({
    appid: SAMPLE_AUTHORIZER,
    status: 0,
    msg: 'OK',
    info: COMPANY,
  }),
  notify_3rd_wxa_auth: () => ({
    appid: SAMPLE_AUTHORIZER,
    taskid: 'sample_task_1',
    task_status: 6,
    apply_status: 2,
    message: '审核中',
    dispatch_info: { provider: '模拟审核机构', contact: '020-00000000', dispatch_time: 1700000000 },
  }),
  notify_3rd_wxa_wxverify: (world) => ({
    appid: SAMPLE_AUTHORIZER,
    expired: Math.floor(world.clock.now() / 1000) + 30 * 86_400,
    message: '认证即将到期',
  }),
  notify_icpfiling_verify_result: () => ({
    task_id: 'sample_task_2',
    verify_appid: SAMPLE_AUTHORIZER,
    result: 3,
    along_with_auth_result: 0,
  }),
  notify_apply_icpfiling_result: () => ({
    authorizer_appid: SAMPLE_AUTHORIZER,
    beian_status: 6,
  }),
  notify_3rd_wxa_auth_and_icp: () => ({ procedure_id: 'sample_procedure', procedure_status: 1 }),
  order_path_apply_result_notify: () => ({ list: { appid: SAMPLE_AUTHORIZER, ret_code: 0 } }),
  order_path_audit_result_notify: () => ({ list: { appid: SAMPLE_AUTHORIZER, ret_code: 0 } }),
  wxa_nickname_audit: () => ({
    ToUserName: userNameOf(SAMPLE_AUTHORIZER),
    ret: 3,
    nickname: '模拟小程序',
    reason: '',
  }),
};

const COMPANY: PushFields = {
  name: '模拟科技有限公司',
  code: '91440101000000000X',
  code_type: 1,
  legal_persona_wechat: 'simulated_wechat_id',
  legal_persona_name: '张三',
  component_phone: '020-00000000',
};

/** The InfoTypes that have a sample. */
export const SAMPLED: readonly string[] = Object.keys(SAMPLES);

/** No fields for an InfoType that is not known. */
export function sampleFields(world: World, component: Component, infoType: string): PushFields {
  // Own names only: an InfoType may be anything, `constructor` too.
  return Object.hasOwn(SAMPLES, infoType) ? (SAMPLES[infoType]?.(world, component) ?? {}) : {};
}

function authorization(world: World, { appid }: Component): PushFields {
  const update = findAuthorization(world, appid, SAMPLE_AUTHORIZER) !== undefined;
  const { code, expiresAt } = grant(world, appid, SAMPLE_AUTHORIZER, { update });
  return {
    AuthorizerAppid: SAMPLE_AUTHORIZER,
    AuthorizationCode: code,
    AuthorizationCodeExpiredTime: Math.floor(expiresAt / 1000),
    PreAuthCode: randomValue('pre_auth_code'),
  };
}

function newMiniProgram(): string {
  return `wx${randomBytes(8).toString('hex')}`;
}
